//! The line of a head that could not be read: who sent it, when, and what was wrong with it. Nothing of the head
//! itself is told: whatever it was meant to be, it may hold anything.

use std::io::Write as _;
use std::net::IpAddr;

use crate::config::AccessLines;
use crate::http::digits;
use crate::http::h1::FramingFault;

/// A head that could not be read.
pub(super) struct Unreadable {
    pub(super) client: IpAddr,
    pub(super) fault: FramingFault,
}

impl Unreadable {
    pub(super) fn write(&self, to: &mut Vec<u8>, lines: AccessLines, second: &str, millis: u64) {
        let Self { client, fault } = self;
        let status = fault.status().as_u16();
        // Writing to memory does not fail. What a fault is called has nothing in it to be escaped.
        let _infallible = match lines {
            AccessLines::Json => write!(
                to,
                "{{\"timestamp\":\"{second}.{millis:03}Z\",\"level\":\"INFO\",\"target\":\"tollgate::access\",\
                 \"client\":\"{client}\",\"decision\":\"refused\",\"reason\":\"{fault}\",\"status\":{status}}}"
            ),
            AccessLines::Text => write!(
                to,
                "{second}.{millis:03}Z  INFO tollgate::access: client={client} decision=refused \
                 reason=\"{fault}\" status={status}"
            ),
            AccessLines::Combined => {
                digits::address(to, *client);
                // As Apache and nginx write it where there is no request line.
                write!(to, " - - [{second}] \"-\" {status} - \"-\" \"-\"")
            }
        };
        to.push(b'\n');
    }
}
