//! Telling the upstream where a request comes from: `X-Forwarded-*`, `X-Real-IP` and `Forwarded`
//! (RFC 7239).

use std::fmt::Write as _;
use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};

use super::client::{Client, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use crate::domain::host::Origin;

/// `X-Forwarded-Host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Port`.
pub const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// `X-Real-IP`.
pub const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Sets the forwarding headers from what is true of `client` and of the `origin` that it asked
/// for. What a trusted proxy said before us was left in `headers` and is added to.
pub fn set(headers: &mut HeaderMap, client: &Client, origin: &Origin) {
    let peer = client.peer.to_string();
    extend(headers, X_FORWARDED_FOR, &peer);
    let mut element = String::with_capacity(64);
    let _infallible = match client.peer {
        IpAddr::V4(_) => write!(element, "for={peer}"),
        // RFC 7239 §6: IPv6 in brackets, and for the brackets in quotes.
        IpAddr::V6(_) => write!(element, "for=\"[{peer}]\""),
    };
    let authority = origin.authority();
    let _infallible = write!(element, ";host=\"{authority}\";proto={}", origin.scheme().as_str());
    extend(headers, FORWARDED, &element);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme().as_str()));
    headers.insert(X_FORWARDED_PORT, origin.port().into());
    set_text(headers, X_REAL_IP, &client.address.to_string());
    if !headers.contains_key(X_FORWARDED_HOST) {
        set_text(headers, X_FORWARDED_HOST, &authority);
    }
}

/// Adds `element` behind what a list field has, over all its lines, and makes it one line.
fn extend(headers: &mut HeaderMap, name: HeaderName, element: &str) {
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

/// Sets a field to a text that is known to be visible ASCII.
fn set_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host::Scheme;

    fn forwarded(before: &[(&'static str, &str)], peer: &str, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, value.parse().unwrap());
        }
        let peer = peer.parse().unwrap();
        let client =
            Client { peer, address: peer, scheme: Scheme::Http, by_trusted_proxy: !before.is_empty() };
        set(&mut headers, &client, &Origin::parse(origin).unwrap());
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
        assert_eq!(headers["x-forwarded-port"], "80");
    }
}
