//! A connection that is being talked on.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::http::body::Polled;
use crate::http::h1::{Chunked, FramingFault, Head, HeadReader, Length, Piece, make_room};
use crate::http::watch::Deadline;
use crate::server::connections::Limits;
use crate::server::h1::LAST_WORDS;

/// Room for what comes in: most heads are shorter.
const ROOM: usize = 4 * 1024;

/// Room for a body that comes in.
const BODY_ROOM: usize = 64 * 1024;

/// What is read ahead of whoever should take it, to see whether the client is still there.
const AHEAD: usize = 16 * 1024;

/// A socket, what has been read from it, and what of that belongs to the present request.
pub(super) struct Wire<S> {
    io: RefCell<S>,
    incoming: RefCell<BytesMut>,
    /// Whether the server is to stop and the client gets its last words.
    is_last_call: Cell<bool>,
    body: RefCell<Receiving>,
    /// Interim answers, as far as the client has not taken them.
    early: RefCell<BytesMut>,
    /// Whether the client waits to be told to send its body.
    continue_due: Cell<bool>,
    /// Whether somebody has the body and may yet read it.
    is_attended: Cell<bool>,
    /// Whether the client keeps us waiting: with a body, or by not reading.
    is_stalled: Cell<bool>,
    pub(super) deadline: Rc<Deadline>,
    head_bytes: usize,
    head_time: Duration,
    body_time: Duration,
}

/// How much of the present request's body is to come.
enum Receiving {
    Length(u64),
    Chunked(Chunked),
    /// It broke off, or is malformed.
    Broken,
}

/// What a client says next.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and nearly always a request")]
pub(super) enum Said {
    Request(Head),
    /// It has been silent for a while.
    Nothing,
    /// It left, or has to.
    Goodbye,
    /// What cannot be understood.
    Nonsense(FramingFault),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Talks on `io`, from which `beginning` has been read already.
    pub(super) fn new(io: S, beginning: BytesMut, deadline: Rc<Deadline>, limits: &Limits) -> Self {
        Self {
            io: RefCell::new(io),
            incoming: RefCell::new(beginning),
            is_last_call: Cell::default(),
            body: RefCell::new(Receiving::Length(0)),
            early: RefCell::default(),
            continue_due: Cell::new(false),
            is_attended: Cell::new(false),
            is_stalled: Cell::new(false),
            deadline,
            head_bytes: limits.head_bytes,
            head_time: limits.head_time,
            body_time: limits.body_time,
        }
    }

    /// The bare socket, if nothing has been read from it that was not used.
    pub(super) fn into_silent(self) -> Option<S> {
        self.incoming.borrow().is_empty().then_some(())?;
        Some(self.io.into_inner())
    }

    /// The socket, and what has been read from it beyond the request.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.io.into_inner(), self.incoming.into_inner().freeze())
    }

    /// Waits for a request's head, which is the next of `heads`.
    pub(super) fn poll_head(&self, heads: &mut HeadReader, cx: &mut Context<'_>) -> Poll<Said> {
        loop {
            {
                let mut incoming = self.incoming.borrow_mut();
                if !incoming.is_empty() {
                    let was_nothing = heads.is_nothing();
                    match heads.take(&mut incoming, self.head_bytes) {
                        Ok(Some(head)) => return Poll::Ready(Said::Request(self.begin(head))),
                        // It has begun, perhaps behind the request before: all of a head's time is still to come.
                        Ok(None) if was_nothing && !heads.is_nothing() => {
                            self.deadline.restart(self.head_time);
                        }
                        Ok(None) => {}
                        Err(fault) => return Poll::Ready(Said::Nonsense(fault)),
                    }
                }
            }
            let was_silent = self.incoming.borrow().is_empty();
            match self.poll_fill(ROOM, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Said::Goodbye),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending if self.deadline.is_over(cx.waker()) => {
                    let is_silent = was_silent && heads.is_nothing() && !self.is_last_call.get();
                    return Poll::Ready(if is_silent { Said::Nothing } else { Said::Goodbye });
                }
                Poll::Pending => {
                    if was_silent && self.deadline.watch().is_draining() && !self.is_last_call.replace(true) {
                        self.deadline.restart(LAST_WORDS.min(self.head_time));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn begin(&self, head: Head) -> Head {
        self.deadline.pause();
        self.continue_due.set(head.expects_continue);
        *self.body.borrow_mut() = match head.length {
            Length::Known(length) => Receiving::Length(length),
            Length::Chunked => Receiving::Chunked(Chunked::default()),
        };
        head
    }

    /// Reads on while somebody else works on the request. Ready when the client is gone, or has
    /// kept us waiting for too long.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        while self.incoming.borrow().len() < AHEAD {
            match self.poll_fill(ROOM, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        self.poll_late(cx)
    }

    /// Ready when the client has kept us waiting for too long.
    pub(super) fn poll_late(&self, cx: &mut Context<'_>) -> Poll<()> {
        let is_late = self.is_stalled.get() && self.deadline.is_over(cx.waker());
        if is_late { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The next piece of the request's body.
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Polled {
        loop {
            match self.take_piece() {
                Poll::Ready(piece) => {
                    return Poll::Ready(piece.transpose().map(|piece| piece.map_err(Into::into)));
                }
                Poll::Pending if self.continue_due.get() => {
                    ready!(self.poll_continue(cx))?;
                }
                Poll::Pending => {}
            }
            match self.poll_fill(BODY_ROOM, cx)? {
                Poll::Ready(0) => {
                    self.body.replace(Receiving::Broken);
                    return Poll::Ready(Some(Err("the connection was closed in the middle of it".into())));
                }
                Poll::Ready(_) => {}
                Poll::Pending => {
                    self.stall();
                    return Poll::Pending;
                }
            }
        }
    }

    fn take_piece(&self) -> Poll<Result<Option<Frame<Bytes>>, FramingFault>> {
        let (mut incoming, mut body) = (self.incoming.borrow_mut(), self.body.borrow_mut());
        let taken = match &mut *body {
            Receiving::Length(0) => Poll::Ready(Ok(None)),
            Receiving::Length(_) if incoming.is_empty() => Poll::Pending,
            Receiving::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(incoming.len());
                *left -= here as u64;
                Poll::Ready(Ok(Some(Frame::data(incoming.split_to(here).freeze()))))
            }
            Receiving::Chunked(chunked) => chunked.take(&mut incoming).map_ok(|piece| match piece {
                Piece::Data(data) => Some(Frame::data(data)),
                Piece::Trailers(trailers) => Some(Frame::trailers(trailers)),
                Piece::End => None,
            }),
            Receiving::Broken => Poll::Ready(Err(FramingFault::Chunk)),
        };
        if matches!(taken, Poll::Ready(Err(_))) {
            *body = Receiving::Broken;
        }
        taken
    }

    /// Says that the body may come (RFC 9110 §10.1.1). Twenty-five bytes always fit into a socket
    /// whose client waits for them.
    fn poll_continue(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        ready!(self.poll_early(cx))?;
        let mut io = self.io.borrow_mut();
        let written = ready!(Pin::new(&mut *io).poll_write(cx, CONTINUE))?;
        self.continue_due.set(false);
        if written < CONTINUE.len() {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Pin::new(&mut *io).poll_flush(cx)
    }

    /// Says `interim`, and what is left of it from before, as soon as the client takes it.
    pub(super) fn say_early(&self, interim: Option<Vec<u8>>, cx: &mut Context<'_>) {
        if let Some(interim) = interim {
            self.early.borrow_mut().extend_from_slice(&interim);
        } else if self.early.borrow().is_empty() {
            return;
        }
        // A client that takes nothing is found out by the answer.
        let _waits = self.poll_early(cx);
    }

    fn poll_early(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mut io, mut early) = (self.io.borrow_mut(), self.early.borrow_mut());
        while !early.is_empty() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &early))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => early.advance(written),
            }
        }
        Pin::new(&mut *io).poll_flush(cx)
    }

    /// What was to be said early and has to be said first now.
    pub(super) fn take_early(&self) -> BytesMut {
        self.early.take()
    }

    /// Takes what has already come of a body that nobody wants. Whether that was all of it.
    pub(super) fn skip_rest(&self) -> bool {
        loop {
            match self.take_piece() {
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None)) => return true,
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            }
        }
    }

    /// Whether all of the request's body has been taken.
    pub(super) fn is_through(&self) -> bool {
        match &*self.body.borrow() {
            Receiving::Length(left) => *left == 0,
            Receiving::Chunked(chunked) => chunked.is_over(),
            Receiving::Broken => false,
        }
    }

    /// How long the rest of the body is, if that is known.
    pub(super) fn body_length(&self) -> Option<u64> {
        match &*self.body.borrow() {
            Receiving::Length(left) => Some(*left),
            Receiving::Chunked(_) | Receiving::Broken => None,
        }
    }

    pub(super) fn is_attended(&self) -> bool {
        self.is_attended.get()
    }

    pub(super) fn attend(&self, is_attended: bool) {
        self.is_attended.set(is_attended);
    }

    /// Throws away what came in, and tells how much that was: nothing when the client is through.
    pub(super) fn poll_throw_away(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let had = self.incoming.borrow().len();
        self.incoming.borrow_mut().clear();
        if had > 0 {
            return Poll::Ready(had);
        }
        self.poll_fill(BODY_ROOM, cx).map(Result::unwrap_or_default)
    }

    /// The socket, to be written to.
    pub(super) fn with_io<T>(&self, act: impl FnOnce(&mut S) -> T) -> T {
        act(&mut self.io.borrow_mut())
    }

    /// The client keeps us waiting from now on.
    pub(super) fn stall(&self) {
        if !self.is_stalled.replace(true) {
            self.deadline.restart(self.body_time);
        }
    }

    /// The client does something.
    pub(super) fn go_on(&self) {
        if self.is_stalled.replace(false) {
            self.deadline.pause();
        }
    }

    fn poll_fill(&self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (mut io, mut incoming) = (self.io.borrow_mut(), self.incoming.borrow_mut());
        make_room(&mut incoming, room);
        let read = ready!(pin!(io.read_buf(&mut *incoming)).poll(cx));
        self.go_on();
        Poll::Ready(read)
    }
}
