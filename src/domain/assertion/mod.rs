//! The signed word of the gateway about who is there: a JWT (RFC 7519) for upstreams that others can
//! reach as well, and the keys that sign it.

mod claims;
mod key;
mod ring;

pub use claims::{Assertion, LIFE};
pub use key::SigningKey;
pub use ring::{KeyRing, PREVIEW, PUBLISHED_FOR, RETIREMENT, Urgency};
