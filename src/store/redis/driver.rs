//! The thread on which all is done that has to do with the Redis.
//!
//! Workers come and go, and each runs what it serves on a runtime of its own; connections outlive
//! them here. A worker hands over what is to be done and gets an answer within [`PATIENCE`], which
//! may be that there is none. It does not stop when the worker no longer waits.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, Pipeline, Value};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use super::failure::Failure;
use super::link::{Link, Way};
use super::trouble::{Complaints, Trouble};
use crate::store::{StoreFuture, Unavailable};

/// How long whoever asks waits at most. What is asked on the way of a request has a second in all.
const PATIENCE: Duration = Duration::from_millis(750);

/// The same for lists.
const LEISURE: Duration = Duration::from_secs(5);

/// How long one answer may take where several are needed.
const ANSWER: Duration = Duration::from_millis(700);

/// How often the connection is examined.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// How long that may take before the connection is given up.
const SILENCE: Duration = Duration::from_millis(500);

/// How long to wait before the next attempt to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// How long after a connection was lost whoever asks waits for the next one: a server that starts
/// anew is back in a moment, and one that is gone need not be waited for.
const GRACE: Duration = Duration::from_millis(400);

/// Every how many heartbeats sentinels are asked whether the server is still the right one.
const SENTINEL_BEATS: u32 = 4;

/// The connections to the Redis, for whoever is on their thread.
pub(super) struct Exchange {
    link: watch::Sender<Option<Link>>,
    lost_at: Mutex<Option<Instant>>,
    /// Whether it was said that the store is lost, and not yet that it is back.
    is_said: AtomicBool,
    /// Whoever finds a connection broken says so here.
    broken: watch::Sender<u64>,
    pub(super) complaints: Complaints,
}

impl Exchange {
    /// A way to the Redis other than link number `not`, if there is one or may be one in a moment.
    async fn link(&self, not: u64) -> Result<Link, Trouble> {
        let mut links = self.link.subscribe();
        let fits = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.number != not);
        let present = links.borrow_and_update().clone();
        if let Some(link) = present.filter(|link| link.number != not) {
            return Ok(link);
        }
        let lost_at = *self.lost_at.lock().unwrap_or_else(PoisonError::into_inner);
        if lost_at.is_some_and(|at| at.elapsed() >= GRACE) {
            return Err(Trouble::Lost);
        }
        let link = timeout(GRACE, links.wait_for(fits)).await?.map_err(|_| Trouble::Lost)?;
        link.clone().ok_or(Trouble::Lost)
    }

    /// The answer to `command`, which may be sent twice: whatever is sent here may be.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Trouble> {
        self.over_a_link(|mut link| async move { Ok(link.commands.command(command).await?) }).await
    }

    /// The answers to `pipeline` of so many commands, in a place where waiting harms nobody else.
    pub(super) async fn ask_patiently(
        &self,
        pipeline: &Pipeline,
        replies: usize,
    ) -> Result<Vec<Value>, Trouble> {
        self.over_a_link(|mut link| async move { Ok(link.patient.pipeline(pipeline, replies).await?) }).await
    }

    async fn over_a_link<T, F>(&self, send: impl Fn(Link) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut not = 0;
        loop {
            let link = self.link(not).await?;
            let (number, is_second) = (link.number, not != 0);
            match timeout(ANSWER, send(link)).await.unwrap_or(Err(Trouble::Lost)) {
                Err(trouble) if trouble.is_of_the_connection() => {
                    self.broken.send_if_modified(|known| {
                        let is_news = *known < number;
                        *known = number.max(*known);
                        is_news
                    });
                    if is_second {
                        return Err(trouble);
                    }
                    not = number;
                }
                answer => return answer,
            }
        }
    }

    /// Whether the store is there, as far as it was not said that it is lost: a link that is made anew in a moment
    /// is missed by nobody.
    pub(super) fn is_well(&self) -> bool {
        let was_there = || self.lost_at.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        !self.is_said.load(Ordering::Relaxed) && (self.has_link() || was_there())
    }

    fn has_link(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Notes `trouble` with one request. That the server is gone, or holds requests back, is said once, by whoever
    /// looks after the link.
    pub(super) fn complain(&self, trouble: Trouble) -> Unavailable {
        if trouble == Trouble::Lost && !(self.has_link() && self.is_well()) {
            self.complaints.count(trouble)
        } else {
            self.complaints.note(trouble)
        }
    }

    /// Whether nobody has said yet that the store is lost.
    fn is_news(&self) -> bool {
        !self.is_said.swap(true, Ordering::Relaxed)
    }

    fn say_back(&self) {
        if self.is_said.swap(false, Ordering::Relaxed) {
            tracing::warn!(target: "tollgate::store", "the store answers again");
        }
    }

    /// The present link, for whoever follows it.
    pub(super) fn links(&self) -> watch::Receiver<Option<Link>> {
        self.link.subscribe()
    }
}

/// The thread. It ends when this is dropped.
pub(super) struct Driver {
    handle: Handle,
    pub(super) exchange: Arc<Exchange>,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    /// Starts the thread, which connects by and by: a gateway starts without its store, too.
    pub(super) fn start(way: Arc<Way>) -> io::Result<Self> {
        let (link, _) = watch::channel(None);
        let (broken, _) = watch::channel(0);
        let exchange = Exchange {
            link,
            lost_at: Mutex::default(),
            is_said: AtomicBool::default(),
            broken,
            complaints: Complaints::default(),
        };
        let exchange = Arc::new(exchange);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let kept = Arc::clone(&exchange);
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = keep_connected(way, kept) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { handle, exchange, _stop: stop })
    }

    /// Runs `work` for somebody elsewhere, who gets its answer in time.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        self.run_within(PATIENCE, work)
    }

    /// The same for lists, which take many steps, and no visitor waits for.
    pub(super) fn run_at_leisure<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        self.run_within(LEISURE, work)
    }

    fn run_within<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let exchange = Arc::clone(&self.exchange);
        let work = self.handle.spawn(async move {
            let answer = timeout(patience, work).await.unwrap_or(Err(Trouble::Lost));
            answer.map_err(|trouble| exchange.complain(trouble))
        });
        Box::pin(async { work.await.unwrap_or(Err(Unavailable)) })
    }

    /// Runs `work` for as long as the thread lives.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }
}

/// Sees to it that there is a connection whenever there can be one.
async fn keep_connected(way: Arc<Way>, exchange: Arc<Exchange>) {
    for number in 1.. {
        match way.connect(number).await {
            Ok(link) => {
                note_lost(&exchange, false);
                exchange.link.send_replace(Some(link.clone()));
                let trouble = watch_over(&way, &exchange, link).await;
                // The nodes of a cluster are not lost all at once: what is there serves until there
                // is something better.
                if !way.is_cluster() {
                    note_lost(&exchange, true);
                    exchange.link.send_replace(None);
                }
                tracing::debug!(target: "tollgate::store", ?trouble, "connecting anew");
                sleep(PAUSE).await;
            }
            Err(Failure { trouble, address, cause }) => {
                if exchange.link.borrow().is_some() || exchange.lost_at.lock().is_ok_and(|at| at.is_none()) {
                    note_lost(&exchange, true);
                    exchange.link.send_replace(None);
                }
                if exchange.is_news() {
                    let reason = trouble.word();
                    tracing::error!(
                        target: "tollgate::store", reason, address, cause,
                        "the store does not answer; closed paths are answered with 503 until it does"
                    );
                }
                sleep(PAUSE).await;
            }
        }
    }
}

fn note_lost(exchange: &Exchange, is_lost: bool) {
    let mut lost_at = exchange.lost_at.lock().unwrap_or_else(PoisonError::into_inner);
    *lost_at = is_lost.then(|| lost_at.unwrap_or_else(Instant::now));
}

/// Returns when `link` is no good any more, and why.
async fn watch_over(way: &Way, exchange: &Exchange, link: Link) -> Trouble {
    tokio::select! {
        trouble = try_to_write(way, exchange, link.clone()) => trouble,
        trouble = keep_examining(way, exchange, link) => trouble,
    }
}

/// Says that the store cannot be written to, and that it is back.
async fn try_to_write(way: &Way, exchange: &Exchange, mut link: Link) -> Trouble {
    loop {
        // Where nobody is held up by it but who would be anyway.
        match timeout(SILENCE, link.patient.ask_to_write()).await {
            Err(_) if exchange.is_news() => {
                let (reason, address) = (Trouble::Lost.word(), way.end_of(&link));
                let cause = "it answers, but not to what may write";
                tracing::error!(
                    target: "tollgate::store", reason, address, cause,
                    "the store cannot be written to; nobody can sign in until it can"
                );
            }
            Err(_) => {}
            Ok(Err(error)) if Trouble::from(&error).is_of_the_connection() => return error.into(),
            Ok(_) => {
                exchange.say_back();
                // Should it be held back again, the link is soon another one.
                return std::future::pending().await;
            }
        }
        sleep(HEARTBEAT).await;
    }
}

async fn keep_examining(way: &Way, exchange: &Exchange, mut link: Link) -> Trouble {
    let mut broken = exchange.broken.subscribe();
    for beat in 1_u32.. {
        let is_broken = broken.wait_for(|number| *number >= link.number);
        if timeout(HEARTBEAT, is_broken).await.is_ok() {
            return Trouble::Lost;
        }
        match timeout(SILENCE, link.commands.examine()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Trouble::Unfit,
            Ok(Err(error)) => return error.into(),
            Err(_) => return Trouble::Lost,
        }
        if beat.is_multiple_of(SENTINEL_BEATS) && !way.still_leads_to(&link).await {
            return Trouble::Unfit;
        }
    }
    Trouble::Lost
}
