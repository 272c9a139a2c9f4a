//! Telling the upstream where a request comes from: `X-Forwarded-*`, `X-Real-IP` and `Forwarded`
//! (RFC 7239).

use std::fmt::Write as _;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};

use super::client::{Client, Peer, X_FORWARDED_FOR, X_FORWARDED_PROTO, hops, speaks_x_forwarded};
use crate::domain::host::Origin;

/// `X-Forwarded-Host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Port`.
pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// `X-Real-IP`.
pub const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What the upstream is told of a peer that asked for an origin, made once for a connection.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    peer: HeaderValue,
    element: HeaderValue,
    proto: HeaderValue,
    port: HeaderValue,
    host: HeaderValue,
}

impl Whereabouts {
    /// What is true of a request from `peer` for `origin`; `None` only if the origin could not
    /// stand in a header.
    pub fn new(peer: &Peer, origin: &Origin) -> Option<Self> {
        let authority = origin.authority();
        let mut element = element_of(peer.address);
        let _infallible = write!(element, ";host=\"{authority}\";proto={}", origin.scheme().as_str());
        Some(Self {
            peer: peer.text.clone(),
            element: HeaderValue::from_str(&element).ok()?,
            proto: HeaderValue::from_static(origin.scheme().as_str()),
            port: origin.port().into(),
            host: HeaderValue::from_str(&authority).ok()?,
        })
    }

    /// Sets the forwarding headers. What a trusted proxy said before us was left in `headers` and
    /// is added to.
    pub fn tell(&self, headers: &mut HeaderMap, client: &Client) {
        if client.by_trusted_proxy {
            // A proxy speaks one dialect; what comes in the other is the client's own, and is
            // replaced by a translation, so that an upstream reads the same in both.
            let hops = hops(headers);
            if speaks_x_forwarded(headers) {
                let elements = hops.iter().map(|hop| hop.map_or("for=unknown".to_owned(), element_of));
                translate(headers, FORWARDED, elements);
            } else {
                headers.remove(X_FORWARDED_HOST);
                translate(headers, X_FORWARDED_FOR, hops.iter().flatten().map(ToString::to_string));
            }
            extend(headers, X_FORWARDED_FOR, &self.peer);
            extend(headers, FORWARDED, &self.element);
            if let Ok(address) = HeaderValue::from_str(&client.address.to_string()) {
                headers.insert(X_REAL_IP, address);
            }
        } else {
            headers.insert(X_FORWARDED_FOR, self.peer.clone());
            headers.insert(FORWARDED, self.element.clone());
            headers.insert(X_REAL_IP, self.peer.clone());
        }
        headers.insert(X_FORWARDED_PROTO, self.proto.clone());
        headers.insert(X_FORWARDED_PORT, self.port.clone());
        headers.entry(X_FORWARDED_HOST).or_insert_with(|| self.host.clone());
    }
}

/// An element of `Forwarded` that names a node.
fn element_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("for={address}"),
        // RFC 7239 §6: IPv6 in brackets, and for the brackets in quotes.
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    }
}

/// Sets a list field to `elements`, in place of what it had.
fn translate(headers: &mut HeaderMap, name: HeaderName, elements: impl Iterator<Item = String>) {
    let list: Vec<String> = elements.collect();
    headers.remove(&name);
    if let Ok(value) = HeaderValue::from_str(&list.join(", "))
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

/// Adds `element` behind what a list field has, over all its lines, and makes it one line.
fn extend(headers: &mut HeaderMap, name: HeaderName, element: &HeaderValue) {
    let mut list: Vec<u8> = Vec::with_capacity(element.len());
    for line in headers.get_all(&name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::domain::host::Scheme;

    fn forwarded(before: &[(&'static str, &str)], peer: &str, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, value.parse().unwrap());
        }
        let socket = SocketAddr::new(peer.parse().unwrap(), 1);
        let peer = Peer::new(socket, Scheme::Http, &[]);
        let by_trusted_proxy = !before.is_empty();
        let client = Client { address: peer.address, scheme: Scheme::Http, by_trusted_proxy };
        Whereabouts::new(&peer, &Origin::parse(origin).unwrap()).unwrap().tell(&mut headers, &client);
        headers
    }

    #[test]
    fn a_direct_client_is_named_in_every_dialect() {
        let headers = forwarded(&[], "2001:db8::7", "https://site.example:8443");
        for (name, value) in [
            ("x-forwarded-for", "2001:db8::7"),
            ("x-real-ip", "2001:db8::7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "site.example:8443"),
            ("x-forwarded-port", "8443"),
            ("forwarded", "for=\"[2001:db8::7]\";host=\"site.example:8443\";proto=https"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
    }

    #[test]
    fn what_a_proxy_says_in_one_dialect_is_told_in_both() {
        let before =
            [("forwarded", "for=\"[2001:db8::1]\";proto=https, for=_hidden"), ("x-forwarded-host", "forged")];
        let headers = forwarded(&before, "10.0.0.2", "https://site.example");
        assert_eq!(headers["x-forwarded-for"], "2001:db8::1, 10.0.0.2");
        assert_eq!(headers["x-forwarded-host"], "site.example");
        let both = [("x-forwarded-for", "192.0.2.1, ?"), ("forwarded", "for=6.6.6.6")];
        let headers = forwarded(&both, "10.0.0.2", "https://site.example");
        assert!(
            headers["forwarded"].to_str().unwrap().starts_with("for=192.0.2.1, for=unknown, for=10.0.0.2;")
        );
    }

    #[test]
    fn a_trusted_proxys_list_is_continued() {
        let before = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "outer"),
        ];
        let headers = forwarded(&before, "10.0.0.2", "http://site.example");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 10.0.0.1, 10.0.0.2");
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(headers["x-forwarded-host"], "outer");
        let own = "for=10.0.0.2;host=\"site.example\";proto=http";
        assert_eq!(headers["forwarded"], format!("for=192.0.2.1, for=10.0.0.1, {own}"));
        assert_eq!(headers["x-forwarded-port"], "80");
    }
}
