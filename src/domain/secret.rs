//! Secrets that never show in Debug output and are compared in constant time.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret that has to be known in plain, such as an OAuth 1.0a signing secret.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `plain`, which is wiped from memory when the secret is dropped.
    pub fn new(plain: String) -> Self {
        Self(Zeroizing::new(plain))
    }

    /// The secret itself: for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What to keep where the secret is only ever compared.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }
}

/// In a time that depends on the lengths alone.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        are_same(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Whether `a` and `b` are the same bytes, in a time that depends on their length alone. For what is
/// compared with every request: it goes by whole words, of which the last two may share some bytes.
pub fn are_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let apart = |a: &[u8; 8], b: &[u8; 8]| u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b);
    let mut difference = match (a.last_chunk(), b.last_chunk()) {
        (Some(a), Some(b)) => apart(a, b),
        _ => a.iter().zip(b).fold(0, |all, (a, b)| all | u64::from(a ^ b)),
    };
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        difference |= apart(a, b);
    }
    difference.ct_eq(&0).into()
}

/// The SHA-256 of a secret of high entropy, such as an API key.
///
/// Equality is in constant time and tells nothing of the length of what was hashed.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of `secret`.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads 64 hexadecimal digits; `None` for anything else.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits: &[u8; 64] = hex.as_bytes().try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(hash))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(redacted)")
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, *byte]).map(|byte| char::from(hex_digit(byte))).collect()
}

/// The lower-case hexadecimal digit of the lower half of `byte`.
pub const fn hex_digit(byte: u8) -> u8 {
    let value = byte & 0xf;
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_the_trip_through_hex() {
        let hash = SecretHash::of(b"secret");
        assert_eq!(SecretHash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(SecretHash::from_hex(&hash.to_hex().to_uppercase()), Some(hash));
        assert_eq!(SecretHash::from_hex("abc"), None);
        assert_eq!(SecretHash::from_hex(&"g".repeat(64)), None);
        assert_eq!(SecretHash::from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("hunter2".into());
        assert!(!format!("{secret:?} {:?}", secret.hash()).contains("hunter2"));
    }

    #[test]
    fn bytes_are_the_same_or_not() {
        let long: Vec<u8> = (0..40).collect();
        for length in 0..40 {
            let (own, _) = long.split_at(length);
            assert!(are_same(own, &Vec::from(own)), "{length}");
            assert!(!are_same(own, &long[..=length]), "{length}");
            for place in 0..length {
                let mut other = own.to_vec();
                other[place] ^= 0x80;
                assert!(!are_same(own, &other), "{length}/{place}");
            }
        }
    }
}
