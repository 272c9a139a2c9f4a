//! Who the upstream is told of, and in which headers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{HeaderName, HeaderValue};

use super::email::Email;
use super::user::{PersonName, Role, UserId};

/// What is known of the person behind a token or a session. All of it may be absent: a token
/// without an e-mail address opens an anonymous session.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The directory's entry, if there is one.
    pub user: Option<UserId>,
    /// The login page's own name for the person.
    pub external_id: Option<String>,
    /// The person's address.
    pub email: Option<Email>,
    /// The person's name.
    pub name: Option<PersonName>,
    /// The role on the site.
    pub role: Option<Role>,
    /// Whether the session reaches the site's back end.
    pub backend: bool,
    /// Groups, in the login page's order.
    pub groups: Vec<String>,
    /// Plans or subscriptions, in the login page's order.
    pub plans: Vec<String>,
    /// Whatever else the login page wants the upstream to know.
    pub attributes: BTreeMap<String, String>,
}

/// A field that a header template may name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Id,
    Email,
    FullName,
    FirstName,
    LastName,
    Role,
    Groups,
    Plans,
    SessionId,
    Attribute(String),
}

impl Field {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "email" => Self::Email,
            "full_name" => Self::FullName,
            "first_name" => Self::FirstName,
            "last_name" => Self::LastName,
            "role" => Self::Role,
            "groups" => Self::Groups,
            "plans" => Self::Plans,
            "session_id" => Self::SessionId,
            _ => Self::Attribute(name.strip_prefix("attributes.").filter(|key| !key.is_empty())?.to_owned()),
        })
    }

    /// The field's value; empty if it is absent.
    fn value<'a>(&self, who: &'a Identity, session_id: &'a str) -> Cow<'a, str> {
        let name = who.name.as_ref();
        let email = who.email.as_ref().map(Email::as_str);
        match self {
            Self::Id => who.external_id.as_deref().or(email).unwrap_or_default().into(),
            Self::Email => email.unwrap_or_default().into(),
            Self::FullName => name.map_or("", |name| &name.full).into(),
            Self::FirstName => name.map_or("", |name| &name.first).into(),
            Self::LastName => name.map_or("", |name| &name.last).into(),
            Self::Role => who.role.as_ref().map_or("", Role::as_str).into(),
            Self::Groups => who.groups.join(",").into(),
            Self::Plans => who.plans.join(",").into(),
            Self::SessionId => session_id.into(),
            Self::Attribute(key) => who.attributes.get(key).map_or("", String::as_str).into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A header value with `{field}` placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate(Vec<Part>);

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// A `{name}` that names no field.
    #[error(
        "`{{{0}}}` is no field: use id, email, full_name, first_name, last_name, role, groups, plans, session_id \
         or attributes.NAME"
    )]
    UnknownField(String),
    /// A `{` without its `}`, or the other way round.
    #[error("the braces do not pair up")]
    Unbalanced,
    /// A control character in the fixed text.
    #[error("a header value cannot have control characters")]
    Control,
}

impl HeaderTemplate {
    /// Reads a template such as `{email}` or `user:{id}`.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        if text.contains(char::is_control) {
            return Err(TemplateFault::Control);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateFault::Unbalanced)?;
            parts.push(Part::Text(before.to_owned()));
            let field = Field::parse(name).ok_or_else(|| TemplateFault::UnknownField(name.to_owned()))?;
            parts.push(Part::Field(field));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let stray = parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}')));
        if stray {
            return Err(TemplateFault::Unbalanced);
        }
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Ok(Self(parts))
    }

    /// The value for `who`; `None` if every field that it names is absent.
    fn fill(&self, who: &Identity, session_id: &str) -> Option<String> {
        let (mut value, mut fields, mut present) = (String::new(), false, false);
        for part in &self.0 {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Field(field) => {
                    let filled = field.value(who, session_id);
                    fields = true;
                    present |= !filled.is_empty();
                    value.push_str(&filled);
                }
            }
        }
        (present || !fields).then(|| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

/// How a value that is not ASCII is written into a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueEncoding {
    /// Its UTF-8 bytes as they are.
    #[default]
    Utf8,
    /// Percent-encoded UTF-8; `%` itself becomes `%25`.
    Percent,
    /// Unpadded URL-safe base64 of the UTF-8 bytes.
    Base64Url,
    /// Encoded words, RFC 2047 §2.
    Rfc2047,
}

impl ValueEncoding {
    /// Encodes `value` for a header. ASCII passes as it is. `None` if it has a control character
    /// (CR, LF and NUL among them): such a value is never sent, in no encoding.
    pub fn encode(self, value: &str) -> Option<HeaderValue> {
        if value.contains(char::is_control) {
            return None;
        }
        if value.is_ascii() {
            return HeaderValue::from_str(value).ok();
        }
        let encoded = match self {
            Self::Utf8 => return HeaderValue::from_bytes(value.as_bytes()).ok(),
            Self::Percent => percent_encoding::utf8_percent_encode(value, PERCENT).to_string(),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(value),
            Self::Rfc2047 => encoded_words(value),
        };
        HeaderValue::from_str(&encoded).ok()
    }
}

const PERCENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%');

/// RFC 2047 §2: words of at most 75 characters, each whole characters, parted by a space.
fn encoded_words(value: &str) -> String {
    const MAX_BYTES: usize = (75 - "=?UTF-8?B??=".len()) / 4 * 3;
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in value.chars() {
        if word.len() + c.len_utf8() > MAX_BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join(" ")
}

/// The headers by which a site's upstream learns who is there.
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    rules: Vec<(HeaderName, HeaderTemplate)>,
    encoding: ValueEncoding,
    /// The rules' names as [`folded`] has them.
    reserved: Vec<Box<[u8]>>,
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

/// Headers that are ready to be sent.
pub type ReadyHeaders = Box<[(HeaderName, HeaderValue)]>;

impl IdentityHeaders {
    /// The given headers; of two rules for one header the later wins.
    pub fn new(
        rules: impl IntoIterator<Item = (HeaderName, HeaderTemplate)>,
        encoding: ValueEncoding,
    ) -> Self {
        let mut unique: Vec<(HeaderName, HeaderTemplate)> = Vec::new();
        for (name, template) in rules {
            unique.retain(|(known, _)| *known != name);
            unique.push((name, template));
        }
        let fold = |(name, _): &(HeaderName, HeaderTemplate)| name.as_str().bytes().map(folded).collect();
        let reserved = unique.iter().map(fold).collect();
        Self { rules: unique, encoding, reserved }
    }

    /// Whether only the gateway may send the upstream a header called `name`, or one that an
    /// application may take for it.
    pub fn reserves(&self, name: &[u8]) -> bool {
        begins_like(name, OWN_PREFIX) || self.reserved.iter().any(|own| reads_like(name, own))
    }

    /// The headers that tell of `who`. Absent values make no header.
    pub fn render(&self, who: &Identity, session_id: &str) -> ReadyHeaders {
        let ready = |(name, template): &(HeaderName, HeaderTemplate)| {
            let value = self.encoding.encode(&template.fill(who, session_id)?)?;
            Some((name.clone(), value))
        };
        self.rules.iter().filter_map(ready).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_checked_when_they_are_read() {
        assert_eq!(HeaderTemplate::parse("{nope}"), Err(TemplateFault::UnknownField("nope".into())));
        assert_eq!(
            HeaderTemplate::parse("{attributes.}"),
            Err(TemplateFault::UnknownField("attributes.".into()))
        );
        for text in ["{email", "email}", "{{email}}"] {
            assert!(HeaderTemplate::parse(text).is_err(), "{text}");
        }
        assert_eq!(HeaderTemplate::parse("a\r\nb"), Err(TemplateFault::Control));
    }

    #[test]
    fn absent_values_make_no_header() {
        let who = Identity { email: Email::parse("jane@example.com"), ..Identity::default() };
        let fill = |text: &str| HeaderTemplate::parse(text).unwrap().fill(&who, "s1");
        assert_eq!(fill("{id}").as_deref(), Some("jane@example.com"));
        assert_eq!(fill("u:{email}/{session_id}").as_deref(), Some("u:jane@example.com/s1"));
        assert_eq!(fill("role:{role}"), None);
        assert_eq!(fill("{groups}"), None);
        assert_eq!(fill("fixed").as_deref(), Some("fixed"));
    }

    #[test]
    fn each_encoding_writes_what_its_reader_expects() {
        let encode = |encoding: ValueEncoding, value| encoding.encode(value).map(|v| v.as_bytes().to_vec());
        let text = |bytes: &str| Some(bytes.as_bytes().to_vec());
        assert_eq!(encode(ValueEncoding::Utf8, "Zoë"), text("Zoë"));
        assert_eq!(encode(ValueEncoding::Percent, "Zoë 5%"), text("Zo%C3%AB 5%25"));
        assert_eq!(encode(ValueEncoding::Base64Url, "Zoë"), text("Wm_Dqw"));
        assert_eq!(encode(ValueEncoding::Rfc2047, "Zoë"), text("=?UTF-8?B?Wm/Dqw==?="));
        for encoding in
            [ValueEncoding::Utf8, ValueEncoding::Percent, ValueEncoding::Base64Url, ValueEncoding::Rfc2047]
        {
            assert_eq!(encode(encoding, "plain 5%"), text("plain 5%"));
            assert_eq!(encode(encoding, "a\r\nX-Admin: ë"), None);
            assert_eq!(encode(encoding, "a\0b"), None);
            assert_eq!(encode(encoding, "a\u{85}b"), None);
        }
    }

    #[test]
    fn whatever_an_application_may_take_for_an_identity_header_is_reserved() {
        let rule = (HeaderName::from_static("x-webauth_user"), HeaderTemplate::parse("{id}").unwrap());
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

    #[test]
    fn encoded_words_stay_short_and_whole() {
        let long = encoded_words(&"ë".repeat(100));
        assert!(long.split(' ').all(|word| word.len() <= 75), "{long}");
    }
}
