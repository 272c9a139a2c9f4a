//! Room for what waits, with three bounds: for one browser, for all browsers at one address, and for
//! everything together. Who brings too much loses what came first; others lose theirs only when
//! everything together is too much.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::clock::Timestamp;
use crate::domain::paused::ParkedId;

/// Requests of one browser on one site.
const MOST_OF_BROWSER: usize = 8;

/// Bytes of one address.
const MOST_OF_ADDRESS: usize = 8 << 20;

/// Bytes of all.
const MOST: usize = 64 << 20;

/// What an entry takes besides its content, or more.
const OVERHEAD: usize = 1024;

/// What waits, and who is in whose way.
#[derive(Debug)]
pub(in crate::store) struct Lot<T> {
    next: u64,
    /// In the order in which they came, which is that in which their time is over.
    entries: BTreeMap<u64, Entry<T>>,
    numbers: BTreeMap<ParkedId, u64>,
    by_browser: BTreeMap<[u8; 32], BTreeSet<u64>>,
    by_address: BTreeMap<u128, Tenant>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    id: ParkedId,
    network: u128,
    bytes: usize,
    until: Timestamp,
    content: T,
}

#[derive(Debug, Default)]
struct Tenant {
    bytes: usize,
    numbers: BTreeSet<u64>,
}

impl<T> Lot<T> {
    /// Keeps `content` of `bytes` bytes until `until`, in the place of what was under `id` before. Returns
    /// where something had to go for it.
    pub(in crate::store) fn add(
        &mut self,
        id: ParkedId,
        network: u128,
        bytes: usize,
        content: T,
        until: Timestamp,
    ) -> Vec<ParkedId> {
        self.remove(&id);
        let (number, bytes) = (self.next, bytes + OVERHEAD);
        self.next += 1;
        self.entries.insert(number, Entry { id, network, bytes, until, content });
        self.numbers.insert(id, number);
        self.by_browser.entry(id.browser).or_default().insert(number);
        let tenant = self.by_address.entry(network).or_default();
        tenant.numbers.insert(number);
        tenant.bytes += bytes;
        self.bytes += bytes;
        let mut gone = Vec::new();
        while let Some(oldest) = self.one_too_many(&id.browser, network) {
            let Some(entry) = self.remove_number(oldest) else { break };
            gone.push(entry.id);
        }
        gone
    }

    fn one_too_many(&self, browser: &[u8; 32], network: u128) -> Option<u64> {
        let own = self.by_browser.get(browser).filter(|own| own.len() > MOST_OF_BROWSER);
        if let Some(own) = own {
            return own.first().copied();
        }
        let tenant = self.by_address.get(&network).filter(|tenant| tenant.bytes > MOST_OF_ADDRESS);
        if let Some(tenant) = tenant {
            return tenant.numbers.first().copied();
        }
        (self.bytes > MOST).then(|| self.entries.keys().next().copied()).flatten()
    }

    /// Whether something is kept under `id`, be its time over or not.
    pub(in crate::store) fn holds(&self, id: &ParkedId) -> bool {
        self.numbers.contains_key(id)
    }

    /// Takes out what is under `id`; `None` if its time is over at `now`.
    pub(in crate::store) fn take(&mut self, id: &ParkedId, now: Timestamp) -> Option<T> {
        self.remove(id).filter(|entry| now < entry.until).map(|entry| entry.content)
    }

    /// Forgets what a browser has here.
    pub(in crate::store) fn clear(&mut self, browser: &[u8; 32]) {
        for number in self.by_browser.get(browser).cloned().unwrap_or_default() {
            self.remove_number(number);
        }
    }

    /// Forgets at most `limit` entries whose time is over at `now`, and says how many these were.
    pub(in crate::store) fn forget(&mut self, now: Timestamp, limit: usize) -> usize {
        let is_over = |lot: &Self| {
            let (number, oldest) = lot.entries.first_key_value()?;
            (oldest.until <= now).then_some(*number)
        };
        let over = std::iter::from_fn(|| is_over(self).and_then(|number| self.remove_number(number)));
        over.take(limit).count()
    }

    fn remove(&mut self, id: &ParkedId) -> Option<Entry<T>> {
        let number = self.numbers.get(id).copied()?;
        self.remove_number(number)
    }

    fn remove_number(&mut self, number: u64) -> Option<Entry<T>> {
        let entry = self.entries.remove(&number)?;
        self.numbers.remove(&entry.id);
        if let Some(own) = self.by_browser.get_mut(&entry.id.browser) {
            own.remove(&number);
            if own.is_empty() {
                self.by_browser.remove(&entry.id.browser);
            }
        }
        if let Some(tenant) = self.by_address.get_mut(&entry.network) {
            tenant.numbers.remove(&number);
            tenant.bytes -= entry.bytes;
            if tenant.numbers.is_empty() {
                self.by_address.remove(&entry.network);
            }
        }
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

impl<T> Default for Lot<T> {
    fn default() -> Self {
        Self {
            next: 0,
            entries: BTreeMap::new(),
            numbers: BTreeMap::new(),
            by_browser: BTreeMap::new(),
            by_address: BTreeMap::new(),
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn id(browser: u32, page: u32) -> ParkedId {
        let spread = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            bytes
        };
        ParkedId { browser: spread(browser), page: spread(page) }
    }

    /// Whatever was done, the indexes tell of what is there and of nothing else.
    fn assert_in_order<T>(lot: &Lot<T>) {
        let all = lot.entries.len();
        assert_eq!(lot.numbers.len(), all);
        assert_eq!(lot.by_browser.values().map(BTreeSet::len).sum::<usize>(), all);
        assert_eq!(lot.by_address.values().map(|tenant| tenant.numbers.len()).sum::<usize>(), all);
        let bytes: usize = lot.entries.values().map(|entry| entry.bytes).sum();
        assert_eq!((lot.bytes, lot.by_address.values().map(|tenant| tenant.bytes).sum()), (bytes, bytes));
        assert!(bytes <= MOST, "{bytes}");
        assert!(lot.by_browser.values().all(|own| !own.is_empty() && own.len() <= MOST_OF_BROWSER));
        let fits = |tenant: &Tenant| !tenant.numbers.is_empty() && tenant.bytes <= MOST_OF_ADDRESS;
        assert!(lot.by_address.values().all(fits));
    }

    #[test]
    fn who_brings_too_much_loses_what_came_first_and_nobody_else_does() {
        let mut lot = Lot::default();
        lot.add(id(0, 0), 7, 10, (), START);
        for page in 0..20 {
            lot.add(id(1, page), 8, 10, (), START);
            assert_in_order(&lot);
        }
        assert!(!lot.holds(&id(1, 11)) && lot.holds(&id(1, 12)) && lot.holds(&id(0, 0)));
        // Browsers cost nothing to whoever makes them up.
        for browser in 2..2000 {
            lot.add(id(browser, 0), 8, 256 << 10, (), START);
        }
        assert_in_order(&lot);
        assert!(lot.holds(&id(1999, 0)) && !lot.holds(&id(2, 0)) && lot.holds(&id(0, 0)));
        // Neither do addresses, to some: then it is memory that counts.
        for network in 100..400 {
            lot.add(id(5000, 0), network, 256 << 10, (), START);
            lot.add(id(5000 + u32::try_from(network).unwrap(), 0), network, 256 << 10, (), START);
        }
        assert_in_order(&lot);
        assert!(!lot.holds(&id(0, 0)));
    }

    #[test]
    fn what_is_there_is_taken_once_in_its_time() {
        let mut lot = Lot::default();
        let until = START.after(Duration::from_mins(15));
        lot.add(id(1, 1), 7, 1, 'a', until);
        lot.add(id(1, 1), 7, 1, 'b', until);
        lot.add(id(1, 2), 7, 1, 'c', until);
        lot.add(id(2, 1), 7, 1, 'd', until);
        assert_eq!(lot.take(&id(1, 1), START), Some('b'));
        assert_eq!(lot.take(&id(1, 1), START), None);
        lot.clear(&id(1, 0).browser);
        assert_eq!(lot.take(&id(1, 2), START), None);
        assert_eq!(lot.take(&id(2, 1), until), None);
        assert_in_order(&lot);
        lot.add(id(2, 1), 7, 1, 'e', until);
        assert_eq!((lot.forget(START, 10), lot.forget(until, 10)), (0, 1));
        assert_in_order(&lot);
    }
}
