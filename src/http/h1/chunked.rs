//! A chunked body (RFC 9112 §7.1), of which all but the data is looked at byte by byte.
//!
//! Parsers differ in what they take for the end of a size line, of an extension or of a chunk, and
//! a body that ends earlier for one of them hides a request. So everything is as the grammar has
//! it, and what the grammar allows besides, whitespace above all, is refused.

use std::task::Poll;

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::FramingFault;
use super::request::MAX_FIELDS;

/// Digits of a size, which so fits into 64 bits.
const MAX_DIGITS: u8 = 16;
/// Bytes of extensions that need no data beside them: hardly anybody uses any, and whoever sends little else
/// wants to be a burden. Each byte of data allows for one more (some sign each chunk).
const MAX_EXTENSIONS: u64 = 4 * 1024;
/// Bytes of trailers.
const MAX_TRAILERS: u16 = 8 * 1024;

/// Where in a chunked body we are.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    at: At,
    /// The size so far, or how much of the data is to come.
    left: u64,
    digits: u8,
    /// Bytes of extensions, less those that data came with.
    extensions: u64,
    trailers: u16,
    fields: usize,
    /// The trailer section so far.
    section: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension(Extension),
    /// The LF behind a size or an extension.
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    /// A trailer's first byte, or the empty line.
    Line,
    Name,
    Value,
    ValueLf,
    /// The LF of the empty line.
    End,
    Over,
}

/// `;` name, or `;` name `=` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// The first byte of a name.
    Name,
    /// The rest of it.
    NameOn,
    /// The first byte of a value.
    Value,
    /// The rest of one that is a token.
    ValueOn,
    /// Between quotes.
    Quoted,
    /// Behind a backslash there.
    Escaped,
    /// Behind the second quote.
    Unquoted,
}

/// A piece of a chunked body.
#[derive(Debug)]
pub enum Piece {
    /// Some of what it is about.
    Data(Bytes),
    /// What is said behind it; only once, and only if something is said.
    Trailers(HeaderMap),
    /// That was all.
    End,
}

impl Chunked {
    /// Whether the body has been taken to its end.
    pub fn is_over(&self) -> bool {
        self.at == At::Over && self.section.is_empty()
    }

    /// How many bytes are to come before the next thing but data.
    pub fn data_left(&self) -> u64 {
        if self.at == At::Data { self.left } else { 0 }
    }

    /// Takes the next piece from the front of `incoming`; pending if more has to be read first.
    pub fn take(&mut self, incoming: &mut BytesMut) -> Poll<Result<Piece, FramingFault>> {
        loop {
            match self.at {
                At::Over if self.section.is_empty() => return Poll::Ready(Ok(Piece::End)),
                At::Over => {
                    let section = std::mem::take(&mut self.section);
                    return Poll::Ready(trailers(&section).map(Piece::Trailers));
                }
                _ if incoming.is_empty() => return Poll::Pending,
                At::Data => {
                    let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(incoming.len());
                    self.left -= here as u64;
                    self.extensions = self.extensions.saturating_sub(here as u64);
                    if self.left == 0 {
                        self.at = At::DataCr;
                    }
                    return Poll::Ready(Ok(Piece::Data(incoming.split_to(here).freeze())));
                }
                _ => {
                    let mut taken = 0;
                    for byte in incoming.iter() {
                        if matches!(self.at, At::Data | At::Over) {
                            break;
                        }
                        let is_trailer = matches!(self.at, At::Line | At::Name | At::Value | At::ValueLf);
                        self.at = self.next(*byte)?;
                        taken += 1;
                        if is_trailer && self.at != At::End {
                            self.section.push(*byte);
                        }
                    }
                    incoming.advance(taken);
                }
            }
        }
    }

    fn next(&mut self, byte: u8) -> Result<At, FramingFault> {
        match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() && self.digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                self.digits += 1;
                Ok(At::Size)
            }
            (At::Size, b';') if self.digits > 0 => self.extension(Extension::Name),
            (At::Size, b'\r') if self.digits > 0 => Ok(At::SizeEnd),
            (At::Extension(extension), _) => self.behind_extension(extension, byte),
            (At::SizeEnd, b'\n') => Ok(if self.left == 0 { At::Line } else { At::Data }),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => {
                self.digits = 0;
                Ok(At::Size)
            }
            (At::Line, b'\r') => Ok(At::End),
            (At::End, b'\n') => Ok(At::Over),
            (At::Line, _) if is_token(byte) && self.fields < MAX_FIELDS => self.trailer(At::Name),
            (At::Name, _) if is_token(byte) => self.trailer(At::Name),
            (At::Name, b':') => self.trailer(At::Value),
            (At::Value, b'\r') => self.trailer(At::ValueLf),
            (At::Value, _) if !is_control(byte) => self.trailer(At::Value),
            (At::ValueLf, b'\n') => {
                self.fields += 1;
                self.trailer(At::Line)
            }
            (At::Line | At::End | At::Name | At::Value | At::ValueLf, _) => Err(FramingFault::Trailer),
            (At::Size | At::SizeEnd | At::Data | At::DataCr | At::DataLf | At::Over, _) => {
                Err(FramingFault::Chunk)
            }
        }
    }

    fn behind_extension(&mut self, at: Extension, byte: u8) -> Result<At, FramingFault> {
        use Extension::{Escaped, Name, NameOn, Quoted, Unquoted, Value, ValueOn};
        match (at, byte) {
            (NameOn | ValueOn | Unquoted, b'\r') => Ok(At::SizeEnd),
            (NameOn | ValueOn | Unquoted, b';') => self.extension(Name),
            (NameOn, b'=') => self.extension(Value),
            (Name | NameOn, _) if is_token(byte) => self.extension(NameOn),
            (Value, b'"') => self.extension(Quoted),
            (Value | ValueOn, _) if is_token(byte) => self.extension(ValueOn),
            (Quoted, b'"') => self.extension(Unquoted),
            (Quoted, b'\\') => self.extension(Escaped),
            (Quoted | Escaped, _) if !is_control(byte) => self.extension(Quoted),
            _ => Err(FramingFault::Chunk),
        }
    }

    fn extension(&mut self, next: Extension) -> Result<At, FramingFault> {
        if self.extensions >= MAX_EXTENSIONS {
            return Err(FramingFault::Chunk);
        }
        self.extensions += 1;
        Ok(At::Extension(next))
    }

    fn trailer(&mut self, next: At) -> Result<At, FramingFault> {
        if self.trailers >= MAX_TRAILERS {
            return Err(FramingFault::Trailer);
        }
        self.trailers += 1;
        Ok(next)
    }
}

/// Reads a trailer section, each line of which has been found to be a field.
fn trailers(section: &[u8]) -> Result<HeaderMap, FramingFault> {
    let mut trailers = HeaderMap::new();
    for line in section.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line).ok_or(FramingFault::Trailer)?;
        let (name, value) = line.split_at_checked(colon).ok_or(FramingFault::Trailer)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(name).map_err(|_| FramingFault::Trailer)?;
        trailers.append(name, HeaderValue::from_bytes(value).map_err(|_| FramingFault::Trailer)?);
    }
    Ok(trailers)
}

/// `tchar` of RFC 9110 §5.6.2, of which names consist.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// A control character, the tab not among them.
const fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}
