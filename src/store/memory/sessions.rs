//! Sessions in memory: one map for requests, and two orders for everything else.
//!
//! There may be millions. So each is kept once, and map and orders hold nothing of it but its
//! `Arc` ([`filed`](super::filed)).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashmap::{DashMap, Entry};

use super::expiry::Expiring;
use super::filed::{ByHash, ById, ByPerson, PersonalPlace};
use super::slices::{self, Slice};
use super::{Hashed, lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession, SessionCap, SessionId, Standing, WhenFull};
use crate::domain::site::SiteName;
use crate::store::{Admission, Beginning, Count, Glance, Page, SessionFilter, SessionStore, StoreFuture};

/// A shard of the map grows at a stroke, and whoever looks for a session in it waits for that: the
/// more there are, the shorter.
const SHARDS: usize = 256;

/// At most how often all sessions are looked through for those that are over. Nobody gets in with
/// one that is; it is only its memory that has to wait.
const ROUND: Duration = Duration::from_mins(1);

/// Sessions in memory.
pub struct Sessions {
    by_hash: DashMap<ByHash, (), Hashed>,
    index: Mutex<Index>,
}

impl Default for Sessions {
    fn default() -> Self {
        let by_hash = DashMap::with_hasher_and_shard_amount(Hashed::default(), SHARDS);
        Self { by_hash, index: Mutex::default() }
    }
}

#[derive(Default)]
struct Index {
    by_id: BTreeSet<ById>,
    by_person: BTreeSet<ByPerson>,
    /// How many there are on each site.
    counts: BTreeMap<SiteName, usize>,
    round: Round,
    /// Cookies whose bearers are to be told that they had to make room, and until when.
    evicted: Expiring<SessionHash, Timestamp>,
}

/// How far the search for sessions that are over has come.
enum Round {
    /// All up to this one have been looked at.
    Behind(Option<SessionId>),
    /// All have been, and the next round begins now.
    BeginsAt(Timestamp),
}

impl Default for Round {
    fn default() -> Self {
        Self::Behind(None)
    }
}

impl Index {
    fn add(&mut self, live: &Arc<LiveSession>) {
        if self.by_id.insert(ById(Arc::clone(live))) {
            self.count(&live.session.site);
        }
        self.by_person.extend(ByPerson::of(live));
    }

    fn count(&mut self, site: &SiteName) {
        match self.counts.get_mut(site) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(site.clone(), 1)),
        }
    }

    fn forget(&mut self, live: &Arc<LiveSession>) {
        if self.by_id.remove(&live.session.id)
            && let Some(count) = self.counts.get_mut(&live.session.site)
        {
            *count = count.saturating_sub(1);
        }
        ByPerson::of(live).map(|filed| self.by_person.remove(&filed));
    }

    fn by_id(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        self.by_id.get(&id).map(|filed| Arc::clone(&filed.0))
    }

    /// Those behind `after`, in order: of one person if the filter names one, else of all.
    fn behind<'a>(
        &'a self,
        filter: &'a SessionFilter,
        after: Option<SessionId>,
    ) -> Box<dyn Iterator<Item = &'a Arc<LiveSession>> + 'a> {
        let Some(key) = filter.email_key.as_deref() else {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            return Box::new(self.by_id.range((start, Bound::Unbounded)).map(|filed| &filed.0));
        };
        let start = (key, after);
        let start: Bound<&dyn PersonalPlace> = Bound::Excluded(&start);
        let from_there = self.by_person.range::<dyn PersonalPlace, _>((start, Bound::Unbounded));
        Box::new(from_there.take_while(move |filed| filed.place().0 == key).map(ByPerson::live))
    }

    /// Those of the person of `live` on its site that have to end so that it may begin, besides those
    /// that `end` anyway; `None` if it may not.
    fn make_room(
        &self,
        live: &LiveSession,
        cap: SessionCap,
        ending: &[(Arc<LiveSession>, End)],
        now: Timestamp,
    ) -> Option<Vec<Arc<LiveSession>>> {
        let session = &live.session;
        let Some(email) = &session.identity.email else { return Some(Vec::new()) };
        let filter =
            SessionFilter { email_key: Some(email.key().into()), sites: Some(vec![session.site.clone()]) };
        let stays = |old: &&Arc<LiveSession>| {
            old.is_alive(now)
                && filter.matches(&old.session.identity, &old.session.site)
                && !ending.iter().any(|(other, _)| Arc::ptr_eq(other, old))
        };
        let mut present: Vec<_> = self.behind(&filter, None).filter(stays).cloned().collect();
        let most = usize::try_from(cap.most.get()).unwrap_or(usize::MAX);
        let surplus = (present.len() + 1).saturating_sub(most);
        if surplus > 0 && cap.when_full == WhenFull::Reject {
            return None;
        }
        // They stand in the order of their making.
        present.truncate(surplus);
        Some(present)
    }

    fn note_eviction(&mut self, hash: SessionHash, until: Timestamp) {
        self.evicted.insert(hash, until, until);
    }

    /// Goes on with the search for sessions that are over at `now`: those among the next `limit`,
    /// and how many these are.
    fn search(&mut self, now: Timestamp, limit: usize) -> (Vec<Arc<LiveSession>>, usize) {
        let start = match self.round {
            Round::BeginsAt(time) if now < time => return (Vec::new(), 0),
            Round::BeginsAt(_) | Round::Behind(None) => Bound::Unbounded,
            Round::Behind(Some(id)) => Bound::Excluded(id),
        };
        let (mut over, mut looked_at) = (Vec::new(), 0);
        for ById(live) in self.by_id.range((start, Bound::Unbounded)).take(limit) {
            looked_at += 1;
            self.round = Round::Behind(Some(live.session.id));
            // Who is ended before its time is taken out by whoever does that.
            if live.standing(now) == Standing::Over(None) {
                over.push(Arc::clone(live));
            }
        }
        if looked_at < limit {
            self.round = Round::BeginsAt(now.after(ROUND));
        }
        (over, looked_at)
    }
}

impl Sessions {
    fn present(&self, hash: &SessionHash) -> Option<Arc<LiveSession>> {
        self.by_hash.get(hash).map(|filed| Arc::clone(&filed.key().0))
    }

    /// Files `live`, in the place of what had its cookie.
    fn put(&self, index: &mut Index, live: Arc<LiveSession>) {
        let present = self.present(&live.hash);
        if let Some(present) = &present {
            live.was_seen(present.last_seen());
            index.forget(present);
        }
        index.add(&live);
        self.show_in_place(live);
        // Only now: who learns of it looks for what has taken its place.
        if let Some(present) = present {
            present.supersede();
        }
    }

    /// In one step: a request at this moment finds the one or the other.
    fn show_in_place(&self, live: Arc<LiveSession>) {
        match self.by_hash.entry(ByHash(live)) {
            Entry::Occupied(place) => drop(place.replace_entry(())),
            Entry::Vacant(place) => drop(place.insert(())),
        }
    }

    /// Ends a session, before its time if there is an `end`.
    fn end(&self, index: &mut Index, live: &Arc<LiveSession>, end: Option<End>) {
        if let Some(end) = end {
            live.end(end);
        }
        if end == Some(End::Evicted) {
            index.note_eviction(live.hash, live.session.expires_at);
        }
        self.by_hash.remove(&live.hash);
        index.forget(live);
    }
}

/// For a store that keeps sessions elsewhere and shows them here.
impl Sessions {
    /// The session behind a cookie, good or not.
    pub(in crate::store) fn known(&self, hash: &SessionHash) -> Option<Arc<LiveSession>> {
        self.present(hash)
    }

    /// The session with this name, good or not.
    pub(in crate::store) fn known_by_id(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        lock(&self.index).by_id(id)
    }

    /// All of them, in the order of their making.
    pub(in crate::store) fn all(&self) -> Vec<Arc<LiveSession>> {
        lock(&self.index).by_id.iter().map(|ById(live)| Arc::clone(live)).collect()
    }

    /// Shows `live` as the session behind its cookie, in the place of what was shown so far.
    pub(in crate::store) fn show(&self, live: Arc<LiveSession>) {
        let mut index = lock(&self.index);
        self.put(&mut index, live);
    }

    /// Shows all of these where none are shown yet: indexes that are made in one go take much less time.
    pub(in crate::store) fn fill(&self, sessions: &[Arc<LiveSession>]) {
        let mut index = lock(&self.index);
        index.by_id = sessions.iter().map(|live| ById(Arc::clone(live))).collect();
        index.counts.clear();
        for live in sessions {
            index.count(&live.session.site);
        }
        let owned = sessions.iter().filter_map(|live| {
            let email = live.session.identity.email.as_ref()?;
            Some((email.key(), live.session.id, live))
        });
        let mut owned: Vec<_> = owned.collect();
        owned.sort_unstable_by_key(|(person, id, _)| (*person, *id));
        index.by_person = owned.into_iter().filter_map(|(.., live)| ByPerson::of(live)).collect();
        for live in sessions {
            self.by_hash.insert(ByHash(Arc::clone(live)), ());
        }
    }

    /// Shows the session behind a cookie no more, and hands it back.
    pub(in crate::store) fn hide(&self, hash: &SessionHash, end: Option<End>) -> Option<Arc<LiveSession>> {
        let mut index = lock(&self.index);
        self.present(hash).inspect(|live| self.end(&mut index, live, end))
    }

    /// Remembers until then that the session behind a cookie had to make room.
    pub(in crate::store) fn note_eviction(&self, hash: SessionHash, until: Timestamp) {
        lock(&self.index).note_eviction(hash, until);
    }
}

impl SessionStore for Sessions {
    fn glance(&self, hash: &SessionHash) -> Glance {
        self.present(hash).map_or(Glance::Nobody, Glance::Known)
    }

    fn find(&self, hash: SessionHash) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        ready(self.present(&hash))
    }

    fn insert(&self, live: Arc<LiveSession>, beginning: Beginning) -> StoreFuture<'_, Admission> {
        let mut index = lock(&self.index);
        let replaced = beginning.replaces.and_then(|hash| self.present(&hash));
        let replaced = replaced.filter(|old| old.session.site == live.session.site);
        let mut ended: Vec<_> = replaced.into_iter().map(|old| (old, End::Replaced)).collect();
        if let Some(cap) = beginning.cap {
            let Some(evicted) = index.make_room(&live, cap, &ended, beginning.now) else {
                return ready(Admission::Full);
            };
            ended.extend(evicted.into_iter().map(|old| (old, End::Evicted)));
        }
        for (old, end) in &ended {
            self.end(&mut index, old, Some(*end));
        }
        self.put(&mut index, live);
        ready(Admission::Begun(ended.into_iter().map(|(old, end)| (old.session.id, end)).collect()))
    }

    fn remove(&self, hash: SessionHash, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let mut index = lock(&self.index);
        ready(self.present(&hash).inspect(|live| self.end(&mut index, live, Some(end))))
    }

    fn fate(&self, hash: SessionHash, now: Timestamp) -> StoreFuture<'_, Option<End>> {
        let evicted = lock(&self.index).evicted.find(&hash).is_some_and(|until| now < *until);
        ready(evicted.then_some(End::Evicted))
    }

    fn find_by_id(&self, id: SessionId, now: Timestamp) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let found = lock(&self.index).by_id(id);
        ready(found.filter(|live| live.is_alive(now)))
    }

    fn remove_by_id(&self, id: SessionId, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let mut index = lock(&self.index);
        let found = index.by_id(id);
        ready(found.inspect(|live| self.end(&mut index, live, Some(end))))
    }

    fn replace(&self, live: Arc<LiveSession>) -> StoreFuture<'_, bool> {
        let mut index = lock(&self.index);
        let is_there = index.by_id(live.session.id).is_some();
        if is_there {
            self.put(&mut index, live);
        }
        ready(is_there)
    }

    fn refit(&self, old: &Arc<LiveSession>, new: LiveSession) -> Option<Arc<LiveSession>> {
        let mut index = lock(&self.index);
        let present = self.present(&old.hash)?;
        if !Arc::ptr_eq(&present, old) {
            return Some(present);
        }
        let new = Arc::new(new);
        index.forget(&present);
        index.add(&new);
        self.show_in_place(Arc::clone(&new));
        // Only now: nothing is withdrawn from those who have the old one at this moment.
        present.supersede();
        new.was_seen(present.last_seen());
        Some(new)
    }

    fn list(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Page<Arc<LiveSession>, SessionId>> {
        let id = |live: &Arc<LiveSession>| live.session.id;
        Box::pin(async move {
            let is_wanted = |live: &Arc<LiveSession>| {
                live.is_alive(now) && filter.matches(&live.session.identity, &live.session.site)
            };
            let look = |after, most| {
                let index = lock(&self.index);
                Slice::of(index.behind(&filter, after), most, id, is_wanted)
            };
            Ok(slices::page(after, limit, id, look).await)
        })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        let mut index = lock(&self.index);
        let (over, looked_at) = index.search(now, limit);
        for live in &over {
            self.end(&mut index, live, None);
        }
        index.evicted.forget(now, usize::MAX);
        looked_at
    }

    fn count(&self) -> Option<Count> {
        Some(Count { by_site: lock(&self.index).counts.clone(), is_shared: false })
    }
}
