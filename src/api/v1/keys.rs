//! `/v1/keys` and `/v1/signing_keys`: which secrets there are, how they are doing, and new ones to sign with.
//! No secret is ever shown here.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::keys::Held;
use super::super::{Api, Via};
use crate::config::{ApiKey, Means, Proof, Scope, Site};
use crate::domain::assertion::{KeyRing, Urgency};
use crate::domain::clock::Timestamp;
use crate::domain::site::SiteName;
use crate::http::{Request, Response, reply};

/// Of a hash: enough to tell which of two it is, and nothing to guess by.
const HASH_DIGITS: usize = 8;

impl Api {
    pub(super) fn list_keys(&self, request: &Request, via: &Via) -> Result<Response, ApiError> {
        let caller = self.authorize(request.headers(), via, Scope::Admin)?;
        let all = self.keys.all();
        let seen = all.iter().filter(|held| is_seen_by(&caller, &held.key));
        let keys: Vec<Value> = seen.map(shown).collect();
        let since = self.keys.uses.since.to_rfc3339();
        Ok(reply::json(StatusCode::OK, &json!({ "keys": keys, "counted_since": since })))
    }

    pub(super) fn list_signing_keys(&self, request: &Request, via: &Via) -> Result<Response, ApiError> {
        let caller = self.authorize(request.headers(), via, Scope::Admin)?;
        let mut keys = Vec::new();
        for site in self.signing_sites(&caller, None)? {
            let Some(ring) = self.sso.key_ring(&site) else { continue };
            keys.extend(self.shown_ring(&site, &*ring?));
        }
        Ok(reply::json(StatusCode::OK, &json!({ "signing_keys": keys })))
    }

    pub(super) async fn rotate_signing_keys(
        &self,
        request: Request,
        via: &Via,
    ) -> Result<Response, ApiError> {
        let (caller, fields) = self.authorize_with_fields(request, via, Scope::Admin).await?;
        fields.only(&["site", "compromised"])?;
        let is_compromised = fields.flag("compromised")?.unwrap_or(false);
        let urgency = if is_compromised { Urgency::Compromised } else { Urgency::Planned };
        let named = fields.text("site", 64)?;
        let sites = self.signing_sites(&caller, named)?;
        let all = sites.iter().map(|site| site.name.clone()).collect();
        let rings = self.sso.rotate_signing_keys(all, urgency, &via.cause(&caller)).await?;
        let keys: Vec<Value> =
            sites.iter().zip(rings).flat_map(|(site, ring)| self.shown_ring(site, &ring)).collect();
        Ok(reply::json(StatusCode::OK, &json!({ "signing_keys": keys })))
    }

    /// The sites that sign and for which `caller` may act: the one that is named, or all of them.
    fn signing_sites(&self, caller: &ApiKey, named: Option<&str>) -> Result<Vec<Arc<Site>>, ApiError> {
        let sites = match named {
            Some(name) => {
                vec![self.named_site(caller, name).map_err(|fault| fault.into_error("site", name))?]
            }
            None => self.sso.sites.all().iter().filter(|site| caller.covers(&site.name)).cloned().collect(),
        };
        Ok(sites.into_iter().filter(|site| self.sso.asserts(&site.name)).collect())
    }

    fn shown_ring(&self, site: &Site, ring: &KeyRing) -> Vec<Value> {
        let signer = ring.signer(self.sso.now()).id().to_owned();
        let shown = ring.keys().map(|key| {
            json!({
                "site": site.name.as_str(),
                "id": key.id(),
                "published_at": key.published_at.to_rfc3339(),
                "signs_from": key.signs_from.to_rfc3339(),
                "is_signing": key.id() == signer,
            })
        });
        shown.collect()
    }
}

/// Who may act for some sites alone learns of no key that is for others.
fn is_seen_by(caller: &ApiKey, key: &ApiKey) -> bool {
    match &key.sites {
        None => caller.sites.is_none(),
        Some(sites) => sites.iter().all(|site| caller.covers(site)),
    }
}

fn shown(held: &Held) -> Value {
    let last: Vec<_> = held.proofs().map(|(_, last)| last.at()).collect();
    describe_key(&held.key, &last)
}

/// What there is to know of a key, but for its secrets, each of which was used at the moment of `last` that
/// is in its place.
pub fn describe_key(key: &ApiKey, last: &[Option<Timestamp>]) -> Value {
    let last = last.iter().copied().chain(std::iter::repeat(None));
    let secrets: Vec<Value> = key.proofs.iter().zip(last).map(|(proof, at)| shown_proof(proof, at)).collect();
    let sites = key.sites.as_ref().map(|sites| sites.iter().map(SiteName::as_str).collect::<Vec<_>>());
    json!({
        "name": key.name,
        "scopes": key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "permission": key.permission.as_str(),
        "sites": sites,
        "secrets": secrets,
    })
}

fn shown_proof(proof: &Proof, last: Option<Timestamp>) -> Value {
    let (hash, consumer) = match &proof.means {
        Means::Bearer(hash) => (Some(hash.to_hex().chars().take(HASH_DIGITS).collect::<String>()), None),
        Means::OAuth1(credentials) => (None, Some(credentials.consumer_key.as_str())),
    };
    json!({
        "kind": if hash.is_some() { "bearer" } else { "oauth1" },
        "sha256_begins": hash,
        "consumer_key": consumer,
        "is_previous": proof.is_previous,
        "expires_at": proof.expires_at.map(Timestamp::to_rfc3339),
        "last_used_at": last.map(Timestamp::to_rfc3339),
    })
}
