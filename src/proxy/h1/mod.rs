//! HTTP/1.1 towards an upstream, made for passing on.
//!
//! A head is written as bytes straight from the fields that may pass, and stays as it was written
//! until there is an answer, so that it can be sent again. An answer is read strictly: one whose
//! length could be read in two ways is an error, and a connection is used again only when nothing
//! is left on it (RFC 9112 §6.3, §9.3).

mod answer;
mod download;
mod head;
mod link;

pub(super) use answer::Answer;
pub(super) use head::{Head, readdress, replace};
pub(super) use link::Link;

use super::request_body::RequestBody;
use crate::http::h1::{FramingFault, Sender, Unsent};

/// A request on its way out.
pub(super) type Upload = Sender<RequestBody>;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Fault {
    /// The upstream hung up before it said anything.
    #[error("the upstream closed the connection without an answer")]
    Unanswered,
    /// The upstream hung up before its answer was complete.
    #[error("the upstream's answer broke off")]
    Truncated,
    /// The connection failed.
    #[error("the connection to the upstream failed: {0}")]
    Io(#[source] std::io::Error),
    /// What came is not HTTP/1.1.
    #[error("the upstream's answer is malformed: {0}")]
    Malformed(&'static str),
    /// What came is not framed as HTTP/1.1 has it.
    #[error("the upstream's answer is malformed: {0}")]
    Framing(#[from] FramingFault),
    /// The answer's length can be read in more than one way.
    #[error("the upstream's answer is framed in more than one way")]
    Ambiguous,
    /// The request's own body failed.
    #[error("the request could not be sent: {0}")]
    Upload(#[from] Unsent),
}
