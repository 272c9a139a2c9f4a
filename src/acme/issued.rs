//! What an authority has sent, looked at before it is put in the place of what there is: a certificate is only
//! taken if it is one to serve with.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::pki_types::pem::{PemObject as _, SectionKind};
use zeroize::Zeroizing;

use super::folder::Draft;
use super::trouble::Trouble;
use crate::config::{AcmeCertificate, Certificate};
use crate::domain::clock::Timestamp;
use crate::domain::host::HostPattern;

/// How far the authority's clock may be ahead of this machine's: it writes down when a certificate begins to be
/// good, which is the moment of its making with some.
const SKEW: Duration = Duration::from_mins(5);

/// A certificate that can be served with from now on, and is to be kept.
pub(super) struct Issued {
    pub(super) certificate: Certificate,
    /// With its key: the content of the file.
    pem: Zeroizing<String>,
}

impl Issued {
    /// The `chain` that was sent for `wanted` and `key`, both in PEM, if it can be served with `now`.
    pub(super) fn of(
        wanted: &AcmeCertificate,
        chain: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Self, Trouble> {
        // Behind it stands the key, and of two keys the first would be used: that of whoever sent it.
        if !is_of_certificates(chain) {
            return Err(Trouble::Strange("more than certificates"));
        }
        let pem = Zeroizing::new(format!("{}\n{key}", chain.trim_end()));
        let certificate = Certificate::parse(wanted.files(), pem.as_bytes(), pem.as_bytes());
        let certificate = certificate.map_err(Trouble::Useless)?;
        let is_wanted = |name: &HostPattern| wanted.names.iter().any(|own| name.to_string() == *own);
        if !certificate.covers(&wanted.names) || !certificate.names.iter().all(is_wanted) {
            return Err(Trouble::Strange("a certificate for something else"));
        }
        if certificate.not_after <= now {
            return Err(Trouble::Strange("a certificate that has expired already"));
        }
        if certificate.not_before > now.after(SKEW) {
            return Err(Trouble::Strange("a certificate that is not good yet"));
        }
        Ok(Self { certificate, pem })
    }

    /// Puts it into its file.
    pub(super) fn write(&self) -> io::Result<()> {
        Draft::write(&self.certificate.files.cert, self.pem.as_bytes())?.publish()
    }
}

/// Whether nothing else stands in `chain` (RFC 8555 §9.1).
fn is_of_certificates(chain: &str) -> bool {
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(chain.as_bytes());
    sections.all(|section| section.is_ok_and(|(kind, _)| kind == SectionKind::Certificate))
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn only_what_can_be_served_with_is_taken() {
        let wanted = AcmeCertificate {
            names: vec!["site.test".to_owned(), "www.site.test".to_owned()],
            file: "site.test.pem".into(),
        };
        let at = |text: &str| Timestamp::from_rfc3339(text).unwrap();
        let good = &["site.test", "www.site.test"][..];
        for (names, now, expected) in [
            (good, "2026-06-01T00:00:00Z", None),
            // Clocks are never quite the same.
            (good, "2026-01-31T23:55:00Z", None),
            (good, "2026-01-31T23:54:59Z", Some("that is not good yet")),
            (good, "2026-06-30T23:59:59Z", None),
            (good, "2026-07-01T00:00:00Z", Some("that has expired already")),
            (&["site.test"], "2026-06-01T00:00:00Z", Some("for something else")),
            (
                &["site.test", "www.site.test", "evil.test"],
                "2026-06-01T00:00:00Z",
                Some("for something else"),
            ),
            (&["site.test", "*.site.test"], "2026-06-01T00:00:00Z", Some("for something else")),
            (&["elsewhere.test"], "2026-06-01T00:00:00Z", Some("for something else")),
        ] {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let mut params = CertificateParams::new(names.clone()).unwrap();
            (params.not_before, params.not_after) = (date_time_ymd(2026, 2, 1), date_time_ymd(2026, 7, 1));
            let chain = params.self_signed(&key).unwrap().pem();
            let issued = Issued::of(&wanted, &chain, &key.serialize_pem(), at(now));
            let told = issued.as_ref().err().map(ToString::to_string);
            let expected = expected.map(|what| format!("the authority sent a certificate {what}"));
            assert_eq!(told, expected, "{names:?} {now}");
            assert!(!format!("{issued:?}").contains("PRIVATE"));

            let other = KeyPair::generate().unwrap().serialize_pem();
            assert!(Issued::of(&wanted, &chain, &other, at(now)).is_err(), "another key");

            // Not even if the authority sends one along.
            for chain in
                [format!("{chain}{}", key.serialize_pem()), format!("{}{chain}", key.serialize_pem())]
            {
                for own in [&other, &key.serialize_pem()] {
                    let told = Issued::of(&wanted, &chain, own, at(now)).unwrap_err().to_string();
                    assert_eq!(told, "the authority sent more than certificates");
                }
            }
        }
        assert!(Issued::of(&wanted, "nothing", "nothing", at("2026-06-01T00:00:00Z")).is_err());
    }
}
