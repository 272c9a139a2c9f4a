//! One name for a request, in the log, on error pages and at the upstream.

use std::cell::Cell;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::Response;
use super::client::Client;
use crate::domain::entropy::Entropy;
use crate::domain::secret::hex;
use crate::sso::Circumstances;

/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes names for requests: 16 random digits that a worker drew once, and 16 that it counts.
#[derive(Debug)]
pub struct RequestIds(Cell<[u8; 32]>);

impl RequestIds {
    /// A source of names that no other source makes.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        let mut first = [b'0'; 32];
        for (digit, own) in first.iter_mut().zip(hex(&bytes).bytes()) {
            *digit = own;
        }
        Self(Cell::new(first))
    }

    fn next(&self) -> [u8; 32] {
        let name = self.0.get();
        let mut next = name;
        for digit in next.iter_mut().rev() {
            *digit = match *digit {
                b'9' => b'a',
                b'f' => b'0',
                other => other + 1,
            };
            if *digit != b'0' {
                break;
            }
        }
        self.0.set(next);
        name
    }
}

/// A request's name: 32 hexadecimal digits, or what a trusted proxy called it.
#[derive(Clone, Debug)]
pub struct RequestId(Name);

#[derive(Clone, Debug)]
enum Name {
    Made([u8; 32]),
    Given(HeaderValue),
}

impl RequestId {
    /// Keeps the name that a trusted proxy gave, if it is 1 to 128 characters that are harmless in
    /// a log line; else makes one.
    pub fn of(headers: &HeaderMap, client: &Client, ids: &RequestIds) -> Self {
        let harmless = |value: &&HeaderValue| {
            let fine = |b: &u8| {
                b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=' | b'+' | b'/' | b':')
            };
            (1..=128).contains(&value.len()) && value.as_bytes().iter().all(fine)
        };
        let named = if client.by_trusted_proxy { headers.get(X_REQUEST_ID) } else { None };
        let given = named.filter(harmless).cloned().map(Name::Given);
        Self(given.unwrap_or_else(|| Name::Made(ids.next())))
    }

    /// The name as a header value.
    pub fn to_value(&self) -> HeaderValue {
        match &self.0 {
            // Digits fit into any header.
            Name::Made(digits) => HeaderValue::from_bytes(digits).unwrap_or(HeaderValue::from_static("0")),
            Name::Given(value) => value.clone(),
        }
    }

    /// The name as it stands in a header.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Name::Made(digits) => digits,
            Name::Given(value) => value.as_bytes(),
        }
    }

    /// Has an error of our own tell it, so that whoever reports it can say which one it was.
    pub fn name_on_error(&self, response: &mut Response) {
        if response.status().as_u16() >= 400 && !response.headers().contains_key(X_REQUEST_ID) {
            response.headers_mut().insert(X_REQUEST_ID, self.to_value());
        }
    }

    /// What there is to say of whence this request of `client` comes.
    pub fn circumstances(&self, client: &Client) -> Circumstances {
        Circumstances { client: client.address, request_id: self.as_str().into() }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}
