//! Running out of file descriptors: it is said once and not for each connection, and it passes.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After running out, how long to wait before trying again.
const PAUSE: Duration = Duration::from_millis(50);

/// What comes again within this time is still the same shortage.
const QUIET: Duration = Duration::from_secs(10);

/// When connections could not be accepted for the last time, over all who accept.
#[derive(Debug, Default)]
pub(super) struct Shortage(Mutex<Option<Instant>>);

impl Shortage {
    /// Accepting has failed: returns when it is worth trying again.
    pub(super) async fn bear(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, TimedOut};
        // The client has gone, or is not let in: the next one has nothing to do with it.
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | TimedOut
        ) {
            return;
        }
        if self.is_new(Instant::now()) {
            tracing::error!(
                target: "tollgate::server", %error,
                "cannot accept connections for now: they wait until there is room again"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }

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
        let shortage = Shortage::default();
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
        shortage.bear(&io::ErrorKind::ConnectionAborted.into()).await;
        assert_eq!(Instant::now(), began);
        shortage.bear(&io::Error::other("too many open files")).await;
        assert!(Instant::now() >= began + PAUSE);
    }
}
