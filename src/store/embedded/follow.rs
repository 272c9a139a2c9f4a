//! Following other processes that have the same file open: on a restart the old one finishes what runs
//! while the new one serves.
//!
//! Each reads in the log what the others changed, and then looks at what is there now. Nothing in the
//! log has to be told apart from one's own changes: a transaction begins by catching up, so that
//! whatever it adds to the log itself is behind all that it has not seen.

use std::collections::HashSet;

use super::ledger::{Ledger, time};
use super::load;
use crate::domain::opaque::SessionHash;
use crate::domain::session::End;
use crate::domain::user::{User, UserId};
use crate::store::record::Recorded as _;

/// How far the log has been read.
pub(super) struct Bookmark(pub(super) i64);

impl Bookmark {
    /// The end of the log.
    pub(super) fn at_end(ledger: &Ledger<'_>) -> rusqlite::Result<Self> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'change'";
        Ok(Self(ledger.row(sql, [], |row| row.get(0))?.unwrap_or_default()))
    }

    /// Brings the mirror up to the end of the log. `ledger` has to see the file as it is at one moment.
    pub(super) fn catch_up(&mut self, ledger: &Ledger<'_>) -> rusqlite::Result<()> {
        let Self(end) = Self::at_end(ledger)?;
        if end == self.0 {
            return Ok(());
        }
        let first: Option<i64> = ledger.row("SELECT min(seq) FROM change", [], |row| row.get(0))?.flatten();
        // Entries are thrown away by their age: whoever was asleep for that long has missed some.
        if first.is_none_or(|first| first > self.0 + 1) || end < self.0 {
            load::anew(ledger)?;
        } else {
            self.read_on(ledger)?;
        }
        self.0 = end;
        Ok(())
    }

    fn read_on(&self, ledger: &Ledger<'_>) -> rusqlite::Result<()> {
        type Entry = (Option<[u8; 32]>, Option<String>, Option<i64>);
        let sql = "SELECT session, ended, user FROM change WHERE seq > ?1 ORDER BY seq";
        let entries: Vec<Entry> =
            ledger.rows(sql, [self.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut sessions = HashSet::new();
        // Users first: sessions share their names.
        for id in entries.iter().filter_map(|(_, _, user)| *user).collect::<HashSet<_>>() {
            look_at_user(ledger, id)?;
        }
        for (session, ended, _) in &entries {
            let Some(hash) = session.map(SessionHash::from_bytes) else { continue };
            match ended.as_deref().map(|word| End::parse(word).unwrap_or(End::Revoked)) {
                Some(end) => drop(ledger.mirror.sessions.hide(&hash, Some(end))),
                None => drop(sessions.insert(hash)),
            }
        }
        for hash in sessions {
            look_at_session(ledger, &hash)?;
        }
        Ok(())
    }
}

/// Shows the session behind a cookie as it is in the file. One that is not there, or cannot be read, was
/// ended, unless its time was over.
pub(super) fn look_at_session(ledger: &Ledger<'_>, hash: &SessionHash) -> rusqlite::Result<()> {
    let sql = "SELECT record, last_seen FROM session JOIN session_time USING (number) WHERE hash = ?1";
    let found = ledger.row(sql, [hash.as_bytes()], |row| {
        Ok(ledger.mirror.revive(*hash, row.get_ref(0)?.as_bytes()?, time(row.get(1)?)))
    })?;
    match found {
        Some(Ok(Some(live))) => drop(ledger.mirror.show(live)),
        Some(Ok(None)) => {}
        Some(Err(_)) | None => {
            let sessions = &ledger.mirror.sessions;
            let is_alive = sessions.known(hash).is_some_and(|live| live.is_alive(ledger.mirror.now()));
            sessions.hide(hash, is_alive.then_some(End::Revoked));
        }
    }
    Ok(())
}

fn look_at_user(ledger: &Ledger<'_>, id: i64) -> rusqlite::Result<()> {
    let Some(user) = u64::try_from(id).ok().and_then(UserId::from_number) else { return Ok(()) };
    let found = ledger.row("SELECT record FROM user WHERE id = ?1", [id], |row| {
        Ok(User::from_record(row.get_ref(0)?.as_bytes()?).ok())
    })?;
    match found.flatten() {
        Some(user) => ledger.mirror.users.show(user),
        None => drop(ledger.mirror.users.hide(user)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::{self, Environment, Site};
    use crate::domain::clock::Timestamp;
    use crate::domain::session::Standing;
    use crate::store::embedded::file;
    use crate::store::embedded::ledger::Change;
    use crate::store::embedded::mirror::Mirror;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn sites() -> Vec<Arc<Site>> {
        let text = "[[site]]\nname = \"demo\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:9000\"]\n\
                    login_url = \"https://login.example.com/\"\n";
        config::load(text, "config.toml", &Environment::empty()).unwrap().sites
    }

    fn begin(ledger: &Ledger<'_>, number: u8) -> SessionHash {
        let record = format!(
            r#"{{"id":"{number:032x}","site":"demo","identity":{{}},"role_policy":"always","expires_at":{0},
                "idle":60000,"backend":false}}"#,
            NOW.after(Duration::from_hours(1)).as_millis()
        );
        let sql = "INSERT INTO session (number, hash, id, site, record) VALUES (?1, ?2, ?3, 'demo', ?4)";
        ledger.execute(sql, (number, [number; 32], format!("{number:032x}"), record)).unwrap();
        let sql = "INSERT INTO session_time VALUES (?1, ?2, 60000, ?2 + 3600000)";
        ledger.execute(sql, (number, 1_800_000_000_000_i64)).unwrap();
        let hash = SessionHash::from_bytes([number; 32]);
        ledger.note(&Change::Session(hash)).unwrap();
        hash
    }

    #[test]
    fn whoever_slept_for_longer_than_the_log_reaches_looks_at_everything_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (db, path) = file::open(folder.path()).unwrap();
        let (awake, asleep) = (Mirror::new(path.clone(), &sites(), NOW), Mirror::new(path, &sites(), NOW));
        let writing = Ledger::new(&db, &awake);
        let (stays, ends, changes) = (begin(&writing, 1), begin(&writing, 2), begin(&writing, 3));
        let reading = Ledger::new(&db, &asleep);
        let mut bookmark = Bookmark(0);
        bookmark.catch_up(&reading).unwrap();
        let held = [&stays, &ends, &changes].map(|hash| asleep.sessions.known(hash).unwrap());

        writing.execute("DELETE FROM session WHERE number = 2", []).unwrap();
        writing
            .execute("UPDATE session SET record = replace(record, 'false', 'true') WHERE number = 3", [])
            .unwrap();
        let new = begin(&writing, 4);
        writing.execute("DELETE FROM change", []).unwrap();
        bookmark.catch_up(&reading).unwrap();
        assert_eq!(bookmark.0, 4);
        let standings = held.each_ref().map(|live| live.standing(NOW));
        assert_eq!(standings, [Standing::Good, Standing::Over(Some(End::Revoked)), Standing::Superseded]);
        assert!(asleep.sessions.known(&changes).unwrap().session.backend);
        assert!(asleep.sessions.known(&new).is_some() && asleep.sessions.known(&ends).is_none());
    }
}
