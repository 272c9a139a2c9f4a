//! A head as it is written.

use std::fmt;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::http::digits;

/// A head that is being made.
pub trait Fields {
    /// Adds a field.
    fn put(&mut self, name: &HeaderName, value: &HeaderValue);

    /// Adds a field whose value has been found fit for one.
    fn put_text(&mut self, name: &HeaderName, value: &[u8]);

    /// The same with the name `written` in a case of its own, where that is possible: HTTP/2 has only
    /// lower-case names.
    fn put_as(&mut self, name: &HeaderName, _written: &str, value: &[u8]) {
        self.put_text(name, value);
    }

    /// Adds what `each` adds one by one, or `lines`, in which the same is written for HTTP/1.1.
    fn put_lines(&mut self, _lines: &Lines, each: impl FnOnce(&mut Self)) {
        each(self);
    }
}

impl Fields for HeaderMap {
    fn put(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name, value.clone());
    }

    fn put_text(&mut self, name: &HeaderName, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.append(name, value);
        }
    }
}

/// Fields that are the same in many heads, as they are written in HTTP/1.1: to copy them together is cheaper
/// than to write them one by one.
#[derive(Clone, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// What `tell` tells.
    pub fn of(tell: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut lines = Vec::new();
        tell(&mut lines);
        Self(lines)
    }
}

/// There may be a password among them.
impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(redacted)")
    }
}

/// A head, or part of one, as it is written in HTTP/1.1.
impl Fields for Vec<u8> {
    fn put(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put_text(name, value.as_bytes());
    }

    fn put_text(&mut self, name: &HeaderName, value: &[u8]) {
        put(self, name.as_str().as_bytes(), value);
    }

    fn put_as(&mut self, _name: &HeaderName, written: &str, value: &[u8]) {
        put(self, written.as_bytes(), value);
    }

    fn put_lines(&mut self, lines: &Lines, _each: impl FnOnce(&mut Self)) {
        self.extend_from_slice(&lines.0);
    }
}

/// Writes a field with its line end.
pub fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// How a message says where its body ends (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By its length.
    Length(u64),
    /// By itself.
    Chunked,
    /// By the end of the connection.
    Closing,
}

impl Framing {
    /// Writes the field that says so, if there is one.
    pub fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::None | Self::Closing => {}
            Self::Length(length) => {
                out.extend_from_slice(b"content-length: ");
                digits::number(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Self::Chunked => put(out, b"transfer-encoding", b"chunked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_digits() {
        for length in [0, 7, 10, 65_536, u64::MAX] {
            let mut out = Vec::new();
            Framing::Length(length).put(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("content-length: {length}\r\n"));
        }
    }
}
