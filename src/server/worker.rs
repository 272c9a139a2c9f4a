//! Threads that serve, and how they are stopped.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::connections::{Acceptor, Answer, Limits};
use super::listener::Listener;
use super::orders::{Change, Order, Readied};
use super::roster::{Handed, Roster};
use super::shortage::Shortage;
use crate::domain::clock::millis;

/// What a worker has to do.
pub struct Work<A> {
    /// The sockets it accepts from; workers may share them.
    pub listeners: Vec<Listener<std::net::TcpListener>>,
    /// What its connections may take.
    pub limits: Limits,
    /// Makes what answers, on the worker's own thread.
    pub answer: Box<dyn FnOnce() -> Rc<A> + Send>,
    /// What it does besides.
    pub chore: Chore<A>,
}

/// Housekeeping.
pub struct Chore<A> {
    /// How often it is done.
    pub every: Duration,
    /// What is done, to the worker's end; it must not take long, as nobody is served meanwhile. It may make
    /// local tasks, and the worker waits for them when it stops.
    pub run: fn(&A),
}

impl<A> Chore<A> {
    async fn go_on(&self, answer: &A) {
        let mut ticks = tokio::time::interval(self.every);
        loop {
            ticks.tick().await;
            (self.run)(answer);
        }
    }
}

/// The workers that are running.
pub struct Workers<A> {
    shutdown: watch::Sender<bool>,
    ended: Vec<oneshot::Receiver<()>>,
    /// How long they get to finish what runs, in milliseconds.
    drain: Arc<AtomicU64>,
    orders: Vec<mpsc::UnboundedSender<Order<A>>>,
    roster: Arc<Roster>,
    /// What is handed to those that are still to be started, the last first.
    queues: Vec<mpsc::UnboundedReceiver<Handed>>,
    shortage: Arc<Shortage>,
}

impl<A: Answer + 'static> Workers<A> {
    /// So many workers to be started, which get `drain` to finish what runs when they are
    /// stopped.
    pub fn new(workers: usize, drain: Duration) -> Self {
        let (roster, mut queues) = Roster::new(workers);
        queues.reverse();
        let (shutdown, ended, shortage) = (watch::Sender::new(false), Vec::new(), Arc::default());
        let (orders, drain) = (Vec::new(), Arc::new(AtomicU64::new(millis(drain))));
        Self { shutdown, ended, drain, orders, roster, queues, shortage }
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.orders.len()
    }

    /// Gets all workers ready for a change, each for its own.
    pub async fn ready(&self, changes: Vec<Change<A>>) -> io::Result<Readied> {
        Readied::ask(&self.orders, changes).await
    }

    /// Gives them `drain` to finish what runs when they are stopped.
    pub fn drain_within(&self, drain: Duration) {
        self.drain.store(millis(drain), Ordering::Relaxed);
    }

    /// Starts a worker, and waits until it accepts connections.
    pub async fn start(&mut self, name: String, work: Work<A>) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let queue = self.queues.pop().ok_or_else(|| io::Error::other("all workers are running"))?;
        let (started, has_started) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let (order, orders) = mpsc::unbounded_channel();
        let worker = Worker {
            orders,
            number: self.ended.len(),
            queue,
            roster: Arc::clone(&self.roster),
            shortage: Arc::clone(&self.shortage),
            shutdown: self.shutdown.subscribe(),
        };
        let drain = Arc::clone(&self.drain);
        std::thread::Builder::new().name(name).spawn(move || {
            let local = LocalSet::new();
            let Some((answer, chore)) = local.block_on(&runtime, worker.run(work, started)) else { return };
            // The chore is no task of the set, which would never be empty with it, but may make some.
            let _within = local.enter();
            // What still runs gets its time; then it is dropped together with the set.
            let overtime = async {
                tokio::select! {
                    () = local => {}
                    () = chore.go_on(&answer) => {}
                }
            };
            let drain = Duration::from_millis(drain.load(Ordering::Relaxed));
            let _is_over = runtime.block_on(async { tokio::time::timeout(drain, overtime).await });
            let _nobody_waits = ended.send(());
        })?;
        has_started.await.map_err(io::Error::other)??;
        self.ended.push(has_ended);
        self.orders.push(order);
        Ok(())
    }

    /// Tells all workers to stop, and waits until they have.
    pub async fn stop(self) {
        self.shutdown.send_replace(true);
        for ended in self.ended {
            let _worker_is_gone = ended.await;
        }
    }
}

/// A worker before it runs.
struct Worker<A> {
    orders: mpsc::UnboundedReceiver<Order<A>>,
    number: usize,
    queue: mpsc::UnboundedReceiver<Handed>,
    roster: Arc<Roster>,
    shortage: Arc<Shortage>,
    shutdown: watch::Receiver<bool>,
}

impl<A: Answer + 'static> Worker<A> {
    /// Accepts at all listeners until told to stop. What is left to be looked after then.
    async fn run(self, work: Work<A>, started: oneshot::Sender<io::Result<()>>) -> Option<(Rc<A>, Chore<A>)> {
        let Self { orders, number, queue, roster, shortage, mut shutdown } = self;
        let listeners: io::Result<Vec<_>> = work.listeners.into_iter().map(Listener::open).collect();
        let (listeners, outcome) = match listeners {
            Ok(listeners) => (listeners, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let failed = outcome.is_err();
        let _nobody_waits = started.send(outcome);
        if failed {
            return None;
        }
        let answer = (work.answer)();
        let limits = RefCell::new(Rc::new(work.limits));
        let acceptor = Rc::new(Acceptor { answer: Rc::clone(&answer), limits, roster, shortage, number });
        tokio::task::spawn_local(Rc::clone(&acceptor).work(listeners, orders, shutdown.clone()));
        tokio::task::spawn_local(acceptor.take_over(queue, shutdown.clone()));
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => answer.watch().drain(),
            () = work.chore.go_on(&answer) => {}
        }
        Some((answer, work.chore))
    }
}
