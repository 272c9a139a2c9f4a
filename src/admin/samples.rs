//! The figures of a while, for plots: sums as they stood every few seconds, from which follows what was
//! between any two of them.

use std::collections::VecDeque;
use std::time::Duration;

use super::Scene;
use crate::domain::clock::{Timestamp, millis};
use crate::metrics::{Distribution, Long, Short};

/// How things stood at one time, counted since the process began.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) requests: u64,
    /// Requests that could not be answered.
    pub(super) failed: u64,
    pub(super) logins: u64,
    /// Requests, tokens and keys that were turned away.
    pub(super) refused: u64,
    /// Sessions, where the store counts them.
    pub(super) sessions: Option<usize>,
    /// What the gateway added to requests.
    pub(super) added: Distribution<Short>,
    /// What upstreams took.
    pub(super) upstream: Distribution<Long>,
}

impl Sample {
    fn take(scene: &Scene, at: Timestamp) -> Self {
        let (requests, events) = (scene.requests.sums(), scene.sso.event_sums());
        let upstream = scene.fronts().iter().map(|front| front.fleet().answered());
        Self {
            at,
            requests: requests.all,
            failed: requests.failed,
            logins: events.logins,
            refused: events.refused + requests.refused,
            sessions: scene.sso.session_count().map(|count| count.sum()),
            added: requests.overhead,
            upstream: upstream.fold(Distribution::default(), |all, own| all.and(&own)),
        }
    }
}

/// Samples at equal distances, the oldest first.
struct Ring {
    every: Duration,
    most: usize,
    samples: VecDeque<Sample>,
}

impl Ring {
    fn new(every: Duration, over: Duration) -> Self {
        let most = usize::try_from(over.as_secs() / every.as_secs().max(1)).unwrap_or_default() + 1;
        Self { every, most, samples: VecDeque::new() }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        // A clock that was put back goes on from there.
        self.samples.back().is_none_or(|last| last.at.after(self.every) <= now || now < last.at)
    }

    fn keep(&mut self, sample: Sample) {
        if self.samples.back().is_some_and(|last| sample.at < last.at) {
            self.samples.clear();
        }
        if self.samples.len() == self.most {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

/// How long back a page looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A quarter of an hour, every five seconds.
    Now,
    /// A day, every minute.
    Day,
}

impl Reach {
    /// How long it is.
    pub(super) const fn length(self) -> Duration {
        match self {
            Self::Now => Duration::from_mins(15),
            Self::Day => Duration::from_hours(24),
        }
    }

    const fn every(self) -> Duration {
        match self {
            Self::Now => Duration::from_secs(5),
            Self::Day => Duration::from_mins(1),
        }
    }

    /// How many samples make a point of a plot.
    const fn point(self) -> usize {
        match self {
            Self::Now => 1,
            Self::Day => 5,
        }
    }

    /// Over how many points is looked where there is too little in one: over a minute at least.
    const fn lately(self) -> usize {
        match self {
            Self::Now => 12,
            Self::Day => 1,
        }
    }

    /// How many make a line of a table.
    const fn line(self) -> usize {
        match self {
            Self::Now => 12,
            Self::Day => 60,
        }
    }
}

/// What was between two samples.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) logins: u64,
    pub(super) refused: u64,
    /// At its end.
    pub(super) sessions: Option<usize>,
    pub(super) added: Distribution<Short>,
    pub(super) upstream: Distribution<Long>,
}

impl Span {
    fn between(from: &Sample, to: &Sample) -> Self {
        Self {
            from: from.at,
            to: to.at,
            // What was counted of a site that is no more is missing from the later one.
            requests: to.requests.saturating_sub(from.requests),
            failed: to.failed.saturating_sub(from.failed),
            logins: to.logins.saturating_sub(from.logins),
            refused: to.refused.saturating_sub(from.refused),
            sessions: to.sessions,
            added: to.added.clone().since(&from.added),
            upstream: to.upstream.clone().since(&from.upstream),
        }
    }

    /// How often something was in a second, in thousandths.
    pub(super) fn per_second(&self, times: u64) -> u64 {
        self.per(times, 1_000)
    }

    /// The same in a minute.
    pub(super) fn per_minute(&self, times: u64) -> u64 {
        self.per(times, 60_000)
    }

    fn per(&self, times: u64, unit: u64) -> u64 {
        let length = millis(self.from.until(self.to)).max(1);
        times.saturating_mul(1_000).saturating_mul(unit) / length
    }
}

/// The figures of the last quarter of an hour, and more coarsely those of a day.
pub(super) struct Samples {
    now: Ring,
    day: Ring,
}

impl Default for Samples {
    fn default() -> Self {
        let ring = |reach: Reach| Ring::new(reach.every(), reach.length());
        Self { now: ring(Reach::Now), day: ring(Reach::Day) }
    }
}

impl Samples {
    /// Takes a sample, if it is time.
    pub(super) fn look(&mut self, scene: &Scene) {
        let now = scene.now();
        let (is_due, is_due_too) = (self.now.is_due(now), self.day.is_due(now));
        if !is_due && !is_due_too {
            return;
        }
        let sample = Sample::take(scene, now);
        if is_due_too {
            self.day.keep(sample.clone());
        }
        if is_due {
            self.now.keep(sample);
        }
    }

    /// What was in the time that `reach` tells, as a plot shows it.
    pub(super) fn points(&self, reach: Reach) -> Vec<Span> {
        self.spans(reach, reach.point(), 1)
    }

    /// The same points, each with what was in the minute before.
    pub(super) fn minutes(&self, reach: Reach) -> Vec<Span> {
        self.spans(reach, reach.point(), reach.lately())
    }

    /// The same as a table does.
    pub(super) fn lines(&self, reach: Reach) -> Vec<Span> {
        self.spans(reach, reach.line(), 1)
    }

    /// One for every so many samples, each of which reaches back over so many others.
    fn spans(&self, reach: Reach, step: usize, back: usize) -> Vec<Span> {
        let ring = match reach {
            Reach::Now => &self.now,
            Reach::Day => &self.day,
        };
        // Counted from the end, so that the last one is whole.
        let mut marks: Vec<&Sample> = ring.samples.iter().rev().step_by(step).collect();
        marks.reverse();
        let ends = marks.iter().enumerate().skip(1);
        let span =
            |(place, to): (usize, &&Sample)| Some(Span::between(marks.get(place.saturating_sub(back))?, to));
        ends.filter_map(span).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, requests: u64) -> Sample {
        Sample {
            at: Timestamp::from_millis(1_000_000 + seconds * 1_000),
            requests,
            failed: 0,
            logins: 0,
            refused: 0,
            sessions: Some(3),
            added: Distribution::default(),
            upstream: Distribution::default(),
        }
    }

    #[test]
    fn a_ring_keeps_what_is_within_its_reach() {
        let mut samples = Samples::default();
        for n in 0..1_000 {
            assert!(
                samples.now.is_due(sample(n * 5, 0).at)
                    && !samples.now.is_due(sample((n * 5).saturating_sub(1), 0).at)
                    || n == 0
            );
            samples.now.keep(sample(n * 5, n * 10));
        }
        let points = samples.points(Reach::Now);
        assert_eq!(points.len(), 180);
        assert!(points.iter().all(|point| point.requests == 10 && point.per_second(point.requests) == 2_000));
        assert_eq!(points[0].from.until(points[179].to), Reach::Now.length());
        let minutes = samples.minutes(Reach::Now);
        assert_eq!((minutes.len(), minutes[0].requests, minutes[179].requests), (180, 10, 120));
        let lines = samples.lines(Reach::Now);
        assert_eq!((lines.len(), lines[14].requests, lines[14].to), (15, 120, points[179].to));
        assert_eq!(lines[0].per_minute(lines[0].requests), 120_000);
        assert!(samples.points(Reach::Day).is_empty());
    }

    #[test]
    fn a_clock_that_is_put_back_begins_anew() {
        let mut samples = Samples::default();
        samples.now.keep(sample(100, 5));
        assert!(samples.now.is_due(sample(50, 5).at));
        samples.now.keep(sample(50, 5));
        samples.now.keep(sample(55, 3));
        let points = samples.points(Reach::Now);
        assert_eq!((points.len(), points[0].requests), (1, 0));
    }
}
