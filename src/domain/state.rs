//! Binding a login to the browser that began it.
//!
//! Each browser has one random [`BrowserKey`] in a cookie. The `state` that goes to the login page
//! is derived from it by a one-way function, separately for each site: whoever sees the state (in
//! a log, a Referer, the login page) cannot make the cookie from it, all tabs of a browser share
//! it, and nothing has to be stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::entropy::Entropy;
use super::opaque::{ENCODED_LEN, LoginToken, SessionKey};
use super::site::SiteName;

/// What the state cookie carries: 256 random bits that name a browser, not a person.
#[derive(Clone)]
pub struct BrowserKey([u8; 32]);

impl BrowserKey {
    /// A new random key.
    pub fn mint(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// Reads the cookie's value; anything but 43 URL-safe characters is `None`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        let fits = text.len() == ENCODED_LEN;
        fits.then(|| URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()).flatten()?;
        Some(Self(bytes))
    }

    /// The cookie's value.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the server may remember in its place.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// The state that the login page of `site` is to pass on.
    pub fn state_for(&self, site: &SiteName) -> LoginState {
        let tag = self.tag([b"tollgate state\0", site.as_str().as_bytes()]);
        LoginState(URL_SAFE_NO_PAD.encode(tag))
    }

    /// The key of the session that this browser gets for `token`, if it gets one. The same as
    /// long as `receipt` is there, so that the browser can be given it again; nobody else can
    /// make it, not even the browser itself, which never sees the receipt.
    pub fn session_key(&self, token: &LoginToken, receipt: &Receipt) -> SessionKey {
        self.tag([b"tollgate session\0", token.hash().as_bytes(), &receipt.salt]).into()
    }

    /// An HMAC-SHA256 of `parts` under this key.
    pub(super) fn tag<const N: usize>(&self, parts: [&[u8]; N]) -> [u8; 32] {
        // RFC 2104 §2: a key shorter than the hash's block of 64 bytes is padded with zeros.
        let mut block = [0; 64];
        let (key, _padding) = block.split_at_mut(self.0.len());
        key.copy_from_slice(&self.0);
        let mac = parts.into_iter().fold(Hmac::<Sha256>::new(&block.into()), Mac::chain_update);
        mac.finalize().into_bytes().into()
    }
}

/// What the server keeps of a redemption for a moment: by which browser it was, and the random
/// part of the session's key.
#[derive(Clone)]
pub struct Receipt {
    /// [`BrowserKey::hash`].
    browser: [u8; 32],
    salt: [u8; 32],
}

impl Receipt {
    /// A receipt for `browser`.
    pub fn mint(browser: &BrowserKey, entropy: &dyn Entropy) -> Self {
        let mut salt = [0; 32];
        entropy.fill(&mut salt);
        Self { browser: browser.hash(), salt }
    }

    /// Whether both are for the same browser.
    pub fn is_of_the_browser_of(&self, other: &Self) -> bool {
        self.browser.ct_eq(&other.browser).into()
    }

    /// The browser and the random part, for a store to keep.
    pub fn to_parts(&self) -> ([u8; 32], [u8; 32]) {
        (self.browser, self.salt)
    }

    /// What was made of [`Self::to_parts`].
    pub fn from_parts(browser: [u8; 32], salt: [u8; 32]) -> Self {
        Self { browser, salt }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt(redacted)")
    }
}

impl fmt::Debug for BrowserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserKey(redacted)")
    }
}

/// The `state` parameter. Equality is in constant time.
#[derive(Clone)]
pub struct LoginState(String);

impl LoginState {
    /// What [`Self::parse`] takes, in words.
    pub const EXPECTED: &str = "1 to 512 visible characters";

    /// A state as a login page handed it to the token API: 1 to 512 visible ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((1..=512).contains(&text.len()) && visible).then(|| Self(text.to_owned()))
    }

    /// A state as [`BrowserKey::state_for`] makes them.
    pub fn parse_own(text: &str) -> Option<Self> {
        let url_safe = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        (text.len() == ENCODED_LEN && url_safe).then(|| Self(text.to_owned()))
    }

    /// The state as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for LoginState {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for LoginState {}

impl fmt::Debug for LoginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginState(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    #[test]
    fn a_state_belongs_to_one_browser_and_one_site() {
        let entropy = SeededEntropy::new(4);
        let (browser, other) = (BrowserKey::mint(&entropy), BrowserKey::mint(&entropy));
        let (a, b) = (SiteName::parse("a").unwrap(), SiteName::parse("b").unwrap());
        let again = BrowserKey::parse(browser.expose().as_bytes()).unwrap();
        assert_eq!(browser.state_for(&a), again.state_for(&a));
        assert_ne!(browser.state_for(&a), browser.state_for(&b));
        assert_ne!(browser.state_for(&a), other.state_for(&a));
        let state = browser.state_for(&a);
        assert_eq!(state.as_str().len(), 43);
        assert_eq!(LoginState::parse_own(state.as_str()), Some(state.clone()));
        for foreign in ["", "x", &state.as_str().replacen(|_: char| true, "&", 1), &format!("{state:?}")] {
            assert_eq!(LoginState::parse_own(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_session_key_is_made_of_browser_token_and_receipt() {
        let entropy = SeededEntropy::new(4);
        let (browser, other) = (BrowserKey::mint(&entropy), BrowserKey::mint(&entropy));
        let (token, next) = (LoginToken::mint(&entropy), LoginToken::mint(&entropy));
        let receipt = Receipt::mint(&browser, &entropy);
        let (owner, salt) = receipt.to_parts();
        let kept = Receipt::from_parts(owner, salt);
        let key = |browser: &BrowserKey, token, receipt| browser.session_key(token, receipt).expose();
        let first = key(&browser, &token, &receipt);
        assert_eq!(key(&browser, &token, &kept), first);
        assert_ne!(key(&other, &token, &receipt), first);
        assert_ne!(key(&browser, &next, &receipt), first);
        let later = Receipt::mint(&browser, &entropy);
        assert_ne!(key(&browser, &token, &later), first);
        assert!(later.is_of_the_browser_of(&receipt));
        assert!(!Receipt::mint(&other, &entropy).is_of_the_browser_of(&receipt));
    }
}
