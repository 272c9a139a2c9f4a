//! The signed word about a session that goes with its requests: signed once in minutes, not for each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use http::{HeaderValue, StatusCode};

use super::Gateway;
use super::fault::Fault;
use super::visit::Visit;
use crate::config::Site;
use crate::domain::assertion::{Assertion, PUBLISHED_FOR};
use crate::domain::clock::Timestamp;
use crate::domain::host::Origin;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{LiveSession, Session};
use crate::http::{Response, reply};

/// The assertions of one worker: of sessions that were in use within the last minutes, and so bounded by
/// what it serves. Each worker signs for itself, which takes less than to share.
#[derive(Default)]
pub(super) struct Assertions(RefCell<HashMap<SessionHash, Kept>>);

/// An assertion, and what was asserted.
struct Kept {
    live: Arc<LiveSession>,
    /// Who said so. A site without a `public_url` has as many names as visitors have for it; of these
    /// only the last is kept, so that nobody can fill the memory with names.
    issuer: Origin,
    assertion: Assertion,
    /// How often keys had been withdrawn when it was signed.
    withdrawn: u64,
}

impl Kept {
    fn is_of(&self, live: &Arc<LiveSession>, issuer: &Origin, now: Timestamp, withdrawn: u64) -> bool {
        self.assertion.is_fresh(now)
            && self.withdrawn == withdrawn
            && self.issuer == *issuer
            && (Arc::ptr_eq(&self.live, live) || says_the_same(&self.live.session, &live.session))
    }
}

/// Whether an assertion says the same of both. A store may read a session anew that nobody changed.
fn says_the_same(one: &Session, other: &Session) -> bool {
    (one.id, one.expires_at) == (other.id, other.expires_at) && one.identity == other.identity
}

impl Gateway {
    /// What the upstream of `site` gets with a request of `live`, if it is to get anything. Where it is
    /// and there is no key, there is no request either.
    pub(super) fn assertion(
        &self,
        site: &Site,
        live: Option<&Arc<LiveSession>>,
        issuer: &Origin,
        now: Timestamp,
    ) -> Result<Option<HeaderValue>, Fault> {
        let (Some(_), Some(live)) = (site.assertions, live) else { return Ok(None) };
        let withdrawn = self.shared.sso.signing_keys_withdrawn();
        let mut all = self.assertions.0.borrow_mut();
        if let Some(kept) = all.get(&live.hash)
            && kept.is_of(live, issuer, now, withdrawn)
        {
            return Ok(Some(kept.assertion.value.clone()));
        }
        let assertion = self.shared.sso.assert(&live.session, issuer, now)?;
        let value = assertion.value.clone();
        all.insert(live.hash, Kept { live: Arc::clone(live), issuer: issuer.clone(), assertion, withdrawn });
        Ok(Some(value))
    }

    /// Forgets assertions that nobody has asked for since they were due.
    pub(super) fn sweep_assertions(&self, now: Timestamp) {
        let mut all = self.assertions.0.borrow_mut();
        all.retain(|_, kept| kept.assertion.is_fresh(now));
        // What a busy hour took is given back after it.
        if all.capacity() > 64 + 4 * all.len() {
            all.shrink_to_fit();
        }
    }

    /// `/.tollgate/jwks.json`: the public keys, for everybody. It asks for no session and no store.
    pub(super) fn key_set(&self, visit: &Visit<'_>) -> Result<Response, Fault> {
        let ring = self.shared.sso.key_ring(&visit.front.site).ok_or(Fault::NotFound)??;
        let mut response = reply::with_body(StatusCode::OK, "application/jwk-set+json", ring.to_jwks());
        let headers = response.headers_mut();
        if let Ok(keep) = HeaderValue::from_str(&format!("public, max-age={}", PUBLISHED_FOR.as_secs())) {
            headers.insert(CACHE_CONTROL, keep);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        Ok(response)
    }
}
