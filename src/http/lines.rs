//! The lines of a field: of those that count only if they stand in a head once, one would be judged and another
//! believed, and of lists all lines make one.

use http::header::{AsHeaderName, HeaderMap, HeaderName, HeaderValue};

/// There are several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Several;

/// The line of `name`, if there is one and no more.
pub fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&HeaderValue>, Several> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (line, None) => Ok(line),
        _ => Err(Several),
    }
}

/// What the lines of `name` list, without the white space around it (RFC 9110 §5.6.1). There are no quoted strings
/// in such a list.
pub fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii)
}
