//! Scripts of other origins: who may read the gateway's refusals, and have a preflight answered.
//!
//! A preflight never carries a session, so on a closed path the upstream cannot be asked. The
//! gateway answers in its place, with a yes for origins that the operator names: a yes lets a
//! script send what the upstream may rely on browsers not to send. Reading a refusal is another
//! matter: that is also for origins which the upstream was seen to let read with credentials, in
//! its answers to visitors with a session.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, StatusCode};

use crate::domain::host::Origin;
use crate::http::{Response, reply};

/// Origins that are remembered for a site at most: an upstream that reflects whatever it is sent
/// must not fill the memory.
const MAX_LEARNED: usize = 256;

/// Origins whose scripts a site trusts with credentials.
#[derive(Debug)]
pub(super) struct CorsOrigins {
    configured: Vec<HeaderValue>,
    learned: RwLock<HashSet<HeaderValue>>,
}

/// The origin whose script sent a request.
pub(super) fn origin_of(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ORIGIN).cloned()
}

/// Whether this is a question about a request to come (Fetch standard, "CORS-preflight fetch").
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl CorsOrigins {
    pub(super) fn new(configured: &[Origin]) -> Self {
        let value = |origin: &Origin| HeaderValue::from_str(&origin.to_string()).ok();
        Self { configured: configured.iter().filter_map(value).collect(), learned: RwLock::default() }
    }

    /// Remembers an origin that the upstream lets read answers with credentials. `*` does not
    /// count: browsers refuse it together with a cookie.
    pub(super) fn learn(&self, origin: Option<&HeaderValue>, answer: &HeaderMap) {
        let Some(origin) = origin else { return };
        let names_it = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN) == Some(origin);
        let with_credentials = answer.get(ACCESS_CONTROL_ALLOW_CREDENTIALS).is_some_and(|v| v == "true");
        if !names_it || !with_credentials || origin == "null" || self.may_read(origin) {
            return;
        }
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        if learned.len() < MAX_LEARNED {
            // A copy: what came is a slice of all that came, which would be kept with it.
            learned.extend(HeaderValue::from_bytes(origin.as_bytes()));
        }
    }

    /// Whether the operator trusts `origin` with sessions.
    pub(super) fn is_configured(&self, origin: &HeaderValue) -> bool {
        self.configured.contains(origin)
    }

    fn may_read(&self, origin: &HeaderValue) -> bool {
        let learned = || self.learned.read().unwrap_or_else(PoisonError::into_inner).contains(origin);
        self.configured.contains(origin) || learned()
    }

    /// Answers a preflight. An origin that is not allowed gets no word of permission, which a
    /// browser takes for a no.
    pub(super) fn answer_preflight(&self, headers: &HeaderMap) -> Response {
        let response = reply::empty(StatusCode::NO_CONTENT);
        if !origin_of(headers).is_some_and(|origin| self.configured.contains(&origin)) {
            return response;
        }
        let mut response = self.readable(headers, response);
        for (asked, allowed) in [
            (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
            (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
        ] {
            if let Some(value) = headers.get(asked) {
                response.headers_mut().insert(allowed, value.clone());
            }
        }
        response
    }

    /// Lets the script that sent a request read `response`, if its origin is allowed.
    pub(super) fn readable(&self, headers: &HeaderMap, mut response: Response) -> Response {
        response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin_of(headers).filter(|origin| self.may_read(origin)) {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let yes = HeaderValue::from_static("true");
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        response
    }
}
