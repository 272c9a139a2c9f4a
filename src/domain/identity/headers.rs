//! The headers that an upstream learns from, made ready once for each session, and the names that
//! nobody else may use.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderName};

use super::template::LINES;
use super::{AccessClass, Credentials, HeaderTemplate, Identity, REGISTERED, ValueEncoding};

/// The headers by which a site's upstream learns who is there.
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    rules: Vec<HeaderRule>,
    encoding: ValueEncoding,
    /// The rules' names as [`folded`] has them.
    reserved: Vec<Box<[u8]>>,
    edition: Edition,
}

/// The number of the settings with which a site's rules came into force, or what they say besides did:
/// what was made by one edition is not read by another.
pub type Edition = u32;

/// Whether they tell the same, of whatever edition they are.
impl PartialEq for IdentityHeaders {
    fn eq(&self, other: &Self) -> bool {
        (&self.rules, self.encoding) == (&other.rules, other.encoding)
    }
}

impl Eq for IdentityHeaders {}

/// A header, and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    name: HeaderName,
    /// The name as it was written: there are applications to which case does matter.
    written: Box<str>,
    content: Content,
}

/// What stands in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Template(HeaderTemplate),
    Credentials(Credentials),
}

impl HeaderRule {
    /// A rule for the header that is `written` like this; `None` if that is no header's name.
    pub fn new(written: &str, template: HeaderTemplate) -> Option<Self> {
        let name = HeaderName::from_bytes(written.as_bytes()).ok()?;
        Some(Self { name, written: written.into(), content: Content::Template(template) })
    }

    /// The rule for `Authorization` with `credentials`.
    pub fn basic_auth(credentials: Credentials) -> Self {
        Self {
            name: AUTHORIZATION,
            written: "Authorization".into(),
            content: Content::Credentials(credentials),
        }
    }

    /// The header's name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The name as it was written.
    pub fn written(&self) -> &str {
        &self.written
    }
}

/// Nobody but the gateway uses header names that begin like this.
const OWN_PREFIX: &[u8] = b"x-tollgate-";

/// A header name's byte with the letters lowered and everything else but digits read as `-`: CGI
/// and its heirs hand an application `X_User`, `X.User` and `X-User` under one and the same name.
const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Whether an application may take the header `name` for the one called `reserved` (lower-case,
/// with `-`).
pub fn reads_like(name: &[u8], reserved: &[u8]) -> bool {
    name.len() == reserved.len() && name.iter().zip(reserved).all(|(byte, own)| folded(*byte) == *own)
}

/// Whether an application may take the header `name` for one that begins with `prefix`.
pub fn begins_like(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| reads_like(start, prefix))
}

/// The values of a site's identity headers, ready to be sent: one line for each of its rules in
/// their order, empty where there is no such header, with a NUL between several. The names are with the site's
/// [`IdentityHeaders`], by which they are read; no value has a line end in it. A line before them has
/// the visitor's class, empty for that of most, and before that stand the bytes of the [`Edition`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ReadyHeaders(Box<[u8]>);

/// There may be a password among them.
impl fmt::Debug for ReadyHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadyHeaders(redacted)")
    }
}

impl ReadyHeaders {
    /// The same for a visitor of this class.
    #[must_use]
    pub fn of_class(self, class: AccessClass<'_>) -> Self {
        let word = class.word();
        let Some(rest) = self.after_class().filter(|_| word != REGISTERED) else { return self };
        Self([&self.edition().to_ne_bytes(), word.as_bytes(), b"\n", rest].concat().into())
    }

    /// The visitor's class as one word.
    pub fn class(&self) -> &[u8] {
        let lines = self.lines();
        let word = memchr::memchr(b'\n', lines).and_then(|end| lines.get(..end));
        word.filter(|word| !word.is_empty()).unwrap_or(REGISTERED.as_bytes())
    }

    /// By which edition of the site's rules they were made.
    pub fn edition(&self) -> Edition {
        self.0.first_chunk().map_or(0, |bytes| Edition::from_ne_bytes(*bytes))
    }

    fn lines(&self) -> &[u8] {
        self.0.get(size_of::<Edition>()..).unwrap_or_default()
    }

    /// The lines behind the one with the class.
    fn after_class(&self) -> Option<&[u8]> {
        let lines = self.lines();
        lines.get(memchr::memchr(b'\n', lines)? + 1..)
    }
}

impl IdentityHeaders {
    /// The given headers; of two rules for one header the later wins.
    pub fn new(rules: impl IntoIterator<Item = HeaderRule>, encoding: ValueEncoding) -> Self {
        let mut unique: Vec<HeaderRule> = Vec::new();
        for rule in rules {
            unique.retain(|known| known.name != rule.name);
            unique.push(rule);
        }
        let fold = |rule: &HeaderRule| rule.name.as_str().bytes().map(folded).collect();
        let reserved = unique.iter().map(fold).collect();
        Self { rules: unique, encoding, reserved, edition: 0 }
    }

    /// The same as part of that edition of the settings.
    #[must_use]
    pub fn of_edition(self, edition: Edition) -> Self {
        Self { edition, ..self }
    }

    /// The edition of the settings with which they came into force.
    pub fn edition(&self) -> Edition {
        self.edition
    }

    /// The headers' names.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.rules.iter().map(HeaderRule::name)
    }

    /// Whether only the gateway may send the upstream a header called `name`, or one that an
    /// application may take for it.
    pub fn reserves(&self, name: &[u8]) -> bool {
        begins_like(name, OWN_PREFIX) || self.reserved.iter().any(|own| reads_like(name, own))
    }

    /// Whether the gateway itself signs in to the upstream.
    pub fn authorize(&self) -> bool {
        self.rules.iter().any(|rule| rule.name == AUTHORIZATION)
    }

    /// The headers that tell of `who`. Absent values make no header.
    pub fn render(&self, who: &Identity, session_id: &str) -> ReadyHeaders {
        let mut lines = self.edition.to_ne_bytes().to_vec();
        lines.push(b'\n');
        for rule in &self.rules {
            // Whatever else has control characters in it, be it what parts lines, is not sent.
            let (filled, most) = match &rule.content {
                Content::Template(template) => {
                    let most = if template.makes_lines() { usize::MAX } else { 1 };
                    (template.fill(who, session_id), most)
                }
                Content::Credentials(credentials) => (credentials.value(who, session_id), 1),
            };
            let filled = filled.unwrap_or_default();
            let values = filled.splitn(most, LINES).filter_map(|value| self.encoding.encode(value));
            for (number, value) in values.enumerate() {
                lines.extend_from_slice(if number == 0 { b"" } else { LINES.as_bytes() });
                lines.extend_from_slice(value.as_bytes());
            }
            lines.push(b'\n');
        }
        // A copy: a vector gives back what it has too much only if that is more than half.
        ReadyHeaders(lines.as_slice().into())
    }

    /// The headers that `ready`, which [`Self::render`] made, is for: none if that were other rules, whose
    /// lines would be read under wrong names.
    pub fn read<'a>(&'a self, ready: &'a ReadyHeaders) -> impl Iterator<Item = (&'a HeaderRule, &'a [u8])> {
        let is_own = ready.edition() == self.edition;
        let mut rest = ready.after_class().filter(|_| is_own).unwrap_or_default();
        let lines = std::iter::from_fn(move || {
            let (line, after) = rest.split_at_checked(memchr::memchr(b'\n', rest)?)?;
            rest = after.get(1..)?;
            Some(line)
        });
        let values = |(rule, line): (&'a HeaderRule, &'a [u8])| {
            line.split(|byte| LINES.as_bytes().contains(byte)).map(move |value| (rule, value))
        };
        self.rules.iter().zip(lines).flat_map(values).filter(|(_, value)| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::Email;
    use crate::domain::identity::Particulars;
    use crate::domain::user::PersonName;

    #[test]
    fn what_is_ready_is_read_under_its_own_names() {
        let rule = |name, template| HeaderRule::new(name, HeaderTemplate::parse(template).unwrap()).unwrap();
        let rules = [
            rule("x-role", "{role}"),
            rule("x-user", "{email}"),
            rule("x-groups", "{groups}"),
            rule("x-session", "{session_id}"),
            rule("x-name", "{full_name}"),
            rule("X-Team", "T_{plans:;T_}"),
            rule("X-PLAN", "{plans:*}"),
        ];
        let headers = IdentityHeaders::new(rules, ValueEncoding::Utf8);
        let shown = |who: &Identity| {
            let ready = headers.render(who, "s1");
            let read = headers.read(&ready);
            let read = read.map(|(rule, value)| format!("{}: {}", rule.written(), value.escape_ascii()));
            read.collect::<Vec<_>>()
        };
        let jane = Identity {
            email: Email::parse("jane@example.com"),
            // A line end would put what follows it under the next name: such a value is not sent.
            details: Particulars { groups: vec!["a\nroot".into()], ..Particulars::default() }.into(),
            ..Identity::default()
        };
        assert_eq!(shown(&jane), ["x-user: jane@example.com", "x-session: s1"]);
        let jack = Identity {
            email: Email::parse("jack@example.com"),
            name: Some(PersonName::from_full("Jack\0root")),
            details: Particulars { groups: vec!["a\0root".into()], ..Particulars::default() }.into(),
            ..Identity::default()
        };
        assert_eq!(shown(&jack), ["x-user: jack@example.com", "x-session: s1"]);
        // Nor is one that would be read as two.
        let plans = ["plus", "a;T_root", "", "gold\0root", "x;y"].map(str::to_owned).to_vec();
        let joe = Identity {
            details: Particulars { plans, groups: vec!["a,b".into(), "c".into()], ..Particulars::default() }
                .into(),
            ..Identity::default()
        };
        let expected = ["x-groups: c", "x-session: s1", "X-PLAN: plus", "X-PLAN: a;T_root", "X-PLAN: x;y"];
        assert_eq!(shown(&joe), expected);
        let ann = Identity {
            details: Particulars {
                plans: vec!["plus".into(), "a;T_root".into(), "x;y".into()],
                ..Particulars::default()
            }
            .into(),
            ..Identity::default()
        };
        let expected =
            ["x-session: s1", "X-Team: T_plus;T_x;y", "X-PLAN: plus", "X-PLAN: a;T_root", "X-PLAN: x;y"];
        assert_eq!(shown(&ann), expected);
        assert_eq!(shown(&Identity::default()), ["x-session: s1"]);
        assert_eq!(headers.read(&ReadyHeaders::default()).count(), 0);
    }

    #[test]
    fn the_class_stands_before_the_headers_and_is_none_of_them() {
        let rule = HeaderRule::new("x-user", HeaderTemplate::parse("{email}").unwrap()).unwrap();
        let headers = IdentityHeaders::new([rule], ValueEncoding::Utf8);
        let jane = Identity { email: Email::parse("jane@example.com"), ..Identity::default() };
        for (who, own) in [(&jane, &["x-user: jane@example.com"][..]), (&Identity::default(), &[])] {
            for (class, word) in [
                (AccessClass::Plan("a\nb"), "plan-a%0Ab"),
                (AccessClass::Registered, "registered"),
                (AccessClass::Backend, "backend"),
            ] {
                let ready = headers.render(who, "s1").of_class(class);
                assert_eq!(ready.class(), word.as_bytes());
                let read = headers.read(&ready);
                let read: Vec<_> =
                    read.map(|(rule, value)| format!("{}: {}", rule.name(), value.escape_ascii())).collect();
                assert_eq!(read, own);
            }
        }
        assert_eq!(ReadyHeaders::default().class(), b"registered");
    }

    #[test]
    fn whatever_an_application_may_take_for_an_identity_header_is_reserved() {
        let rule = HeaderRule::new("x-webauth_user", HeaderTemplate::parse("{id}").unwrap()).unwrap();
        let headers = IdentityHeaders::new([rule], ValueEncoding::Utf8);
        for name in [
            "X-WebAuth-User",
            "x_webauth_user",
            "x.webauth-user",
            "x!webauth~user",
            "X-Tollgate-",
            "x_tollgate_anything",
        ] {
            assert!(headers.reserves(name.as_bytes()), "{name}");
        }
        for name in ["x-webauth-users", "x-webauth", "webauth-user", "x-tollgate", ""] {
            assert!(!headers.reserves(name.as_bytes()), "{name}");
        }
    }
}
