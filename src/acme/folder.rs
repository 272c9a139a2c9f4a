//! What is kept of a directory: files that nobody else may read, each replaced in one step, so that
//! whatever moment the process is killed at there is an old one or a new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Makes `folder` and tries whether it can be written to.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    lock_file(folder).map(drop)
}

/// That no other process asks for certificates with the same folder.
pub(super) struct Locked {
    _file: File,
}

/// Locks `folder`; `None` if another process has.
pub(super) fn lock(folder: &Path) -> io::Result<Option<Locked>> {
    let file = lock_file(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Locked { _file: file })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn lock_file(folder: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock"))
}

/// A file that is written and takes no place yet. It is gone if this is dropped.
pub(super) struct Draft {
    path: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Writes `content`, which is to become the file at `place`.
    pub(super) fn write(place: &Path, content: &[u8]) -> io::Result<Self> {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let draft = Self { path: place.with_file_name(name), place: place.to_owned() };
        // One that a killed process left may have been made by somebody else's rules.
        match fs::remove_file(&draft.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft.path)?;
        file.write_all(content)?;
        file.sync_all()?;
        Ok(draft)
    }

    /// Puts it in its place.
    pub(super) fn publish(self) -> io::Result<()> {
        fs::rename(&self.path, &self.place)?;
        let folder = self.place.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _was_published = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_the_owners_alone_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a/b");
        prepare(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
        let place = folder.join("account.json");
        // What a killed process left behind is in nobody's way.
        fs::write(folder.join("account.json.new"), "half").unwrap();
        for text in ["one", "two"] {
            let draft = Draft::write(&place, text.as_bytes()).unwrap();
            assert_eq!(mode(&draft.path), 0o600);
            draft.publish().unwrap();
            assert_eq!((fs::read_to_string(&place).unwrap().as_str(), mode(&place)), (text, 0o600));
        }
        drop(Draft::write(&place, b"three").unwrap());
        assert_eq!(fs::read_to_string(&place).unwrap(), "two");
        assert!(!folder.join("account.json.new").exists());
    }

    #[test]
    fn one_process_at_a_time_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path()).unwrap();
        let first = lock(folder.path()).unwrap().expect("is free");
        assert!(lock(folder.path()).unwrap().is_none());
        drop(first);
        assert!(lock(folder.path()).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(prepare(&folder.path().join("file/acme")).is_err());
    }
}
