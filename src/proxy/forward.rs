//! Carrying one request to the upstream and its answer back.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem::take;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use hyper::body::Body as _;
use tokio::time::{Instant, sleep};

use super::backend::{Answered, Backend, Busy, Manner, Message, Source, Undelivered};
use super::idle_timeout::{IdleTimeout, may_be_silent};
use super::pin::{Holder, Pin};
use super::pool::Pool;
use super::request_body::{Progress, RequestBody};
use super::response_body::ResponseBody;
use super::rewrite::Introduction;
use super::streamed_body::StreamedBody;
use super::{ProxyError, relocate, tunnel};
use crate::config::Site;
use crate::domain::access::{Label, Permit};
use crate::domain::clock::{Clock, Moment, Timestamp};
use crate::domain::host::Origin;
use crate::domain::session::LiveSession;
use crate::http::body::{Body, BodyError};
use crate::http::caching;
use crate::http::client::Client;
use crate::http::connection::remove_hop_by_hop;
use crate::http::connection_auth;
use crate::http::cookies::{self, CookieNames};
use crate::http::forwarded::Whereabouts;
use crate::http::h1::may_have_body;
use crate::http::interim::Interim;
use crate::http::request_fields::RequestFields;
use crate::http::request_id::RequestId;
use crate::http::response_fields::{self, ResponseFields};
use crate::http::watch::{TICK, Watch};
use crate::http::websocket;
use crate::http::{Request, Response};
use crate::trace::Traced;

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

/// When a request got how far. Who is answered without an upstream never gets there.
#[derive(Debug)]
pub struct Stopwatch {
    /// When the gateway had it.
    pub began: Moment,
    /// When it was ready to be sent.
    pub(super) sent: Cell<Option<Moment>>,
    /// When there was the head of an answer.
    pub(super) answered: Cell<Option<Moment>>,
    /// Which upstream had it last.
    pub(super) upstream: Cell<usize>,
}

impl Stopwatch {
    /// Begins now.
    pub fn begin(now: Moment) -> Self {
        Self { began: now, sent: Cell::new(None), answered: Cell::new(None), upstream: Cell::new(0) }
    }

    /// Which upstream it was sent to, when, and when that answered, if it did.
    pub fn asked(&self) -> Option<(usize, Moment, Option<Moment>)> {
        Some((self.upstream.get(), self.sent.get()?, self.answered.get()))
    }

    /// When it was sent, and when it was answered, if it was.
    pub fn laps(&self) -> Option<(Moment, Moment)> {
        self.sent.get().zip(self.answered.get())
    }
}

/// What has to be known to carry a request.
pub struct Forwarding<'a> {
    /// The site.
    pub site: &'a Arc<Site>,
    /// What the request has.
    pub fields: RequestFields,
    /// The names of its cookies.
    pub cookie_names: &'a CookieNames,
    /// The worker's connections to its upstream.
    pub pool: &'a Rc<Pool>,
    /// Where a connection that was authenticated for this visitor is kept, if it may be.
    pub pin: Option<Rc<Pin>>,
    /// The client.
    pub client: &'a Client,
    /// The Host that the client asked for, with its port.
    pub host: &'a HeaderValue,
    /// Where the visitor finds the site.
    pub origin: &'a Origin,
    /// Where the request comes from, for the upstream to know.
    pub whereabouts: &'a Whereabouts,
    /// Which cookies the upstream may see.
    pub cookies: ShownCookies,
    /// Whether the visitor asked for pages without the site's own frame around them.
    pub chromeless: bool,
    /// The request's name.
    pub request_id: &'a RequestId,
    /// The trace that it belongs to, if it does to any.
    pub trace: Option<&'a Traced>,
    /// What the upstream is told of the visitor, if that is written already.
    pub introduction: Option<&'a Introduction>,
    /// The signed word about the visitor, if the site wants one.
    pub assertion: Option<&'a HeaderValue>,
    /// The target in origin-form, less the token.
    pub target: &'a Uri,
    /// Path and query of the second target, if there is one: what `Destination` says.
    pub destination: Option<&'a str>,
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
    /// When the request got how far.
    pub stopwatch: &'a Stopwatch,
}

/// What comes of a request that was forwarded.
pub enum Forwarded {
    /// The answer for the visitor.
    Answer(Response),
    /// An answer that the upstream has for others.
    Withheld(Box<Withheld>),
}

/// A request whose answer is not for whoever made it. Of that answer nothing is left.
pub struct Withheld {
    /// With what right it was forwarded.
    pub permit: Permit,
    /// What the upstream asks; `None` if that cannot be read.
    pub label: Option<Label>,
}

/// Forwards a request that has a permit, and takes its body for that. The response streams.
pub async fn forward(
    permit: Permit,
    request: &mut Request,
    forwarding: Forwarding<'_>,
) -> Result<Forwarded, ProxyError> {
    let body = take(request.body_mut());
    let (method, came, fields) = (request.method(), request.headers(), forwarding.fields);
    let announced = body.size_hint().exact();
    if forwarding.site.max_body.zip(announced).is_some_and(|(limit, length)| length > limit) {
        return Err(ProxyError::BodyTooLong);
    }
    let session = permit.visitor();
    let pinned = forwarding.pin.as_ref().and_then(|pin| pin.take(forwarding.pool, session));
    let was_pinned = pinned.is_some();
    let (chosen, pinned) = match pinned {
        Some((index, link)) => (forwarding.pool.backend(index).map(|backend| (index, backend)), Some(link)),
        None => (forwarding.pool.choose(&[], forwarding.stopwatch.began.timestamp()), None),
    };
    let (first, backend) = chosen.ok_or(ProxyError::Nowhere)?;
    let authenticates = fields.authorization && connection_auth::is_asked(came);
    let manner = Manner { pinned, authenticates, interim: forwarding.interim };
    // Who streams questions may have none for a while.
    let is_stream = fields.content_type && may_be_silent(came);
    let silence = if is_stream { Duration::MAX } else { forwarding.body_time };
    let progress = Progress::begin(forwarding.watch, session, forwarding.site.upstream_timeout, silence);
    let body =
        RequestBody::new(body, fields.content_length, Arc::clone(forwarding.site), Rc::clone(&progress));
    let message = backend.message(method, came, body, &permit, &forwarding);
    let under_way = Cell::new(first);
    let sent = forwarding.clock.moment();
    let now = sent.timestamp();
    forwarding.stopwatch.sent.set(Some(sent));
    forwarding.stopwatch.upstream.set(first);
    let answered = {
        let mut exchange =
            pin!(exchange(message, method, &forwarding, (&under_way, backend, manner, now), &progress));
        let answered = poll_fn(|cx| match exchange.as_mut().poll(cx) {
            _ if progress.is_revoked(cx.waker()) => Poll::Ready(Err(ProxyError::SessionEnded)),
            Poll::Ready(answered) => Poll::Ready(answered),
            Poll::Pending => {
                progress.lateness(cx.waker()).map_or(Poll::Pending, |late| Poll::Ready(Err(late)))
            }
        });
        answered.await.and_then(|answered| answered.unless_unasked(came, &forwarding)).inspect_err(|error| {
            if error.is_upstreams() {
                forwarding.pool.failed(under_way.get(), forwarding.clock.now());
            }
        })
    };
    let Answered { status, mut headers, source, mut busy } = answered?;
    let answered = forwarding.clock.moment();
    forwarding.stopwatch.answered.set(Some(answered));
    forwarding.pool.answered(under_way.get(), sent.micros_until(answered));
    progress.answered();
    let fields = ResponseFields::of(&headers);
    if was_pinned || authenticates || fields.authentication && connection_auth::is_spoken_of(&headers) {
        let pin = forwarding.pin.as_ref();
        let holder = |pin| Holder::new(pin, forwarding.pool, under_way.get(), session, forwarding.watch);
        busy.reserve(pin.map(holder));
    }
    if fields.has_label {
        let label = response_fields::label(&headers).and_then(|value| Label::parse(value.as_bytes()));
        if !label.as_ref().is_some_and(|label| label.admits(&permit, forwarding.client.own_address())) {
            throw_away(status, source, &mut busy, answered.timestamp());
            return Ok(Forwarded::Withheld(Box::new(Withheld { permit, label })));
        }
        response_fields::remove_label(&mut headers);
    }
    let caching = caching::restrict(&mut headers, fields, permit.sharing());
    // First: what comes of it is looked at as if the upstream had said it.
    if fields.set_cookie || fields.address {
        relocate::relocate(&mut headers, &forwarding);
    }
    // What browsers would then ask people for does not get as far as the upstream.
    if fields.authentication && forwarding.site.identity.authorize() {
        headers.remove(WWW_AUTHENTICATE);
    }
    if fields.set_cookie {
        cookies::refuse_foreign(&mut headers, forwarding.cookie_names);
    }
    let body = match source {
        Source::Link(link) if status == StatusCode::SWITCHING_PROTOCOLS => {
            headers.insert(UPGRADE, websocket::WEBSOCKET);
            let (upstream, leftover) = link.into_parts();
            let deadline = forwarding.watch.bound(Duration::MAX, session);
            Body::tunnel(tunnel::to_upstream(upstream, leftover, deadline, busy))
        }
        Source::Link(mut link) => match link.take_whole() {
            Some(whole) => {
                busy.give_back(link, Some(answered.timestamp()));
                Body::from(whole)
            }
            None => in_time(ResponseBody::new(link, busy), &headers, session, &forwarding),
        },
        Source::Stream(stream, slot, body_sender) => {
            remove_hop_by_hop(&mut headers);
            connection_auth::remove(&mut headers);
            // What HTTP/2 lets an upstream send nonetheless goes no further (RFC 9110 §6.4.1).
            let is_over = !may_have_body(status, *method == Method::HEAD) || stream.is_end_stream();
            let body = (!is_over).then(|| StreamedBody::new(stream, slot, body_sender, busy));
            body.map_or_else(Body::empty, |body| in_time(body, &headers, session, &forwarding))
        }
    };
    Ok(Forwarded::Answer(answered_with(status, headers, body.with_caching(caching))))
}

/// Leaves an answer unread. A connection whose answer is there as a whole can be used again; any other
/// is closed, and a stream is reset.
fn throw_away(status: StatusCode, source: Source, busy: &mut Busy, now: Timestamp) {
    if let Source::Link(mut link) = source
        && status != StatusCode::SWITCHING_PROTOCOLS
        && link.take_whole().is_some()
    {
        busy.give_back(link, Some(now));
    }
}

/// `body`, between whose pieces no more time may pass than the operator allows, and which ends
/// with the session.
fn in_time<B>(
    body: B,
    headers: &HeaderMap,
    session: Option<&Arc<LiveSession>>,
    forwarding: &Forwarding<'_>,
) -> Body
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Unpin + 'static,
{
    let deadline = || forwarding.watch.bound(Duration::MAX, session);
    let patient = |body, deadline| IdleTimeout::new(body, deadline, forwarding.body_time);
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

impl Answered {
    /// The same, unless it switches protocols though that was not what `came` asked for (RFC 9110 §7.8).
    fn unless_unasked(self, came: &HeaderMap, forwarding: &Forwarding<'_>) -> Result<Self, ProxyError> {
        let agrees = || forwarding.websocket.is_some_and(|key| websocket::agrees(key, came, &self.headers));
        let may = self.status != StatusCode::SWITCHING_PROTOCOLS || agrees();
        if may { Ok(self) } else { Err(ProxyError::UnaskedUpgrade) }
    }
}

fn answered_with(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Sends to one upstream after another, until one takes the request. `under_way` is where it is.
async fn exchange(
    mut message: Message,
    method: &Method,
    forwarding: &Forwarding<'_>,
    (under_way, mut backend, mut manner, mut now): (&Cell<usize>, &Rc<Backend>, Manner<'_>, Timestamp),
    progress: &Progress,
) -> Result<Answered, ProxyError> {
    let (mut tried, mut out_of_files_since) = (Vec::new(), None);
    loop {
        let next_time = Manner { pinned: None, authenticates: manner.authenticates, interim: manner.interim };
        let failure = match backend.carry(message, method, manner, now).await {
            Ok(answered) => return Ok(answered),
            Err(Undelivered::Lost(error)) => return Err(progress.blame(error)),
            Err(Undelivered::Unsent(unsent, error)) => {
                message = unsent;
                error
            }
        };
        manner = next_time;
        if matches!(failure, ProxyError::OutOfFiles { .. }) {
            // No upstream can do anything about that; but it passes.
            let since = *out_of_files_since.get_or_insert_with(Instant::now);
            if since.elapsed() > forwarding.site.upstreams.connect_timeout {
                return Err(failure);
            }
            forwarding.watch.make_room();
            progress.pause();
            // Boxed, as it is hardly ever needed.
            Box::pin(sleep(TICK)).await;
            progress.waits_for_upstream();
            now = forwarding.clock.now();
            continue;
        }
        now = forwarding.clock.now();
        tried.push(under_way.get());
        let Some((next, another)) = forwarding.pool.choose(&tried, now) else { return Err(failure) };
        forwarding.pool.failed(under_way.get(), now);
        under_way.set(next);
        forwarding.stopwatch.upstream.set(next);
        backend = another;
        backend.address(&mut message, forwarding);
    }
}
