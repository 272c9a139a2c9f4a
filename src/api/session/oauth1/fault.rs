//! What can be wrong with a signature, in words that help whoever is writing a client.

use http::Method;

use super::super::form::FormFault;
use super::header::HeaderFault;
use super::{MAX_NONCE_CHARS, TOLERANCE};

/// Why a request does not count as signed. None of the messages tells more than the client
/// knows, but for the server's time and the address under which it was reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The Authorization header is no list of parameters.
    #[error("the Authorization header cannot be read: {0}")]
    Header(#[from] HeaderFault),
    /// Query or form are too much.
    #[error(transparent)]
    Form(#[from] FormFault),
    /// A parameter without which nothing can be verified.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A parameter of OAuth that was sent twice, perhaps in two places.
    #[error("{0} was sent twice")]
    Repeated(&'static str),
    /// A parameter of OAuth that is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// Another version of OAuth.
    #[error("oauth_version is not 1.0")]
    Version,
    /// Another signature method.
    #[error("oauth_signature_method is not HMAC-SHA1")]
    Method,
    /// No HMAC-SHA1 value.
    #[error("oauth_signature is not the base64 of 20 bytes")]
    Signature,
    /// No time.
    #[error("oauth_timestamp is not a positive number of seconds")]
    Timestamp,
    /// No nonce, or too much of one.
    #[error("oauth_nonce does not have 1 to {MAX_NONCE_CHARS} characters")]
    Nonce,
    /// A request from too long ago, or from the future.
    #[error("oauth_timestamp is more than {} seconds off: it is {now} here", TOLERANCE.as_secs())]
    Stale {
        /// The server's time in seconds.
        now: u64,
    },
    /// The signature is wrong, or there are no such keys: which of the two is not told.
    #[error(
        "the consumer key, the token or the signature is wrong, or what was signed is not {method} {uri} with the parameters that came in"
    )]
    Mismatch {
        /// The method that should have been signed.
        method: Method,
        /// The address that should have been signed.
        uri: String,
    },
    /// A request that came before.
    #[error("oauth_nonce was used before")]
    Replayed,
}
