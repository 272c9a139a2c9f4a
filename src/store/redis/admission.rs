//! How a session begins: written down, admitted as one of so many, and only then let in.
//!
//! It is written down first, so that whoever counts finds it; but it opens nothing before it is let
//! in, and is gone within seconds if that never happens. Those that have to go for it are marked in
//! the person's list, in the step that counts, and ended before it is let in.
//!
//! Whoever ends all of a person's sessions, on whatever node, withdraws the tokens first, those that were taken
//! included, and goes over the sessions afterwards. A session looks at its token when it is in: so one of the
//! two sees the other.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use super::seen::BEHIND;
use super::sessions::{Found, listed_hash, person};
use super::trouble::Trouble;
use super::{Inner, hash_of, keep_from, keys, list, number, scripts, string, text};
use crate::domain::clock::Timestamp;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession, Session, SessionCap, SessionId, WhenFull};
use crate::store::{Admission, Beginning};

/// How long a session that is not let in stays, in milliseconds.
const BEGINNING: u64 = 10_000;

/// Those that have to go: name, hash, and when it would have ended.
type Going = Vec<(SessionId, SessionHash, Timestamp)>;

impl Inner {
    pub(super) async fn insert_session(
        &self,
        live: Arc<LiveSession>,
        beginning: Beginning,
    ) -> Result<Admission, Trouble> {
        let (session, hash, now) = (&live.session, live.hash, beginning.now);
        let place = keys::session(&hash);
        let reading = self.near.begin(hash);
        let record = self.write_session(&place, session);
        let (mark, _) = self.seal.open(&format!("{place} record"), &record)?;
        let seen = self.seal_seen(&place, live.last_seen());
        let keep = keep_from(now, live.ends_at());
        let replaced = self.replaced(&live, &beginning).await?;
        let cap = beginning.cap.filter(|_| person(session).is_some());
        let (first_keep, mark_of_beginning) = if cap.is_some() { (BEGINNING, "1") } else { (keep, "") };
        let first_keep = first_keep.to_string();
        let arguments =
            [record.as_slice(), seen.as_slice(), first_keep.as_bytes(), mark_of_beginning.as_bytes()];
        if let Some(cap) = cap {
            scripts::BEGIN.run(&self.exchange, &[&place], &arguments).await?;
            let Some(going) = self.admit(&live, Some(cap), replaced.as_deref(), now).await? else {
                self.end_session(hash, End::Revoked, None).await?;
                return Ok(Admission::Full);
            };
            let mut ended = self.see_off(session, going).await?;
            ended.extend(self.end_replaced(replaced.as_deref()).await?);
            self.file(&live).await?;
            let let_in = scripts::LET_IN.run(&self.exchange, &[&place], &[keep]).await?;
            if number(&let_in)? == 1 {
                self.near.keep_own(&reading, &live, mark);
            } else {
                // It had to make room itself before it was let in.
                live.end(End::Evicted);
                // Whoever ended it may have been there before it was filed.
                self.unfile(session).await;
            }
            return self.unless_withdrawn(hash, beginning, ended).await;
        }
        // Listed first: whoever goes over a person's sessions finds each that can be used.
        if person(session).is_some() {
            self.admit(&live, None, None, now).await?;
        }
        self.file(&live).await?;
        scripts::BEGIN.run(&self.exchange, &[&place], &arguments).await?;
        self.near.keep_own(&reading, &live, mark);
        let ended = self.end_replaced(replaced.as_deref()).await?;
        self.unless_withdrawn(hash, beginning, ended).await
    }

    /// What became of a session that is in, and for which these have `ended`: it ends if its token was withdrawn
    /// meanwhile.
    async fn unless_withdrawn(
        &self,
        hash: SessionHash,
        beginning: Beginning,
        ended: Vec<(SessionId, End)>,
    ) -> Result<Admission, Trouble> {
        match beginning.token {
            Some(token) if !self.stands(token).await? => {
                self.end_session(hash, End::Revoked, None).await?;
                Ok(Admission::Withdrawn(ended))
            }
            Some(_) | None => Ok(Admission::Begun(ended)),
        }
    }

    /// The session of the same site that ends for the new one.
    async fn replaced(
        &self,
        live: &LiveSession,
        beginning: &Beginning,
    ) -> Result<Option<Arc<LiveSession>>, Trouble> {
        let Some(hash) = beginning.replaces else { return Ok(None) };
        let found = self.find_session(hash).await?;
        Ok(found.filter(|old| old.session.site == live.session.site))
    }

    async fn end_replaced(&self, old: Option<&LiveSession>) -> Result<Vec<(SessionId, End)>, Trouble> {
        let Some(old) = old else { return Ok(Vec::new()) };
        let ended = self.end_session(old.hash, End::Replaced, None).await?;
        Ok(ended.map(|old| (old.session.id, End::Replaced)).into_iter().collect())
    }

    /// Files a session among all, and among those of its site.
    pub(super) async fn file(&self, live: &LiveSession) -> Result<(), Trouble> {
        let session = &live.session;
        let [by_name, by_time] = keys::shard_of(session.id);
        let member = super::lists::member(session.id, live.hash);
        let until = session.expires_at;
        let times = [until.as_millis(), self.clock.now().as_millis(), self.keep_until(until)];
        let [until, now, keep] = times.map(|time| time.to_string());
        let (name, ends) = (session.id.to_string(), live.ends_at().as_millis().to_string());
        let lists = [by_time.as_str(), &by_name, &keys::counted_in(session)];
        scripts::FILE.run(&self.exchange, &lists, &[member, until, now, keep, name, ends]).await?;
        Ok(())
    }

    /// Files a session among those of its person; who has to go for it, or `None` if it may not be.
    async fn admit(
        &self,
        live: &LiveSession,
        cap: Option<SessionCap>,
        replaced: Option<&LiveSession>,
        now: Timestamp,
    ) -> Result<Option<Going>, Trouble> {
        let session = &live.session;
        let Some(person) = person(session) else { return Ok(Some(Vec::new())) };
        let place = keys::sessions_of(person, &self.seal);
        let ends = [session.expires_at, live.ends_at()].map(Timestamp::as_millis);
        let [ends, idle] = ends;
        let entry = format!("{} {} {ends} {idle}", session.site, keys::encode(live.hash.as_bytes()));
        let evicts = cap.is_some_and(|cap| cap.when_full == WhenFull::EvictOldest);
        let mut arguments = vec![
            now.as_millis().to_string(),
            BEHIND.as_millis().to_string(),
            session.site.to_string(),
            session.id.to_string(),
            entry,
            cap.map_or(0, |cap| cap.most.get()).to_string(),
            u8::from(evicts).to_string(),
            keep_from(now, session.expires_at).to_string(),
            replaced.map(|old| old.session.id.to_string()).unwrap_or_default(),
        ];
        if cap.is_some() {
            arguments.extend(self.census(&place, session).await?);
        }
        let mut answer = list(scripts::ADMIT.run(&self.exchange, &[&place], &arguments).await?)?.into_iter();
        if number(&answer.next().ok_or(Trouble::Damaged)?)? != 1 {
            return Ok(None);
        }
        let mut going = Vec::new();
        while let (Some(id), Some(hash), Some(ends)) = (answer.next(), answer.next(), answer.next()) {
            let [id, hash, ends] =
                [id, hash, ends].map(|value| text(value)?.ok_or(Trouble::Damaged).and_then(string));
            let id = SessionId::parse(&id?).ok_or(Trouble::Damaged)?;
            let ends = ends?.parse().map(Timestamp::from_millis).map_err(|_| Trouble::Damaged)?;
            going.push((id, hash_of(hash?.as_bytes())?, ends));
        }
        Ok(Some(going))
    }

    /// What became of the listed sessions of the person on the site: for each its name, and when it
    /// ends if it is not used, or that it is gone.
    async fn census(&self, place: &str, session: &Session) -> Result<Vec<String>, Trouble> {
        let listed = self.person_entries(place).await?;
        let here = listed.into_iter().filter(|(_, entry)| entry.site == session.site.as_str());
        let looking = here.map(async |(id, entry)| {
            let state = match self.look_up(listed_hash(&entry.hash)?).await? {
                Found::Nothing => "gone".to_owned(),
                Found::There(live, _) => {
                    if let Some(held) = self.near.last_known(&live.hash) {
                        live.was_seen(held.last_seen());
                    }
                    live.ends_at().as_millis().to_string()
                }
                Found::Beginning(_) | Found::Elsewhere => return Ok(Vec::new()),
            };
            Ok::<_, Trouble>(vec![id, state])
        });
        Ok(try_join_all(looking).await?.concat())
    }

    /// Ends those that have to go, and takes them out of the list; which of them were there.
    async fn see_off(&self, session: &Session, going: Going) -> Result<Vec<(SessionId, End)>, Trouble> {
        let leaving = going.into_iter().map(async |(id, hash, until)| {
            let ended = self.end_session(hash, End::Evicted, Some(until)).await?;
            self.unlist(session, id).await;
            Ok::<_, Trouble>(ended.map(|_| (id, End::Evicted)))
        });
        let mut ended = Vec::new();
        for one in join_all(leaving).await {
            ended.extend(one?);
        }
        Ok(ended)
    }

    async fn unlist(&self, session: &Session, id: SessionId) {
        let Some(person) = person(session) else { return };
        let mut remove = ::redis::cmd("HDEL");
        remove.arg(keys::sessions_of(person, &self.seal)).arg(id.to_string());
        // What stays is dropped by whoever counts next.
        let _ = self.exchange.ask(&remove).await;
    }
}
