//! Looking at what a client says first, without taking it from whoever is to read it.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Waits for as much of what comes in as `judge` needs to see, at most what `room` holds. What
/// `judge` makes of it; `None` if the client ends before. How long that may take is the caller's
/// business.
pub(super) async fn look_ahead<T>(
    stream: &TcpStream,
    room: &mut [u8],
    mut judge: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let length = stream.peek(room).await?;
        let judged = judge(room.get(..length).unwrap_or_default());
        if judged.is_some() || length == 0 || length == room.len() || ready.is_read_closed() {
            return Ok(judged);
        }
        // What has been looked at is still there to be read: wait for what comes behind it.
        let _waits_for_more =
            stream.try_io(Interest::READABLE, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) });
    }
}
