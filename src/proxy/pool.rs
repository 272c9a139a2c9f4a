//! A worker's idle connections to one upstream.

use std::cell::RefCell;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{ProxyError, h1};
use crate::config::Upstream;
use crate::domain::clock::Timestamp;

/// Idle connections that are kept: enough for the bursts of one worker.
const MAX_IDLE: usize = 128;

/// How long a connection is kept idle.
const MAX_IDLE_TIME: Duration = Duration::from_mins(1);

/// A connection to an upstream.
pub(super) type Link = h1::Link<TcpStream>;

/// Idle connections to one upstream, the last used on top: under little load the rest grows old
/// and is closed.
pub struct Pool {
    upstream: Upstream,
    idle: RefCell<Vec<(Timestamp, Box<Link>)>>,
}

impl Pool {
    /// An empty pool for `upstream`.
    pub fn new(upstream: Upstream) -> Self {
        Self { upstream, idle: RefCell::default() }
    }

    /// A new connection. How long that may take is the caller's business.
    pub(super) async fn connect(&self) -> Result<Box<Link>, ProxyError> {
        let Upstream { host, port, .. } = &self.upstream;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(ProxyError::Connect)?;
        // Requests are written whole: waiting for more would only add latency.
        stream.set_nodelay(true).map_err(ProxyError::Connect)?;
        Ok(Box::new(h1::Link::new(stream)))
    }

    /// An idle connection that is still good.
    pub(super) fn take(&self, now: Timestamp) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some((since, mut link)) = idle.pop() {
            if since.until(now) < MAX_IDLE_TIME && link.is_reusable() {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read, if it can carry another request.
    pub(super) fn put(&self, link: Box<Link>, now: Timestamp) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && link.is_through() {
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
