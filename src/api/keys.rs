//! Who calls: API keys, and holding back whoever tries wrong ones.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::ApiError;
use super::{Api, Via};
use crate::config::{ApiKey, Scope};
use crate::domain::secret::SecretHash;
use crate::http::lines::only;
use crate::sso::{Actor, Event};

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

impl Api {
    /// The key that a caller of the plain API presents, if it has `scope`.
    pub(super) fn authorize(
        &self,
        headers: &HeaderMap,
        via: &Via,
        scope: Scope,
    ) -> Result<Arc<ApiKey>, ApiError> {
        let Bearer::Key(presented) = Bearer::of(headers) else { return Err(ApiError::missing_token()) };
        let Some(key) = self.key_of(presented) else {
            return Err(self.wrong_key(via).map_or_else(ApiError::missing_token, ApiError::slow_down));
        };
        if key.allows(scope) { Ok(key) } else { Err(ApiError::insufficient_scope(scope)) }
    }

    /// The key whose secret is `presented`. Every key is compared, each in constant time, so that
    /// the time tells nothing.
    pub(super) fn key_of(&self, presented: &[u8]) -> Option<Arc<ApiKey>> {
        let presented = SecretHash::of(presented);
        let compare = |found: Option<Arc<ApiKey>>, key: &Arc<ApiKey>| {
            if key.secret == Some(presented) { Some(Arc::clone(key)) } else { found }
        };
        self.keys.iter().fold(None, compare)
    }

    /// The key with these OAuth 1.0a credentials. What they are is no secret by itself.
    pub(super) fn key_of_consumer(&self, consumer_key: &str, access_token: &str) -> Option<Arc<ApiKey>> {
        let owns = |key: &&Arc<ApiKey>| {
            key.oauth1
                .as_ref()
                .is_some_and(|own| own.consumer_key == consumer_key && own.access_token == access_token)
        };
        self.keys.iter().find(owns).cloned()
    }

    /// Notes a wrong key, and says how long its bearer has to wait if there were too many.
    ///
    /// A right key is never held back: callers share addresses, and one with an old key must not
    /// shut the others out. Keys are too long to be guessed at any rate at which they are tried.
    pub(super) fn wrong_key(&self, via: &Via) -> Option<Duration> {
        let address = via.client.address;
        if let Err(wait) = self.sso.note_wrong_key(address) {
            return Some(wait);
        }
        self.sso.note(Event::WrongKey, &via.cause_by(Actor::Stranger));
        None
    }
}
