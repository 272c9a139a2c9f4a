//! A queue of what has to be looked at, and when.

use std::collections::BTreeSet;

use crate::domain::clock::Timestamp;

/// Entries in the order of the time at which they are due.
#[derive(Debug)]
pub(super) struct ExpiryQueue<K>(BTreeSet<(Timestamp, K)>);

impl<K: Ord> ExpiryQueue<K> {
    pub(super) fn push(&mut self, due: Timestamp, key: K) {
        self.0.insert((due, key));
    }

    /// Takes an entry out before it is due.
    pub(super) fn remove(&mut self, due: Timestamp, key: K) {
        self.0.remove(&(due, key));
    }

    /// The next entry that is due at `now`.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<K> {
        let (due, _) = self.0.first()?;
        (*due <= now).then(|| self.0.pop_first()).flatten().map(|(_, key)| key)
    }
}

impl<K> Default for ExpiryQueue<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}
