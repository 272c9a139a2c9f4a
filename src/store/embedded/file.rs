//! The file itself: where it lies, who may read it, and whether it is one of tollgate's. What is not
//! is refused before anything is written.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;

/// Why a store cannot be opened. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("the folder {} cannot be made or used: {error}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The file cannot be used.
    #[error("{} cannot be used: {what}; tollgate has to be able to read and to write it", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What happened.
        what: String,
    },
    /// There is none.
    #[error("{} does not exist: it is created when tollgate first runs", .path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is another program's.
    #[error(
        "{} was not made by tollgate and was left as it is: move it away, or name another folder as path \
         in [store]",
        .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "{} was made by a newer tollgate (its tables have version {found}, this program knows {}) and was \
         left as it is: run the newer program, or put back a backup from before",
        .path.display(), schema::VERSION
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that it says it has.
        found: i32,
    },
    /// It is damaged.
    #[error(
        "{} is damaged ({what}) and was left as it is: move it away together with {0}-wal and {0}-shm, then \
         put back a backup or start without one",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// The store's file in its folder.
pub(super) fn file_in(folder: &Path) -> PathBuf {
    folder.join("tollgate.db")
}

/// How long a start waits for another process that has the file for itself.
const PATIENCE_AT_START: Duration = Duration::from_secs(5);

/// Opens the file in `folder`, which is made if it is not there, with its tables up to date.
pub(super) fn open(folder: &Path) -> Result<(Connection, PathBuf), OpenError> {
    let in_folder = |error| OpenError::Folder { path: folder.to_owned(), error };
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(in_folder)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(in_folder)?;
    }
    // Of several processes that find no file, or an old one, one makes it what it has to be.
    let lock = File::open(folder).map_err(in_folder)?;
    lock.lock().map_err(in_folder)?;
    let path = file_in(folder);
    keep_private(&path).map_err(|error| unusable(&path, &error))?;
    let mut db = inspected(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let fault = |error| fault(&path, &error);
    if db.is_readonly(rusqlite::MAIN_DB).map_err(fault)? {
        return Err(unusable(&path, &"it is read-only"));
    }
    let journal: String =
        db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(fault)?;
    if journal != "wal" {
        return Err(unusable(&path, &"the file system does not allow a write-ahead log"));
    }
    for (pragma, value) in [("synchronous", "FULL"), ("temp_store", "MEMORY"), ("trusted_schema", "OFF")] {
        db.pragma_update(None, pragma, value).map_err(fault)?;
    }
    // In KiB, and in bytes: a log that grew while somebody read for long shrinks again.
    db.pragma_update(None, "cache_size", -32_768).map_err(fault)?;
    db.pragma_update(None, "journal_size_limit", 64 << 20).map_err(fault)?;
    schema::migrate(&mut db).map_err(fault)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(fault)?;
    Ok((db, path))
}

/// Opens a file that is there for reading alone.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    inspected(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Makes an empty file if there is none. Nobody but its owner may read it, whatever the umask says; the
/// files that `SQLite` lays beside it take after it.
fn keep_private(path: &Path) -> io::Result<()> {
    let made = match create_private(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => File::open(path)?,
        made => made?,
    };
    if made.metadata()?.mode() & 0o777 != 0o600 {
        made.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Makes a file that was not there and is its owner's alone.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Opens what is tollgate's, not newer and not damaged. Until then nothing is written, not even what
/// closing a file usually does.
fn inspected(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let fault = |error| fault(path, &error);
    refuse_by_head(path)?;
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(fault)?;
    db.busy_timeout(PATIENCE_AT_START).map_err(fault)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fault)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(fault)?;
    let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fault)?;
    let tables: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    if id != schema::APPLICATION_ID && (id != 0 || tables > 0) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let found = schema::version(&db).map_err(fault)?;
    if found > schema::VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found });
    }
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fault)?;
    if verdict != "ok" {
        return Err(OpenError::Damaged { path: path.to_owned(), what: verdict });
    }
    Ok(db)
}

/// Looks at a file's first bytes (<https://sqlite.org/fileformat2.html#the_database_header>), since for
/// `SQLite` to look at a file may be to finish what another program left undone in it. An empty file is as
/// good as none.
fn refuse_by_head(path: &Path) -> Result<(), OpenError> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(100).read_to_end(&mut head));
    read.map_err(|error| unusable(path, &error))?;
    if head.is_empty() {
        return Ok(());
    }
    let number =
        |at: usize| head.get(at..).and_then(|rest| rest.first_chunk()).copied().map(i32::from_be_bytes);
    let (found, id) = (number(60).unwrap_or_default(), number(68).unwrap_or_default());
    if !head.starts_with(b"SQLite format 3\0") || (id != 0 && id != schema::APPLICATION_ID) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if id != 0 && found > schema::VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found });
    }
    Ok(())
}

fn unusable(path: &Path, what: &dyn std::fmt::Display) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), what: what.to_string() }
}

/// What `SQLite` says of the file, as what it means.
pub(super) fn fault(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path: path.to_owned() },
        Some(ErrorCode::DatabaseCorrupt) => {
            OpenError::Damaged { path: path.to_owned(), what: error.to_string() }
        }
        _ => unusable(path, error),
    }
}

/// By what a file is known while it is open, however it is called.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Inode(u64, u64);

fn inode(path: &Path) -> Option<Inode> {
    let found = std::fs::metadata(path).ok()?;
    Some(Inode(found.dev(), found.ino()))
}

/// The file and its log as they were opened. Writing to a file that was removed meanwhile would succeed,
/// and be lost.
pub(super) struct Presence(Vec<(PathBuf, Inode)>);

impl Presence {
    /// Of the file at `path`, which is open.
    pub(super) fn of(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let files = [path.to_owned(), log.into()];
        Self(files.into_iter().filter_map(|file| inode(&file).map(|found| (file, found))).collect())
    }

    /// Whether they still lie where they were.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.0.iter().all(|(file, opened)| inode(file).as_ref() == Some(opened))
    }
}
