//! Connections to an upstream that were authenticated for one visitor, and are nobody else's.
//!
//! NTLM and its like authenticate a connection, not a request: whoever comes next on it is taken for
//! the one before. Such a connection never goes back to the pool. It is closed, or on sites that want
//! it, pinned to the visitor's own connection, and to the session for which it was made.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::backend::{Link, is_good};
use super::pool::Pool;
use crate::domain::session::LiveSession;
use crate::http::watch::{Deadline, Watch};

/// A visitor's connection's own connection to an upstream, while no request is under way on it. One at
/// most: a visitor's connection in HTTP/1.1 carries one request at a time.
#[derive(Default)]
pub struct Pin(RefCell<Option<Held>>);

struct Held {
    link: Box<Link>,
    owner: Owner,
}

/// Where a connection is kept, and for whom.
pub(super) struct Holder {
    pin: Rc<Pin>,
    owner: Owner,
}

/// For whom a connection is kept. Does not have the pin, which has it: neither would ever go.
struct Owner {
    /// Whose upstream it leads to, and which of them it is.
    pool: Rc<Pool>,
    index: usize,
    session: Option<Arc<LiveSession>>,
    /// Where it is seen that the session is over.
    bond: Rc<Deadline>,
}

impl Holder {
    /// The visitor whose connection has this `pin`, and to whom `session` belongs if there is one.
    pub(super) fn new(
        pin: &Rc<Pin>,
        pool: &Rc<Pool>,
        index: usize,
        session: Option<&Arc<LiveSession>>,
        watch: &Rc<Watch>,
    ) -> Self {
        let bond = watch.bound(Duration::MAX, session);
        let owner = Owner { pool: Rc::clone(pool), index, session: session.map(Arc::clone), bond };
        Self { pin: Rc::clone(pin), owner }
    }

    /// Keeps `link`, whose answer has been read, in place of whatever was kept before: but none for
    /// nobody in place of one for a session, as when an open path is asked for in between.
    pub(super) fn keep(self, link: Box<Link>) {
        let Self { pin, owner } = self;
        let has_session = |held: &Held| held.owner.session.is_some();
        let is_lesser = owner.session.is_none() && pin.0.borrow().as_ref().is_some_and(has_session);
        if link.is_through() && owner.may_go_on() && !is_lesser {
            pin.0.replace(Some(Held { link, owner }));
        }
    }
}

impl Owner {
    fn may_go_on(&self) -> bool {
        !self.bond.is_revoked(Waker::noop()) && !self.bond.watch().is_draining()
    }
}

impl Pin {
    /// The connection that is kept for a request that comes with `session`, and which of the upstreams
    /// in `pool` it leads to. What is kept for another session is closed: whoever passes on several
    /// visitors on one connection has none of them pinned for long. A request that is nobody's on a
    /// connection with a session, as for an open path, has nothing to do with what is kept.
    pub(super) fn take(
        &self,
        pool: &Rc<Pool>,
        session: Option<&Arc<LiveSession>>,
    ) -> Option<(usize, Box<Link>)> {
        let mut held = self.0.take()?;
        let own = held.owner.session.as_ref().map(|own| own.hash);
        if !Rc::ptr_eq(&held.owner.pool, pool) {
            return None;
        }
        if session.is_none() && own.is_some() {
            self.0.replace(Some(held));
            return None;
        }
        let is_own = own == session.map(|session| session.hash);
        (is_own && held.owner.may_go_on() && is_good(&mut held.link)).then_some((held.owner.index, held.link))
    }

    /// Closes what is kept, if its session is over or its upstream hung up.
    pub fn sweep(&self) {
        let mut held = self.0.borrow_mut();
        if held.as_mut().is_some_and(|held| !held.owner.may_go_on() || !is_good(&mut held.link)) {
            *held = None;
        }
    }
}
