//! What changes between the request that came and the one that goes, and on the way back. Pure.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, REFERER, TRANSFER_ENCODING};
use http::{HeaderMap, Uri, Version};

use super::ProxyError;
use super::forward::Errand;
use crate::domain::access::Permit;
use crate::domain::query::{extract_token, join};
use crate::http::connection::{HopByHop, is_framed_simply, remove_hop_by_hop};
use crate::http::cookies::{self, CookieNames};
use crate::http::forged::is_forged;
use crate::http::request_id::X_REQUEST_ID;

/// Room for what the gateway itself tells the upstream.
const OWN_FIELDS: usize = 16;

/// Makes the head that the upstream gets: anew, from what may pass, so that whatever path a
/// request took through the gateway, nothing forged can come along.
pub(super) fn to_upstream(
    head: &mut http::request::Parts,
    is_streamed: bool,
    permit: &Permit,
    errand: &Errand<'_>,
) {
    let came = std::mem::take(&mut head.headers);
    let hop_by_hop = HopByHop::of(&came);
    let passes = |name: &HeaderName| {
        // "100 Continue" is ours to say, and it is said when the body is first asked for: after
        // the access decision. Host is set below.
        *name != EXPECT
            && *name != HOST
            && !hop_by_hop.covers(name)
            && !is_forged(name, errand.site, errand.client)
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
    if is_streamed {
        // Its length is not known: whatever the method, the body has to be framed.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
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
/// on by way of `Referer`. One that cannot be cleaned goes.
fn clean_referer(headers: &mut HeaderMap, token_param: &str) {
    let Some(referer) = headers.get(REFERER) else { return };
    let is_only = headers.get_all(REFERER).into_iter().nth(1).is_none();
    let clean = referer.to_str().ok().filter(|_| is_only).and_then(|referer| {
        let Some((page, query)) = referer.split_once('?') else { return Some(None) };
        // The gateway's own addresses carry tokens under other names.
        if page.contains("/.tollgate/") || page.contains("/api/") && query.contains("token") {
            return None;
        }
        let Some(extracted) = extract_token(query, token_param) else { return Some(None) };
        HeaderValue::from_str(&join(page, extracted.rest.as_deref())).ok().map(Some)
    });
    match clean {
        Some(None) => {}
        Some(Some(clean)) => drop(headers.insert(REFERER, clean)),
        None => drop(headers.remove(REFERER)),
    }
}

/// Cleans the head that came back. An answer whose length can be read in more than one way is an
/// error (RFC 9112 §6.3): what a visitor's browser made of it, a cache in between might not.
pub(super) fn from_upstream(
    head: &mut http::response::Parts,
    cookie_names: &CookieNames,
) -> Result<(), ProxyError> {
    let headers = &mut head.headers;
    if !is_framed_simply(headers) {
        return Err(ProxyError::AmbiguousLength);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).into_iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => {}
        (Some(length), None) if length.as_bytes().iter().all(u8::is_ascii_digit) && !length.is_empty() => {}
        _ => return Err(ProxyError::AmbiguousLength),
    }
    remove_hop_by_hop(headers);
    cookies::refuse_foreign(headers, cookie_names);
    // Our own version, not the upstream's (RFC 9112 §2.3).
    head.version = Version::HTTP_11;
    Ok(())
}

/// The request target for the upstream: origin-form (RFC 9112 §3.2.1), with the path as it was
/// judged.
pub fn origin_form(path: &str, query: Option<&str>) -> Option<Uri> {
    Uri::try_from(join(path, query)).ok()
}
