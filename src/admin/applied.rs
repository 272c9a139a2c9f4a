//! Which settings are in force since when, and what became of others since then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::clock::Timestamp;

/// Lines of a refusal that are kept.
const MOST_LINES: usize = 100;

/// Since when the settings in force are.
pub struct Applied(Mutex<State>);

#[derive(Clone)]
struct State {
    since: Timestamp,
    refused: Option<Refused>,
}

/// Settings that did not come into force.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// When that was.
    pub(super) at: Timestamp,
    /// Why: what the log says as well. It holds no secret.
    pub(super) why: Vec<String>,
}

impl Applied {
    /// The first settings, which come into force `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(State { since: now, refused: None }))
    }

    /// Others have come into force.
    pub fn changed(&self, now: Timestamp) {
        *self.state() = State { since: now, refused: None };
    }

    /// Others have not, and this is why.
    pub fn refused<'a>(&self, now: Timestamp, why: impl IntoIterator<Item = &'a str>) {
        let why = why.into_iter().take(MOST_LINES).map(str::to_owned).collect();
        self.state().refused = Some(Refused { at: now, why });
    }

    /// Since when the settings are in force, and what was refused after that.
    pub(super) fn told(&self) -> (Timestamp, Option<Refused>) {
        let State { since, refused } = self.state().clone();
        (since, refused)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
