//! Where things of one ACME directory are kept: accounts and certificates of one are worth nothing at another,
//! so that no two may ever share a folder.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::domain::secret::hex;

/// Bytes in a name, of which file systems take 255.
const MAX_NAME: usize = 200;

/// The folder within `state` of what is kept for `directory`.
pub(super) fn of(state: &Path, directory: &str) -> PathBuf {
    let (folder, older) = (state.join(name(directory)), state.join(older_name(directory)));
    if folder.is_dir() || !older.is_dir() || is_anothers(&older, directory) { folder } else { older }
}

/// What it is called: a name that leads nowhere else and is no other directory's.
fn name(directory: &str) -> String {
    let rest = directory.strip_prefix("https://").unwrap_or(directory);
    let mut name = String::with_capacity(rest.len());
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'/' => name.push('_'),
            // `..` would be another folder.
            b'.' if at == 0 => name.push_str("%2e"),
            _ if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') => name.push(char::from(byte)),
            _ => {
                name.push('%');
                name.push_str(&hex(&[byte]));
            }
        }
    }
    if name.len() > MAX_NAME {
        let hash = hex(&Sha256::digest(directory));
        // Longer than any that is not cut, and so none of those.
        name.truncate(MAX_NAME - hash.len());
        name = format!("{name}%{hash}");
    }
    name
}

/// What it was called once. `/a/b` and `/a_b` were called the same.
fn older_name(directory: &str) -> String {
    let rest = directory.strip_prefix("https://").unwrap_or(directory);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let rest = rest.trim_start_matches('.').trim_end_matches('/');
    rest.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// Whether the account in `folder` says that it is another directory's.
fn is_anothers(folder: &Path, directory: &str) -> bool {
    #[derive(Deserialize)]
    struct Record {
        credentials: Credentials,
    }
    #[derive(Deserialize)]
    struct Credentials {
        directory: String,
    }
    let text = std::fs::read(folder.join("account.json")).map(zeroize::Zeroizing::new);
    // What is wrong with an account is told where it is used.
    let record = text.ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
    record.is_some_and(|record| record.credentials.directory != directory)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_directory_has_a_folder_of_its_own() {
        let cases = [
            ("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org_directory"),
            ("https://[::1]:14000/dir", "%5b%3a%3a1%5d%3a14000_dir"),
            ("https://ca.example/a/b", "ca.example_a_b"),
            ("https://ca.example/a_b", "ca.example_a%5fb"),
            ("https://ca.example/a%5fb", "ca.example_a%255fb"),
            ("https://ca.example/a:b", "ca.example_a%3ab"),
            ("https://ca.example/a?b", "ca.example_a%3fb"),
            ("https://ca.example/a/b/", "ca.example_a_b_"),
            ("https://ca.example/acme/../x?y=/", "ca.example_acme_.._x%3fy%3d_"),
            ("https://../../etc", "%2e._.._etc"),
            ("https://.", "%2e"),
        ];
        for (directory, folder) in cases {
            assert_eq!(name(directory), folder);
        }
        let long = |end: char| format!("https://ca.example/{}{end}", "a".repeat(300));
        let (one, other) = (name(&long('1')), name(&long('2')));
        assert!(one.len() < 255 && one.starts_with("ca.example_aa"), "{one}");
        let names: BTreeSet<_> = cases.iter().map(|(directory, _)| name(directory)).collect();
        assert_eq!((names.len(), one == other), (cases.len(), false));
    }

    #[test]
    fn an_older_folder_is_found_by_the_directory_that_it_is_of() {
        let state = tempfile::tempdir().unwrap();
        let [slash, line] = ["https://ca.example/a/b_c", "https://ca.example/a_b_c"];
        let (old, own) = (state.path().join("ca.example_a_b_c"), state.path().join("ca.example_a_b%5fc"));
        assert_eq!(of(state.path(), slash), own);
        std::fs::create_dir(&old).unwrap();
        assert_eq!(of(state.path(), slash), old);
        let account =
            format!("{{\"contact\":[],\"credentials\":{{\"id\":\"a\",\"directory\":\"{slash}\"}}}}");
        std::fs::write(old.join("account.json"), account).unwrap();
        assert_eq!(of(state.path(), slash), old);
        assert_eq!(of(state.path(), line), state.path().join("ca.example_a%5fb%5fc"));
        std::fs::write(old.join("account.json"), "damaged").unwrap();
        assert_eq!(of(state.path(), slash), old);
        std::fs::create_dir(&own).unwrap();
        assert_eq!(of(state.path(), slash), own);
    }
}
