//! A number that others may look at.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one or many count up, or set, and any may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more, whoever else counts at the same time.
    pub fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// So many more, whoever else counts at the same time.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// So many more, where nobody else ever counts: that takes no more than with a number that nobody
    /// reads.
    pub fn add_alone(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// So many, whatever it was.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// How many.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
