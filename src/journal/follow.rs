//! A file that is written to under its name: who moves it away gets it whole, and what comes next goes into
//! a new one.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Readable for the group, which is how logs are left to whoever looks after them.
const MODE: u32 = 0o640;

/// A log file.
pub(super) struct Followed {
    path: PathBuf,
    pub(super) file: File,
    /// Which file that is.
    identity: (u64, u64),
}

impl Followed {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        super::check(path)?;
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self { path: path.to_owned(), file, identity })
    }

    /// Whether what is there ends in the middle of a line: a program that wrote to it before was stopped while
    /// the disk was full. What cannot be read is taken to be whole.
    pub(super) fn is_torn(&self) -> bool {
        let mut last = [b'\n'];
        let Some(end) = self.file.metadata().ok().and_then(|found| found.len().checked_sub(1)) else {
            return false;
        };
        let read = File::open(&self.path).and_then(|file| file.read_at(&mut last, end));
        read.is_ok() && last != [b'\n']
    }

    /// Goes after the name if the file has another one now, or none, and in any case if that is `asked`
    /// for; whether it is another file now. If there can be none, the present one goes on.
    pub(super) fn follow(&mut self, asked: bool) -> io::Result<bool> {
        let at_name = std::fs::metadata(&self.path).ok().map(|found| identity(&found));
        if !asked && at_name == Some(self.identity) {
            return Ok(false);
        }
        let next = Self::open(&self.path)?;
        let is_another = next.identity != self.identity;
        *self = next;
        Ok(is_another)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
