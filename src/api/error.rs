//! What a caller of the plain API is told when something is wrong: a stable code, and a sentence
//! that says what to do.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::config::Scope;
use crate::domain::clock::Timestamp;
use crate::http::body::ReadFault;
use crate::http::code::Code;
use crate::http::{Response, reply};
use crate::store::Unavailable;

/// An error of the plain API.
#[derive(Debug)]
pub(super) struct ApiError {
    code: Code,
    message: String,
    details: Value,
    allow: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: json!({}), allow: None, retry_after: None }
    }

    pub(super) fn missing_token() -> Self {
        let message = "Send a valid API key as `Authorization: Bearer KEY`.";
        Self::new(Code::MissingToken, message)
    }

    pub(super) fn key_expired(at: Timestamp) -> Self {
        let at = at.to_rfc3339();
        let message = format!("The API key was good until {at}: send the one that took its place.");
        let error = Self::new(Code::KeyExpired, message);
        Self { details: json!({ "expired_at": at }), ..error }
    }

    pub(super) fn insufficient_scope(scope: Scope) -> Self {
        let message = format!("The API key needs the scope {}.", scope.as_str());
        let error = Self::new(Code::InsufficientScope, message);
        Self { details: json!({ "scope": scope.as_str() }), ..error }
    }

    pub(super) fn site_not_covered(site: &str) -> Self {
        let message = format!("The API key may not act for the site {site}.");
        let error = Self::new(Code::InsufficientScope, message);
        Self { details: json!({ "site": site }), ..error }
    }

    pub(super) fn shared_user() -> Self {
        let message =
            "The user is a member of sites for which the API key may not act: change the roles only.";
        Self::new(Code::InsufficientScope, message)
    }

    pub(super) fn parameter_missing(field: &str) -> Self {
        Self::parameter(Code::ParameterMissing, field, format!("The parameter {field} is missing."))
    }

    pub(super) fn parameter_invalid(field: &str, why: impl fmt::Display) -> Self {
        Self::parameter(Code::ParameterInvalid, field, format!("The parameter {field} is not valid: {why}."))
    }

    fn parameter(code: Code, field: &str, message: String) -> Self {
        let error = Self::new(code, message);
        Self { details: json!({ "field": field }), ..error }
    }

    pub(super) fn unread(fault: ReadFault) -> Self {
        let code = match fault {
            ReadFault::TooLong => Code::BodyTooLarge,
            ReadFault::Broken => Code::BadRequest,
            ReadFault::TooSlow => Code::RequestTimeout,
        };
        Self::new(code, format!("The request cannot be read: {fault}."))
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("This address accepts {allow}.");
        let error = Self::new(Code::MethodNotAllowed, message);
        Self { allow: Some(allow), ..error }
    }

    pub(super) fn slow_down(wait: Duration) -> Self {
        Self::too_many(
            "Too many wrong keys came from this address: retry after the time in Retry-After.",
            wait,
        )
    }

    /// 429 for whatever there are too many of.
    pub(super) fn too_many(message: &str, wait: Duration) -> Self {
        let error = Self::new(Code::TooManyRequests, message);
        Self { retry_after: Some(wait), ..error }
    }

    pub(super) fn into_response(self) -> Response {
        let error = json!({ "code": self.code, "message": self.message, "details": self.details });
        let mut response = reply::json(self.code.status(), &json!({ "error": error }));
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(methods) = self.allow {
            response = reply::allowing(response, methods);
        }
        match self.retry_after {
            Some(wait) => reply::retry_after(response, wait),
            None => response,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Unavailable> for ApiError {
    fn from(_: Unavailable) -> Self {
        let message = "The store does not answer just now: try again in a moment.";
        let error = Self::new(Code::StoreUnavailable, message);
        Self { retry_after: Some(Duration::from_secs(1)), ..error }
    }
}
