//! A worker's idle connections to one upstream.

use std::cell::RefCell;
use std::time::Duration;

use super::link::Link;
use crate::config::Upstream;
use crate::domain::clock::Timestamp;

/// Idle connections that are kept: enough for the bursts of one worker.
const MAX_IDLE: usize = 128;

/// How long a connection is kept idle.
const MAX_IDLE_TIME: Duration = Duration::from_mins(1);

/// Idle connections to one upstream, the last used on top: under little load the rest grows old
/// and is closed.
pub struct Pool {
    upstream: Upstream,
    idle: RefCell<Vec<(Timestamp, Link)>>,
}

impl Pool {
    /// An empty pool for `upstream`.
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream, idle: RefCell::default() }
    }

    /// Where its connections lead.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// An idle connection that is still good.
    pub(super) fn take(&self, now: Timestamp) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        while let Some((since, mut link)) = idle.pop() {
            if since.until(now) < MAX_IDLE_TIME && link.is_reusable() {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read, if it can carry another request.
    pub(super) fn put(&self, mut link: Link, now: Timestamp) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && link.is_reusable() {
            idle.push((now, link));
        }
    }

    /// Closes what has been idle for too long or was closed by the upstream.
    pub fn sweep(&self, now: Timestamp) {
        self.idle
            .borrow_mut()
            .retain_mut(|(since, link)| since.until(now) < MAX_IDLE_TIME && link.is_reusable());
    }
}
