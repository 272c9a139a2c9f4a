//! The keys by which signed tokens are proven.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Claims, SignedLogin};
use crate::domain::clock::Timestamp;
use crate::domain::secret::Secret;
use crate::domain::site::SiteName;

/// A key with which a login page signs. It is good for one algorithm: what a token says of its own
/// is compared with that and never followed (RFC 8725 §3.1).
#[derive(Clone)]
pub struct LoginKey {
    /// The `kid` of its tokens, where there are several keys.
    pub id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    /// Tells it from other keys.
    mark: [u8; 32],
}

/// Why a signed token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// No key of the site signed it.
    Signature,
    /// Something in it cannot be understood.
    Malformed,
    /// It is for another site.
    OtherSite,
    /// A claim is missing or not what it should be.
    Incomplete(&'static str),
    /// It wants to be good for longer than a token may be.
    TooLongLived,
    /// It is too old.
    Expired,
    /// It is from the future.
    NotYet,
}

/// The same key, under the same name, for the same algorithm.
impl PartialEq for LoginKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, self.algorithm, &self.mark) == (&other.id, other.algorithm, &other.mark)
    }
}

impl Eq for LoginKey {}

impl Unproven {
    /// The reason, as the log has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Malformed => "malformed",
            Self::OtherSite => "other_site",
            Self::Incomplete(_) => "claim",
            Self::TooLongLived => "too_long_lived",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
        }
    }
}

/// A token that is believed.
pub struct ProvenLogin {
    /// Everything that it says.
    pub claims: Map<String, Value>,
    /// What only one token of a site can have: of its key and its `jti`.
    pub nonce: [u8; 32],
    /// When it ends.
    pub expires_at: Timestamp,
    /// The `kid` of the key that signed it.
    pub key_id: Option<String>,
}

impl LoginKey {
    /// A key for HMAC with SHA-256 (`HS256`, RFC 7518 §3.2).
    pub fn hs256(id: Option<String>, secret: &Secret) -> Self {
        let secret = secret.expose().as_bytes();
        Self::new(id, Algorithm::HS256, DecodingKey::from_secret(secret), secret)
    }

    /// A public key for Ed25519 (`EdDSA`, RFC 8037 §3.1).
    pub fn ed25519(id: Option<String>, public: [u8; 32]) -> Self {
        Self::new(id, Algorithm::EdDSA, DecodingKey::from_ed_der(&public), &public)
    }

    fn new(id: Option<String>, algorithm: Algorithm, key: DecodingKey, material: &[u8]) -> Self {
        let mark = Sha256::new().chain_update(b"tollgate login key").chain_update(material).finalize();
        Self { id, algorithm, key, mark: mark.into() }
    }

    /// What `token` says, if one of `keys` signed it for `site` and it is good at `now`.
    pub fn prove(
        keys: &[Self],
        token: &SignedLogin,
        site: &SiteName,
        now: Timestamp,
    ) -> Result<ProvenLogin, Unproven> {
        let header = Header::of(token)?;
        // A key without a name is for tokens that name none, and for all where it is the only one.
        let is_meant = |key: &&Self| key.id == header.key_id || key.id.is_none() && keys.len() == 1;
        let mut read = keys.iter().filter(is_meant).map(|key| (key, key.read(token)));
        let signed = read.find(|(_, read)| !matches!(read, Err(Unproven::Signature)));
        let (key, claims) = signed.ok_or(Unproven::Signature)?;
        let claims = claims?;
        let expires_at = claims.hold(site, now)?;
        let id = claims.id()?;
        let nonce = Sha256::new().chain_update(key.mark).chain_update(site.as_str()).chain_update([0]);
        let nonce = nonce.chain_update(id).finalize().into();
        Ok(ProvenLogin { nonce, expires_at, key_id: key.id.clone(), claims: claims.0 })
    }

    /// What `token` says, if this key signed it.
    fn read(&self, token: &SignedLogin) -> Result<Claims, Unproven> {
        let mut validation = Validation::new(self.algorithm);
        // All that is ours to judge, by a clock that is not the library's.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let read = decode::<Claims>(token.text.as_bytes(), &self.key, &validation);
        read.map(|read| read.claims).map_err(|error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => Unproven::Malformed,
            _ => Unproven::Signature,
        })
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, algorithm, .. } = self;
        f.debug_struct("LoginKey").field("id", id).field("algorithm", algorithm).finish_non_exhaustive()
    }
}

/// What a token says of itself.
struct Header {
    key_id: Option<String>,
}

impl Header {
    fn of(token: &SignedLogin) -> Result<Self, Unproven> {
        let (header, _) = token.text.split_once('.').ok_or(Unproven::Malformed)?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Unproven::Malformed)?;
        let Claims(header) = serde_json::from_slice(&header).map_err(|_| Unproven::Malformed)?;
        // What has to be understood is not (RFC 7515 §4.1.11); nor is a token of another kind
        // (RFC 8725 §3.11).
        let is_plain = match header.get("typ") {
            None => true,
            Some(kind) => kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("JWT")),
        };
        if header.contains_key("crit") || !is_plain {
            return Err(Unproven::Malformed);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().ok_or(Unproven::Malformed)?.to_owned()),
        };
        Ok(Self { key_id })
    }
}
