//! A worker's connections to a site's upstreams, and which of these a request goes to.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::backend::Backend;
use super::fleet::Fleet;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::entropy::Entropy;

/// The most upstreams that a request is offered to, one after another.
const MAX_TRIES: usize = 3;

/// A worker's connections to a site's upstreams.
///
/// Of two upstreams picked by chance, a request goes to the one with less under way (Mitzenmacher,
/// "The Power of Two Choices"): nearly as even as asking all of them, and it does not send
/// everybody to the one that was idle a moment ago. A worker counts what it has under way itself.
pub struct Pool {
    backends: Vec<Rc<Backend>>,
    dice: RefCell<SmallRng>,
}

impl Pool {
    /// A worker's pool, without a connection as yet.
    pub fn new(fleet: &Arc<Fleet>, clock: &Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        let backend = |member| Rc::new(Backend::new(fleet, member, clock));
        Self {
            backends: fleet.members.iter().map(backend).collect(),
            dice: RefCell::new(SmallRng::seed_from_u64(u64::from_le_bytes(seed))),
        }
    }

    /// Which upstream a request goes to that has been to those in `tried` in vain; `None` if it has
    /// been to enough of them.
    pub(super) fn choose(&self, tried: &[usize], _now: Timestamp) -> Option<(usize, &Rc<Backend>)> {
        let chosen = match self.backends.as_slice() {
            [_] if tried.is_empty() => 0,
            [] | [_] => return None,
            several if tried.len() >= several.len().min(MAX_TRIES) => return None,
            several => self.choose_of(several, tried),
        };
        self.backends.get(chosen).map(|backend| (chosen, backend))
    }

    fn choose_of(&self, several: &[Rc<Backend>], tried: &[usize]) -> usize {
        let (one, other) = {
            let mut dice = self.dice.borrow_mut();
            let one = dice.random_range(0..several.len());
            (one, (one + dice.random_range(1..several.len())) % several.len())
        };
        let load = |index: usize| several.get(index).map_or(usize::MAX, |backend| backend.in_flight());
        let is_good = |index: usize| !tried.contains(&index);
        match (is_good(one), is_good(other)) {
            (true, true) if load(other) < load(one) => other,
            (true, _) => one,
            (false, true) => other,
            (false, false) => {
                let mut rest = (0..several.len()).map(|step| (one + step) % several.len());
                rest.find(|index| is_good(*index)).unwrap_or(one)
            }
        }
    }

    /// Closes whatever is idle: there will be nothing more to send.
    pub fn close_idle(&self) {
        const END_OF_TIME: Timestamp = Timestamp::from_millis(u64::MAX);
        self.sweep(END_OF_TIME);
    }

    /// Closes what has been idle for too long or was closed by its upstream.
    pub fn sweep(&self, now: Timestamp) {
        self.backends.iter().for_each(|backend| backend.sweep(now));
    }
}
