//! A conversation in HTTP/2 on one connection.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method};
use http_body::Body as _;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::connections::{Answer, Limits};
use super::exchange::{AnswerBody, Exchanges, Tasks};
use super::frames::Budget;
use super::metered::Metered;
use crate::http::Response;
use crate::http::body::{Body, Incoming};
use crate::http::h2_head;
use crate::http::watch::Deadline;

/// Requests at one time on one connection, as most servers have it.
const STREAMS: u32 = 100;

/// Requests that were taken back before they were even looked at: as many as there can be.
const TAKEN_BACK: usize = STREAMS as usize;

/// Streams of one connection that may be reset for what is wrong with them (CVE-2025-8671): an
/// honest client hardly causes one.
const WRONG: usize = 256;

/// What a client may send of one body before somebody has read it. Of all together it may send as much: a body
/// that nobody reads must not hold up the others, and the library below takes small frames that wait for an
/// attack once they are too many for the window of the connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

/// What of an answer may wait to be sent.
const SEND_BUFFER: usize = 64 << 10;

/// How often a client is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_mins(1);
const PONG_TIME: Duration = Duration::from_secs(20);

/// Answers requests on `stream` until either side ends it, its time runs out, or `shutdown` says
/// so and what runs is finished.
pub(super) async fn converse<S, A>(
    stream: S,
    known: A::Connection,
    answer: Rc<A>,
    limits: Rc<Limits>,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Answer + 'static,
{
    let began = Instant::now();
    let deadline = answer.watch().deadline(limits.head_time.min(limits.body_time));
    let budget = Rc::new(Budget::new(began));
    let exchanges = Exchanges::new(began, Rc::clone(&deadline));
    let stream = Metered::new(stream, Rc::clone(&budget));
    let known = Rc::new(known);
    let (answering, counting) = (Rc::clone(&exchanges), Rc::clone(&budget));
    let service = service_fn(move |mut request: http::Request<_>| {
        let (answer, known, budget) = (Rc::clone(&answer), Rc::clone(&known), Rc::clone(&counting));
        let (exchange, exchanges) = (answering.begin(), Rc::clone(&answering));
        // In a box, as the library moves it about.
        Box::pin(async move {
            let stream = h2_head::asks_for_websocket(&request).then(|| hyper::upgrade::on(&mut request));
            let (mut head, body) = request.into_parts();
            let is_well_formed = h2_head::has_bare_values(&head.headers)
                && h2_head::has_plain_length(&head.headers)
                && h2_head::has_plain_target(&head.uri);
            if !is_well_formed {
                return Err(h2::Error::from(h2::Reason::PROTOCOL_ERROR));
            }
            let is_head = head.method == Method::HEAD;
            let body = if stream.is_some() { Incoming::None } else { Incoming::Http2(body) };
            h2_head::settle(&mut head);
            let mut request = http::Request::from_parts(head, body);
            let mut response = answer.answer(&mut request, &known).await;
            drop(request);
            budget.answered();
            if let Some(caching) = response.body().caching() {
                caching.put(response.headers_mut());
            }
            if let (Some(stream), Some(tunnel)) = (stream, response.body_mut().take_tunnel()) {
                h2_head::settle_websocket(&mut response);
                let stay = exchanges.stay();
                tokio::task::spawn_local(async move {
                    if let Ok(stream) = stream.await {
                        tunnel.carry(TokioIo::new(stream), Bytes::new()).await;
                    }
                    drop(stay);
                });
            }
            let response = if is_head { without_body(response) } else { response };
            if let Some(bond) = response.body().bond() {
                poll_fn(|cx| exchange.poll_bind(bond, cx)).await;
            }
            Ok(response.map(|body| AnswerBody::new(body, exchange)))
        })
    });
    let head_bytes = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(Tasks(Rc::clone(&exchanges)))
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .max_local_error_reset_streams(WRONG)
        .max_header_list_size(head_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_TIME)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut watchman = Watchman { began, budget, exchanges, deadline, limits, is_leaving: false };
    loop {
        let end = tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            end = poll_fn(|cx| watchman.poll(cx)) => end,
        };
        match end {
            End::Slow => return Ok(()),
            // The client was told, and still does not leave.
            End::Idle if watchman.is_leaving => return Ok(()),
            // It is told, so that it does not send a request just now.
            End::Idle => {
                connection.as_mut().graceful_shutdown();
                let goodbye = tokio::time::timeout(watchman.limits.head_time, connection);
                return goodbye.await.unwrap_or(Ok(()));
            }
            End::Draining => {
                connection.as_mut().graceful_shutdown();
                watchman.is_leaving = true;
            }
        }
    }
}

/// The answer to a HEAD: all of a GET's but the body (RFC 9110 §9.3.2).
fn without_body(mut response: Response) -> Response {
    let length = response.body().size_hint().exact().filter(|length| *length > 0);
    if let Some(length) = length {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    response.map(|_| Body::empty())
}

/// Why a connection is to end.
enum End {
    /// Nothing has been asked for in a long time, or for a while and others want its place.
    Idle,
    /// A head does not come to its end, or not even its beginning.
    Slow,
    /// The worker is to stop.
    Draining,
}

/// Looks at a connection now and then: nothing is armed for a request.
struct Watchman {
    began: Instant,
    budget: Rc<Budget>,
    exchanges: Rc<Exchanges>,
    deadline: Rc<Deadline>,
    limits: Rc<Limits>,
    is_leaving: bool,
}

impl Watchman {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<End> {
        if !self.is_leaving && self.deadline.watch().is_draining() {
            return Poll::Ready(End::Draining);
        }
        while self.deadline.is_over(cx.waker()) {
            match self.look() {
                Ok(next) => self.deadline.restart(next),
                Err(end) => return Poll::Ready(end),
            }
        }
        Poll::Pending
    }

    /// Cuts what is to be cut. How long until there may be something to see again, unless the
    /// connection is to end.
    fn look(&self) -> Result<Duration, End> {
        if self.deadline.is_evicted() {
            self.limits.traffic.evicted.add(1);
            return Err(End::Idle);
        }
        let now = Instant::now();
        self.exchanges.cut_stalled(now, self.limits.body_time);
        let since_head = if self.budget.has_begun() { self.budget.head_since() } else { Some(self.began) };
        let left = |since: Instant, limit: Duration| limit.checked_sub(now.duration_since(since));
        let head = since_head
            .map_or(Ok(self.limits.head_time), |since| left(since, self.limits.head_time).ok_or(End::Slow))?;
        let idle = self
            .exchanges
            .idle_since()
            .map_or(Ok(self.limits.idle_time), |since| left(since, self.limits.idle_time).ok_or(End::Idle))?;
        // Something may begin while nobody looks.
        Ok(head.min(idle).min(self.limits.body_time))
    }
}
