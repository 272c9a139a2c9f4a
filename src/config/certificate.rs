//! Certificates with their keys: read from their files when the configuration is, so that
//! whatever is wrong with them is told beside its other faults; and again when the files change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::Zeroizing;

use super::document::{Read, Reported};
use super::section::Section;
use super::text::Text;
use crate::domain::clock::Timestamp;
use crate::domain::host::HostPattern;

/// Where a certificate and its key are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and its chain, in PEM.
    pub cert: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// A certificate that can be served with.
#[derive(Clone)]
pub struct Certificate {
    /// Where it came from.
    pub files: CertificateFiles,
    /// The chain and the key that fits it.
    pub key: Arc<CertifiedKey>,
    /// The names for which it is good.
    pub names: Vec<HostPattern>,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// The same chain from the same files: a key that fits the one fits the other.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, &self.key.cert) == (&other.files, &other.key.cert)
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, names, .. } = self;
        f.debug_struct("Certificate").field("files", files).field("names", names).finish_non_exhaustive()
    }
}

/// Which of the two files is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Cert,
    Key,
}

/// Why a certificate cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// The certificate's file cannot be read.
    #[error("cannot be read: {0}")]
    CertUnreadable(io::Error),
    /// The key's file cannot be read.
    #[error("cannot be read: {0}")]
    KeyUnreadable(io::Error),
    /// There is no certificate in the file.
    #[error("has no certificate in it")]
    NoCert,
    /// The certificate is not one.
    #[error("has a certificate in it that cannot be understood")]
    BrokenCert,
    /// There is no key in the file.
    #[error("has no private key in it")]
    NoKey,
    /// The key asks for a password.
    #[error("has a private key in it that is locked with a password")]
    LockedKey,
    /// The key is of no kind that TLS knows.
    #[error("has a private key in it that cannot be used")]
    UnusableKey,
    /// The two do not belong together.
    #[error("is not the key of the certificate")]
    Mismatch,
}

impl CertificateFault {
    fn which(&self) -> Which {
        match self {
            Self::CertUnreadable(_) | Self::NoCert | Self::BrokenCert => Which::Cert,
            Self::KeyUnreadable(_) | Self::NoKey | Self::LockedKey | Self::UnusableKey | Self::Mismatch => {
                Which::Key
            }
        }
    }

    /// The one of `files` that is at fault.
    pub fn file<'a>(&self, files: &'a CertificateFiles) -> &'a Path {
        match self.which() {
            Which::Cert => &files.cert,
            Which::Key => &files.key,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::CertUnreadable(_) | Self::KeyUnreadable(_) => {
                "name a file that is there and that tollgate may read; a path begins where the \
                 configuration file lies"
            }
            Self::NoCert | Self::BrokenCert => {
                "name a PEM file with \"BEGIN CERTIFICATE\" in it, the site's own certificate first"
            }
            Self::NoKey => "name a PEM file with \"BEGIN PRIVATE KEY\" in it",
            Self::LockedKey => "take the password off: openssl pkey -in locked.key -out site.key",
            Self::UnusableKey => "make an ECDSA (P-256 or P-384), Ed25519 or RSA key (2048 to 8192 bits)",
            Self::Mismatch => "name the key with which the certificate was asked for",
        }
    }
}

impl Certificate {
    /// Reads `files`.
    pub fn read(files: CertificateFiles) -> Result<Self, CertificateFault> {
        let cert = std::fs::read(&files.cert).map_err(CertificateFault::CertUnreadable)?;
        // A certificate that is none is told of before a key that is not there.
        let chain = chain(&cert)?;
        let key = read_key(&files.key)?;
        Self::of(files, chain, &key)
    }

    /// The same of what is to stand in `files`, in PEM.
    pub fn parse(files: CertificateFiles, cert: &[u8], key: &[u8]) -> Result<Self, CertificateFault> {
        Self::of(files, chain(cert)?, key)
    }

    fn of(
        files: CertificateFiles,
        chain: Vec<CertificateDer<'static>>,
        key: &[u8],
    ) -> Result<Self, CertificateFault> {
        let own = chain.first().ok_or(CertificateFault::NoCert)?;
        let parsed =
            x509_cert::Certificate::from_der(own.as_ref()).map_err(|_| CertificateFault::BrokenCert)?;
        let tbs = parsed.tbs_certificate();
        let alternatives = tbs.get_extension::<SubjectAltName>().map_err(|_| CertificateFault::BrokenCert)?;
        let names = alternatives.iter().flat_map(|(_, names)| &names.0).filter_map(|name| match name {
            // A lone "*" would be no name but all of them.
            GeneralName::DnsName(name) => {
                HostPattern::parse(name.as_str()).filter(|name| *name != HostPattern::Any)
            }
            _ => None,
        });
        let names = names.collect();
        let [not_before, not_after] = [tbs.validity().not_before, tbs.validity().not_after].map(|time| {
            let millis = time.to_unix_duration().as_millis();
            Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
        });

        let certified = CertifiedKey::new(chain, signing_key(key)?);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateFault::Mismatch,
            _ => CertificateFault::BrokenCert,
        })?;
        Ok(Self { files, key: Arc::new(certified), names, not_before, not_after })
    }

    /// Whether it is good for each of `names` (lower-case).
    pub fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.iter().any(|own| own.matches(name)))
    }

    /// What the operator should know of it, if anything.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let file = self.files.cert.display();
        if self.not_after < now {
            return Some(format!("the certificate in {file} expired on {}", self.not_after.to_rfc3339()));
        }
        (now < self.not_before).then(|| {
            format!("the certificate in {file} is not valid before {}", self.not_before.to_rfc3339())
        })
    }
}

fn read_key(file: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateFault> {
    std::fs::read(file).map(Zeroizing::new).map_err(CertificateFault::KeyUnreadable)
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| CertificateFault::BrokenCert)?;
    if chain.is_empty() { Err(CertificateFault::NoCert) } else { Ok(chain) }
}

fn signing_key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, CertificateFault> {
    any_supported_type(&private_key(pem)?).map_err(|_| CertificateFault::UnusableKey)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateFault> {
    const LOCKED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let locked = LOCKED.iter().any(|mark| pem.windows(mark.len()).any(|window| window == *mark));
        if locked { CertificateFault::LockedKey } else { CertificateFault::NoKey }
    })
}

/// Reads `cert` and `key` of a section that has to have both.
pub(super) fn read(section: &mut Section<'_>) -> Read<Certificate> {
    let cert = section.required_text("cert", "\"certs/site.pem\"");
    let key = section.required_text("key", "\"certs/site.key\"");
    load(&cert?, &key?)
}

/// Reads `cert` and `key` of a section that may have both.
pub(super) fn read_optional(section: &mut Section<'_>) -> Read<Option<Certificate>> {
    let (cert, key) = (section.text("cert"), section.text("key"));
    let lonely = |has: &str, lacks: &str| {
        let remedy = format!("add {lacks}, or leave both out");
        Err(section.place_of(has).fault(format!("needs {lacks} beside it"), remedy))
    };
    match (cert?, key?) {
        (Some(cert), Some(key)) => load(&cert, &key).map(Some),
        (None, None) => Ok(None),
        (Some(_), None) => lonely("cert", "key"),
        (None, Some(_)) => lonely("key", "cert"),
    }
}

fn load(cert: &Text<'_>, key: &Text<'_>) -> Read<Certificate> {
    let files = CertificateFiles { cert: cert.to_path(), key: key.to_path() };
    let tell = |fault: &CertificateFault| -> Reported {
        let text = match fault.which() {
            Which::Cert => cert,
            Which::Key => key,
        };
        text.refuse(&fault.to_string(), fault.remedy())
    };
    Certificate::read(files).map_err(|fault| {
        // What is wrong with the key by itself is not to be told only when the certificate is put right.
        let of_key = || read_key(&key.to_path()).and_then(|key| signing_key(&key)).err();
        if fault.which() == Which::Cert
            && let Some(other) = of_key()
        {
            tell(&other);
        }
        tell(&fault)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    fn made(names: &[&str]) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_knows_its_names_and_its_time() {
        let folder = Folder::new();
        let (cert, key) = made(&["Site.Test", "*.site.test", "192.0.2.1"]);
        let files = CertificateFiles { cert: folder.write("a.pem", &cert), key: folder.write("a.key", &key) };
        let read = Certificate::read(files).unwrap();
        let names: Vec<String> = read.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["site.test", "*.site.test"]);
        assert_eq!(read.warning(read.not_after), None);
        let late = read.not_after.after(Duration::from_secs(1));
        assert!(read.warning(late).unwrap().contains("expired on"));
        assert!(read.warning(Timestamp::from_millis(0)).unwrap().contains("not valid before"));
        assert!(!format!("{read:?}").contains("PrivateKey"));
    }

    #[test]
    fn what_is_wrong_is_told_of_the_right_file() {
        let folder = Folder::new();
        let (cert, key) = made(&["site.test"]);
        let (_, other) = made(&["site.test"]);
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let cut = &cert[..cert.len() / 2];
        for (cert, key, file, told) in [
            (None, Some(key.as_str()), "cert", "cannot be read"),
            (Some(cert.as_str()), None, "key", "cannot be read"),
            (Some(""), Some(&key), "cert", "has no certificate"),
            (Some(&key), Some(&key), "cert", "has no certificate"),
            (Some(garbage), Some(&key), "cert", "cannot be understood"),
            (Some(cut), Some(&key), "cert", "cannot be understood"),
            (Some(&cert), Some(""), "key", "has no private key"),
            (Some(&cert), Some(&cert), "key", "has no private key"),
            (Some(&cert), Some(&locked), "key", "locked with a password"),
            (Some(&cert), Some(&other), "key", "is not the key of the certificate"),
        ] {
            let path = |text: Option<&str>, name: &str| match text {
                Some(text) => folder.write(name, text),
                None => folder.0.path().join("nowhere"),
            };
            let files = CertificateFiles { cert: path(cert, "cert"), key: path(key, "key") };
            let fault = Certificate::read(files.clone()).unwrap_err();
            assert!(fault.to_string().contains(told), "{fault}");
            let expected = if file == "cert" { &files.cert } else { &files.key };
            assert_eq!(fault.file(&files), expected, "{fault}");
        }
    }
}
