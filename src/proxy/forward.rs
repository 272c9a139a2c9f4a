//! Carrying one request to the upstream and its answer back.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};

use super::link::Link;
use super::pool::Pool;
use super::request_body::{Progress, RequestBody};
use super::response_body::ResponseBody;
use super::watch::Watch;
use super::{ProxyError, rewrite};
use crate::config::Site;
use crate::domain::access::Permit;
use crate::domain::clock::Clock;
use crate::http::Response;
use crate::http::body::Body;
use crate::http::client::Client;
use crate::http::cookies::CookieNames;
use crate::http::forwarded::Whereabouts;
use crate::http::request_id::RequestId;

/// How long a connection may take to come about: an upstream on the same network answers within
/// milliseconds, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// Whether there are cookies to be hidden.
    pub hides_cookies: bool,
    /// The request's name.
    pub request_id: &'a RequestId,
    /// The target in origin-form, less the token.
    pub target: &'a Uri,
    /// The worker's deadlines.
    pub watch: &'a Rc<Watch>,
    /// The clock for idle connections.
    pub clock: &'a Arc<dyn Clock>,
}

/// Forwards a request that has a permit. The response streams.
pub async fn forward(
    permit: Permit,
    request: Request<Incoming>,
    errand: Errand<'_>,
) -> Result<Response, ProxyError> {
    let (mut head, body) = request.into_parts();
    let announced =
        head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if errand.site.max_body.zip(announced).is_some_and(|(limit, length)| length > limit) {
        return Err(ProxyError::BodyTooLong);
    }
    let is_streamed = !body.is_end_stream() && body.size_hint().exact().is_none();
    rewrite::to_upstream(&mut head, is_streamed, &permit, &errand);
    let progress = Progress::begin(errand.watch, errand.site.upstream_timeout);
    let body = RequestBody::new(body, Arc::clone(errand.site), *errand.client, Rc::clone(&progress));
    let request = Request::from_parts(head, body);

    let mut exchange = pin!(exchange(request, &errand));
    let answered = poll_fn(|cx| match exchange.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(answered.map_err(|error| progress.blame(error))),
        Poll::Pending => progress.lateness(cx.waker()).map_or(Poll::Pending, |late| Poll::Ready(Err(late))),
    });
    let (link, answer) = answered.await?;
    progress.answered();
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ProxyError::UnaskedUpgrade);
    }
    let speaks_11 = answer.version() == Version::HTTP_11;
    let (mut head, body) = answer.into_parts();
    rewrite::from_upstream(&mut head, errand.cookie_names)?;
    // hyper would go on in HTTP/1.0 with an upstream that answered so, and lose streamed bodies.
    let home = speaks_11.then(|| Rc::clone(errand.pool));
    let body = ResponseBody::new(body, link, home, Arc::clone(errand.clock));
    Ok(Response::from_parts(head, Body::stream(body)))
}

/// Sends on an idle connection, or on a new one if there is none or it turns out to be closed
/// before anything was sent. What does no harm if it is done twice is also sent again where an idle
/// connection broke before it answered: the upstream may have closed it just then (RFC 9112
/// §9.3.1).
async fn exchange(
    mut request: Request<RequestBody>,
    errand: &Errand<'_>,
) -> Result<(Link, http::Response<Incoming>), ProxyError> {
    while let Some(mut link) = errand.pool.take(errand.clock.now()) {
        let again = repeatable(&request);
        match link.send(request).await {
            Ok(answer) => return Ok((link, answer)),
            Err(mut error) => match error.take_message().or(again) {
                Some(unsent) => request = unsent,
                None => return Err(ProxyError::Broken(error.into_error())),
            },
        }
    }
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, Link::connect(errand.pool.upstream()));
    let mut link =
        connecting.await.map_err(|_| ProxyError::Connect(std::io::ErrorKind::TimedOut.into()))??;
    let answer = link.send(request).await.map_err(|error| ProxyError::Broken(error.into_error()))?;
    Ok((link, answer))
}

/// A copy of a request that has no body and whose method is idempotent (RFC 9110 §9.2.2).
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let is_idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    );
    let body = request.body().copy_of_none().filter(|_| is_idempotent)?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
