//! Carrying one request to the upstream and its answer back.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use hyper::body::Body as _;

use super::backend::{Answered, Backend, Message, Source, Undelivered};
use super::patience::{Patient, may_be_silent};
use super::pool::Pool;
use super::request_body::{Progress, RequestBody};
use super::response_body::ResponseBody;
use super::streamed_body::StreamedBody;
use super::{ProxyError, rewrite, tunnel};
use crate::config::Site;
use crate::domain::access::Permit;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::session::LiveSession;
use crate::http::body::{Body, BodyError};
use crate::http::client::Client;
use crate::http::connection::remove_hop_by_hop;
use crate::http::cookies::CookieNames;
use crate::http::forwarded::Whereabouts;
use crate::http::interim::Interim;
use crate::http::request_id::RequestId;
use crate::http::watch::Watch;
use crate::http::websocket;
use crate::http::{Request, Response};

/// Which of a request's cookies the upstream may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownCookies {
    /// All: none of them is ours.
    All,
    /// Those that are not ours.
    Others,
    /// None: all of them are ours.
    None,
}

/// What has to be known to carry a request.
pub struct Errand<'a> {
    /// The site.
    pub site: &'a Arc<Site>,
    /// The names of its cookies.
    pub cookie_names: &'a CookieNames,
    /// The worker's connections to its upstream.
    pub pool: &'a Rc<Pool>,
    /// The client.
    pub client: &'a Client,
    /// The Host that the client asked for, with its port.
    pub host: &'a HeaderValue,
    /// Where the request comes from, for the upstream to know.
    pub whereabouts: &'a Whereabouts,
    /// Which cookies the upstream may see.
    pub cookies: ShownCookies,
    /// The request's name.
    pub request_id: &'a RequestId,
    /// The signed word about the visitor, if the site wants one.
    pub assertion: Option<&'a HeaderValue>,
    /// The target in origin-form, less the token.
    pub target: &'a Uri,
    /// The key of the handshake, if a WebSocket is asked for.
    pub websocket: Option<&'a HeaderValue>,
    /// Where interim answers go, if the client can take any.
    pub interim: Option<&'a Interim>,
    /// Time between two pieces of a body.
    pub body_time: Duration,
    /// The worker's deadlines.
    pub watch: &'a Rc<Watch>,
    /// The clock for idle connections.
    pub clock: &'a Arc<dyn Clock>,
}

/// Forwards a request that has a permit. The response streams.
pub async fn forward(permit: Permit, request: Request, errand: Errand<'_>) -> Result<Response, ProxyError> {
    let (came, body) = request.into_parts();
    let announced = body.size_hint().exact();
    if errand.site.max_body.zip(announced).is_some_and(|(limit, length)| length > limit) {
        return Err(ProxyError::BodyTooLong);
    }
    let now = errand.clock.now();
    let (first, backend) = errand.pool.choose(&[], now).ok_or(ProxyError::Nowhere)?;
    // Who streams questions may have none for a while.
    let silence = if may_be_silent(&came.headers) { Duration::MAX } else { errand.body_time };
    let session = permit.visitor();
    let progress = Progress::begin(errand.watch, session, errand.site.upstream_timeout, silence);
    let body = RequestBody::new(body, &came.headers, Arc::clone(errand.site), Rc::clone(&progress));
    let message = backend.message(&came, body, &permit, &errand);
    let under_way = Cell::new(first);
    let mut exchange = pin!(exchange(message, &came.method, &errand, (&under_way, backend, now), &progress));
    let answered = poll_fn(|cx| match exchange.as_mut().poll(cx) {
        _ if progress.is_revoked(cx.waker()) => Poll::Ready(Err(ProxyError::SessionEnded)),
        Poll::Ready(answered) => Poll::Ready(answered),
        Poll::Pending => progress.lateness(cx.waker()).map_or(Poll::Pending, |late| Poll::Ready(Err(late))),
    });
    let answered = answered.await.inspect_err(|error| {
        if error.is_upstreams() {
            errand.pool.failed(under_way.get(), errand.clock.now());
        }
    });
    let Answered { status, mut headers, source, busy } = answered?;
    errand.pool.answered(under_way.get());
    progress.answered();
    rewrite::from_upstream(&mut headers, errand.cookie_names);
    let body = match source {
        Source::Link(link) if status == StatusCode::SWITCHING_PROTOCOLS => {
            let agreed = errand.websocket.is_some_and(|key| websocket::agrees(key, &headers));
            agreed.then_some(()).ok_or(ProxyError::UnaskedUpgrade)?;
            headers.insert(UPGRADE, websocket::WEBSOCKET);
            let (upstream, leftover) = link.into_parts();
            let deadline = errand.watch.bound(Duration::MAX, session);
            Body::Tunnel(Some(tunnel::to_upstream(upstream, leftover, deadline, busy)))
        }
        Source::Link(mut link) => match link.take_whole() {
            Some(whole) => {
                busy.give_back(link);
                Body::from(whole)
            }
            None => in_time(ResponseBody::new(link, busy), &headers, session, &errand),
        },
        Source::Stream(stream, ride, giver) => {
            remove_hop_by_hop(&mut headers);
            let has_none = came.method == Method::HEAD || answers_without_body(status);
            // What HTTP/2 lets an upstream send nonetheless goes no further (RFC 9110 §6.4.1).
            let is_over = has_none || stream.is_end_stream();
            let body = (!is_over).then(|| StreamedBody::new(stream, ride, giver, busy));
            body.map_or_else(Body::empty, |body| in_time(body, &headers, session, &errand))
        }
    };
    Ok(answered_with(status, headers, body))
}

/// `body`, between whose pieces no more time may pass than the operator allows, and which ends
/// with the session.
fn in_time<B>(body: B, headers: &HeaderMap, session: Option<&Arc<LiveSession>>, errand: &Errand<'_>) -> Body
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Unpin + 'static,
{
    let deadline = || errand.watch.bound(Duration::MAX, session);
    let patient = |body, deadline| Patient::new(body, deadline, errand.body_time);
    match (may_be_silent(headers), session) {
        (true, None) => Body::stream(body),
        (true, Some(_)) => Body::bound_stream(body, deadline()),
        (false, None) => Body::stream(patient(body, deadline())),
        (false, Some(_)) => {
            let bond = deadline();
            Body::bound_stream(patient(body, Rc::clone(&bond)), bond)
        }
    }
}

fn answered_with(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Whether an answer with `status` never has a body.
fn answers_without_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Sends to one upstream after another, until one takes the request. `under_way` is where it is.
async fn exchange(
    mut message: Message,
    method: &Method,
    errand: &Errand<'_>,
    (under_way, mut backend, mut now): (&Cell<usize>, &Rc<Backend>, Timestamp),
    progress: &Progress,
) -> Result<Answered, ProxyError> {
    let mut tried = Vec::new();
    loop {
        let failure = match backend.carry(message, method, now, errand.interim).await {
            Ok(answered) => return Ok(answered),
            Err(Undelivered::Lost(error)) => return Err(progress.blame(error)),
            Err(Undelivered::Unsent(unsent, error)) => {
                message = unsent;
                error
            }
        };
        now = errand.clock.now();
        tried.push(under_way.get());
        let Some((next, another)) = errand.pool.choose(&tried, now) else { return Err(failure) };
        errand.pool.failed(under_way.get(), now);
        under_way.set(next);
        backend = another;
        backend.address(&mut message, errand);
    }
}
