//! Looking a file over, and copying it, while others work with it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::file::{self, OpenError, fault};
use super::ledger::{Ledger, millis, number, time};
use super::mirror::Mirror;
use super::schema;
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::session::Session;
use crate::domain::token::{Redeemed, TokenGrant};
use crate::domain::user::User;
use crate::store::key_record;
use crate::store::record::Recorded as _;

/// Faults that are told of each kind; one bad page can make thousands.
const MOST_FAULTS: usize = 20;

/// What is in a file.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The file.
    pub path: PathBuf,
    /// The version of its tables.
    pub version: i32,
    /// Users.
    pub users: usize,
    /// Sessions, with those that are over and not yet forgotten.
    pub sessions: usize,
    /// Tokens that can be redeemed.
    pub open_tokens: usize,
    /// Tokens of which it is known what became of them.
    pub spent_tokens: usize,
    /// Nonces.
    pub nonces: usize,
    /// Sites with keys that sign.
    pub key_rings: usize,
    /// What is wrong with it, without any of its content.
    pub faults: Vec<String>,
}

/// Reads all that is in the file in `folder`, as it is at one moment.
pub fn inspect(folder: &Path) -> Result<Inventory, OpenError> {
    let path = file::file_in(folder);
    let db = file::open_to_read(&path)?;
    read(&db, &path).map_err(|error| fault(&path, &error))
}

fn read(db: &Connection, path: &Path) -> rusqlite::Result<Inventory> {
    let _moment = db.unchecked_transaction()?;
    let mut inventory =
        Inventory { path: path.to_owned(), version: schema::version(db)?, ..Inventory::default() };
    let nothing_shown = Mirror::new(path.to_owned(), &[], Timestamp::from_millis(0));
    let ledger = Ledger::new(db, &nothing_shown);
    let verdicts = ledger.rows("PRAGMA integrity_check(20)", [], |row| row.get::<_, String>(0))?;
    inventory.faults.extend(verdicts.into_iter().filter(|verdict| verdict != "ok"));
    inventory.users = inventory.look(&ledger, "user", "SELECT id, email_key, record FROM user", |row| {
        let (id, email_key): (i64, String) = (row.get(0)?, row.get(1)?);
        let user = User::from_record(row.get_ref(2)?.as_bytes()?).ok();
        Ok(user
            .is_some_and(|user| i64::try_from(user.id.number()) == Ok(id) && user.email.key() == email_key))
    })?;
    let mut names = HashSet::new();
    let sql = "SELECT id, email_key, site, record, idle, expires_at, length(hash) \
               FROM session LEFT JOIN session_time USING (number)";
    inventory.sessions = inventory.look(&ledger, "session", sql, |row| is_session(row, &mut names))?;
    let sql = "SELECT number IN (SELECT number FROM session) FROM session_time";
    inventory.look(&ledger, "session_time", sql, |row| row.get(0))?;
    let sql = "SELECT kind, site, email_key, due, record FROM token WHERE fate IS NULL";
    inventory.open_tokens = inventory.look(&ledger, "token", sql, is_token)?;
    let sql = "SELECT fate IN ('used', 'expired', 'revoked') FROM token WHERE fate IS NOT NULL";
    inventory.spent_tokens = inventory.look(&ledger, "token", sql, |row| row.get(0))?;
    inventory.look(&ledger, "redeemed", "SELECT until, record FROM redeemed", |row| {
        let redeemed = Redeemed::from_record(row.get_ref(1)?.as_bytes()?).ok();
        Ok(redeemed.map(|redeemed| redeemed.expires_at()) == Some(time(row.get(0)?)))
    })?;
    inventory.nonces =
        inventory.look(&ledger, "nonce", "SELECT length(key) = 32 FROM nonce", |row| row.get(0))?;
    if inventory.version >= schema::SINCE_KEY_RINGS {
        inventory.key_rings =
            inventory.look(&ledger, "key_ring", "SELECT revision, record FROM key_ring", |row| {
                let ring = key_record::read(row.get_ref(1)?.as_bytes()?).ok();
                Ok(ring.map(|ring| number(ring.revision)) == Some(row.get(0)?))
            })?;
    }
    inventory.look(&ledger, "evicted", "SELECT length(hash) = 32 FROM evicted", |row| row.get(0))?;
    Ok(inventory)
}

impl Inventory {
    /// Counts rows, and those that could not have been written.
    fn look(
        &mut self,
        ledger: &Ledger<'_>,
        table: &str,
        sql: &'static str,
        mut is_sound: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<usize> {
        let (mut number, mut damaged) = (0_usize, Vec::new());
        ledger.rows(sql, [], |row| {
            number += 1;
            // What has another type than it should have is as bad.
            if !is_sound(row).unwrap_or(false) {
                damaged.push(number);
            }
            Ok(())
        })?;
        let told = damaged.iter().take(MOST_FAULTS);
        self.faults.extend(told.map(|number| format!("{table}: the record in row {number} is damaged")));
        if let Some(more) = damaged.len().checked_sub(MOST_FAULTS).filter(|more| *more > 0) {
            self.faults.push(format!("{table}: {more} more records are damaged"));
        }
        Ok(number)
    }
}

fn is_session(row: &Row<'_>, names: &mut HashSet<String>) -> rusqlite::Result<bool> {
    let (id, site): (String, String) = (row.get(0)?, row.get(2)?);
    let email_key: Option<String> = row.get(1)?;
    let (idle, expires_at, hash): (i64, i64, i64) = (row.get(4)?, row.get(5)?, row.get(6)?);
    let Ok(session) = Session::from_record(row.get_ref(3)?.as_bytes()?) else { return Ok(false) };
    let as_recorded = session.id.to_string() == id
        && session.site.as_str() == site
        && session.identity.email.as_ref().map(Email::key) == email_key.as_deref()
        && std::time::Duration::from(session.idle).as_millis() == idle.unsigned_abs().into()
        && millis(session.expires_at) == expires_at;
    Ok(as_recorded && hash == 32 && names.insert(id))
}

fn is_token(row: &Row<'_>) -> rusqlite::Result<bool> {
    let (kind, site): (String, String) = (row.get(0)?, row.get(1)?);
    let (email_key, due): (Option<String>, i64) = (row.get(2)?, row.get(3)?);
    let Ok(grant) = TokenGrant::from_record(row.get_ref(4)?.as_bytes()?) else { return Ok(false) };
    Ok(grant.kind.as_str() == kind
        && grant.site.as_str() == site
        && grant.identity.email.as_ref().map(Email::key) == email_key.as_deref()
        && millis(grant.expires_at) == due)
}

/// Copies the file in `folder` as it is at one moment to `target`, where nothing may be yet.
pub fn back_up(folder: &Path, target: &Path) -> Result<(), BackupError> {
    let path = file::file_in(folder);
    let db = file::open_to_read(&path)?;
    let io = |error| BackupError::Target { path: target.to_owned(), error };
    // Whoever else could make a file there cannot make one that others may read.
    let made = file::create_private(target).map_err(io)?;
    let copied = copy(&db, &path, target).and_then(|()| made.sync_all().map_err(io));
    if copied.is_err() {
        let _half_a_copy_is_none = std::fs::remove_file(target);
    }
    copied?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = File::open(parent.unwrap_or(Path::new("."))).map_err(io)?;
    parent.sync_all().map_err(io)
}

fn copy(db: &Connection, path: &Path, target: &Path) -> Result<(), BackupError> {
    let name = target.to_str().ok_or_else(|| BackupError::Target {
        path: target.to_owned(),
        error: io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8"),
    })?;
    // What looks like a URI would be taken for one.
    let name = if target.is_absolute() { name.to_owned() } else { format!("./{name}") };
    db.execute("VACUUM INTO ?1", [name]).map_err(|error| fault(path, &error))?;
    Ok(())
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file itself cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The copy cannot be written.
    #[error("{} cannot be made: {error}", .path.display())]
    Target {
        /// Where it was to be.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}
