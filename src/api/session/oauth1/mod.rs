//! OAuth 1.0a with HMAC-SHA1 (RFC 5849 §3), as the 23-compatible API takes it.
//!
//! A request is read first, then the caller looks its keys up, then the signature is verified:
//!
//! 1. [`read`] finds what the request presents, in the Authorization header, the form body of a
//!    POST, or the query of any other request.
//! 2. The caller finds the credentials for [`Presented::consumer_key`] and [`Presented::token`].
//! 3. [`Presented::verify`] gives a [`Nonce`], which the caller must be the first to use.

mod base_string;
mod fault;
mod header;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use self::base_string::{STANDARD, Signed};
pub use self::fault::SignatureFault;
pub use self::header::HeaderFault;
use super::form::{self, Pair};
use crate::config::OAuth1Credentials;
use crate::domain::clock::Timestamp;
use crate::domain::host::Origin;

/// How far a request's time may lie from ours, before or behind.
pub const TOLERANCE: Duration = Duration::from_mins(5);

const MAX_NONCE_CHARS: usize = 255;

/// What of a request can be signed.
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// Scheme, host and port as the client sees them.
    pub origin: &'a Origin,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent.
    pub query: Option<&'a str>,
    /// The value of each Authorization header.
    pub authorization: &'a [&'a [u8]],
    /// The body, if its type is `application/x-www-form-urlencoded`.
    pub form: Option<&'a [u8]>,
}

/// A signature as a request presents it: well-formed, not yet verified.
///
/// There is no `Debug`: until its nonce is used, the request is as good as a key.
pub struct Presented {
    method: Method,
    uri: String,
    /// What was signed, by the rules of this API.
    parameters: Vec<Pair>,
    /// The same and the query, for a POST that has one. The query is not read, but clients that
    /// keep to the RFC sign it.
    parameters_and_query: Option<Vec<Pair>>,
    consumer_key: String,
    token: String,
    signature: [u8; 20],
    seconds: u64,
    nonce: String,
}

/// What is to be remembered of a verified request, so that it cannot be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// Names the request: the SHA-256 of its keys, its time and its nonce.
    pub key: [u8; 32],
    /// From then on its time alone is reason to refuse it.
    pub expires_at: Timestamp,
}

/// Reads what `request` presents; `None` if it has nothing to do with OAuth.
pub fn read(request: &Request<'_>) -> Result<Option<Presented>, SignatureFault> {
    let in_header = header::read(request.authorization)?;
    let is_oauth_header = in_header.is_some();
    let mut parameters = in_header.unwrap_or_default();
    parameters.extend(form::read(request.method, request.query, request.form)?);
    if !is_oauth_header && !parameters.iter().any(Pair::is_protocol) {
        return Ok(None);
    }
    refuse_repetition(&parameters)?;

    let optional = |name| text(&parameters, name);
    let required = |name| optional(name)?.ok_or(SignatureFault::Missing(name));
    let consumer_key = required("oauth_consumer_key")?.to_owned();
    let token = optional("oauth_token")?.unwrap_or_default().to_owned();
    if required("oauth_signature_method")? != "HMAC-SHA1" {
        return Err(SignatureFault::Method);
    }
    if optional("oauth_version")?.is_some_and(|version| version != "1.0") {
        return Err(SignatureFault::Version);
    }
    let signature = signature(required("oauth_signature")?).ok_or(SignatureFault::Signature)?;
    let seconds = seconds(required("oauth_timestamp")?).ok_or(SignatureFault::Timestamp)?;
    let nonce = required("oauth_nonce")?.to_owned();
    if !(1..=MAX_NONCE_CHARS).contains(&nonce.chars().count()) {
        return Err(SignatureFault::Nonce);
    }

    parameters.retain(is_signed);
    let parameters_and_query = unread_query(request).map(|query| [parameters.as_slice(), &query].concat());
    let path = Some(request.path).filter(|path| !path.is_empty()).unwrap_or("/");
    Ok(Some(Presented {
        method: request.method.clone(),
        uri: format!("{}{path}", request.origin),
        parameters,
        parameters_and_query,
        consumer_key,
        token,
        signature,
        seconds,
        nonce,
    }))
}

/// RFC 5849 §3.2: each parameter of the protocol at most once, over all places.
fn refuse_repetition(parameters: &[Pair]) -> Result<(), SignatureFault> {
    const NAMED: [&str; 7] = [
        "oauth_consumer_key",
        "oauth_token",
        "oauth_signature_method",
        "oauth_signature",
        "oauth_timestamp",
        "oauth_nonce",
        "oauth_version",
    ];
    let mut names: Vec<&[u8]> =
        parameters.iter().filter(|pair| pair.is_protocol()).map(|pair| &*pair.name).collect();
    names.sort_unstable();
    let repeated = names.windows(2).find_map(|window| match window {
        [one, other] if one == other => Some(*one),
        _ => None,
    });
    let Some(repeated) = repeated else {
        return Ok(());
    };
    let name = NAMED.into_iter().find(|name| name.as_bytes() == repeated);
    Err(SignatureFault::Repeated(name.unwrap_or("a parameter of OAuth")))
}

fn text<'a>(parameters: &'a [Pair], name: &'static str) -> Result<Option<&'a str>, SignatureFault> {
    let Some(pair) = parameters.iter().find(|pair| pair.name == name.as_bytes()) else {
        return Ok(None);
    };
    str::from_utf8(&pair.value).map(Some).map_err(|_| SignatureFault::NotText(name))
}

fn signature(text: &str) -> Option<[u8; 20]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

fn seconds(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|seconds| *seconds > 0)
}

fn is_signed(pair: &Pair) -> bool {
    pair.name != b"oauth_signature"
}

/// The query of a POST, if it may have been signed. A query out of bounds was not.
fn unread_query(request: &Request<'_>) -> Option<Vec<Pair>> {
    let query = request.query.filter(|_| request.method == Method::POST)?;
    let mut pairs = form::decode(query.as_bytes()).ok()?;
    pairs.retain(is_signed);
    (!pairs.is_empty()).then_some(pairs)
}

impl Presented {
    /// `oauth_consumer_key`.
    pub fn consumer_key(&self) -> &str {
        &self.consumer_key
    }

    /// `oauth_token`; empty if there is none.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Verifies the request's time and signature.
    ///
    /// `credentials` are those that belong to [`Self::consumer_key`] and [`Self::token`]; `None`
    /// if there are none, which takes about the time of a wrong signature and looks like one, so
    /// that keys cannot be guessed apart from their secrets.
    pub fn verify(
        &self,
        credentials: Option<&OAuth1Credentials>,
        now: Timestamp,
    ) -> Result<Nonce, SignatureFault> {
        let sent_at = Timestamp::from_millis(self.seconds.saturating_mul(1000));
        if sent_at.until(now).max(now.until(sent_at)) > TOLERANCE {
            return Err(SignatureFault::Stale { now: now.as_secs() });
        }
        let own =
            credentials.filter(|own| own.consumer_key == self.consumer_key && own.access_token == self.token);
        let (consumer_secret, access_secret) =
            own.map_or(("", ""), |own| (own.consumer_secret.expose(), own.access_secret.expose()));
        let matches = self.is_signed_with(consumer_secret, access_secret);
        if own.is_none() || !matches {
            return Err(self.mismatch());
        }
        let expires_at = sent_at.after(TOLERANCE + Duration::from_millis(1));
        Ok(Nonce { key: self.nonce_key(), expires_at })
    }

    /// What is said of a signature that is nobody's.
    pub fn mismatch(&self) -> SignatureFault {
        SignatureFault::Mismatch { method: self.method.clone(), uri: self.uri.clone() }
    }

    fn is_signed_with(&self, consumer_secret: &str, access_secret: &str) -> bool {
        let keys = signing_keys(consumer_secret, access_secret);
        let sets = [Some(&self.parameters), self.parameters_and_query.as_ref()];
        sets.into_iter().flatten().any(|parameters| {
            let signed = Signed { method: self.method.as_str(), uri: &self.uri, parameters };
            signed.base_strings().any(|text| keys.iter().any(|key| self.is_mac_of(&text, key)))
        })
    }

    fn is_mac_of(&self, text: &str, key: &str) -> bool {
        // HMAC takes keys of any length; were it ever to refuse one, the signature is wrong.
        let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes());
        mac.is_ok_and(|mac| mac.chain_update(text).verify_slice(&self.signature).is_ok())
    }

    /// Each part is led by its length, so that no two requests can have the same key.
    fn nonce_key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.consumer_key, &self.token, &self.seconds.to_string(), &self.nonce] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// The HMAC key (RFC 5849 §3.4.2), and the one that clients make who leave the secrets as they
/// are.
fn signing_keys(consumer_secret: &str, access_secret: &str) -> Vec<Zeroizing<String>> {
    let mut escaped =
        Zeroizing::new(String::with_capacity((consumer_secret.len() + access_secret.len()) * 3 + 1));
    STANDARD.push(&mut escaped, consumer_secret.as_bytes());
    escaped.push('&');
    STANDARD.push(&mut escaped, access_secret.as_bytes());
    let plain = Zeroizing::new(format!("{consumer_secret}&{access_secret}"));
    if plain == escaped { vec![escaped] } else { vec![escaped, plain] }
}
