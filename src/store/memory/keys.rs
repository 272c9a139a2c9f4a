//! Keys that sign, for as long as the process lives: what they signed is forgotten with it, too.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{lock, ready};
use crate::domain::assertion::KeyRing;
use crate::domain::site::SiteName;
use crate::store::{KeyStore, StoreFuture};

/// The keys of each site in memory.
#[derive(Debug, Default)]
pub struct Keys(Mutex<BTreeMap<SiteName, KeyRing>>);

impl KeyStore for Keys {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        ready(lock(&self.0).get(&site).cloned())
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        let mut rings = lock(&self.0);
        let present = rings.get(&site).map_or(0, |ring| ring.revision);
        let is_next = ring.revision == present.saturating_add(1);
        if is_next {
            rings.insert(site, ring);
        }
        ready(is_next)
    }
}
