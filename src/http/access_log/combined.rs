//! A line in the combined format of Apache's `mod_log_config`:
//! `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`, but without any query.

use std::borrow::Cow;
use std::io::Write as _;

use http::HeaderValue;

use super::discreet::hide;
use super::{Head, Outcome};
use crate::http::digits;

pub(super) fn write(to: &mut Vec<u8>, second: &str, head: &Head, outcome: &Outcome<'_>) {
    digits::address(to, head.client);
    to.extend_from_slice(b" - ");
    match outcome.session.and_then(|(_, user)| user) {
        Some(user) => digits::number(to, user.number()),
        None => to.push(b'-'),
    }
    to.extend_from_slice(b" [");
    to.extend_from_slice(second.as_bytes());
    to.extend_from_slice(b"] \"");
    escape(to, head.method.as_str().as_bytes());
    to.push(b' ');
    escape(to, &hide(head.uri.path().as_bytes()));
    to.push(b' ');
    to.extend_from_slice(head.protocol().as_bytes());
    to.extend_from_slice(b"\" ");
    digits::number(to, outcome.code().into());
    to.push(b' ');
    match outcome.bytes {
        // What has no body has `-` there, in the common log format that this one continues.
        None | Some(0) => to.push(b'-'),
        Some(bytes) => digits::number(to, bytes),
    }
    to.extend_from_slice(b" \"");
    or_dash(to, head.referer.as_ref().map(|value| page(value.as_bytes())).as_deref());
    to.extend_from_slice(b"\" \"");
    or_dash(to, head.user_agent.as_ref().map(HeaderValue::as_bytes));
    to.extend_from_slice(b"\"\n");
}

fn or_dash(to: &mut Vec<u8>, value: Option<&[u8]>) {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => escape(to, value),
        None => to.push(b'-'),
    }
}

/// What of a referrer may be told: neither its query nor a fragment, where tokens stand, nor one in its path; and
/// nothing of one with credentials in it.
fn page(referer: &[u8]) -> Cow<'_, [u8]> {
    let end = referer.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(referer.len());
    let page = referer.get(..end).unwrap_or_default();
    if page.contains(&b'@') { Cow::Borrowed(b"") } else { hide(page) }
}

/// As Apache does it (`ap_escape_logitem`): no byte of a client's ends a field or a line, or has an effect on
/// a terminal.
pub(super) fn escape(to: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' => to.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => to.push(*byte),
            0x08 => to.extend_from_slice(b"\\b"),
            b'\n' => to.extend_from_slice(b"\\n"),
            b'\r' => to.extend_from_slice(b"\\r"),
            b'\t' => to.extend_from_slice(b"\\t"),
            0x0b => to.extend_from_slice(b"\\v"),
            // Writing to memory does not fail.
            other => drop(write!(to, "\\x{other:02x}")),
        }
    }
}
