//! Lines of a head, read strictly: all of them end in CRLF and none is folded (RFC 9112 §2.2, §5).

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};

use super::FramingFault;

/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

/// Where the head ends with which `bytes` begin; none does before `from`.
pub fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(END));
    let from = from.saturating_sub(END.len() - 1);
    FINDER.find(bytes.get(from..)?).map(|at| from + at + END.len())
}

/// Whether a line of an unfinished head ends in LF alone: that need not wait for an end that may never come. Up
/// to `from` none does.
pub fn has_bare_line_end(bytes: &[u8], from: usize) -> bool {
    let mut ends = memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()).map(|at| from + at);
    ends.any(|at| at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r'))
}

/// About how many fields there are in `head`, and those that may come to them: to make room for them is
/// cheaper than to count them, and a map that is nearly full is slow.
pub fn fields_in(head: &[u8]) -> usize {
    const USUAL_LENGTH: usize = 40;
    head.len() / USUAL_LENGTH + 4
}

/// The first line without its CRLF, and what stands behind it.
pub fn first_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), FramingFault> {
    let end = memchr(b'\n', bytes).ok_or(FramingFault::Control)?;
    let (line, rest) = bytes.split_at_checked(end + 1).ok_or(FramingFault::Control)?;
    Ok((line.strip_suffix(b"\r\n").ok_or(FramingFault::Control)?, rest))
}

/// A field's name and value, which is a slice of `head`. Names are tokens and values have no
/// control characters: their types see to it.
pub(super) fn field(line: &[u8], head: &Bytes) -> Result<(HeaderName, HeaderValue), FramingFault> {
    let colon = memchr(b':', line).ok_or(FramingFault::Field)?;
    let (name, value) = line.split_at_checked(colon).ok_or(FramingFault::Field)?;
    let name = HeaderName::from_bytes(name).map_err(|_| FramingFault::Field)?;
    let value = trimmed(value.get(1..).unwrap_or_default());
    let value = HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| FramingFault::Control)?;
    Ok((name, value))
}

/// Without the spaces and tabs around it, and no other white space.
pub(super) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
