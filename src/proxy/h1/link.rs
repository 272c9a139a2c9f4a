//! One connection to an upstream, driven by whoever uses it.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::answer::{self, Answer};
use super::download::{Download, Next};
use super::{Fault, Upload};
use crate::http::h1::{FieldCache, make_room};
use crate::http::interim::Interim;
use crate::proxy::stream::is_of_tls;

/// Room for an answer's head, and for a short body behind it.
const HEAD_ROOM: usize = 8 * 1024;

/// Interim answers that are borne with before the answer itself is missed.
const MAX_INTERIM: u8 = 32;

/// A connection with what has been read from it. Nothing happens on it unless it is polled.
pub(in crate::proxy) struct Link<S> {
    io: S,
    incoming: BytesMut,
    /// What answers have said so far.
    fields: FieldCache,
    upload: Upload,
    download: Download,
    to_head: bool,
    interim: u8,
    /// Whether any of the answer has come.
    has_spoken: bool,
    /// Whether it could serve again once all is through.
    persists: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(in crate::proxy) fn new(io: S) -> Self {
        Self {
            io,
            incoming: BytesMut::new(),
            fields: FieldCache::default(),
            upload: Upload::none(),
            download: Download::Done,
            to_head: false,
            interim: 0,
            has_spoken: false,
            persists: true,
        }
    }

    /// Begins a request. `to_head` says that it is a HEAD.
    pub(in crate::proxy) fn begin(&mut self, upload: Upload, to_head: bool) {
        self.upload = upload;
        self.to_head = to_head;
        self.interim = 0;
        self.has_spoken = false;
        self.persists = false;
    }

    /// Writes the request, and waits for the head of its answer. 101 is one; the other interim
    /// answers go to `interim`, but for 100: to say that is ours (RFC 9110 §15.2).
    pub(in crate::proxy) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        interim: Option<&Interim>,
    ) -> Poll<Result<Answer, Fault>> {
        // The answer may come before the request is through.
        let _goes_on = self.upload.poll(&mut self.io, cx)?;
        loop {
            if !self.incoming.is_empty()
                && let Some(answer) = answer::take(&mut self.incoming, self.to_head, &mut self.fields)?
            {
                if !answer.status.is_informational() || answer.status == 101 {
                    self.persists = answer.persists;
                    self.download = Download::of(answer.ending);
                    return Poll::Ready(Ok(answer));
                }
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Poll::Ready(Err(Fault::Malformed("there are interim answers without end")));
                }
                if let Some(interim) = interim.filter(|_| answer.status != StatusCode::CONTINUE) {
                    interim.tell(answer.status, &answer.headers);
                }
                continue;
            }
            match ready!(self.poll_read(HEAD_ROOM, cx)) {
                Err(error) if is_of_tls(&error) => return Poll::Ready(Err(Fault::Io(error))),
                // A reset often hides an orderly end.
                Ok(0) | Err(_) if !self.has_spoken => return Poll::Ready(Err(Fault::Unanswered)),
                Ok(0) => return Poll::Ready(Err(Fault::Truncated)),
                Ok(_) => self.has_spoken = true,
                Err(error) => return Poll::Ready(Err(Fault::Io(error))),
            }
        }
    }

    /// The next piece of the answer's body. What is left of the request goes on meanwhile.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let _goes_on = self.upload.poll(&mut self.io, cx)?;
        loop {
            if let Poll::Ready(next) = self.download.take(&mut self.incoming)? {
                return Poll::Ready(match next {
                    Next::Frame(frame) => Some(Ok(frame)),
                    Next::End => None,
                });
            }
            if ready!(self.poll_read(self.download.appetite(), cx)).map_err(Fault::Io)? == 0 {
                self.download.close()?;
            }
        }
    }

    /// The answer's whole body, if all of it is there already.
    pub(in crate::proxy) fn take_whole(&mut self) -> Option<Bytes> {
        match self.download {
            Download::Done => Some(Bytes::new()),
            Download::Length(left) if usize::try_from(left).is_ok_and(|left| left <= self.incoming.len()) => {
                match self.download.take(&mut self.incoming) {
                    Poll::Ready(Ok(Next::Frame(frame))) => frame.into_data().ok(),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether the answer's body has been read to its end.
    pub(in crate::proxy) fn is_downloaded(&self) -> bool {
        self.download.is_done()
    }

    /// Whether both sides are through, nothing is left over, and the connection is to go on.
    pub(in crate::proxy) fn is_through(&self) -> bool {
        self.persists && self.download.is_done() && self.upload.is_complete() && self.incoming.is_empty()
    }

    pub(in crate::proxy) fn size_hint(&self) -> SizeHint {
        self.download.size_hint()
    }

    /// Whether it can carry another request now: the upstream has neither hung up nor said anything
    /// since.
    pub(in crate::proxy) fn is_reusable(&mut self) -> bool {
        self.is_through() && self.poll_read(1, &mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// The request, from a connection on which nothing came back.
    pub(in crate::proxy) fn into_upload(self) -> Upload {
        self.upload
    }

    /// The bare connection, and what has been read from it beyond the answer's head.
    pub(in crate::proxy) fn into_parts(self) -> (S, Bytes) {
        (self.io, self.incoming.freeze())
    }

    fn poll_read(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        make_room(&mut self.incoming, room);
        pin!(self.io.read_buf(&mut self.incoming)).poll(cx)
    }
}
