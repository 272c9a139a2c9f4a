//! Why a request is not answered by the upstream, and how that is said: to a person as a page, to
//! a program as JSON with a stable code.

use std::time::Duration;

use serde_json::json;

use super::forward_auth::Unanswerable;
use super::redeem::LOGIN_PATH;
use super::visit::Audience;
use crate::domain::path::PathFault;
use crate::http::body::ReadFault;
use crate::http::code::Code;
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
    #[error("the request target is malformed")]
    BadTarget,
    #[error("{0}")]
    Path(PathFault),
    #[error("the Destination header is malformed")]
    BadDestination,
    #[error("the Destination is not on this site")]
    ForeignDestination,
    #[error("the session cookie was sent twice with different values")]
    DoubledCookie,
    #[error(transparent)]
    Unread(#[from] ReadFault),
    #[error("this method is not forwarded")]
    MethodRefused,
    #[error("this method is not allowed here")]
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
    #[error("the site answered with a page where a WebSocket was asked for over HTTP/2")]
    NoWebSocket,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl Fault {
    fn code(&self) -> Code {
        match self {
            Self::BadHost | Self::BadTarget | Self::BadDestination | Self::Unread(ReadFault::Broken) => {
                Code::BadRequest
            }
            Self::Path(_) => Code::AmbiguousPath,
            Self::ForeignDestination => Code::ForeignDestination,
            Self::DoubledCookie => Code::DoubledCookie,
            Self::Unread(ReadFault::TooSlow) | Self::Proxy(ProxyError::BodyTooSlow) => Code::RequestTimeout,
            Self::MethodRefused | Self::MethodNotAllowed(_) => Code::MethodNotAllowed,
            Self::UnknownHost => Code::UnknownHost,
            Self::NotFound => Code::NotFound,
            Self::Inquiry(fault) => fault.code(),
            Self::NotANavigation => Code::NavigationRequired,
            Self::CrossSite => Code::CrossSite,
            Self::TooManySessions => Code::TooManySessions,
            Self::SlowDown(_) => Code::TooManyRequests,
            Self::Unavailable(_) => Code::StoreUnavailable,
            Self::MisplacedLabel => Code::MisplacedRequirement,
            Self::UnreadableLabel => Code::UnreadableRequirement,
            Self::Proxy(ProxyError::SessionEnded) => Code::SessionEnded,
            Self::Unread(ReadFault::TooLong) | Self::Proxy(ProxyError::BodyTooLong) => Code::BodyTooLarge,
            Self::Proxy(ProxyError::BodyBroken) => Code::BadRequest,
            Self::Proxy(ProxyError::Timeout) => Code::UpstreamTimeout,
            Self::Proxy(ProxyError::Nowhere | ProxyError::Connect { .. }) => Code::UpstreamUnreachable,
            Self::Proxy(ProxyError::OutOfFiles { .. }) => Code::OutOfFiles,
            Self::Proxy(ProxyError::Tls { .. }) => Code::UpstreamTls,
            Self::Proxy(ProxyError::Broken { .. }) => Code::UpstreamBrokeOff,
            Self::NoWebSocket | Self::Proxy(ProxyError::Unreadable { .. } | ProxyError::UnaskedUpgrade) => {
                Code::UpstreamUnreadable
            }
        }
    }

    /// Whether the operator should hear of it: it is not the client's doing.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self, Self::ForeignDestination) && self.code().status().is_server_error()
    }

    /// The answer.
    pub(super) fn into_response(self, audience: Audience, request_id: &RequestId) -> Response {
        let code = self.code();
        let mut response = match audience {
            Audience::Person => {
                let page = self.page();
                reply::page(
                    code.status(),
                    page.render(Some(request_id.as_str())),
                    page.content_security_policy(),
                )
            }
            Audience::Program => {
                let error = json!({ "code": code, "message": self.message(), "details": {} });
                reply::json(code.status(), &json!({ "error": error }))
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
            Self::Proxy(ProxyError::OutOfFiles { .. }) => {
                "there are too many connections: the request could not be passed on".to_owned()
            }
            Self::Proxy(ProxyError::Tls { .. }) => "the TLS handshake with the upstream failed".to_owned(),
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
            Self::Proxy(ProxyError::OutOfFiles { .. }) => Problem::TooBusy,
            Self::NoWebSocket
            | Self::Proxy(
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
