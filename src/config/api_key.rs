//! `[[api_key]]`: who may use the APIs, and for what.

use super::claims::Claims;
use super::document::{Place, Read};
use super::section::Section;
use super::settings::{ApiKey, OAuth1Credentials, PermissionLevel, Scope};
use crate::domain::secret::{Secret, SecretHash};
use crate::domain::site::SiteName;

/// A key that is typed by a person is guessed by a machine.
const MIN_SECRET_CHARS: usize = 16;

const NEW_KEY: &str = "make one with `tollgate key new`";

/// What only one key can have.
pub(super) struct KeyClaims {
    names: Claims<String>,
    secrets: Claims<SecretHash>,
    oauth1: Claims<(String, String)>,
}

impl KeyClaims {
    pub(super) fn new() -> Self {
        Self { names: Claims::new(), secrets: Claims::new(), oauth1: Claims::new() }
    }
}

/// Reads one `[[api_key]]`, given the names of all sites.
pub(super) fn read(
    mut section: Section<'_>,
    taken: &mut KeyClaims,
    sites: &Claims<SiteName>,
) -> Read<ApiKey> {
    let name = name(&mut section, taken);
    let secret = bearer_secret(&mut section, taken);
    let oauth1 = oauth1(&mut section, taken);
    let options = Scope::ALL.map(|scope| (scope.as_str(), scope));
    let scopes = section.list("scopes", |text| text.choose(&options)).map(Option::unwrap_or_default);
    let levels = PermissionLevel::ALL.map(|level| (level.as_str(), level));
    let permission = section.choice("permission", PermissionLevel::None, &levels);
    let covered = covered_sites(&mut section, sites);
    let place = section.place().clone();
    let permission_place = section.place_of("permission");
    // A slip in the key's name is a fault of its own, and no reason to ask for what is there.
    let misspelt_proof = section.misspells(&["secret", "secret_sha256"]);
    let misspelt_purpose = section.misspells(&["scopes", "permission"]);
    section.finish();
    // What could not be read is not taken for absent: of that there is a fault already.
    let proof = match (&secret, &oauth1) {
        (Ok(None), Ok(None)) if !misspelt_proof => {
            let remedy = format!("add secret or secret_sha256: {NEW_KEY}");
            Err(place.fault("nothing proves who uses this key", remedy))
        }
        _ => Ok(()),
    };
    let purpose = match (scopes.as_deref(), &permission) {
        _ if misspelt_purpose => Ok(()),
        (Ok([]), Ok(PermissionLevel::None)) => {
            let remedy = "add scopes = [\"write:sso\"], or permission = \"super\" for the 23-compatible API";
            Err(place.fault("this key may do nothing at all", remedy))
        }
        (Ok(_), Ok(PermissionLevel::None)) if matches!((&secret, &oauth1), (Ok(None), Ok(Some(_)))) => {
            let problem = "this key signs for the 23-compatible API alone, and may do nothing there";
            Err(permission_place.fault(problem, "add permission = \"super\", or a secret for its scopes"))
        }
        _ => Ok(()),
    };
    proof.and(purpose)?;
    Ok(ApiKey {
        name: name?,
        secret: secret?,
        scopes: scopes?,
        permission: permission?,
        sites: covered?,
        oauth1: oauth1?,
    })
}

fn name(section: &mut Section<'_>, taken: &mut KeyClaims) -> Read<String> {
    let text = section.required_text("name", "\"login-page\"")?;
    let name = text.name("cannot name an API key")?;
    if let Some(other) = taken.names.owner(&name) {
        return Err(text.refuse(&format!("is the name of {other} already"), "give each key its own"));
    }
    section.go_by("api_key", &text);
    taken.names.add(name.clone(), section.place());
    Ok(name)
}

/// `secret` or `secret_sha256`, of which only the hash is kept.
fn bearer_secret(section: &mut Section<'_>, taken: &mut KeyClaims) -> Read<Option<SecretHash>> {
    let plain = section.text("secret");
    let hashed = section.text("secret_sha256");
    let (plain, hashed) = (plain?, hashed?);
    let (place, hash) = match (plain, hashed) {
        (None, None) => return Ok(None),
        (Some(_), Some(hashed)) => {
            return Err(hashed.place.fault("there is a secret as well", "leave one of the two out"));
        }
        (Some(plain), None) => {
            let (place, secret) = plain.into_secret();
            (place.clone(), bearer_hash(&place, &secret)?)
        }
        (None, Some(hashed)) => {
            // Not shown: a plain secret may have been put here by mistake.
            let (place, hex) = hashed.into_secret();
            let hash = SecretHash::from_hex(hex.expose());
            let refuse =
                || place.fault("this is not a SHA-256", format!("write 64 hexadecimal digits: {NEW_KEY}"));
            let hash = hash.ok_or_else(refuse)?;
            (place, hash)
        }
    };
    if let Some(other) = taken.secrets.owner(&hash) {
        return Err(place.fault(format!("{other} has the same secret"), NEW_KEY));
    }
    taken.secrets.add(hash, section.place());
    Ok(Some(hash))
}

fn bearer_hash(place: &Place<'_>, secret: &Secret) -> Read<SecretHash> {
    let plain = secret.expose();
    if plain.chars().count() < MIN_SECRET_CHARS {
        return Err(place.fault(format!("the secret has fewer than {MIN_SECRET_CHARS} characters"), NEW_KEY));
    }
    if !plain.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "the secret has characters that an Authorization header cannot carry";
        return Err(place.fault(problem, format!("use letters, digits and signs without spaces: {NEW_KEY}")));
    }
    Ok(secret.hash())
}

/// The four OAuth 1.0a credentials, or none of them.
fn oauth1(section: &mut Section<'_>, taken: &mut KeyClaims) -> Read<Option<OAuth1Credentials>> {
    const NAMES: [&str; 4] = ["consumer_key", "consumer_secret", "access_token", "access_secret"];
    let credentials = NAMES.map(|name| credential(section, name));
    let missing: Vec<&str> = NAMES.into_iter().filter(|name| !section.has(name)).collect();
    if (1..NAMES.len()).contains(&missing.len()) {
        let problem = format!("of the OAuth 1.0a credentials, these are missing: {}", missing.join(", "));
        return Err(section.place().fault(problem, "write all four of them or none"));
    }
    let [consumer_key, consumer_secret, access_token, access_secret] = credentials;
    let (Some(consumer_key), Some(consumer_secret), Some(access_token), Some(access_secret)) =
        (consumer_key?, consumer_secret?, access_token?, access_secret?)
    else {
        return Ok(None);
    };
    let place = section.place_of("access_secret");
    let key = consumer_secret.expose().chars().count() + access_secret.expose().chars().count();
    if key < MIN_SECRET_CHARS {
        let problem = format!(
            "consumer_secret and access_secret have fewer than {MIN_SECRET_CHARS} characters together"
        );
        return Err(place.fault(problem, NEW_KEY));
    }
    let pair = (consumer_key.expose().to_owned(), access_token.expose().to_owned());
    if let Some(other) = taken.oauth1.owner(&pair) {
        let problem = format!("{other} has the same consumer_key and access_token");
        return Err(section.place_of("access_token").fault(problem, "give each key its own pair"));
    }
    taken.oauth1.add(pair, section.place());
    Ok(Some(OAuth1Credentials {
        consumer_key: consumer_key.expose().to_owned(),
        consumer_secret,
        access_token: access_token.expose().to_owned(),
        access_secret,
    }))
}

fn credential(section: &mut Section<'_>, name: &'static str) -> Read<Option<Secret>> {
    let Some(text) = section.text(name)? else {
        return Ok(None);
    };
    let (place, secret) = text.into_secret();
    if secret.expose().is_empty() {
        return Err(place.fault("is empty", NEW_KEY));
    }
    Ok(Some(secret))
}

/// `sites`, each of which has to exist.
fn covered_sites(section: &mut Section<'_>, sites: &Claims<SiteName>) -> Read<Option<Vec<SiteName>>> {
    let covered = section.list("sites", |text| {
        let known = |name: &str| SiteName::parse(name).filter(|name| sites.owner(name).is_some());
        text.parse(
            known,
            "is not the name of a site",
            "name a [[site]] of this file, or leave sites out for all",
        )
    })?;
    match covered {
        Some(none) if none.is_empty() => Err(section
            .place_of("sites")
            .fault("is empty: the key could act for no site", "name a site, or leave sites out for all")),
        covered => Ok(covered),
    }
}
