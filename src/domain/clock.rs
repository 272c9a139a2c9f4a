//! Time as an argument: whatever depends on "now" is handed a [`Clock`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A point in time, in whole milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This time moved forward by `duration`, at most to the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The first time not before this one that is a whole number of `span`s after the Unix epoch.
    #[must_use]
    pub fn rounded_up(self, span: Duration) -> Self {
        Self(self.0.checked_next_multiple_of(millis(span)).unwrap_or(u64::MAX))
    }

    /// How long it is from this time until `later`; zero if `later` is not later.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }

    /// Reads a date and a time of day with its offset (RFC 3339 §5.6), to the second; `None` if it is none,
    /// or before the epoch.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let seconds = u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_second()).ok()?;
        Some(Self(seconds.checked_mul(1000)?))
    }

    /// RFC 3339 in UTC with seconds, as the APIs show times.
    pub fn to_rfc3339(self) -> String {
        let seconds = i64::try_from(self.as_secs()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
    }
}

/// A point in time in microseconds since the Unix epoch: fine enough to tell what the gateway itself takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The millisecond in which it lies.
    pub const fn timestamp(self) -> Timestamp {
        Timestamp(self.0 / 1000)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0.saturating_mul(1000)
    }

    /// Microseconds from this moment until `later`; zero if `later` is not later.
    pub const fn micros_until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(time.0.saturating_mul(1000))
    }
}

/// `duration` in whole milliseconds; one that is too long for the type is as long as that can be.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time in whole milliseconds: half the size of a [`Duration`], for what there are
/// millions of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(u64);

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(millis(duration))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.0)
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// The same, as finely as the clock tells it.
    fn moment(&self) -> Moment {
        self.now().into()
    }
}

/// The operating system's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.moment().timestamp()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    fn moment(&self) -> Moment {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // In 64 bits, which last for half a million years.
        let micros =
            |time: Duration| time.as_secs().saturating_mul(1_000_000) + u64::from(time.subsec_micros());
        Moment(since_epoch.map_or(0, micros))
    }
}

/// A clock that stands still until it is moved: for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.as_millis()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Moves the clock back, as whoever corrects one that was wrong.
    pub fn set_back(&self, by: Duration) {
        self.0.fetch_sub(millis(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_utc_with_seconds() {
        assert_eq!(Timestamp::from_millis(1_763_800_000_999).to_rfc3339(), "2025-11-22T08:26:40Z");
    }

    #[test]
    fn times_are_rounded_up_to_whole_spans() {
        let rounded = |millis| Timestamp::from_millis(millis).rounded_up(Duration::from_secs(1)).as_millis();
        assert_eq!([0, 1, 999, 1000, 1001, u64::MAX].map(rounded), [0, 1000, 1000, 1000, 2000, u64::MAX]);
    }

    #[test]
    fn a_moment_lies_in_its_millisecond() {
        let (early, late) = (Moment(1_763_800_000_000_999), Moment(1_763_800_000_001_000));
        assert_eq!(early.timestamp(), Timestamp::from_millis(1_763_800_000_000));
        assert_eq!(Moment::from(late.timestamp()), late);
        assert_eq!((early.micros_until(late), late.micros_until(early)), (1, 0));
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let end = Timestamp::from_millis(u64::MAX - 1);
        assert_eq!(end.after(Duration::from_secs(5)), Timestamp::from_millis(u64::MAX));
        assert_eq!(end.until(Timestamp::from_millis(0)), Duration::ZERO);
        assert!(!end.to_rfc3339().is_empty());
    }
}
