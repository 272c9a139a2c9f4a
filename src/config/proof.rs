//! What proves who uses an API key: a bearer secret, OAuth 1.0a credentials, and beside them those that are
//! on their way out, `[[api_key.previous]]`. Two that count at one time are how a secret is changed without
//! an hour in which neither does.

use sha2::{Digest as _, Sha256};

use super::claims::Claims;
use super::document::{Place, Read};
use super::section::Section;
use super::settings::OAuth1Credentials;
use crate::domain::clock::Timestamp;
use crate::domain::secret::{Secret, SecretHash};

/// A key that is typed by a person is guessed by a machine.
const MIN_SECRET_CHARS: usize = 16;

pub(super) const NEW_KEY: &str = "make one with `tollgate key new`";

/// One thing that proves who uses an API key.
#[derive(Clone, Debug)]
pub struct Proof {
    /// What is compared.
    pub means: Means,
    /// From when on it counts no more; `None` if it has no end.
    pub expires_at: Option<Timestamp>,
    /// Whether another one has taken its place.
    pub is_previous: bool,
}

/// How somebody proves to have a key.
#[derive(Clone, Debug)]
pub enum Means {
    /// By presenting a secret, of which this is the hash.
    Bearer(SecretHash),
    /// By signing with secrets (OAuth 1.0a).
    OAuth1(OAuth1Credentials),
}

impl Means {
    /// A name for it that tells nothing of it.
    pub fn mark(&self) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(b"tollgate api key\0");
        match self {
            Self::Bearer(secret) => hash.update(secret.to_hex()),
            Self::OAuth1(own) => {
                let secrets = [own.consumer_secret.expose(), own.access_secret.expose()];
                for part in [own.consumer_key.as_str(), own.access_token.as_str()].into_iter().chain(secrets)
                {
                    hash.update(part.len().to_be_bytes());
                    hash.update(part);
                }
            }
        }
        hash.finalize().into()
    }
}

impl Proof {
    /// Whether it counts at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// The hash of a bearer secret, if it is one.
    pub fn bearer(&self) -> Option<SecretHash> {
        match &self.means {
            Means::Bearer(hash) => Some(*hash),
            Means::OAuth1(_) => None,
        }
    }

    /// The credentials for OAuth 1.0a, if it is those.
    pub fn oauth1(&self) -> Option<&OAuth1Credentials> {
        match &self.means {
            Means::Bearer(_) => None,
            Means::OAuth1(credentials) => Some(credentials),
        }
    }
}

/// What only one key can have.
pub(super) struct ProofClaims {
    secrets: Claims<SecretHash>,
    oauth1: Claims<(String, String)>,
}

impl ProofClaims {
    pub(super) fn new() -> Self {
        Self { secrets: Claims::new(), oauth1: Claims::new() }
    }
}

/// Reads all that proves who uses the key of `section`. What it has now comes first; without that the list
/// is empty, whatever it had before.
pub(super) fn read(section: &mut Section<'_>, taken: &mut ProofClaims) -> Read<Vec<Proof>> {
    let end = section.time("expires_at");
    let own = means(section, taken, &[]);
    let known: &[Means] = own.as_deref().unwrap_or_default();
    let previous = section.tables("previous", |section| previous(section, taken, known));
    let (end, own, previous) = (end?, own?, previous?);
    if own.is_empty() {
        return Ok(Vec::new());
    }
    // Where the key itself ends, nothing that belonged to it goes on.
    let earlier = |own: Option<Timestamp>| [own, end].into_iter().flatten().min();
    let own = own.into_iter().map(|means| Proof { means, expires_at: end, is_previous: false });
    let previous = previous.into_iter().flatten();
    let previous = previous.map(|proof| Proof { expires_at: earlier(proof.expires_at), ..proof });
    Ok(own.chain(previous).collect())
}

/// One `[[api_key.previous]]` of a key that has `own` now.
fn previous(mut section: Section<'_>, taken: &mut ProofClaims, own: &[Means]) -> Read<Vec<Proof>> {
    let means = means(&mut section, taken, own);
    let end = section.time("expires_at");
    let has_end = section.has("expires_at") || section.misspells(&["expires_at"]);
    let is_misspelt = section.misspells(&["secret", "secret_sha256"]);
    let place = section.place().clone();
    section.finish();
    // What nobody ends stays for ever, and then the old secret was never changed.
    let end = match end? {
        None if !has_end => Err(place.fault(
            "has no expires_at: the old secret would be good for ever",
            "add expires_at = \"2027-01-31T12:00:00Z\"",
        )),
        end => Ok(end),
    };
    let means = means?;
    if means.is_empty() && !is_misspelt {
        let remedy = "add the secret or secret_sha256 that the key had before, or leave it out";
        return Err(place.fault("nothing is said of what the key had before", remedy));
    }
    let expires_at = end?;
    Ok(means.into_iter().map(|means| Proof { means, expires_at, is_previous: true }).collect())
}

/// The secret and the OAuth 1.0a credentials of a table, as far as there are any.
fn means(section: &mut Section<'_>, taken: &mut ProofClaims, own: &[Means]) -> Read<Vec<Means>> {
    let bearer = bearer(section, &mut taken.secrets);
    let oauth1 = oauth1(section, &mut taken.oauth1, own);
    let (bearer, oauth1) = (bearer?, oauth1?);
    Ok(bearer.map(Means::Bearer).into_iter().chain(oauth1.map(Means::OAuth1)).collect())
}

/// `secret` or `secret_sha256`, of which only the hash is kept.
fn bearer(section: &mut Section<'_>, taken: &mut Claims<SecretHash>) -> Read<Option<SecretHash>> {
    let plain = section.text("secret");
    let hashed = section.text("secret_sha256");
    let (plain, hashed) = (plain?, hashed?);
    let (place, hash) = match (plain, hashed) {
        (None, None) => return Ok(None),
        (Some(_), Some(hashed)) => {
            return Err(hashed.place.fault("there is a secret as well", "leave one of the two out"));
        }
        (Some(plain), None) => {
            let (place, secret) = plain.into_secret()?;
            (place.clone(), bearer_hash(&place, &secret)?)
        }
        (None, Some(hashed)) => {
            // Not shown: a plain secret may have been put here by mistake.
            let (place, hex) = hashed.into_secret()?;
            let hash = SecretHash::from_hex(hex.expose());
            let refuse =
                || place.fault("this is not a SHA-256", format!("write 64 hexadecimal digits: {NEW_KEY}"));
            let hash = hash.ok_or_else(refuse)?;
            (place, hash)
        }
    };
    if let Some(other) = taken.owner(&hash) {
        return Err(place.fault(format!("{other} has the same secret"), NEW_KEY));
    }
    taken.add(hash, section.place());
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

/// The four OAuth 1.0a credentials, or none of them. A key may keep the names of `own` and change the
/// secrets alone.
fn oauth1(
    section: &mut Section<'_>,
    taken: &mut Claims<(String, String)>,
    own: &[Means],
) -> Read<Option<OAuth1Credentials>> {
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
    let is_own = |means: &Means| match means {
        Means::Bearer(_) => false,
        Means::OAuth1(own) => (&own.consumer_key, &own.access_token) == (&pair.0, &pair.1),
    };
    if !own.iter().any(is_own) {
        if let Some(other) = taken.owner(&pair) {
            let problem = format!("{other} has the same consumer_key and access_token");
            return Err(section.place_of("access_token").fault(problem, "give each key its own pair"));
        }
        taken.add(pair, section.place());
    }
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
    let (place, secret) = text.into_secret()?;
    if secret.expose().is_empty() {
        return Err(place.fault("is empty", NEW_KEY));
    }
    Ok(Some(secret))
}
