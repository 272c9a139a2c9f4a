//! How an upstream is doing, as all workers know it: what they went through with it, and what it
//! said when it was asked.
//!
//! Nothing here takes a lock, and where all goes well nothing is written. Workers that change
//! something at the same moment may overwrite each other, which at worst makes a pause a little
//! longer or shorter.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::domain::clock::Timestamp;

/// Failures in a row after which an upstream is left out.
const PATIENCE: u32 = 3;

/// For how long it is left out at first; each time that it fails again, for twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// For how long at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// How an upstream is doing.
#[derive(Debug)]
pub(super) struct Standing {
    site: String,
    upstream: String,
    /// Failures since the last answer.
    failures: AtomicU32,
    /// How often it has been left out since then.
    pauses: AtomicU32,
    /// In milliseconds since the epoch; 0 if it is not left out.
    out_until: AtomicU64,
    /// Whether it says itself that it is not well, or does not say anything when asked.
    is_unwell: AtomicBool,
}

/// What may be asked of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Whatever comes.
    Full,
    /// One request at a time, to see whether it is back.
    Trial,
    /// Nothing, as long as there are others.
    None,
}

/// How an upstream is doing, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamState {
    /// The upstream, as the configuration has it.
    pub upstream: String,
    /// Failures since its last answer.
    pub failures: u32,
    /// Until when it is left out, if it is.
    pub out_until: Option<Timestamp>,
    /// Whether its last health checks were good; always, if there are none.
    pub is_well: bool,
}

impl Standing {
    pub(super) fn new(site: &str, upstream: &str) -> Self {
        Self {
            site: site.to_owned(),
            upstream: upstream.to_owned(),
            failures: AtomicU32::new(0),
            pauses: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
            is_unwell: AtomicBool::new(false),
        }
    }

    /// What may be asked of it now.
    pub(super) fn trust(&self, now: Timestamp) -> Trust {
        match self.out_until.load(Relaxed) {
            _ if self.is_unwell.load(Relaxed) => Trust::None,
            0 => Trust::Full,
            until if now.as_millis() < until => Trust::None,
            _ => Trust::Trial,
        }
    }

    /// Whether it is given whatever comes, as far as is known: that it may be tried again does not make
    /// it well, and where nobody comes nobody tries.
    pub(super) fn is_up(&self) -> bool {
        self.out_until.load(Relaxed) == 0 && !self.is_unwell.load(Relaxed)
    }

    /// The names of its site and of itself.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.site, &self.upstream)
    }

    /// It answered.
    pub(super) fn answered(&self) {
        if self.failures.load(Relaxed) == 0 {
            return;
        }
        self.failures.store(0, Relaxed);
        if self.pauses.swap(0, Relaxed) > 0 {
            self.out_until.store(0, Relaxed);
            let Self { site, upstream, .. } = self;
            tracing::info!(target: "tollgate::proxy", site, upstream, "an upstream answers again");
        }
    }

    /// It did not. `spread` makes pauses longer by up to a quarter, so that not everything that
    /// failed at the same time is tried at the same time.
    pub(super) fn failed(&self, now: Timestamp, spread: impl FnOnce(Duration) -> Duration) {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let until = self.out_until.load(Relaxed);
        // What was under way when it was left out may still fail.
        if failures < PATIENCE || now.as_millis() < until {
            return;
        }
        let pauses = self.pauses.load(Relaxed);
        let pause = FIRST_PAUSE.saturating_mul(1 << pauses.min(16)).min(LONGEST_PAUSE);
        let next = now.after(pause + spread(pause / 4));
        if self.out_until.compare_exchange(until, next.as_millis(), Relaxed, Relaxed).is_err() {
            return;
        }
        self.pauses.store(pauses.saturating_add(1), Relaxed);
        if pauses == 0 {
            let Self { site, upstream, .. } = self;
            tracing::warn!(target: "tollgate::proxy", site, upstream, failures, "an upstream fails and is left out");
        }
    }

    /// Its health checks turned out like this of late.
    pub(super) fn was_found(&self, is_well: bool) {
        if self.is_unwell.swap(!is_well, Relaxed) != is_well {
            return;
        }
        let Self { site, upstream, .. } = self;
        if is_well {
            tracing::info!(target: "tollgate::proxy", site, upstream, "an upstream is healthy again");
        } else {
            tracing::warn!(target: "tollgate::proxy", site, upstream, "an upstream is unhealthy and left out");
        }
    }

    pub(super) fn state(&self) -> UpstreamState {
        let until = self.out_until.load(Relaxed);
        UpstreamState {
            upstream: self.upstream.clone(),
            failures: self.failures.load(Relaxed),
            out_until: (until > 0).then(|| Timestamp::from_millis(until)),
            is_well: !self.is_unwell.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn fail(standing: &Standing, times: u32, now: Timestamp) {
        (0..times).for_each(|_| standing.failed(now, |_| Duration::ZERO));
    }

    #[test]
    fn a_few_failures_are_forgiven_and_more_are_not() {
        let standing = Standing::new("site", "http://a");
        fail(&standing, PATIENCE - 1, START);
        assert_eq!(standing.trust(START), Trust::Full);
        standing.answered();
        fail(&standing, PATIENCE - 1, START);
        assert_eq!(standing.trust(START), Trust::Full);
        fail(&standing, 1, START);
        assert_eq!(standing.trust(START), Trust::None);
        assert_eq!(standing.state().out_until, Some(START.after(FIRST_PAUSE)));
        assert_eq!(standing.trust(START.after(FIRST_PAUSE)), Trust::Trial);
        assert!(!standing.is_up());
        standing.answered();
        assert_eq!(standing.trust(START), Trust::Full);
        assert!(standing.is_up());
        assert_eq!(standing.state().failures, 0);
    }

    #[test]
    fn pauses_grow_up_to_a_limit_and_start_anew_behind_an_answer() {
        let standing = Standing::new("site", "http://a");
        let mut now = START;
        fail(&standing, PATIENCE, now);
        for expected in [5, 10, 20, 40, 80, 160, 300, 300] {
            let until = standing.state().out_until.unwrap();
            assert_eq!(now.until(until), Duration::from_secs(expected));
            // Those that come late make it no longer.
            fail(&standing, 5, now);
            assert_eq!(standing.state().out_until, Some(until));
            now = until;
            fail(&standing, 1, now);
        }
        standing.answered();
        fail(&standing, PATIENCE, now);
        assert_eq!(standing.state().out_until, Some(now.after(FIRST_PAUSE)));
    }

    #[test]
    fn who_says_that_it_is_not_well_is_believed() {
        let standing = Standing::new("site", "http://a");
        standing.was_found(false);
        standing.answered();
        assert_eq!((standing.trust(START), standing.state().is_well), (Trust::None, false));
        standing.was_found(true);
        assert_eq!((standing.trust(START), standing.state().is_well), (Trust::Full, true));
    }
}
