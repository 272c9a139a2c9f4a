//! Sockets to listen on.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps waiting when all workers are busy.
pub(super) const BACKLOG: usize = 4096;

/// Binds `address` (port 0 for any) and listens.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |error: io::Error| {
        let remedy = remedy(error.kind()).map_or_else(String::new, |remedy| format!(" — {remedy}"));
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{remedy}"))
    };
    listening(address).map_err(named)
}

/// What helps against the usual reasons.
fn remedy(reason: io::ErrorKind) -> Option<&'static str> {
    match reason {
        io::ErrorKind::AddrInUse => Some(
            "stop what listens there (see `ss -ltnp`), or choose another port; if it is this gateway under another address, restart it",
        ),
        io::ErrorKind::AddrNotAvailable => Some("choose an address of this machine (see `ip address`)"),
        io::ErrorKind::PermissionDenied => Some(
            "let systemd open ports below 1024: enable tollgate-http.socket and tollgate-https.socket and start anew, or run it with the capability CAP_NET_BIND_SERVICE",
        ),
        _ => None,
    }
}

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // An IPv6 socket leaves IPv4 alone, so that "0.0.0.0:80" and "[::]:80" stand side by side and
    // each means the same whatever the system's own default is.
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn both_families_wildcards_can_have_the_same_port() {
        let v4 = bind((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
        let port = v4.local_addr().unwrap().port();
        match bind((Ipv6Addr::UNSPECIFIED, port).into()) {
            Ok(v6) => assert_eq!(v6.local_addr().unwrap().port(), port),
            // A machine without IPv6 has nothing to show here.
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
        }
    }
}
