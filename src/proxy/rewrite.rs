//! What changes between the request that came and the one that goes, and on the way back. Pure.

use http::header::{EXPECT, HOST, HeaderValue, REFERER};
use http::{HeaderMap, Uri, Version};

use super::forward::Errand;
use crate::domain::access::Permit;
use crate::domain::query::{extract_token, join};
use crate::http::connection::remove_hop_by_hop;
use crate::http::cookies::{self, CookieNames};
use crate::http::forwarded;
use crate::http::request_id::X_REQUEST_ID;

/// Makes the head that the upstream gets. Forged headers are gone already: they go before
/// anything else is decided.
pub(super) fn to_upstream(head: &mut http::request::Parts, permit: &Permit, errand: &Errand<'_>) {
    let headers = &mut head.headers;
    remove_hop_by_hop(headers);
    // "100 Continue" is ours to say, and it is said when the body is first asked for: after the
    // access decision.
    headers.remove(EXPECT);
    cookies::hide(headers, errand.cookie_names);
    clean_referer(headers, &errand.site.token_param);
    let host = if errand.site.preserve_host { errand.host } else { &errand.site.upstream.authority };
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(HOST, host);
    }
    forwarded::set(headers, errand.client, errand.origin);
    headers.insert(X_REQUEST_ID, errand.request_id.value().clone());
    if let Some(visitor) = permit.visitor() {
        for (name, value) in &visitor.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
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
