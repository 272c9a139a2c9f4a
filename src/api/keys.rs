//! Who calls: API keys, and holding back whoever tries wrong ones.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::ApiError;
use super::fields::Fields;
use super::key_uses::{KeyUses, LastUse};
use super::session::oauth1::{Nonce, Presented, SignatureFault};
use super::{Api, Via};
use crate::config::{ApiKey, OAuth1Credentials, Proof, Scope};
use crate::domain::clock::Timestamp;
use crate::domain::secret::SecretHash;
use crate::http::Request;
use crate::http::lines::only;
use crate::sso::{Actor, Cause, Circumstances, Event};

/// The keys that are good now. All generations of the settings have the same: a call may be begun with a key,
/// and its body be held back until the key has been taken away.
pub struct Keys {
    held: RwLock<Arc<[Held]>>,
    pub(super) uses: KeyUses,
}

impl Keys {
    /// These keys, whose uses are noted from `since` on.
    pub fn new(keys: &[ApiKey], since: Timestamp) -> Self {
        let uses = KeyUses::new(since);
        Self { held: RwLock::new(hold(keys, &uses)), uses }
    }

    /// From now on these are good, and no others.
    pub fn replace(&self, keys: &[ApiKey]) {
        let held = hold(keys, &self.uses);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// All of them, as they are now.
    pub(super) fn all(&self) -> Arc<[Held]> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn hold(keys: &[ApiKey], uses: &KeyUses) -> Arc<[Held]> {
    keys.iter().map(|key| Held::new(key.clone(), uses)).collect()
}

/// What an `Authorization` header offers.
pub(super) enum Bearer<'a> {
    /// No bearer key at all.
    Absent,
    /// A bearer key, right or wrong.
    Key(&'a [u8]),
}

impl<'a> Bearer<'a> {
    /// Reads `Authorization: Bearer KEY` (RFC 6750 §2.1); the scheme's case does not matter. Two
    /// fields are as good as none: who sends them does not know what is meant.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let Ok(Some(line)) = only(headers, AUTHORIZATION) else { return Self::Absent };
        match line.as_bytes().split_at_checked(b"bearer ".len()) {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => Self::Key(key.trim_ascii()),
            _ => Self::Absent,
        }
    }
}

/// An API key, and when each of its secrets was used last, in their order.
pub(super) struct Held {
    pub(super) key: Arc<ApiKey>,
    uses: Vec<Arc<LastUse>>,
}

impl Held {
    pub(super) fn new(key: ApiKey, uses: &KeyUses) -> Self {
        let uses = key.proofs.iter().map(|proof| uses.of(&proof.means)).collect();
        Self { key: Arc::new(key), uses }
    }

    pub(super) fn proofs(&self) -> impl Iterator<Item = (&Proof, &Arc<LastUse>)> {
        self.key.proofs.iter().zip(&self.uses)
    }
}

/// The secret that somebody has presented.
struct Found {
    key: Arc<ApiKey>,
    expires_at: Option<Timestamp>,
    last: Arc<LastUse>,
}

impl Found {
    fn new(held: &Held, proof: &Proof, last: &Arc<LastUse>) -> Self {
        Self { key: Arc::clone(&held.key), expires_at: proof.expires_at, last: Arc::clone(last) }
    }
}

/// Whose key somebody has.
pub enum Holder {
    /// Of one that counts.
    Good(Arc<ApiKey>),
    /// Of one that counted until this moment.
    Ended(Timestamp),
}

impl Api {
    /// The key that a caller of the plain API presents, if it has `scope`.
    pub(super) fn authorize(
        &self,
        headers: &HeaderMap,
        via: &Via,
        scope: Scope,
    ) -> Result<Arc<ApiKey>, ApiError> {
        let Bearer::Key(presented) = Bearer::of(headers) else { return Err(ApiError::missing_token()) };
        let key = match self.holder(presented, || via.circumstances()) {
            Some(Holder::Good(key)) => key,
            Some(Holder::Ended(at)) => return Err(ApiError::key_expired(at)),
            None => {
                let wait = self.wrong_key(via.circumstances());
                return Err(wait.map_or_else(ApiError::missing_token, ApiError::slow_down));
            }
        };
        if key.allows(scope) { Ok(key) } else { Err(ApiError::insufficient_scope(scope)) }
    }

    /// Whether there is a key of this kind.
    pub fn has_key(&self, is_one: impl Fn(&ApiKey) -> bool) -> bool {
        self.keys.all().iter().any(|held| is_one(&held.key))
    }

    /// The same for a call with a body, and what stands in that.
    pub(super) async fn authorize_with_fields(
        &self,
        request: Request,
        via: &Via,
        scope: Scope,
    ) -> Result<(Arc<ApiKey>, Fields), ApiError> {
        let headers = request.headers().clone();
        // Before anything is read of whoever has no key, and again when the body is there: that may take
        // until the key has been taken away.
        self.authorize(&headers, via, scope)?;
        let fields = Fields::of(request).await?;
        Ok((self.authorize(&headers, via, scope)?, fields))
    }

    /// For how long the key that a caller presents still counts; `None` if it has no end.
    pub(super) fn time_left(&self, headers: &HeaderMap) -> Option<Duration> {
        let Bearer::Key(presented) = Bearer::of(headers) else { return None };
        self.proof(presented)?.expires_at.map(|end| self.sso.now().until(end))
    }

    /// Who has the secret `presented`.
    pub fn holder(&self, presented: &[u8], from: impl FnOnce() -> Circumstances) -> Option<Holder> {
        Some(self.recognised(self.proof(presented)?, from))
    }

    /// The key that has the secret with this hash, and counts at `now`: for whoever showed it before.
    pub fn key_with(&self, secret: SecretHash, now: Timestamp) -> Option<Arc<ApiKey>> {
        let found = self.proof_with(secret)?;
        found.expires_at.is_none_or(|end| now < end).then_some(found.key)
    }

    /// Which secret `presented` is. Every key's is compared, each in constant time, so that the time tells
    /// nothing.
    fn proof(&self, presented: &[u8]) -> Option<Found> {
        self.proof_with(SecretHash::of(presented))
    }

    fn proof_with(&self, presented: SecretHash) -> Option<Found> {
        let mut found = None;
        for held in self.keys.all().iter() {
            for (proof, last) in held.proofs() {
                if proof.bearer() == Some(presented) {
                    found = Some(Found::new(held, proof, last));
                }
            }
        }
        found
    }

    /// Who made this signature, and what there is to remember of it. What its names are is no secret by
    /// itself; but whether there is a key of these names is not to be seen by the time that it takes.
    pub(super) fn signer(
        &self,
        presented: &Presented,
        via: &Via,
        now: Timestamp,
    ) -> Result<(Holder, Nonce), SignatureFault> {
        let is_named = |own: &OAuth1Credentials| {
            own.consumer_key == presented.consumer_key() && own.access_token == presented.token()
        };
        let mut outcome = presented.verify(None, now);
        let mut found = None;
        let (mut tried, mut most) = (0, 0);
        for held in self.keys.all().iter() {
            most = most.max(held.proofs().filter(|(proof, _)| proof.oauth1().is_some()).count());
            for (proof, last) in held.proofs() {
                let Some(own) = proof.oauth1().filter(|own| is_named(own)) else { continue };
                tried += 1;
                let verified = presented.verify(Some(own), now);
                // With the same secrets before and now, what it has now counts.
                if verified.is_ok() && found.is_none() {
                    (outcome, found) = (verified, Some(Found::new(held, proof, last)));
                }
            }
        }
        for _ in tried..most {
            let _takes_its_time = presented.verify(None, now);
        }
        let nonce = outcome?;
        let found = found.ok_or_else(|| presented.mismatch())?;
        Ok((self.recognised(found, || via.circumstances()), nonce))
    }

    fn recognised(&self, found: Found, from: impl FnOnce() -> Circumstances) -> Holder {
        let now = self.sso.now();
        match found.expires_at.filter(|end| *end <= now) {
            None => {
                found.last.note(now);
                Holder::Good(found.key)
            }
            Some(end) => {
                self.sso.note(Event::ExpiredKey, &Cause::of_key(&found.key, from()));
                Holder::Ended(end)
            }
        }
    }

    /// Notes a wrong key, and says how long its bearer has to wait if there were too many.
    ///
    /// A right key is never held back: callers share addresses, and one with an old key must not
    /// shut the others out. Keys are too long to be guessed at any rate at which they are tried.
    pub fn wrong_key(&self, from: Circumstances) -> Option<Duration> {
        if let Err(wait) = self.sso.note_wrong_key(from.client) {
            return Some(wait);
        }
        self.sso.note(Event::WrongKey, &Cause::new(Actor::Stranger, from));
        None
    }
}
