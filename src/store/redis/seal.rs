//! The seal on what is written: whoever cannot make it cannot make a value that is believed, nor
//! put a value that is believed in another's place.
//!
//! A sealed value is a version, an HMAC-SHA256 over its place and its content, cut to 128 bits, and
//! the content. With the nodes' common secret nobody else can make one. Without, the key is a fixed
//! one, and the seal still shows damage that just happens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::secret::Secret;
use crate::store::record::Damaged;

/// How many characters stand before the content. The scripts know it, too.
const HEAD: usize = 23;

const VERSION: u8 = b'1';

/// The seal itself, by which two values of one place can be told apart.
pub(super) type Mark = [u8; HEAD];

/// What makes seals.
pub(super) struct Seal(Hmac<Sha256>);

impl Seal {
    /// The seal of all nodes with this secret.
    pub(super) fn new(secret: Option<&Secret>) -> Self {
        let secret = secret.map_or("", Secret::expose);
        let key: [u8; 32] =
            Sha256::new().chain_update(b"tollgate store\0").chain_update(secret).finalize().into();
        // RFC 2104 §2: a key shorter than the hash's block of 64 bytes is padded with zeros.
        let mut block = [0; 64];
        let (begin, _padding) = block.split_at_mut(key.len());
        begin.copy_from_slice(&key);
        Self(Hmac::new(&block.into()))
    }

    fn mark(&self, place: &str, content: &[u8]) -> Mark {
        let mac = self.0.clone().chain_update(place).chain_update([0]).chain_update(content);
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        let (half, _rest) = mac.split_at(16);
        let mut mark = [VERSION; HEAD];
        let (_version, text) = mark.split_at_mut(1);
        // Sixteen bytes are 22 characters: that fits.
        let _ = URL_SAFE_NO_PAD.encode_slice(half, text);
        mark
    }

    /// `content`, to be written at `place`.
    pub(super) fn close(&self, place: &str, content: &str) -> Vec<u8> {
        let mark = self.mark(place, content.as_bytes());
        [&mark, content.as_bytes()].concat()
    }

    /// What was written at `place`, and its mark.
    pub(super) fn open<'a>(&self, place: &str, sealed: &'a [u8]) -> Result<(Mark, &'a [u8]), Damaged> {
        let (mark, content) = sealed.split_first_chunk::<HEAD>().ok_or(Damaged)?;
        let genuine: bool = self.mark(place, content).ct_eq(mark).into();
        if genuine { Ok((*mark, content)) } else { Err(Damaged) }
    }

    /// A name for `what` that tells nothing of it to whoever lacks the secret.
    pub(super) fn pseudonym(&self, what: &str) -> String {
        let [_version, name @ ..] = self.mark("pseudonym", what.as_bytes());
        name.iter().copied().map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_at_its_place_alone() {
        let seal = Seal::new(None);
        let sealed = seal.close("here", "content");
        assert_eq!(seal.open("here", &sealed).unwrap().1, b"content");
        assert_eq!(seal.open("there", &sealed), Err(Damaged));
        // Nor does a longer place take over the beginning of the content.
        assert_eq!(seal.open("here", &seal.close("her", "e\0content")), Err(Damaged));
        let other = Seal::new(Some(&Secret::new("another".into())));
        assert_eq!(other.open("here", &sealed), Err(Damaged));
        assert_ne!(seal.pseudonym("jane@example.com"), other.pseudonym("jane@example.com"));
    }

    #[test]
    fn no_part_of_it_can_be_changed() {
        let seal = Seal::new(None);
        let sealed = seal.close("here", "content");
        for index in 0..sealed.len() {
            let mut tampered = sealed.clone();
            tampered[index] ^= 1;
            assert_eq!(seal.open("here", &tampered), Err(Damaged), "{index}");
            assert_eq!(seal.open("here", &sealed[..index]), Err(Damaged), "{index}");
        }
    }
}
