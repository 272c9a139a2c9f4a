//! Sessions: found here if nothing can have changed, else in the Redis; ended and changed there in one
//! step that tells all nodes.

use std::sync::Arc;

use ::redis::{Value, cmd};
use futures_util::future::join_all;

use super::feed::News;
use super::seal::Mark;
use super::seen::Due;
use super::trouble::Trouble;
use super::{Inner, Redis, hash_of, keys, list, number, scripts, text};
use crate::config::Site;
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession, Session, SessionId, Standing};
use crate::store::record::Recorded;
use crate::store::{
    Admission, Beginning, Count, Glance, Health, Page, SessionFilter, SessionStore, StoreFuture, live_session,
};

/// How often a session that others change meanwhile is looked at again.
const ATTEMPTS: usize = 4;

/// What a session's key has, in the order of [`Inner::read_session`].
const FIELDS: [&str; 3] = ["r", "s", "p"];

/// What was found at a session's key.
pub(super) enum Found {
    Nothing,
    /// It is under way, and not let in yet.
    Beginning(LiveSession),
    There(LiveSession, Mark),
    /// It is one of a site that this node does not have.
    Elsewhere,
}

impl Inner {
    pub(super) fn write_session(&self, place: &str, session: &Session) -> Vec<u8> {
        self.write(&record_place(place), session)
    }

    /// Makes a session of what stands at its key.
    fn read_session(&self, hash: SessionHash, fields: Value) -> Result<Found, Trouble> {
        let Ok([record, seen, beginning]) = <[Value; 3]>::try_from(list(fields)?) else {
            return Err(Trouble::Damaged);
        };
        let place = keys::session(&hash);
        let Some(record) = text(record)? else { return Ok(Found::Nothing) };
        let (mark, content) = self.seal.open(&record_place(&place), &record)?;
        let session = Session::from_record(content)?;
        let seen = self.read_seen(&place, &text(seen)?.ok_or(Trouble::Damaged)?)?;
        let Some(site) = self.site(&session.site) else { return Ok(Found::Elsewhere) };
        let live = live_session(hash, session, &site, seen);
        Ok(if text(beginning)?.is_some() { Found::Beginning(live) } else { Found::There(live, mark) })
    }

    /// What is known of the session behind `hash` in the Redis, and here from now on.
    pub(super) async fn look_up(&self, hash: SessionHash) -> Result<Found, Trouble> {
        let mut question = cmd("HMGET");
        question.arg(keys::session(&hash)).arg(&FIELDS);
        self.read_session(hash, self.exchange.ask(&question).await?)
    }

    pub(super) async fn find_session(&self, hash: SessionHash) -> Result<Option<Arc<LiveSession>>, Trouble> {
        let reading = self.near.begin(hash);
        match self.look_up(hash).await {
            Ok(Found::There(live, mark)) => Ok(Some(self.near.keep(&reading, live, mark))),
            Ok(Found::Nothing) => {
                // Whoever held it until now learns that it is gone.
                self.near.note_gone(&reading);
                Ok(None)
            }
            Ok(Found::Beginning(_) | Found::Elsewhere) => Ok(None),
            Err(trouble) => {
                if trouble == Trouble::Damaged {
                    self.near.doubt(hash);
                }
                Err(trouble)
            }
        }
    }

    /// Ends a session and hands it back, if it was there. If its bearer is to be told why, that is
    /// remembered until the time that comes with `end`.
    pub(super) async fn end_session(
        &self,
        hash: SessionHash,
        end: End,
        told_until: Option<Timestamp>,
    ) -> Result<Option<Arc<LiveSession>>, Trouble> {
        let (place, fate) = (keys::session(&hash), keys::fate(&hash));
        let (told, keep) = match told_until {
            Some(until) => (self.seal.close(&fate, &fate_text(end, until)), self.keep_until(until)),
            None => (Vec::new(), 0),
        };
        let news = News::Ended(hash, end).to_message();
        let arguments = [keys::NEWS.as_bytes(), news.as_bytes(), &told, &keep.to_string().into_bytes()];
        let ended = scripts::END.run(&self.exchange, &[&place, &fate], &arguments).await;
        let held = if ended.is_ok() {
            self.near.note_end(hash, end)
        } else {
            self.near.doubt(hash);
            None
        };
        let was = match self.read_session(hash, ended?)? {
            Found::There(live, _) | Found::Beginning(live) => held.unwrap_or_else(|| Arc::new(live)),
            Found::Nothing | Found::Elsewhere => return Ok(None),
        };
        was.end(end);
        self.unfile(&was.session).await;
        Ok(Some(was))
    }

    /// Takes a session that has ended out of the lists. If that fails, they show nothing that is not
    /// there, and forget it in time.
    pub(super) async fn unfile(&self, session: &Session) {
        let [by_name, by_time] = keys::shard_of(session.id);
        let hashless = session.id.to_string();
        let mut range = cmd("ZRANGE");
        range.arg(&by_name).arg(format!("[{hashless}")).arg(format!("[{hashless}~")).arg("BYLEX");
        if let Ok(Value::Array(filed)) = self.exchange.ask(&range).await {
            let removing = [&by_name, &by_time].map(async |key| {
                let mut remove = cmd("ZREM");
                remove.arg(key).arg(filed.iter().filter_map(super::link::text_of).collect::<Vec<_>>());
                if !filed.is_empty() {
                    let _ = self.exchange.ask(&remove).await;
                }
            });
            join_all(removing).await;
        }
        let mut uncount = cmd("ZREM");
        uncount.arg(keys::counted_in(session)).arg(&hashless);
        let _ = self.exchange.ask(&uncount).await;
        if let Some(email) = &session.identity.email {
            let mut remove = cmd("HDEL");
            remove.arg(keys::sessions_of(email.key(), &self.seal)).arg(&hashless);
            let _ = self.exchange.ask(&remove).await;
        }
    }

    async fn replace_session(&self, live: &Arc<LiveSession>) -> Result<bool, Trouble> {
        let place = keys::session(&live.hash);
        let new = self.write_session(&place, &live.session);
        let (mark, _) = self.seal.open(&record_place(&place), &new)?;
        let news = News::Changed(live.hash, mark).to_message();
        for _ in 0..ATTEMPTS {
            let reading = self.near.begin(live.hash);
            let Found::There(present, _) = self.look_up(live.hash).await? else { return Ok(false) };
            if present.session.id != live.session.id {
                return Ok(false);
            }
            live.was_seen(present.last_seen());
            let old = self.write_session(&place, &present.session);
            let keep = self.keep_until(live.ends_at()).to_string();
            let arguments =
                [old.as_slice(), new.as_slice(), keep.as_bytes(), keys::NEWS.as_bytes(), news.as_bytes()];
            let answer = scripts::CHANGE.run(&self.exchange, &[&place], &arguments).await;
            match answer.and_then(|answer| number(&answer)) {
                Ok(1) => {
                    if let Some(held) = self.near.last_known(&live.hash) {
                        live.was_seen(held.last_seen());
                    }
                    self.near.keep_own(&reading, live, mark);
                    self.file(live).await?;
                    return Ok(true);
                }
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(trouble) => {
                    self.near.doubt(live.hash);
                    return Err(trouble);
                }
            }
        }
        Err(Trouble::Lost)
    }

    async fn fate_of(&self, hash: SessionHash, now: Timestamp) -> Result<Option<End>, Trouble> {
        let place = keys::fate(&hash);
        let Some(sealed) = text(self.exchange.ask(cmd("GET").arg(&place)).await?)? else { return Ok(None) };
        let (_, content) = self.seal.open(&place, &sealed)?;
        let content = std::str::from_utf8(content).map_err(|_| Trouble::Damaged)?;
        let (end, until) = content.split_once(' ').ok_or(Trouble::Damaged)?;
        let until = until.parse().map(Timestamp::from_millis).map_err(|_| Trouble::Damaged)?;
        let end = End::parse(end).ok_or(Trouble::Damaged)?;
        Ok((now < until).then_some(end))
    }

    /// The hash of the session with this name.
    async fn hash_by_id(&self, id: SessionId) -> Result<Option<SessionHash>, Trouble> {
        let [by_name, _] = keys::shard_of(id);
        let mut range = cmd("ZRANGE");
        range.arg(by_name).arg(format!("[{id}")).arg(format!("[{id}~")).arg("BYLEX");
        let filed = super::texts(self.exchange.ask(&range).await?)?;
        let Some(member) = filed.first() else { return Ok(None) };
        let (_, hash) = super::lists::read_member(member)?;
        Ok(Some(hash))
    }

    async fn find_by_id(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>, Trouble> {
        let Some(hash) = self.hash_by_id(id).await? else { return Ok(None) };
        let found = self.find_session(hash).await?;
        Ok(found.filter(|live| live.session.id == id))
    }
}

fn record_place(session: &str) -> String {
    format!("{session} record")
}

fn fate_text(end: End, until: Timestamp) -> String {
    format!("{} {}", end.as_str(), until.as_millis())
}

impl SessionStore for Redis {
    fn glance(&self, hash: &SessionHash) -> Glance {
        match self.inner.near.find(hash) {
            // Another node may have seen it later.
            Some(live) if self.is_idle_too_long(&live) => Glance::Unsure,
            Some(live) => Glance::Known(live),
            None => Glance::Unsure,
        }
    }

    fn find(&self, hash: SessionHash) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.find_session(hash).await })
    }

    fn standing(&self, live: &LiveSession, now: Timestamp) -> Option<Standing> {
        match live.standing(now) {
            Standing::Over(None) if now < live.session.expires_at => None,
            Standing::Good if !self.inner.near.is_sure_of(live) => None,
            standing => Some(standing),
        }
    }

    fn touch(&self, live: &Arc<LiveSession>, now: Timestamp) {
        if live.touch(now) && live.note_unsaved() {
            // Nobody listens any more only if all is over.
            let _ = self.seen.send(Due::Seen(Arc::clone(live)));
        }
    }

    fn insert(&self, live: Arc<LiveSession>, beginning: Beginning) -> StoreFuture<'_, Admission> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.insert_session(live, beginning).await })
    }

    fn remove(&self, hash: SessionHash, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.end_session(hash, end, None).await })
    }

    fn fate(&self, hash: SessionHash, now: Timestamp) -> StoreFuture<'_, Option<End>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.fate_of(hash, now).await })
    }

    fn find_by_id(&self, id: SessionId, now: Timestamp) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { Ok(inner.find_by_id(id).await?.filter(|live| live.is_alive(now))) })
    }

    fn remove_by_id(&self, id: SessionId, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move {
            match inner.find_by_id(id).await? {
                Some(live) => inner.end_session(live.hash, end, None).await,
                None => Ok(None),
            }
        })
    }

    fn replace(&self, live: Arc<LiveSession>) -> StoreFuture<'_, bool> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.replace_session(&live).await })
    }

    fn refit(&self, old: &Arc<LiveSession>, new: LiveSession) -> Option<Arc<LiveSession>> {
        Some(self.inner.near.refit(old, new))
    }

    fn serve(&self, sites: &[Arc<Site>]) {
        self.inner.serve(sites);
    }

    fn list(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Page<Arc<LiveSession>, SessionId>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run_at_leisure(async move { inner.list_sessions(&filter, after, limit, now).await })
    }

    fn sweep(&self, now: Timestamp, _: usize) -> usize {
        // The Redis forgets by itself.
        self.inner.near.sweep(now);
        0
    }

    fn count(&self) -> Option<Count> {
        self.inner.session_counts.counts().map(|by_site| Count { by_site, is_shared: true })
    }

    fn health(&self) -> Health {
        let exchange = &self.driver.exchange;
        Health { is_well: exchange.is_well(), faults: exchange.complaints.counts() }
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        let (done, is_done) = tokio::sync::oneshot::channel();
        let asked = self.seen.send(Due::Everything(done));
        self.driver.run(async move {
            asked.map_err(|_| Trouble::Lost)?;
            is_done.await.map_err(|_| Trouble::Lost)
        })
    }
}

impl Redis {
    fn is_idle_too_long(&self, live: &LiveSession) -> bool {
        live.standing(self.inner.clock.now()) == Standing::Over(None)
    }
}

/// The person whose session it is.
pub(super) fn person(session: &Session) -> Option<&str> {
    session.identity.email.as_ref().map(Email::key)
}

/// Reads a hash in a list of a person's sessions.
pub(super) fn listed_hash(text: &str) -> Result<SessionHash, Trouble> {
    hash_of(text.as_bytes())
}
