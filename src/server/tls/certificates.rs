//! Which certificate a client is shown.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Certificate;
use crate::domain::host::HostPattern;

/// The certificates of a listener, the default first. They may be replaced while it serves: who
/// is connected stays so, and who comes next sees the new ones.
pub struct Certificates(RwLock<Arc<[Certificate]>>);

impl Certificates {
    /// Shows `certificates`.
    pub fn new(certificates: Vec<Certificate>) -> Self {
        Self(RwLock::new(certificates.into()))
    }

    /// What is shown now.
    pub fn current(&self) -> Arc<[Certificate]> {
        // Only handshakes come here, and nothing that holds the lock can panic.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows `certificates` from now on.
    pub fn replace(&self, certificates: Vec<Certificate>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificates.into();
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
        let chosen = choose(&current, name.as_deref(), hello.signature_schemes())?;
        Some(Arc::clone(&chosen.key))
    }
}

/// The certificate for `name`: one that names it exactly, or else with a `*`, or else the first of
/// all. Where several would do, such as one of ECDSA and one of RSA, the first that the client can
/// verify.
fn choose<'a>(
    certificates: &'a [Certificate],
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
    best(true).or_else(|| best(false)).or_else(|| certificates.first())
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
            let chosen = choose(&certificates, name, schemes).unwrap();
            assert_eq!(chosen.files.cert.to_str(), Some(label), "{name:?} {schemes:?}");
        }
        assert!(choose(&[], None, &[ECDSA]).is_none());
    }
}
