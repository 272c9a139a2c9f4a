//! What a store that outlives the process writes down of a site's keys. It has the private ones in it:
//! what is read and written is wiped from memory when it is done with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::Damaged;
use crate::domain::assertion::{KeyRing, SigningKey};
use crate::domain::clock::Timestamp;

#[derive(Serialize, Deserialize)]
struct RingRecord {
    revision: u64,
    keys: Vec<KeyRecord>,
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    pkcs8: Zeroizing<String>,
    published_at: u64,
    signs_from: u64,
}

/// The record of `ring`.
pub(super) fn write(ring: &KeyRing) -> Result<Zeroizing<String>, Damaged> {
    let key = |key: &SigningKey| {
        let pkcs8 = key.to_pkcs8().ok_or(Damaged)?;
        Ok(KeyRecord {
            pkcs8: Zeroizing::new(URL_SAFE_NO_PAD.encode(&*pkcs8)),
            published_at: key.published_at.as_millis(),
            signs_from: key.signs_from.as_millis(),
        })
    };
    let keys = ring.keys().map(|one| key(one)).collect::<Result<_, Damaged>>()?;
    let record = RingRecord { revision: ring.revision, keys };
    serde_json::to_string(&record).map(Zeroizing::new).map_err(|_| Damaged)
}

/// What `record` stands for.
pub(super) fn read(record: &[u8]) -> Result<KeyRing, Damaged> {
    let record: RingRecord = serde_json::from_slice(record).map_err(|_| Damaged)?;
    let key = |key: KeyRecord| {
        let pkcs8 = URL_SAFE_NO_PAD.decode(key.pkcs8.as_bytes()).map(Zeroizing::new).ok()?;
        let [published_at, signs_from] = [key.published_at, key.signs_from].map(Timestamp::from_millis);
        SigningKey::from_pkcs8(&pkcs8, published_at, signs_from)
    };
    let keys = record.keys.into_iter().map(key).collect::<Option<Vec<_>>>().ok_or(Damaged)?;
    KeyRing::restore(record.revision, keys).ok_or(Damaged)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_survive_the_trip_through_their_record() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let ring = KeyRing::begin(now).unwrap();
        let ring = ring.advance(now, Duration::from_hours(24)).unwrap();
        let record = write(&ring).unwrap();
        let back = read(record.as_bytes()).unwrap();
        assert_eq!((back.to_jwks(), back.revision), (ring.to_jwks(), 2));
        for damaged in ["", "{}", r#"{"revision":1,"keys":[]}"#, record.get(1..).unwrap()] {
            assert!(read(damaged.as_bytes()).is_err(), "{damaged}");
        }
    }
}
