//! A line as an object in JSON.

use std::io::Write as _;

use super::{Head, Outcome, discreet};
use crate::domain::site::SiteName;
use crate::http::digits;

pub(super) fn write(to: &mut Vec<u8>, second: &str, millis: u64, head: &Head, outcome: &Outcome<'_>) {
    to.extend_from_slice(b"{\"timestamp\":\"");
    to.extend_from_slice(second.as_bytes());
    to.push(b'.');
    digits::millis(to, millis);
    to.extend_from_slice(b"Z\",\"level\":\"INFO\",\"target\":\"tollgate::access\",\"client\":\"");
    digits::address(to, head.client);
    to.push(b'"');
    text(to, "request_id", head.request_id.as_str());
    text(to, "method", head.method.as_str());
    text(to, "host", &String::from_utf8_lossy(head.host.as_ref().map_or(&[], |host| host.as_bytes())));
    text(to, "path", &discreet(head.uri.path()));
    text(to, "protocol", head.protocol());
    if let Some(site) = outcome.site.map(SiteName::as_str) {
        text(to, "site", site);
    }
    if let Some(decision) = outcome.decision {
        text(to, "decision", decision);
    }
    if let Some((session, user)) = outcome.session {
        // Writing to memory does not fail.
        let _infallible = write!(to, ",\"session\":\"{session}\"");
        if let Some(user) = user {
            number(to, "user", user.number());
        }
    }
    if let Some(trace) = outcome.trace {
        let _infallible = write!(to, ",\"trace_id\":\"{trace:032x}\"");
    }
    number(to, "status", outcome.code().into());
    if let Some(bytes) = outcome.bytes {
        number(to, "bytes", bytes);
    }
    if let Some(duration) = outcome.duration_ms() {
        number(to, "duration_ms", duration);
    }
    to.extend_from_slice(b"}\n");
}

fn key(to: &mut Vec<u8>, name: &str) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
}

fn number(to: &mut Vec<u8>, name: &str, value: u64) {
    key(to, name);
    digits::number(to, value);
}

fn text(to: &mut Vec<u8>, name: &str, value: &str) {
    key(to, name);
    // Hardly any value has something in it that JSON has to escape.
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        to.push(b'"');
        to.extend_from_slice(value.as_bytes());
        to.push(b'"');
    } else {
        let _infallible = serde_json::to_writer(to, value);
    }
}
