//! A request on its way out.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::Fault;
use super::head::{Framing, Head};
use crate::proxy::request_body::RequestBody;

/// What is smaller goes out together with what stands before it.
const GATHERED: usize = 16 * 1024;

/// The bytes of a request that have yet to be written, and where more come from.
pub(in crate::proxy) struct Upload {
    out: Vec<u8>,
    sent: usize,
    data: Bytes,
    body: Option<RequestBody>,
    framing: Framing,
    /// Whether any of it was written.
    was_written: bool,
    /// Whether all that was written is still in `out`.
    repeats: bool,
    /// Whether the upstream takes no more: it may have answered nevertheless.
    is_deaf: bool,
}

impl Upload {
    /// Nothing to be sent.
    pub(super) fn none() -> Self {
        Self {
            out: Vec::new(),
            sent: 0,
            data: Bytes::new(),
            body: None,
            framing: Framing::None,
            was_written: false,
            repeats: true,
            is_deaf: false,
        }
    }

    /// A request with `head` and `body`.
    pub(in crate::proxy) fn new(head: Head, body: RequestBody) -> Self {
        let framing = body.framing();
        let has_body = !body.is_end_stream();
        let body = has_body.then_some(body);
        Self { out: head.end(framing), body, framing, repeats: !has_body, ..Self::none() }
    }

    /// The same from its beginning, to be written to another connection: if nothing of it was
    /// written, or if all of it is still there and `may_repeat` says that it does no harm twice.
    pub(in crate::proxy) fn again(mut self, may_repeat: bool) -> Option<Self> {
        self.sent = 0;
        self.is_deaf = false;
        (!self.was_written || self.repeats && may_repeat).then_some(self)
    }

    /// Whether everything has been written.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_deaf && self.body.is_none() && self.sent == self.out.len() && self.data.is_empty()
    }

    /// Writes what can be written. Ready when there is no more to write, or nobody to take it.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        loop {
            if self.is_deaf {
                return Poll::Ready(Ok(()));
            }
            self.gather(cx)?;
            let next = self.out.get(self.sent..).filter(|rest| !rest.is_empty()).unwrap_or(&self.data);
            if next.is_empty() {
                if ready!(Pin::new(&mut *io).poll_flush(cx)).is_err() {
                    self.give_up();
                    continue;
                }
                return if self.body.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let written = match ready!(Pin::new(&mut *io).poll_write(cx, next)) {
                Ok(0) | Err(_) => {
                    self.give_up();
                    continue;
                }
                Ok(written) => written,
            };
            self.was_written = true;
            if self.sent < self.out.len() { self.sent += written } else { self.data.advance(written) }
        }
    }

    /// Takes what the body has ready, so that short pieces go out in one write.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
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
            match frame.transpose().map_err(Fault::Upload)? {
                None => self.end(&HeaderMap::new())?,
                Some(frame) => match frame.into_data() {
                    Ok(data) => self.piece(data)?,
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => self.end(&trailers)?,
                        Err(_) => self.end(&HeaderMap::new())?,
                    },
                },
            }
        }
        Ok(())
    }

    fn piece(&mut self, data: Bytes) -> Result<(), Fault> {
        match &mut self.framing {
            Framing::Chunked if data.is_empty() => {}
            Framing::Chunked => {
                // Writing to a vector cannot fail.
                let _infallible = write!(self.out, "{:x}\r\n", data.len());
                self.out.extend_from_slice(&data);
                self.out.extend_from_slice(b"\r\n");
            }
            Framing::None => return Err(Fault::Upload("there is a body where none was announced".into())),
            Framing::Length(left) => {
                let longer = || Fault::Upload("the body is longer than it said".into());
                *left = left.checked_sub(data.len() as u64).ok_or_else(longer)?;
                if data.len() < GATHERED {
                    self.out.extend_from_slice(&data);
                } else {
                    self.data = data;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), Fault> {
        self.body = None;
        match self.framing {
            Framing::None | Framing::Length(0) => Ok(()),
            Framing::Length(_) => Err(Fault::Upload("the body is shorter than it said".into())),
            Framing::Chunked => {
                self.out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    self.out.extend_from_slice(name.as_str().as_bytes());
                    self.out.extend_from_slice(b": ");
                    self.out.extend_from_slice(value.as_bytes());
                    self.out.extend_from_slice(b"\r\n");
                }
                self.out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }

    fn give_up(&mut self) {
        self.is_deaf = true;
        if self.was_written {
            self.body = None;
            self.data = Bytes::new();
        }
    }
}
