//! `[[site.login_key]]`: keys with which a login page signs its tokens itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use super::claims::Claims;
use super::document::Read;
use super::section::Section;
use super::text::Text;
use crate::domain::secret::Secret;
use crate::domain::signed_login::LoginKey;

/// As long as what HMAC with SHA-256 makes of it (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

/// What stands before the 32 bytes of an Ed25519 key in DER (RFC 8410 §4).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[derive(Clone, Copy)]
enum Algorithm {
    Hs256,
    EdDsa,
}

const ALGORITHMS: [(&str, Algorithm); 2] = [("HS256", Algorithm::Hs256), ("EdDSA", Algorithm::EdDsa)];

/// What a token says of its key: each one has to be another's.
pub(super) struct KeyIds(Claims<Option<String>>);

impl KeyIds {
    pub(super) fn new() -> Self {
        Self(Claims::new())
    }
}

/// Reads one `[[site.login_key]]`.
pub(super) fn read(mut section: Section<'_>, taken: &mut KeyIds) -> Read<LoginKey> {
    let id = id(&mut section, taken);
    let algorithm = section
        .required_text("algorithm", "\"HS256\", or \"EdDSA\"")
        .and_then(|text| text.choose(&ALGORITHMS));
    let key = match algorithm {
        Ok(Algorithm::Hs256) => secret(&mut section).map(Key::Secret),
        Ok(Algorithm::EdDsa) => public_key(&mut section).map(Key::Public),
        Err(reported) => {
            // Which of them it takes cannot be told.
            let _either = (section.text("secret"), section.text("public_key"));
            Err(reported)
        }
    };
    section.finish();
    let id = id?;
    Ok(match key? {
        Key::Secret(secret) => LoginKey::hs256(id, &secret),
        Key::Public(key) => LoginKey::ed25519(id, key),
    })
}

enum Key {
    Secret(Secret),
    Public([u8; 32]),
}

fn id(section: &mut Section<'_>, taken: &mut KeyIds) -> Read<Option<String>> {
    let text = section.text("kid")?;
    let is_id = |id: &str| (1..=200).contains(&id.len()) && !id.contains(char::is_control);
    let id = text.as_ref().map(|text| {
        text.parse(|id| is_id(id).then(|| id.to_owned()), "cannot name a key", "use 1 to 200 characters")
    });
    let id = id.transpose()?;
    if let Some(other) = taken.0.owner(&id) {
        let problem = match &id {
            Some(_) => format!("{other} has the same kid"),
            None => format!("{other} has no kid either, so that no token can say which of them signed it"),
        };
        return Err(section.place_of("kid").fault(problem, "give each key a kid of its own"));
    }
    taken.0.add(id.clone(), section.place());
    Ok(id)
}

fn secret(section: &mut Section<'_>) -> Read<Secret> {
    let text = section.required_text("secret", "\"${LOGIN_PAGE_SIGNING_KEY}\"")?;
    let (place, secret) = text.into_secret()?;
    // A public key is known to everybody, and so would be what signs (RFC 8725 §2.1).
    if secret.expose().trim_start().starts_with("-----BEGIN ") {
        let problem = "this is a key for another kind of signature, not a secret";
        return Err(place.fault(problem, "write algorithm = \"EdDSA\" and public_key, if it is such a key"));
    }
    if secret.expose().len() < MIN_SECRET_BYTES {
        let problem = format!("the secret has fewer than {MIN_SECRET_BYTES} bytes");
        return Err(place.fault(problem, "make one with `openssl rand -hex 32`"));
    }
    Ok(secret)
}

fn public_key(section: &mut Section<'_>) -> Read<[u8; 32]> {
    let text = section.required_text("public_key", "\"-----BEGIN PUBLIC KEY-----…\"")?;
    let remedy = "write what `openssl pkey -in login.key -pubout` shows, or the x of a JWK (43 characters)";
    let not_one = |text: &Text<'_>| text.place.fault("this is not a valid Ed25519 public key", remedy);
    parse_public_key(text.as_str()).ok_or_else(|| not_one(&text))
}

/// A PEM text, or the `x` of a JWK (RFC 8037 §2).
fn parse_public_key(text: &str) -> Option<[u8; 32]> {
    if !text.trim_start().starts_with("-----BEGIN ") {
        return URL_SAFE_NO_PAD.decode(text.trim()).ok()?.try_into().ok();
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).ok()?;
    der.strip_prefix(&ED25519_PREFIX)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_comes_in_two_forms() {
        // The key of RFC 8037, appendix A.2, and the same in PEM.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
                   -----END PUBLIC KEY-----\n";
        let key = parse_public_key(x).unwrap();
        assert_eq!(parse_public_key(pem), Some(key));
        let of_another_kind = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAAA\n-----END PUBLIC KEY-----\n";
        for text in [
            "",
            "x",
            &x[1..],
            of_another_kind,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert_eq!(parse_public_key(text), None, "{text}");
        }
    }
}
