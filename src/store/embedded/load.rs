//! Reading the whole file: at the start, and when so much was missed that the log has forgotten it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use super::ledger::{Ledger, time};
use super::mirror::Mirror;
use crate::domain::clock::Timestamp;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession};
use crate::domain::site::SiteName;
use crate::domain::user::{User, UserId};
use crate::store::record::Recorded as _;

const USERS: &str = "SELECT record FROM user ORDER BY id";

// In the order of their making: what is added to the end of an index is added quickly.
const SESSIONS: &str =
    "SELECT hash, record, last_seen FROM session JOIN session_time USING (number) ORDER BY number";

/// Shows everything for the first time.
pub(super) fn all(ledger: &Ledger<'_>) -> rusqlite::Result<()> {
    let now = ledger.mirror.now();
    let mut damaged = 0_usize;
    let mut users = Vec::new();
    ledger.rows(USERS, [], |row| {
        match User::from_record(row.get_ref(0)?.as_bytes()?) {
            Ok(user) => users.push(user),
            Err(_) => damaged += 1,
        }
        Ok(())
    })?;
    for user in users {
        ledger.mirror.users.show(user);
    }
    let Revived { mut sessions, damaged: damaged_sessions } = sessions(ledger)?;
    damaged += damaged_sessions;
    sessions.retain(|live| live.is_alive(now));
    ledger.mirror.sessions.fill(&sessions);
    ledger.rows("SELECT hash, until FROM evicted", [], |row| {
        let hash = SessionHash::from_bytes(row.get(0)?);
        ledger.mirror.sessions.note_eviction(hash, time(row.get(1)?));
        Ok(())
    })?;
    if damaged > 0 {
        tracing::error!(
            target: "tollgate::store", file = %ledger.mirror.path.display(), damaged,
            "records that cannot be read are left out: see `tollgate store check`"
        );
    }
    Ok(())
}

/// Shows everything as it is now, and nothing else.
pub(super) fn anew(ledger: &Ledger<'_>) -> rusqlite::Result<()> {
    let mirror = ledger.mirror;
    let mut users = HashSet::new();
    ledger.rows(USERS, [], |row| {
        if let Ok(user) = User::from_record(row.get_ref(0)?.as_bytes()?) {
            users.insert(user.id);
            mirror.users.show(user);
        }
        Ok(())
    })?;
    let gone: Vec<UserId> = mirror.users.ids().into_iter().filter(|id| !users.contains(id)).collect();
    for id in gone {
        mirror.users.hide(id);
    }
    let Revived { sessions, .. } = sessions(ledger)?;
    let present: HashSet<SessionHash> = sessions.iter().map(|live| live.hash).collect();
    for live in sessions {
        mirror.show(live);
    }
    for live in mirror.sessions.all() {
        if !present.contains(&live.hash) {
            mirror.sessions.hide(&live.hash, Some(End::Revoked));
        }
    }
    Ok(())
}

/// Shows the sessions of these sites, none of which was served until now.
pub(super) fn sessions_of(ledger: &Ledger<'_>, sites: &[SiteName]) -> rusqlite::Result<()> {
    const SESSIONS: &str = "SELECT hash, record, last_seen FROM session JOIN session_time USING (number) \
                            WHERE site = ?1 ORDER BY number";
    let mirror = ledger.mirror;
    for site in sites {
        ledger.rows(SESSIONS, [site.as_str()], |row| {
            let (hash, last_seen) = (SessionHash::from_bytes(row.get(0)?), time(row.get(2)?));
            let found = mirror.revive(hash, row.get_ref(1)?.as_bytes()?, last_seen).ok().flatten();
            if let Some(live) = found.filter(|live| live.is_alive(mirror.now())) {
                mirror.show(live);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The sessions of the sites that are served, and how many cannot be read.
#[derive(Default)]
struct Revived {
    sessions: Vec<Arc<LiveSession>>,
    damaged: usize,
}

/// A session as it is in the file.
struct Row {
    hash: [u8; 32],
    record: Vec<u8>,
    last_seen: Timestamp,
}

/// Rows that are handed over at a time.
const CHUNK: usize = 1024;

/// Reads all sessions. To understand a record takes longer than to read it: others do that.
fn sessions(ledger: &Ledger<'_>) -> rusqlite::Result<Revived> {
    let readers = thread::available_parallelism().map_or(1, usize::from).min(8);
    let (hand_over, chunks) = mpsc::sync_channel::<Vec<Row>>(2 * readers);
    let (chunks, mirror) = (Mutex::new(chunks), ledger.mirror);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..readers).map(|_| scope.spawn(|| revive(mirror, &chunks))).collect();
        let mut chunk = Vec::with_capacity(CHUNK);
        ledger.rows(SESSIONS, [], |row| {
            let record = row.get_ref(1)?.as_bytes()?.to_vec();
            chunk.push(Row { hash: row.get(0)?, record, last_seen: time(row.get(2)?) });
            if chunk.len() == CHUNK {
                let _they_wait = hand_over.send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)));
            }
            Ok(())
        })?;
        let _they_wait = hand_over.send(chunk);
        drop(hand_over);
        let mut all = Revived::default();
        for reader in readers {
            let Revived { sessions, damaged } = reader.join().map_err(|_| rusqlite::Error::InvalidQuery)?;
            all.sessions.extend(sessions);
            all.damaged += damaged;
        }
        all.sessions.sort_unstable_by_key(|live| live.session.id);
        Ok(all)
    })
}

fn revive(mirror: &Mirror, chunks: &Mutex<mpsc::Receiver<Vec<Row>>>) -> Revived {
    let mut all = Revived::default();
    let next = || chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(chunk) = next() {
        for Row { hash, record, last_seen } in chunk {
            match mirror.revive(SessionHash::from_bytes(hash), &record, last_seen) {
                Ok(live) => all.sessions.extend(live),
                Err(_) => all.damaged += 1,
            }
        }
    }
    all
}
