//! `config.toml` -> [`Settings`]: read once at the start, with every fault at once.
//!
//! The file is read as a tree of values that know their places. A `section` reader asks for
//! each key by its type, records what is wrong, and goes on; what nothing asked for is unknown.
//! There is one module for each section of the file. Nothing here looks at the real environment,
//! and
//! of the disk at certificates and at secrets that have files of their own alone.

mod acme;
mod api_key;
mod basic_auth;
mod certificate;
mod claims;
mod control;
mod cookie;
mod difference;
mod document;
mod embedding;
mod environment;
mod faults;
mod group;
mod identity;
mod listeners;
mod log;
mod login_key;
mod preset;
mod proof;
mod redis;
mod requirement;
mod rewrite;
mod rotation;
mod route;
mod same_file;
mod secret_file;
mod section;
mod server;
mod settings;
mod site;
mod spelling;
mod store;
mod text;
mod trace;
mod units;
mod upstream;
mod upstream_tls;

#[cfg(test)]
mod tests;

use toml::de::DeTable;

pub use acme::{AcmeCertificate, AcmeSettings, ChallengeKind, ExternalAccount};
pub use certificate::{Certificate, CertificateFault, CertificateFiles};
pub use difference::{Difference, differences};
pub use environment::Environment;
pub use faults::{Fault, Faults};
pub use log::{AccessFormat, AccessLines, LogFormat, LogSettings};
pub use proof::{Means, Proof};
pub use redis::{RedisAddress, RedisPlace, RedisSettings};
pub use rotation::{FreshSecrets, Rotated, RotationFault, rotate};
pub use settings::*;
pub use trace::{Endpoint, SpanExport, TraceSettings, TraceTrust};
pub use units::duration;
pub use upstream::{HealthCheck, Upstream, UpstreamAddress, UpstreamScheme, Upstreams};
pub use upstream_tls::{Authorities, UpstreamTls};

use document::{Document, Read, Reported};
use listeners::Listeners;
use section::Section;

/// Reads the configuration in `text`, which faults call `file`.
pub fn load(text: &str, file: &str, environment: &Environment) -> Result<Settings, Faults> {
    let document = Document::new(text, file, environment);
    let (root, errors) = DeTable::parse_recoverable(text);
    // What the parser could save of a broken file would only look as if keys were missing.
    let refused = document.refuse_syntax(&errors);
    let outcome = refused.map_or_else(|| read(Section::root(&document, root.get_ref())), Err);
    let remarks = document.remarks();
    document.conclude(outcome).map(|settings| Settings { remarks, ..settings })
}

fn read(mut root: Section<'_>) -> Read<Settings> {
    let mut own = Listeners::default();
    let mut wanted = acme::Wanted::new();
    let server = root.section("server").and_then(|section| server::read(section, &mut own, &mut wanted));
    let control = root.section("control").and_then(|section| control::read(section, &mut own));
    let store = root.section("store").and_then(store::read);
    let log = root.section("log").and_then(log::read);
    let trace = root.section("trace").and_then(trace::read);
    let acme = acme::read(&mut root, &wanted, &own, &store);
    // Keys name sites, so the sites come first.
    let mut sites_taken = site::SiteClaims::new();
    let sites = root.tables("site", |section| site::read(section, &mut sites_taken, &own));
    let sites = sites.and_then(|sites| if sites.is_empty() { Err(no_site(&root)) } else { Ok(sites) });
    sites_taken.groups.conclude();
    let names = sites.as_ref().map_or(Ok(()), |sites| acme::check_sites(&wanted, sites));
    let mut keys_taken = api_key::KeyClaims::new();
    let api_keys =
        root.tables("api_key", |section| api_key::read(section, &mut keys_taken, &sites_taken.names));
    let vault = vault(&mut root, &store, sites_taken.signer.as_deref());
    root.finish();
    vault?;
    names?;
    let (mut server, acme) = (server?, acme?);
    server.certificates.extend(acme::kept(acme.as_ref()));
    let (control, store, api_keys, sites) = (control?, store?, api_keys?, sites?);
    let (log, trace) = (log?, trace?);
    Ok(Settings { server, acme, control, store, log, trace, api_keys, sites, remarks: Vec::new() })
}

/// Whether the store can keep the keys with which `signer` signs, if any site does. Whoever reads those can
/// say anything to its upstream, and a Redis is read by many.
fn vault(root: &mut Section<'_>, store: &Read<StoreSettings>, signer: Option<&str>) -> Read<()> {
    let (Ok(StoreSettings::Redis(redis)), Some(signer)) = (store, signer) else { return Ok(()) };
    if redis.secret.is_some() {
        return Ok(());
    }
    let problem = format!("is missing: it locks the keys with which {signer} signs (assertion = true)");
    Err(root.section("store")?.place_of("secret").fault(problem, "add secret: `tollgate key new` makes one"))
}

fn no_site(root: &Section<'_>) -> Reported {
    root.place_of("site")
        .fault("there is nothing to protect", "add a [[site]] with name, hosts, upstream and login_url")
}
