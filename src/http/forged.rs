//! Taking away what a client may not say: identity, and where it comes from.

use http::header::HeaderName;

use crate::config::Site;
use crate::domain::identity::{begins_like, reads_like};

/// Forwarding fields, lower-case; whatever begins with `x-forwarded-` is one too.
const FORWARDING: [&[u8]; 3] = [b"forwarded", b"x-real-ip", b"x-request-id"];
const FORWARDING_PREFIX: &[u8] = b"x-forwarded-";

/// What gateway and upstream tell each other of a visitor's rights.
const RIGHTS: [&[u8]; 2] = [b"x-access-class", b"x-access-required"];

/// What some upstreams take for the request's real target: the rules have judged another.
const REROUTING: [&[u8]; 2] = [b"x-original-url", b"x-rewrite-url"];

/// What some upstreams take for the request's real method.
const METHOD_OVERRIDES: [&[u8]; 3] = [b"x-http-method-override", b"x-http-method", b"x-method-override"];

/// What says to which trace a request belongs: told anew, or again, by whoever is believed.
const TRACING: [&[u8]; 2] = [b"traceparent", b"tracestate"];

/// What some upstreams may take for the framing of a request, if it is not quite spelled so.
const FRAMING: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];

/// What a CGI program takes for the proxy that its own requests are to go through: it finds the field in the
/// variable `HTTP_PROXY` (CVE-2016-5385).
const PROXY: &[u8] = b"proxy";

/// Whether `name` is for the gateway alone to send to the upstream: a site's identity headers on
/// whatever path, and forwarding headers, which are told anew from what is known and from what a trusted
/// proxy said; and so are the words for a visitor's rights. Spellings that an application may take for
/// them count as well. So does what would make the upstream serve another path than the one that was
/// judged, or another method on a site whose rules know methods, or read another length than was read
/// here, or have its own requests go where the client likes.
pub fn is_forged(name: &HeaderName, site: &Site) -> bool {
    let bytes = name.as_str().as_bytes();
    site.identity.reserves(bytes)
        || misleads(bytes, site)
        || forwards(bytes)
        || frames(bytes)
        || traces(bytes)
}

/// Whether a client that sends `name` is up to something, where another proxy carries the request and
/// may not take it away: the same as [`is_forged`], less what proxies say themselves.
pub fn is_attempt(name: &HeaderName, site: &Site) -> bool {
    let bytes = name.as_str().as_bytes();
    let is_plain =
        bytes.starts_with(FORWARDING_PREFIX) || FORWARDING.contains(&bytes) || FRAMING.contains(&bytes);
    let misspelt = || !is_plain && (forwards(bytes) || frames(bytes));
    site.identity.reserves(bytes) || misleads(bytes, site) || misspelt()
}

fn misleads(name: &[u8], site: &Site) -> bool {
    let any_of = |names: &[&[u8]]| names.iter().any(|own| reads_like(name, own));
    match name.first() {
        Some(b'x') => {
            any_of(&REROUTING) || any_of(&RIGHTS) || site.rules.know_methods() && any_of(&METHOD_OVERRIDES)
        }
        Some(b'p') => name == PROXY,
        _ => false,
    }
}

fn forwards(name: &[u8]) -> bool {
    // All of these begin with one of two letters, and most fields do not.
    matches!(name.first(), Some(b'f' | b'x'))
        && (begins_like(name, FORWARDING_PREFIX) || FORWARDING.iter().any(|own| reads_like(name, own)))
}

fn frames(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'c' | b't')) && FRAMING.iter().any(|own| reads_like(name, own))
}

fn traces(name: &[u8]) -> bool {
    name.first() == Some(&b't') && TRACING.contains(&name)
}
