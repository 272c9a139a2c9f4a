//! When each secret of an API key was used last. Nobody dares to take out an old one without knowing
//! whether somebody still has it.
//!
//! It is known of this process alone, from its start on, and costs a call one store to memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Means;
use crate::domain::clock::Timestamp;

/// When one secret was used last.
#[derive(Debug, Default)]
pub(super) struct LastUse(AtomicU64);

impl LastUse {
    /// It is used at `now`.
    pub(super) fn note(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }

    /// When that was, if it was at all.
    pub(super) fn at(&self) -> Option<Timestamp> {
        Some(self.0.load(Ordering::Relaxed)).filter(|millis| *millis > 0).map(Timestamp::from_millis)
    }
}

/// The uses of all secrets, by a name that follows from each: other settings do not make them forgotten.
#[derive(Debug)]
pub(super) struct KeyUses {
    /// Since when they are noted.
    pub(super) since: Timestamp,
    by_means: Mutex<HashMap<[u8; 32], Arc<LastUse>>>,
}

impl KeyUses {
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, by_means: Mutex::default() }
    }

    /// Where the uses of `means` are noted, as they were so far.
    pub(super) fn of(&self, means: &Means) -> Arc<LastUse> {
        let mut all = self.by_means.lock().unwrap_or_else(PoisonError::into_inner);
        // What no settings name any more is nobody's.
        all.retain(|_, last| Arc::strong_count(last) > 1);
        Arc::clone(all.entry(means.mark()).or_default())
    }
}
