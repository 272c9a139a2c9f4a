//! One name for a request, in the log, on error pages and at the upstream.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::client::Client;
use crate::domain::entropy::Entropy;
use crate::domain::secret::hex;

/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's name: 32 hexadecimal digits, or what a trusted proxy called it.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Keeps the name that a trusted proxy gave, if it is 1 to 128 characters that are harmless in
    /// a log line; else makes one.
    pub fn of(headers: &HeaderMap, client: &Client, entropy: &dyn Entropy) -> Self {
        let harmless = |value: &&HeaderValue| {
            let fine = |b: &u8| {
                b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=' | b'+' | b'/' | b':')
            };
            (1..=128).contains(&value.len()) && value.as_bytes().iter().all(fine)
        };
        let given = headers.get(X_REQUEST_ID).filter(|_| client.by_trusted_proxy).filter(harmless);
        Self(given.cloned().unwrap_or_else(|| {
            let mut bytes = [0; 16];
            entropy.fill(&mut bytes);
            HeaderValue::from_str(&hex(&bytes)).unwrap_or(HeaderValue::from_static("0"))
        }))
    }

    /// The name as a header value.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}
