//! The head of an answer as it is written.

use std::time::{Duration, SystemTime};

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use http_body::Body as _;

use crate::domain::clock::Timestamp;
use crate::http::Response;
use crate::http::h1::{Framing, may_have_body, put};

/// What an answer depends on besides itself.
pub(super) struct Circumstances {
    /// Whether HEAD was asked.
    pub(super) to_head: bool,
    pub(super) version: Version,
    /// Whether there may be another request.
    pub(super) persists: bool,
}

/// How the body of `response` is sent, if it has one that may be sent (RFC 9112 §6.3).
pub(super) fn framing_of(response: &Response, circumstances: &Circumstances) -> Framing {
    let may_have_one = may_have_body(response.status(), circumstances.to_head);
    match response.body().size_hint().exact() {
        _ if !may_have_one => Framing::None,
        Some(length) => Framing::Length(length),
        None if circumstances.version == Version::HTTP_11 => Framing::Chunked,
        None => Framing::Closing,
    }
}

/// Writes the head of `response` to `out`.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    response: &Response,
    framing: Framing,
    circumstances: &Circumstances,
    now: impl FnOnce() -> Timestamp,
) {
    status_line(out, response.status());
    let headers = response.headers();
    // An answer without a body may tell the length that it would have had (RFC 9110 §8.6).
    let tells_length = framing == Framing::None && response.status() != StatusCode::NO_CONTENT;
    let mut is_dated = false;
    for (name, value) in headers {
        is_dated |= *name == DATE;
        let frames =
            *name == CONTENT_LENGTH && !tells_length || *name == TRANSFER_ENCODING || *name == CONNECTION;
        if !frames {
            put(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if let Some(caching) = response.body().caching() {
        out.extend_from_slice(caching.lines());
    }
    framing.put(out);
    if tells_length && circumstances.to_head {
        would_be_length(out, headers, response);
    }
    match (circumstances.version, circumstances.persists) {
        _ if response.status() == StatusCode::SWITCHING_PROTOCOLS => put(out, b"connection", b"upgrade"),
        (Version::HTTP_11, true) => {}
        (_, true) => put(out, b"connection", b"keep-alive"),
        (_, false) => put(out, b"connection", b"close"),
    }
    if !is_dated {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now().as_millis());
        put(out, b"date", httpdate::fmt_http_date(now).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// A page that was made for nobody to read still has a length.
fn would_be_length(out: &mut Vec<u8>, headers: &HeaderMap, response: &Response) {
    let length = response.body().size_hint().exact().filter(|length| *length > 0);
    if let Some(length) = length.filter(|_| !headers.contains_key(CONTENT_LENGTH)) {
        Framing::Length(length).put(out);
    }
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    out.extend_from_slice(b"\r\n");
}
