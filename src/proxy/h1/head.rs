//! The head of a request as it is written.

use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};

use super::Upload;
use crate::http::h1::{Fields, put};
use crate::proxy::request_body::RequestBody;

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

    /// Ends it with the field that says how long `body` is, and the empty line.
    pub(in crate::proxy) fn with(mut self, body: RequestBody) -> Upload {
        body.framing().put(&mut self.0);
        self.0.extend_from_slice(b"\r\n");
        Upload::new(self.0, body.framing(), body)
    }
}

impl Fields for Head {
    fn put(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put_text(name, value.as_bytes());
    }

    fn put_text(&mut self, name: &HeaderName, value: &[u8]) {
        put(&mut self.0, name.as_str().as_bytes(), value);
    }
}
