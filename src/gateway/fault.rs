//! Why a request is not answered by the upstream, and how that is said: to a person as a page, to
//! a program as JSON with a stable code.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::forward_auth::Unanswerable;
use super::redeem::LOGIN_PATH;
use super::visit::Audience;
use crate::domain::path::PathFault;
use crate::http::body::ReadFault;
use crate::http::request_id::{RequestId, X_REQUEST_ID};
use crate::http::{Response, reply};
use crate::pages::{Page, Problem, SignInFailure};
use crate::proxy::ProxyError;
use crate::store::Unavailable;

/// Methods that a site may know.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// A request that the gateway does not forward, for a reason other than a missing session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the request needs exactly one valid Host")]
    BadHost,
    #[error("the request target is not one")]
    BadTarget,
    #[error("{0}")]
    Path(PathFault),
    #[error("the Destination is not one")]
    BadDestination,
    #[error("the Destination lies elsewhere than on this site")]
    ForeignDestination,
    #[error("the session cookie was sent twice with different values")]
    DoubledCookie,
    #[error(transparent)]
    Unread(#[from] ReadFault),
    #[error("this method is not forwarded")]
    MethodRefused,
    #[error("this method is not one for this address")]
    MethodNotAllowed(&'static str),
    #[error("there is no site at this address")]
    UnknownHost,
    #[error("the gateway has nothing at this address")]
    NotFound,
    #[error(transparent)]
    Inquiry(#[from] Unanswerable),
    #[error("only a page that is opened can redeem a token here")]
    NotANavigation,
    #[error("another site asked for this")]
    CrossSite,
    #[error("there are too many sessions of this person on the site")]
    TooManySessions,
    #[error("too many tokens from this address were wrong")]
    SlowDown(Duration),
    #[error("the site asks who may see its answer on a path where nobody is asked who is there")]
    MisplacedLabel,
    #[error("what the site asks for its answer cannot be read")]
    UnreadableLabel,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl Fault {
    /// The status and the stable code.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadHost | Self::BadTarget | Self::BadDestination | Self::Unread(ReadFault::Broken) => {
                (StatusCode::BAD_REQUEST, "bad_request")
            }
            Self::Path(_) => (StatusCode::BAD_REQUEST, "ambiguous_path"),
            // RFC 4918 §9.8.5 has this status for it.
            Self::ForeignDestination => (StatusCode::BAD_GATEWAY, "foreign_destination"),
            Self::DoubledCookie => (StatusCode::BAD_REQUEST, "doubled_cookie"),
            Self::Unread(ReadFault::TooSlow) | Self::Proxy(ProxyError::BodyTooSlow) => {
                (StatusCode::REQUEST_TIMEOUT, "request_timeout")
            }
            Self::MethodRefused | Self::MethodNotAllowed(_) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
            }
            Self::UnknownHost => (StatusCode::MISDIRECTED_REQUEST, "unknown_host"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::Inquiry(fault) => fault.status_and_code(),
            Self::NotANavigation => (StatusCode::FORBIDDEN, "navigation_required"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site"),
            Self::TooManySessions => (StatusCode::FORBIDDEN, "too_many_sessions"),
            Self::SlowDown(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
            Self::MisplacedLabel => (StatusCode::BAD_GATEWAY, "misplaced_requirement"),
            Self::UnreadableLabel => (StatusCode::BAD_GATEWAY, "unreadable_requirement"),
            Self::Proxy(ProxyError::SessionEnded) => (StatusCode::UNAUTHORIZED, "session_ended"),
            Self::Unread(ReadFault::TooLong) | Self::Proxy(ProxyError::BodyTooLong) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            Self::Proxy(ProxyError::BodyBroken) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Proxy(ProxyError::Timeout) => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            Self::Proxy(ProxyError::Nowhere | ProxyError::Connect { .. }) => {
                (StatusCode::BAD_GATEWAY, "upstream_unreachable")
            }
            Self::Proxy(ProxyError::Tls { .. }) => (StatusCode::BAD_GATEWAY, "upstream_tls"),
            Self::Proxy(ProxyError::Broken { .. }) => (StatusCode::BAD_GATEWAY, "upstream_broke_off"),
            Self::Proxy(ProxyError::Unreadable { .. } | ProxyError::UnaskedUpgrade) => {
                (StatusCode::BAD_GATEWAY, "upstream_unreadable")
            }
        }
    }

    /// Whether the operator should hear of it: it is not the client's doing.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self, Self::ForeignDestination) && self.status_and_code().0.is_server_error()
    }

    /// The answer.
    pub(super) fn into_response(self, audience: Audience, request_id: &RequestId) -> Response {
        let (status, code) = self.status_and_code();
        let mut response = match audience {
            Audience::Person => {
                let page = self.page();
                reply::page(status, page.render(Some(request_id.as_str())), page.content_security_policy())
            }
            Audience::Program => {
                let error = json!({ "code": code, "message": self.message(), "details": {} });
                reply::json(status, &json!({ "error": error }))
            }
        };
        response.headers_mut().insert(X_REQUEST_ID, request_id.to_value());
        match self {
            Self::MethodRefused => reply::allowing(response, METHODS),
            Self::MethodNotAllowed(methods) => reply::allowing(response, methods),
            Self::SlowDown(wait) => reply::retry_after(response, wait),
            Self::Proxy(ProxyError::SessionEnded) => reply::challenging(response),
            _ => response,
        }
    }

    /// What the client may know: of our own faults, no details.
    fn message(&self) -> String {
        match self {
            Self::Proxy(ProxyError::Nowhere | ProxyError::Connect { .. }) => {
                "the site behind the gateway cannot be reached".to_owned()
            }
            Self::Proxy(ProxyError::Tls { .. }) => {
                "the gateway and the site behind it agree on no TLS".to_owned()
            }
            Self::Proxy(ProxyError::Broken { .. }) => {
                "the site behind the gateway broke off before it answered".to_owned()
            }
            Self::Proxy(ProxyError::Unreadable { .. } | ProxyError::UnaskedUpgrade) => {
                "the answer of the site behind the gateway cannot be read".to_owned()
            }
            _ => self.to_string(),
        }
    }

    fn page(&self) -> Page<'static> {
        Page::Problem(match self {
            Self::BadHost
            | Self::BadTarget
            | Self::BadDestination
            | Self::ForeignDestination
            | Self::Inquiry(_)
            | Self::Unread(ReadFault::Broken | ReadFault::TooSlow)
            | Self::Proxy(ProxyError::BodyBroken | ProxyError::BodyTooSlow) => Problem::Malformed,
            Self::Path(_) => Problem::AmbiguousPath,
            Self::DoubledCookie => Problem::DoubledCookie,
            Self::MethodRefused | Self::MethodNotAllowed(_) => Problem::MethodNotAllowed,
            Self::UnknownHost => Problem::UnknownHost,
            Self::NotFound => Problem::NotFound,
            Self::NotANavigation | Self::CrossSite => Problem::CrossSite,
            Self::SlowDown(wait) => return Page::SlowDown { retry_after_secs: wait.as_secs() + 1 },
            Self::TooManySessions => {
                return Page::SignInFailed { reason: SignInFailure::TooManySessions, retry_url: LOGIN_PATH };
            }
            Self::Unavailable(_) => Problem::SessionsUnavailable,
            Self::MisplacedLabel | Self::UnreadableLabel => Problem::UpstreamUnclear,
            Self::Proxy(ProxyError::SessionEnded) => Problem::SessionEnded,
            Self::Unread(ReadFault::TooLong) | Self::Proxy(ProxyError::BodyTooLong) => Problem::BodyTooLarge,
            Self::Proxy(ProxyError::Timeout) => Problem::UpstreamTooSlow,
            Self::Proxy(
                ProxyError::Nowhere
                | ProxyError::Connect { .. }
                | ProxyError::Tls { .. }
                | ProxyError::Broken { .. }
                | ProxyError::Unreadable { .. }
                | ProxyError::UnaskedUpgrade,
            ) => Problem::UpstreamUnreachable,
        })
    }
}
