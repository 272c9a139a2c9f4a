//! `/.tollgate/auth`: another proxy carries the request, and asks here whether it may.
//!
//! The request that is meant is judged as if it had come by itself, in the order of
//! [`Gateway::handle`](super::Gateway::handle). Two things differ. To the proxy any 2xx means yes, so
//! that the answer is a type of its own ([`Answer`]), which only a [`Permit`] makes a yes. And a question
//! changes nothing: proxies ask more than once, and not all hand on a cookie, so that a token is redeemed
//! elsewhere (see [`to_redemption`]).

mod inquiry;

pub(super) use inquiry::Unanswerable;

use std::pin::Pin;

use http::header::{COOKIE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use super::address::Connection;
use super::destination::Destination;
use super::fault::Fault;
use super::forbidden::Refusal;
use super::redeem::refuse_prefetch;
use super::request_record::{Decision, RequestRecord};
use super::reserved::Endpoint;
use super::visit::{Target, Visit};
use super::{Gateway, cors, cross_site};
use crate::api::answers_at;
use crate::domain::access::{Access, Permit};
use crate::domain::host::Authority;
use crate::domain::path::lies_under;
use crate::http::client::Client;
use crate::http::connection::forwards;
use crate::http::navigation::is_prefetch;
use crate::http::request_fields::RequestFields;
use crate::http::request_id::RequestId;
use crate::http::{Request, Response, cookies, reply};
use crate::proxy::{ShownCookies, X_TOLLGATE_ASSERTION};
use inquiry::{Inquiry, Manner};

/// Where proxies ask. Envoy puts what it asks about behind it.
const PATH: &str = "/.tollgate/auth";

/// Tells Envoy which of the client's headers are to go.
static HEADERS_TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Whether a request is a question about another one.
pub(super) fn asks(request: &Request) -> bool {
    lies_under(request.uri().path().as_bytes(), PATH)
}

/// What a proxy is told.
pub(super) struct Answer(Response);

impl Answer {
    /// Yes: the headers that the upstream is to get.
    #[expect(clippy::needless_pass_by_value, reason = "the permit is used up: it was for this one request")]
    fn yes(
        permit: Permit,
        assertion: Option<HeaderValue>,
        visit: &Visit<'_>,
        came: &HeaderMap,
        manner: Manner,
    ) -> Self {
        let mut response = reply::empty(StatusCode::OK);
        let headers = response.headers_mut();
        if let Some(visitor) = permit.visitor() {
            for (rule, value) in visit.front.site.identity.read(&visitor.headers) {
                headers.extend(HeaderValue::from_bytes(value).map(|value| (rule.name().clone(), value)));
            }
        }
        headers.extend(assertion.map(|assertion| (X_TOLLGATE_ASSERTION.clone(), assertion)));
        headers.extend(shown_cookies(visit, came).map(|cookies| (COOKIE, cookies)));
        if manner == Manner::Removes {
            let site = &visit.front.site;
            let signed = site.assertions.map(|_| &X_TOLLGATE_ASSERTION);
            let own = site.identity.names().chain([&COOKIE]).chain(signed);
            let absent: Vec<&str> =
                own.filter(|name| !headers.contains_key(*name)).map(HeaderName::as_str).collect();
            headers.extend(
                HeaderValue::from_str(&absent.join(",")).map(|list| (HEADERS_TO_REMOVE.clone(), list)),
            );
        }
        Self(response)
    }

    /// No, and what the visitor is to be told instead. What is well meant otherwise, such as a page, is
    /// forbidden here.
    fn no(mut response: Response) -> Self {
        let status = response.status();
        if !status.is_redirection() && !status.is_client_error() && !status.is_server_error() {
            *response.status_mut() = StatusCode::FORBIDDEN;
        }
        Self(response)
    }

    /// The same for a proxy that knows three statuses and calls everything else an error.
    fn into_status(self) -> Self {
        let status = self.0.status();
        if status.is_redirection() || status == StatusCode::UNAUTHORIZED {
            Self::no(reply::challenging(reply::empty(StatusCode::UNAUTHORIZED)))
        } else if status.is_client_error() {
            Self::no(reply::empty(StatusCode::FORBIDDEN))
        } else {
            self
        }
    }
}

impl From<Answer> for Response {
    fn from(Answer(response): Answer) -> Self {
        response
    }
}

/// The visitor's cookies in one line, less the gateway's.
fn shown_cookies(visit: &Visit<'_>, came: &HeaderMap) -> Option<HeaderValue> {
    let lines = came.get_all(COOKIE).into_iter();
    let shown: Vec<HeaderValue> = match visit.shown_cookies() {
        ShownCookies::None => return None,
        ShownCookies::All => lines.cloned().collect(),
        ShownCookies::Others => lines.filter_map(|line| cookies::visible(line, visit.cookie_names)).collect(),
    };
    let line = shown.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    HeaderValue::from_bytes(&line).ok().filter(|line| !line.is_empty())
}

impl Gateway {
    /// Answers a proxy's question. Boxed: other requests are not to make room for all of this.
    pub(super) fn inquire<'a>(
        &'a self,
        question: &'a Request,
        connection: &'a Connection,
        about: (&'a Client, &'a RequestId),
        record: &'a RequestRecord<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Fault>> + 'a>> {
        Box::pin(async move {
            if !about.0.by_trusted_proxy {
                return Err(Unanswerable::Stranger.into());
            }
            let at = Target::of(question)?.host;
            let inquiry = Inquiry::of(question)?;
            let manner = inquiry.manner;
            let judged = self.judge_meant(inquiry, &at, connection, about, record).await;
            match (manner, judged) {
                (Manner::Status, Ok(answer)) => Ok(answer.into_status()),
                (Manner::Status, Err(fault)) if !fault.is_ours() => {
                    Ok(Answer::no(reply::empty(StatusCode::FORBIDDEN)))
                }
                (_, judged) => judged,
            }
        })
    }

    /// Judges the request that is meant. The question itself came to the host `at`.
    async fn judge_meant(
        &self,
        mut inquiry: Inquiry,
        at: &HeaderValue,
        connection: &Connection,
        (client, request_id): (&Client, &RequestId),
        record: &RequestRecord<'_>,
    ) -> Result<Answer, Fault> {
        if !forwards(inquiry.meant.method()) {
            return Err(Fault::MethodRefused);
        }
        let target = Target::of(&inquiry.meant)?;
        let now = record.began();
        let address = record.is_for(self.address(connection, &target, client.scheme)?);
        let site = &address.front.site;
        // A client may have added the host of a site that is more open. Proxies that keep the Host tell
        // the truth there; with others it is the gateway's own name.
        let asked = at.to_str().ok().and_then(Authority::parse);
        let asked = asked.and_then(|authority| self.shared.sso.sites.by_host(authority.host()));
        if asked.is_some_and(|asked| asked.name != site.name) {
            return Err(Unanswerable::Host.into());
        }
        if let Some(instead) = self.to_https(address, client.scheme, &target) {
            return Ok(Answer::no(instead));
        }
        inquiry.inspect(site)?;
        let wants_websocket = inquiry.wants_websocket();
        let Inquiry { meant, manner } = inquiry;
        let fields = RequestFields::of(meant.headers());
        let visit = Visit::of(meant.headers(), fields, address, (client, request_id), &target, now)?;
        if Endpoint::of(&visit).is_some() || answers_at(site, visit.path.as_str()) {
            return Err(Unanswerable::OwnPath.into());
        }
        if visit.token.is_some() {
            return to_redemption(&meant, &visit);
        }
        let destination = Destination::of(meant.headers(), fields, &visit, &address.host)?;
        let access = self.judge(&visit, meant.method(), destination.as_ref(), record).await?;
        record.decide(match access {
            Access::Allow(_) => Decision::Allowed,
            Access::Challenge => Decision::Challenged,
            Access::Deny { .. } => Decision::Denied,
        });
        match access {
            Access::Allow(permit) => {
                if permit.visitor().is_some() {
                    cross_site::check_any(&meant, wants_websocket, &visit)?;
                }
                let assertion = self.assertion(site, permit.visitor(), &address.origin, now)?;
                Ok(Answer::yes(permit, assertion, &visit, meant.headers(), manner))
            }
            // A browser takes nothing but a 2xx for an answer to a preflight: it gets none.
            Access::Challenge if cors::is_preflight(meant.method(), meant.headers()) => {
                Ok(Answer::no(self.login_required(meant.headers(), &visit)))
            }
            // The body is with the proxy.
            Access::Challenge => self.challenge_bare(&meant, &visit).await.map(Answer::no),
            Access::Deny { visitor, alternatives } => {
                let refusal =
                    Refusal { visitor: visitor.as_deref(), alternatives: &alternatives, paywall_url: None };
                Ok(Answer::no(refusal.into_response(&meant, &visit, request_id)))
            }
        }
    }
}

/// Sends a visitor who comes with a token to the gateway itself. A yes would hand the upstream the token:
/// it is the proxy that carries the request, target and all.
fn to_redemption(meant: &Request, visit: &Visit<'_>) -> Result<Answer, Fault> {
    if is_prefetch(meant.headers()) {
        return Ok(Answer::no(refuse_prefetch()));
    }
    if !matches!(*meant.method(), Method::GET | Method::HEAD) || !visit.is_navigation(meant.headers()) {
        return Err(Fault::NotANavigation);
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(token) = visit.token.as_ref().and_then(|extracted| extracted.token.as_ref()) {
        query.append_pair("token", &token.expose());
    }
    query.append_pair("return_url", &visit.clean_url().absolute(visit.origin));
    // Absolute: some proxies resolve what is relative against the address at which they asked.
    let location = format!("{}/.tollgate/redeem?{}", visit.origin, query.finish());
    Ok(Answer::no(reply::redirect(StatusCode::FOUND, &location)))
}
