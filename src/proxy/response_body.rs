//! An upstream's body on its way to the visitor.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION,
    SET_COOKIE, VARY, WWW_AUTHENTICATE,
};
use http_body::{Body, Frame, SizeHint};

use super::backend::{Busy, Link};
use super::h1::Fault;
use crate::http::body::{BodyError, Polled};
use crate::http::connection::remove_hop_by_hop;
use crate::http::response_fields::remove_label;

/// Fields that mean something to the whole answer, and so have no place behind it (RFC 9110 §6.5.1).
/// Some of them are looked at in the head, and whoever joins trailers to heads would take these for
/// what had been looked at: cookies in the gateway's name above all.
const FORBIDDEN_TRAILERS: [HeaderName; 9] = [
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    LOCATION,
    SET_COOKIE,
    VARY,
    WWW_AUTHENTICATE,
];

/// A body together with the connection that it comes from, which is polled for it and goes back
/// into the pool behind it.
pub(super) struct ResponseBody {
    /// `None` once all has been read.
    link: Option<Box<Link>>,
    busy: Busy,
}

impl ResponseBody {
    pub(super) fn new(link: Box<Link>, busy: Busy) -> Self {
        Self { link: Some(link), busy }
    }

    fn release(&mut self) {
        if let Some(link) = self.link.take() {
            self.busy.give_back(link, None);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        let Some(link) = &mut this.link else { return Poll::Ready(None) };
        let mut frame = ready!(link.poll_frame(cx));
        match &mut frame {
            None => this.release(),
            Some(Ok(frame)) => clean(frame),
            Some(Err(fault)) => {
                if !matches!(fault, Fault::Upload(_)) {
                    this.busy.broke_off(fault);
                }
                this.link = None;
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.is_downloaded())
    }

    fn size_hint(&self) -> SizeHint {
        self.link.as_ref().map_or(SizeHint::with_exact(0), |link| link.size_hint())
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A reader that counts does not ask for the end of a body whose length it knows. A body
        // that was dropped half-read takes its connection with it.
        if self.is_end_stream() {
            self.release();
        }
    }
}

/// Takes out of trailers what is said to the gateway alone, as it is taken out of a head, and what can
/// be said in a head alone.
pub(super) fn clean(frame: &mut Frame<Bytes>) {
    if let Some(trailers) = frame.trailers_mut() {
        remove_hop_by_hop(trailers);
        remove_label(trailers);
        for name in &FORBIDDEN_TRAILERS {
            trailers.remove(name);
        }
    }
}
