//! What an authority says of when a certificate should be renewed (RFC 9773): evenly spread as a rule, and at
//! once if it has to revoke many. It is advice: a directory that gives none, or nonsense, changes nothing.

use std::time::Duration;

use instant_acme::CertificateIdentifier;
use rustls::pki_types::Der;
use serde::Deserialize;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use super::agent::{Agent, Failed};
use super::trouble::tidy;
use crate::config::Certificate;
use crate::domain::clock::Timestamp;
use crate::domain::entropy::Entropy;

/// How long until it is asked again, if the authority does not say (§4.3.3).
pub(super) const INTERVAL: Duration = Duration::from_hours(6);

/// The shortest and the longest that it can ask for (§4.3.2).
const BOUNDS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24));

/// What was heard of one certificate.
#[derive(Clone)]
pub(super) struct News {
    /// Of which.
    pub(super) about: CertificateIdentifier<'static>,
    /// When it should be renewed: a moment of the window, the same for as long as the window is.
    pub(super) moment: Timestamp,
    window: Window,
}

/// When a certificate should be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: Timestamp,
    end: Timestamp,
}

/// What a directory says of itself that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    renewal_info: Option<String>,
}

/// What it says of a certificate (§4.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfo {
    suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL")]
    explanation: Option<String>,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    start: String,
    end: String,
}

/// Asks `directory` about `certificate`, of which these are the news `before`; with how long to wait until it
/// is asked again. There are no news where it has nothing of the kind.
pub(super) async fn ask(
    agent: &Agent,
    directory: &str,
    certificate: &Certificate,
    before: Option<&News>,
    entropy: &dyn Entropy,
) -> Result<(Option<News>, Duration), Failed> {
    let nothing = (None, INTERVAL);
    let Some(about) = identifier(certificate) else { return Ok(nothing) };
    let listed = agent.read(directory).await?;
    let Some(place) = serde_json::from_slice::<Directory>(&listed.text)?.renewal_info else {
        return Ok(nothing);
    };
    // The library asks as well, but takes no answer without a Retry-After, and tells the time by itself.
    let answer = agent.read(&format!("{}/{about}", place.trim_end_matches('/'))).await?;
    let info: RenewalInfo = serde_json::from_slice(&answer.text)?;
    let window = Window::of(&info.suggested_window, certificate).ok_or("a window that cannot be")?;
    let interval = answer.retry_after.unwrap_or(INTERVAL).clamp(BOUNDS.0, BOUNDS.1);
    if let Some(known) = before.filter(|before| before.window == window && before.about == about) {
        return Ok((Some(known.clone()), interval));
    }
    let moment = window.moment(entropy);
    tracing::info!(
        target: "tollgate::acme", file = %certificate.files.cert.display(), moment = moment.to_rfc3339(),
        explanation = info.explanation.as_deref().map(tidy),
        "the authority suggests when to renew a certificate"
    );
    Ok((Some(News { about, moment, window }), interval))
}

/// What an authority calls this certificate (§4.1); `None` where it cannot be called anything.
pub(super) fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    let own = x509_cert::Certificate::from_der(certificate.key.cert.first()?).ok()?;
    let tbs = own.tbs_certificate();
    let (_, issuer) = tbs.get_extension::<AuthorityKeyIdentifier>().ok()??;
    let issuer = issuer.key_identifier?;
    // As it is encoded, with the zero before a first bit that is set.
    let serial = tbs.serial_number().to_der().ok()?;
    let serial = serial.get(2..).filter(|serial| !serial.is_empty())?;
    Some(CertificateIdentifier::new(Der::from_slice(issuer.as_bytes()), Der::from_slice(serial)).into_owned())
}

impl Window {
    /// What is `suggested`, if it can be followed: it begins before it ends (§4.2), and ends before
    /// `certificate` does.
    fn of(suggested: &SuggestedWindow, certificate: &Certificate) -> Option<Self> {
        let [start, end] = [&suggested.start, &suggested.end].map(|text| Timestamp::from_rfc3339(text));
        let (start, end) = (start?, end?);
        (start < end && end <= certificate.not_after).then_some(Self { start, end })
    }

    /// One of its moments, each as likely as the other.
    fn moment(self, entropy: &dyn Entropy) -> Timestamp {
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let span = self.start.until(self.end).as_millis();
        let share = (span * u128::from(u64::from_be_bytes(random))) >> 64;
        self.start.after(Duration::from_millis(u64::try_from(share).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
    };

    use super::*;
    use crate::config::CertificateFiles;
    use crate::domain::entropy::SeededEntropy;

    fn certificate(serial: &[u8], names_issuer: bool) -> Certificate {
        let (key, issuer) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // That of the example in RFC 9773 §4.1.
        let id = "69885b6b87464041e1b37b847bd0ae2cde01c8d4";
        let id = (0..20).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()).collect();
        params.key_identifier_method = KeyIdMethod::PreSpecified(id);
        let issuer = Issuer::new(params, issuer);
        let mut params = CertificateParams::new(["site.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.use_authority_key_identifier_extension = names_issuer;
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 4, 1));
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        let files = CertificateFiles { cert: "a.pem".into(), key: "a.pem".into() };
        Certificate::parse(files, pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    #[test]
    fn a_certificate_is_called_what_the_rfc_calls_it() {
        for (serial, expected) in [
            (&[0x87, 0x65, 0x43, 0x21][..], Some("aYhba4dGQEHhs3uEe9CuLN4ByNQ.AIdlQyE")),
            (&[0x07, 0x65], Some("aYhba4dGQEHhs3uEe9CuLN4ByNQ.B2U")),
        ] {
            let called = identifier(&certificate(serial, true)).map(|id| id.to_string());
            assert_eq!(called.as_deref(), expected);
        }
        assert_eq!(identifier(&certificate(&[1], false)), None);
    }

    #[test]
    fn a_window_that_cannot_be_is_none() {
        let certificate = certificate(&[1], true);
        for (start, end, is_one) in [
            ("2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z", true),
            // What is to be revoked should have been renewed already.
            ("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", true),
            ("2026-03-01T01:00:00.123+01:00", "2026-03-03T00:00:00Z", true),
            ("2026-03-03T00:00:00Z", "2026-03-01T00:00:00Z", false),
            ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", false),
            ("2026-03-01T00:00:00Z", "2026-04-02T00:00:00Z", false),
            ("soon", "2026-03-01T00:00:00Z", false),
            ("2026-03-01T00:00:00Z", "", false),
            ("-0001-01-01T00:00:00Z", "2026-03-01T00:00:00Z", false),
        ] {
            let suggested = SuggestedWindow { start: start.to_owned(), end: end.to_owned() };
            assert_eq!(Window::of(&suggested, &certificate).is_some(), is_one, "{start} {end}");
        }
    }

    #[test]
    fn all_of_a_window_is_used() {
        let entropy = SeededEntropy::new(1);
        let (start, end) = (Timestamp::from_millis(1_000), Timestamp::from_millis(101_000));
        let moments: Vec<_> = (0..200).map(|_| Window { start, end }.moment(&entropy)).collect();
        assert!(moments.iter().all(|moment| (start..end).contains(moment)));
        let tenths: std::collections::BTreeSet<_> =
            moments.iter().map(|moment| (moment.as_millis() - 1_000) / 10_000).collect();
        assert_eq!(tenths.len(), 10);
    }
}
