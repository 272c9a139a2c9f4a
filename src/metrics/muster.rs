//! The same figures, counted by each worker for itself.

use std::sync::{Arc, Mutex, PoisonError};

/// Everybody's own copy of some figures. Whoever counts has one to itself, so that no two threads write
/// to the same memory.
#[derive(Debug, Default)]
pub struct Muster<T>(Mutex<Vec<Arc<T>>>);

impl<T: Default> Muster<T> {
    /// A copy for whoever asks, to be the only one that counts there. What somebody has left behind goes
    /// on with whoever comes next: what was counted is not forgotten, and is not kept twice.
    pub fn enlist(&self) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock nobody else can take it up.
        if let Some(left) = all.iter().find(|own| Arc::strong_count(own) == 1) {
            return Arc::clone(left);
        }
        let own = Arc::<T>::default();
        all.push(Arc::clone(&own));
        own
    }

    /// What comes of all copies, taken one after another.
    pub fn fold<S>(&self, start: S, with: impl FnMut(S, &T) -> S) -> S {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(Arc::as_ref).fold(start, with)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Counter;
    use super::*;

    #[test]
    fn nobody_counts_where_another_does_and_nothing_is_forgotten() {
        let muster = Muster::<Counter>::default();
        let (one, other) = (muster.enlist(), muster.enlist());
        one.add_alone(1);
        other.add_alone(2);
        drop(one);
        let next = muster.enlist();
        next.add_alone(4);
        assert_eq!((next.value(), other.value()), (5, 2));
        assert_eq!(muster.fold((0, 0), |(copies, sum), own| (copies + 1, sum + own.value())), (2, 7));
    }
}
