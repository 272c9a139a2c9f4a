//! Whether two paths lead to one file, also where it is not there yet: `./a.log` and `a.log`, a link and what it
//! leads to, two names of one file.

use std::ffi::OsString;
use std::fs::{canonicalize, metadata, read_link};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// As many links the kernel follows, too.
const MOST_LINKS: usize = 40;

/// Whether what is written to the one ends up in the other. Of what is no plain file, a device for instance,
/// that is so only if it is written in the same way.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (metadata(one), metadata(other)) {
        _ if one == other => true,
        (Ok(found), Ok(also)) => found.is_file() && (found.dev(), found.ino()) == (also.dev(), also.ino()),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        (Err(_), Err(_)) => {
            matches!((place_of(one), place_of(other)), (Some(one), Some(other)) if one == other)
        }
    }
}

/// The folder, without links, and the name in it that a file would have that is made at `path`. `None` if none
/// can be made.
fn place_of(path: &Path) -> Option<(PathBuf, OsString)> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        let name = path.file_name()?.to_owned();
        path = folder.join(&name);
        match read_link(&path) {
            Ok(target) => path = folder.join(target),
            Err(_) => return Some((folder, name)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, hard_link, write};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn one_file_is_known_under_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        create_dir(at("logs")).unwrap();
        symlink("logs", at("way")).unwrap();
        symlink("way/new.log", at("link.log")).unwrap();
        symlink("loop.log", at("loop.log")).unwrap();
        write(at("old.log"), "").unwrap();
        write(at("own.log"), "").unwrap();
        hard_link(at("old.log"), at("twin.log")).unwrap();
        for (one, other, is_same) in [
            ("new.log", "new.log", true),
            ("new.log", "./new.log", true),
            ("new.log", "logs/../new.log", true),
            ("logs/new.log", "way/new.log", true),
            ("logs/new.log", "link.log", true),
            ("old.log", "logs/../old.log", true),
            ("old.log", "twin.log", true),
            ("old.log", "own.log", false),
            ("old.log", "new.log", false),
            ("new.log", "logs/new.log", false),
            ("new.log", "other.log", false),
            ("loop.log", "new.log", false),
            ("no/such/folder", "no/such/./other", false),
            ("/dev/null", "/dev/../dev/null", false),
            ("/dev/null", "/dev/null", true),
        ] {
            assert_eq!(is_same_file(&at(one), &at(other)), is_same, "{one} {other}");
            assert_eq!(is_same_file(&at(other), &at(one)), is_same, "{other} {one}");
        }
    }
}
