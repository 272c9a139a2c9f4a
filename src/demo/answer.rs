//! The few kinds of answer that the demo servers give. None may be cached: each tells of one
//! visitor at one moment.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn html(status: StatusCode, page: String) -> Answer {
    plain(status, "text/html; charset=utf-8", page)
}

pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    plain(status, "application/json", format!("{value}\n"))
}

/// Sends the browser on with a GET. A `location` that no header can carry leads to `/`.
pub(super) fn see_other(location: &str) -> Answer {
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    let sent_on = plain(StatusCode::SEE_OTHER, "text/plain", String::new());
    with(sent_on, LOCATION, location)
}

pub(super) fn method_not_allowed(allowed: &'static str) -> Answer {
    let refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain", format!("Use {allowed} here.\n"));
    with(refusal, ALLOW, HeaderValue::from_static(allowed))
}

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let answer = with(answer, CONTENT_TYPE, HeaderValue::from_static(content_type));
    let answer = with(answer, CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // An address here may carry a state or a token.
    with(answer, REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}

fn with(mut answer: Answer, name: HeaderName, value: HeaderValue) -> Answer {
    answer.headers_mut().insert(name, value);
    answer
}
