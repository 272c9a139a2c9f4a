//! One upstream as a worker uses it: its connections, and how much is under way on them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Version};
use hyper::body::Incoming;

use super::body_channel::{BodyReceiver, BodySender, body_channel};
use super::connect::connect;
use super::figures::UpstreamCounters;
use super::fleet::{Fleet, Member};
use super::forward::Forwarding;
use super::http2::{self, Http2Connection, Http2Connections, StreamSlot};
use super::names::Names;
use super::pin::Holder;
use super::request_body::RequestBody;
use super::rewrite::to_upstream;
use super::stream::{Stream, is_of_tls};
use super::{ProxyError, h1};
use crate::domain::access::Permit;
use crate::domain::clock::{Clock, Timestamp};
use crate::http::connection_auth;
use crate::http::h1::Fields as _;
use crate::http::interim::Interim;
use crate::http::webdav::DESTINATION;

/// Idle connections in HTTP/1.1 that are kept: enough for the bursts of one worker.
const MAX_IDLE: usize = 128;

/// How long a connection is kept idle.
pub(super) const MAX_IDLE_TIME: Duration = Duration::from_mins(1);

/// Room for what the gateway itself tells the upstream.
const OWN_FIELDS: usize = 16;

/// We pass trailers on, and so may say that they are welcome where the client says so.
static TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
/// It concerns this connection alone.
static TE_ALONE: HeaderValue = HeaderValue::from_static("te");

/// A connection in HTTP/1.1.
pub(super) type Link = h1::Link<Stream>;

/// One upstream and a worker's connections to it.
pub(super) struct Backend {
    fleet: Arc<Fleet>,
    pub(super) member: Arc<Member>,
    /// What this worker counts of it.
    pub(super) counters: Arc<UpstreamCounters>,
    clock: Arc<dyn Clock>,
    names: Names,
    /// Requests whose answers are not complete yet.
    in_flight: Cell<usize>,
    /// Idle connections in HTTP/1.1, the last used on top: under little load the rest grows old and
    /// is closed.
    idle: RefCell<Vec<(Timestamp, Box<Link>)>>,
    /// Connections in HTTP/2.
    http2: Http2Connections,
}

/// A request as it is sent.
pub(super) enum Message {
    Http1(h1::Upload),
    Http2(Box<http::Request<BodyReceiver>>, BodySender),
}

/// On which connection in HTTP/1.1 a request may be sent, and what becomes of its answer.
#[derive(Default)]
pub(super) struct Manner<'a> {
    /// The one that is kept for its visitor.
    pub(super) pinned: Option<Box<Link>>,
    /// Whether it authenticates the connection, and so is never sent twice.
    pub(super) authenticates: bool,
    /// Where interim answers go, if the client can take any.
    pub(super) interim: Option<&'a Interim>,
}

/// The head of an answer, and where its body comes from.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) source: Source,
    pub(super) busy: Busy,
}

/// Where an answer's body comes from.
pub(super) enum Source {
    Link(Box<Link>),
    Stream(Incoming, StreamSlot, BodySender),
}

/// A request that got no answer.
pub(super) enum Undelivered {
    /// Nothing of it was sent, or nothing of it was looked at: it may go to another upstream.
    Unsent(Message, ProxyError),
    /// It was, and nobody knows what became of it.
    Lost(ProxyError),
}

impl Backend {
    pub(super) fn new(fleet: &Arc<Fleet>, member: &Arc<Member>, clock: &Arc<dyn Clock>) -> Self {
        Self {
            fleet: Arc::clone(fleet),
            member: Arc::clone(member),
            counters: member.counters.enlist(),
            clock: Arc::clone(clock),
            names: Names::default(),
            in_flight: Cell::new(0),
            idle: RefCell::default(),
            http2: Http2Connections::default(),
        }
    }

    /// Requests whose answers are not complete yet.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// A request that `came` with `body`, as it is sent here.
    pub(super) fn message(
        &self,
        method: &Method,
        came: &HeaderMap,
        body: RequestBody,
        permit: &Permit,
        forwarding: &Forwarding<'_>,
    ) -> Message {
        if !self.fleet.speaks_http2 {
            let mut head = h1::Head::new(method, forwarding.target);
            let fields = head.fields();
            if to_upstream(came, permit, forwarding, &self.member.host, fields) {
                fields.put(&TE, &TRAILERS);
                fields.put(&CONNECTION, &TE_ALONE);
            }
            if let Some(destination) = self.destination(forwarding) {
                fields.put(&DESTINATION, &destination);
            }
            return Message::Http1(head.with(body));
        }
        let mut headers = HeaderMap::with_capacity(came.len() + OWN_FIELDS);
        if to_upstream(came, permit, forwarding, &self.member.host, &mut headers) {
            headers.put(&TE, &TRAILERS);
        }
        // It is said in the target.
        headers.remove(HOST);
        connection_auth::remove(&mut headers);
        let (body_sender, body_receiver) = body_channel(body);
        let mut request = http::Request::new(body_receiver);
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers;
        *request.version_mut() = Version::HTTP_2;
        let mut message = Message::Http2(Box::new(request), body_sender);
        self.address(&mut message, forwarding);
        message
    }

    /// Says in `message` that it is for this upstream, if that has to be said.
    pub(super) fn address(&self, message: &mut Message, forwarding: &Forwarding<'_>) {
        let Member { scheme, authority, host, .. } = &*self.member;
        let own = !forwarding.site.preserve_host;
        let destination = self.destination(forwarding);
        match message {
            Message::Http1(upload) => {
                if own {
                    upload.edit(|head| h1::readdress(head, host));
                }
                if let Some(destination) = destination {
                    upload.edit(|head| h1::replace(head, &DESTINATION, &destination));
                }
            }
            Message::Http2(request, _) => {
                let visited = (!own).then(|| Authority::try_from(forwarding.host.as_bytes()).ok()).flatten();
                let authority = visited.unwrap_or_else(|| authority.clone());
                if let Some(whole) = http2::whole(forwarding.target, scheme, authority) {
                    *request.uri_mut() = whole;
                }
                if let Some(destination) = destination {
                    request.headers_mut().insert(&DESTINATION, destination);
                }
            }
        }
    }

    /// The second target of a request, if it has one, as this upstream knows it: under the scheme that
    /// it speaks and the Host that it is given.
    fn destination(&self, forwarding: &Forwarding<'_>) -> Option<HeaderValue> {
        let target = forwarding.destination?;
        let Member { scheme, host, .. } = &*self.member;
        let host = if forwarding.site.preserve_host { forwarding.host } else { host };
        HeaderValue::from_str(&format!("{scheme}://{}{target}", host.to_str().ok()?)).ok()
    }

    /// Sends on a connection that is there, or on a new one if there is none or it turns out to be
    /// closed before anything was sent. What does no harm if it is done twice is also sent again,
    /// once, where a connection that had been used before broke without an answer: the upstream
    /// may have closed it just then (RFC 9112 §9.3.1).
    pub(super) async fn carry(
        self: &Rc<Self>,
        message: Message,
        method: &Method,
        manner: Manner<'_>,
        now: Timestamp,
    ) -> Result<Answered, Undelivered> {
        match message {
            Message::Http1(upload) => self.carry_over_http1(upload, method, manner, now).await,
            Message::Http2(request, body_sender) => self.carry_over_http2(request, body_sender, now).await,
        }
    }

    async fn carry_over_http1(
        self: &Rc<Self>,
        mut upload: h1::Upload,
        method: &Method,
        mut manner: Manner<'_>,
        now: Timestamp,
    ) -> Result<Answered, Undelivered> {
        let busy = Busy::with(self);
        let to_head = method == Method::HEAD;
        // Of what authenticates a connection, each word is for the one on which the last was said.
        let may_repeat = is_idempotent(method) && !manner.authenticates;
        while let Some(mut link) = manner.pinned.take().or_else(|| self.take(now)) {
            link.begin(upload, to_head);
            match poll_fn(|cx| link.poll_answer(cx, manner.interim)).await {
                Ok(answer) => return Ok(Answered::on_link(answer, link, busy)),
                Err(fault @ h1::Fault::Unanswered) => {
                    let unanswered = link.into_upload();
                    let was_sent = unanswered.written() > 0;
                    let again = unanswered.again(may_repeat);
                    upload = again.ok_or_else(|| Undelivered::Lost(self.failed(fault)))?;
                    if was_sent {
                        break;
                    }
                }
                Err(fault) => return Err(Undelivered::Lost(self.failed(fault))),
            }
        }
        let stream = match Box::pin(self.connect(now)).await {
            Ok(stream) => stream,
            Err(error) => return Err(Undelivered::Unsent(Message::Http1(upload), error)),
        };
        let mut link = Box::new(Link::new(stream));
        link.begin(upload, to_head);
        match poll_fn(|cx| link.poll_answer(cx, manner.interim)).await {
            Ok(answer) => Ok(Answered::on_link(answer, link, busy)),
            Err(fault @ h1::Fault::Unanswered) => {
                let error = self.failed(fault);
                Err(match link.into_upload().again(false) {
                    Some(unsent) => Undelivered::Unsent(Message::Http1(unsent), error),
                    None => Undelivered::Lost(error),
                })
            }
            Err(fault) => Err(Undelivered::Lost(self.failed(fault))),
        }
    }

    async fn carry_over_http2(
        self: &Rc<Self>,
        mut request: Box<http::Request<BodyReceiver>>,
        mut body_sender: BodySender,
        now: Timestamp,
    ) -> Result<Answered, Undelivered> {
        let busy = Busy::with(self);
        let is_harmless = is_idempotent(request.method());
        while let Some(slot) = self.http2.free_slot(&self.clock) {
            let spare = http2::copy(&request);
            match slot.send(*request, &mut body_sender).await {
                Ok(answer) => {
                    return self.over_http2(answer, slot, body_sender, busy).map_err(Undelivered::Lost);
                }
                Err(http2::Failure { unsent: Some(unsent), .. }) => request = Box::new(unsent),
                Err(http2::Failure { error, unsent: None }) => {
                    let may_repeat = http2::is_unprocessed(&error) || is_harmless && http2::is_broken(&error);
                    match spare.filter(|_| may_repeat) {
                        Some(spare) => {
                            request = Box::new(spare);
                            break;
                        }
                        None => return Err(Undelivered::Lost(self.broken(error))),
                    }
                }
            }
        }
        let begin = async || {
            let begun = Http2Connection::begin(Box::pin(self.connect(now)).await?, now);
            let begun = tokio::time::timeout(self.fleet.connect_timeout, begun).await;
            let begun = begun.map_err(|_| self.unreachable(io::ErrorKind::TimedOut.into()))?;
            begun.map_err(|error| match self.broken(error) {
                // Whoever hangs up before a first word speaks no HTTP/2.
                ProxyError::Broken { upstream, error } => ProxyError::Unreadable { upstream, error },
                other => other,
            })
        };
        let slot = match self.http2.open_slot(&self.clock, begin).await {
            Ok(slot) => slot,
            Err(error) => {
                let error = error.unwrap_or_else(|| self.unreachable(io::ErrorKind::NotConnected.into()));
                return Err(Undelivered::Unsent(Message::Http2(request, body_sender), error));
            }
        };
        let spare = http2::copy(&request);
        match slot.send(*request, &mut body_sender).await {
            Ok(answer) => self.over_http2(answer, slot, body_sender, busy).map_err(Undelivered::Lost),
            Err(http2::Failure { error, unsent }) => {
                let unprocessed = unsent.or_else(|| spare.filter(|_| http2::is_unprocessed(&error)));
                let error = self.broken(error);
                Err(match unprocessed {
                    Some(request) => {
                        Undelivered::Unsent(Message::Http2(Box::new(request), body_sender), error)
                    }
                    None => Undelivered::Lost(error),
                })
            }
        }
    }

    /// An answer in HTTP/2, if it is one.
    fn over_http2(
        &self,
        answer: http::Response<Incoming>,
        slot: StreamSlot,
        body_sender: BodySender,
        busy: Busy,
    ) -> Result<Answered, ProxyError> {
        let (head, body) = answer.into_parts();
        // There is no switching of protocols there (RFC 9113 §8.6).
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ProxyError::UnaskedUpgrade);
        }
        if head.headers.get_all(CONTENT_LENGTH).into_iter().nth(1).is_some() {
            let error = "it has more than one length".into();
            return Err(ProxyError::Unreadable { upstream: self.name(), error });
        }
        let source = Source::Stream(body, slot, body_sender);
        Ok(Answered { status: head.status, headers: head.headers, source, busy })
    }

    /// An idle connection that is still good.
    fn take(&self, now: Timestamp) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some((since, mut link)) = idle.pop() {
            if since.until(now) < MAX_IDLE_TIME && is_good(&mut link) {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read, if it can carry another request.
    fn put(&self, link: Box<Link>, now: Option<Timestamp>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE && link.is_through() {
            idle.push((now.unwrap_or_else(|| self.clock.now()), link));
        }
    }

    /// Closes what has been idle for too long or was closed by the upstream.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.idle
            .borrow_mut()
            .retain_mut(|(since, link)| since.until(now) < MAX_IDLE_TIME && link.is_reusable());
        self.http2.sweep(now);
    }

    /// Lets others know how much is under way, and how much waits: now and then, so that no request has
    /// to.
    pub(super) fn publish(&self) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.counters.idle.set(count(self.idle.borrow().len() + self.http2.count()));
        self.counters.in_flight.set(count(self.in_flight()));
    }

    async fn connect(&self, now: Timestamp) -> Result<Stream, ProxyError> {
        connect(&self.member, &self.names, now, self.fleet.connect_timeout).await
    }

    fn name(&self) -> String {
        self.member.upstream.to_string()
    }

    fn unreachable(&self, error: io::Error) -> ProxyError {
        ProxyError::Connect { upstream: self.name(), error }
    }

    /// What a fault in HTTP/1.1 means.
    fn failed(&self, fault: h1::Fault) -> ProxyError {
        let upstream = self.name();
        match fault {
            h1::Fault::Upload(_) => ProxyError::BodyBroken,
            h1::Fault::Io(error) if is_of_tls(&error) => ProxyError::Tls { upstream, error: error.into() },
            h1::Fault::Unanswered | h1::Fault::Truncated | h1::Fault::Io(_) => {
                ProxyError::Broken { upstream, error: fault.into() }
            }
            h1::Fault::Malformed(_) | h1::Fault::Framing(_) | h1::Fault::Ambiguous => {
                ProxyError::Unreadable { upstream, error: fault.into() }
            }
        }
    }

    /// What an error in HTTP/2 means.
    fn broken(&self, error: hyper::Error) -> ProxyError {
        let upstream = self.name();
        match error {
            error if http2::is_of_tls(&error) => ProxyError::Tls { upstream, error: error.into() },
            error if http2::is_malformed(&error) => ProxyError::Unreadable { upstream, error: error.into() },
            error => ProxyError::Broken { upstream, error: error.into() },
        }
    }
}

impl Drop for Backend {
    /// What is counted here goes on with somebody else, and nothing waits or is under way any more.
    fn drop(&mut self) {
        self.counters.idle.set(0);
        self.counters.in_flight.set(0);
    }
}

/// Whether an idle connection is still good. A task that has used up its turn would see nothing of
/// what is there to be read, and take it for the answer to its own request.
pub(super) fn is_good(link: &mut Link) -> bool {
    let mut look = tokio::task::unconstrained(poll_fn(|_| Poll::Ready(link.is_reusable())));
    matches!(Pin::new(&mut look).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(true))
}

/// Whether a request with `method` does no harm if it is done twice (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

impl Answered {
    fn on_link(answer: h1::Answer, link: Box<Link>, busy: Busy) -> Self {
        Self { status: answer.status, headers: answer.headers, source: Source::Link(link), busy }
    }
}

/// While it lives, a request is under way.
pub(super) struct Busy {
    backend: Rc<Backend>,
    afterwards: Afterwards,
}

/// What becomes of a connection behind an answer.
enum Afterwards {
    /// Anybody may have it.
    Pooled,
    /// Nobody.
    Closed,
    /// One visitor.
    Pinned(Box<Holder>),
}

impl Busy {
    fn with(backend: &Rc<Backend>) -> Self {
        backend.in_flight.set(backend.in_flight.get() + 1);
        Self { backend: Rc::clone(backend), afterwards: Afterwards::Pooled }
    }

    /// The connection has been authenticated, or is to be: it is its `holder`'s from now on, and if
    /// there is none, it is closed.
    pub(super) fn reserve(&mut self, holder: Option<Holder>) {
        self.afterwards = holder.map_or(Afterwards::Closed, |holder| Afterwards::Pinned(Box::new(holder)));
    }

    /// The upstream broke its answer off when the visitor had its head already.
    pub(super) fn broke_off(&self, error: &dyn std::fmt::Display) {
        self.backend.counters.failed.add_alone(1);
        let upstream = self.backend.name();
        tracing::warn!(target: "tollgate::proxy", upstream, %error, "an upstream broke an answer off");
    }

    /// Keeps a connection whose answer has been read, if it can carry another request. Whoever knows what
    /// time it is `now` spares looking.
    pub(super) fn give_back(&mut self, link: Box<Link>, now: Option<Timestamp>) {
        match std::mem::replace(&mut self.afterwards, Afterwards::Closed) {
            Afterwards::Pooled => self.backend.put(link, now),
            Afterwards::Closed => {}
            Afterwards::Pinned(holder) => holder.keep(link),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.backend.in_flight.set(self.backend.in_flight.get().saturating_sub(1));
    }
}
