//! Figures for whoever watches over the gateway.
//!
//! Whoever has something to tell counts it where it happens, and is a [`Source`] that writes it down when
//! it is asked for. What is counted for each request is counted by a worker for itself, without a lock or
//! an instruction that others have to wait for ([`Muster`]), and summed up when somebody looks.
//!
//! What stands in a label is bounded by the configuration and the program: nothing there is ever a
//! client's word, or anybody could make it grow without end.

mod counter;
mod histogram;
mod muster;
mod page;

pub use counter::Counter;
pub use histogram::{Buckets, Distribution, Histogram, Long, Short};
pub use muster::Muster;
pub use page::{Kind, Page};

use std::sync::Arc;

use crate::domain::clock::Timestamp;

/// Whoever has figures to tell.
pub trait Source: Send + Sync {
    /// Writes down how they stand at `now`. Nothing here waits for anything.
    fn write(&self, page: &mut Page, now: Timestamp);
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn write(&self, page: &mut Page, now: Timestamp) {
        S::write(self, page, now);
    }
}
