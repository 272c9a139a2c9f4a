//! Telling HTTP/2 from HTTP/1.1 on a plain connection, without taking anything from it.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::frames::PREFACE;

/// Whether a client begins with the preface of HTTP/2 (RFC 9113 §3.4), which no request in
/// HTTP/1.1 does. How long that may take is the caller's business.
pub(super) async fn announces_h2(stream: &TcpStream) -> io::Result<bool> {
    let mut beginning = [0; PREFACE.len()];
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let length = stream.peek(&mut beginning).await?;
        let came = beginning.get(..length).unwrap_or_default();
        if !PREFACE.starts_with(came) || came.is_empty() {
            return Ok(false);
        }
        // Nothing more will come of what is not complete at the end.
        if came == PREFACE || ready.is_read_closed() {
            return Ok(came == PREFACE);
        }
        // What has been looked at is still there to be read: wait for what comes behind it.
        let _waits_for_more =
            stream.try_io(Interest::READABLE, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) });
    }
}
