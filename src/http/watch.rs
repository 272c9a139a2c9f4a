//! Deadlines by a coarse sweep: a worker looks at whatever waits on it a few times a second,
//! instead of arming a timer for each.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Duration;

/// How often a worker looks. Deadlines are kept to within one such interval, and never early.
pub const TICK: Duration = Duration::from_millis(100);

/// What waits on a worker.
#[derive(Debug, Default)]
pub struct Watch {
    now: Cell<u64>,
    is_draining: Cell<bool>,
    waiting: RefCell<Vec<Weak<Deadline>>>,
}

impl Watch {
    /// A deadline that is `limit` after the last [`Deadline::restart`].
    pub fn deadline(self: &Rc<Self>, limit: Duration) -> Rc<Deadline> {
        let deadline = Rc::new(Deadline {
            watch: Rc::clone(self),
            since: Cell::new(self.now.get()),
            limit: Cell::new(ticks(limit)),
            is_over: Cell::new(false),
            is_met: Cell::new(false),
            waker: RefCell::default(),
        });
        self.waiting.borrow_mut().push(Rc::downgrade(&deadline));
        deadline
    }

    /// Lets one interval pass, and wakes whoever has waited too long. Returns the number of
    /// intervals so far.
    pub fn tick(&self) -> u64 {
        let now = self.now.get() + 1;
        self.now.set(now);
        self.waiting.borrow_mut().retain(|deadline| {
            let Some(deadline) = deadline.upgrade().filter(|deadline| !deadline.is_met.get()) else {
                return false;
            };
            // The interval in which it began has already been running then.
            let is_over = now - deadline.since.get() > deadline.limit.get();
            if is_over && !deadline.is_over.replace(true) {
                deadline.wake();
            }
            true
        });
        now
    }

    /// The worker is to stop: whoever waits looks whether it should go on waiting.
    pub fn drain(&self) {
        self.is_draining.set(true);
        self.waiting.borrow().iter().filter_map(Weak::upgrade).for_each(|deadline| deadline.wake());
    }

    /// Whether the worker is to stop.
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }
}

fn ticks(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX)
}

/// A time by which something has to happen.
#[derive(Debug)]
pub struct Deadline {
    watch: Rc<Watch>,
    since: Cell<u64>,
    limit: Cell<u64>,
    is_over: Cell<bool>,
    is_met: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Deadline {
    /// Begins to wait anew, for `limit`.
    pub fn restart(&self, limit: Duration) {
        self.since.set(self.watch.now.get());
        self.limit.set(ticks(limit));
        self.is_over.set(false);
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
        if self.is_over.get() {
            return true;
        }
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

    #[test]
    fn a_deadline_is_never_early_and_at_most_an_interval_late() {
        let watch = Rc::new(Watch::default());
        let deadline = watch.deadline(Duration::from_millis(250));
        for _ in 0..3 {
            watch.tick();
            assert!(!deadline.is_over(Waker::noop()));
        }
        watch.tick();
        assert!(deadline.is_over(Waker::noop()));
    }

    #[test]
    fn progress_begins_the_wait_anew_and_an_answer_ends_it() {
        let watch = Rc::new(Watch::default());
        let (busy, answered) = (watch.deadline(TICK), watch.deadline(TICK));
        answered.meet();
        for _ in 0..10 {
            watch.tick();
            busy.restart(TICK);
        }
        assert!(!busy.is_over(Waker::noop()) && !answered.is_over(Waker::noop()));
        drop(busy);
        watch.tick();
        assert!(watch.waiting.borrow().is_empty());
    }
}
