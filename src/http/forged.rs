//! Taking away what a client may not say: identity, and where it comes from.

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use super::client::Client;
use super::forwarded::{X_FORWARDED_HOST, X_FORWARDED_PORT};
use super::request_id::X_REQUEST_ID;
use crate::domain::identity::{IdentityHeaders, begins_like, reads_like};

/// Forwarding fields, lower-case; whatever begins with `x-forwarded-` is one too.
const FORWARDING: [&[u8]; 3] = [b"forwarded", b"x-real-ip", b"x-request-id"];
const FORWARDING_PREFIX: &[u8] = b"x-forwarded-";

/// What a trusted proxy may say under its right name.
const BELIEVED: [HeaderName; 6] = [
    FORWARDED,
    super::client::X_FORWARDED_FOR,
    super::client::X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_REQUEST_ID,
];

/// Removes from a request's `headers` (or trailers) what only the gateway may tell the upstream:
/// the site's identity headers on whatever path, and forwarding headers unless `client` came
/// through a trusted proxy. Spellings that an application may take for them count as well.
pub fn remove_forged(headers: &mut HeaderMap, identity: &IdentityHeaders, client: &Client) {
    let is_forged = |name: &&HeaderName| {
        let bytes = name.as_str().as_bytes();
        let forwarding = || {
            begins_like(bytes, FORWARDING_PREFIX)
                || FORWARDING.iter().any(|reserved| reads_like(bytes, reserved))
        };
        let believed = || client.by_trusted_proxy && BELIEVED.contains(name);
        identity.reserves(bytes) || forwarding() && !believed()
    };
    let forged: Vec<HeaderName> = headers.keys().filter(is_forged).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}
