//! Nonces of signed requests, remembered until no request could pass with them anyway.

use std::collections::HashSet;
use std::sync::Mutex;

use super::expiry::ExpiryQueue;
use super::{lock, ready};
use crate::domain::clock::Timestamp;
use crate::store::{NonceKey, NonceStore, StoreFuture};

/// Nonces in memory. Only requests whose signature was right get here, so strangers cannot fill
/// it.
#[derive(Debug, Default)]
pub struct Nonces(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    keys: HashSet<NonceKey>,
    expiry: ExpiryQueue<NonceKey>,
}

impl NonceStore for Nonces {
    fn remember(&self, key: NonceKey, until: Timestamp) -> StoreFuture<'_, bool> {
        let mut remembered = lock(&self.0);
        let is_new = remembered.keys.insert(key);
        if is_new {
            remembered.expiry.push(until, key);
        }
        ready(is_new)
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        let mut remembered = lock(&self.0);
        let mut looked_at = 0;
        while looked_at < limit
            && let Some(key) = remembered.expiry.pop(now)
        {
            remembered.keys.remove(&key);
            looked_at += 1;
        }
        looked_at
    }
}
