//! Holding back whoever fails too often.

use std::net::IpAddr;
use std::time::Duration;

use dashmap::DashMap;

use crate::domain::clock::Timestamp;
use crate::domain::network::network_of;
use crate::domain::session::SessionId;
use crate::domain::state::BrowserKey;

/// Who is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// An IPv4 address, or the /64 network of an IPv6 address: a single customer has all of it.
    Address(u128),
    /// A browser, by the hash of its key.
    Browser([u8; 32]),
    /// A session, by its name.
    Session(SessionId),
}

impl From<SessionId> for Culprit {
    fn from(session: SessionId) -> Self {
        Self::Session(session)
    }
}

impl From<&BrowserKey> for Culprit {
    fn from(browser: &BrowserKey) -> Self {
        Self::Browser(browser.hash())
    }
}

impl From<IpAddr> for Culprit {
    fn from(address: IpAddr) -> Self {
        Self::Address(network_of(address))
    }
}

/// Allows a burst of failures and then one for each interval.
///
/// The generic cell rate algorithm: for each culprit one number, the time at which all its
/// failures will be paid off.
#[derive(Debug)]
pub struct Throttle {
    burst: u32,
    interval: Duration,
    paid_off_at: DashMap<Culprit, Timestamp>,
}

/// More culprits than this at a time are an attack from everywhere; then memory matters more
/// than memories.
const MAX_CULPRITS: usize = 100_000;

impl Throttle {
    /// Allows `burst` failures at once, and one more for each `interval` that passes.
    pub fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, paid_off_at: DashMap::new() }
    }

    /// Whether `culprit` may try again; if not, for how long.
    pub fn check(&self, culprit: Culprit, now: Timestamp) -> Result<(), Duration> {
        let Some(paid_off_at) = self.paid_off_at.get(&culprit).map(|at| *at) else {
            return Ok(());
        };
        let credit = self.interval * (self.burst - 1);
        let debt = now.until(paid_off_at);
        debt.checked_sub(credit).filter(|wait| !wait.is_zero()).map_or(Ok(()), Err)
    }

    /// Notes a failure, unless `culprit` has to wait: then it says for how long.
    pub fn note_or_hold(&self, culprit: Culprit, now: Timestamp) -> Result<(), Duration> {
        self.check(culprit, now)?;
        self.note_failure(culprit, now);
        Ok(())
    }

    /// Notes a failure.
    pub fn note_failure(&self, culprit: Culprit, now: Timestamp) {
        if self.paid_off_at.len() >= MAX_CULPRITS {
            self.paid_off_at.clear();
        }
        let mut paid_off_at = self.paid_off_at.entry(culprit).or_insert(now);
        *paid_off_at = (*paid_off_at).max(now).after(self.interval);
    }

    /// Forgets who has paid off everything.
    pub fn sweep(&self, now: Timestamp) {
        self.paid_off_at.retain(|_, paid_off_at| *paid_off_at > now);
    }
}

/// Counts failures within a span that ends now: exact, at the price of remembering each.
#[derive(Debug)]
pub struct RecentFailures {
    most: usize,
    span: Duration,
    times: DashMap<Culprit, Vec<Timestamp>>,
}

impl RecentFailures {
    /// Allows `most` failures within any `span`.
    pub fn new(most: usize, span: Duration) -> Self {
        Self { most, span, times: DashMap::new() }
    }

    /// Whether `culprit` has failed as often as is allowed.
    pub fn are_too_many(&self, culprit: Culprit, now: Timestamp) -> bool {
        let recent = |times: &Vec<Timestamp>| times.iter().filter(|time| time.after(self.span) > now).count();
        self.times.get(&culprit).is_some_and(|times| recent(&times) >= self.most)
    }

    /// Notes a failure.
    pub fn note(&self, culprit: Culprit, now: Timestamp) {
        if self.times.len() >= MAX_CULPRITS {
            self.times.clear();
        }
        let mut times = self.times.entry(culprit).or_default();
        times.retain(|time| time.after(self.span) > now);
        if times.len() < self.most {
            times.push(now);
        }
    }

    /// Forgets what is too long ago to count.
    pub fn sweep(&self, now: Timestamp) {
        self.times.retain(|_, times| times.iter().any(|time| time.after(self.span) > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_sees_more_failures_than_are_allowed() {
        let failures = RecentFailures::new(3, Duration::from_mins(1));
        let culprit = Culprit::Address(1);
        let start = Timestamp::from_millis(1_000_000);
        let at = |seconds| start.after(Duration::from_secs(seconds));
        for seconds in [0, 1, 20] {
            assert!(!failures.are_too_many(culprit, at(seconds)), "{seconds}");
            failures.note(culprit, at(seconds));
        }
        for seconds in [20, 40, 59] {
            assert!(failures.are_too_many(culprit, at(seconds)), "{seconds}");
        }
        assert!(!failures.are_too_many(culprit, at(60)));
        failures.note(culprit, at(60));
        assert!(failures.are_too_many(culprit, at(60)));
        failures.sweep(at(200));
        assert!(failures.times.is_empty());
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_for_each_interval() {
        let throttle = Throttle::new(3, Duration::from_secs(20));
        let (culprit, other) = (Culprit::Address(1), Culprit::Address(2));
        let start = Timestamp::from_millis(1_000_000);
        for _ in 0..3 {
            assert_eq!(throttle.check(culprit, start), Ok(()));
            throttle.note_failure(culprit, start);
        }
        assert_eq!(throttle.check(culprit, start), Err(Duration::from_secs(20)));
        assert_eq!(throttle.check(other, start), Ok(()));
        assert_eq!(throttle.check(culprit, start.after(Duration::from_secs(20))), Ok(()));
        throttle.sweep(start.after(Duration::from_mins(1)));
        assert!(throttle.paid_off_at.is_empty());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_culprit() {
        let culprit = |text: &str| Culprit::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(culprit("2001:db8::1"), culprit("2001:db8::ffff"));
        assert_ne!(culprit("2001:db8::1"), culprit("2001:db8:0:1::1"));
        assert_eq!(culprit("::ffff:192.0.2.1"), culprit("192.0.2.1"));
        assert_ne!(culprit("192.0.2.1"), culprit("192.0.2.2"));
    }
}
