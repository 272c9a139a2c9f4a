//! What is remembered of attempts over a restart: a gateway that is started again and again must not run into
//! the limits of the authority.
//!
//! It is written before an attempt begins, for whoever is killed in the midst of it, and again when it has
//! failed; a success takes it away.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::folder::Draft;
use super::schedule::MOST_PATIENCE;
use crate::config::{AcmeCertificate, AcmeSettings, ChallengeKind};
use crate::domain::clock::Timestamp;
use crate::domain::secret::hex;

/// Failures in a row, and when it may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) next: Timestamp,
}

/// The same in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// What was asked for, of whom and how: who asks for something else begins anew.
    asked: String,
    failures: u32,
    next: String,
}

/// Where it is remembered for one certificate.
pub(super) struct Memory {
    file: PathBuf,
    asked: String,
}

impl Memory {
    /// That of attempts to get what is `wanted` under these `settings`.
    pub(super) fn of(settings: &AcmeSettings, wanted: &AcmeCertificate) -> Self {
        // No certificate ends like this, and a name that is a host's is never empty.
        Self { file: wanted.file.with_extension("attempts.json"), asked: print(settings, wanted) }
    }

    /// What is remembered at `now`, if something is.
    pub(super) fn recall(&self, now: Timestamp) -> Option<Failures> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return self.is_no_use(&error.to_string()),
        };
        let Ok(record) = serde_json::from_slice::<Record>(&text) else {
            return self.is_no_use("it is damaged");
        };
        if record.asked != self.asked {
            return None;
        }
        let Some(next) = Timestamp::from_rfc3339(&record.next) else {
            return self.is_no_use("it is damaged");
        };
        let (count, latest) = (record.failures, now.after(MOST_PATIENCE));
        // Whoever wrote it had another idea of the time. That is corrected once: the latest moment moves on with
        // the time, and whoever waited for it would wait for ever.
        if next > latest {
            self.note(Failures { count, next: latest });
        }
        Some(Failures { count, next: next.min(latest) })
    }

    /// Remembers `failures`. Who cannot only says so: what is done next does not hang on it.
    pub(super) fn note(&self, failures: Failures) {
        let Failures { count, next } = failures;
        let record = Record { asked: self.asked.clone(), failures: count, next: next.to_rfc3339() };
        let written = serde_json::to_vec(&record)
            .map_err(io::Error::from)
            .and_then(|text| Draft::write(&self.file, &text)?.publish());
        if let Err(error) = written {
            self.complain(&error.to_string(), "when to try again could not be written down");
        }
    }

    /// Forgets all of it.
    pub(super) fn forget(&self) {
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.complain(&error.to_string(), "what is over could not be removed");
            }
            _ => {}
        }
    }

    fn is_no_use(&self, error: &str) -> Option<Failures> {
        self.complain(error, "what is known of earlier attempts cannot be used and is ignored");
        None
    }

    fn complain(&self, error: &str, what: &str) {
        let file: &Path = &self.file;
        tracing::warn!(target: "tollgate::acme", file = %file.display(), error, "{what}");
    }
}

/// What tells one way of asking from another, with each part after its length, or two could look alike. Keys
/// are in it only by this hash.
fn print(settings: &AcmeSettings, wanted: &AcmeCertificate) -> String {
    let challenge = match settings.challenge {
        ChallengeKind::Http01 => "http-01",
        ChallengeKind::TlsAlpn01 => "tls-alpn-01",
    };
    let mut hash = Sha256::new();
    let mut add = |parts: &[&[u8]]| {
        hash.update(parts.len().to_be_bytes());
        for part in parts {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    };
    add(&[settings.directory.as_bytes(), challenge.as_bytes()]);
    add(&wanted.names.iter().map(String::as_bytes).collect::<Vec<_>>());
    add(&settings.contact.iter().map(String::as_bytes).collect::<Vec<_>>());
    match &settings.external_account {
        Some(account) => add(&[account.key_id.as_bytes(), account.key.expose().as_bytes()]),
        None => add(&[]),
    }
    let roots = settings.root_ca.iter().flat_map(|roots| &roots.certificates);
    add(&roots.map(AsRef::as_ref).collect::<Vec<_>>());
    let before = settings.renew_before.map_or(0, |before| before.as_secs());
    add(&[&before.to_be_bytes()]);
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::config::ExternalAccount;
    use crate::domain::secret::Secret;

    const NOW: Timestamp = Timestamp::from_millis(1_763_800_000_000);

    fn settings(folder: &Path) -> AcmeSettings {
        AcmeSettings {
            directory: "https://ca.test/dir".to_owned(),
            contact: Vec::new(),
            folder: folder.to_owned(),
            root_ca: None,
            challenge: ChallengeKind::Http01,
            external_account: None,
            renew_before: None,
            certificates: vec![AcmeCertificate {
                names: vec!["a.test".to_owned(), "b.test".to_owned()],
                file: folder.join("a.test.pem"),
            }],
        }
    }

    #[test]
    fn failures_are_remembered_for_the_same_question_alone() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let of = |settings: &AcmeSettings| Memory::of(settings, &settings.certificates[0]);
        let memory = of(&settings);
        assert_eq!(memory.recall(NOW), None);
        let failures = Failures { count: 3, next: NOW.after(Duration::from_mins(40)) };
        memory.note(failures);
        assert_eq!(of(&settings).recall(NOW), Some(failures));
        let file = folder.path().join("a.test.attempts.json");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let with = |change: &dyn Fn(&mut AcmeSettings)| {
            let mut settings = settings.clone();
            change(&mut settings);
            of(&settings).recall(NOW)
        };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let account = |id: &str, key: &str| {
            Some(ExternalAccount { key_id: id.to_owned(), key: Secret::new(key.to_owned()) })
        };
        for other in [
            with(&|settings| settings.directory = "https://ca.test/di".to_owned()),
            with(&|settings| settings.certificates[0].names = names(&["a.test"])),
            with(&|settings| settings.certificates[0].names = names(&["a.test", "b.test", "c.test"])),
            with(&|settings| settings.certificates[0].names = names(&["a.testb.test"])),
            with(&|settings| settings.challenge = ChallengeKind::TlsAlpn01),
            with(&|settings| settings.contact = names(&["mailto:a@a.test"])),
            with(&|settings| settings.external_account = account("id", "key")),
            with(&|settings| settings.renew_before = Some(Duration::from_hours(1))),
        ] {
            assert_eq!(other, None);
        }
        // What else is asked for is another matter.
        let more = AcmeCertificate { names: names(&["c.test"]), file: folder.path().join("c.test.pem") };
        assert_eq!(with(&|settings| settings.certificates.push(more.clone())), Some(failures));
        memory.forget();
        memory.forget();
        assert_eq!(memory.recall(NOW), None);
    }

    #[test]
    fn what_is_damaged_or_from_another_time_keeps_nobody_waiting_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let memory = Memory::of(&settings, &settings.certificates[0]);
        memory.note(Failures { count: 1, next: NOW.after(Duration::from_hours(24 * 365)) });
        let most = Failures { count: 1, next: NOW.after(MOST_PATIENCE) };
        assert_eq!(memory.recall(NOW), Some(most));
        let later = NOW.after(Duration::from_hours(23));
        assert_eq!(memory.recall(later), Some(most), "a day passes, and it is over");
        let asked = &memory.asked;
        for text in [
            "",
            "{",
            "[]",
            "{\"failures\":1}",
            &format!("{{\"asked\":\"{asked}\",\"failures\":-1,\"next\":\"2026-01-01T00:00:00Z\"}}"),
            &format!("{{\"asked\":\"{asked}\",\"failures\":1,\"next\":\"soon\"}}"),
            &"[".repeat(100_000),
        ] {
            std::fs::write(folder.path().join("a.test.attempts.json"), text).unwrap();
            assert_eq!(memory.recall(NOW), None, "{text:.40}");
        }
        // A folder in its place is in nobody's way either.
        memory.forget();
        std::fs::create_dir_all(folder.path().join("a.test.attempts.json/a")).unwrap();
        assert_eq!(memory.recall(NOW), None);
        memory.note(most);
        memory.forget();
    }
}
