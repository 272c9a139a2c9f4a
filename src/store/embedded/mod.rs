//! The store that outlives the process: every read in memory, and what must not be lost in a file of
//! `SQLite`'s.
//!
//! Three rules make it right, whenever the process is killed and whoever else has the file open:
//!
//! 1. What is decided is decided in a transaction: whose a token is, who may begin a session, who is
//!    new. Only one process at a time is in one that writes.
//! 2. A decision is shown and answered when it is on the disk, and not before.
//! 3. A transaction begins by catching up with what other processes have changed.
//!
//! One thread has the file to itself (`writer`). The stores hand it their orders (`handle`); they read what
//! it shows (`mirror`).

mod chores;
mod file;
mod follow;
mod handle;
mod inspect;
mod keys;
mod ledger;
mod load;
mod mirror;
mod nonces;
mod schema;
mod sessions;
mod tokens;
mod users;
mod writer;

pub use file::OpenError;
pub use inspect::{BackupError, Inventory, back_up, inspect};

use std::path::Path;
use std::sync::{Arc, mpsc};

use super::{Stores, memory};
use crate::config::Site;
use crate::domain::clock::Timestamp;
use follow::Bookmark;
use handle::WriterHandle;
use ledger::Ledger;
use mirror::Mirror;

/// Opens the file in `folder`, or makes one, and reads all that is in it for `sites` at `now`.
pub(super) fn open(folder: &Path, sites: &[Arc<Site>], now: Timestamp) -> Result<Stores, OpenError> {
    let (db, path) = file::open(folder)?;
    let mirror = Arc::new(Mirror::new(path.clone(), sites, now));
    let bookmark = read_all(&db, &mirror).map_err(|error| file::fault(&path, &error))?;
    db.busy_timeout(writer::ATTEMPT).map_err(|error| file::fault(&path, &error))?;
    let (commands, orders) = mpsc::sync_channel(handle::QUEUE);
    let shown = Arc::clone(&mirror);
    let work = move || writer::work(db, &shown, &orders, bookmark);
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(work);
    thread.map_err(|error| OpenError::Unusable { path, what: error.to_string() })?;
    let handle = WriterHandle { mirror, commands };
    Ok(Stores {
        tokens: Arc::new(tokens::Tokens(handle.clone())),
        sessions: Arc::new(sessions::Sessions(handle.clone())),
        directory: Arc::new(users::Users(handle.clone())),
        nonces: Arc::new(nonces::Nonces(handle.clone())),
        keys: Arc::new(keys::Keys(handle)),
        // In memory: they are large, many of them are strangers', and none outlives a quarter of an hour.
        parked: Arc::new(memory::Parked::default()),
    })
}

/// Shows the file as it is at one moment, and where its log ends then.
fn read_all(db: &rusqlite::Connection, mirror: &Mirror) -> rusqlite::Result<Bookmark> {
    let _moment = db.unchecked_transaction()?;
    let ledger = Ledger::new(db, mirror);
    load::all(&ledger)?;
    Bookmark::at_end(&ledger)
}
