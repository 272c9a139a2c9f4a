//! Telling HTTP/2 from HTTP/1.1 on a plain connection.

use std::io;

use tokio::net::TcpStream;

use super::frames::PREFACE;
use super::look_ahead::look_ahead;

/// Whether a client begins with the preface of HTTP/2 (RFC 9113 §3.4), which no request in
/// HTTP/1.1 does. How long that may take is the caller's business.
pub(super) async fn announces_h2(stream: &TcpStream) -> io::Result<bool> {
    let judge = |came: &[u8]| {
        let may_become_one = PREFACE.starts_with(came);
        (!may_become_one || came == PREFACE).then_some(may_become_one)
    };
    Ok(look_ahead(stream, &mut [0; PREFACE.len()], judge).await?.unwrap_or(false))
}
