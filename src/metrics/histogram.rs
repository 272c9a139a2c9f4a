//! How long things take: a few counters for each range of durations.

use std::marker::PhantomData;

use super::counter::Counter;

/// Where the ranges of a histogram end.
pub trait Buckets {
    /// In microseconds, rising, at most twelve; what is longer than the last is counted as well.
    const BOUNDS: &'static [u64];
}

/// The most bounds that a histogram has.
const MOST: usize = 12;

/// For what the gateway does itself: 25 µs to a second.
#[derive(Debug, Default)]
pub struct Short;

impl Buckets for Short {
    const BOUNDS: &'static [u64] = &[25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 1_000_000];
}

/// For what others take: a millisecond to ten seconds.
#[derive(Debug, Default)]
pub struct Long;

impl Buckets for Long {
    const BOUNDS: &'static [u64] = &[
        1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        10_000_000,
    ];
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram<B> {
    ranges: [Counter; MOST + 1],
    sum: Counter,
    bounds: PhantomData<B>,
}

impl<B: Buckets> Histogram<B> {
    /// It took so many microseconds; others may observe something at the same time.
    pub fn observe(&self, micros: u64) {
        self.range(micros).increment();
        self.sum.add(micros);
    }

    /// It took so many microseconds, where nobody else ever observes anything.
    pub fn observe_alone(&self, micros: u64) {
        self.range(micros).add_alone(1);
        self.sum.add_alone(micros);
    }

    fn range(&self, micros: u64) -> &Counter {
        let [.., last] = &self.ranges;
        let range = B::BOUNDS.iter().position(|bound| micros <= *bound);
        range.and_then(|range| self.ranges.get(range)).unwrap_or(last)
    }
}

/// What several histograms say together.
#[derive(Debug)]
pub struct Distribution<B> {
    ranges: [u64; MOST + 1],
    sum: u64,
    bounds: PhantomData<B>,
}

impl<B> Default for Distribution<B> {
    fn default() -> Self {
        Self { ranges: [0; MOST + 1], sum: 0, bounds: PhantomData }
    }
}

impl<B: Buckets> Distribution<B> {
    /// With what `histogram` says.
    #[must_use]
    pub fn with(mut self, histogram: &Histogram<B>) -> Self {
        for (total, own) in self.ranges.iter_mut().zip(&histogram.ranges) {
            *total += own.value();
        }
        self.sum = self.sum.wrapping_add(histogram.sum.value());
        self
    }

    /// All together, in microseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How often there was anything.
    pub fn count(&self) -> u64 {
        self.ranges.iter().sum()
    }

    /// Each bound in microseconds, with how many did not take longer.
    pub fn up_to(&self) -> impl Iterator<Item = (u64, u64)> {
        B::BOUNDS.iter().zip(&self.ranges).scan(0, |total, (bound, own)| {
            *total += own;
            Some((*bound, *total))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_a_bound_is_within_it() {
        let histogram = Histogram::<Short>::default();
        for micros in [0, 25, 26, 1_000_000, 1_000_001, u64::MAX / 2] {
            histogram.observe(micros);
        }
        histogram.observe_alone(25);
        let told = Distribution::default().with(&histogram);
        let up_to: Vec<u64> = told.up_to().map(|(_, count)| count).collect();
        assert_eq!(up_to, [3, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!(told.count(), 7);
        let sum = told.sum();
        let twice = told.with(&histogram);
        assert_eq!((twice.count(), twice.sum()), (14, sum.wrapping_mul(2)));
    }

    #[test]
    fn bounds_rise_and_fit() {
        for bounds in [Short::BOUNDS, Long::BOUNDS] {
            assert!(bounds.len() <= MOST && bounds.is_sorted_by(|one, next| one < next));
        }
    }
}
