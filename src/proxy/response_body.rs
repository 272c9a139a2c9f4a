//! An upstream's body on its way to the visitor.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::link::Link;
use super::pool::Pool;
use crate::domain::clock::Clock;
use crate::http::body::BodyError;

/// A body together with the connection that it comes from, which is polled for it and goes back
/// into the pool behind it.
pub(super) struct ResponseBody {
    inner: Incoming,
    link: Option<Link>,
    /// Where the connection goes afterwards; `None` if it is not to be used again.
    pool: Option<Rc<Pool>>,
    clock: Arc<dyn Clock>,
}

impl ResponseBody {
    pub(super) fn new(inner: Incoming, link: Link, pool: Option<Rc<Pool>>, clock: Arc<dyn Clock>) -> Self {
        let mut body = Self { inner, link: Some(link), pool, clock };
        if body.inner.is_end_stream() {
            body.release();
        }
        body
    }

    fn release(&mut self) {
        if let (Some(link), Some(pool)) = (self.link.take(), &self.pool) {
            pool.put(link, self.clock.now());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut polled = Pin::new(&mut this.inner).poll_frame(cx);
        if polled.is_pending()
            && let Some(link) = &mut this.link
        {
            link.drive(cx);
            polled = Pin::new(&mut this.inner).poll_frame(cx);
        }
        if matches!(polled, Poll::Ready(None)) {
            this.release();
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A reader that counts does not ask for the end of a body whose length it knows. A body
        // that was dropped half-read takes its connection with it.
        if self.inner.is_end_stream() {
            self.release();
        }
    }
}
