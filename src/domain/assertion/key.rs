//! A key that signs: ECDSA with P-256 and SHA-256, "ES256" (RFC 7518 §3.4).
//!
//! Everything that verifies a JWT at all knows ES256. `EdDSA` would be as good, and is missing from
//! many an older library; RSA signs too slowly and makes long headers.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::domain::clock::Timestamp;

/// A key with its name and its times. The private part is in nothing that could print it.
pub struct SigningKey {
    id: String,
    pair: EcdsaKeyPair,
    /// The coordinates of the public point.
    point: [[u8; 32]; 2],
    /// Since when verifiers can know it.
    pub published_at: Timestamp,
    /// From when on it signs, until the next one does.
    pub signs_from: Timestamp,
}

impl SigningKey {
    /// A new key; `None` if the machine has no randomness. That is the library's own: it makes keys and
    /// signatures with no other.
    pub fn mint(published_at: Timestamp, signs_from: Timestamp) -> Option<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        Self::of(pair, published_at, signs_from)
    }

    /// Reads what [`Self::to_pkcs8`] wrote.
    pub fn from_pkcs8(pkcs8: &[u8], published_at: Timestamp, signs_from: Timestamp) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
        Self::of(pair, published_at, signs_from)
    }

    fn of(pair: EcdsaKeyPair, published_at: Timestamp, signs_from: Timestamp) -> Option<Self> {
        // SEC 1 §2.3.3: 4, and then both coordinates.
        let Some((4, point)) = pair.public_key().as_ref().split_first() else { return None };
        let (x, y) = point.split_first_chunk::<32>()?;
        let point = [*x, y.try_into().ok()?];
        let [x, y] = point.map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        // RFC 7638 §3: the members that make the key, in the order of their names.
        let thumbprint = Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        Some(Self { id: URL_SAFE_NO_PAD.encode(thumbprint), pair, point, published_at, signs_from })
    }

    /// Its name, which follows from the key itself (RFC 7638). It is public.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The private key, for a store to keep.
    pub fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.pair.to_pkcs8v1().ok().map(|document| Zeroizing::new(document.as_ref().to_vec()))
    }

    /// What verifiers get (RFC 7517 §4).
    pub fn to_jwk(&self) -> Value {
        let [x, y] = self.point.map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y })
    }

    /// The signature of `message` as JWS has it: two numbers of 32 bytes (RFC 7518 §3.4).
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), message).ok()?;
        Some(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn a_key_survives_the_trip_through_its_bytes_and_keeps_its_name() {
        let key = SigningKey::mint(NOW, NOW).unwrap();
        let back = SigningKey::from_pkcs8(&key.to_pkcs8().unwrap(), NOW, NOW).unwrap();
        assert_eq!(back.id(), key.id());
        assert_eq!(back.to_jwk(), key.to_jwk());
        assert_ne!(SigningKey::mint(NOW, NOW).unwrap().id(), key.id());
        assert!(SigningKey::from_pkcs8(b"", NOW, NOW).is_none());
    }

    #[test]
    fn nothing_that_is_shown_has_the_private_part() {
        let key = SigningKey::mint(NOW, NOW).unwrap();
        assert!(key.to_jwk().get("d").is_none());
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ id: {:?}, .. }}", key.id()));
    }
}
