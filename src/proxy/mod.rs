//! Forwarding what has a permit: rewriting the request, connections to the upstream, streaming
//! both ways.
//!
//! A worker is a single thread and its upstream connections are its own. A connection is polled
//! within the task of the request that uses it, and later within the polling of the response's
//! body: there is no second task to wake, and a slow reader holds back the upstream by itself.

mod forward;
mod h1;
mod pool;
mod request_body;
mod response_body;
mod rewrite;
mod tunnel;

pub use forward::{Errand, ShownCookies, forward};
pub use pool::Pool;
pub use rewrite::origin_form;

use crate::http::body::BodyError;

/// Why there is no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No connection came about.
    #[error("cannot connect to the upstream: {0}")]
    Connect(#[source] std::io::Error),
    /// The connection broke, or the upstream did not speak HTTP.
    #[error("there is no answer from the upstream: {0}")]
    Broken(#[source] BodyError),
    /// The upstream switched protocols without being asked, or to another than was asked for.
    #[error("the upstream switched to a protocol that was not asked for")]
    UnaskedUpgrade,
    /// The answer's length can be read in more than one way.
    #[error("the upstream's answer is framed in more than one way")]
    AmbiguousLength,
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
}

impl From<h1::Fault> for ProxyError {
    fn from(fault: h1::Fault) -> Self {
        match fault {
            h1::Fault::Upload(_) => Self::BodyBroken,
            h1::Fault::Ambiguous => Self::AmbiguousLength,
            other => Self::Broken(other.into()),
        }
    }
}
