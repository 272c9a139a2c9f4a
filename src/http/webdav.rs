//! Names out of RFC 4918, Web Distributed Authoring and Versioning.

use http::header::HeaderName;

/// `Destination`, §10.3.
pub static DESTINATION: HeaderName = HeaderName::from_static("destination");
