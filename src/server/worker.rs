//! Threads that serve, and how they are stopped.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::connections::{Answer, Host, Limits};
use super::door::Door;
use super::roster::{Handed, Roster};
use super::shortage::Shortage;

/// What a worker has to do.
pub struct Work<A> {
    /// The sockets it accepts from; workers may share them.
    pub doors: Vec<Door<std::net::TcpListener>>,
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
    /// What is done; it must not take long, as nobody is served meanwhile.
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
pub struct Crew {
    shutdown: watch::Sender<bool>,
    ended: Vec<oneshot::Receiver<()>>,
    drain: Duration,
    roster: Arc<Roster>,
    /// What is handed to those who are still to be hired, the last first.
    desks: Vec<mpsc::UnboundedReceiver<Handed>>,
    shortage: Arc<Shortage>,
}

impl Crew {
    /// A crew that is to have so many workers, who get `drain` to finish what runs when they are
    /// stopped.
    pub fn new(workers: usize, drain: Duration) -> Self {
        let (roster, mut desks) = Roster::new(workers);
        desks.reverse();
        let (shutdown, ended, shortage) = (watch::Sender::new(false), Vec::new(), Arc::default());
        Self { shutdown, ended, drain, roster, desks, shortage }
    }

    /// Starts a worker, and waits until it accepts connections.
    pub async fn hire<A: Answer + 'static>(&mut self, name: String, work: Work<A>) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let desk = self.desks.pop().ok_or_else(|| io::Error::other("the crew has all its workers"))?;
        let (started, has_started) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let labour = Labour {
            number: self.ended.len(),
            desk,
            roster: Arc::clone(&self.roster),
            shortage: Arc::clone(&self.shortage),
            shutdown: self.shutdown.subscribe(),
        };
        let drain = self.drain;
        std::thread::Builder::new().name(name).spawn(move || {
            let local = LocalSet::new();
            let Some((answer, chore)) = local.block_on(&runtime, labour.work(work, started)) else { return };
            // What still runs gets its time; then it is dropped together with the set.
            let overtime = async {
                tokio::select! {
                    () = local => {}
                    () = chore.go_on(&answer) => {}
                }
            };
            let _is_over = runtime.block_on(async { tokio::time::timeout(drain, overtime).await });
            let _nobody_waits = ended.send(());
        })?;
        has_started.await.map_err(io::Error::other)??;
        self.ended.push(has_ended);
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

/// What a worker is told on its first day.
struct Labour {
    number: usize,
    desk: mpsc::UnboundedReceiver<Handed>,
    roster: Arc<Roster>,
    shortage: Arc<Shortage>,
    shutdown: watch::Receiver<bool>,
}

impl Labour {
    /// Accepts at all doors until told to stop. What is left to be looked after then.
    async fn work<A: Answer + 'static>(
        self,
        work: Work<A>,
        started: oneshot::Sender<io::Result<()>>,
    ) -> Option<(Rc<A>, Chore<A>)> {
        let Self { number, desk, roster, shortage, mut shutdown } = self;
        let doors: io::Result<Vec<_>> = work.doors.into_iter().map(Door::open).collect();
        let (doors, outcome) = match doors {
            Ok(doors) => (doors, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let failed = outcome.is_err();
        let _nobody_waits = started.send(outcome);
        if failed {
            return None;
        }
        let (listeners, doors): (Vec<_>, Vec<_>) = doors.into_iter().unzip();
        let answer = (work.answer)();
        let limits = Rc::new(work.limits);
        let host = Rc::new(Host { answer: Rc::clone(&answer), doors, limits, roster, shortage, number });
        for (door, listener) in listeners.into_iter().enumerate() {
            tokio::task::spawn_local(Rc::clone(&host).attend(listener, door, shutdown.clone()));
        }
        tokio::task::spawn_local(host.take_over(desk, shutdown.clone()));
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => answer.watch().drain(),
            () = work.chore.go_on(&answer) => {}
        }
        Some((answer, work.chore))
    }
}
