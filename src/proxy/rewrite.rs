//! What changes between the request that came and the one that goes, and on the way back. Pure.

use http::header::{EXPECT, HOST, HeaderName, HeaderValue, REFERER};
use http::{HeaderMap, Uri, Version};

use super::forward::Errand;
use crate::domain::access::Permit;
use crate::domain::query::{extract_token, join};
use crate::http::connection::{HopByHop, remove_hop_by_hop};
use crate::http::cookies::{self, CookieNames};
use crate::http::forged::is_forged;
use crate::http::request_id::X_REQUEST_ID;

/// Room for what the gateway itself tells the upstream.
const OWN_FIELDS: usize = 16;

/// Makes the head that the upstream gets: anew, from what may pass, so that whatever path a
/// request took through the gateway, nothing forged can come along.
pub(super) fn to_upstream(head: &mut http::request::Parts, permit: &Permit, errand: &Errand<'_>) {
    let came = std::mem::take(&mut head.headers);
    let hop_by_hop = HopByHop::of(&came);
    let passes = |name: &HeaderName| {
        // "100 Continue" is ours to say, and it is said when the body is first asked for: after
        // the access decision. Host is set below.
        *name != EXPECT
            && *name != HOST
            && !hop_by_hop.covers(name)
            && !is_forged(name, &errand.site.identity, errand.client)
    };
    let mut headers = HeaderMap::with_capacity(came.len() + OWN_FIELDS);
    let host = if errand.site.preserve_host { errand.host.clone() } else { errand.own_host.clone() };
    headers.insert(HOST, host);
    let mut line_of: Option<HeaderName> = None;
    for (name, value) in came {
        // Only the first line of a field comes with its name.
        match name {
            Some(name) if passes(&name) => {
                headers.insert(name.clone(), value);
                line_of = Some(name);
            }
            Some(_) => line_of = None,
            None => {
                if let Some(name) = &line_of {
                    headers.append(name.clone(), value);
                }
            }
        }
    }
    if errand.hides_cookies {
        cookies::hide(&mut headers, errand.cookie_names);
    }
    clean_referer(&mut headers, &errand.site.token_param);
    errand.whereabouts.tell(&mut headers, errand.client);
    headers.insert(X_REQUEST_ID, errand.request_id.value().clone());
    if let Some(visitor) = permit.visitor() {
        for (name, value) in &visitor.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
    head.headers = headers;
    head.version = Version::HTTP_11;
    head.uri = errand.target.clone();
}

/// A page that was asked for with a token that was not redeemed (a HEAD, a form) must not hand it
/// on by way of `Referer`.
fn clean_referer(headers: &mut HeaderMap, token_param: &str) {
    let Some(referer) = headers.get(REFERER).and_then(|value| value.to_str().ok()) else { return };
    let Some((page, query)) = referer.split_once('?') else { return };
    let Some(extracted) = extract_token(query, token_param) else { return };
    match HeaderValue::from_str(&join(page, extracted.rest.as_deref())) {
        Ok(clean) => drop(headers.insert(REFERER, clean)),
        Err(_) => drop(headers.remove(REFERER)),
    }
}

/// Cleans the head that came back.
pub(super) fn from_upstream(headers: &mut HeaderMap, cookie_names: &CookieNames) {
    remove_hop_by_hop(headers);
    cookies::refuse_foreign(headers, cookie_names);
}

/// The request target for the upstream: origin-form (RFC 9112 §3.2.1), with the path as it was
/// judged.
pub fn origin_form(path: &str, query: Option<&str>) -> Option<Uri> {
    Uri::try_from(join(path, query)).ok()
}
