//! A request's body on its way to the upstream.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::config::Site;
use crate::http::body::BodyError;
use crate::http::client::Client;
use crate::http::connection::remove_hop_by_hop;
use crate::http::forged::is_forged;

/// What is known of a body that is under way.
#[derive(Debug)]
pub(super) struct Progress {
    /// When its last piece went out, or its request began.
    pub(super) last: Cell<Instant>,
    /// Whether it got longer than the site allows.
    pub(super) too_long: Cell<bool>,
}

impl Progress {
    pub(super) fn begin() -> Rc<Self> {
        Rc::new(Self { last: Cell::new(Instant::now()), too_long: Cell::new(false) })
    }
}

/// The visitor's body: measured, and with its trailers cleaned as the headers were.
pub(super) struct RequestBody {
    inner: Incoming,
    left: Option<u64>,
    progress: Rc<Progress>,
    site: Arc<Site>,
    client: Client,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, site: Arc<Site>, client: Client, progress: Rc<Progress>) -> Self {
        Self { left: site.max_body, inner, progress, site, client }
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

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(cx)) else { return Poll::Ready(None) };
        this.progress.last.set(Instant::now());
        let mut frame = frame?;
        this.measure(&frame)?;
        if let Some(trailers) = frame.trailers_mut() {
            remove_hop_by_hop(trailers);
            let is_forged = |name: &&HeaderName| is_forged(name, &this.site.identity, &this.client);
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
