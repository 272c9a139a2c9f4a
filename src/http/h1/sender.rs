//! A message on its way out.

use std::io::{IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::fields::{Framing, put};
use crate::http::body::BodyError;

/// What is smaller goes out together with what stands before it.
const GATHERED: usize = 16 * 1024;

/// Why a message could not be sent whole.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    /// Its own body failed, or was not as long as it said.
    #[error("the body broke off: {0}")]
    Body(#[source] BodyError),
}

/// The bytes of a message that have yet to be written, and where more come from.
pub struct Sender<B> {
    out: Vec<u8>,
    sent: usize,
    data: Bytes,
    body: Option<B>,
    framing: Framing,
    /// Bytes that were written.
    written: u64,
    /// Whether what was written has left us.
    is_flushed: bool,
    /// Whether all that was written is still in `out`.
    repeats: bool,
    /// Whether the other side takes no more: it may have said something nevertheless.
    is_deaf: bool,
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Sender<B> {
    /// Nothing to be sent.
    pub fn none() -> Self {
        Self {
            out: Vec::new(),
            sent: 0,
            data: Bytes::new(),
            body: None,
            framing: Framing::None,
            written: 0,
            is_flushed: true,
            repeats: true,
            is_deaf: false,
        }
    }

    /// A message with `head`, which ends in an empty line, and a `body` that is framed as the head
    /// says.
    pub fn new(head: Vec<u8>, framing: Framing, body: B) -> Self {
        let has_body = !body.is_end_stream() && framing != Framing::None;
        let body = has_body.then_some(body);
        Self { out: head, body, framing, repeats: !has_body, ..Self::none() }
    }

    /// The same from its beginning, to be written to another connection: if nothing of it was
    /// written, or if all of it is still there and `may_repeat` says that it does no harm twice.
    pub fn again(mut self, may_repeat: bool) -> Option<Self> {
        self.sent = 0;
        self.is_deaf = false;
        self.is_flushed = true;
        (self.written == 0 || self.repeats && may_repeat).then_some(self)
    }

    /// Lets `change` have the head, as long as nothing of it was written.
    pub fn edit(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        if self.written == 0 {
            change(&mut self.out);
        }
    }

    /// Whether everything has been written.
    pub fn is_complete(&self) -> bool {
        !self.is_deaf && self.has_ended()
    }

    /// Whether the other side stopped taking anything.
    pub fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Its body broke off: what there is of it still goes out, and no end behind it. Of a message that
    /// only the end of the connection ends nothing more does, as it would look whole.
    pub fn break_off(&mut self) {
        self.body = None;
        if self.framing == Framing::Closing {
            self.is_deaf = true;
        }
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The buffer, to be used for another message.
    pub fn into_buffer(mut self) -> Vec<u8> {
        self.out.clear();
        self.out
    }

    /// Writes what can be written. Ready when there is no more to write, or nobody to take it.
    pub fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        loop {
            self.gather(cx)?;
            if self.has_ended() {
                return Poll::Ready(Ok(()));
            }
            if self.is_flushed() {
                return Poll::Pending;
            }
            ready!(self.poll_flush(io, cx));
        }
    }

    /// Whether nothing more will be written: because that was all, or because nobody takes it.
    pub fn has_ended(&self) -> bool {
        self.is_deaf || self.body.is_none() && self.is_flushed()
    }

    /// Whether there is nothing to be written until the body goes on.
    pub fn is_flushed(&self) -> bool {
        self.is_flushed && self.sent == self.out.len() && self.data.is_empty()
    }

    /// Writes what has been gathered. Ready when that is done, or nobody takes it.
    pub fn poll_flush<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_deaf {
            let head = self.out.get(self.sent..).unwrap_or_default();
            if head.is_empty() && self.data.is_empty() {
                if self.is_flushed {
                    break;
                }
                match ready!(Pin::new(&mut *io).poll_flush(cx)) {
                    Ok(()) => self.is_flushed = true,
                    Err(_) => self.give_up(),
                }
                continue;
            }
            let io = Pin::new(&mut *io);
            // What is large has not been copied behind its head, and yet goes out with it.
            let attempt = match (head.is_empty(), self.data.is_empty()) {
                (false, false) if io.is_write_vectored() => {
                    io.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(&self.data)])
                }
                (false, _) => io.poll_write(cx, head),
                (true, _) => io.poll_write(cx, &self.data),
            };
            let written = match ready!(attempt) {
                Ok(0) | Err(_) => {
                    self.give_up();
                    continue;
                }
                Ok(written) => written,
            };
            let of_head = written.min(head.len());
            self.written += written as u64;
            self.is_flushed = false;
            self.sent += of_head;
            self.data.advance(written - of_head);
        }
        Poll::Ready(())
    }

    /// Takes what the body has ready, so that short pieces go out in one write.
    pub fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), Unsent> {
        while self.data.is_empty()
            && let Some(body) = &mut self.body
        {
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
            }
            if self.out.len() >= GATHERED {
                return Ok(());
            }
            let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else { return Ok(()) };
            let Some(frame) = frame.transpose().map_err(Unsent::Body)? else {
                self.end(&HeaderMap::new())?;
                return Ok(());
            };
            match frame.into_data() {
                Ok(data) => self.piece(data)?,
                Err(frame) => self.end(&frame.into_trailers().unwrap_or_default())?,
            }
        }
        Ok(())
    }

    fn piece(&mut self, data: Bytes) -> Result<(), Unsent> {
        match &mut self.framing {
            Framing::Chunked if data.is_empty() => return Ok(()),
            Framing::Chunked => {
                // Writing to a vector cannot fail.
                let _infallible = write!(self.out, "{:x}\r\n", data.len());
                self.out.extend_from_slice(&data);
                self.out.extend_from_slice(b"\r\n");
                return Ok(());
            }
            Framing::None => return Err(Unsent::Body("there is a body where there can be none".into())),
            Framing::Length(left) => {
                let longer = || Unsent::Body("it is longer than it said".into());
                *left = left.checked_sub(data.len() as u64).ok_or_else(longer)?;
            }
            Framing::Closing => {}
        }
        if data.len() < GATHERED {
            self.out.extend_from_slice(&data);
        } else {
            self.data = data;
        }
        // Whoever counts need not ask for the end, and by asking would learn of it only later.
        if self.framing == Framing::Length(0) {
            self.body = None;
        }
        Ok(())
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), Unsent> {
        self.body = None;
        match self.framing {
            Framing::None | Framing::Length(0) | Framing::Closing => Ok(()),
            Framing::Length(_) => Err(Unsent::Body("it is shorter than it said".into())),
            Framing::Chunked => {
                self.out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    put(&mut self.out, name.as_str().as_bytes(), value.as_bytes());
                }
                self.out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }

    fn give_up(&mut self) {
        self.is_deaf = true;
        if self.written > 0 {
            self.body = None;
            self.data = Bytes::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::task::Waker;

    use super::*;
    use crate::http::body::Body;

    /// A stream that takes so many bytes at a time, and notes what it is given.
    struct Narrow {
        width: usize,
        taken: Vec<u8>,
        writes: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = all.get(..self.width).unwrap_or(&all);
            self.taken.extend_from_slice(taken);
            self.writes += 1;
            Poll::Ready(Ok(taken.len()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn head_and_body_go_out_together_and_whole_however_little_is_taken() {
        let (head, page) = (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; GATHERED + 5]);
        for width in [1, 7, head.len() - 1, head.len(), head.len() + 1, GATHERED, usize::MAX] {
            let mut stream = Narrow { width, taken: Vec::new(), writes: 0 };
            let framing = Framing::Length(page.len() as u64);
            let mut sender = Sender::new(head.clone(), framing, Body::from(page.clone()));
            let sent = sender.poll(&mut stream, &mut Context::from_waker(Waker::noop()));
            assert!(matches!(sent, Poll::Ready(Ok(()))) && sender.is_complete(), "{width}");
            assert!(stream.taken == [&head[..], &page].concat(), "{width}");
            assert_eq!(stream.writes, stream.taken.len().div_ceil(width), "{width}");
        }
    }
}
