//! A site's keys, and how one follows the other without a verifier ever meeting a signature whose key
//! it could not know.
//!
//! The next key is published [a day](PREVIEW) before it signs, so that whoever keeps the published keys
//! for less than that knows it in time. The last one stays until the last it signed has expired and
//! nobody can have been told of the old list but those who know both.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::key::SigningKey;
use crate::domain::clock::Timestamp;

/// How long a key is published before it signs.
pub const PREVIEW: Duration = Duration::from_hours(24);

/// How long the list of keys may be kept by whoever fetched it.
pub const PUBLISHED_FOR: Duration = Duration::from_hours(1);

/// How long a key is published after the next one began to sign: what it signed is good for minutes,
/// and clocks may differ.
pub const RETIREMENT: Duration = Duration::from_hours(2);

/// How far the clocks of those who look after a ring may be apart.
const CLOCKS_DIFFER: Duration = Duration::from_hours(1);

/// Why there is to be another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It is time for one: it is published as any other, and signs when everybody can know it.
    Planned,
    /// Somebody else may have those that there are: the new one signs at once, and they are not published
    /// any more.
    Compromised,
}

/// The keys of one site in the order in which they sign, at least one.
#[derive(Clone, Debug)]
pub struct KeyRing {
    /// Counts the changes: of several who want to change it at once, one does.
    pub revision: u64,
    first: Arc<SigningKey>,
    others: Vec<Arc<SigningKey>>,
}

impl KeyRing {
    /// The first ring of a site. Its key signs at once, since nobody can know an older one.
    pub fn begin(now: Timestamp) -> Option<Self> {
        Some(Self { revision: 1, first: Arc::new(SigningKey::mint(now, now)?), others: Vec::new() })
    }

    /// The ring with these keys, which stand in the order in which they sign; `None` without any.
    pub fn restore(revision: u64, keys: Vec<SigningKey>) -> Option<Self> {
        if !keys.is_sorted_by_key(|key| key.signs_from) {
            return None;
        }
        let mut keys = keys.into_iter().map(Arc::new);
        Some(Self { revision, first: keys.next()?, others: keys.collect() })
    }

    /// All keys, the oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The key that signs at `now`.
    pub fn signer(&self, now: Timestamp) -> &SigningKey {
        self.others.iter().rev().find(|key| key.signs_from <= now).unwrap_or(&self.first)
    }

    /// The ring that takes this one's place at `now`, if each key is to sign for `age`; `None` as long as
    /// there is nothing to change.
    pub fn advance(&self, now: Timestamp, age: Duration) -> Option<Self> {
        let mut keys: Vec<Arc<SigningKey>> = self.keys().cloned().collect();
        let retired = self.others.iter().take_while(|next| next.signs_from.after(RETIREMENT) <= now).count();
        keys.drain(..retired);
        let is_mended = Self::mend_times(&mut keys, now)?;
        let signs_from = keys.last()?.signs_from.after(age);
        let is_due = signs_from <= now.after(PREVIEW);
        if is_due {
            // However late it is: everybody is told a day before.
            let signs_from = signs_from.max(now.after(PREVIEW));
            keys.push(Arc::new(SigningKey::mint(now, signs_from)?));
        }
        if retired == 0 && !is_mended && !is_due {
            return None;
        }
        let mut keys = keys.into_iter();
        Some(Self { revision: self.revision.saturating_add(1), first: keys.next()?, others: keys.collect() })
    }

    /// The ring that takes this one's place at `now` because somebody asks for another key; `None` if the
    /// next one is on its way already, or the machine has no randomness.
    pub fn rotate(&self, now: Timestamp, urgency: Urgency) -> Option<Self> {
        let revision = self.revision.saturating_add(1);
        match urgency {
            Urgency::Planned if self.keys().any(|key| now < key.signs_from) => None,
            Urgency::Planned => {
                let next = Arc::new(SigningKey::mint(now, now.after(PREVIEW))?);
                let others = self.others.iter().cloned().chain([next]).collect();
                Some(Self { revision, first: Arc::clone(&self.first), others })
            }
            Urgency::Compromised => Some(Self { revision, ..Self::begin(now)? }),
        }
    }

    /// Whether a key that signed in `self` is gone from `next`, before its time: nothing that it signed is
    /// to be sent any more.
    pub fn is_withdrawn_by(&self, next: &Self, now: Timestamp) -> bool {
        let signer = self.signer(now).id();
        !next.keys().any(|key| key.id() == signer)
    }

    /// Gives the newest key the times that it would have got at `now`, if a clock gave it its own that was
    /// ahead; whether that was so. Nothing would follow it until those times come, which may be in years.
    ///
    /// If not it alone is from the future, then rather this clock is behind.
    fn mend_times(keys: &mut [Arc<SigningKey>], now: Timestamp) -> Option<bool> {
        let (newest, older) = keys.split_last_mut()?;
        let signs_from = if older.is_empty() { now } else { now.after(PREVIEW) };
        let is_early = |key: &SigningKey| now.after(CLOCKS_DIFFER) < key.published_at;
        let is_wrong = is_early(newest) && !older.iter().any(|key| is_early(key));
        if is_wrong {
            *newest = Arc::new(SigningKey::from_pkcs8(&newest.to_pkcs8()?, now, signs_from)?);
        }
        Some(is_wrong)
    }

    /// What verifiers get: a JWK set (RFC 7517 §5) with the public part of each key.
    pub fn to_jwks(&self) -> String {
        json!({ "keys": self.keys().map(|key| key.to_jwk()).collect::<Vec<_>>() }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const AGE: Duration = Duration::from_hours(30 * 24);

    fn ids(ring: &KeyRing) -> Vec<String> {
        ring.keys().map(|key| key.id().to_owned()).collect()
    }

    fn hours(n: u64) -> Timestamp {
        START.after(Duration::from_hours(n))
    }

    #[test]
    fn each_key_is_known_before_it_signs_and_after() {
        let first = KeyRing::begin(START).unwrap();
        let day = 24;
        assert!(first.advance(hours(29 * day - 1), AGE).is_none());
        let second = first.advance(hours(29 * day), AGE).unwrap();
        let [old, new] = ids(&second).try_into().unwrap();
        assert_eq!((&old, second.revision), (&ids(&first)[0], 2));
        assert_eq!(second.signer(hours(30 * day - 1)).id(), old);
        assert_eq!(second.signer(hours(30 * day)).id(), new);
        assert!(second.advance(hours(30 * day + 1), AGE).is_none());
        let third = second.advance(hours(30 * day + 2), AGE).unwrap();
        assert_eq!((ids(&third), third.revision), (vec![new], 3));
    }

    #[test]
    fn a_ring_that_nobody_looked_after_still_tells_everybody_in_time() {
        let first = KeyRing::begin(START).unwrap();
        let late = hours(365 * 24);
        assert_eq!(first.signer(late).id(), ids(&first)[0], "it signs until there is another");
        let second = first.advance(late, AGE).unwrap();
        let [old, new] = ids(&second).try_into().unwrap();
        assert_eq!(second.signer(late.after(Duration::from_hours(23))).id(), old);
        assert_eq!(second.signer(late.after(PREVIEW)).id(), new);
        // Of a year in which it rested it has no more than two.
        let later = late.after(Duration::from_hours(365 * 24));
        assert_eq!(ids(&second.advance(later, AGE).unwrap()).len(), 2);
    }

    #[test]
    fn a_list_that_may_be_kept_has_the_next_signer_in_it() {
        assert!(PUBLISHED_FOR < PREVIEW && PUBLISHED_FOR + super::super::LIFE < RETIREMENT);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_moment_does_not_stop_them() {
        let (day, years) = (24, 3 * 365 * 24);
        let first = KeyRing::begin(START).unwrap();
        let ahead = first.advance(hours(years), AGE).unwrap();
        let [old, new] = ids(&ahead).try_into().unwrap();
        let mended = ahead.advance(hours(1), AGE).unwrap();
        assert_eq!((ids(&mended), mended.revision), (vec![old.clone(), new.clone()], 3));
        assert_eq!(mended.signer(hours(day)).id(), old, "everybody is told a day before");
        assert_eq!(mended.signer(hours(day + 1)).id(), new);
        assert!(mended.advance(hours(2), AGE).is_none(), "once is enough");
        // One that was all there was when the clock was put right.
        let alone = KeyRing::begin(hours(years)).unwrap();
        let mended = alone.advance(hours(0), AGE).unwrap();
        assert_eq!(ids(&mended), ids(&alone));
        assert_eq!(ids(&mended.advance(hours(29 * day), AGE).unwrap()).len(), 2);
    }

    #[test]
    fn a_clock_that_is_behind_for_a_moment_hurries_no_key() {
        let ring = KeyRing::begin(hours(1000)).unwrap().advance(hours(1000 + 29 * 24), AGE).unwrap();
        assert!(ring.advance(hours(0), AGE).is_none());
        assert_eq!(ring.signer(hours(0)).id(), ids(&ring)[0]);
    }

    #[test]
    fn no_ring_is_empty_or_out_of_order() {
        assert!(KeyRing::restore(1, Vec::new()).is_none());
        let key = |hour| SigningKey::mint(START, hours(hour)).unwrap();
        assert!(KeyRing::restore(1, vec![key(1), key(0)]).is_none());
        assert!(KeyRing::restore(1, vec![key(0), key(1)]).is_some());
    }
}
