//! WebSockets: bytes both ways, until either side has enough, the session is over on whose strength
//! they run, or the worker is to stop.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::http::tunnel::{Duplex, Tunnel};
use crate::http::watch::Deadline;
use crate::http::websocket::{Close, Frames, Side};

/// What is read at once.
const ROOM: usize = 16 * 1024;

/// How long an end may take that was announced because the worker stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// The same where the session is over: enough for the rest of most messages.
const SHORT_FAREWELL: Duration = Duration::from_millis(300);

/// A tunnel to `upstream`, from which `leftover` has been read already. It ends with a word where
/// the session is over that `deadline` is bound to, or the worker that has it is to stop. `busy` is
/// held as long as it lasts.
pub(super) fn to_upstream(
    upstream: impl Duplex + 'static,
    leftover: Bytes,
    deadline: Rc<Deadline>,
    busy: impl Sized + 'static,
) -> Tunnel {
    Tunnel::new(move |visitor, early| {
        let mut outward = Pipe::new(early, Side::Server);
        let mut homeward = Pipe::new(leftover, Side::Browser);
        let (mut visitor, mut upstream) = (visitor, upstream);
        deadline.pause();
        let mut ending = None;
        async move {
            std::future::poll_fn(|cx| {
                if ending != Some(Close::SessionEnded) && deadline.is_revoked(cx.waker()) {
                    ending = Some(Close::SessionEnded);
                    deadline.restart(SHORT_FAREWELL);
                    outward.cut(Close::SessionEnded);
                    homeward.close(Close::SessionEnded);
                } else if ending.is_none() && deadline.watch().is_draining() {
                    ending = Some(Close::GoingAway);
                    deadline.restart(FAREWELL);
                    outward.close(Close::GoingAway);
                    homeward.close(Close::GoingAway);
                }
                if deadline.is_over(cx.waker()) {
                    return Poll::Ready(());
                }
                let sent = outward.poll(&mut visitor, &mut upstream, cx);
                let received = homeward.poll(&mut upstream, &mut visitor, cx);
                match (sent, received) {
                    (_, Poll::Ready(Err(_))) => Poll::Ready(()),
                    (Poll::Ready(Err(_)), _) | (Poll::Ready(Ok(())), Poll::Ready(Ok(())))
                        if ending.is_none() =>
                    {
                        Poll::Ready(())
                    }
                    // Were the visitor's connection closed with something unread on it, the last
                    // word could be lost.
                    (Poll::Ready(_), Poll::Ready(Ok(()))) => throw_away(&mut visitor, cx),
                    _ => Poll::Pending,
                }
            })
            .await;
            drop(busy);
        }
    })
}

/// One direction.
struct Pipe {
    bytes: Bytes,
    frames: Frames,
    to: Side,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// To be closed where a frame ends.
    Closing(Close),
    /// Nothing more is read; what was read is to be written.
    Ending,
    Over,
}

impl Pipe {
    fn new(bytes: Bytes, to: Side) -> Self {
        let mut frames = Frames::default();
        frames.pass(&bytes);
        Self { bytes, frames, to, state: State::Open }
    }

    fn close(&mut self, close: Close) {
        if self.state == State::Open {
            self.state = State::Closing(close);
        }
    }

    /// The same at once: what is half sent stays so.
    fn cut(&mut self, close: Close) {
        if self.bytes.is_empty() && self.frames.is_between() {
            self.close(close);
        } else if self.state != State::Over {
            self.bytes.clear();
            self.state = State::Ending;
        }
    }

    /// Ready when this direction is through.
    fn poll<F, T>(&mut self, from: &mut F, to: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            while !self.bytes.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.bytes))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.bytes.advance(written);
            }
            match self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Over;
                }
                State::Closing(close) if self.frames.is_between() => {
                    self.bytes = close.frame(self.to);
                    self.state = State::Ending;
                }
                State::Open | State::Closing(_) => {
                    let Poll::Ready(read) = read(from, cx) else {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        return Poll::Pending;
                    };
                    self.bytes = read?;
                    match self.state {
                        // Whatever comes behind the frame that is to end comes too late.
                        State::Closing(_) => self.bytes.truncate(self.frames.pass_one(&self.bytes)),
                        _ => self.frames.pass(&self.bytes),
                    }
                    if self.bytes.is_empty() {
                        self.state = State::Ending;
                    }
                }
            }
        }
    }
}

/// Takes what comes, to its end.
fn throw_away<F: AsyncRead + Unpin>(from: &mut F, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        if !matches!(ready!(read(from, cx)), Ok(bytes) if !bytes.is_empty()) {
            return Poll::Ready(());
        }
    }
}

/// What there is to read. Room for it is made anew each time: most WebSockets are silent mostly.
fn read<F: AsyncRead + Unpin>(from: &mut F, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    let mut room = BytesMut::with_capacity(ROOM);
    ready!(pin!(from.read_buf(&mut room)).poll(cx))?;
    Poll::Ready(Ok(room.freeze()))
}
