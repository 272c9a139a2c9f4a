//! 256-bit random values that stand for something kept on the server, and the hashes that are
//! kept in their place.
//!
//! The plain value ([`LoginToken`], [`SessionKey`]) is only ever with the browser; a store sees
//! nothing but its SHA-256 ([`TokenHash`], [`SessionHash`]). They are different types, so that
//! the one cannot be stored, and the other cannot be sent, by mistake.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::entropy::Entropy;

/// How many characters a 256-bit value has in unpadded URL-safe base64.
pub const ENCODED_LEN: usize = 43;

macro_rules! opaque {
    ($(#[$plain_doc:meta])* $plain:ident, $(#[$hash_doc:meta])* $hash:ident) => {
        $(#[$plain_doc])*
        #[derive(Clone)]
        pub struct $plain([u8; 32]);

        impl $plain {
            /// A new random value.
            pub fn mint(entropy: &dyn Entropy) -> Self {
                let mut bytes = [0; 32];
                entropy.fill(&mut bytes);
                Self(bytes)
            }

            /// Reads the 43 characters that [`Self::expose`] makes; anything else is `None`.
            pub fn parse(text: &[u8]) -> Option<Self> {
                decode(text).map(Self)
            }

            /// The 43 URL-safe characters that are handed out. They are the secret itself.
            pub fn expose(&self) -> String {
                URL_SAFE_NO_PAD.encode(self.0)
            }

            /// What is stored in its place.
            pub fn hash(&self) -> $hash {
                $hash(Sha256::digest(self.0).into())
            }
        }

        impl Drop for $plain {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }

        impl fmt::Debug for $plain {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($plain), "(redacted)"))
            }
        }

        $(#[$hash_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $hash([u8; 32]);

        impl $hash {
            /// The hash as such, for a store to keep.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// What a store kept of [`Self::as_bytes`].
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }
    };
}

opaque! {
    /// A one-time login token as the login page and the browser carry it.
    LoginToken,
    /// The SHA-256 of a [`LoginToken`]: what a token store keeps.
    TokenHash
}

impl TokenHash {
    /// The first half of it, by which a token is known where there is no room for the whole.
    pub fn half(&self) -> [u8; 16] {
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

opaque! {
    /// The value of a session cookie.
    SessionKey,
    /// The SHA-256 of a [`SessionKey`]: what a session store keeps.
    SessionHash
}

opaque! {
    /// The value of the cookie of an operator who has signed in to the admin page.
    OperatorKey,
    /// The SHA-256 of an [`OperatorKey`]: what is kept of it.
    OperatorHash
}

impl From<[u8; 32]> for SessionKey {
    /// For a key that is made of other secrets.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<[u8; 32]> for LoginToken {
    /// For a token that is made of other secrets.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Strict: exactly 43 characters of the URL-safe alphabet, with no stray bits in the last one, so
/// that a value has one spelling only.
fn decode(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != ENCODED_LEN {
        return None;
    }
    let mut bytes = [0; 32];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (written == bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    #[test]
    fn a_value_survives_the_trip_through_its_text() {
        let token = LoginToken::mint(&SeededEntropy::new(1));
        let text = token.expose();
        assert_eq!(text.len(), ENCODED_LEN);
        let back = LoginToken::parse(text.as_bytes()).expect("reads what it wrote");
        assert_eq!(back.hash(), token.hash());
    }

    #[test]
    fn a_value_has_one_spelling_only() {
        let zero = "A".repeat(ENCODED_LEN);
        assert!(LoginToken::parse(zero.as_bytes()).is_some());
        let stray_bits = format!("{}B", "A".repeat(ENCODED_LEN - 1));
        for other in [
            "",
            "short",
            &stray_bits,
            &format!("{zero}="),
            &"+".repeat(43),
            &format!(" {}", "A".repeat(42)),
            &"é".repeat(21),
        ] {
            assert!(LoginToken::parse(other.as_bytes()).is_none(), "{other:?}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let key = SessionKey::mint(&SeededEntropy::new(2));
        assert_eq!(format!("{key:?}"), "SessionKey(redacted)");
    }
}
