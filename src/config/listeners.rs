//! The gateway's own listeners, and what would lead back to them: a site that is its own upstream
//! forwards each request to itself until it runs out of connections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::upstream::{Upstream, UpstreamAddress};

/// Where the gateway listens, as far as that could be read.
#[derive(Default)]
pub(super) struct Listeners {
    pub(super) public: Vec<SocketAddr>,
    pub(super) control: Option<SocketAddr>,
    /// Whether TLS is spoken on a public one.
    pub(super) speak_tls: bool,
    /// Whether one is public and speaks none.
    pub(super) speak_plainly: bool,
}

impl Listeners {
    /// Whether visitors come in at `port`.
    pub(super) fn welcome(&self, port: u16) -> bool {
        self.public.iter().any(|listener| listener.port() == port)
    }

    /// Whether connections to `upstream` end here, as far as that can be told without asking a
    /// name server or the network interfaces.
    pub(super) fn receive(&self, upstream: &Upstream) -> bool {
        let UpstreamAddress::Tcp { host, port } = &upstream.address else {
            return false;
        };
        let named = ["localhost", "ip6-localhost"].contains(&host.as_str());
        let address = host.parse().map(|address: IpAddr| address.to_canonical());
        self.public.iter().chain(&self.control).filter(|own| own.port() == *port).any(|own| {
            let loopback = loopback_of(own.ip());
            let destination = match address {
                // Connecting to no address in particular is connecting to this machine.
                Ok(address) if address.is_unspecified() => loopback_of(address),
                Ok(address) => address,
                Err(_) if named => loopback,
                Err(_) => return false,
            };
            let same_family = destination.is_ipv4() == own.is_ipv4();
            let everywhere = own.ip().is_unspecified() && destination.is_loopback();
            same_family && (destination == own.ip() || everywhere)
        })
    }
}

fn loopback_of(family: IpAddr) -> IpAddr {
    match family {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_is_the_gateway_is_recognised() {
        for (own, host, port, expected) in [
            ("127.0.0.1:80", "127.0.0.1", 80, true),
            ("127.0.0.1:80", "127.0.0.1", 81, false),
            ("127.0.0.1:80", "127.0.0.2", 80, false),
            ("127.0.0.1:80", "::ffff:127.0.0.1", 80, true),
            ("127.0.0.1:80", "0.0.0.0", 80, true),
            ("127.0.0.1:80", "localhost", 80, true),
            ("192.0.2.1:80", "localhost", 80, false),
            ("192.0.2.1:80", "192.0.2.1", 80, true),
            ("0.0.0.0:80", "127.0.0.2", 80, true),
            ("0.0.0.0:80", "192.0.2.1", 80, false),
            ("0.0.0.0:80", "::1", 80, false),
            ("[::]:80", "::1", 80, true),
            ("[::]:80", "localhost", 80, true),
            ("[::1]:80", "::", 80, true),
            ("0.0.0.0:80", "app.internal", 80, false),
        ] {
            let own = own.parse().unwrap();
            let upstream = Upstream::plain(host, port);
            let public = Listeners { public: vec![own], ..Listeners::default() };
            let control = Listeners { control: Some(own), ..Listeners::default() };
            assert_eq!(public.receive(&upstream), expected, "{own} {host}");
            assert_eq!(control.receive(&upstream), expected, "{own} {host}");
        }
    }
}
