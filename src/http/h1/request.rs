//! A request's head, read strictly (RFC 9112 §2 to §6).
//!
//! Whoever stands in front of the gateway, or behind it, may read a head that has two meanings in
//! the other way, and then the end of one request becomes the beginning of somebody else's (request
//! smuggling, RFC 9112 §11.2). So what can be read in two ways is refused, even where the RFC lets
//! a server be lenient.

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri, Version};
use memchr::memchr;

use super::FramingFault;
use super::field_cache::FieldCache;
use super::line::{end_of_head, fields_in, first_line, has_bare_line_end, trimmed};
use crate::http::digits::plain_decimal;

/// The most fields in a head.
pub(super) const MAX_FIELDS: usize = 100;

/// A request's head, and what it says of what follows.
#[derive(Debug)]
pub struct Head {
    /// Method, target, version and fields.
    pub parts: Parts,
    /// How long the body is.
    pub length: Length,
    /// Whether it asks for another protocol on this connection, or for a tunnel.
    pub wants_upgrade: bool,
    /// Whether the client waits for a word before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// Whether the client will go on with the connection (RFC 9112 §9.3).
    pub persists: bool,
}

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This many bytes; none if the head says nothing of a body.
    Known(u64),
    /// As long as its chunks.
    Chunked,
}

/// Reads the heads of a connection, one after the other.
#[derive(Default)]
pub struct HeadReader {
    /// Up to where there is no end of the next one.
    sought: usize,
    /// Whether an empty line was skipped before it.
    is_behind_empty_line: bool,
    fields: FieldCache,
}

impl HeadReader {
    /// Whether not a byte of the next one has come.
    pub fn is_nothing(&self) -> bool {
        self.sought == 0
    }

    /// Takes the head from the front of `incoming` once it is there as a whole. One that is longer
    /// than `max` bytes, with its empty line, is refused.
    pub fn take(&mut self, incoming: &mut BytesMut, max: usize) -> Result<Option<Head>, FramingFault> {
        // RFC 9112 §2.2: at least one empty line before a request is to be ignored. One is enough
        // for the clients that are meant.
        if !self.is_behind_empty_line && incoming.starts_with(b"\r\n") {
            incoming.advance(2);
            self.is_behind_empty_line = true;
        }
        let Some(end) = end_of_head(incoming, self.sought) else { return self.wait(incoming, max) };
        if end > max {
            return Err(too_long(incoming, max));
        }
        let head = incoming.split_to(end).freeze();
        (self.sought, self.is_behind_empty_line) = (0, false);
        read(&head, &mut self.fields).map(Some)
    }

    /// A head that is not complete.
    fn wait(&mut self, incoming: &[u8], max: usize) -> Result<Option<Head>, FramingFault> {
        if has_bare_line_end(incoming, self.sought) {
            return Err(FramingFault::Control);
        }
        if incoming.len() >= max {
            return Err(too_long(incoming, max));
        }
        self.sought = incoming.len();
        Ok(None)
    }
}

/// Which part of a head is too long.
fn too_long(head: &[u8], max: usize) -> FramingFault {
    let has_line = memchr(b'\n', head.get(..max).unwrap_or(head)).is_some();
    if has_line { FramingFault::HeadTooLong } else { FramingFault::TargetTooLong }
}

/// Reads a whole head.
fn read(head: &Bytes, fields: &mut FieldCache) -> Result<Head, FramingFault> {
    let (line, lines) = first_line(head)?;
    let (method, uri, version) = request_line(line, head)?;
    let mut headers = HeaderMap::with_capacity(fields_in(lines));
    let (mut length, mut is_chunked, mut hosts) = (None, false, 0);
    let mut wants_upgrade = method == Method::CONNECT;
    let (mut expects_continue, mut is_closing, mut keeps_alive) = (false, false, version == Version::HTTP_11);
    let mut rest = lines;
    while let Some((name, value, behind)) = fields.field(rest, head)? {
        rest = behind;
        if headers.len() == MAX_FIELDS {
            return Err(FramingFault::HeadTooLong);
        }
        if name == HOST {
            hosts += 1;
        } else if name == CONTENT_LENGTH {
            let said = plain_decimal(value.as_bytes()).ok_or(FramingFault::Length)?;
            if length.replace(said).is_some() {
                return Err(FramingFault::Length);
            }
        } else if name == TRANSFER_ENCODING {
            if is_chunked || version == Version::HTTP_10 {
                return Err(FramingFault::Coding);
            }
            transfer_coding(value.as_bytes())?;
            is_chunked = true;
        } else if name == CONNECTION {
            let options = || value.as_bytes().split(|byte| *byte == b',').map(trimmed);
            is_closing |= options().any(|option| option.eq_ignore_ascii_case(b"close"));
            // What is not ASCII is no list of options, and keeps nothing open.
            let keeps = value.as_bytes().is_ascii()
                && options().any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
            keeps_alive |= keeps;
        } else if name == UPGRADE {
            wants_upgrade = true;
        } else if name == EXPECT {
            // An expectation in HTTP/1.0 is none.
            let continues = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            expects_continue = continues && version == Version::HTTP_11;
        }
        headers.append(name, value);
    }
    fields.end(lines);
    let length = match (is_chunked, length) {
        (true, Some(_)) => return Err(FramingFault::TwoLengths),
        (true, None) => Length::Chunked,
        (false, length) => Length::Known(length.unwrap_or(0)),
    };
    if hosts > 1 || hosts == 0 && version == Version::HTTP_11 {
        return Err(FramingFault::Host);
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.version, parts.headers) = (method, uri, version, headers);
    Ok(Head { parts, length, wants_upgrade, expects_continue, persists: keeps_alive && !is_closing })
}

/// Method, target and version, with one space between them (RFC 9112 §3).
fn request_line(line: &[u8], head: &Bytes) -> Result<(Method, Uri, Version), FramingFault> {
    let parts = memchr(b' ', line).and_then(|space| {
        let (method, rest) = line.split_at_checked(space)?;
        let rest = rest.get(1..)?;
        let (target, version) = rest.split_at_checked(memchr(b' ', rest)?)?;
        Some((method, target, version.get(1..)?))
    });
    let (method, target, version) = parts.ok_or(FramingFault::RequestLine)?;
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(FramingFault::Version),
        _ => return Err(FramingFault::RequestLine),
    };
    let method = Method::from_bytes(method).map_err(|_| FramingFault::RequestLine)?;
    if !target.iter().fold(true, |visible, byte| visible & byte.is_ascii_graphic()) {
        return Err(FramingFault::RequestLine);
    }
    let uri = Uri::from_maybe_shared(head.slice_ref(target)).map_err(|_| FramingFault::RequestLine)?;
    Ok((method, uri, version))
}

/// `chunked` and nothing else. A list that ends in it could be understood, and is not; whatever
/// else leaves the end of the body open (RFC 9112 §6.3).
fn transfer_coding(value: &[u8]) -> Result<(), FramingFault> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if is_chunked(value) {
        return Ok(());
    }
    let mut codings = value.split(|byte| *byte == b',').map(trimmed);
    let ends_in_chunked = codings.next_back().is_some_and(is_chunked);
    let is_other = |coding: &[u8]| HeaderName::from_bytes(coding).is_ok() && !is_chunked(coding);
    let is_unknown = ends_in_chunked && codings.all(is_other);
    Err(if is_unknown { FramingFault::UnknownCoding } else { FramingFault::Coding })
}
