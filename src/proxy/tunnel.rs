//! WebSockets: bytes both ways, until either side has enough or the worker is to stop.

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

/// How long an end that was announced may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A tunnel to `upstream`, from which `leftover` has been read already. It ends with a word where
/// the worker that has `deadline` is to stop. `busy` is held as long as it lasts.
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
        let mut is_ending = false;
        async move {
            std::future::poll_fn(|cx| {
                if deadline.is_over(cx.waker()) {
                    return Poll::Ready(());
                }
                if !is_ending && deadline.watch().is_draining() {
                    is_ending = true;
                    deadline.restart(FAREWELL);
                    outward.close(Close::GoingAway);
                    homeward.close(Close::GoingAway);
                }
                let outward = outward.poll(&mut visitor, &mut upstream, cx);
                let homeward = homeward.poll(&mut upstream, &mut visitor, cx);
                match (outward, homeward) {
                    (Poll::Ready(Err(_)), _)
                    | (_, Poll::Ready(Err(_)))
                    | (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
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
                    self.frames.pass(&self.bytes);
                    if self.bytes.is_empty() {
                        self.state = State::Ending;
                    }
                }
            }
        }
    }
}

/// What there is to read. Room for it is made anew each time: most WebSockets are silent mostly.
fn read<F: AsyncRead + Unpin>(from: &mut F, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    let mut room = BytesMut::with_capacity(ROOM);
    ready!(pin!(from.read_buf(&mut room)).poll(cx))?;
    Poll::Ready(Ok(room.freeze()))
}
