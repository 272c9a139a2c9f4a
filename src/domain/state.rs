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
use super::opaque::ENCODED_LEN;
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
        // RFC 2104 §2: a key shorter than the hash's block of 64 bytes is padded with zeros.
        let mut block = [0; 64];
        let (key, _padding) = block.split_at_mut(self.0.len());
        key.copy_from_slice(&self.0);
        let mac = Hmac::<Sha256>::new(&block.into());
        let tag = mac.chain_update(b"tollgate state\0").chain_update(site.as_str()).finalize();
        LoginState(URL_SAFE_NO_PAD.encode(tag.into_bytes()))
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
    /// A state as a login page handed it to the token API: 1 to 512 visible ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((1..=512).contains(&text.len()) && visible).then(|| Self(text.to_owned()))
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
        assert_eq!(browser.state_for(&a).as_str().len(), 43);
    }
}
