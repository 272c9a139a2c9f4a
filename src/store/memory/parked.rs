//! Paused requests, in memory. What is lost with a restart is what somebody is just about to sign in
//! for; and then the page is still there.

use std::sync::Mutex;

use super::lot::Lot;
use super::{lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::paused::ParkedId;
use crate::store::{ParkedStore, SealedRequest, StoreFuture};

/// Paused requests in memory, which is bounded whoever brings them.
#[derive(Debug, Default)]
pub struct Parked(Mutex<Lot<Vec<u8>>>);

impl ParkedStore for Parked {
    fn park(&self, id: ParkedId, request: SealedRequest) -> StoreFuture<'_, ()> {
        let SealedRequest { network, until, sealed } = request;
        lock(&self.0).add(id, network, sealed.len(), sealed, until);
        ready(())
    }

    fn holds(&self, id: ParkedId) -> StoreFuture<'_, bool> {
        ready(lock(&self.0).holds(&id))
    }

    fn take(&self, id: ParkedId, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        ready(lock(&self.0).take(&id, now))
    }

    fn clear(&self, browser: [u8; 32]) -> StoreFuture<'_, ()> {
        lock(&self.0).clear(&browser);
        ready(())
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        lock(&self.0).forget(now, limit)
    }
}
