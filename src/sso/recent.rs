//! The last events, for whoever comes later and asks what happened.
//!
//! They are kept only if somebody may ever ask: an event that nobody reads need not be written down.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chronicle::PublishedEvent;

/// As many as are kept.
const KEPT: usize = 200;

/// The last events.
#[derive(Default)]
pub(super) struct Recent {
    is_on: AtomicBool,
    events: Mutex<VecDeque<Arc<PublishedEvent>>>,
}

impl Recent {
    /// Keeps what happens from now on, or does not, and then forgets what it has.
    pub(super) fn switch(&self, on: bool) {
        self.is_on.store(on, Ordering::Relaxed);
        if !on {
            self.events().clear();
        }
    }

    /// Whether it keeps what happens.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Keeps an event, and forgets the oldest for it.
    pub(super) fn keep(&self, event: &Arc<PublishedEvent>) {
        if !self.is_on() {
            return;
        }
        let mut events = self.events();
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back(Arc::clone(event));
    }

    /// Those that are kept, the latest first.
    pub(super) fn all(&self) -> Vec<Arc<PublishedEvent>> {
        self.events().iter().rev().cloned().collect()
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Arc<PublishedEvent>>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_while_somebody_may_ask() {
        let recent = Recent::default();
        let keep = |n: usize| {
            recent.keep(&Arc::new(PublishedEvent {
                event: "something",
                site: None,
                json: n.to_string(),
                of_one_site: None,
            }));
        };
        let kept = || recent.all().iter().map(|event| event.json.parse().unwrap()).collect::<Vec<usize>>();
        keep(0);
        assert!(kept().is_empty());
        recent.switch(true);
        (0..KEPT + 3).for_each(keep);
        assert_eq!(kept(), (3..KEPT + 3).rev().collect::<Vec<_>>());
        recent.switch(false);
        recent.switch(true);
        assert!(kept().is_empty());
    }
}
