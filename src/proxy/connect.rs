//! Making connections to upstreams.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::ProxyError;
use super::fleet::Member;
use super::names::Names;
use super::stream::Stream;
use crate::config::UpstreamAddress;
use crate::domain::clock::Timestamp;

/// After this long without a word the kernel asks whether the other side is still there, and again
/// each time this long has passed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long what was sent may stay unacknowledged. Without this a connection whose other end
/// vanished without a word would take requests for a quarter of an hour.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// Connects to `member` within `limit`, TLS included.
pub(super) async fn connect(
    member: &Member,
    names: &Names,
    now: Timestamp,
    limit: Duration,
) -> Result<Stream, ProxyError> {
    let deadline = Instant::now() + limit;
    let failed = |error| {
        let upstream = member.upstream.to_string();
        if is_out_of_files(&error) {
            ProxyError::OutOfFiles { upstream, error }
        } else {
            ProxyError::Connect { upstream, error }
        }
    };
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let tcp = match (&member.upstream.address, member.fixed) {
        (UpstreamAddress::Unix(path), _) => {
            let connected = timeout_at(deadline, UnixStream::connect(path)).await;
            return connected.unwrap_or_else(|_| Err(late())).map(Stream::Unix).map_err(failed);
        }
        (UpstreamAddress::Tcp { .. }, Some(address)) => reach(&[address], names, deadline).await,
        (UpstreamAddress::Tcp { host, port }, None) => {
            let addresses = timeout_at(deadline, names.look_up(host, *port, now)).await;
            match addresses.unwrap_or_else(|_| Err(late())) {
                Ok(addresses) => reach(&addresses, names, deadline).await,
                // Whoever looks names up needs files for that, and does not say that there are none.
                Err(error) => Err(TcpSocket::new_v4().err().filter(is_out_of_files).unwrap_or(error)),
            }
        }
    };
    let tcp = tcp.map_err(failed)?;
    let Some(tls) = &member.tls else {
        return Ok(Stream::Tcp(tcp));
    };
    let shaken = timeout_at(deadline, tls.shake(tcp)).await.unwrap_or_else(|_| Err(late()));
    let refused = |error: io::Error| {
        let upstream = member.upstream.to_string();
        ProxyError::Tls { upstream, error: error.into() }
    };
    shaken.map(|stream| Stream::Tls(Box::new(stream))).map_err(refused)
}

/// Connects to the first of `addresses` that answers. Each gets its share of the time that is
/// left, so that one that swallows everything does not take all of it.
async fn reach(addresses: &[SocketAddr], names: &Names, deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        let connected = timeout(share, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                names.answers(*address);
                // What they bring is no reason to do without the connection.
                let _brings_nothing = set_options(&stream);
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Requests are written whole: waiting for more would only add latency.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}
