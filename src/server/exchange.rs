//! Requests of one HTTP/2 connection that are being answered, and how a client that does not take
//! its answer is cut off without the others on the connection being touched.

use std::cell::{Cell, OnceCell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::SizeHint;
use tokio::time::Instant;

use crate::http::body::{Body, BodyError, Polled};
use crate::http::connection::remove_hop_by_hop;
use crate::http::watch::Deadline;

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Exchanges {
    /// The connection's, which rests while there are none.
    deadline: Rc<Deadline>,
    open: RefCell<Vec<Rc<Exchange>>>,
    /// Since when there has been none.
    idle_since: Cell<Instant>,
    /// The request that the library has just called for, and of which it is about to make a task.
    called: RefCell<Option<Rc<Exchange>>>,
}

impl Exchanges {
    pub(super) fn new(now: Instant, deadline: Rc<Deadline>) -> Rc<Self> {
        deadline.rest();
        let (open, called) = (RefCell::default(), RefCell::default());
        Rc::new(Self { deadline, open, idle_since: Cell::new(now), called })
    }

    /// A request has come. The next task that is made is its own.
    pub(super) fn begin(&self) -> Rc<Exchange> {
        let exchange = self.open();
        self.called.replace(Some(Rc::clone(&exchange)));
        exchange
    }

    /// Something goes on that has no end of its own, as long as the result is held.
    pub(super) fn stay(self: &Rc<Self>) -> Stay {
        Stay { exchange: self.open(), exchanges: Rc::clone(self) }
    }

    fn open(&self) -> Rc<Exchange> {
        let exchange = Rc::<Exchange>::default();
        self.open.borrow_mut().push(Rc::clone(&exchange));
        self.deadline.stir();
        exchange
    }

    /// Since when nothing has been going on, if that is so.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.open.borrow().is_empty().then(|| self.idle_since.get())
    }

    /// Cuts off whatever answer the client has left waiting for longer than `patience`.
    pub(super) fn cut_stalled(&self, now: Instant, patience: Duration) {
        for exchange in &*self.open.borrow() {
            if exchange.waiting_since.get().is_some_and(|since| now.duration_since(since) > patience) {
                exchange.cut();
            }
        }
    }

    fn end(&self, exchange: &Rc<Exchange>) {
        let mut open = self.open.borrow_mut();
        if let Some(index) = open.iter().position(|own| Rc::ptr_eq(own, exchange)) {
            open.swap_remove(index);
        }
        if open.is_empty() {
            self.idle_since.set(Instant::now());
            self.deadline.rest();
        }
    }
}

/// Keeps a connection from being idle.
pub(super) struct Stay {
    exchange: Rc<Exchange>,
    exchanges: Rc<Exchanges>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.exchanges.end(&self.exchange);
    }
}

/// One request and its answer.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Since when a part of the answer has been waiting for the client to take it.
    waiting_since: Cell<Option<Instant>>,
    is_cut: Cell<bool>,
    /// Where it is seen that the session is over on whose strength the answer is sent.
    bond: OnceCell<Rc<Deadline>>,
    waker: RefCell<Option<Waker>>,
}

impl Exchange {
    /// It ends with the session that `bond` is bound to. To be done by its own task, which may next
    /// wait for the client alone.
    pub(super) fn poll_bind(&self, bond: &Rc<Deadline>, cx: &mut Context<'_>) -> Poll<()> {
        let _is_the_only_one = self.bond.set(Rc::clone(bond));
        if bond.is_revoked(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(())
    }

    fn cut(&self) {
        self.is_cut.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn is_cut(&self, waker: &Waker) -> bool {
        if self.is_cut.get() || self.bond.get().is_some_and(|bond| bond.is_revoked(waker)) {
            return true;
        }
        let mut own = self.waker.borrow_mut();
        if own.as_ref().is_none_or(|own| !own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
        false
    }
}

/// Makes the tasks of a connection, on its own thread.
#[derive(Clone)]
pub(super) struct Tasks(pub(super) Rc<Exchanges>);

impl<F: Future<Output = ()> + Unpin + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, work: F) {
        // The library makes the task of a request right behind the call for it.
        match self.0.called.take() {
            Some(exchange) => {
                let exchanges = Rc::clone(&self.0);
                tokio::task::spawn_local(Task { work: Some(work), exchange, exchanges });
            }
            None => drop(tokio::task::spawn_local(work)),
        }
    }
}

/// What answers one request. It ends when it is cut, and what it held is dropped: the stream is
/// reset, and the upstream's connection closed.
struct Task<F> {
    work: Option<F>,
    exchange: Rc<Exchange>,
    exchanges: Rc<Exchanges>,
}

impl<F: Future<Output = ()> + Unpin> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(work) = this.work.as_mut().filter(|_| !this.exchange.is_cut(cx.waker())) else {
            this.work = None;
            return Poll::Ready(());
        };
        Pin::new(work).poll(cx)
    }
}

impl<F> Drop for Task<F> {
    fn drop(&mut self) {
        self.exchanges.end(&self.exchange);
    }
}

/// The body of an answer, which knows whether the client takes it.
pub(super) struct AnswerBody {
    inner: Body,
    exchange: Rc<Exchange>,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, exchange: Rc<Exchange>) -> Self {
        Self { inner, exchange }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        // Whoever asks for more has room for it.
        this.exchange.waiting_since.set(None);
        let mut polled = Pin::new(&mut this.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled {
            this.exchange.waiting_since.set(Some(Instant::now()));
            if let Some(trailers) = frame.trailers_mut() {
                remove_hop_by_hop(trailers);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
