//! Certificates that were issued and could not be written down: they are in force from memory till they can be.
//! An authority counts what it issues, so nothing of it is thrown away for a full disk.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::issued::Issued;
use crate::config::{AcmeCertificate, Certificate};

/// What is in force and in no file. The listeners share it; while there is nothing, nobody takes a lock.
#[derive(Default)]
pub struct Unwritten {
    /// Goes up with each change, and is even while there is nothing.
    edition: AtomicU64,
    held: RwLock<Vec<Arc<Issued>>>,
}

impl Unwritten {
    /// Another number after each change.
    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// What is to be in `file`, and is not yet.
    pub fn certificate(&self, file: &Path) -> Option<Certificate> {
        self.find(file).map(|issued| issued.certificate.clone())
    }

    pub(super) fn find(&self, file: &Path) -> Option<Arc<Issued>> {
        if self.is_empty() {
            return None;
        }
        // Nothing that holds the lock can panic.
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|issued| is_for(issued, file)).cloned()
    }

    /// Puts `issued` in force, in the place of what there was for its file.
    pub(super) fn hold(&self, issued: Issued) {
        self.change(|held| {
            held.retain(|own| own.certificate.files != issued.certificate.files);
            held.push(Arc::new(issued));
        });
    }

    /// Lets go of what was for `file`: it is there now.
    pub(super) fn release(&self, file: &Path) {
        if self.find(file).is_some() {
            self.change(|held| held.retain(|issued| !is_for(issued, file)));
        }
    }

    /// Lets go of what is not `wanted` any more.
    pub(super) fn keep_only(&self, wanted: &[AcmeCertificate]) {
        if !self.is_empty() {
            self.change(|held| held.retain(|issued| wanted.iter().any(|own| is_for(issued, &own.file))));
        }
    }

    fn is_empty(&self) -> bool {
        self.edition().is_multiple_of(2)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Issued>>)) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut held);
        let next = self.edition() / 2 + 1;
        self.edition.store(next * 2 + u64::from(!held.is_empty()), Ordering::Release);
    }
}

fn is_for(issued: &Issued, file: &Path) -> bool {
    issued.certificate.files.cert == file
}

impl fmt::Debug for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwritten").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;

    fn wanted(name: &str) -> AcmeCertificate {
        AcmeCertificate { names: vec![name.to_owned()], file: name.into() }
    }

    fn issued(name: &str) -> Issued {
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let now = Timestamp::from_rfc3339("2026-01-01T00:00:00Z").unwrap();
        Issued::of(&wanted(name), &cert.pem(), &key.serialize_pem(), now).unwrap()
    }

    #[test]
    fn the_last_one_for_a_file_is_in_force_until_it_is_there() {
        let unwritten = Unwritten::default();
        let [one, other] = ["one.test", "other.test"].map(Path::new);
        let mut editions = vec![unwritten.edition()];
        let mut next = || {
            editions.push(unwritten.edition());
            assert!(editions.is_sorted_by(|before, after| before < after), "{editions:?}");
        };
        unwritten.hold(issued("one.test"));
        next();
        let newer = issued("one.test");
        let expected = newer.certificate.clone();
        unwritten.hold(newer);
        next();
        unwritten.hold(issued("other.test"));
        next();
        assert_eq!(unwritten.certificate(one), Some(expected));
        unwritten.keep_only(&[wanted("one.test")]);
        next();
        assert!(unwritten.certificate(one).is_some() && unwritten.certificate(other).is_none());
        unwritten.release(one);
        next();
        assert!(unwritten.certificate(one).is_none() && unwritten.is_empty());
    }
}
