//! Taking away what a client may not say: identity, and where it comes from.

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

/// Whether `name` is for the gateway alone to send to the upstream: a site's identity headers on
/// whatever path, and forwarding headers unless `client` came through a trusted proxy. Spellings
/// that an application may take for them count as well.
pub fn is_forged(name: &HeaderName, identity: &IdentityHeaders, client: &Client) -> bool {
    let bytes = name.as_str().as_bytes();
    // All of these begin with one of two letters, and most fields do not.
    let may_forward = matches!(bytes.first(), Some(b'f' | b'x'));
    let forwards = may_forward
        && (begins_like(bytes, FORWARDING_PREFIX) || FORWARDING.iter().any(|own| reads_like(bytes, own)));
    identity.reserves(bytes) || forwards && !(client.by_trusted_proxy && BELIEVED.contains(name))
}
