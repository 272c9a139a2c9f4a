//! The head of a request over HTTP/2, said in the terms of HTTP/1.1: with a Host, and with its
//! cookies in one line. What follows judges and forwards all requests alike.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::ext::Protocol;

use super::digits::plain_decimal;
use super::websocket::WEBSOCKET;

use crate::domain::host::Scheme;

/// Settles `head`. The host is that of `:authority`. A `Host` that names another one stays beside
/// it: of two hosts there is none to go by, and the request is refused (RFC 9113 §8.3.1).
pub fn settle(head: &mut Parts) {
    if head.extensions.get::<Protocol>().is_some_and(is_websocket) && head.method == Method::CONNECT {
        head.method = Method::GET;
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, WEBSOCKET);
    }
    // A tunnel is asked for by its authority alone. It is refused for its method.
    if head.method == Method::CONNECT {
        return;
    }
    settle_host(head);
    join_cookies(&mut head.headers);
}

/// Whether every value in `headers` may stand in HTTP/2: white space around it is no part of a value
/// in HTTP/1.1, where the upstream would read another one than was judged (RFC 9113 §8.2.1). The
/// library below looks at all that is forbidden but this.
pub fn has_bare_values(headers: &HeaderMap) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    headers.values().all(|value| {
        let value = value.as_bytes();
        !is_space(value.first()) && !is_space(value.last())
    })
}

/// Whether the target may stand in a request line: the library below lets UTF-8 through and a query
/// without a path, of which a target is never made (RFC 9113 §8.3.1), and over HTTP/1.1 they are
/// refused.
pub fn has_plain_target(target: &Uri) -> bool {
    let is_plain = |target: &str| target.is_ascii() && (target.starts_with('/') || target == "*");
    target.path_and_query().is_none_or(|target| is_plain(target.as_str()))
}

/// Whether the body's length is said once at most, and in plain digits (RFC 9110 §8.6). As over
/// HTTP/1.1, nothing is forwarded that others could read in another way.
pub fn has_plain_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).into_iter();
    lengths.next().is_none_or(|length| plain_decimal(length.as_bytes()).is_some()) && lengths.next().is_none()
}

/// Whether a request asks for a WebSocket in the way of HTTP/2 (RFC 8441 §4).
pub fn asks_for_websocket<B>(request: &Request<B>) -> bool {
    *request.method() == Method::CONNECT && request.extensions().get::<Protocol>().is_some_and(is_websocket)
}

/// Whether a request that has been settled asked in that way.
pub fn asked_for_websocket<B>(request: &Request<B>) -> bool {
    request.extensions().get::<Protocol>().is_some_and(is_websocket)
}

fn is_websocket(protocol: &Protocol) -> bool {
    protocol.as_str() == "websocket"
}

/// Says yes to a WebSocket in the way of HTTP/2: the stream becomes one (RFC 8441 §5).
pub fn settle_websocket<B>(response: &mut Response<B>) {
    *response.status_mut() = StatusCode::OK;
    for field in [UPGRADE, CONNECTION, SEC_WEBSOCKET_ACCEPT] {
        response.headers_mut().remove(field);
    }
}

fn settle_host(head: &mut Parts) {
    let Some(authority) = head.uri.authority() else { return };
    // A target of another scheme stays whole, and is refused for that.
    if head.uri.scheme_str().and_then(Scheme::parse).is_none() {
        return;
    }
    let Ok(named) = HeaderValue::from_str(authority.as_str()) else {
        head.headers.remove(HOST);
        return;
    };
    let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(named.as_bytes());
    if !head.headers.get(HOST).is_some_and(same) {
        head.headers.append(HOST, named);
    }
    // In a request's target only what is left says something that Host does not say.
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = head.uri.path_and_query().cloned();
    if let Ok(target) = Uri::from_parts(parts) {
        head.uri = target;
    }
}

/// Joins what was sent in crumbs so that it compresses well (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).into_iter();
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for line in std::iter::once(second).chain(lines) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(line.as_bytes());
    }
    // Of values that were valid one by one this cannot fail.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(uri: &str, fields: &[(&'static str, &str)]) -> (String, Vec<String>) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        settle(&mut head);
        let shown = head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        (head.uri.to_string(), shown)
    }

    #[test]
    fn there_is_one_host_or_the_request_is_refused() {
        for (uri, hosts, expected) in [
            ("https://site.test/a?b", &[][..], &["host: site.test"][..]),
            ("https://Site.test:8443/a?b", &[], &["host: Site.test:8443"]),
            ("https://site.test/a?b", &[("host", "SITE.test")], &["host: SITE.test"]),
            ("https://site.test/a?b", &[("host", "other.test")], &["host: other.test", "host: site.test"]),
            (
                "https://site.test/a?b",
                &[("host", "site.test:443")],
                &["host: site.test", "host: site.test:443"],
            ),
            (
                "https://site.test/a?b",
                &[("host", "site.test"), ("host", "site.test")],
                &["host: site.test", "host: site.test"],
            ),
            ("/a?b", &[("host", "site.test")], &["host: site.test"]),
            ("/a?b", &[], &[]),
        ] {
            assert_eq!(
                settled(uri, hosts),
                ("/a?b".into(), expected.iter().map(ToString::to_string).collect())
            );
        }
    }

    #[test]
    fn no_value_has_white_space_around_it() {
        for (value, is_bare) in [
            ("", true),
            ("a", true),
            ("a b\tc", true),
            (" ", false),
            (" a", false),
            ("a ", false),
            ("\ta", false),
            ("a\t", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append("x", HeaderValue::from_static("a"));
            headers.append("x", HeaderValue::from_str(value).unwrap());
            assert_eq!(has_bare_values(&headers), is_bare, "{value:?}");
        }
    }

    #[test]
    fn crumbs_become_one_line() {
        for (crumbs, line) in [
            (&[("cookie", "a=b")][..], "cookie: a=b"),
            (&[("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e")], "cookie: a=b; c=d; e"),
            (&[("cookie", "a=b; c=d"), ("cookie", "")], "cookie: a=b; c=d; "),
        ] {
            assert_eq!(settled("/", crumbs).1, [line]);
        }
    }
}
