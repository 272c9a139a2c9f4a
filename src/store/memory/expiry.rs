//! What has to be looked at or forgotten, and when.

use std::collections::{BTreeMap, BTreeSet};

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

/// What is remembered under a key until its time has come.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: BTreeMap<K, V>,
    due: ExpiryQueue<K>,
}

impl<K: Ord + Copy, V> Expiring<K, V> {
    /// Remembers `value` until `until`; `false` if there is one under this key already, which stays.
    pub(super) fn insert(&mut self, key: K, value: V, until: Timestamp) -> bool {
        let is_new = !self.entries.contains_key(&key);
        if is_new {
            self.entries.insert(key, value);
            self.due.push(until, key);
        }
        is_new
    }

    /// What is remembered, be its time over or not.
    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Forgets what is not to `stay`.
    pub(super) fn retain(&mut self, stays: impl Fn(&V) -> bool) {
        self.entries.retain(|_, value| stays(value));
    }

    /// Forgets at most `limit` entries whose time is over at `now`, and says how many these were.
    pub(super) fn forget(&mut self, now: Timestamp, limit: usize) -> usize {
        let over = std::iter::from_fn(|| self.due.pop(now)).take(limit);
        over.map(|key| self.entries.remove(&key)).count()
    }
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), due: ExpiryQueue::default() }
    }
}
