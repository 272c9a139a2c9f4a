//! A request's body, for whoever answers it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use bytes::Bytes;
use http_body::{Body, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::Wire;
use crate::http::body::{BodyError, Polled};

/// Reads the present request's body from the wire.
pub(super) struct RequestBody<S: AsyncRead + AsyncWrite + Unpin>(Rc<Wire<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> RequestBody<S> {
    pub(super) fn new(wire: Rc<Wire<S>>) -> Self {
        wire.attend(true);
        Self(wire)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Body for RequestBody<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        self.0.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_through()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.body_length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for RequestBody<S> {
    fn drop(&mut self) {
        self.0.attend(false);
    }
}
