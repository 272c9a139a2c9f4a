//! The file within one transaction, and the log of changes by which other processes follow.

use std::cell::Cell;

use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::mirror::Mirror;
use crate::domain::clock::Timestamp;
use crate::domain::opaque::SessionHash;
use crate::domain::session::End;
use crate::domain::user::UserId;

/// What other processes have to look at.
pub(super) enum Change {
    /// A session that is new or another than before.
    Session(SessionHash),
    /// A session that ended before its time.
    Ended(SessionHash, End),
    /// A user who is new, another than before, or gone.
    User(UserId),
}

/// The file as one transaction sees it.
pub(super) struct Ledger<'a> {
    db: &'a Connection,
    pub(super) mirror: &'a Mirror,
    /// The last change that was noted here.
    noted: Cell<Option<i64>>,
}

impl<'a> Ledger<'a> {
    /// On `db`, which is shown by `mirror`.
    pub(super) fn new(db: &'a Connection, mirror: &'a Mirror) -> Self {
        Self { db, mirror, noted: Cell::new(None) }
    }

    /// Changes rows, and says how many.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.db.prepare_cached(sql)?.execute(params)
    }

    /// The one row that there may be.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.db.prepare_cached(sql)?.query_row(params, read).optional()
    }

    /// All rows.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.db.prepare_cached(sql)?.query_map(params, read)?.collect()
    }

    /// Notes what other processes have to look at.
    pub(super) fn note(&self, change: &Change) -> rusqlite::Result<()> {
        let (session, ended, user) = match change {
            Change::Session(hash) => (Some(hash.as_bytes()), None, None),
            Change::Ended(hash, end) => (Some(hash.as_bytes()), Some(end.as_str()), None),
            Change::User(id) => (None, None, Some(number(id.number()))),
        };
        let sql = "INSERT INTO change (at, session, ended, user) VALUES (?1, ?2, ?3, ?4)";
        let at = millis(self.mirror.now());
        let seq = self.db.prepare_cached(sql)?.insert((at, session, ended, user))?;
        self.noted.set(Some(seq));
        Ok(())
    }

    /// The last change that was noted here.
    pub(super) fn noted(&self) -> Option<i64> {
        self.noted.get()
    }
}

/// A time as a column holds it.
pub(super) fn millis(time: Timestamp) -> i64 {
    number(time.as_millis())
}

/// A number as a column holds it.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The time that a column holds.
pub(super) fn time(column: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(column).unwrap_or_default())
}
