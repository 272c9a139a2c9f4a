//! Deadlines by a coarse sweep: a worker looks at whatever waits on it a few times a second,
//! instead of arming a timer for each.
//!
//! What runs on the strength of a session is bound to it by its deadline: the sweep that finds out
//! who is late also finds out whose session is over.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use crate::domain::session::LiveSession;

/// How often a worker looks. Deadlines are kept to within one such interval, and never early.
pub const TICK: Duration = Duration::from_millis(100);

/// The most waits that are ended at one time to make room.
const MOST_EVICTED: usize = 32;

/// How many ticks a call for room is kept up that nobody heeds: whoever still wants some calls again.
const CALL_TICKS: u64 = 2;

/// What waits on a worker.
#[derive(Debug, Default)]
pub struct Watch {
    call: Arc<CallForRoom>,
    now: Cell<u64>,
    /// Until which tick its own call is kept up.
    calls_until: Cell<u64>,
    is_draining: Cell<bool>,
    waiting: RefCell<Vec<Weak<Deadline>>>,
}

/// What workers tell each other: whether one of them wants room, and none of its own waits may end early.
#[derive(Debug, Default)]
pub struct CallForRoom(AtomicBool);

/// What a sweep is told of a session on whose strength something runs.
#[derive(Debug)]
pub enum Verdict {
    /// It may go on.
    GoesOn,
    /// It may go on, with this one in the session's place.
    GoesOnWith(Arc<LiveSession>),
    /// It is to end.
    Ends,
}

impl Watch {
    /// That of one of the workers that share `call`.
    pub fn among(call: Arc<CallForRoom>) -> Self {
        Self { call, ..Self::default() }
    }

    /// A deadline that is `limit` after the last [`Deadline::restart`].
    pub fn deadline(self: &Rc<Self>, limit: Duration) -> Rc<Deadline> {
        self.bound(limit, None)
    }

    /// The same for what runs on the strength of `session`, if there is one.
    pub fn bound(self: &Rc<Self>, limit: Duration, session: Option<&Arc<LiveSession>>) -> Rc<Deadline> {
        let deadline = Rc::new(Deadline {
            watch: Rc::clone(self),
            since: Cell::new(self.now.get()),
            limit: Cell::new(ticks(limit)),
            is_over: Cell::new(false),
            is_met: Cell::new(false),
            rest: Cell::new(Rest::Busy),
            session: RefCell::new(session.map(Arc::clone)),
            is_revoked: Cell::new(false),
            waker: RefCell::default(),
        });
        self.waiting.borrow_mut().push(Rc::downgrade(&deadline));
        deadline
    }

    /// Lets one interval pass, and wakes whoever has waited too long, and whose session is over:
    /// `judge` knows that. Returns the number of intervals so far.
    pub fn tick(&self, mut judge: impl FnMut(&Arc<LiveSession>) -> Verdict) -> u64 {
        let now = self.now.get() + 1;
        self.now.set(now);
        self.waiting.borrow_mut().retain(|deadline| {
            let Some(deadline) = deadline.upgrade().filter(|deadline| !deadline.is_met.get()) else {
                return false;
            };
            // The interval in which it began has already been running then.
            let is_over = now - deadline.since.get() > deadline.limit.get();
            let is_late = is_over && !deadline.is_over.replace(true);
            if deadline.is_judged(&mut judge) || is_late {
                deadline.wake();
            }
            true
        });
        self.heed_call(now);
        now
    }

    /// Makes room if another worker calls for it.
    fn heed_call(&self, now: u64) {
        let CallForRoom(is_open) = &*self.call;
        if is_open.load(Relaxed) {
            let is_over = match now.cmp(&self.calls_until.get()) {
                // It may be its own.
                Ordering::Less => false,
                Ordering::Equal => true,
                Ordering::Greater => self.evict() > 0,
            };
            if is_over {
                is_open.store(false, Relaxed);
            }
        }
    }

    /// The worker is to stop: whoever waits looks whether it should go on waiting.
    pub fn drain(&self) {
        self.is_draining.set(true);
        self.waiting.borrow().iter().filter_map(Weak::upgrade).for_each(|deadline| deadline.wake());
    }

    /// Ends some of the waits that may end early, as their room is wanted: those that have rested longest,
    /// and enough of them that it is not looked for room again for each who wants it. If there are none, another
    /// worker ends some of its own. How many they were here.
    pub fn make_room(&self) -> usize {
        let evicted = self.evict();
        if evicted == 0 {
            self.calls_until.set(self.now.get() + CALL_TICKS);
            self.call.0.store(true, Relaxed);
        }
        evicted
    }

    fn evict(&self) -> usize {
        let waiting = self.waiting.borrow();
        let resting = waiting.iter().filter_map(Weak::upgrade);
        let since = |deadline: Rc<Deadline>| match deadline.rest.get() {
            Rest::Since(tick) => Some((tick, deadline)),
            Rest::Busy | Rest::Over => None,
        };
        let mut resting: Vec<(u64, Rc<Deadline>)> = resting.filter_map(since).collect();
        let most = (resting.len() / 8).clamp(1, MOST_EVICTED);
        if resting.len() > most {
            resting.select_nth_unstable_by_key(most, |(since, _)| *since);
            resting.truncate(most);
        }
        for (_, deadline) in &resting {
            deadline.evict();
        }
        resting.len()
    }

    /// Whether the worker is to stop.
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }
}

fn ticks(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX)
}

/// Whether a wait may end early, for others to have its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It may not.
    Busy,
    /// It may, since this interval.
    Since(u64),
    /// It is to.
    Over,
}

/// A time by which something has to happen, and the session without which it is not to happen.
#[derive(Debug)]
pub struct Deadline {
    watch: Rc<Watch>,
    since: Cell<u64>,
    limit: Cell<u64>,
    is_over: Cell<bool>,
    is_met: Cell<bool>,
    rest: Cell<Rest>,
    /// `None` once it is over, too: there is nothing more to be known.
    session: RefCell<Option<Arc<LiveSession>>>,
    is_revoked: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Deadline {
    /// Begins to wait anew, for `limit`.
    pub fn restart(&self, limit: Duration) {
        self.since.set(self.watch.now.get());
        self.limit.set(ticks(limit));
        self.is_over.set(false);
    }

    /// Nothing would be lost if this wait ended early: it may, if room is wanted.
    pub fn rest(&self) {
        self.rest.set(Rest::Since(self.watch.now.get()));
    }

    /// Something goes on again.
    pub fn stir(&self) {
        self.rest.set(Rest::Busy);
    }

    /// Whether this wait is to end early.
    pub fn is_evicted(&self) -> bool {
        self.rest.get() == Rest::Over
    }

    fn evict(&self) {
        self.rest.set(Rest::Over);
        self.is_over.set(true);
        self.wake();
    }

    /// Waits for nothing until it is restarted.
    pub fn pause(&self) {
        self.limit.set(u64::MAX);
        self.is_over.set(false);
    }

    /// The worker's watch.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Whether its session was just found to be over.
    fn is_judged(&self, judge: &mut impl FnMut(&Arc<LiveSession>) -> Verdict) -> bool {
        let mut session = self.session.borrow_mut();
        let Some(verdict) = session.as_ref().map(judge) else { return false };
        match verdict {
            Verdict::GoesOn => return false,
            Verdict::GoesOnWith(successor) => *session = Some(successor),
            Verdict::Ends => {
                *session = None;
                self.is_revoked.set(true);
            }
        }
        self.is_revoked.get()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Nobody waits any more.
    pub fn meet(&self) {
        self.is_met.set(true);
    }

    /// Whether it has passed; if not, `waker` is woken when it does.
    pub fn is_over(&self, waker: &Waker) -> bool {
        self.is_over.get() || self.wait(waker)
    }

    /// Whether the session to which it is bound is over, whatever the time; if not, `waker` is woken
    /// when it is.
    pub fn is_revoked(&self, waker: &Waker) -> bool {
        self.is_revoked.get() || self.wait(waker)
    }

    /// Has `waker` woken when there is something to see: there is nothing yet.
    fn wait(&self, waker: &Waker) -> bool {
        let mut own = self.waker.borrow_mut();
        if own.as_ref().is_none_or(|own| !own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::identity::{Identity, ReadyHeaders};
    use crate::domain::opaque::SessionKey;
    use crate::domain::session::{Session, SessionId};
    use crate::domain::site::SiteName;
    use crate::domain::token::RolePolicy;

    #[test]
    fn a_deadline_is_never_early_and_at_most_an_interval_late() {
        let watch = Rc::new(Watch::default());
        let deadline = watch.deadline(Duration::from_millis(250));
        for _ in 0..3 {
            watch.tick(|_| Verdict::GoesOn);
            assert!(!deadline.is_over(Waker::noop()));
        }
        watch.tick(|_| Verdict::GoesOn);
        assert!(deadline.is_over(Waker::noop()));
    }

    #[test]
    fn progress_begins_the_wait_anew_and_an_answer_ends_it() {
        let watch = Rc::new(Watch::default());
        let (busy, answered) = (watch.deadline(TICK), watch.deadline(TICK));
        answered.meet();
        for _ in 0..10 {
            watch.tick(|_| Verdict::GoesOn);
            busy.restart(TICK);
        }
        assert!(!busy.is_over(Waker::noop()) && !answered.is_over(Waker::noop()));
        drop(busy);
        watch.tick(|_| Verdict::GoesOn);
        assert!(watch.waiting.borrow().is_empty());
    }

    #[test]
    fn who_has_rested_longest_makes_room_first() {
        let watch = Rc::new(Watch::default());
        let deadlines: Vec<_> = (0..20).map(|_| watch.deadline(Duration::MAX)).collect();
        let evicted = || -> Vec<usize> {
            let is_over = |number: &usize| deadlines[*number].is_over(Waker::noop());
            (0..20).filter(|number| is_over(number) && deadlines[*number].is_evicted()).collect()
        };
        assert_eq!(watch.make_room(), 0, "all are busy");
        for deadline in deadlines[4..].iter().rev() {
            deadline.rest();
            watch.tick(|_| Verdict::GoesOn);
        }
        assert_eq!((watch.make_room(), evicted()), (2, vec![18, 19]));
        deadlines[17].stir();
        deadlines[15].rest();
        assert_eq!((watch.make_room(), evicted()), (1, vec![16, 18, 19]));
        for round in 1..=13 {
            assert_eq!(watch.make_room(), usize::from(round < 13));
        }
        assert_eq!(evicted().len(), 15);
        deadlines[18].stir();
        deadlines[18].restart(TICK);
        assert!(!deadlines[18].is_over(Waker::noop()) && !deadlines[18].is_evicted());
    }

    #[test]
    fn where_nobody_rests_another_worker_makes_room() {
        let call = Arc::<CallForRoom>::default();
        let watches = [(); 3].map(|()| Rc::new(Watch::among(Arc::clone(&call))));
        let [wants, has, has_too] = &watches;
        let tick = || watches.iter().for_each(|watch| assert!(watch.tick(|_| Verdict::GoesOn) > 0));
        let resting = |watch: &Rc<Watch>| {
            let deadline = watch.deadline(Duration::MAX);
            deadline.rest();
            deadline
        };
        let (one, other) = (resting(has), resting(has_too));
        tick();
        assert!(!one.is_evicted() && !other.is_evicted(), "nobody wants room");
        assert_eq!(wants.make_room(), 0);
        tick();
        assert!(one.is_evicted() && !other.is_evicted(), "one call, one answer");
        assert_eq!(wants.make_room(), 0);
        tick();
        assert!(other.is_evicted());
        // Who comes to rest when nobody wants room any more may stay.
        assert_eq!(wants.make_room(), 0);
        (0..CALL_TICKS).for_each(|_| tick());
        let late = resting(has);
        tick();
        assert!(!late.is_evicted());
    }

    fn session(seed: u64) -> Arc<LiveSession> {
        let entropy = SeededEntropy::new(seed);
        let now = Timestamp::from_millis(1_000_000);
        let session = Session {
            id: SessionId::mint(now, &entropy),
            site: SiteName::parse("s").unwrap(),
            identity: Identity::default(),
            role_policy: RolePolicy::Always,
            expires_at: now.after(Duration::from_hours(1)),
            idle: Duration::from_mins(30).into(),
            backend: false,
        };
        Arc::new(LiveSession::new(SessionKey::mint(&entropy).hash(), session, ReadyHeaders::default(), now))
    }

    #[test]
    fn whoever_is_bound_ends_with_the_session_however_patient() {
        let watch = Rc::new(Watch::default());
        let (one, other) = (session(1), session(2));
        let bound = [&one, &other].map(|session| watch.bound(Duration::MAX, Some(session)));
        let free = watch.deadline(Duration::MAX);
        for bound in &bound {
            bound.pause();
        }
        let successor = session(3);
        for judged in [&one, &successor] {
            // A successor is asked about in its predecessor's place.
            watch.tick(|live| match Arc::ptr_eq(live, judged) {
                true if Arc::ptr_eq(live, &one) => Verdict::GoesOnWith(Arc::clone(&successor)),
                true => Verdict::Ends,
                false => Verdict::GoesOn,
            });
        }
        watch.tick(|live| {
            assert!(Arc::ptr_eq(live, &other), "of what has ended nothing more is asked");
            Verdict::GoesOn
        });
        let revoked = [&bound[0], &bound[1], &free].map(|deadline| deadline.is_revoked(Waker::noop()));
        assert_eq!(revoked, [true, false, false]);
        // It is one thing to be late, and another to have no right to go on.
        assert!(!bound[0].is_over(Waker::noop()));
        bound[0].restart(Duration::ZERO);
        watch.tick(|_| Verdict::GoesOn);
        assert!(bound[0].is_over(Waker::noop()) && bound[0].is_revoked(Waker::noop()));
    }
}
