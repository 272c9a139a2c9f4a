//! Who is on the other end: believed from forwarding headers only where the peer is a trusted
//! proxy.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderValue;
use ipnet::IpNet;

use super::hops::Dialect;
use crate::domain::host::Scheme;

/// The other end of a connection, with what is made of it once and not for every request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// How it reached us.
    pub scheme: Scheme,
    /// Whether it is a trusted proxy.
    pub is_trusted: bool,
    /// Its address as a header value.
    pub(super) text: HeaderValue,
    introduction: Option<Box<Introduction>>,
}

/// Whose a connection is that a proxy passes on, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedSource {
    /// That of a client at this address.
    Address(IpAddr),
    /// That of somebody else, it does not say who.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Introduction {
    proxy: IpAddr,
    source: ProxiedSource,
}

impl Peer {
    /// The peer at `socket`, which came in over `scheme`.
    pub fn new(socket: SocketAddr, scheme: Scheme, trusted: &[IpNet]) -> Self {
        let address = socket.ip().to_canonical();
        let is_trusted = trusts(trusted, &address);
        Self { address, scheme, is_trusted, text: text_of(address), introduction: None }
    }

    /// The same, where it is a proxy that passes on the connection of `source`.
    #[must_use]
    pub fn passing_on(mut self, source: ProxiedSource, trusted: &[IpNet]) -> Self {
        self.introduction = Some(Box::new(Introduction { proxy: self.address, source }));
        self.judge_by(trusted);
        self
    }

    /// Looks anew whether it is a trusted proxy, and whether it was one that introduced it: else that one
    /// is the peer itself. A client whose address it does not know has its own, but not its word: what such
    /// a client says of itself is a stranger's.
    pub fn judge_by(&mut self, trusted: &[IpNet]) {
        let introduction = self.introduction.as_deref().copied();
        if let Some(Introduction { proxy, source }) = introduction {
            self.address = match source {
                ProxiedSource::Address(named) if trusts(trusted, &proxy) => named.to_canonical(),
                ProxiedSource::Address(_) | ProxiedSource::Unknown => proxy,
            };
            self.text = text_of(self.address);
        }
        self.is_trusted = self.is_named() && trusts(trusted, &self.address);
    }

    /// Whether its address is its own, and not that of a proxy that does not say whom it introduces.
    fn is_named(&self) -> bool {
        let introduction = self.introduction.as_deref();
        introduction.is_none_or(|introduction| introduction.source != ProxiedSource::Unknown)
    }
}

fn text_of(address: IpAddr) -> HeaderValue {
    // An address is visible ASCII: this cannot fail.
    HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

/// The client of a request: the peer itself, or who is behind a trusted proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's own address, as far as it can be believed: else that of the farthest proxy that is known.
    pub address: IpAddr,
    /// Whether it is the client's own, and not that of a proxy that does not say for whom it speaks.
    pub is_named: bool,
    /// How the client reached the first proxy that is believed, or us.
    pub scheme: Scheme,
    /// Whether the peer is a trusted proxy, so that its forwarding headers are passed on.
    pub by_trusted_proxy: bool,
}

impl Client {
    /// The client of a request with `headers` that came from `peer`.
    pub fn of(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let (mut address, mut is_named) = (peer.address, peer.is_named());
        if !peer.is_trusted {
            return Self { address, is_named, scheme: peer.scheme, by_trusted_proxy: false };
        }
        // From the nearest hop to the farthest: the first address that is no trusted proxy is the
        // client. What stands to the left of it was written by the client and proves nothing; the
        // same goes for whatever stands to the left of something unreadable.
        let dialect = Dialect::of(headers);
        for hop in dialect.hops(headers) {
            is_named = hop.address.is_some();
            let Some(named) = hop.address else { break };
            address = named;
            if !trusts(trusted, &address) {
                break;
            }
        }
        let scheme = dialect.scheme(headers).unwrap_or(peer.scheme);
        Self { address, is_named, scheme, by_trusted_proxy: true }
    }

    /// The address, if it is the client's own. What is open to a proxy's network is not open to all
    /// whom the proxy does not name.
    pub fn own_address(&self) -> Option<IpAddr> {
        self.is_named.then_some(self.address)
    }
}

fn trusts(trusted: &[IpNet], address: &IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Whether the nearest proxy says for whom it speaks.
pub fn names_client(headers: &HeaderMap) -> bool {
    Dialect::of(headers).hops(headers).next().is_some_and(|hop| hop.address.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let trusted: Vec<IpNet> = ["127.0.0.0/8", "10.0.0.0/8"].map(|net| net.parse().unwrap()).to_vec();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let peer = Peer::new(format!("{peer}:1234").parse().unwrap(), Scheme::Http, &trusted);
        Client::of(&peer, &map, &trusted)
    }

    #[test]
    fn a_stranger_cannot_choose_an_address() {
        let forged: &[(&'static str, &str)] = &[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4;proto=https"),
        ];
        for peer in ["192.0.2.1", "[::ffff:192.0.2.1]"] {
            let client = client(peer, forged);
            assert_eq!((&*client.address.to_string(), client.scheme), ("192.0.2.1", Scheme::Http));
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_it_can_know() {
        for (headers, address, is_named) in [
            // It asks itself.
            (&[] as &[(&'static str, &str)], "127.0.0.1", true),
            (&[("x-forwarded-for", "192.0.2.7")], "192.0.2.7", true),
            (&[("x-forwarded-for", "6.6.6.6, 192.0.2.7")], "192.0.2.7", true),
            (&[("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.1.1.1")], "192.0.2.7", true),
            (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7")], "192.0.2.7", true),
            (&[("x-forwarded-for", "192.0.2.7, garbage")], "127.0.0.1", false),
            (&[("x-forwarded-for", "192.0.2.7, ")], "127.0.0.1", false),
            (&[("x-forwarded-for", "192.0.2.7, garbage, 10.1.1.1")], "10.1.1.1", false),
            (&[("x-forwarded-for", "10.0.0.1, 10.0.0.2")], "10.0.0.1", true),
            (&[("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1", true),
            (&[("forwarded", "for=\"[2001:db8::1]:80\";proto=https, for=10.0.0.3")], "2001:db8::1", true),
            (&[("forwarded", "For=192.0.2.9;by=10.0.0.1")], "192.0.2.9", true),
            (&[("forwarded", "for=_hidden")], "127.0.0.1", false),
            (&[("forwarded", "for=192.0.2.9, proto=https")], "127.0.0.1", false),
        ] {
            let client = client("127.0.0.1", headers);
            assert_eq!((&*client.address.to_string(), client.is_named), (address, is_named), "{headers:?}");
            assert_eq!(client.own_address().is_some(), is_named);
        }
    }

    #[test]
    fn whom_a_proxy_does_not_name_is_not_the_proxy() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let proxy = || Peer::new("10.0.0.1:1234".parse().unwrap(), Scheme::Http, &trusted);
        let of = |peer: Peer| Client::of(&peer, &HeaderMap::new(), &trusted).own_address();
        let named: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(of(proxy()), Some(proxy().address));
        assert_eq!(of(proxy().passing_on(ProxiedSource::Address(named), &trusted)), Some(named));
        assert_eq!(of(proxy().passing_on(ProxiedSource::Unknown, &trusted)), None);
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys_word() {
        for (headers, scheme) in [
            (&[("x-forwarded-proto", "https")] as &[(&'static str, &str)], Scheme::Https),
            (&[("x-forwarded-proto", "https, http")], Scheme::Http),
            (&[("x-forwarded-proto", "gopher")], Scheme::Http),
            (&[("forwarded", "for=192.0.2.1;proto=HTTPS")], Scheme::Https),
            (&[("forwarded", "proto=https, for=192.0.2.1")], Scheme::Http),
            (&[("x-forwarded-for", "192.0.2.1"), ("forwarded", "proto=https")], Scheme::Http),
        ] {
            assert_eq!(client("127.0.0.1", headers).scheme, scheme, "{headers:?}");
        }
    }
}
