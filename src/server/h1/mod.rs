//! A conversation in HTTP/1.1 on one connection.
//!
//! While nothing is said on it, a connection is a socket and a deadline. When the client speaks, it
//! gets a [`Wire`], which has the buffers, and keeps it until it has been silent for a while.

mod body;
mod exchange;
mod reply;
mod wire;

use std::future::poll_fn;
use std::mem::replace;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::connections::{Answer, Limits};
use super::socket::Socket;
use crate::http::watch::Deadline;
use exchange::Exchange;
use wire::Wire;

/// How long a silent connection keeps its buffers.
const PARKED_AFTER: Duration = Duration::from_millis(200);

/// When the server stops, how long it waits for a request on a connection on which nothing is said. One may be
/// on its way already: a proxy in front uses its connections all the time, and were they closed at once, what it
/// has just sent would be lost. Whoever is answered then is told to go.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Answers requests on `stream` until either side ends it or its time runs out.
pub(super) async fn converse<S, A>(mut stream: S, known: A::Connection, answer: Rc<A>, limits: Rc<Limits>)
where
    S: AsyncRead + AsyncWrite + Socket + Unpin + 'static,
    A: Answer + 'static,
{
    let deadline = answer.watch().deadline(limits.head_time);
    let mut beginning = BytesMut::new();
    loop {
        let wire = Wire::new(stream, beginning, Rc::clone(&deadline), &limits);
        // In a box of its own: what is not needed while nothing is said takes no room then.
        let talk = Box::pin(Exchange { wire: Rc::new(wire), known: &known, answer: &*answer }.run());
        let Some(parked) = talk.await else { return };
        stream = parked;
        answer.rest(&known);
        deadline.restart(limits.idle_time.saturating_sub(PARKED_AFTER));
        deadline.rest();
        let Some(first) = first_words(&mut stream, &deadline).await else {
            if deadline.is_evicted() {
                limits.traffic.evicted.add(1);
            }
            return;
        };
        deadline.stir();
        beginning = first;
        deadline.restart(limits.head_time);
    }
}

/// What the client says next; `None` if it leaves, has been silent for too long, or is to leave: as the worker
/// stops, or others want its place.
async fn first_words<S: AsyncRead + Unpin>(stream: &mut S, deadline: &Deadline) -> Option<BytesMut> {
    // Enough to wake up for; the rest is read into the buffer that is made then.
    const FEW: usize = 16;
    let mut few = [0; FEW];
    let read = {
        let mut reading = pin!(stream.read(&mut few));
        let mut is_last_call = false;
        poll_fn(|cx| {
            let polled = reading.as_mut().poll(cx);
            if deadline.watch().is_draining() && !replace(&mut is_last_call, true) {
                deadline.restart(LAST_WORDS);
            }
            if polled.is_pending() && deadline.is_over(cx.waker()) { Poll::Ready(Ok(0)) } else { polled }
        })
        .await
    };
    let length = read.ok().filter(|length| *length > 0)?;
    few.get(..length).map(BytesMut::from)
}
