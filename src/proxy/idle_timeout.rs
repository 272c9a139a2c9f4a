//! How long an upstream may be silent in the middle of an answer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body, SizeHint};

use crate::http::body::{BodyError, Polled};
use crate::http::watch::Deadline;

/// A body that breaks off when nothing comes for too long.
pub(super) struct IdleTimeout<B> {
    inner: B,
    deadline: Rc<Deadline>,
    limit: Duration,
    waits: bool,
}

impl<B> IdleTimeout<B> {
    /// `inner`, between whose pieces no more than `limit` may pass, by a deadline of its own.
    pub(super) fn new(inner: B, deadline: Rc<Deadline>, limit: Duration) -> Self {
        deadline.pause();
        Self { inner, deadline, limit, waits: false }
    }
}

/// Whether an answer with `headers` may be silent for as long as it likes: those that tell of events
/// as they happen have nothing to say in between.
pub(super) fn may_be_silent(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    let begins = |with: &[u8]| kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"text/event-stream") || begins(b"application/grpc")
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for IdleTimeout<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match (polled.is_pending(), this.waits) {
            (true, false) => this.deadline.restart(this.limit),
            (false, true) => this.deadline.pause(),
            _ => {}
        }
        this.waits = polled.is_pending();
        if this.waits && this.deadline.is_over(cx.waker()) {
            return Poll::Ready(Some(Err("the upstream fell silent in the middle of its answer".into())));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
