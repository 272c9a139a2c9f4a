//! Which certificate a client is shown.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::acme::Unwritten;
use crate::config::{AcmeCertificate, Certificate, CertificateFiles};
use crate::domain::host::HostPattern;

/// The certificates of a listener, the default first. They may be replaced while it serves: who
/// is connected stays so, and who comes next sees the new ones.
pub struct Certificates {
    shown: RwLock<Arc<[Certificate]>>,
    /// Those that are asked for, whether they are there yet or not.
    awaited: RwLock<Arc<[AcmeCertificate]>>,
    /// What is there and in no file.
    pub(super) unwritten: Arc<Unwritten>,
}

impl Certificates {
    /// Shows `certificates`, and those that are `awaited` when they are there.
    pub fn new(certificates: Vec<Certificate>, awaited: Vec<AcmeCertificate>) -> Self {
        let (shown, awaited) = (RwLock::new(certificates.into()), RwLock::new(awaited.into()));
        Self { shown, awaited, unwritten: Arc::default() }
    }

    /// The same, with what is there and `unwritten`.
    #[must_use]
    pub fn beside(self, unwritten: Arc<Unwritten>) -> Self {
        Self { unwritten, ..self }
    }

    /// The files of what is shown or to come; and whether they have to be there.
    pub(super) fn files(&self) -> Vec<(CertificateFiles, bool)> {
        let awaited: Vec<_> = self.awaited().iter().map(AcmeCertificate::files).collect();
        let current = self.current();
        let own = current.iter().map(|certificate| &certificate.files);
        let own = own.filter(|files| !awaited.contains(files)).map(|files| (files.clone(), true));
        own.chain(awaited.iter().map(|files| (files.clone(), false))).collect()
    }

    /// What is shown now.
    pub fn current(&self) -> Arc<[Certificate]> {
        // Only handshakes come here, and nothing that holds the lock can panic.
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn awaited(&self) -> Arc<[AcmeCertificate]> {
        Arc::clone(&self.awaited.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Expects these from now on.
    pub fn expect(&self, awaited: Vec<AcmeCertificate>) {
        *self.awaited.write().unwrap_or_else(PoisonError::into_inner) = awaited.into();
    }

    /// Shows `certificates` from now on.
    pub fn replace(&self, certificates: Vec<Certificate>) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = certificates.into();
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.current().iter()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let chosen = choose(&current, &self.awaited(), name.as_deref(), hello.signature_schemes())?;
        Some(Arc::clone(&chosen.key))
    }
}

/// The certificate for `name`: one that names it exactly, or else with a `*`, or else the first of all;
/// but for a name whose own is `awaited` none, as no other would do. Where several would do, such as one
/// of ECDSA and one of RSA, the first that the client can verify.
fn choose<'a>(
    certificates: &'a [Certificate],
    awaited: &[AcmeCertificate],
    name: Option<&str>,
    schemes: &[SignatureScheme],
) -> Option<&'a Certificate> {
    let verifiable = |certificate: &&Certificate| certificate.key.key.choose_scheme(schemes).is_some();
    let naming = |exactly: bool| {
        certificates.iter().filter(move |certificate| {
            let named = |own: &HostPattern| {
                matches!(own, HostPattern::Exact(_)) == exactly && name.is_some_and(|name| own.matches(name))
            };
            certificate.names.iter().any(named)
        })
    };
    let best = |exactly| naming(exactly).find(verifiable).or_else(|| naming(exactly).next());
    let is_awaited =
        || name.is_some_and(|name| awaited.iter().any(|own| own.names.iter().any(|own| own == name)));
    best(true).or_else(|| best(false)).or_else(|| certificates.first().filter(|_| !is_awaited()))
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::sign::any_supported_type;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::config::CertificateFiles;
    use crate::domain::clock::Timestamp;

    const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const ED25519: SignatureScheme = SignatureScheme::ED25519;

    fn certificate(
        label: &str,
        names: &[&str],
        algorithm: &'static rcgen::SignatureAlgorithm,
    ) -> Certificate {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        Certificate {
            files: CertificateFiles { cert: label.into(), key: label.into() },
            key: Arc::new(CertifiedKey::new(Vec::new(), any_supported_type(&key).unwrap())),
            names: names.iter().map(|name| HostPattern::parse(name).unwrap()).collect(),
            not_before: Timestamp::from_millis(0),
            not_after: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn the_name_decides_and_then_what_the_client_can_verify() {
        let of = |label, names| certificate(label, names, &rcgen::PKCS_ECDSA_P256_SHA256);
        let certificates = [
            of("default", &["default.test"]),
            of("wildcard", &["*.site.test"]),
            of("exact", &["www.site.test", "site.test"]),
            certificate("modern", &["both.test"], &rcgen::PKCS_ED25519),
            of("classic", &["both.test"]),
        ];
        for (name, schemes, label) in [
            (None, &[ECDSA][..], "default"),
            (Some("elsewhere.test"), &[ECDSA], "default"),
            (Some("site.test"), &[ECDSA], "exact"),
            (Some("www.site.test"), &[ECDSA], "exact"),
            (Some("shop.site.test"), &[ECDSA], "wildcard"),
            (Some("a.shop.site.test"), &[ECDSA], "default"),
            (Some("both.test"), &[ECDSA, ED25519], "modern"),
            (Some("both.test"), &[ECDSA], "classic"),
            (Some("shop.site.test"), &[ED25519], "wildcard"),
        ] {
            let chosen = choose(&certificates, &[], name, schemes).unwrap();
            assert_eq!(chosen.files.cert.to_str(), Some(label), "{name:?} {schemes:?}");
        }
        assert!(choose(&[], &[], None, &[ECDSA]).is_none());
    }

    #[test]
    fn a_name_that_waits_for_its_certificate_is_shown_no_other() {
        let certificates =
            [certificate("default", &["default.test", "*.wild.test"], &rcgen::PKCS_ECDSA_P256_SHA256)];
        let names = ["new.test", "new.wild.test"].map(str::to_owned).to_vec();
        let awaited = [AcmeCertificate { names, file: "new.pem".into() }];
        for (name, is_shown) in [
            (Some("new.test"), false),
            (Some("new.wild.test"), true),
            (Some("other.test"), true),
            (None, true),
        ] {
            let chosen = choose(&certificates, &awaited, name, &[ECDSA]);
            assert_eq!(chosen.is_some(), is_shown, "{name:?}");
        }
    }
}
