//! A visitor's connection below whatever is spoken on it: how much of what was said has left, and how it is
//! ended in a way that nobody takes for the end of what was said.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What can be asked of a connection besides bytes.
pub(super) trait Socket {
    /// Has the other side told, once the connection is dropped, that it broke: by a reset in place of an
    /// end. What it has not taken yet is lost.
    fn sever(&self);

    /// Bytes that the kernel has taken so far. What TLS has accepted and still keeps is not among them: it
    /// finds room for a little more even where the other side takes nothing.
    fn taken(&self) -> u64;
}

/// A socket that counts what the kernel takes.
#[derive(Debug)]
pub(super) struct Counted {
    inner: TcpStream,
    taken: u64,
}

impl Counted {
    pub(super) fn new(inner: TcpStream) -> Self {
        Self { inner, taken: 0 }
    }

    fn count(&mut self, written: usize) -> usize {
        self.taken += written as u64;
        written
    }
}

impl Socket for Counted {
    fn sever(&self) {
        let _best_effort = self.inner.set_zero_linger();
    }

    fn taken(&self) -> u64 {
        self.taken
    }
}

impl Socket for Box<TlsStream<Counted>> {
    fn sever(&self) {
        self.get_ref().0.sever();
    }

    fn taken(&self) -> u64 {
        self.get_ref().0.taken()
    }
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, bytes))?;
        Poll::Ready(Ok(this.count(written)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, slices))?;
        Poll::Ready(Ok(this.count(written)))
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
