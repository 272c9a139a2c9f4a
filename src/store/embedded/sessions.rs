//! Sessions: found in memory, begun and ended in the file first.

use std::sync::Arc;

use super::follow::look_at_session;
use super::handle::WriterHandle;
use super::ledger::{Change, Ledger, millis, number, time};
use super::{load, tokens};
use crate::config::Site;
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession, SessionCap, SessionId, Standing, WhenFull};
use crate::domain::site::SiteName;
use crate::store::record::Recorded as _;
use crate::store::{
    Admission, Beginning, Count, Glance, Health, Page, SessionFilter, SessionStore, StoreFuture,
};

/// Sessions that outlive the process.
pub(super) struct Sessions(pub(super) WriterHandle);

impl Sessions {
    /// Whether `live` has gone unused for too long, as far as this process knows: another one may have
    /// seen it since.
    fn may_have_been_used_elsewhere(live: &LiveSession, now: Timestamp) -> bool {
        now < live.session.expires_at && live.standing(now) == Standing::Over(None)
    }

    /// What the mirror says when it has caught up.
    fn ask_again<T: Send + 'static>(
        &self,
        read: impl FnOnce(&super::mirror::Mirror) -> T + Send + 'static,
    ) -> StoreFuture<'static, T> {
        self.0.look(|ledger| Ok(read(ledger.mirror)))
    }
}

impl SessionStore for Sessions {
    fn glance(&self, hash: &SessionHash) -> Glance {
        let mirror = &self.0.mirror;
        match mirror.sessions.known(hash) {
            Some(live) if !Self::may_have_been_used_elsewhere(&live, mirror.now()) => Glance::Known(live),
            // A cookie that nobody here knows may be that of a session that began in another process.
            Some(_) | None => Glance::Unsure,
        }
    }

    fn find(&self, hash: SessionHash) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.0.look(move |ledger| {
            look_at_session(ledger, &hash)?;
            let mirror = ledger.mirror;
            let is_over = |live: &LiveSession| matches!(live.standing(mirror.now()), Standing::Over(_));
            Ok(mirror.sessions.known(&hash).filter(|live| !is_over(live)))
        })
    }

    fn standing(&self, live: &LiveSession, now: Timestamp) -> Option<Standing> {
        let is_doubtful = Self::may_have_been_used_elsewhere(live, now);
        (!is_doubtful).then(|| live.standing(now))
    }

    fn touch(&self, live: &Arc<LiveSession>, now: Timestamp) {
        if live.touch(now) {
            self.0.mirror.note_use(live);
        }
    }

    fn insert(&self, live: Arc<LiveSession>, beginning: Beginning) -> StoreFuture<'_, Admission> {
        let shown = Arc::clone(&live);
        self.0.write(
            move |ledger| begin(ledger, &live, beginning),
            move |mirror, ended| {
                let ended = match ended {
                    Ok(ended) => ended,
                    Err(refusal) => return refusal,
                };
                for old in &ended {
                    mirror.sessions.hide(&old.hash, Some(old.end));
                }
                mirror.note_idle(&shown.session);
                mirror.sessions.show(shown);
                Admission::Begun(ended.into_iter().map(|old| (old.id, old.end)).collect())
            },
        )
    }

    fn remove(&self, hash: SessionHash, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.0.write(
            move |ledger| drop_session(ledger, &hash, end),
            move |mirror, ()| mirror.sessions.hide(&hash, Some(end)),
        )
    }

    fn fate(&self, hash: SessionHash, now: Timestamp) -> StoreFuture<'_, Option<End>> {
        self.0.mirror.sessions.fate(hash, now)
    }

    fn find_by_id(&self, id: SessionId, now: Timestamp) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        match self.0.mirror.sessions.known_by_id(id).filter(|live| live.is_alive(now)) {
            Some(live) => Box::pin(std::future::ready(Ok(Some(live)))),
            None => self
                .ask_again(move |mirror| mirror.sessions.known_by_id(id).filter(|live| live.is_alive(now))),
        }
    }

    fn remove_by_id(&self, id: SessionId, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.0.write(
            move |ledger| {
                let found = ledger.mirror.sessions.known_by_id(id).map(|live| live.hash);
                if let Some(hash) = found {
                    drop_session(ledger, &hash, end)?;
                }
                Ok(found)
            },
            move |mirror, found| mirror.sessions.hide(&found?, Some(end)),
        )
    }

    fn replace(&self, live: Arc<LiveSession>) -> StoreFuture<'_, bool> {
        let shown = Arc::clone(&live);
        self.0.write(
            move |ledger| change(ledger, &live),
            move |mirror, is_there| {
                if is_there {
                    mirror.note_idle(&shown.session);
                    mirror.sessions.show(shown);
                }
                is_there
            },
        )
    }

    fn refit(&self, old: &Arc<LiveSession>, new: LiveSession) -> Option<Arc<LiveSession>> {
        self.0.mirror.sessions.refit(old, new)
    }

    fn serve(&self, sites: &[Arc<Site>]) {
        self.0.mirror.serve(sites);
    }

    fn look_for(&self, sites: Vec<SiteName>) -> StoreFuture<'_, ()> {
        self.0.look(move |ledger| load::sessions_of(ledger, &sites))
    }

    fn list(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Page<Arc<LiveSession>, SessionId>> {
        self.0.mirror.sessions.list(filter, after, limit, now)
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        let mirror = &self.0.mirror;
        mirror.note_time(now);
        mirror.agenda.sessions.ask(now);
        mirror.sessions.sweep(now, limit)
    }

    fn count(&self) -> Option<Count> {
        self.0.mirror.sessions.count()
    }

    fn health(&self) -> Health {
        self.0.mirror.health()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.0.close()
    }
}

/// A session that ends so that another may begin.
struct Ended {
    hash: SessionHash,
    id: SessionId,
    end: End,
}

/// Begins a session in the file, and says what ended for it, or why it does not begin.
fn begin(
    ledger: &Ledger<'_>,
    live: &LiveSession,
    beginning: Beginning,
) -> rusqlite::Result<Result<Vec<Ended>, Admission>> {
    // Another process may have withdrawn it. If it does so later, it knows of the session by then.
    if let Some(token) = beginning.token
        && !tokens::stands(ledger, &token)?
    {
        return Ok(Err(Admission::Withdrawn(Vec::new())));
    }
    let session = &live.session;
    let mut ended = Vec::new();
    if let Some(hash) = beginning.replaces {
        let sql = "SELECT id FROM session WHERE hash = ?1 AND site = ?2";
        let id: Option<String> =
            ledger.row(sql, (hash.as_bytes(), session.site.as_str()), |row| row.get(0))?;
        let id = id.as_deref().and_then(SessionId::parse);
        ended.extend(id.map(|id| Ended { hash, id, end: End::Replaced }));
    }
    if let Some(cap) = beginning.cap
        && let Some(email) = &session.identity.email
    {
        let Some(evicted) = make_room(ledger, live, email, cap, &ended, beginning.now)? else {
            return Ok(Err(Admission::Full));
        };
        ended.extend(evicted);
    }
    for old in &ended {
        drop_session(ledger, &old.hash, old.end)?;
    }
    forget(ledger, &live.hash)?;
    let email_key = session.identity.email.as_ref().map(Email::key);
    let (id, record) = (session.id.to_string(), session.to_record());
    let sql = "INSERT INTO session (hash, id, email_key, site, record) VALUES (?1, ?2, ?3, ?4, ?5)";
    ledger.execute(sql, (live.hash.as_bytes(), id, email_key, session.site.as_str(), record))?;
    let sql = "INSERT INTO session_time (number, last_seen, idle, expires_at) \
               VALUES (last_insert_rowid(), ?1, ?2, ?3)";
    let times = (millis(live.last_seen()), idle(live), millis(session.expires_at));
    ledger.execute(sql, times)?;
    ledger.note(&Change::Session(live.hash))?;
    Ok(Ok(ended))
}

fn idle(live: &LiveSession) -> i64 {
    let idle = std::time::Duration::from(live.session.idle).as_millis();
    number(u64::try_from(idle).unwrap_or(u64::MAX))
}

/// Which sessions of a person have to end so that `live` may begin, besides those that are `ending`
/// anyway; `None` if it may not.
fn make_room(
    ledger: &Ledger<'_>,
    live: &LiveSession,
    email: &Email,
    cap: SessionCap,
    ending: &[Ended],
    now: Timestamp,
) -> rusqlite::Result<Option<Vec<Ended>>> {
    let sql = "SELECT hash, id, min(last_seen + idle, expires_at) FROM session JOIN session_time USING (number) \
               WHERE email_key = ?1 AND site = ?2 ORDER BY id";
    let site = live.session.site.as_str();
    let rows = ledger.rows(sql, (email.key(), site), |row| {
        let (hash, id): (_, String) = (SessionHash::from_bytes(row.get(0)?), row.get(1)?);
        Ok((hash, id, time(row.get(2)?)))
    })?;
    // That it was used a moment ago may be known in memory alone.
    let is_alive = |hash: &SessionHash, end: Timestamp| {
        now < end || ledger.mirror.sessions.known(hash).is_some_and(|live| live.is_alive(now))
    };
    let mut present: Vec<Ended> = rows
        .into_iter()
        .filter(|(hash, _, end)| is_alive(hash, *end) && ending.iter().all(|old| old.hash != *hash))
        .filter_map(|(hash, id, _)| Some(Ended { hash, id: SessionId::parse(&id)?, end: End::Evicted }))
        .collect();
    let most = usize::try_from(cap.most.get()).unwrap_or(usize::MAX);
    let surplus = (present.len() + 1).saturating_sub(most);
    if surplus > 0 && cap.when_full == WhenFull::Reject {
        return Ok(None);
    }
    // They stand in the order of their making.
    present.truncate(surplus);
    Ok(Some(present))
}

/// Ends a session in the file, if it is there.
fn drop_session(ledger: &Ledger<'_>, hash: &SessionHash, end: End) -> rusqlite::Result<()> {
    let Some(expires_at) = forget(ledger, hash)? else { return Ok(()) };
    if end == End::Evicted {
        let sql = "INSERT OR REPLACE INTO evicted (hash, until) VALUES (?1, ?2)";
        ledger.execute(sql, (hash.as_bytes(), expires_at))?;
    }
    ledger.note(&Change::Ended(*hash, end))
}

/// Takes a session out of the file; when it would have ended.
fn forget(ledger: &Ledger<'_>, hash: &SessionHash) -> rusqlite::Result<Option<i64>> {
    let sql = "DELETE FROM session WHERE hash = ?1 RETURNING number";
    let Some(number): Option<i64> = ledger.row(sql, [hash.as_bytes()], |row| row.get(0))? else {
        return Ok(None);
    };
    ledger.row("DELETE FROM session_time WHERE number = ?1 RETURNING expires_at", [number], |row| row.get(0))
}

/// Writes down what became of a session; whether it is still there.
fn change(ledger: &Ledger<'_>, live: &LiveSession) -> rusqlite::Result<bool> {
    let session = &live.session;
    let email_key = session.identity.email.as_ref().map(Email::key);
    let sql = "UPDATE session SET email_key = ?3, record = ?4 WHERE hash = ?1 AND id = ?2 RETURNING number";
    let key = (live.hash.as_bytes(), session.id.to_string(), email_key, session.to_record());
    let Some(row): Option<i64> = ledger.row(sql, key, |row| row.get(0))? else { return Ok(false) };
    let sql = "UPDATE session_time SET idle = ?2, expires_at = ?3 WHERE number = ?1";
    ledger.execute(sql, (row, idle(live), millis(session.expires_at)))?;
    ledger.note(&Change::Session(live.hash))?;
    Ok(true)
}
