//! Connections to an upstream that speaks HTTP/2, each of which carries many requests at a time.
//!
//! No single request can drive one, so they have tasks of their own. What one visitor does must not
//! stall the others: each stream has a window of its own for what its visitor has not read yet, and
//! the connection as a whole has room for all of them.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::uri::{Authority, Parts, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;

use super::ProxyError;
use super::backend::MAX_IDLE_TIME;
use super::body_channel::{BodyReceiver, BodySender};
use super::stream::{self, Stream};
use crate::domain::clock::{Clock, Timestamp};

/// Bytes of an answer that may wait for a slow visitor: a client may leave a hundred answers unread.
const STREAM_WINDOW: u32 = 128 * 1024;

/// The most that HTTP/2 knows (RFC 9113 §6.9.1): streams hold back each for itself.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// The longest head that an upstream may send.
const MAX_HEAD: u32 = 256 * 1024;

/// A worker's connections in HTTP/2 to one upstream.
#[derive(Default)]
pub(super) struct Http2Connections {
    open: RefCell<Vec<Rc<Http2Connection>>>,
    /// Whoever makes a connection holds this, and makes it for all who wait.
    connecting: Mutex<()>,
    /// How often that failed.
    failures: Cell<u64>,
}

impl Http2Connections {
    /// A place on a connection with room.
    pub(super) fn free_slot(&self, clock: &Arc<dyn Clock>) -> Option<StreamSlot> {
        let open = self.open.borrow();
        open.iter()
            .find(|connection| connection.has_room())
            .map(|connection| StreamSlot::on(Rc::clone(connection), Arc::clone(clock)))
    }

    /// A place on a connection that `begin` makes. One of those who wait makes it for all of them;
    /// if that fails it has failed for all of them, and only the one who tried knows why. Where there is no
    /// file for it, nothing has been tried, and each finds that out.
    pub(super) async fn open_slot(
        &self,
        clock: &Arc<dyn Clock>,
        begin: impl AsyncFnOnce() -> Result<Http2Connection, ProxyError>,
    ) -> Result<StreamSlot, Option<ProxyError>> {
        let failures = self.failures.get();
        let _turn = self.connecting.lock().await;
        if let Some(slot) = self.free_slot(clock) {
            return Ok(slot);
        }
        if self.failures.get() != failures {
            return Err(None);
        }
        let connection = begin().await.inspect_err(|error| {
            if !matches!(error, ProxyError::OutOfFiles { .. }) {
                self.failures.set(failures + 1);
            }
        })?;
        let connection = Rc::new(connection);
        self.open.borrow_mut().push(Rc::clone(&connection));
        Ok(StreamSlot::on(connection, Arc::clone(clock)))
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// Closes what has been idle for too long, and forgets what is closed.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.open.borrow_mut().retain(|connection| {
            let rests =
                connection.streams.get() == 0 && connection.idle_since.get().until(now) >= MAX_IDLE_TIME;
            !connection.sender.is_closed() && !rests
        });
    }
}

/// A connection in HTTP/2.
pub(super) struct Http2Connection {
    sender: SendRequest<BodyReceiver>,
    /// How many streams the upstream allows at a time.
    room: Rc<Cell<usize>>,
    streams: Cell<usize>,
    /// When the last stream ended.
    idle_since: Cell<Timestamp>,
}

/// Runs what belongs to a connection on the worker's own thread.
#[derive(Clone)]
pub(super) struct OnThisThread;

impl<F: Future + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl Http2Connection {
    /// Begins to speak HTTP/2 on `stream`. That it is spoken there is known (RFC 9113 §3.3). Waits for
    /// the upstream's first word, which says how many streams there may be: those who are one too
    /// many for a connection would wait there for others to end.
    pub(super) async fn begin(stream: Stream, now: Timestamp) -> hyper::Result<Self> {
        let first_word = Rc::<FirstWord>::default();
        let stream = Listening { stream, first_word: Rc::clone(&first_word) };
        let (sender, mut connection) = http2::Builder::new(OnThisThread)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            .initial_max_send_streams(0)
            .handshake(TokioIo::new(stream))
            .await?;
        poll_fn(|cx| {
            if connection.current_max_send_streams() > 0 {
                first_word.waker.replace(None);
                return Poll::Ready(Ok(()));
            }
            first_word.waker.replace(Some(cx.waker().clone()));
            // It ends if what comes is not HTTP/2.
            Pin::new(&mut connection).poll(cx)
        })
        .await?;
        let room = Rc::new(Cell::new(connection.current_max_send_streams()));
        let seen = Rc::clone(&room);
        tokio::task::spawn_local(async move {
            let ended = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                seen.set(connection.current_max_send_streams());
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(target: "tollgate::proxy", %error, "a connection to an upstream ended badly");
            }
        });
        Ok(Self { sender, room, streams: Cell::new(0), idle_since: Cell::new(now) })
    }

    /// Whether it can carry one more request at once.
    fn has_room(&self) -> bool {
        !self.sender.is_closed() && self.streams.get() < self.room.get()
    }
}

/// Who waits for the upstream to say something.
#[derive(Default)]
struct FirstWord {
    waker: Cell<Option<Waker>>,
}

/// A stream that wakes whoever waits for something to be read. The connection has made of it what
/// it can by the time they look.
struct Listening {
    stream: Stream,
    first_word: Rc<FirstWord>,
}

impl AsyncRead for Listening {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.first_word.waker.take().into_iter().for_each(Waker::wake);
        }
        read
    }
}

impl AsyncWrite for Listening {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A request on a [`Http2Connection`].
pub(super) struct StreamSlot {
    connection: Rc<Http2Connection>,
    clock: Arc<dyn Clock>,
}

/// A request that got no answer.
pub(super) struct Failure {
    pub(super) error: hyper::Error,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Request<BodyReceiver>>,
}

impl StreamSlot {
    fn on(connection: Rc<Http2Connection>, clock: Arc<dyn Clock>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self { connection, clock }
    }

    /// Sends a request, whose body `body_sender` gives, and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        request: Request<BodyReceiver>,
        body_sender: &mut BodySender,
    ) -> Result<Response<Incoming>, Failure> {
        let mut answer = pin!(self.connection.sender.clone().try_send_request(request));
        let answered = poll_fn(|cx| {
            body_sender.poll(cx);
            answer.as_mut().poll(cx)
        });
        answered
            .await
            .map_err(|mut error| Failure { unsent: error.take_message(), error: error.into_error() })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get().saturating_sub(1));
        self.connection.idle_since.set(self.clock.now());
    }
}

/// Whether the upstream says that it has not even looked at the request: then it may be sent again
/// whatever it is (RFC 9113 §8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    cause(error).is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (refused || error.is_go_away())
    })
}

/// Whether it was not HTTP/2 what came: of the errors that the library below makes itself there are no others.
pub(super) fn is_malformed(error: &hyper::Error) -> bool {
    cause(error).is_some_and(h2::Error::is_library)
}

/// Whether TLS had something to say against it.
pub(super) fn is_of_tls(error: &hyper::Error) -> bool {
    error.source().and_then(<dyn std::error::Error>::downcast_ref).is_some_and(stream::is_of_tls)
}

/// Whether the connection broke. Of an error of that kind the library below keeps the cause alone.
pub(super) fn is_broken(error: &hyper::Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>)
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

/// The whole target, as HTTP/2 takes scheme and host from it (RFC 9113 §8.3.1).
pub(super) fn whole(target: &Uri, scheme: &Scheme, authority: Authority) -> Option<Uri> {
    let mut parts = Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = target.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

/// A request that has no body once more.
pub(super) fn copy(request: &Request<BodyReceiver>) -> Option<Request<BodyReceiver>> {
    let mut copy = request.body().is_end_stream().then(|| Request::new(BodyReceiver::of_none()))?;
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = Version::HTTP_2;
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
