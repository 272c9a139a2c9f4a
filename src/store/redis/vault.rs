//! What nobody who reads the Redis may know: locked with a key that is made of the nodes' common
//! secret, and bound to its place.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::{Zeroize as _, Zeroizing};

use crate::domain::secret::Secret;
use crate::store::record::Damaged;

/// The version of the format, which is part of what is bound.
const VERSION: u8 = 1;

/// RFC 5116 §5.1: the length of a nonce.
const NONCE: usize = 12;

/// AES-256-GCM under nonces that are drawn by lot: a few in a month, where billions would be safe.
pub(super) struct Vault(RandomizedNonceKey);

impl Vault {
    /// The vault of all nodes with this secret. `None` if there can be no such key.
    pub(super) fn new(secret: &Secret) -> Option<Self> {
        // RFC 5869: the seal is made of the same secret, in another way.
        let extracted = Salt::new(HKDF_SHA256, b"tollgate vault").extract(secret.expose().as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        extracted.expand(&[b"signing keys"], HKDF_SHA256).ok()?.fill(key.as_mut_slice()).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).ok().map(Self)
    }

    /// `content`, to be written at `place`: a version, a nonce, and what only the vault can read.
    pub(super) fn close(&self, place: &str, mut content: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, Damaged> {
        let closed = self.0.seal_in_place_append_tag(Aad::from(bound(place)), &mut *content);
        let nonce = closed.map_err(|_| Damaged)?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), &content].concat())
    }

    /// What was written at `place`.
    pub(super) fn open(&self, place: &str, mut closed: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, Damaged> {
        let Some((&mut VERSION, rest)) = closed.split_first_mut() else { return Err(Damaged) };
        let (nonce, locked) = rest.split_at_mut_checked(NONCE).ok_or(Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Damaged)?;
        let opened = self.0.open_in_place(nonce, Aad::from(bound(place)), locked);
        let content = opened.map(|content| Zeroizing::new(content.to_vec())).map_err(|_| Damaged);
        closed.zeroize();
        content
    }
}

fn bound(place: &str) -> Vec<u8> {
    [&[VERSION], place.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(secret: &str) -> Vault {
        Vault::new(&Secret::new(secret.to_owned())).unwrap()
    }

    #[test]
    fn what_was_locked_opens_at_its_place_alone() {
        let own = vault("a secret of all nodes");
        let content = || Zeroizing::new(b"content".to_vec());
        let locked = own.close("here", content()).unwrap();
        assert!(!locked.windows(7).any(|window| window == b"content"));
        assert_eq!(own.open("here", locked.clone()).unwrap().as_slice(), b"content");
        assert_eq!(own.open("there", locked.clone()), Err(Damaged));
        assert_eq!(vault("another secret of nodes").open("here", locked.clone()), Err(Damaged));
        assert_ne!(own.close("here", content()).unwrap(), locked, "it never looks the same twice");
    }

    #[test]
    fn no_part_of_it_can_be_changed() {
        let own = vault("a secret of all nodes");
        let locked = own.close("here", Zeroizing::new(b"content".to_vec())).unwrap();
        for index in 0..locked.len() {
            let mut tampered = locked.clone();
            tampered[index] ^= 1;
            assert_eq!(own.open("here", tampered), Err(Damaged), "{index}");
            assert_eq!(own.open("here", locked[..index].to_vec()), Err(Damaged), "{index}");
        }
    }
}
