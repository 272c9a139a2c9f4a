//! A request's body on its way to the upstream.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::http::body::Incoming;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, EXPECT, HOST,
    HeaderName, REFERER,
};
use http_body::{Body, Frame, SizeHint};

use super::ProxyError;
use crate::config::Site;
use crate::domain::session::LiveSession;
use crate::http::body::{BodyError, Polled};
use crate::http::connection::remove_hop_by_hop;
use crate::http::forged::is_forged;
use crate::http::h1::Framing;
use crate::http::watch::{Deadline, Watch};

/// Fields that mean something to the whole request, and so have no place behind it (RFC 9110
/// §6.5.1).
const FORBIDDEN_TRAILERS: [HeaderName; 10] = [
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    REFERER,
    HeaderName::from_static("destination"),
];

/// What is known of a request that is under way.
#[derive(Debug)]
pub(super) struct Progress {
    deadline: Rc<Deadline>,
    upstream_timeout: Duration,
    /// How long the client may leave a body that it announced unsent.
    body_time: Duration,
    /// Whether the upstream waits for the client.
    waits_for_client: Cell<bool>,
    too_long: Cell<bool>,
    broken: Cell<bool>,
}

impl Progress {
    /// A request that begins now on the strength of `session`, to an upstream that may be silent for
    /// `upstream_timeout`.
    pub(super) fn begin(
        watch: &Rc<Watch>,
        session: Option<&Arc<LiveSession>>,
        upstream_timeout: Duration,
        body_time: Duration,
    ) -> Rc<Self> {
        Rc::new(Self {
            deadline: watch.bound(upstream_timeout, session),
            upstream_timeout,
            body_time,
            waits_for_client: Cell::new(false),
            too_long: Cell::new(false),
            broken: Cell::new(false),
        })
    }

    /// Whether the session is over: nobody is to have the answer, be it there by now or not.
    pub(super) fn is_revoked(&self, waker: &Waker) -> bool {
        self.deadline.is_revoked(waker)
    }

    /// Why nobody should wait any longer, if that is so. A long upload is not a slow answer: as
    /// long as it moves, nobody is late.
    pub(super) fn lateness(&self, waker: &Waker) -> Option<ProxyError> {
        let is_over = self.deadline.is_over(waker);
        let late = if self.waits_for_client.get() { ProxyError::BodyTooSlow } else { ProxyError::Timeout };
        is_over.then_some(late)
    }

    /// There is nobody to be late for the time being: no upstream can be asked.
    pub(super) fn pause(&self) {
        self.deadline.pause();
    }

    /// It is for the upstream to answer, whose time begins now.
    pub(super) fn waits_for_upstream(&self) {
        self.waits_for_client.set(false);
        self.deadline.restart(self.upstream_timeout);
    }

    /// The answer has begun.
    pub(super) fn answered(&self) {
        self.deadline.meet();
    }

    /// Whose fault `error` is: an upstream that lost its client's body did nothing wrong.
    pub(super) fn blame(&self, error: ProxyError) -> ProxyError {
        match error {
            _ if self.too_long.get() => ProxyError::BodyTooLong,
            _ if self.broken.get() => ProxyError::BodyBroken,
            other => other,
        }
    }

    fn client_is_silent(&self) {
        if !self.waits_for_client.replace(true) {
            self.deadline.restart(self.body_time);
        }
    }
}

/// The visitor's body: measured, and with its trailers cleaned as the headers were.
pub(super) struct RequestBody {
    inner: Incoming,
    framing: Framing,
    left: Option<u64>,
    progress: Rc<Progress>,
    site: Arc<Site>,
}

impl RequestBody {
    /// The body of a request, whose head says how long it is or does not.
    pub(super) fn new(inner: Incoming, says_length: bool, site: Arc<Site>, progress: Rc<Progress>) -> Self {
        let framing = match inner.size_hint().exact() {
            // Whoever says that there is nothing may be asked to say so (RFC 9110 §8.6).
            Some(0) if !says_length => Framing::None,
            Some(length) => Framing::Length(length),
            // Its length is not known: whatever the method, the body has to be framed.
            None => Framing::Chunked,
        };
        Self { left: site.max_body, inner, framing, progress, site }
    }

    /// How the upstream is told where it ends.
    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    fn measure(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        let (Some(left), Some(data)) = (self.left.as_mut(), frame.data_ref()) else { return Ok(()) };
        let rest = left.checked_sub(data.len() as u64);
        *left = rest.unwrap_or(0);
        if rest.is_none() {
            self.progress.too_long.set(true);
            return Err("the body is longer than the site allows".into());
        }
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            this.progress.client_is_silent();
            return Poll::Pending;
        };
        this.progress.waits_for_upstream();
        let Some(frame) = frame else { return Poll::Ready(None) };
        let mut frame = frame.inspect_err(|_| this.progress.broken.set(true))?;
        this.measure(&frame)?;
        if let Some(trailers) = frame.trailers_mut() {
            remove_hop_by_hop(trailers);
            let is_forged =
                |name: &&HeaderName| is_forged(name, &this.site) || FORBIDDEN_TRAILERS.contains(name);
            let forged: Vec<HeaderName> = trailers.keys().filter(is_forged).cloned().collect();
            for name in forged {
                trailers.remove(name);
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
