//! The sessions that this node has seen, so that requests need not ask the Redis for them.
//!
//! What is kept here is believed only as long as the [feed](super::feed) would have told of a change:
//! each time it breaks, a new epoch begins, and what was read in an earlier one is read again. In a
//! cluster, where a message may get lost without anybody noticing, nothing is believed for more than
//! a moment in any case.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::{DashMap, Entry};

use super::seal::Mark;
use crate::domain::clock::{Timestamp, millis};
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession};
use crate::store::memory::Hashed;

/// How long what the feed said is good.
pub(super) const TRUST: Duration = Duration::from_secs(1);

/// How long what was read from a cluster is good.
const CLUSTER_TRUST: Duration = Duration::from_millis(900);

/// The most sessions that are kept: some hundreds of megabytes. Those above are asked for each time.
const MOST: usize = 1 << 20;

/// How many changes are remembered for those who are reading meanwhile.
const REMEMBERED: usize = 4096;

/// How often those that are over are looked for.
const ROUND: Duration = Duration::from_mins(1);

/// A session, and until when it is known to be so.
struct Known {
    live: Arc<LiveSession>,
    /// The mark of its record.
    mark: Mark,
    epoch: u64,
    /// By [`Near::elapsed`].
    until: u64,
}

/// The near cache.
pub(super) struct Near {
    began: Instant,
    /// Until when the feed is trusted, by [`Self::elapsed`].
    trusted_until: AtomicU64,
    epoch: AtomicU64,
    entries: DashMap<SessionHash, Known, Hashed>,
    count: AtomicUsize,
    /// Taken before any lock of the map's.
    changes: Mutex<Changes>,
    /// How long an entry is good by itself; `None` as long as nobody says otherwise.
    good_for: Option<Duration>,
    next_round: AtomicU64,
}

/// What changed last, and how many changes there were before that.
#[derive(Default)]
struct Changes {
    forgotten: u64,
    /// Each with the mark that the session's record has now, if it goes on.
    last: VecDeque<(SessionHash, Option<Mark>)>,
}

impl Changes {
    fn count(&self) -> u64 {
        self.forgotten.saturating_add(u64::try_from(self.last.len()).unwrap_or(u64::MAX))
    }

    fn note(&mut self, hash: SessionHash, mark: Option<Mark>) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
            self.forgotten += 1;
        }
        self.last.push_back((hash, mark));
    }

    /// Whether a record with `mark` may have become another one since `reading` began.
    fn contradict(&self, reading: &Reading, mark: &Mark) -> bool {
        let Some(known) = reading.changes.checked_sub(self.forgotten) else { return true };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let mut later = self.last.iter().skip(known);
        later.any(|(hash, now)| *hash == reading.hash && now.as_ref() != Some(mark))
    }
}

/// Somebody who began to read at a certain time.
pub(super) struct Reading {
    hash: SessionHash,
    changes: u64,
    epoch: u64,
    at: u64,
    /// What was here then.
    known: Option<Arc<LiveSession>>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether a connection is silent is no matter of the story's time"
)]
fn monotonic() -> Instant {
    Instant::now()
}

impl Near {
    /// An empty one, for a cluster or for one server.
    pub(super) fn new(is_cluster: bool) -> Self {
        Self {
            began: monotonic(),
            trusted_until: AtomicU64::new(0),
            epoch: AtomicU64::new(1),
            entries: DashMap::with_hasher_and_shard_amount(Hashed::default(), 256),
            count: AtomicUsize::new(0),
            changes: Mutex::default(),
            good_for: is_cluster.then_some(CLUSTER_TRUST),
            next_round: AtomicU64::new(0),
        }
    }

    /// Milliseconds since this was made.
    pub(super) fn elapsed(&self) -> u64 {
        millis(monotonic().saturating_duration_since(self.began))
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session behind `hash`, if it is here and there is no doubt about it.
    pub(super) fn find(&self, hash: &SessionHash) -> Option<Arc<LiveSession>> {
        let now = self.elapsed();
        let known = self.entries.get(hash)?;
        self.is_sure(&known, now).then(|| Arc::clone(&known.live))
    }

    fn is_sure(&self, known: &Known, now: u64) -> bool {
        now < self.trusted_until.load(Ordering::Acquire)
            && known.epoch == self.epoch.load(Ordering::Acquire)
            && now < known.until
    }

    /// Whether `live` is what is known of its session, beyond doubt.
    pub(super) fn is_sure_of(&self, live: &LiveSession) -> bool {
        let now = self.elapsed();
        let known = self.entries.get(&live.hash);
        known.is_some_and(|known| std::ptr::eq(Arc::as_ptr(&known.live), live) && self.is_sure(&known, now))
    }

    /// The session behind `hash` as it was here last, be it true or not.
    pub(super) fn last_known(&self, hash: &SessionHash) -> Option<Arc<LiveSession>> {
        self.entries.get(hash).map(|known| Arc::clone(&known.live))
    }

    /// `live`, of which the record has this mark, or the same session as it is here already.
    pub(super) fn same(&self, live: LiveSession, mark: &Mark) -> Arc<LiveSession> {
        let known = self.entries.get(&live.hash).filter(|known| known.mark == *mark);
        match known {
            Some(known) => {
                known.live.was_seen(live.last_seen());
                Arc::clone(&known.live)
            }
            None => Arc::new(live),
        }
    }

    /// To be called before a session is read.
    pub(super) fn begin(&self, hash: SessionHash) -> Reading {
        let (epoch, at) = (self.epoch.load(Ordering::Acquire), self.elapsed());
        let changes = self.changes().count();
        Reading { hash, changes, epoch, at, known: self.last_known(&hash) }
    }

    /// Keeps what was read, unless it changed meanwhile; hands back what is to be used from now on.
    pub(super) fn keep(&self, reading: &Reading, live: LiveSession, mark: Mark) -> Arc<LiveSession> {
        let changes = self.changes();
        if changes.contradict(reading, &mark) {
            return Arc::new(live);
        }
        if let Some(mut known) = self.entries.get_mut(&reading.hash).filter(|known| known.mark == mark) {
            known.live.was_seen(live.last_seen());
            known.epoch = reading.epoch.max(known.epoch);
            known.until = self.good_until(reading).max(known.until);
            return Arc::clone(&known.live);
        }
        let live = Arc::new(live);
        self.put(reading, &live, mark);
        live
    }

    /// Keeps a session that this node made or changed itself, unless it changed again meanwhile.
    pub(super) fn keep_own(&self, reading: &Reading, live: &Arc<LiveSession>, mark: Mark) {
        let changes = self.changes();
        if !changes.contradict(reading, &mark) {
            self.put(reading, live, mark);
        }
    }

    fn put(&self, reading: &Reading, live: &Arc<LiveSession>, mark: Mark) {
        let (epoch, until) = (reading.epoch, self.good_until(reading));
        let known = Known { live: Arc::clone(live), mark, epoch, until };
        match self.entries.entry(reading.hash) {
            Entry::Occupied(mut place) => {
                let before = place.insert(known).live;
                if !Arc::ptr_eq(&before, live) {
                    before.supersede();
                    live.was_seen(before.last_seen());
                }
            }
            Entry::Vacant(place) if self.count.load(Ordering::Relaxed) < MOST => {
                self.count.fetch_add(1, Ordering::Relaxed);
                place.insert(known);
            }
            Entry::Vacant(_) => {}
        }
    }

    /// Puts `new`, which tells of the same record, in the place of `old`. What is not kept here cannot be
    /// found here to be over: it is superseded from the beginning, so that whatever runs on it asks.
    pub(super) fn refit(&self, old: &Arc<LiveSession>, new: LiveSession) -> Arc<LiveSession> {
        let (_changes, new) = (self.changes(), Arc::new(new));
        match self.entries.get_mut(&old.hash).filter(|known| Arc::ptr_eq(&known.live, old)) {
            Some(mut known) => {
                new.was_seen(old.last_seen());
                known.live = Arc::clone(&new);
                old.supersede();
            }
            None => new.supersede(),
        }
        new
    }

    fn good_until(&self, reading: &Reading) -> u64 {
        self.good_for.map_or(u64::MAX, |time| reading.at.saturating_add(millis(time)))
    }

    /// The session has ended.
    pub(super) fn note_end(&self, hash: SessionHash, end: End) -> Option<Arc<LiveSession>> {
        let live = self.forget(hash, None, |_| true)?;
        live.end(end);
        Some(live)
    }

    /// The session has changed, and its record has this mark now.
    pub(super) fn note_change(&self, hash: SessionHash, mark: Mark) {
        if let Some(live) = self.forget(hash, Some(mark), |known| known.mark != mark) {
            live.supersede();
        }
    }

    /// Whoever was `reading` found nothing: what was here then is over.
    pub(super) fn note_gone(&self, reading: &Reading) {
        if let Some(live) = &reading.known {
            self.note_lost(live);
        }
    }

    /// `live` is not in the Redis any more.
    pub(super) fn note_lost(&self, live: &Arc<LiveSession>) {
        live.end(End::Revoked);
        self.forget(live.hash, None, |known| Arc::ptr_eq(&known.live, live));
    }

    /// Nobody knows what became of the session.
    pub(super) fn doubt(&self, hash: SessionHash) {
        self.forget(hash, None, |_| true);
    }

    fn forget(
        &self,
        hash: SessionHash,
        mark: Option<Mark>,
        which: impl Fn(&Known) -> bool,
    ) -> Option<Arc<LiveSession>> {
        let mut changes = self.changes();
        changes.note(hash, mark);
        let (_, known) = self.entries.remove_if(&hash, |_, known| which(known))?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(known.live)
    }

    /// The feed was whole up to `at`, by [`Self::elapsed`].
    pub(super) fn trust(&self, at: u64) {
        if self.elapsed() >= self.trusted_until.load(Ordering::Acquire) {
            // There was a gap.
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        self.trusted_until.fetch_max(at.saturating_add(millis(TRUST)), Ordering::AcqRel);
    }

    /// The feed has broken.
    pub(super) fn distrust(&self) {
        self.trusted_until.store(0, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets those that are over and that nobody holds.
    pub(super) fn sweep(&self, now: Timestamp) {
        let elapsed = self.elapsed();
        if elapsed < self.next_round.load(Ordering::Relaxed) {
            return;
        }
        self.next_round.store(elapsed.saturating_add(millis(ROUND)), Ordering::Relaxed);
        self.entries.retain(|_, known| {
            let stays = known.live.is_alive(now) || Arc::strong_count(&known.live) > 1;
            if !stays {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            stays
        });
    }
}
