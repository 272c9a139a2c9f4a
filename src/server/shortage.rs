//! Running out of file descriptors, or of slots for connections: it is said once and not for each
//! connection, and it passes.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After running out, how long to wait before trying again.
const PAUSE: Duration = Duration::from_millis(50);

/// What comes again within this time is still the same shortage.
const QUIET: Duration = Duration::from_secs(10);

/// When connections could not be let in for the last time, over all who accept.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    of_descriptors: Last,
    of_slots: Last,
}

/// Whether accepting failed for a reason that has nothing to do with the next client: this one has gone, or
/// is not let in.
pub(super) fn is_about_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | TimedOut)
}

impl Shortage {
    /// All slots are taken.
    pub(super) fn is_crowded(&self) {
        if self.of_slots.is_new(Instant::now()) {
            tracing::warn!(
                target: "tollgate::server",
                "the connection limit is reached: idle connections are closed to make room"
            );
        }
    }

    /// Accepting has failed: returns when it is worth trying again.
    pub(super) async fn bear(&self, error: &io::Error) {
        if self.of_descriptors.is_new(Instant::now()) {
            tracing::error!(
                target: "tollgate::server", %error,
                "cannot accept connections for now: new ones wait until there is room again"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// When something happened for the last time.
#[derive(Debug, Default)]
struct Last(Mutex<Option<Instant>>);

impl Last {
    fn is_new(&self, now: Instant) -> bool {
        // Whoever panicked meanwhile has left no more than a time behind.
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        last.is_none_or(|last| now.duration_since(last) > QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shortage_is_new_once() {
        let shortage = Last::default();
        assert!(shortage.is_new(Instant::now()));
        for _ in 0..1000 {
            tokio::time::advance(PAUSE).await;
            assert!(!shortage.is_new(Instant::now()));
        }
        tokio::time::advance(QUIET * 2).await;
        assert!(shortage.is_new(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_holds_up_nobody() {
        let (shortage, began) = (Shortage::default(), Instant::now());
        assert!(is_about_one(&io::ErrorKind::ConnectionAborted.into()));
        let exhausted = io::Error::other("too many open files");
        assert!(!is_about_one(&exhausted));
        shortage.bear(&exhausted).await;
        assert!(Instant::now() >= began + PAUSE);
    }
}
