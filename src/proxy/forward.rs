//! Carrying one request to the upstream and its answer back.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use hyper::body::Body as _;

use super::pool::{Link, Pool};
use super::request_body::{Progress, RequestBody};
use super::response_body::ResponseBody;
use super::{ProxyError, h1, rewrite, tunnel};
use crate::config::Site;
use crate::domain::access::Permit;
use crate::domain::clock::Clock;
use crate::http::body::Body;
use crate::http::client::Client;
use crate::http::cookies::CookieNames;
use crate::http::forwarded::Whereabouts;
use crate::http::request_id::RequestId;
use crate::http::watch::Watch;
use crate::http::websocket;
use crate::http::{Request, Response};

/// How long a connection may take to come about: an upstream on the same network answers within
/// milliseconds, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// The upstream's own Host.
    pub own_host: &'a HeaderValue,
    /// Where the request comes from, for the upstream to know.
    pub whereabouts: &'a Whereabouts,
    /// Which cookies the upstream may see.
    pub cookies: ShownCookies,
    /// The request's name.
    pub request_id: &'a RequestId,
    /// The target in origin-form, less the token.
    pub target: &'a Uri,
    /// The key of the handshake, if a WebSocket is asked for.
    pub websocket: Option<&'a HeaderValue>,
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
    let mut head = h1::Head::new(&came.method, errand.target);
    rewrite::to_upstream(&came.headers, &permit, &errand, &mut head);
    let progress = Progress::begin(errand.watch, errand.site.upstream_timeout);
    let body = RequestBody::new(body, &came.headers, Arc::clone(errand.site), Rc::clone(&progress));
    let upload = head.with(body);

    let mut exchange = pin!(exchange(upload, &came.method, &errand));
    let answered = poll_fn(|cx| match exchange.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(answered.map_err(|error| progress.blame(error))),
        Poll::Pending => progress.lateness(cx.waker()).map_or(Poll::Pending, |late| Poll::Ready(Err(late))),
    });
    let (mut link, answer) = answered.await?;
    progress.answered();
    let mut headers = answer.headers;
    rewrite::from_upstream(&mut headers, errand.cookie_names);
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        let agreed = errand.websocket.is_some_and(|key| websocket::agrees(key, &headers));
        agreed.then_some(()).ok_or(ProxyError::UnaskedUpgrade)?;
        headers.insert(UPGRADE, websocket::WEBSOCKET);
        let (upstream, leftover) = link.into_parts();
        let deadline = errand.watch.deadline(errand.site.upstream_timeout);
        let tunnel = tunnel::to_upstream(upstream, leftover, deadline);
        return Ok(answered_with(answer.status, headers, Body::Tunnel(Some(tunnel))));
    }
    let body = match link.take_whole() {
        Some(whole) => {
            errand.pool.put(link, errand.clock.now());
            Body::from(whole)
        }
        None => Body::stream(ResponseBody::new(link, Rc::clone(errand.pool), Arc::clone(errand.clock))),
    };
    Ok(answered_with(answer.status, headers, body))
}

fn answered_with(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Sends on an idle connection, or on a new one if there is none. What was never sent, or does no
/// harm if it is done twice, is sent again where an idle connection was closed before it answered:
/// the upstream may have closed it just then (RFC 9112 §9.3.1).
async fn exchange(
    mut upload: h1::Upload,
    method: &Method,
    errand: &Errand<'_>,
) -> Result<(Box<Link>, h1::Answer), ProxyError> {
    let to_head = method == Method::HEAD;
    while let Some(mut link) = errand.pool.take(errand.clock.now()) {
        link.begin(upload, to_head);
        match poll_fn(|cx| link.poll_answer(cx)).await {
            Ok(answer) => return Ok((link, answer)),
            Err(h1::Fault::Unanswered) => {
                let again = link.into_upload().again(is_idempotent(method));
                upload = again.ok_or(h1::Fault::Unanswered)?;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, errand.pool.connect());
    let mut link =
        connecting.await.map_err(|_| ProxyError::Connect(std::io::ErrorKind::TimedOut.into()))??;
    link.begin(upload, to_head);
    let answer = poll_fn(|cx| link.poll_answer(cx)).await?;
    Ok((link, answer))
}

/// Whether a request with `method` does no harm if it is done twice (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}
