//! Answers that the gateway gives itself.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use serde::Serialize;

use super::Response;
use super::body::Body;

/// An answer with no body that no cache keeps. Nothing that the gateway says itself is for keeps:
/// it depends on who asks, and when.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

/// An answer with a body of the given type.
pub fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    *response.body_mut() = body.into();
    response
}

/// A page, with the policy that keeps it from loading or running anything.
pub fn page(status: StatusCode, html: String, policy: &'static str) -> Response {
    under_policy(with_body(status, "text/html; charset=utf-8", html), policy)
}

/// Adds `Content-Security-Policy`.
pub fn under_policy(mut response: Response, policy: &'static str) -> Response {
    response
        .headers_mut()
        .insert(HeaderName::from_static("content-security-policy"), HeaderValue::from_static(policy));
    response
}

/// A JSON document.
pub fn json(status: StatusCode, document: &impl Serialize) -> Response {
    let text = serde_json::to_vec(document).unwrap_or_default();
    with_body(status, "application/json", text)
}

/// Plain text.
pub fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    with_body(status, "text/plain; charset=utf-8", text)
}

/// A redirect to `location`, which must be proven safe by whoever calls this.
pub fn redirect(status: StatusCode, location: &str) -> Response {
    match HeaderValue::from_bytes(location.as_bytes()) {
        Ok(location) => {
            let mut response = empty(status);
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The status of a redirect that makes a browser fetch another page after `method` (RFC 9110
/// §15.4.4): 302 where the method stays, 303 where it becomes GET.
pub fn see_other(method: &Method) -> StatusCode {
    if matches!(*method, Method::GET | Method::HEAD) { StatusCode::FOUND } else { StatusCode::SEE_OTHER }
}

/// Adds `Allow` (RFC 9110 §10.2.1).
pub fn allowing(mut response: Response, methods: &'static str) -> Response {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// Adds the challenge that RFC 9110 §11.6.1 wants with each 401: browsers pass over a scheme that
/// they do not know.
pub fn challenging(mut response: Response) -> Response {
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Tollgate"));
    response
}

/// Adds `Retry-After` in whole seconds, rounded up.
pub fn retry_after(mut response: Response, wait: std::time::Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
    response
}
