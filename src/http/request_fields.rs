//! Which of the fields that change a request's way through the gateway it has at all.

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, ORIGIN, UPGRADE};

use super::initiator::SEC_FETCH_SITE;
use super::webdav::DESTINATION;

/// What there is in a request's head, found in one pass: a look-up in a map costs as much as to compare
/// some twenty names, and most requests have few of these fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field that is there or not")]
pub struct RequestFields {
    /// `Authorization`.
    pub authorization: bool,
    /// `Connection`.
    pub connection: bool,
    /// `Content-Length`.
    pub content_length: bool,
    /// `Content-Type`.
    pub content_type: bool,
    /// `Destination`.
    pub destination: bool,
    /// `Origin`.
    pub origin: bool,
    /// `Sec-Fetch-Site`.
    pub sec_fetch_site: bool,
    /// `Upgrade`.
    pub upgrade: bool,
}

impl RequestFields {
    /// Looks for them in `headers`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for name in headers.keys() {
            if let Some(flag) = fields.flag(name) {
                *flag = true;
            }
        }
        fields
    }

    fn flag(&mut self, name: &HeaderName) -> Option<&mut bool> {
        Some(if *name == AUTHORIZATION {
            &mut self.authorization
        } else if *name == CONNECTION {
            &mut self.connection
        } else if *name == CONTENT_LENGTH {
            &mut self.content_length
        } else if *name == CONTENT_TYPE {
            &mut self.content_type
        } else if *name == ORIGIN {
            &mut self.origin
        } else if *name == UPGRADE {
            &mut self.upgrade
        } else if *name == SEC_FETCH_SITE {
            &mut self.sec_fetch_site
        } else if *name == DESTINATION {
            &mut self.destination
        } else {
            return None;
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn each_field_is_found_in_its_own_place() {
        let of = |name: &str| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            RequestFields::of(&HeaderMap::from_iter([
                (http::header::HOST, HeaderValue::from_static("x")),
                (name, HeaderValue::from_static("x")),
            ]))
        };
        let none = RequestFields::default();
        for (name, expected) in [
            ("Authorization", RequestFields { authorization: true, ..none }),
            ("Connection", RequestFields { connection: true, ..none }),
            ("Content-Length", RequestFields { content_length: true, ..none }),
            ("Content-Type", RequestFields { content_type: true, ..none }),
            ("Destination", RequestFields { destination: true, ..none }),
            ("Origin", RequestFields { origin: true, ..none }),
            ("Sec-Fetch-Site", RequestFields { sec_fetch_site: true, ..none }),
            ("Upgrade", RequestFields { upgrade: true, ..none }),
            ("Cookie", none),
            ("X-Origin", none),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }
}
