//! Request and answer, one after the other, as long as there are any.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite};

use super::PARKED_AFTER;
use super::body::RequestBody;
use super::reply::{Circumstances, framing_of, write_head};
use super::wire::{Said, Wire};
use crate::http::body::{Body, Incoming};
use crate::http::h1::{Framing, Head, HeadReader, Sender};
use crate::http::tunnel::Tunnel;
use crate::http::{Request, Response};
use crate::server::connections::Answer;
use crate::server::socket::Socket;

/// How long a client whose connection is about to be closed may go on sending. What it sends is thrown away, so
/// that it can read the answer before the connection breaks.
const LINGER: Duration = Duration::from_secs(2);

/// How much it may send meanwhile.
const LINGER_BYTES: usize = 512 * 1024;

/// One side of a conversation.
pub(super) struct Exchange<'a, S, A: Answer> {
    pub(super) wire: Rc<Wire<S>>,
    pub(super) known: &'a A::Connection,
    pub(super) answer: &'a A,
}

/// What becomes of a connection behind an answer.
enum Next {
    GoOn,
    Close,
    /// It is another protocol's.
    Tunnel(Tunnel),
}

impl<S, A> Exchange<'_, S, A>
where
    S: AsyncRead + AsyncWrite + Socket + Unpin + 'static,
    A: Answer + 'static,
{
    /// Answers until the client has been silent for a while, and gives the silent socket back;
    /// `None` once the connection has ended.
    pub(super) async fn run(self) -> Option<S> {
        let mut buffer = Vec::new();
        let mut heads = HeadReader::default();
        let mut is_new = true;
        loop {
            let head = match poll_fn(|cx| self.wire.poll_head(&mut heads, cx)).await {
                Said::Request(head) => head,
                Said::Nothing if !is_new => return Rc::into_inner(self.wire)?.into_silent(),
                Said::Nothing | Said::Goodbye => return None,
                Said::Nonsense(fault) => {
                    tracing::debug!(target: "tollgate::server", %fault, "a request was not understood");
                    self.answer.misunderstood(fault, self.known);
                    self.refuse(fault.answer().unwrap_or_default()).await;
                    return None;
                }
            };
            is_new = false;
            match self.exchange(head, &mut buffer).await? {
                Next::GoOn => self.wire.deadline.restart(PARKED_AFTER),
                Next::Close => {
                    self.close().await;
                    return None;
                }
                Next::Tunnel(tunnel) => {
                    let (visitor, early) = Rc::into_inner(self.wire)?.into_parts();
                    tunnel.carry(visitor, early).await;
                    return None;
                }
            }
        }
    }

    /// Answers one request; `None` if the client was lost over it.
    async fn exchange(&self, head: Head, buffer: &mut Vec<u8>) -> Option<Next> {
        let mut circumstances = Circumstances {
            to_head: head.parts.method == Method::HEAD,
            version: head.parts.version,
            persists: head.persists,
        };
        let wants_upgrade = head.wants_upgrade;
        let body = if self.wire.is_through() {
            Incoming::None
        } else {
            Incoming::Http1(Box::pin(RequestBody::new(Rc::clone(&self.wire))))
        };
        let mut request = Request::from_parts(head.parts, body);
        let mut response = {
            let mut answering = pin!(self.answer.answer(&mut request, self.known));
            poll_fn(|cx| match answering.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => {
                    self.wire.say_early(self.answer.interim(self.known), cx);
                    self.wire.poll_gone(cx).map(|()| None)
                }
            })
            .await?
        };
        // Nobody reads what is left of its body.
        drop(request);
        let framing = framing_of(&response, &circumstances);
        // An answer that the end of the connection ends is the last one (RFC 9112 §6.3).
        circumstances.persists &= framing != Framing::Closing && self.may_go_on(wants_upgrade);
        let tunnel = response.body_mut().take_tunnel();
        let sent = self.send(response, framing, &circumstances, buffer).await?;
        if let Some(tunnel) = tunnel.filter(|_| sent) {
            return Some(Next::Tunnel(tunnel));
        }
        let goes_on = circumstances.persists && sent && self.wire.is_through();
        Some(if goes_on { Next::GoOn } else { Next::Close })
    }

    /// Whether there may be another request on this connection, as far as can be told before the
    /// answer is sent.
    fn may_go_on(&self, wants_upgrade: bool) -> bool {
        // What a client says behind a request for another protocol may be meant for that one, and become no
        // request. It may be anywhere on its way yet, and nobody can tell it from what follows the refusal.
        if wants_upgrade || self.answer.watch().is_draining() {
            return false;
        }
        // Whoever still reads the body may read all of it.
        self.wire.is_attended() || self.wire.skip_rest()
    }

    /// Sends the answer; whether it was sent whole. `None` if the client was lost over it.
    async fn send(
        &self,
        response: Response,
        framing: Framing,
        circumstances: &Circumstances,
        buffer: &mut Vec<u8>,
    ) -> Option<bool> {
        let bond = response.body().bond().map(Rc::clone);
        let mut out = std::mem::take(buffer);
        out.extend_from_slice(&self.wire.take_early());
        if let Some(interim) = self.answer.interim(self.known) {
            out.extend_from_slice(&interim);
        }
        write_head(&mut out, &response, framing, circumstances, || self.answer.now());
        let mut sender: Sender<Body> = Sender::new(out, framing, response.into_body());
        let wire = &self.wire;
        let mut is_broken = false;
        let was_sent = poll_fn(|cx| {
            if bond.as_ref().is_some_and(|bond| bond.is_revoked(cx.waker())) {
                return Poll::Ready(Some(false));
            }
            loop {
                // The socket is nobody's meanwhile: the answer may depend on what the client sends.
                if let Err(error) = sender.gather(cx) {
                    tracing::debug!(target: "tollgate::server", %error, "an answer broke off");
                    // Were the connection closed without a word, browsers would take it for one that
                    // had been idle for too long, and send the request again, a POST as well.
                    sender.break_off();
                    is_broken = true;
                }
                if sender.has_ended() {
                    return Poll::Ready(Some(!is_broken && sender.is_complete()));
                }
                if sender.is_flushed() {
                    return wire.poll_gone(cx).map(|()| None);
                }
                let (flushed, takes) = wire.with_io(|io| {
                    let before = io.taken();
                    (sender.poll_flush(io, cx), io.taken() > before)
                });
                if flushed.is_ready() || takes {
                    wire.go_on();
                }
                if flushed.is_pending() {
                    wire.stall();
                    return wire.poll_late(cx).map(|()| None);
                }
            }
        })
        .await?;
        // To whom the end of the connection says that this was all, an orderly one is not to say so.
        if !was_sent && framing == Framing::Closing {
            wire.with_io(|io| io.sever());
            return None;
        }
        *buffer = sender.into_buffer();
        Some(was_sent)
    }

    /// Says no to what was not understood, and ends the connection.
    async fn refuse(&self, answer: &'static [u8]) {
        let mut sender: Sender<Body> = Sender::new(answer.to_vec(), Framing::None, Body::empty());
        self.wire.stall();
        poll_fn(|cx| {
            let flushed = self.wire.with_io(|io| sender.poll_flush(io, cx));
            if flushed.is_pending() { self.wire.poll_late(cx) } else { flushed }
        })
        .await;
        self.close().await;
    }

    /// Ends the connection so that the client can read what it was told, even while it goes on
    /// sending (RFC 9112 §9.6).
    async fn close(&self) {
        let wire = &self.wire;
        wire.deadline.restart(LINGER);
        let mut left = LINGER_BYTES;
        let mut has_shut = false;
        poll_fn(|cx| {
            if !has_shut {
                match wire.with_io(|io| Pin::new(io).poll_shutdown(cx)) {
                    Poll::Ready(Ok(())) => has_shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            while let Poll::Ready(thrown) = wire.poll_throw_away(cx) {
                match left.checked_sub(thrown) {
                    Some(rest) if thrown > 0 => left = rest,
                    _ => return Poll::Ready(()),
                }
            }
            if wire.deadline.is_over(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
