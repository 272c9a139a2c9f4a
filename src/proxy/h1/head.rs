//! The head of a request as it is written.

use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};

use crate::proxy::rewrite::Fields;

/// Bytes that a head rarely exceeds.
const USUAL: usize = 1024;

/// A request's head, field by field, in the form in which it is sent.
#[derive(Debug)]
pub(in crate::proxy) struct Head(Vec<u8>);

impl Head {
    /// Begins with the request line.
    pub(in crate::proxy) fn new(method: &Method, target: &Uri) -> Self {
        let mut line = Vec::with_capacity(USUAL);
        line.extend_from_slice(method.as_str().as_bytes());
        line.push(b' ');
        line.extend_from_slice(target.path().as_bytes());
        if let Some(query) = target.query() {
            line.push(b'?');
            line.extend_from_slice(query.as_bytes());
        }
        line.extend_from_slice(b" HTTP/1.1\r\n");
        Self(line)
    }

    /// Ends it with the field that says how long the body is, and the empty line.
    pub(super) fn end(mut self, framing: Framing) -> Vec<u8> {
        match framing {
            Framing::None => {}
            Framing::Length(length) => {
                self.0.extend_from_slice(b"content-length: ");
                self.0.extend_from_slice(length.to_string().as_bytes());
                self.0.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => self.0.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

impl Fields for Head {
    fn put(&mut self, name: &HeaderName, value: &HeaderValue) {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        self.0.reserve(name.len() + value.len() + 4);
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
    }
}

/// How a request says where its body ends (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Framing {
    /// There is none.
    None,
    /// By its length.
    Length(u64),
    /// By itself.
    Chunked,
}
