//! Fields that count only if they stand in a head once: of two lines one would be judged, and the other
//! believed.

use http::header::{AsHeaderName, HeaderMap, HeaderValue};

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
