//! How long a connection may take for what: a head has to come soon, an idle connection may wait.
//!
//! One timer goes along with a connection and looks again when its time is up: nothing is armed
//! for a request.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::http::body::{Body, BodyError};

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The rest of a head, or the first one.
    Head,
    /// Its answer.
    Answer,
    /// Another request, perhaps.
    Idle,
}

/// A connection's times.
#[derive(Debug)]
pub(super) struct Pace {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    head_time: Duration,
    idle_time: Duration,
}

impl Pace {
    /// A connection on which a head is to come within `head_time`, and each further one to begin
    /// within `idle_time`.
    pub(super) fn new(head_time: Duration, idle_time: Duration) -> Rc<Self> {
        let (phase, since) = (Cell::new(Phase::Head), Cell::new(Instant::now()));
        Rc::new(Self { phase, since, head_time, idle_time })
    }

    /// A head is there, and is being answered.
    pub(super) fn answering(&self) {
        self.phase.set(Phase::Answer);
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    fn read_something(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// Ends when the connection has waited too long for what it waits for.
    pub(super) async fn run_out(&self) {
        loop {
            let now = Instant::now();
            let deadline = match self.phase.get() {
                Phase::Head => self.since.get() + self.head_time,
                Phase::Idle => self.since.get() + self.idle_time,
                // How long that takes is not the connection's business.
                Phase::Answer => now + self.head_time.min(self.idle_time),
            };
            if deadline <= now {
                return;
            }
            // A head may begin while an idle connection is slept over.
            tokio::time::sleep_until(deadline.min(now + self.head_time)).await;
        }
    }
}

/// A stream that tells its pace when something comes in.
pub(super) struct PacedStream<S> {
    inner: S,
    pace: Rc<Pace>,
}

impl<S> PacedStream<S> {
    pub(super) fn new(inner: S, pace: Rc<Pace>) -> Self {
        Self { inner, pace }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.pace.read_something();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// A response's body that tells the pace when it is through.
pub(super) struct PacedBody {
    inner: Body,
    pace: Rc<Pace>,
}

impl PacedBody {
    pub(super) fn new(inner: Body, pace: Rc<Pace>) -> Self {
        Self { inner, pace }
    }
}

impl http_body::Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        self.pace.enter(Phase::Idle);
    }
}
