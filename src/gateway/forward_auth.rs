//! `/.tollgate/auth`: another proxy carries the request, and asks here whether it may.
//!
//! The request that is meant is told in headers, and headers are what clients write. So a proxy has to
//! be trusted, and whatever is said of the target has to be said once, in one dialect: a client that
//! adds the headers of another one to its request gets nothing for it.

use http::header::{HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::address::Address;
use super::fault::Fault;
use super::upgrade::check_origin;
use crate::domain::access::Permit;
use crate::domain::path::lies_under;
use crate::http::body::Incoming;
use crate::http::client::Client;
use crate::http::{Request, Response, reply};

/// Where proxies ask.
const PATH: &str = "/.tollgate/auth";

static X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
static X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
static X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What the proxy makes of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It hands the visitor whatever is not 2xx: Traefik, Caddy, Envoy.
    HandsOn,
    /// It looks at the status alone, and knows 2xx, 401 and 403: nginx's `auth_request`.
    Status,
}

/// A request that another proxy asks about, as its client sent it.
pub(super) struct Inquiry {
    pub(super) request: Request,
    pub(super) manner: Manner,
}

impl Inquiry {
    /// The request that is meant; the one that came if nothing was asked.
    pub(super) fn of(request: Request, client: &Client) -> Result<Result<Self, Request>, Fault> {
        let path = request.uri().path();
        if !path.starts_with(PATH) || !lies_under(path.as_bytes(), PATH) {
            return Ok(Err(request));
        }
        if !client.by_trusted_proxy {
            return Err(Fault::UntrustedProxy);
        }
        Self::meant(request).map(Ok).ok_or(Fault::UnclearInquiry)
    }

    fn meant(request: Request) -> Option<Self> {
        let (mut parts, _) = request.into_parts();
        let headers = &parts.headers;
        // Some configurations of nginx tell the path, and some the whole URL.
        let original = match (only(headers, &X_ORIGINAL_URI)?, only(headers, &X_ORIGINAL_URL)?) {
            (Some(_), Some(_)) => return None,
            (path, url) => path.or(url),
        };
        let forwarded = only(headers, &X_FORWARDED_URI)?;
        let behind = parts.uri.path_and_query().map(PathAndQuery::as_str)?.strip_prefix(PATH)?;
        // The query that may have come along is the one of the target, which is told elsewhere.
        let behind = behind.starts_with('/').then_some(behind);
        let (manner, target, method, host) = match (original, forwarded, behind) {
            (Some(target), None, None) => {
                let method = only(headers, &X_ORIGINAL_METHOD)?.cloned();
                (Manner::Status, target.to_str().ok()?, method, None)
            }
            (None, Some(target), None) => {
                let method = only(headers, &X_FORWARDED_METHOD)?.cloned();
                (Manner::HandsOn, target.to_str().ok()?, method, only(headers, &X_FORWARDED_HOST)?.cloned())
            }
            (None, None, Some(target)) => {
                let own = HeaderValue::from_str(parts.method.as_str()).ok();
                (Manner::HandsOn, target, own, None)
            }
            _ => return None,
        };
        let target: Uri = target.parse().ok()?;
        // Of a whole URL the host is meant as well.
        let named = target.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
        let host = named.transpose().ok()?.or(host);
        let method = Method::from_bytes(method?.as_bytes()).ok()?;
        parts.uri = Uri::from(target.path_and_query()?.clone());
        parts.method = method;
        if let Some(host) = host {
            parts.headers.insert(HOST, host);
        }
        Some(Self { request: Request::from_parts(parts, Incoming::None), manner })
    }
}

/// The only line of a header, if there is one; `None` if there are several.
#[expect(clippy::option_option, reason = "none and several are two things")]
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a HeaderValue>> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (line, None) => Some(line.filter(|line| !line.is_empty())),
        _ => None,
    }
}

/// The answer to a proxy whose client may pass: who it is, in the headers that the upstream is to
/// get.
pub(super) fn may_pass(permit: &Permit, request: &Request, address: &Address) -> Result<Response, Fault> {
    let mut response = reply::empty(StatusCode::OK);
    let Some(visitor) = permit.visitor() else { return Ok(response) };
    if request.headers().contains_key(SEC_WEBSOCKET_KEY) {
        check_origin(request.headers(), &address.origin, &address.front.cors)?;
    }
    for (rule, value) in address.front.site.identity.read(&visitor.headers) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            response.headers_mut().append(rule.name(), value);
        }
    }
    Ok(response)
}

/// The answer for a proxy that knows three of them.
pub(super) fn as_status(response: Response) -> Response {
    let status = match response.status() {
        status if status.is_redirection() || status == StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
        status if status.is_client_error() => StatusCode::FORBIDDEN,
        _ => return response,
    };
    let mut answer = reply::empty(status);
    if status == StatusCode::UNAUTHORIZED {
        answer = reply::challenging(answer);
    }
    answer
}
