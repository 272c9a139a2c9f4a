//! Reading the whole file: at the start, and when so much was missed that the log has forgotten it.

use std::collections::HashSet;
use std::sync::Arc;

use super::ledger::{Ledger, time};
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession};
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
    each_session(ledger, |revived| match revived {
        Some(live) if live.is_alive(now) => ledger.mirror.sessions.show(live),
        Some(_) => {}
        None => damaged += 1,
    })?;
    ledger.rows("SELECT hash, until FROM evicted", [], |row| {
        let hash = SessionHash::from_bytes(row.get(0)?);
        ledger.mirror.sessions.note_eviction(hash, time(row.get(1)?));
        Ok(())
    })?;
    if damaged > 0 {
        tracing::error!(
            target: "tollgate::store", file = %ledger.mirror.path.display(), damaged,
            "records that cannot be read are left out: `tollgate store check` tells more"
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
    let mut sessions = HashSet::new();
    each_session(ledger, |revived| {
        if let Some(live) = revived {
            sessions.insert(live.hash);
            mirror.show(live);
        }
    })?;
    for live in mirror.sessions.all() {
        if !sessions.contains(&live.hash) {
            mirror.sessions.hide(&live.hash, Some(End::Revoked));
        }
    }
    Ok(())
}

/// Hands each session of the sites that are served to `show`; `None` if it cannot be read.
fn each_session(ledger: &Ledger<'_>, mut show: impl FnMut(Option<Arc<LiveSession>>)) -> rusqlite::Result<()> {
    ledger.rows(SESSIONS, [], |row| {
        let hash = SessionHash::from_bytes(row.get(0)?);
        match ledger.mirror.revive(hash, row.get_ref(1)?.as_bytes()?, time(row.get(2)?)) {
            Ok(Some(live)) => show(Some(live)),
            Ok(None) => {}
            Err(_) => show(None),
        }
        Ok(())
    })?;
    Ok(())
}
