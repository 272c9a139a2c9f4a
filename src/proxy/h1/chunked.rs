//! Chunked answers (RFC 9112 §7.1), read strictly.

use std::task::Poll;

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::Fault;

/// The longest line that tells a chunk's size, with its extensions.
const MAX_LINE: usize = 4 * 1024;

/// The longest trailer section, and the most fields in it.
const MAX_TRAILERS: usize = 64 * 1024;
const MAX_TRAILER_FIELDS: usize = 128;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// A chunk's size.
    Size,
    /// So many more bytes of a chunk.
    Data(u64),
    /// The end of a chunk.
    DataEnd,
    /// The trailer section.
    Trailers,
    /// Nothing: all has been read.
    Done,
}

/// A piece of a chunked body.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Chunks {
    /// Takes the next piece from the front of `incoming`; pending if more has to be read first.
    pub(super) fn take(&mut self, incoming: &mut BytesMut) -> Poll<Result<Piece, Fault>> {
        loop {
            match self {
                Self::Size => {
                    let Some(size) = size_line(incoming)? else { return Poll::Pending };
                    *self = if size == 0 { Self::Trailers } else { Self::Data(size) };
                }
                Self::Data(left) => {
                    if incoming.is_empty() {
                        return Poll::Pending;
                    }
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(incoming.len());
                    let data = incoming.split_to(here).freeze();
                    *left -= here as u64;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Poll::Ready(Ok(Piece::Data(data)));
                }
                Self::DataEnd => match incoming.get(..2) {
                    None if b"\r\n".starts_with(incoming) => return Poll::Pending,
                    Some(b"\r\n") => {
                        incoming.advance(2);
                        *self = Self::Size;
                    }
                    _ => return Poll::Ready(Err(Fault::Malformed("a chunk is longer than it said"))),
                },
                Self::Trailers => {
                    let Some(trailers) = trailers(incoming)? else { return Poll::Pending };
                    *self = Self::Done;
                    if !trailers.is_empty() {
                        return Poll::Ready(Ok(Piece::Trailers(trailers)));
                    }
                }
                Self::Done => return Poll::Ready(Ok(Piece::End)),
            }
        }
    }
}

/// Takes a line with a chunk's size. Extensions mean nothing here and are dropped.
fn size_line(incoming: &mut BytesMut) -> Result<Option<u64>, Fault> {
    const ODD: Fault = Fault::Malformed("a chunk's size is not one");
    let Some(feed) = memchr::memchr(b'\n', incoming) else {
        return if incoming.len() > MAX_LINE { Err(ODD) } else { Ok(None) };
    };
    let line = incoming.split_to(feed + 1);
    let line = line.strip_suffix(b"\r\n").filter(|line| line.len() <= MAX_LINE).ok_or(ODD)?;
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let is_plain = line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    let is_hex = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    size.filter(|_| is_plain && is_hex).map(Some).ok_or(ODD)
}

/// Takes the trailer section, once it is complete.
fn trailers(incoming: &mut BytesMut) -> Result<Option<HeaderMap>, Fault> {
    const ODD: Fault = Fault::Malformed("its trailers are none");
    if incoming.starts_with(b"\r\n") {
        incoming.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    let Some(end) = memchr::memmem::find(incoming, b"\r\n\r\n").filter(|end| *end <= MAX_TRAILERS) else {
        return if incoming.len() > MAX_TRAILERS { Err(ODD) } else { Ok(None) };
    };
    let section = incoming.split_to(end + 4);
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(&section, &mut fields) {
        Ok(httparse::Status::Complete((length, fields))) if length == section.len() => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| ODD)?;
                let value = HeaderValue::from_bytes(field.value).map_err(|_| ODD)?;
                trailers.append(name, value);
            }
            Ok(Some(trailers))
        }
        _ => Err(ODD),
    }
}
