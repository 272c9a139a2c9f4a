//! What an upstream's answer says besides its content: for whom it is, which is for the gateway alone
//! to hear ([`X_ACCESS_REQUIRED`]), and what it says to caches (see [`super::caching`]).

use http::header::{
    CACHE_CONTROL, CONTENT_LOCATION, EXPIRES, HeaderMap, HeaderName, HeaderValue, LOCATION, REFRESH,
    SET_COOKIE, VARY, WWW_AUTHENTICATE,
};

use super::connection_auth::PERSISTENT_AUTH;
use crate::domain::identity::reads_like;

/// How the upstream is told of what kind the visitor is.
pub static X_ACCESS_CLASS: HeaderName = HeaderName::from_static("x-access-class");

/// How the upstream says what its answer takes.
pub const X_ACCESS_REQUIRED: &[u8] = b"x-access-required";

/// Fields that tell some caches more than `Cache-Control` does, and count for more with them:
/// RFC 9213, the surrogates of CDNs, nginx's own. Whatever ends in `-cache-control` is one too.
const TARGETED: [&[u8]; 3] = [b"surrogate-control", b"x-accel-expires", b"edge-control"];

/// What there is in an answer's head, found in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field that is there or not")]
pub struct ResponseFields {
    /// `X-Access-Required`, in whatever spelling.
    pub has_label: bool,
    /// `Cache-Control`.
    pub cache_control: bool,
    /// `Expires`.
    pub expires: bool,
    /// `Vary`.
    pub vary: bool,
    /// What speaks to some caches alone.
    pub targeted: bool,
    /// `Set-Cookie`.
    pub set_cookie: bool,
    /// An address for browsers to go to: `Location`, `Content-Location`, or `Refresh`.
    pub address: bool,
    /// `WWW-Authenticate` or `Persistent-Auth`.
    pub authentication: bool,
}

impl ResponseFields {
    /// Looks for them in `headers`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for name in headers.keys() {
            if *name == CACHE_CONTROL {
                fields.cache_control = true;
            } else if *name == VARY {
                fields.vary = true;
            } else if *name == EXPIRES {
                fields.expires = true;
            } else if *name == SET_COOKIE {
                fields.set_cookie = true;
            } else if *name == LOCATION || *name == CONTENT_LOCATION || *name == REFRESH {
                fields.address = true;
            } else if *name == WWW_AUTHENTICATE || *name == PERSISTENT_AUTH {
                fields.authentication = true;
            } else if is_label(name) {
                fields.has_label = true;
            } else if is_targeted(name) {
                fields.targeted = true;
            }
        }
        fields
    }
}

/// Whether fields called `name` say what an answer takes. An application that writes it in another
/// way means the same, and what it labels is not to pass for unlabelled.
pub fn is_label(name: &HeaderName) -> bool {
    reads_like(name.as_str().as_bytes(), X_ACCESS_REQUIRED)
}

/// Whether fields called `name` speak to some caches alone.
pub fn is_targeted(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    name.ends_with(b"-cache-control") || TARGETED.contains(&name)
}

/// The one value of the label; `None` if there are several, which may mean that either is enough or
/// that both are needed.
pub fn label(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut labels = headers.iter().filter(|(name, _)| is_label(name)).map(|(_, value)| value);
    labels.next().filter(|_| labels.next().is_none())
}

/// Takes away what is for the gateway alone.
pub fn remove_label(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_label(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_label_is_found_in_whatever_spelling_and_taken_away() {
        for name in ["x-access-required", "x_access_required", "x.access-required"] {
            let mut headers = head(&[("content-type", "text/html"), (name, "gold"), ("x-access", "1")]);
            assert!(ResponseFields::of(&headers).has_label, "{name}");
            assert_eq!(label(&headers).unwrap(), "gold");
            remove_label(&mut headers);
            assert_eq!(headers.len(), 2, "{name}");
        }
        assert!(
            !ResponseFields::of(&head(&[("x-access-requires", "a"), ("access-required", "b")])).has_label
        );
    }

    #[test]
    fn of_several_labels_none_counts() {
        for second in ["x-access-required", "x_access_required"] {
            let headers = head(&[("x-access-required", "gold"), (second, "gold")]);
            assert!(ResponseFields::of(&headers).has_label && label(&headers).is_none());
        }
    }

    #[test]
    fn what_speaks_to_some_caches_alone_is_found() {
        for name in
            ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control", "x-accel-expires"]
        {
            assert!(ResponseFields::of(&head(&[(name, "max-age=60")])).targeted, "{name}");
        }
        for name in ["cache-control", "x-accel-buffering", "cache-status", "age"] {
            assert!(!ResponseFields::of(&head(&[(name, "60")])).targeted, "{name}");
        }
    }
}
