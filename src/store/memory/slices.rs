//! Lists in slices. A filter that few meet may take a look at each of millions; whoever else is served by the
//! same thread, or wants the same lock, has a turn between any two slices.

use crate::store::Page;

/// How many are looked at before others have a turn: some tens of microseconds.
const AT_ONCE: usize = 1024;

/// What came of looking at some.
pub(super) struct Slice<T, K> {
    found: Vec<T>,
    /// The key of the last one that was looked at, if there may be more behind it.
    last: Option<K>,
}

impl<T: Clone, K> Slice<T, K> {
    /// Those of the next ones of `all` that `is_wanted`, and no more than `most`.
    pub(super) fn of<'a>(
        all: impl Iterator<Item = &'a T>,
        most: usize,
        key: impl Fn(&T) -> K,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Self
    where
        T: 'a,
    {
        let (mut found, mut last, mut looked_at) = (Vec::new(), None, 0);
        for one in all.take(AT_ONCE) {
            looked_at += 1;
            last = Some(key(one));
            if is_wanted(one) {
                found.push(one.clone());
            }
            if found.len() == most {
                return Self { found, last };
            }
        }
        Self { found, last: last.filter(|_| looked_at == AT_ONCE) }
    }
}

/// The page of `limit` entries behind `after` that is made of slices. `look` makes the next one, of at most so
/// many entries behind a key, and gives back all locks.
pub(super) async fn page<T, K: Copy>(
    after: Option<K>,
    limit: usize,
    key: impl Fn(&T) -> K,
    look: impl Fn(Option<K>, usize) -> Slice<T, K>,
) -> Page<T, K> {
    let (mut entries, mut after) = (Vec::new(), after);
    loop {
        // One more than there is room for says that there are more.
        let slice = look(after, (limit - entries.len()).saturating_add(1));
        entries.extend(slice.found);
        if entries.len() > limit {
            entries.truncate(limit);
            let next = entries.last().map(&key);
            return Page { entries, next };
        }
        let Some(last) = slice.last else { return Page { entries, next: None } };
        after = Some(last);
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    /// A page of the multiples of `of` among the numbers up to `count`.
    async fn multiples(of: u32, count: u32, after: Option<u32>, limit: usize) -> Page<u32, u32> {
        let all: Vec<u32> = (1..=count).collect();
        let key = |one: &u32| *one;
        let look = |after: Option<u32>, most| {
            let start = after.map_or(0, |after| after as usize);
            Slice::of(all[start..].iter(), most, key, |one| one.is_multiple_of(of))
        };
        page(after, limit, key, look).await
    }

    #[test]
    fn others_have_a_turn_before_many_have_been_looked_at() {
        let few = multiples(100, 1000, None, 20).now_or_never().unwrap();
        assert_eq!((few.entries.len(), few.next), (10, None));
        assert!(multiples(2000, 3000, None, 20).now_or_never().is_none());
        // Those that meet the filter fill the page before that.
        let full = multiples(1, 3000, None, 20).now_or_never().unwrap();
        assert_eq!((full.entries.len(), full.next), (20, Some(20)));
    }

    proptest! {
        #[test]
        fn slices_show_what_a_walk_shows(
            of in 1_u32..1500, count in 0_u32..5000, start in 0_u32..5000, limit in 1_usize..40,
        ) {
            let after = (start > 0).then_some(start.min(count)).filter(|start| *start > 0);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let page = runtime.block_on(multiples(of, count, after, limit));
            let all = (1..=count).filter(|one| *one > after.unwrap_or(0) && one.is_multiple_of(of));
            let all: Vec<_> = all.collect();
            let shown = &all[..limit.min(all.len())];
            prop_assert_eq!(&page.entries, shown);
            prop_assert_eq!(page.next, (all.len() > limit).then(|| shown[limit - 1]));
        }
    }
}
