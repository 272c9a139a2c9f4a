//! The head of an answer, and where its body ends.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};

use super::Fault;
use crate::http::connection::{is_chunked, is_hop_by_hop, nominated};

/// The longest head that an upstream may send.
const MAX_BYTES: usize = 256 * 1024;

/// Fields that an upstream may send: large sites have been seen with more than a hundred.
const MAX_FIELDS: usize = 256;

/// What came back, without the fields that concern the connection alone.
#[derive(Debug)]
pub(in crate::proxy) struct Answer {
    pub(in crate::proxy) status: StatusCode,
    pub(in crate::proxy) headers: HeaderMap,
    pub(super) ending: Ending,
    /// Whether the upstream goes on with this connection afterwards.
    pub(super) persists: bool,
}

/// Where an answer's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// After so many more bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Closed,
}

/// Takes the next head from the front of `incoming`, once it is complete. `to_head` says that HEAD
/// was asked.
pub(super) fn take(incoming: &mut BytesMut, to_head: bool) -> Result<Option<Answer>, Fault> {
    let Some(end) = memchr::memmem::find(incoming, b"\r\n\r\n") else {
        let is_endless = incoming.len() > MAX_BYTES;
        return if is_endless { Err(Fault::Malformed("its head is too long")) } else { Ok(None) };
    };
    if end > MAX_BYTES {
        return Err(Fault::Malformed("its head is too long"));
    }
    let head = incoming.split_to(end + 4).freeze();
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut line = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut line, &head, &mut fields);
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        // An empty line within: a reader that took a bare line feed for the end of a line.
        Ok(_) => return Err(Fault::Malformed("its head has a bare line feed")),
        Err(_) => return Err(Fault::Malformed("its head is not one")),
    }
    let status = line.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Fault::Malformed("its status is not one"))?;
    read(status, line.version == Some(1), line.headers, &head, to_head).map(Some)
}

fn read(
    status: StatusCode,
    speaks_11: bool,
    fields: &[httparse::Header<'_>],
    head: &Bytes,
    to_head: bool,
) -> Result<Answer, Fault> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    let (mut length, mut codings) = (None, 0_u8);
    let (mut is_closing, mut options) = (false, Vec::new());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Fault::Malformed("a field is not one"));
        };
        if name == CONTENT_LENGTH {
            // Several are several ways to read it, even if they agree.
            if length.replace(decimal(value.as_bytes()).ok_or(Fault::Ambiguous)?).is_some() {
                return Err(Fault::Ambiguous);
            }
        } else if name == TRANSFER_ENCODING {
            if !is_chunked(&value) || !speaks_11 {
                return Err(Fault::Ambiguous);
            }
            codings = codings.saturating_add(1);
            continue;
        } else if name == CONNECTION {
            for option in nominated(&value) {
                is_closing |= option == "close";
                if option != "keep-alive" {
                    options.push(option);
                }
            }
            continue;
        } else if is_hop_by_hop(&name) {
            continue;
        }
        headers.append(name, value);
    }
    for option in &options {
        headers.remove(option);
    }
    let has_no_body = to_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let (ending, is_sure) = match (codings, length) {
        // What announces a body where there can be none may well send it.
        (0, None | Some(0)) if has_no_body => (Ending::Length(0), true),
        _ if has_no_body => (Ending::Length(0), to_head || status == StatusCode::NOT_MODIFIED),
        (0, None) => (Ending::Closed, false),
        (0, Some(length)) => (Ending::Length(length), true),
        (1, None) => (Ending::Chunked, true),
        // RFC 9112 §6.3: chunked wins, and it may be an attempt at smuggling.
        (1, Some(_)) => {
            headers.remove(CONTENT_LENGTH);
            (Ending::Chunked, false)
        }
        _ => return Err(Fault::Ambiguous),
    };
    if codings > 0 || status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(Answer { status, headers, ending, persists: is_sure && speaks_11 && !is_closing })
}

/// A length in nothing but digits.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}
