//! Names of WebDAV (RFC 4918).

use http::header::HeaderName;

/// `Destination`, §10.3.
pub static DESTINATION: HeaderName = HeaderName::from_static("destination");
