//! An answer's body that comes over HTTP/2, on its way to the visitor.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, SizeHint};
use hyper::body::Incoming;

use super::backend::Busy;
use super::body_channel::BodySender;
use super::http2::StreamSlot;
use super::response_body::clean;
use crate::http::body::{BodyError, Polled};

const CUT: &str = "the upstream ended its answer before it was complete";

/// A body together with its place on the connection, and with what is left of the request. Who
/// does not read it to its end resets the stream by dropping it.
pub(super) struct StreamedBody {
    inner: Incoming,
    body_sender: BodySender,
    _slot: StreamSlot,
    busy: Busy,
}

impl StreamedBody {
    pub(super) fn new(inner: Incoming, slot: StreamSlot, body_sender: BodySender, busy: Busy) -> Self {
        Self { inner, body_sender, _slot: slot, busy }
    }
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        this.body_sender.poll(cx);
        let frame: Result<_, BodyError> = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(frame) => frame.map_err(Into::into),
            // hyper takes a stream that was reset with NO_ERROR for complete, since that is how an
            // upstream says after its answer that it wants no more of the request (RFC 9113 §8.1).
            // Without the mark of the end before it, it is not.
            None if !this.inner.is_end_stream() => Err(CUT.into()),
            None => return Poll::Ready(None),
        };
        let frame = frame.inspect_err(|error| this.busy.broke_off(error));
        Poll::Ready(Some(frame.map(|mut frame| {
            clean(&mut frame);
            frame
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
