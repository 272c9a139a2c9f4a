//! Secrets that stand in files of their own: `"file:PATH"` in the place of a secret. So come the
//! credentials of systemd, and the secrets of Docker and Kubernetes.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use zeroize::Zeroizing;

use super::document::{Place, Read};
use super::text::Text;
use crate::domain::secret::Secret;

/// What a secret begins with that stands elsewhere.
const PREFIX: &str = "file:";

/// More than any secret has, keys in PEM included.
const MAX_BYTES: u64 = 16 * 1024;

const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;

/// Whether `written` names a file. What a variable holds is never taken for that: it is the secret, as it is.
pub(super) fn is_named(written: &str) -> bool {
    written.starts_with(PREFIX)
}

/// The secret in the file that `text` names. A newline at its end is no part of it: editors and `echo` put
/// one there.
pub(super) fn read<'a>(text: &Text<'a>) -> Read<(Place<'a>, Secret)> {
    let name = text.as_str().strip_prefix(PREFIX).unwrap_or_default();
    let path = text.path_of(name);
    let remedy = "write \"file:\" and the path of a file that tollgate may read; a path begins where the \
                  configuration file lies";
    let refuse = |problem: &str| text.refuse(problem, remedy);
    let unreadable = |error: std::io::Error| refuse(&format!("cannot be read: {error}"));
    // Before it is opened: whoever opens a pipe waits for its writer.
    let about = std::fs::metadata(&path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(refuse("is not a regular file"));
    }
    let file = File::open(&path).map_err(unreadable)?;
    judge(text, &file.metadata().map_err(unreadable)?)?;
    // All of it at once: a buffer that grows leaves pieces of the secret behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES + 1).unwrap_or_default()));
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(refuse("is too long for a secret"));
    }
    let content = str::from_utf8(&content).map_err(|_| refuse("is not UTF-8 text"))?;
    let secret = content.strip_suffix('\n').unwrap_or(content);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(refuse("is empty"));
    }
    Ok((text.place.clone(), Secret::new(secret.to_owned())))
}

/// Who else may come by it. That others may read the file is worth a word and no more: in a container that
/// is how secrets are given to it, and nobody else is there. That others may write it is never meant.
fn judge(text: &Text<'_>, about: &Metadata) -> Read<()> {
    let mode = about.permissions().mode();
    if mode & OTHERS_WRITE != 0 {
        return Err(
            text.refuse("can be written by everybody on this machine", "remove that permission: chmod o-rwx")
        );
    }
    if mode & OTHERS_READ != 0 {
        text.remark("can be read by everybody on this machine", "remove that permission: chmod o-rwx");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::config::{Environment, Faults, Settings, load};
    use crate::domain::clock::Timestamp;
    use crate::domain::secret::SecretHash;

    const SECRET: &str = "hunter2-hunter2-hunter2-hunter2";

    /// A configuration in a folder of its own, with a file `key` of this content and mode beside it.
    fn configured(secret: &str, content: &[u8], mode: u32) -> Result<Settings, Faults> {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, content).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let text = format!(
            "[[api_key]]\nname = \"a\"\nsecret = {secret:?}\nscopes = [\"admin\"]\n[[site]]\nname = \"demo\"\n\
             hosts = [\"*\"]\nupstream = [\"http://127.0.0.1:9000\"]\nlogin_url = \"https://login.example.com/\"\n"
        );
        let environment = Environment::empty().with("FOLDER", folder.path().to_str().unwrap());
        let environment = environment.with("LOOKS_LIKE_ONE", "file:/nowhere/at/all");
        load(&text, folder.path().join("config.toml").to_str().unwrap(), &environment)
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        for (named, content, secret) in [
            ("file:key", SECRET.to_owned(), SECRET.to_owned()),
            ("file:key", format!("{SECRET}\n"), SECRET.to_owned()),
            ("file:key", format!("{SECRET}\r\n"), SECRET.to_owned()),
            ("file:${FOLDER}/key", format!("{SECRET}\n"), SECRET.to_owned()),
            ("${LOOKS_LIKE_ONE}", String::new(), "file:/nowhere/at/all".to_owned()),
        ] {
            let settings = configured(named, content.as_bytes(), 0o600).expect(named);
            let own = settings.api_keys[0].proofs[0].bearer();
            assert_eq!(own, Some(SecretHash::of(secret.as_bytes())), "{named} {content:?}");
            assert!(settings.warnings(Timestamp::from_millis(0)).is_empty());
        }
    }

    #[test]
    fn a_file_that_is_no_secret_is_a_fault_that_shows_nothing_of_it() {
        let long = vec![b'h'; 20_000];
        let two_lines = format!("{SECRET}\n\n");
        for (named, content, mode, problem) in [
            ("file:", SECRET.as_bytes(), 0o600, "is not a regular file"),
            ("file:.", SECRET.as_bytes(), 0o600, "is not a regular file"),
            ("file:/dev/zero", SECRET.as_bytes(), 0o600, "is not a regular file"),
            ("file:other", SECRET.as_bytes(), 0o600, "cannot be read: No such file"),
            ("file:key", b"", 0o600, "is empty"),
            ("file:key", b"\n", 0o600, "is empty"),
            ("file:key", b"hunter2\xff", 0o600, "is not UTF-8 text"),
            ("file:key", b"hunter2\n", 0o600, "fewer than 16 characters"),
            ("file:key", two_lines.as_bytes(), 0o600, "characters that an Authorization header cannot carry"),
            ("file:key", &long, 0o600, "is too long"),
            ("file:key", SECRET.as_bytes(), 0o602, "can be written by everybody"),
        ] {
            let faults = configured(named, content, mode).expect_err(named).to_string();
            assert!(faults.contains(problem) && !faults.contains("hunter2"), "{named}: {faults}");
            assert_eq!(faults.lines().count(), 1, "{faults}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_worth_a_word() {
        for (mode, said) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1), (0o444, 1)] {
            let settings = configured("file:key", SECRET.as_bytes(), mode).unwrap();
            let warnings = settings.warnings(Timestamp::from_millis(0));
            assert_eq!(warnings.len(), said, "{mode:o}: {warnings:?}");
            let told = |warning: &String| {
                warning.contains("config.toml:3: api_key.a.secret: \"file:key\" can be read by everybody")
            };
            assert!(warnings.iter().all(told), "{warnings:?}");
        }
    }
}
