//! Telling the upstream where a request comes from: `X-Forwarded-*`, `X-Real-IP` and `Forwarded`
//! (RFC 7239).

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};

use super::client::{Client, Peer};
use super::hops::{Dialect, Hop, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use crate::domain::host::{Authority, Origin};
use crate::http::h1::{Fields, Lines};

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
    /// All that is said of a client whom no trusted proxy speaks for.
    direct: Lines,
}

impl Whereabouts {
    /// What is true of a request from `peer` for `origin`; `None` only if the origin could not
    /// stand in a header.
    pub fn new(peer: &Peer, origin: &Origin) -> Option<Self> {
        let authority = origin.authority();
        let mut element = element_of(peer.address);
        let _infallible = write!(element, ";host=\"{authority}\";proto={}", origin.scheme().as_str());
        let mut whereabouts = Self {
            peer: peer.text.clone(),
            element: HeaderValue::from_str(&element).ok()?,
            proto: HeaderValue::from_static(origin.scheme().as_str()),
            port: origin.port().into(),
            host: HeaderValue::from_str(&authority).ok()?,
            direct: Lines::default(),
        };
        whereabouts.direct = Lines::of(|lines| whereabouts.tell_directly(lines));
        Some(whereabouts)
    }

    /// Tells of a client whom no trusted proxy speaks for.
    fn tell_directly(&self, fields: &mut impl Fields) {
        fields.put(&X_FORWARDED_PROTO, &self.proto);
        fields.put(&X_FORWARDED_PORT, &self.port);
        fields.put(&X_FORWARDED_FOR, &self.peer);
        fields.put(&FORWARDED, &self.element);
        fields.put(&X_REAL_IP, &self.peer);
        fields.put(&X_FORWARDED_HOST, &self.host);
    }

    /// Puts the forwarding headers of a request from `client` that `came` with these headers into
    /// `fields`. What a trusted proxy said there is added to.
    pub fn tell(&self, came: &HeaderMap, client: &Client, fields: &mut impl Fields) {
        if !client.by_trusted_proxy {
            fields.put_lines(&self.direct, |fields| self.tell_directly(fields));
            return;
        }
        fields.put(&X_FORWARDED_PROTO, &self.proto);
        // What comes in the dialect that the proxy does not speak is replaced by a translation, and what
        // is malformed by a hop that nobody knows, so that an upstream reads the same in both.
        let dialect = Dialect::of(came);
        let mut hops: Vec<Hop<'_>> = dialect.hops(came).collect();
        hops.reverse();
        let as_written = |hop: &Hop<'_>, unknown: &str| hop.text.unwrap_or(unknown).to_owned();
        let address = |hop: &Hop<'_>| match dialect {
            Dialect::XForwarded => as_written(hop, "unknown"),
            Dialect::Forwarded => hop.address.map_or("unknown".to_owned(), |address| address.to_string()),
        };
        let element = |hop: &Hop<'_>| match dialect {
            Dialect::XForwarded => hop.address.map_or("for=unknown".to_owned(), element_of),
            Dialect::Forwarded => as_written(hop, "for=unknown"),
        };
        if let Some(list) = list(hops.iter().map(address), &self.peer) {
            fields.put(&X_FORWARDED_FOR, &list);
        }
        if let Some(list) = list(hops.iter().map(element), &self.element) {
            fields.put(&FORWARDED, &list);
        }
        if let Ok(address) = HeaderValue::from_str(&client.address.to_string()) {
            fields.put(&X_REAL_IP, &address);
        }
        let named = |name| came.get(name).filter(|_| dialect == Dialect::XForwarded);
        fields.put(
            &X_FORWARDED_HOST,
            named(X_FORWARDED_HOST).filter(|host| is_one_host(host)).unwrap_or(&self.host),
        );
        fields.put(
            &X_FORWARDED_PORT,
            named(X_FORWARDED_PORT).filter(|port| is_port(port)).unwrap_or(&self.port),
        );
    }
}

/// Whether a proxy names one host. To a list a client may have contributed.
fn is_one_host(value: &HeaderValue) -> bool {
    value.to_str().ok().and_then(Authority::parse).is_some()
}

fn is_port(value: &HeaderValue) -> bool {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse::<u16>().ok()).is_some_and(|port| port > 0)
}

/// An element of `Forwarded` that names a node.
fn element_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("for={address}"),
        // RFC 7239 §6: IPv6 in brackets, and for the brackets in quotes.
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    }
}

/// A list field's one line: what was there `before`, and our `own` element.
fn list(before: impl Iterator<Item = String>, own: &HeaderValue) -> Option<HeaderValue> {
    let mut list = before.fold(Vec::new(), |mut list, element| {
        list.extend_from_slice(element.as_bytes());
        list.extend_from_slice(b", ");
        list
    });
    list.extend_from_slice(own.as_bytes());
    HeaderValue::from_maybe_shared(Bytes::from(list)).ok()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::domain::host::Scheme;

    fn forwarded(before: &[(&'static str, &str)], peer: &str, origin: &str) -> HeaderMap {
        let (mut came, mut headers) = (HeaderMap::new(), HeaderMap::new());
        for (name, value) in before {
            came.append(*name, value.parse().unwrap());
        }
        let socket = SocketAddr::new(peer.parse().unwrap(), 1);
        let peer = Peer::new(socket, Scheme::Http, &[]);
        let by_trusted_proxy = !before.is_empty();
        let client = Client { address: peer.address, is_named: true, scheme: Scheme::Http, by_trusted_proxy };
        let whereabouts = Whereabouts::new(&peer, &Origin::parse(origin).unwrap()).unwrap();
        whereabouts.tell(&came, &client, &mut headers);
        assert_eq!(headers.keys_len(), headers.len(), "something is said twice: {headers:?}");
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
        assert_eq!(headers["x-forwarded-for"], "2001:db8::1, unknown, 10.0.0.2");
        assert_eq!(headers["x-forwarded-host"], "site.example");
        let both = [("x-forwarded-for", "192.0.2.1, ?"), ("forwarded", "for=6.6.6.6")];
        let headers = forwarded(&both, "10.0.0.2", "https://site.example");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1, unknown, 10.0.0.2");
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

    #[test]
    fn what_is_malformed_hides_nothing_that_stands_behind_it() {
        for (before, elements, addresses) in [
            (
                "for=\"x, for=192.0.2.1;proto=https",
                "for=unknown, for=192.0.2.1;proto=https, ",
                "unknown, 192.0.2.1, ",
            ),
            ("for=\"_a\\\"b\";host=\"a,b\"", "for=\"_a\\\"b\";host=\"a,b\", ", "unknown, "),
            ("\"", "for=unknown, ", "unknown, "),
        ] {
            let headers = forwarded(&[("forwarded", before)], "10.0.0.2", "https://site.example");
            assert!(headers["forwarded"].to_str().unwrap().starts_with(&format!("{elements}for=10.0.0.2;")));
            assert_eq!(headers["x-forwarded-for"], format!("{addresses}10.0.0.2"));
        }
    }

    #[test]
    fn of_several_hosts_none_is_passed_on() {
        for (said, told) in [
            ("outer", "outer"),
            ("outer:8443", "outer:8443"),
            ("evil, outer", "site.example"),
            ("a b", "site.example"),
        ] {
            let before = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-host", said)];
            assert_eq!(forwarded(&before, "10.0.0.2", "http://site.example")["x-forwarded-host"], told);
        }
    }

    #[test]
    fn a_trusted_proxy_knows_at_which_port_visitors_came_to_it() {
        for (said, told) in [("8443", "8443"), ("65536", "80"), ("0", "80"), ("+1", "80"), ("x", "80")] {
            let before = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-port", said)];
            assert_eq!(forwarded(&before, "10.0.0.2", "http://site.example")["x-forwarded-port"], told);
        }
        // Beside the other dialect it is the client's own word.
        let before = [("forwarded", "for=192.0.2.1"), ("x-forwarded-port", "8443")];
        assert_eq!(forwarded(&before, "10.0.0.2", "http://site.example")["x-forwarded-port"], "80");
    }
}
