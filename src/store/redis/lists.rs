//! Lists of sessions: of one person, or of all, in the order of their names.
//!
//! The lists only say what to look for. A session that is not there any more is shown to nobody, and
//! is taken out of the list by whoever notices.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use ::redis::cmd;
use futures_util::future::{join_all, try_join_all};

use super::sessions::Found;
use super::trouble::Trouble;
use super::{Inner, hash_of, keys, string, texts};
use crate::domain::clock::Timestamp;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{LiveSession, SessionId};
use crate::store::{Page, SessionFilter};

/// How many are looked up at a time, at least.
const BATCH: usize = 128;

/// How a session stands in the list of all.
pub(super) fn member(id: SessionId, hash: SessionHash) -> String {
    format!("{id}{}", keys::encode(hash.as_bytes()))
}

/// Reads what [`member`] writes.
pub(super) fn read_member(member: &[u8]) -> Result<(SessionId, SessionHash), Trouble> {
    let (id, hash) = member.split_at_checked(32).ok_or(Trouble::Damaged)?;
    let id = std::str::from_utf8(id).ok().and_then(SessionId::parse).ok_or(Trouble::Damaged)?;
    Ok((id, hash_of(hash)?))
}

/// What stands in a person's list under the name of a session.
pub(super) struct Entry {
    pub(super) site: String,
    pub(super) hash: String,
}

impl Inner {
    /// The list of a person's sessions.
    pub(super) async fn person_entries(&self, place: &str) -> Result<Vec<(String, Entry)>, Trouble> {
        let listed = texts(self.exchange.ask(cmd("HGETALL").arg(place)).await?)?;
        let mut listed = listed.into_iter();
        let mut entries = Vec::new();
        while let (Some(id), Some(entry)) = (listed.next(), listed.next()) {
            let (id, entry) = (string(id)?, string(entry)?);
            let mut words = entry.split(' ').map(str::to_owned);
            let (Some(site), Some(hash)) = (words.next(), words.next()) else { return Err(Trouble::Damaged) };
            entries.push((id, Entry { site, hash }));
        }
        Ok(entries)
    }

    pub(super) async fn list_sessions(
        &self,
        filter: &SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page<Arc<LiveSession>, SessionId>, Trouble> {
        let person = filter.email_key.as_deref().map(|key| keys::sessions_of(key, &self.seal));
        let mut own = match &person {
            Some(place) => Some(self.named(place).await?),
            None => None,
        };
        let (mut entries, mut after) = (Vec::new(), after);
        loop {
            let batch = match &mut own {
                Some(own) => next_of(own, after),
                None => self.next_of_all(after).await?,
            };
            let Some((last, _)) = batch.last().copied() else {
                return Ok(Page { entries, next: None });
            };
            after = Some(last);
            for live in self.present(&batch, person.as_deref()).await? {
                if !live.is_alive(now) || !filter.matches(&live.session.identity, &live.session.site) {
                    continue;
                }
                if entries.len() == limit {
                    let next = entries.last().map(|live: &Arc<LiveSession>| live.session.id);
                    return Ok(Page { entries, next });
                }
                entries.push(live);
            }
        }
    }

    /// The names and hashes in a person's list.
    async fn named(&self, place: &str) -> Result<BTreeMap<SessionId, SessionHash>, Trouble> {
        let entries = self.person_entries(place).await?;
        let named = entries.into_iter().map(|(id, entry)| {
            let id = SessionId::parse(&id).ok_or(Trouble::Damaged)?;
            Ok((id, hash_of(entry.hash.as_bytes())?))
        });
        named.collect()
    }

    /// The next names of all.
    async fn next_of_all(&self, after: Option<SessionId>) -> Result<Vec<(SessionId, SessionHash)>, Trouble> {
        // Behind every member that begins with this name.
        let start = after.map_or_else(|| "-".to_owned(), |id| format!("({id}~"));
        let asking = (0..keys::SHARDS).map(async |number| {
            let [by_name, _] = keys::shard(number);
            let mut range = cmd("ZRANGE");
            range.arg(by_name).arg(&start).arg("+").arg("BYLEX").arg("LIMIT").arg(0).arg(BATCH);
            texts(self.exchange.ask(&range).await?)
        });
        let members = try_join_all(asking).await?;
        let mut members: Vec<_> =
            members.iter().flatten().map(|member| read_member(member)).collect::<Result<_, _>>()?;
        members.sort_unstable_by_key(|(id, _)| *id);
        members.truncate(BATCH);
        Ok(members)
    }

    /// Those of the named sessions that are there, in the same order.
    async fn present(
        &self,
        named: &[(SessionId, SessionHash)],
        person: Option<&str>,
    ) -> Result<Vec<Arc<LiveSession>>, Trouble> {
        let looking = named.iter().map(async |(id, hash)| match self.look_up(*hash).await? {
            Found::There(live, mark) if live.session.id == *id => {
                // What was seen here a moment ago may not be written down yet.
                Ok(Some(self.near.same(live, &mark)))
            }
            Found::Nothing => {
                self.unlist_gone(*id, *hash, person).await;
                Ok(None)
            }
            Found::There(..) | Found::Beginning(_) | Found::Elsewhere => Ok::<_, Trouble>(None),
        });
        Ok(try_join_all(looking).await?.into_iter().flatten().collect())
    }

    async fn unlist_gone(&self, id: SessionId, hash: SessionHash, person: Option<&str>) {
        if self.clock.now() < id.minted_at().after(super::SLACK) {
            // It may be about to begin.
            return;
        }
        let removing = match person {
            Some(place) => {
                let mut remove = cmd("HDEL");
                remove.arg(place).arg(id.to_string());
                vec![remove]
            }
            None => keys::shard_of(id)
                .iter()
                .map(|key| {
                    let mut remove = cmd("ZREM");
                    remove.arg(key).arg(member(id, hash));
                    remove
                })
                .collect(),
        };
        // What stays is shown to nobody, and forgotten in time.
        join_all(removing.iter().map(|remove| self.exchange.ask(remove))).await;
    }
}

fn next_of(
    own: &mut BTreeMap<SessionId, SessionHash>,
    after: Option<SessionId>,
) -> Vec<(SessionId, SessionHash)> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    own.range((start, Bound::Unbounded)).take(BATCH).map(|(id, hash)| (*id, *hash)).collect()
}
