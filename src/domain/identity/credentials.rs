//! User name and password for an upstream that knows nothing else (RFC 7617).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{HeaderTemplate, Identity};

/// What stands in an `Authorization` that the gateway sends.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: HeaderTemplate,
    password: HeaderTemplate,
}

impl Credentials {
    /// Credentials that are made of these; `None` if one of them makes several lines.
    pub fn new(user: HeaderTemplate, password: HeaderTemplate) -> Option<Self> {
        (!user.makes_lines() && !password.makes_lines()).then_some(Self { user, password })
    }

    /// The value for `who`; `None` if part of it is absent or cannot be said (RFC 7617 §2: no control
    /// characters, and no colon in the user name, where it would end).
    pub(super) fn value(&self, who: &Identity, session_id: &str) -> Option<String> {
        let user = self.user.fill_whole(who, session_id).filter(|user| !user.contains(':'))?;
        let password = self.password.fill_whole(who, session_id)?;
        if user.contains(char::is_control) || password.contains(char::is_control) {
            return None;
        }
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }
}

/// The password may well stand in it.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::Email;
    use crate::domain::identity::Particulars;

    #[test]
    fn credentials_are_whole_or_not_there_at_all() {
        let jane = |external_id: &str, password: &str| Identity {
            email: Email::parse("jane@example.com"),
            details: Particulars {
                external_id: Some(external_id.to_owned()),
                attributes: [("password".to_owned(), password.to_owned())].into(),
                ..Particulars::default()
            }
            .into(),
            ..Identity::default()
        };
        let value = |user: &str, password: &str, who: &Identity| {
            let template = |text| HeaderTemplate::parse(text).unwrap();
            let value = Credentials::new(template(user), template(password)).unwrap().value(who, "s1")?;
            let decoded = STANDARD.decode(value.strip_prefix("Basic ").unwrap()).unwrap();
            Some(String::from_utf8(decoded).unwrap())
        };
        for (user, password, who, expected) in [
            ("{email}", "secret", jane("jane", ""), Some("jane@example.com:secret")),
            ("{id}", "{attributes.password}", jane("jane", "a:b c"), Some("jane:a:b c")),
            ("x-{id}", " {attributes.password} ", jane("jané", "pä"), Some("x-jané: pä ")),
            // RFC 7617 §2.1's own example, which is in UTF-8.
            ("test", "123£", Identity::default(), Some("test:123£")),
            ("{id}", "{attributes.password}", jane("jane", ""), None),
            ("{id}", "p{attributes.password}", jane("jane", ""), None),
            ("{id}", "p", Identity::default(), None),
            ("{id}", "p", jane("jane:root", ""), None),
            ("{id}", "p", jane("jane\nroot", ""), None),
            ("{id}", "{attributes.password}", jane("jane", "a\r\nX: y"), None),
            ("{id}", "{attributes.password}", jane("jane", "a\0"), None),
        ] {
            assert_eq!(value(user, password, &who).as_deref(), expected, "{user} {password} {who:?}");
        }
        let lines = HeaderTemplate::parse("{groups:*}").unwrap();
        assert!(Credentials::new(lines.clone(), lines).is_none());
    }
}
