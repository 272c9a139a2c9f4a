//! The store that forgets everything on restart: a `DashMap` for what requests look up, which is
//! sessions, and everything else behind mutexes.
//!
//! Two rules keep it free of deadlocks: an index's lock is taken before the map's, and neither is
//! held over an await: only lists await at all, between two slices.

mod expiry;
mod filed;
mod keys;
mod lot;
mod nonces;
mod parked;
mod sessions;
mod slices;
mod spent;
mod tokens;
mod users;

pub use keys::Keys;
pub(super) use lot::Lot;
pub use nonces::Nonces;
pub use parked::Parked;
pub use sessions::Sessions;
pub(super) use tokens::AFTERLIFE;
pub use tokens::Tokens;
pub use users::Users;

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StoreFuture;

/// An answer that is there already.
fn ready<'a, T: Send + 'a>(answer: T) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(Ok(answer)))
}

/// Locks for a moment. A panic elsewhere cannot leave an index half changed: no code between the
/// lock and its release can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes eight bytes of a key that is a SHA-256 value for its hash: it needs no second hashing,
/// and nobody can choose keys that collide.
#[derive(Default)]
pub(super) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }
}

/// For maps whose keys are such values.
pub(super) type Hashed = BuildHasherDefault<AlreadyHashed>;
