//! The gateway of the settings that are in force, as a worker has it. When others are, another one takes its
//! place. A request that is under way is finished by the one that began it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::{Gateway, Shared};
use crate::domain::clock::Timestamp;
use crate::http::watch::{CallForRoom, Watch};

/// A worker's gateway, whichever it is.
pub struct CurrentGateway {
    current: RefCell<Rc<Gateway>>,
    watch: Rc<Watch>,
}

impl CurrentGateway {
    /// That of a worker, with connections of its own, among those that share `call`.
    pub fn new(shared: Arc<Shared>, call: Arc<CallForRoom>) -> Self {
        let watch = Rc::new(Watch::among(call));
        let gateway = Gateway::new(shared, Rc::clone(&watch));
        Self { current: RefCell::new(Rc::new(gateway)), watch }
    }

    /// The gateway that takes what comes now.
    pub fn current(&self) -> Rc<Gateway> {
        Rc::clone(&self.current.borrow())
    }

    /// From now on requests are answered by what is `shared`.
    pub fn replace(&self, shared: Arc<Shared>) {
        let next = self.current.borrow().succeeded_by(shared);
        self.current.replace(Rc::new(next));
    }

    /// The worker's deadlines, which stay.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.current.borrow().now()
    }

    /// See [`Gateway::tick`].
    pub fn tick(&self) {
        self.current().tick();
    }
}

impl Gateway {
    /// A gateway in the place of this one, for the same worker. Where a site's upstreams are what they
    /// were, their connections are used further.
    fn succeeded_by(&self, shared: Arc<Shared>) -> Self {
        let pools = shared.fronts.iter().map(|(name, front)| {
            let is_same = |old: &&Arc<super::Front>| Arc::ptr_eq(&old.fleet, &front.fleet);
            let own = self.pools.get(name);
            let kept = self.shared.fronts.get(name).filter(is_same).and(own);
            let pool = kept.map_or_else(|| Rc::new(shared.pool(front)), |(pool, _)| Rc::clone(pool));
            // What the one before still has to finish is counted by the same worker, in the same place.
            let counters = own.map_or_else(|| front.counters.enlist(), |(_, counters)| Arc::clone(counters));
            (name.clone(), (pool, counters))
        });
        Self {
            siteless: Arc::clone(&self.siteless),
            telemetry: shared.telemetry(),
            pools: pools.collect(),
            request_ids: Rc::clone(&self.request_ids),
            watch: Rc::clone(&self.watch),
            revocation: Rc::clone(&self.revocation),
            assertions: Rc::clone(&self.assertions),
            pins: Rc::clone(&self.pins),
            arrivals: Rc::clone(&self.arrivals),
            shared,
        }
    }
}
