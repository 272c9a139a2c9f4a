//! Threads that serve, and how they are stopped.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use super::connections::{Answer, Limits, serve};
use super::door::Door;

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

/// The workers that are running.
pub struct Crew {
    shutdown: watch::Sender<bool>,
    ended: Vec<oneshot::Receiver<()>>,
    drain: Duration,
}

impl Crew {
    /// A crew of nobody, whose members get `drain` to finish what runs when they are stopped.
    pub fn new(drain: Duration) -> Self {
        Self { shutdown: watch::Sender::new(false), ended: Vec::new(), drain }
    }

    /// Starts a worker, and waits until it accepts connections.
    pub async fn hire<A: Answer + 'static>(&mut self, name: String, work: Work<A>) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let shutdown = self.shutdown.subscribe();
        let (started, has_started) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let drain = self.drain;
        std::thread::Builder::new().name(name).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, labour(work, started, shutdown));
            // What still runs gets its time; then it is dropped together with the set.
            let _overtime = runtime.block_on(async { tokio::time::timeout(drain, local).await });
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

/// Accepts on all listeners until told to stop.
async fn labour<A: Answer + 'static>(
    work: Work<A>,
    started: oneshot::Sender<io::Result<()>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let doors: io::Result<Vec<_>> = work.doors.into_iter().map(Door::open).collect();
    let (doors, outcome) = match doors {
        Ok(doors) => (doors, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    };
    let failed = outcome.is_err();
    let _nobody_waits = started.send(outcome);
    if failed {
        return;
    }
    let answer = (work.answer)();
    for door in doors {
        let serving = serve(door, Rc::clone(&answer), work.limits.clone(), shutdown.clone());
        tokio::task::spawn_local(serving);
    }
    let mut ticks = tokio::time::interval(work.chore.every);
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {
                answer.watch().drain();
                return;
            }
            _ = ticks.tick() => (work.chore.run)(&answer),
        }
    }
}
