//! The tables of the file, and how older ones become these.
//!
//! What is looked up stands in columns of its own; the rest is in a [`record`](crate::store::record).

use rusqlite::{Connection, TransactionBehavior};

/// "toll" in ASCII: how the file says whose it is.
pub(super) const APPLICATION_ID: i32 = 0x746f_6c6c;

/// What makes a file of version n one of version n + 1. What was released is never changed, only added to.
const MIGRATIONS: [&str; 2] = [
    // When a session was last seen is written often, and for many at a time: in narrow rows a page
    // has room for a hundred of them. `change` is what other processes read to follow this one.
    "CREATE TABLE user (
         id        INTEGER PRIMARY KEY AUTOINCREMENT,
         email_key TEXT NOT NULL UNIQUE,
         record    TEXT NOT NULL
     ) STRICT;

     CREATE TABLE session (
         number    INTEGER PRIMARY KEY,
         hash      BLOB NOT NULL UNIQUE,
         id        TEXT NOT NULL,
         email_key TEXT,
         site      TEXT NOT NULL,
         record    TEXT NOT NULL
     ) STRICT;
     CREATE INDEX session_of_person ON session (email_key, site) WHERE email_key IS NOT NULL;

     CREATE TABLE session_time (
         number     INTEGER PRIMARY KEY,
         last_seen  INTEGER NOT NULL,
         idle       INTEGER NOT NULL,
         expires_at INTEGER NOT NULL
     ) STRICT;

     CREATE TABLE evicted (
         hash  BLOB PRIMARY KEY,
         until INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX evicted_until ON evicted (until);

     CREATE TABLE token (
         hash      BLOB PRIMARY KEY,
         kind      TEXT NOT NULL,
         site      TEXT NOT NULL,
         email_key TEXT,
         due       INTEGER NOT NULL,
         fate      TEXT,
         record    TEXT,
         CHECK ((fate IS NULL) = (record IS NOT NULL))
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX token_due ON token (due);
     CREATE INDEX token_of_person ON token (email_key) WHERE email_key IS NOT NULL;

     CREATE TABLE redeemed (
         hash   BLOB PRIMARY KEY,
         until  INTEGER NOT NULL,
         record TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX redeemed_until ON redeemed (until);

     CREATE TABLE nonce (
         key   BLOB PRIMARY KEY,
         until INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX nonce_until ON nonce (until);

     CREATE TABLE change (
         seq     INTEGER PRIMARY KEY AUTOINCREMENT,
         at      INTEGER NOT NULL,
         session BLOB,
         ended   TEXT,
         user    INTEGER
     ) STRICT;",
    // The keys of each site that signs. A program of the version before does not know the table, and
    // works on with the others.
    "CREATE TABLE key_ring (
         site     TEXT PRIMARY KEY,
         revision INTEGER NOT NULL,
         record   TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;",
];

/// The version of the tables that this program works with.
pub(super) const VERSION: i32 = 2;

/// The first version with `key_ring`.
pub(super) const SINCE_KEY_RINGS: i32 = 2;

/// The version of the tables that are there.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the tables up to date, all or nothing. Of several processes that start at once one does it.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let present = version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(present).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    if present < VERSION {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_number_of_migrations() {
        assert_eq!(usize::try_from(VERSION), Ok(MIGRATIONS.len()));
    }
    #[test]
    fn a_file_of_the_first_version_becomes_one_of_this() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(MIGRATIONS[0]).unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        db.execute("INSERT INTO nonce VALUES (x'00', 1)", []).unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db), Ok(VERSION));
        let count = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(["SELECT count(*) FROM nonce", "SELECT count(*) FROM key_ring"].map(count), [1, 0]);
        migrate(&mut db).unwrap();
    }
}
