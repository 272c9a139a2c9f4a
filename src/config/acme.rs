//! `[acme]`: whom certificates are asked from, and what a `[[server.certificate]]` says that is to come
//! from there (RFC 8555).

mod folder;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::certificate::{Certificate, CertificateFiles};
use super::claims::Claims;
use super::document::{Place, Read};
use super::listeners::Listeners;
use super::section::Section;
use super::settings::{RemoteUrl, Site, StoreSettings};
use super::text::Text;
use super::upstream_tls::{Authorities, authorities};
use crate::domain::email::Email;
use crate::domain::host::HostPattern;
use crate::domain::secret::Secret;

/// `[acme]`, with the certificates that are to come from there.
#[derive(Clone, Debug, PartialEq)]
pub struct AcmeSettings {
    /// The URL of the directory, with https.
    pub directory: String,
    /// Whom the authority may write to, as `mailto:` URLs.
    pub contact: Vec<String>,
    /// The folder of what is kept for this directory: the account and the certificates.
    pub folder: PathBuf,
    /// Who is trusted to vouch for the directory, in place of the system's authorities.
    pub root_ca: Option<Authorities>,
    /// How it is shown that the names are this gateway's.
    pub challenge: ChallengeKind,
    /// Whose customer the account is, where the authority asks for that.
    pub external_account: Option<ExternalAccount>,
    /// How long before its end a certificate is renewed; `None` for a third of its life.
    pub renew_before: Option<Duration>,
    /// What is asked for.
    pub certificates: Vec<AcmeCertificate>,
}

/// How an authority is shown that a name is this gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A file on the plain listener (RFC 8555 §8.3).
    Http01,
    /// A certificate on the TLS listener (RFC 8737).
    TlsAlpn01,
}

/// An external account (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalAccount {
    /// What the authority calls the key.
    pub key_id: String,
    /// The key, in base64url without padding.
    pub key: Secret,
}

impl ExternalAccount {
    /// The bytes of the key.
    pub fn key_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Was decoded before, when the configuration was read.
        Zeroizing::new(URL_SAFE_NO_PAD.decode(self.key.expose()).unwrap_or_default())
    }
}

/// One certificate to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeCertificate {
    /// The hosts that are to stand in it.
    pub names: Vec<String>,
    /// The one file in which it is kept with its key.
    pub file: PathBuf,
}

impl AcmeCertificate {
    /// The same file, once for the certificate and once for the key: so both are replaced in one step.
    pub fn files(&self) -> CertificateFiles {
        CertificateFiles { cert: self.file.clone(), key: self.file.clone() }
    }
}

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The folder where none is named: in that of the embedded store, or where the configuration lies.
const FOLDER: &str = "acme";

/// As many as authorities take, Let's Encrypt above all.
const MAX_NAMES: usize = 100;

const KINDS: [(&str, ChallengeKind); 2] =
    [("http-01", ChallengeKind::Http01), ("tls-alpn-01", ChallengeKind::TlsAlpn01)];

/// What the `[[server.certificate]]` tables ask for.
pub(super) struct Wanted<'a> {
    taken: Claims<String>,
    certificates: Vec<WantedCertificate<'a>>,
    /// Where the first of them stands, be it right or wrong.
    first: Option<Place<'a>>,
}

/// The names of a certificate, with their places.
type WantedCertificate<'a> = Vec<(String, Place<'a>)>;

impl<'a> Wanted<'a> {
    pub(super) fn new() -> Self {
        Self { taken: Claims::new(), certificates: Vec::new(), first: None }
    }

    /// Whether there is nothing to be asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Reads `acme` of a `[[server.certificate]]`; whether it is there.
    pub(super) fn read(&mut self, section: &mut Section<'a>) -> Read<bool> {
        if !section.has("acme") {
            // Asked for all the same, so that whoever misspells it is told of it.
            return section.list("acme", |_| Ok(())).map(|_| false);
        }
        self.first.get_or_insert_with(|| section.place_of("acme"));
        for key in ["cert", "key"] {
            if section.text(key)?.is_some() {
                let remedy = "leave it out, or leave acme out";
                section.place_of(key).fault("the certificate is asked for by acme", remedy);
            }
        }
        let taken = &mut self.taken;
        let names = section.required_list("acme", "[\"www.example.com\"]", |text| {
            let name = host(&text)?;
            if let Some(owner) = taken.owner(&name) {
                return Err(text.refuse(
                    &format!("is asked for by {owner} already"),
                    "one certificate for a name is enough",
                ));
            }
            taken.add(name.clone(), &text.place);
            Ok((name, text.place))
        })?;
        if names.len() > MAX_NAMES {
            let problem = format!("has more than {MAX_NAMES} names");
            return Err(section.place_of("acme").fault(problem, "spread them over several certificates"));
        }
        self.certificates.push(names);
        Ok(true)
    }
}

/// One exact host name.
fn host(text: &Text<'_>) -> Read<String> {
    match HostPattern::parse(text.as_str()) {
        Some(HostPattern::Exact(host)) if is_name(&host) => Ok(host),
        Some(HostPattern::OneLevel(_) | HostPattern::Any) => Err(text.refuse(
            "is more than one name, which cannot be proven by http-01 or tls-alpn-01",
            "list each name, or have another program ask for this certificate and name its files with cert \
             and key",
        )),
        _ => {
            Err(text
                .refuse("is not a valid host name", "write one such as \"www.example.com\", without a port"))
        }
    }
}

/// Whether `host` is a name, and no address.
fn is_name(host: &str) -> bool {
    !host.starts_with('[') && host.parse::<std::net::IpAddr>().is_err()
}

/// Reads `[acme]`, which is there if something is `wanted` of it. `store` says where things are kept.
pub(super) fn read(
    root: &mut Section<'_>,
    wanted: &Wanted<'_>,
    own: &Listeners,
    store: &Read<StoreSettings>,
) -> Read<Option<AcmeSettings>> {
    let is_there = root.has("acme");
    let mut section = root.section("acme")?;
    if !is_there {
        return if let Some(place) = &wanted.first {
            let remedy = "add [acme] with terms_of_service_agreed = true";
            Err(place.fault("nothing says which authority to ask", remedy))
        } else {
            Ok(None)
        };
    }
    let directory = directory(&mut section);
    let contact = section.list("contact", |text| {
        let is_mail =
            |text: &str| text.strip_prefix("mailto:").and_then(Email::parse).map(|_| text.to_owned());
        text.parse(is_mail, "is not a valid mailto address", "write one such as \"mailto:admin@example.com\"")
    });
    let agreed = agreed(&mut section);
    let state = state_dir(&mut section, store);
    let root_ca = section.text("root_ca").and_then(|text| text.map(|text| authorities(&text)).transpose());
    let challenge = challenge(&mut section, own);
    let external_account = external_account(&mut section);
    let renew_before =
        section.duration("renew_before", Duration::from_hours(1)..=Duration::from_hours(365 * 24));
    let place = section.place().clone();
    section.finish();
    if wanted.is_empty() {
        let remedy = "add a [[server.certificate]] with acme = [\"www.example.com\"], or leave [acme] out";
        return Err(place.fault("no certificate is asked for", remedy));
    }
    agreed?;
    let directory = directory?;
    let folder = folder::of(&state?, &directory);
    let certificates = wanted.certificates.iter().filter_map(|names| {
        let file = folder.join(format!("{}.pem", names.first()?.0));
        Some(AcmeCertificate { names: names.iter().map(|(name, _)| name.clone()).collect(), file })
    });
    Ok(Some(AcmeSettings {
        certificates: certificates.collect(),
        directory,
        contact: contact?.unwrap_or_default(),
        folder,
        root_ca: root_ca?,
        challenge: challenge?,
        external_account: external_account?,
        renew_before: renew_before?,
    }))
}

/// Refuses names that are no site's: whoever asks for them has mistyped them.
pub(super) fn check_sites(wanted: &Wanted<'_>, sites: &[Arc<Site>]) -> Read<()> {
    let mut outcome = Ok(());
    for (name, place) in wanted.certificates.iter().flatten() {
        let mut hosts = sites.iter().flat_map(|site| &site.hosts);
        if !hosts.any(|host| host.matches(name)) {
            let problem = format!("{name:?} is not a host of any site");
            outcome = Err(place.fault(problem, "add it to the hosts of a [[site]], or leave it out"));
        }
    }
    outcome
}

/// The certificates of earlier times that can be served with now. What cannot be used is asked for anew.
pub(super) fn kept(settings: Option<&AcmeSettings>) -> Vec<Certificate> {
    let wanted = settings.iter().flat_map(|settings| &settings.certificates);
    wanted.filter_map(|wanted| Certificate::read(wanted.files()).ok()).collect()
}

fn directory(section: &mut Section<'_>) -> Read<String> {
    let Some(text) = section.text("directory")? else { return Ok(LETS_ENCRYPT.to_owned()) };
    let is_safe = |url: &str| {
        let parsed = RemoteUrl::parse(url)?;
        (url::Url::parse(url).ok()?.scheme() == "https").then(|| parsed.as_str().to_owned())
    };
    // RFC 8555 §6.1.
    text.parse(is_safe, "is not the URL of an ACME directory", "write one with https")
}

fn agreed(section: &mut Section<'_>) -> Read<()> {
    if section.flag("terms_of_service_agreed", false)? {
        return Ok(());
    }
    Err(section.place_of("terms_of_service_agreed").fault(
        "without your agreement to its terms no authority gives certificates",
        "read its terms of service and write terms_of_service_agreed = true",
    ))
}

fn state_dir(section: &mut Section<'_>, store: &Read<StoreSettings>) -> Read<PathBuf> {
    let Some(text) = section.text("state_dir")? else {
        if let Ok(StoreSettings::Embedded { path }) = store {
            return Ok(path.join(FOLDER));
        }
        let file = Path::new(section.place().document.file());
        return Ok(file.parent().map_or_else(|| FOLDER.into(), |folder| folder.join(FOLDER)));
    };
    if text.as_str().is_empty() {
        return Err(text.refuse("is not a valid folder path", "write one such as \"/var/lib/tollgate/acme\""));
    }
    Ok(text.to_path())
}

fn challenge(section: &mut Section<'_>, own: &Listeners) -> Read<ChallengeKind> {
    let kind = section.choice("challenge", ChallengeKind::Http01, &KINDS)?;
    if kind == ChallengeKind::Http01 && !own.speak_plainly {
        return Err(section.place_of("challenge").fault(
            "http-01 is answered on a plain listener, and [server] http is empty",
            "add http = [\"0.0.0.0:80\"] to [server], or write challenge = \"tls-alpn-01\"",
        ));
    }
    Ok(kind)
}

fn external_account(section: &mut Section<'_>) -> Read<Option<ExternalAccount>> {
    let (id, key) = (section.text("eab_key_id"), section.text("eab_key"));
    let lonely = |has: &str, lacks: &str| {
        let remedy = format!("add {lacks}, or leave both out");
        Err(section.place_of(has).fault(format!("needs {lacks} beside it"), remedy))
    };
    match (id?, key?) {
        (None, None) => Ok(None),
        (Some(_), None) => lonely("eab_key_id", "eab_key"),
        (None, Some(_)) => lonely("eab_key", "eab_key_id"),
        (Some(id), Some(key)) => {
            let (place, key) = key.into_secret()?;
            let decoded = URL_SAFE_NO_PAD.decode(key.expose().trim_end_matches('=')).map(Zeroizing::new);
            if !decoded.is_ok_and(|bytes| !bytes.is_empty()) {
                let remedy = "copy it as the authority shows it";
                return Err(place.fault("this is not a valid key in base64url", remedy));
            }
            let key = Secret::new(key.expose().trim_end_matches('=').to_owned());
            Ok(Some(ExternalAccount { key_id: id.as_str().to_owned(), key }))
        }
    }
}
