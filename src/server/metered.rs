//! A stream in which the frames of HTTP/2 are counted as they pass.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Budget, Frames};

/// A stream whose reader may not spend more than `budget`: what it reads is then an error, and the
/// connection is over.
pub(super) struct Metered<S> {
    inner: S,
    incoming: Frames,
    outgoing: Frames,
    budget: Rc<Budget>,
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S, budget: Rc<Budget>) -> Self {
        Self { inner, incoming: Frames::incoming(), outgoing: Frames::outgoing(), budget }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let came = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.incoming.came(came, &this.budget).map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, bytes))?;
        this.outgoing.went(bytes.get(..written).unwrap_or_default(), &this.budget);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let part = slice.get(..left.min(slice.len())).unwrap_or_default();
            this.outgoing.went(part, &this.budget);
            left -= part.len();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
