//! What workers are told to do otherwise while they work. All of them get ready first, which may fail, and
//! then all of them do it, which cannot: so that a change happens whole or not at all.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::connections::{Acceptor, Answer, Limits};
use super::listener::Listener;

/// What a worker is to do otherwise. Connections that there are go on under the limits with which they
/// began, wherever they came in.
pub struct Change<A> {
    /// Where it accepts; `None` for where it does.
    pub listeners: Option<Vec<Listener<std::net::TcpListener>>>,
    /// What new connections may take.
    pub limits: Limits,
    /// What is to be done on the worker's own thread.
    pub apply: Box<dyn FnOnce(&A) + Send>,
}

/// Whether a worker accepts at the listeners that it was given.
pub(super) enum Listening {
    On,
    /// It accepts at others, of which those at these addresses are the same sockets.
    Replaced {
        stay: Vec<SocketAddr>,
    },
}

/// A change on its way to a worker.
pub(super) struct Order<A> {
    pub(super) change: Change<A>,
    pub(super) ready: oneshot::Sender<io::Result<()>>,
    pub(super) go: oneshot::Receiver<()>,
    pub(super) done: oneshot::Sender<()>,
}

/// Workers who are ready for a change. If this is dropped, it does not happen.
#[must_use]
pub struct Readied(Vec<Pending>);

/// Tells a worker to go ahead, and hears when it has.
struct Pending {
    go: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

impl Readied {
    /// Asks everybody behind `orders` to get ready, each for its own of `changes`.
    pub(super) async fn ask<A>(
        orders: &[mpsc::UnboundedSender<Order<A>>],
        changes: Vec<Change<A>>,
    ) -> io::Result<Self> {
        let (mut pending, mut readying) = (Vec::new(), Vec::new());
        for (worker, change) in orders.iter().zip(changes) {
            let (ready, is_ready) = oneshot::channel();
            let (go, may_go) = oneshot::channel();
            let (done, is_done) = oneshot::channel();
            let order = Order { change, ready, go: may_go, done };
            worker.send(order).map_err(|_| io::Error::other("a worker has stopped"))?;
            pending.push(Pending { go, done: is_done });
            readying.push(is_ready);
        }
        for is_ready in readying {
            is_ready.await.map_err(io::Error::other)??;
        }
        Ok(Self(pending))
    }

    /// Lets it happen. It has, when this returns.
    pub async fn go(self) {
        let going: Vec<_> = self
            .0
            .into_iter()
            .map(|Pending { go, done }| {
                let _has_stopped = go.send(());
                done
            })
            .collect();
        for done in going {
            let _has_stopped = done.await;
        }
    }
}

impl<A: Answer + 'static> Acceptor<A> {
    /// Accepts at `listeners`, and does otherwise when it is told to, until `shutdown` says that it is over.
    pub(super) async fn work(
        self: Rc<Self>,
        listeners: Vec<(TcpListener, Arc<Listener<()>>)>,
        mut orders: mpsc::UnboundedReceiver<Order<A>>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut open = self.listen(listeners, &shutdown);
        loop {
            let order = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                order = orders.recv() => order,
            };
            let Some(Order { change, ready, go, done }) = order else { return };
            let opened = |listeners: Vec<Listener<_>>| {
                listeners.into_iter().map(Listener::open).collect::<io::Result<Vec<_>>>()
            };
            let listeners = change.listeners.map(opened).transpose();
            let (listeners, outcome) = match listeners {
                Ok(listeners) => (listeners, Ok(())),
                Err(error) => (None, Err(error)),
            };
            let is_possible = outcome.is_ok();
            let _nobody_waits = ready.send(outcome);
            if !is_possible || go.await.is_err() {
                continue;
            }
            (change.apply)(&self.answer);
            self.limits.replace(Rc::new(change.limits));
            if let Some(listeners) = listeners {
                let stay = listeners.iter().filter_map(|(socket, _)| socket.local_addr().ok()).collect();
                let next = self.listen(listeners, &shutdown);
                std::mem::replace(&mut open, next).send_replace(Listening::Replaced { stay });
            }
            let _nobody_waits = done.send(());
        }
    }

    /// Accepts at `listeners` for as long as what this hands back is there.
    fn listen(
        self: &Rc<Self>,
        listeners: Vec<(TcpListener, Arc<Listener<()>>)>,
        shutdown: &watch::Receiver<bool>,
    ) -> watch::Sender<Listening> {
        let (open, is_open) = watch::channel(Listening::On);
        for (socket, listener) in listeners {
            let attending = Rc::clone(self).attend(socket, listener, is_open.clone(), shutdown.clone());
            tokio::task::spawn_local(attending);
        }
        open
    }
}
