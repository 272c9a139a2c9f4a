//! Who is on the other end: believed from forwarding headers only where the peer is a trusted
//! proxy.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::domain::host::Scheme;

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

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
        let is_known = introduction.is_none_or(|introduction| introduction.source != ProxiedSource::Unknown);
        self.is_trusted = is_known && trusts(trusted, &self.address);
    }
}

fn text_of(address: IpAddr) -> HeaderValue {
    // An address is visible ASCII: this cannot fail.
    HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

/// The client of a request: the peer itself, or who is behind a trusted proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's own address, as far as it can be believed.
    pub address: IpAddr,
    /// How the client reached the first proxy that is believed, or us.
    pub scheme: Scheme,
    /// Whether the peer is a trusted proxy, so that its forwarding headers are passed on.
    pub by_trusted_proxy: bool,
}

impl Client {
    /// The client of a request with `headers` that came from `peer`.
    pub fn of(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        if !peer.is_trusted {
            return Self { address: peer.address, scheme: peer.scheme, by_trusted_proxy: false };
        }
        // From the nearest hop to the farthest: the first address that is no trusted proxy is the
        // client. What stands to the left of it was written by the client and proves nothing; the
        // same goes for whatever stands to the left of something unreadable.
        let mut address = peer.address;
        for hop in hops(headers).iter().rev() {
            let Some(hop) = hop else { break };
            address = *hop;
            if !trusts(trusted, &address) {
                break;
            }
        }
        Self { address, scheme: proto(headers).unwrap_or(peer.scheme), by_trusted_proxy: true }
    }
}

fn trusts(trusted: &[IpNet], address: &IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Whether the nearest proxy says for whom it speaks.
pub fn names_client(headers: &HeaderMap) -> bool {
    hops(headers).last().is_some_and(Option::is_some)
}

/// The hops that `X-Forwarded-For` names, or else `Forwarded`, the nearest last; `None` for each
/// that is no address.
pub(super) fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    if speaks_x_forwarded(headers) {
        return elements(headers, &X_FORWARDED_FOR).map(|element| address(element?)).collect();
    }
    let node = |element: Option<&str>| address(forwarded_parameter(element?, "for")?);
    elements(headers, &FORWARDED).map(node).collect()
}

/// The scheme that the nearest hop names.
fn proto(headers: &HeaderMap) -> Option<Scheme> {
    let nearest = |name| elements(headers, name).last().flatten();
    // A proxy speaks one dialect; what comes in the other is the client's own.
    if speaks_x_forwarded(headers) {
        return Scheme::parse(nearest(&X_FORWARDED_PROTO)?);
    }
    Scheme::parse(forwarded_parameter(nearest(&FORWARDED)?, "proto")?)
}

/// Whether the nearest proxy speaks `X-Forwarded-*` and not RFC 7239.
pub(super) fn speaks_x_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(X_FORWARDED_PROTO)
}

/// The elements of a list field over all its lines; `None` for a line that is not text.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'a str>> {
    let lines = headers.get_all(name).into_iter().map(|line| line.to_str().ok());
    lines.flat_map(|line| match line {
        Some(line) => line.split(',').map(|element| Some(element.trim())).collect(),
        None => vec![None],
    })
}

/// One parameter of a `Forwarded` element (RFC 7239 §4), without its quotes.
fn forwarded_parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)?;
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let parsed =
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    parsed.or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> (String, Scheme) {
        let trusted: Vec<IpNet> = ["127.0.0.0/8", "10.0.0.0/8"].map(|net| net.parse().unwrap()).to_vec();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let client = Client::of(
            &Peer::new(format!("{peer}:1234").parse().unwrap(), Scheme::Http, &trusted),
            &map,
            &trusted,
        );
        (client.address.to_string(), client.scheme)
    }

    #[test]
    fn a_stranger_cannot_choose_an_address() {
        let forged: &[(&'static str, &str)] = &[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4;proto=https"),
        ];
        assert_eq!(client("192.0.2.1", forged), ("192.0.2.1".into(), Scheme::Http));
        assert_eq!(client("[::ffff:192.0.2.1]", forged), ("192.0.2.1".into(), Scheme::Http));
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_it_can_know() {
        for (headers, address) in [
            (&[] as &[(&'static str, &str)], "127.0.0.1"),
            (&[("x-forwarded-for", "192.0.2.7")], "192.0.2.7"),
            (&[("x-forwarded-for", "6.6.6.6, 192.0.2.7")], "192.0.2.7"),
            (&[("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.1.1.1")], "192.0.2.7"),
            (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7")], "192.0.2.7"),
            (&[("x-forwarded-for", "192.0.2.7, garbage")], "127.0.0.1"),
            (&[("x-forwarded-for", "192.0.2.7, garbage, 10.1.1.1")], "10.1.1.1"),
            (&[("x-forwarded-for", "10.0.0.1, 10.0.0.2")], "10.0.0.1"),
            (&[("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1"),
            (&[("forwarded", "for=\"[2001:db8::1]:80\";proto=https, for=10.0.0.3")], "2001:db8::1"),
            (&[("forwarded", "For=192.0.2.9;by=10.0.0.1")], "192.0.2.9"),
            (&[("forwarded", "for=_hidden")], "127.0.0.1"),
        ] {
            assert_eq!(client("127.0.0.1", headers).0, address, "{headers:?}");
        }
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
            assert_eq!(client("127.0.0.1", headers).1, scheme, "{headers:?}");
        }
    }
}
