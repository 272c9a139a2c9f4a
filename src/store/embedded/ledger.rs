//! The file within one transaction, and the log of changes by which other processes follow.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Params, Row, Statement};

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

/// Statements that have been understood once. There are some forty, and each is used for as long as the
/// file is open.
struct Statements<'db> {
    db: &'db Connection,
    idle: RefCell<HashMap<&'static str, Statement<'db>>>,
}

impl<'db> Statements<'db> {
    fn with<T>(
        &self,
        sql: &'static str,
        run: impl FnOnce(&mut Statement<'db>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.idle.borrow_mut().remove(sql);
        let mut statement = idle.map_or_else(|| self.db.prepare(sql), Ok)?;
        let outcome = run(&mut statement);
        self.idle.borrow_mut().insert(sql, statement);
        outcome
    }
}

/// The file, as the transaction sees it that is under way.
pub(super) struct Ledger<'db> {
    statements: Statements<'db>,
    pub(super) mirror: &'db Mirror,
    /// The last change that was noted in this transaction.
    noted: Cell<Option<i64>>,
}

impl<'db> Ledger<'db> {
    /// On `db`, which is shown by `mirror`.
    pub(super) fn new(db: &'db Connection, mirror: &'db Mirror) -> Self {
        let statements = Statements { db, idle: RefCell::default() };
        Self { statements, mirror, noted: Cell::new(None) }
    }

    /// Changes rows, and says how many.
    pub(super) fn execute(&self, sql: &'static str, params: impl Params) -> rusqlite::Result<usize> {
        self.statements.with(sql, |statement| statement.execute(params))
    }

    /// The one row that there may be.
    pub(super) fn row<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.statements.with(sql, |statement| statement.query_row(params, read).optional())
    }

    /// All rows.
    pub(super) fn rows<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.statements.with(sql, |statement| statement.query_map(params, read)?.collect())
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
        let seq = self.statements.with(sql, |statement| statement.insert((at, session, ended, user)))?;
        self.noted.set(Some(seq));
        Ok(())
    }

    /// The last change that was noted in this transaction; another one begins.
    pub(super) fn take_noted(&self) -> Option<i64> {
        self.noted.take()
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
