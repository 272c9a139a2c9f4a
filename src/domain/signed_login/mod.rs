//! Login tokens that a login page makes by itself: JSON Web Tokens (RFC 7519) that say who comes, signed
//! with a key that the site knows. No call to the gateway is needed for one.
//!
//! Such a token is believed once, and then stands for an ordinary one-time token
//! ([`SignedLogin::stand_in`]): everything that holds for those holds for it from there on.

mod claims;
mod key;

pub use claims::Claims;
pub use key::{LoginKey, ProvenLogin, Unproven};

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::opaque::LoginToken;

/// The longest that is looked at. Browsers and servers get into trouble with longer URLs.
pub const MAX_BYTES: usize = 8 * 1024;

/// A login token as a visitor brings it.
#[derive(Clone, Debug)]
pub enum BroughtToken {
    /// One that the gateway issued.
    Issued(LoginToken),
    /// One that a login page signed.
    Signed(SignedLogin),
}

impl BroughtToken {
    /// Reads a token of either kind; `None` for what has the shape of neither.
    pub fn parse(text: &str) -> Option<Self> {
        let issued = || LoginToken::parse(text.as_bytes()).map(Self::Issued);
        issued().or_else(|| SignedLogin::parse(text).map(Self::Signed))
    }

    /// The characters that were brought. They are the secret itself.
    pub fn expose(&self) -> String {
        match self {
            Self::Issued(token) => token.expose(),
            Self::Signed(signed) => signed.text.as_str().to_owned(),
        }
    }
}

/// What has the shape of a signed token. Nothing is known yet of who made it.
#[derive(Clone)]
pub struct SignedLogin {
    text: Zeroizing<String>,
}

impl SignedLogin {
    /// Three parts in the URL-safe alphabet, parted by dots (RFC 7515 §7.1), none of them empty: a
    /// token without a signature is none.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(allowed);
        let has_shape =
            text.len() <= MAX_BYTES && text.split('.').count() == 3 && text.split('.').all(is_part);
        has_shape.then(|| Self { text: Zeroizing::new(text.to_owned()) })
    }

    /// The one-time token in its place once it has been believed. Whoever has the signed one can make
    /// it, and nobody else.
    pub fn stand_in(&self) -> LoginToken {
        let bytes: [u8; 32] = Sha256::digest(self.text.as_bytes()).into();
        LoginToken::from(bytes)
    }
}

impl fmt::Debug for SignedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedLogin(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    #[test]
    fn a_token_is_told_by_its_shape() {
        let issued = LoginToken::mint(&SeededEntropy::new(1)).expose();
        assert!(matches!(BroughtToken::parse(&issued), Some(BroughtToken::Issued(_))));
        for text in ["a.b.c", "eyJh.eyJz-_.x"] {
            let brought = BroughtToken::parse(text).unwrap();
            assert_eq!(
                (format!("{brought:?}").as_str(), brought.expose().as_str()),
                ("Signed(SignedLogin(redacted))", text)
            );
        }
        let long = format!("a.{}.c", "b".repeat(MAX_BYTES));
        for text in ["", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c=", "a.b+.c", "a.b.c ", &long] {
            assert!(BroughtToken::parse(text).is_none(), "{text}");
        }
    }
}
