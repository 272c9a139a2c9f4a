//! Accepting connections, and what is asked of whoever answers on them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::listen::BACKLOG;
use super::listener::Listener;
use super::orders::Listening;
use super::reception::receive;
use super::roster::{Handed, Roster, Seat};
use super::shortage::{Shortage, is_about_one};
use super::traffic::{Slot, Traffic};
use crate::domain::clock::Timestamp;
use crate::domain::host::Scheme;
use crate::http::client::ProxiedSource;
use crate::http::h1::FramingFault;
use crate::http::watch::{TICK, Watch};
use crate::http::{Request, Response};

/// What answers requests: whatever a worker was made for.
pub trait Answer {
    /// What is known of a connection.
    type Connection;

    /// A new connection from `peer` over `scheme`, which passes it on for `source` if there is one.
    fn connect(&self, peer: SocketAddr, source: Option<ProxiedSource>, scheme: Scheme) -> Self::Connection;

    /// Nothing is said on a connection for the time being.
    fn rest(&self, connection: &Self::Connection);

    /// What there is to be said on a connection before the answer to its present request (RFC 9110
    /// §15.2), as it is written in HTTP/1.1. There is only one request at a time then.
    fn interim(&self, _connection: &Self::Connection) -> Option<Vec<u8>> {
        None
    }

    /// The worker's deadlines.
    fn watch(&self) -> &Rc<Watch>;

    /// The time.
    fn now(&self) -> Timestamp;

    /// A head on a connection was refused unread, for this reason, and the connection ends.
    fn misunderstood(&self, fault: FramingFault, connection: &Self::Connection);

    /// Answers one request on a connection. It is lent, as moving one about costs as much as reading it;
    /// its body is taken by whoever reads it.
    fn answer(&self, request: &mut Request, connection: &Self::Connection) -> impl Future<Output = Response>;
}

/// What a connection may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at one time, over all who share it.
    pub connections: Arc<Semaphore>,
    /// Bytes in a request's head.
    pub head_bytes: usize,
    /// Time for a whole request head.
    pub head_time: Duration,
    /// Time between two pieces of a body, in either direction.
    pub body_time: Duration,
    /// Time for which a connection may wait for another request.
    pub idle_time: Duration,
    /// Where connections are counted.
    pub traffic: Arc<Traffic>,
}

/// A connection that was accepted.
pub(super) struct AcceptedConnection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Its part of `max_connections`.
    pub(super) slot: Slot,
    /// Its place among those of its worker.
    pub(super) seat: Seat,
}

/// A worker among the others, and what its connections need.
pub(super) struct Acceptor<A> {
    pub(super) answer: Rc<A>,
    pub(super) limits: RefCell<Rc<Limits>>,
    pub(super) roster: Arc<Roster>,
    pub(super) shortage: Arc<Shortage>,
    /// Its number on the roster.
    pub(super) number: usize,
}

impl<A: Answer + 'static> Acceptor<A> {
    /// Accepts at a listener until `shutdown` says so, or it is not `open` any more.
    pub(super) async fn attend(
        self: Rc<Self>,
        socket: TcpListener,
        listener: Arc<Listener<()>>,
        mut open: watch::Receiver<Listening>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        loop {
            let accepted = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = open.changed() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.let_in(stream, peer, &listener, &mut shutdown).await,
                Err(error) if is_about_one(&error) => {}
                Err(error) => {
                    self.make_room();
                    self.shortage.bear(&error).await;
                }
            }
        }
        // Who has come so far came in time. Where the socket stays, others accept now.
        let (Ok(address), Ok(socket)) = (socket.local_addr(), socket.into_std()) else { return };
        if matches!(&*open.borrow(), Listening::Replaced { stay } if stay.contains(&address)) {
            return;
        }
        for (stream, peer) in std::iter::from_fn(|| socket.accept().ok()).take(BACKLOG) {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.let_in(stream, peer, &listener, &mut shutdown).await;
            }
        }
    }

    /// Waits for a slot for a connection: whoever has to wait further waits in the kernel's queue. A
    /// listener on which nothing happens holds no slot, and connections on which nothing happens give
    /// theirs up. Who has been accepted when the server is told to
    /// stop is still let in, if there is a slot: nobody else would ever hear of them.
    async fn let_in(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        listener: &Arc<Listener<()>>,
        shutdown: &mut watch::Receiver<bool>,
    ) {
        let slots = Arc::clone(&self.limits.borrow().connections);
        let mut slot = pin!(slots.acquire_owned());
        let permit = loop {
            tokio::select! {
                biased;
                permit = &mut slot => break permit,
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = self.ask_for_room() => {}
            }
        };
        if let Ok(permit) = permit {
            let slot = Slot::taken(permit, &self.limits.borrow().traffic);
            self.seat(stream, peer, slot, Arc::clone(listener));
        }
    }

    /// Has the connections leave that have been idle longest, and gives them a moment to do so.
    async fn ask_for_room(&self) {
        self.make_room();
        self.shortage.is_crowded();
        tokio::time::sleep(TICK).await;
    }

    fn make_room(&self) {
        self.answer.watch().make_room();
    }

    /// Takes what other workers hand over, to the last.
    pub(super) async fn take_over(
        self: Rc<Self>,
        mut queue: mpsc::UnboundedReceiver<Handed>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        loop {
            let handed = tokio::select! {
                handed = queue.recv() => handed,
                // Nothing is handed over any more, and what was is received below.
                _ = shutdown.wait_for(|stop| *stop), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            };
            let Some(handed) = handed else { return };
            self.receive(handed);
        }
    }

    fn receive(&self, Handed { stream, peer, slot, seat, listener }: Handed) {
        if let Ok(stream) = TcpStream::from_std(stream) {
            self.welcome(AcceptedConnection { stream, peer, slot, seat }, listener);
        }
    }

    /// Finds a worker for a connection.
    fn seat(&self, stream: TcpStream, peer: SocketAddr, slot: Slot, listener: Arc<Listener<()>>) {
        let seat = self.roster.seat(self.number);
        if seat.number() == self.number {
            self.welcome(AcceptedConnection { stream, peer, slot, seat }, listener);
        } else if let Ok(stream) = stream.into_std()
            && let Some(handed) = (Handed { stream, peer, slot, seat, listener }).over()
        {
            self.receive(handed);
        }
    }

    fn welcome(&self, accepted: AcceptedConnection, listener: Arc<Listener<()>>) {
        // Failing to set an option is no reason to turn a visitor away.
        let _latency_only = accepted.stream.set_nodelay(true);
        let (answer, limits) = (Rc::clone(&self.answer), Rc::clone(&self.limits.borrow()));
        tokio::task::spawn_local(receive(listener, accepted, answer, limits));
    }
}
