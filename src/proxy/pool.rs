//! A worker's connections to a site's upstreams, and which of these a request goes to.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::backend::Backend;
use super::fleet::Fleet;
use super::standing::Trust;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::entropy::{Entropy, dice};

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
        let backend = |member| Rc::new(Backend::new(fleet, member, clock));
        Self { backends: fleet.members.iter().map(backend).collect(), dice: RefCell::new(dice(entropy)) }
    }

    /// The upstream `index`.
    pub(super) fn backend(&self, index: usize) -> Option<&Rc<Backend>> {
        self.backends.get(index)
    }

    /// The host and port of the upstream `index`, and what the port is if none is named.
    pub fn whereabouts(&self, index: usize) -> Option<(Authority, u16)> {
        let member = &self.backends.get(index)?.member;
        Some((member.authority.clone(), if member.scheme == Scheme::HTTPS { 443 } else { 80 }))
    }

    /// Which upstream a request goes to that has been to those in `tried` in vain; `None` if it has
    /// been to enough of them.
    pub(super) fn choose(&self, tried: &[usize], now: Timestamp) -> Option<(usize, &Rc<Backend>)> {
        let chosen = match self.backends.as_slice() {
            [_] if tried.is_empty() => 0,
            [] | [_] => return None,
            several if tried.len() >= several.len().min(MAX_TRIES) => return None,
            several => self.choose_of(several, tried, now),
        };
        self.backends.get(chosen).map(|backend| (chosen, backend))
    }

    fn choose_of(&self, several: &[Rc<Backend>], tried: &[usize], now: Timestamp) -> usize {
        let (one, other) = {
            let mut dice = self.dice.borrow_mut();
            let one = dice.random_range(0..several.len());
            (one, (one + dice.random_range(1..several.len())) % several.len())
        };
        let load = |index: usize| several.get(index).map_or(usize::MAX, |backend| backend.in_flight());
        let is_left = |index: &usize| !tried.contains(index);
        let is_good = |index: &usize| {
            let trust = several.get(*index).map(|backend| backend.member.standing.trust(now));
            is_left(index)
                && match trust {
                    Some(Trust::Full) => true,
                    Some(Trust::Trial) => load(*index) == 0,
                    Some(Trust::None) | None => false,
                }
        };
        match (is_good(&one), is_good(&other)) {
            (true, true) if load(other) < load(one) => other,
            (true, _) => one,
            (false, true) => other,
            (false, false) => {
                let mut rest = (0..several.len()).map(|step| (one + step) % several.len());
                // If all are left out, none is: it may be us who cannot reach them.
                rest.clone().find(is_good).or_else(|| rest.find(is_left)).unwrap_or(one)
            }
        }
    }

    /// The upstream `index` answered, after so many microseconds.
    pub(super) fn answered(&self, index: usize, micros: u64) {
        let Some(backend) = self.backends.get(index) else { return };
        backend.counters.answered.observe_alone(micros);
        // Where there is but one, it is used however it is doing.
        if self.backends.len() > 1 {
            backend.member.standing.answered();
        }
    }

    /// The upstream `index` did not answer, and it was not the visitor's fault.
    pub(super) fn failed(&self, index: usize, now: Timestamp) {
        let Some(backend) = self.backends.get(index) else { return };
        backend.counters.failed.add_alone(1);
        if self.backends.len() > 1 {
            let spread = |most: Duration| most.mul_f64(self.dice.borrow_mut().random());
            backend.member.standing.failed(now, spread);
        }
    }

    /// Closes whatever is idle: there will be nothing more to send.
    pub fn close_idle(&self) {
        const END_OF_TIME: Timestamp = Timestamp::from_millis(u64::MAX);
        self.sweep(END_OF_TIME);
    }

    /// Lets others know how much is under way, and how much waits.
    pub fn publish(&self) {
        self.backends.iter().for_each(|backend| backend.publish());
    }

    /// Closes what has been idle for too long or was closed by its upstream.
    pub fn sweep(&self, now: Timestamp) {
        self.backends.iter().for_each(|backend| backend.sweep(now));
    }
}
