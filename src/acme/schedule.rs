//! When something is to be done: renewals in time, and after a failure not too soon.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::entropy::Entropy;

/// What an authority that says how long to wait can ask for at most: it should not be able to let a
/// certificate run out.
pub(super) const MOST_PATIENCE: Duration = Duration::from_hours(24);

/// When a certificate that is good `from` and `until` is to be renewed: when a third of its life is left,
/// or so long before its end as the operator wishes. Of its life two thirds count at most, or one of short
/// life would be renewed as soon as it is there.
pub(super) fn renewal(from: Timestamp, until: Timestamp, before: Option<Duration>) -> Timestamp {
    let life = from.until(until);
    let before = before.map_or(life / 3, |before| before.min(life / 3 * 2));
    from.after(life.saturating_sub(before))
}

/// The same for one of which the authority `suggested` a moment (RFC 9773). If the operator has said something
/// of it, that is the latest; and else it is early enough for some failures. An authority that finds everything
/// overdue is not asked for one after the other.
pub(super) fn renewal_as_suggested(
    from: Timestamp,
    until: Timestamp,
    before: Option<Duration>,
    suggested: Timestamp,
) -> Timestamp {
    let life = from.until(until);
    let latest = before.map_or(from.after(life / 10 * 9), |_| renewal(from, until, before));
    suggested.max(from.after(SOONEST.min(life / 4))).min(latest)
}

/// How long one is used at least, if it is not for a shorter life: authorities that revoke give a day.
const SOONEST: Duration = Duration::from_hours(6);

/// When one that is good `from` and `until` and was got `now` may be renewed. It may be due already, if a clock
/// is wrong, or a life shorter than anybody thought: some time has to pass all the same.
pub(super) fn earliest_after(from: Timestamp, until: Timestamp, now: Timestamp) -> Timestamp {
    now.after((from.until(until) / 2).clamp(LEAST.0, LEAST.1))
}

/// The least time from one certificate to the next for the same names, for those of the shortest life and for
/// all others.
const LEAST: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// What a failure says of the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The authority was not reached, or is not itself: that costs nothing.
    Unreached,
    /// It was, and refused: that is counted there (Let's Encrypt allows five failures an hour for a name).
    Refused,
}

impl Failure {
    /// The wait after the first failure, and the longest.
    fn bounds(self) -> (Duration, Duration) {
        match self {
            Self::Unreached => (Duration::from_secs(30), Duration::from_hours(1)),
            Self::Refused => (Duration::from_mins(10), Duration::from_hours(12)),
        }
    }
}

/// How long to wait after the `count`th failure in a row, the last of which was of this kind. It doubles
/// each time, and up to a fifth is left to chance: many gateways may have failed in the same moment. What
/// the authority `asked` for is kept to.
pub(super) fn pause(
    failure: Failure,
    count: u32,
    asked: Option<Duration>,
    entropy: &dyn Entropy,
) -> Duration {
    let (first, longest) = failure.bounds();
    let doubled = first.saturating_mul(1 << count.saturating_sub(1).min(16));
    let mut random = [0];
    entropy.fill(&mut random);
    let base = doubled.min(longest);
    let chance = base / 5 * u32::from(random[0]) / u32::from(u8::MAX);
    (base + chance).max(asked.unwrap_or_default().min(MOST_PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn certificates_are_renewed_in_time_and_never_at_once() {
        let from = Timestamp::from_millis(1_000_000);
        for (life, before, expected) in [
            (90 * 24, None, 60 * 24),
            (6 * 24, None, 4 * 24),
            (90 * 24, Some(14 * 24), 76 * 24),
            (24, Some(30 * 24), 8),
            (0, None, 0),
            (0, Some(1), 0),
        ] {
            let due = renewal(from, from.after(HOUR * life), before.map(|hours| HOUR * hours));
            assert_eq!(from.until(due), HOUR * expected, "{life} {before:?}");
        }
        assert_eq!(renewal(from, Timestamp::from_millis(0), None), from);
    }

    #[test]
    fn one_that_is_due_as_soon_as_it_is_there_waits_all_the_same() {
        let from = Timestamp::from_millis(1_000_000);
        // Minutes: of its life, of its age, and until it is renewed.
        for (life, age, expected) in
            [(90, 0, 60), (90, 59, 45), (129_600, 0, 86_400), (129_600, 100_000, 60), (1, 5, 1), (0, 0, 1)]
        {
            let minutes = |count: u64| Duration::from_mins(count);
            let now = from.after(minutes(age));
            let until = from.after(minutes(life));
            let due = renewal(from, until, None).max(earliest_after(from, until, now));
            assert_eq!(now.until(due), minutes(expected), "{life} {age}");
        }
    }

    #[test]
    fn a_suggestion_is_followed_within_reason() {
        let from = Timestamp::from_millis(1_000_000_000);
        // Hours: of its life, before its end, suggested, and until it is renewed.
        for (life, before, suggested, expected) in [
            (90 * 24, None, 50 * 24, 50 * 24),
            (90 * 24, None, 70 * 24, 70 * 24),
            (90 * 24, None, 89 * 24, 81 * 24),
            (90 * 24, None, 0, 6),
            (8, None, 0, 2),
            (90 * 24, Some(30 * 24), 70 * 24, 60 * 24),
            (90 * 24, Some(30 * 24), 50 * 24, 50 * 24),
            (0, None, 5, 0),
        ] {
            let until = from.after(HOUR * life);
            let before = before.map(|hours| HOUR * hours);
            let due = renewal_as_suggested(from, until, before, from.after(HOUR * suggested));
            assert_eq!(from.until(due), HOUR * expected, "{life} {before:?} {suggested}");
        }
        let past = renewal_as_suggested(from, from.after(HOUR * 240), None, Timestamp::from_millis(0));
        assert_eq!(from.until(past), HOUR * 6);
    }

    #[test]
    fn pauses_grow_to_a_limit_and_are_never_shorter_than_asked() {
        let entropy = SeededEntropy::new(1);
        for (failure, count, asked, least, most) in [
            (Failure::Unreached, 1, None, 30, 36),
            (Failure::Unreached, 2, None, 60, 72),
            (Failure::Unreached, 1000, None, 3600, 4320),
            (Failure::Refused, 1, None, 600, 720),
            (Failure::Refused, 3, None, 2400, 2880),
            (Failure::Refused, u32::MAX, None, 43_200, 51_840),
            (Failure::Unreached, 0, None, 30, 36),
            (Failure::Refused, 1, Some(7200), 7200, 7200),
            (Failure::Refused, 1, Some(u64::MAX), 86_400, 86_400),
        ] {
            for _ in 0..50 {
                let pause = pause(failure, count, asked.map(Duration::from_secs), &entropy).as_secs();
                assert!((least..=most).contains(&pause), "{failure:?} {count} {asked:?}: {pause}");
            }
        }
    }
}
