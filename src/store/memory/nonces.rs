//! Nonces of signed requests, remembered until no request could pass with them anyway.

use std::sync::Mutex;

use super::expiry::Expiring;
use super::{lock, ready};
use crate::domain::clock::Timestamp;
use crate::store::{NonceKey, NonceStore, StoreFuture};

/// Nonces in memory. Only requests whose signature was right get here, so strangers cannot fill
/// it.
#[derive(Debug, Default)]
pub struct Nonces(Mutex<Expiring<NonceKey, ()>>);

impl NonceStore for Nonces {
    fn remember(&self, key: NonceKey, until: Timestamp) -> StoreFuture<'_, bool> {
        ready(lock(&self.0).insert(key, (), until))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        lock(&self.0).forget(now, limit)
    }
}
