//! A line as text for people, among all others on stderr.

use std::io::Write as _;

use super::{Head, Outcome, discreet};

pub(super) fn write(to: &mut Vec<u8>, second: &str, millis: u64, head: &Head, outcome: &Outcome<'_>) {
    let host = String::from_utf8_lossy(head.host.as_ref().map_or(&[], |host| host.as_bytes()));
    // Writing to memory does not fail. In quotes nothing has an effect on a terminal.
    let _infallible = write!(
        to,
        "{second}.{millis:03}Z  INFO tollgate::access: method={} host={host:?} path={:?} client={} request_id={}",
        head.method,
        discreet(head.uri.path()),
        head.client,
        head.request_id.as_str()
    );
    if let Some(site) = outcome.site {
        let _infallible = write!(to, " site={}", site.as_str());
    }
    if let Some(decision) = outcome.decision {
        let _infallible = write!(to, " decision={decision}");
    }
    if let Some((session, user)) = outcome.session {
        let _infallible = write!(to, " session={session}");
        if let Some(user) = user {
            let _infallible = write!(to, " user={user}");
        }
    }
    if let Some(trace) = outcome.trace {
        let _infallible = write!(to, " trace_id={trace:032x}");
    }
    let _infallible = write!(to, " status={}", outcome.code());
    if let Some(bytes) = outcome.bytes {
        let _infallible = write!(to, " bytes={bytes}");
    }
    if let Some(duration) = outcome.duration_ms() {
        let _infallible = write!(to, " duration_ms={duration}");
    }
    to.push(b'\n');
}
