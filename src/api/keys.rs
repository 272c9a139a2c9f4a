//! Who calls: API keys, and holding back whoever tries wrong ones.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::ApiError;
use super::{Api, Via};
use crate::config::{ApiKey, Scope};
use crate::domain::secret::SecretHash;
use crate::sso::throttle::Culprit;

/// What an `Authorization` header offers.
pub(super) enum Bearer<'a> {
    /// No bearer key at all.
    Absent,
    /// A bearer key, right or wrong.
    Key(&'a [u8]),
}

impl<'a> Bearer<'a> {
    /// Reads `Authorization: Bearer KEY` (RFC 6750 §2.1); the scheme's case does not matter.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let credentials = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let split = credentials.and_then(|value| value.split_at_checked(b"bearer ".len()));
        match split {
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
        let culprit = Culprit::from(via.client.address);
        self.sso.wrong_keys.check(culprit, self.sso.now()).map_err(ApiError::slow_down)?;
        let Bearer::Key(presented) = Bearer::of(headers) else { return Err(ApiError::missing_token()) };
        let Some(key) = self.key_of(presented) else {
            self.note_wrong_key(via);
            return Err(ApiError::missing_token());
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

    pub(super) fn note_wrong_key(&self, via: &Via) {
        let address = via.client.address;
        self.sso.wrong_keys.note_failure(Culprit::from(address), self.sso.now());
        tracing::warn!(target: "tollgate::audit", event = "wrong_key", client = %address);
    }
}
