//! Forwarding what has a permit: rewriting the request, connections to the upstream, streaming
//! both ways.
//!
//! A worker is a single thread and its upstream connections are its own. A connection in HTTP/1.1 is
//! polled within the task of the request that uses it, and later within the polling of the
//! response's body: there is no second task to wake, and a slow reader holds back the upstream by
//! itself. One in HTTP/2 is many requests', and has tasks of its own.

mod backend;
mod body_channel;
mod checkup;
mod connect;
mod figures;
mod fleet;
mod forward;
mod h1;
mod http2;
mod idle_timeout;
mod names;
mod pin;
mod pool;
mod relocate;
mod request_body;
mod response_body;
mod rewrite;
mod standing;
mod stream;
mod streamed_body;
mod tls;
mod tunnel;

use std::error::Error;
use std::fmt;

pub use checkup::Checkups;
pub use figures::{UpstreamFigures, UpstreamStanding};
pub use fleet::Fleet;
pub use forward::{Forwarded, Forwarding, ShownCookies, Stopwatch, Withheld, forward};
pub use pin::Pin;
pub use pool::Pool;
pub use rewrite::{Introduction, X_TOLLGATE_ASSERTION, origin_form};
pub use standing::UpstreamState;
pub use tls::trusting;

use crate::http::body::BodyError;

/// Why there is no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The site has no upstream.
    #[error("there is no upstream")]
    Nowhere,
    /// No connection came about.
    #[error("cannot connect to {upstream}: {error}")]
    Connect {
        /// Where to.
        upstream: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The gateway has no file left for a connection (`EMFILE`, `ENFILE`).
    #[error("no connection to {upstream}: {error}")]
    OutOfFiles {
        /// Where to.
        upstream: String,
        /// In the system's words.
        error: std::io::Error,
    },
    /// There was a connection, but no TLS on it that can be trusted.
    #[error("TLS with {upstream} failed: {}", Reasons(&**error))]
    Tls {
        /// With whom.
        upstream: String,
        /// Why not.
        error: BodyError,
    },
    /// The connection or the stream broke before there was an answer.
    #[error("{upstream} broke off: {}", Reasons(&**error))]
    Broken {
        /// Who.
        upstream: String,
        /// How.
        error: BodyError,
    },
    /// What the upstream said is no proper HTTP, or can be read in more than one way.
    #[error("the answer of {upstream} cannot be read: {}", Reasons(&**error))]
    Unreadable {
        /// Whose.
        upstream: String,
        /// What is wrong with it.
        error: BodyError,
    },
    /// The upstream switched protocols without being asked, or to another than was asked for.
    #[error("the upstream switched to a protocol that was not asked for")]
    UnaskedUpgrade,
    /// The client broke its request off, or framed it wrongly.
    #[error("the request's body broke off")]
    BodyBroken,
    /// The client left a body that it announced unsent.
    #[error("the request's body did not come in time")]
    BodyTooSlow,
    /// The head of the answer did not come in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The request's body is longer than the site allows.
    #[error("the request's body is longer than the site allows")]
    BodyTooLong,
    /// The session ended, or was changed, before there was an answer.
    #[error("the session ended before there was an answer")]
    SessionEnded,
}

impl ProxyError {
    /// Whether it is the upstream's fault.
    fn is_upstreams(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Broken { .. }
            | Self::Unreadable { .. }
            | Self::UnaskedUpgrade
            | Self::Timeout => true,
            Self::Nowhere
            | Self::OutOfFiles { .. }
            | Self::BodyBroken
            | Self::BodyTooSlow
            | Self::BodyTooLong
            | Self::SessionEnded => false,
        }
    }
}

/// An error with what is behind it: hyper's own words name the stage and leave out the cause.
struct Reasons<'a>(&'a dyn Error);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.0.source().map_or(Ok(()), |source| write!(f, ": {}", Reasons(source)))
    }
}
