//! Sessions in memory: one map for requests, and one ordered index for everything else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use super::expiry::ExpiryQueue;
use super::{ByHash, lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{LiveSession, SessionId};
use crate::store::{Page, SessionFilter, SessionStore, StoreFuture, StoreResult};

/// Sessions in memory.
#[derive(Default)]
pub struct Sessions {
    by_hash: ByHash<SessionHash, Arc<LiveSession>>,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    by_id: BTreeMap<SessionId, SessionHash>,
    by_person: HashMap<Arc<str>, BTreeSet<SessionId>>,
    expiry: ExpiryQueue<SessionHash>,
}

impl Index {
    fn add(&mut self, hash: SessionHash, live: &LiveSession) {
        self.by_id.insert(live.session.id, hash);
        if let Some(key) = person(live) {
            self.by_person.entry(key.clone()).or_default().insert(live.session.id);
        }
        self.expiry.push(live.ends_at(), hash);
    }

    fn forget(&mut self, live: &LiveSession) {
        self.by_id.remove(&live.session.id);
        let Some(key) = person(live) else { return };
        if let Some(ids) = self.by_person.get_mut(key) {
            ids.remove(&live.session.id);
            if ids.is_empty() {
                self.by_person.remove(key);
            }
        }
    }

    /// Names behind `after`, in order: of one person if the filter names one, else of all.
    fn names<'a>(
        &'a self,
        filter: &SessionFilter,
        after: Option<SessionId>,
    ) -> Box<dyn Iterator<Item = SessionId> + 'a> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        match &filter.email_key {
            Some(key) => {
                Box::new(self.by_person.get(key).into_iter().flat_map(move |ids| ids.range(range)).copied())
            }
            None => Box::new(self.by_id.range(range).map(|(id, _)| *id)),
        }
    }
}

fn person(live: &LiveSession) -> Option<&Arc<str>> {
    live.session.identity.email.as_ref().map(Email::key)
}

impl Sessions {
    fn remove_now(&self, hash: &SessionHash) -> Option<Arc<LiveSession>> {
        let mut index = lock(&self.index);
        let (_, live) = self.by_hash.remove(hash)?;
        index.forget(&live);
        Some(live)
    }

    fn by_id(&self, index: &Index, id: SessionId) -> Option<Arc<LiveSession>> {
        self.by_hash.get(index.by_id.get(&id)?).map(|live| Arc::clone(&live))
    }
}

impl SessionStore for Sessions {
    fn find(&self, hash: &SessionHash) -> StoreResult<Option<Arc<LiveSession>>> {
        Ok(self.by_hash.get(hash).map(|live| Arc::clone(&live)))
    }

    fn insert(&self, hash: SessionHash, live: Arc<LiveSession>) -> StoreFuture<'_, ()> {
        let mut index = lock(&self.index);
        index.add(hash, &live);
        self.by_hash.insert(hash, live);
        ready(())
    }

    fn remove(&self, hash: SessionHash) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        ready(self.remove_now(&hash))
    }

    fn find_by_id(&self, id: SessionId, now: Timestamp) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let live = self.by_id(&lock(&self.index), id);
        ready(live.filter(|live| live.is_alive(now)))
    }

    fn remove_by_id(&self, id: SessionId) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let hash = lock(&self.index).by_id.get(&id).copied();
        ready(hash.and_then(|hash| self.remove_now(&hash)))
    }

    fn replace(&self, live: Arc<LiveSession>) -> StoreFuture<'_, bool> {
        let mut index = lock(&self.index);
        let Some(hash) = index.by_id.get(&live.session.id).copied() else {
            return ready(false);
        };
        // Its end may have moved forward; the old place in the queue is then found stale.
        index.expiry.push(live.ends_at(), hash);
        self.by_hash.insert(hash, live);
        ready(true)
    }

    fn list(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Page<Arc<LiveSession>, SessionId>> {
        let index = lock(&self.index);
        let mut found = index
            .names(&filter, after)
            .filter_map(|id| self.by_id(&index, id))
            .filter(|live| live.is_alive(now) && filter.matches(&live.session.identity, &live.session.site));
        let entries: Vec<_> = found.by_ref().take(limit).collect();
        let more = found.next().is_some();
        let next = more.then(|| entries.last().map(|live| live.session.id)).flatten();
        ready(Page { entries, next })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        let mut index = lock(&self.index);
        let mut looked_at = 0;
        while looked_at < limit
            && let Some(hash) = index.expiry.pop(now)
        {
            looked_at += 1;
            let Some(live) = self.by_hash.get(&hash).map(|live| Arc::clone(&live)) else {
                continue;
            };
            if live.is_alive(now) {
                index.expiry.push(live.ends_at(), hash);
            } else {
                self.by_hash.remove(&hash);
                index.forget(&live);
            }
        }
        looked_at
    }
}
