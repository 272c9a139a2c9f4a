//! Who may have a WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SEC_WEBSOCKET_KEY;
use http::{HeaderMap, HeaderValue, Version};
use http_body::Body as _;
use sha1::{Digest as _, Sha1};

use super::cors::CorsOrigins;
use super::cross_site::speaks_for_itself;
use super::fault::Fault;
use crate::domain::host::Origin;
use crate::http::h2_head::asked_for_websocket;
use crate::http::lines::only;
use crate::http::request_fields::RequestFields;
use crate::http::request_id::RequestId;
use crate::http::{Request, Response, websocket};

/// A page of another site can open a WebSocket to this one, the browser adds the visitor's cookies,
/// and nothing keeps that page from reading what comes back: CORS does not apply. So a session's
/// WebSocket is for the site's own pages, and for origins that the operator trusts with sessions.
/// Browsers always say where they stand (RFC 6455 §4.1); who does not is no browser and sends no
/// cookies by itself.
pub(super) fn check_origin(headers: &HeaderMap, own: &Origin, trusted: &CorsOrigins) -> Result<(), Fault> {
    let may = speaks_for_itself(headers, own, trusted).unwrap_or(true);
    if may { Ok(()) } else { Err(Fault::CrossSite) }
}

/// The key of the handshake, if a WebSocket is asked for. A browser that asks over HTTP/2 sends
/// none, and proves otherwise that it means this site: one is made of the request's name. Over HTTP/1.1
/// a request without a key, or with two, is no handshake (RFC 6455 §4.2.1), and must not become one here.
pub(super) fn websocket_key(
    request: &Request,
    fields: RequestFields,
    request_id: &RequestId,
) -> Option<HeaderValue> {
    if !fields.upgrade {
        return None;
    }
    let over_http2 = asked_for_websocket(request);
    // What asked for one over HTTP/2 was settled in the terms of HTTP/1.1.
    let may_ask = over_http2 || request.version() == Version::HTTP_11;
    let headers = request.headers();
    if !may_ask || !websocket::is_handshake(request.method(), headers) || !request.body().is_end_stream() {
        return None;
    }
    let sent = only(headers, SEC_WEBSOCKET_KEY).ok().flatten().cloned();
    if !over_http2 {
        return sent;
    }
    let made = || HeaderValue::from_str(&STANDARD.encode(Sha1::digest(request_id.as_str()).get(..16)?)).ok();
    sent.or_else(made)
}

/// What somebody gets who asks for a WebSocket over HTTP/2, where any 2xx opens it (RFC 8441 §5): a page must not,
/// be it of the gateway's `own` or of the site. What is no 2xx says by itself that there is none.
pub(super) fn refuse_page(answer: Response, is_own: bool) -> Result<Response, Fault> {
    match (answer.status().is_success(), is_own) {
        (false, _) => Ok(answer),
        (true, true) => Err(Fault::MethodNotAllowed("GET")),
        (true, false) => Err(Fault::NoWebSocket),
    }
}

#[cfg(test)]
mod tests {
    use http::header::ORIGIN;

    use super::*;

    #[test]
    fn only_the_sites_own_pages_and_trusted_ones_may() {
        let own = Origin::parse("https://site.example").unwrap();
        let trusted = CorsOrigins::new(&[Origin::parse("https://app.example").unwrap()]);
        for (origins, may) in [
            (&[][..], true),
            (&["https://site.example"], true),
            (&["https://site.example:443"], true),
            (&["https://app.example"], true),
            (&["http://site.example"], false),
            (&["https://site.example:8443"], false),
            (&["https://site.example.evil.example"], false),
            (&["https://sub.site.example"], false),
            (&["null"], false),
            (&[""], false),
            (&["https://site.example", "https://site.example"], false),
            (&["https://site.example https://evil.example"], false),
        ] {
            let headers: HeaderMap =
                origins.iter().map(|origin| (ORIGIN, HeaderValue::from_static(origin))).collect();
            assert_eq!(check_origin(&headers, &own, &trusted).is_ok(), may, "{origins:?}");
        }
    }
}
