//! Paused requests, in memory. What is lost with a restart is what somebody is just about to sign in
//! for; and then the page is still there.

use std::sync::Mutex;

use super::lot::Lot;
use super::{lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::paused::Berth;
use crate::store::{Parcel, ParkedStore, StoreFuture};

/// Paused requests in memory, which is bounded whoever brings them.
#[derive(Debug, Default)]
pub struct Parked(Mutex<Lot<Vec<u8>>>);

impl ParkedStore for Parked {
    fn park(&self, berth: Berth, parcel: Parcel) -> StoreFuture<'_, ()> {
        let Parcel { network, until, sealed } = parcel;
        lock(&self.0).add(berth, network, sealed.len(), sealed, until);
        ready(())
    }

    fn holds(&self, berth: Berth) -> StoreFuture<'_, bool> {
        ready(lock(&self.0).holds(&berth))
    }

    fn take(&self, berth: Berth, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        ready(lock(&self.0).take(&berth, now))
    }

    fn clear(&self, browser: [u8; 32]) -> StoreFuture<'_, ()> {
        lock(&self.0).clear(&browser);
        ready(())
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        lock(&self.0).forget(now, limit)
    }
}
