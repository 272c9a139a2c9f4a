//! How many bodies may be on their way into a worker's memory at a time. A request that is forwarded
//! takes none of it, while one that is kept is read whole, from whoever sends it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::domain::network::network_of;

/// From everywhere: together they are 32 MiB at most.
const MOST: usize = 128;

/// From one address.
const MOST_OF_ADDRESS: usize = 16;

/// The bodies that are being read.
#[derive(Default)]
pub(in super::super) struct Arrivals(RefCell<BTreeMap<u128, usize>>);

/// A slot for one body, until it is dropped.
pub(super) struct Slot<'a> {
    arrivals: &'a Arrivals,
    network: u128,
}

impl Arrivals {
    /// A slot for a body from `address`, if there is one.
    pub(super) fn begin(&self, address: IpAddr) -> Option<Slot<'_>> {
        let network = network_of(address);
        let mut counts = self.0.borrow_mut();
        let all: usize = counts.values().sum();
        let own = counts.get(&network).copied().unwrap_or_default();
        if all >= MOST || own >= MOST_OF_ADDRESS {
            return None;
        }
        counts.insert(network, own + 1);
        Some(Slot { arrivals: self, network })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut counts = self.arrivals.0.borrow_mut();
        match counts.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_for_others_and_all_have_an_end() {
        let arrivals = Arrivals::default();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let own: Vec<_> = (0..20).filter_map(|_| arrivals.begin(address(1))).collect();
        assert_eq!(own.len(), MOST_OF_ADDRESS);
        let others: Vec<_> = (2..200).filter_map(|last| arrivals.begin(address(last))).collect();
        assert_eq!(others.len(), MOST - MOST_OF_ADDRESS);
        drop(own);
        assert!(arrivals.begin(address(1)).is_some() && arrivals.begin(address(250)).is_some());
        drop(others);
        assert!(arrivals.0.borrow().is_empty());
    }
}
