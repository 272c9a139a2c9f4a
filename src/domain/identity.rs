//! Who the upstream is told of, and in which headers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{HeaderName, HeaderValue};

use super::email::Email;
use super::user::{PersonName, Role, UserId};

/// What is known of the person behind a token or a session. All of it may be absent: a token
/// without an e-mail address opens an anonymous session.
///
/// A session keeps one, so each part is shared with whoever else has it, the directory above all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The directory's entry, if there is one.
    pub user: Option<UserId>,
    /// The person's address.
    pub email: Option<Email>,
    /// The person's name.
    pub name: Option<PersonName>,
    /// The role on the site.
    pub role: Option<Role>,
    /// What the login page alone knows.
    pub details: Details,
}

/// What only the login page knows of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particulars {
    /// The login page's own name for the person.
    pub external_id: Option<String>,
    /// Groups, in the login page's order.
    pub groups: Vec<String>,
    /// Plans or subscriptions, in the login page's order.
    pub plans: Vec<String>,
    /// Whatever else the login page wants the upstream to know.
    pub attributes: BTreeMap<String, String>,
}

/// [`Particulars`], shared. Most logins come without any, and these take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details(Option<Arc<Particulars>>);

static NO_PARTICULARS: Particulars =
    Particulars { external_id: None, groups: Vec::new(), plans: Vec::new(), attributes: BTreeMap::new() };

impl From<Particulars> for Details {
    fn from(particulars: Particulars) -> Self {
        Self((particulars != NO_PARTICULARS).then(|| Arc::new(particulars)))
    }
}

impl Deref for Details {
    type Target = Particulars;

    fn deref(&self) -> &Particulars {
        self.0.as_deref().unwrap_or(&NO_PARTICULARS)
    }
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
    Groups(Listing),
    Plans(Listing),
    SessionId,
    Attribute(String),
}

/// How several values stand in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listing {
    /// In one line, with this between them.
    Joined(Box<str>),
    /// In a line for each.
    Lines,
}

impl Listing {
    /// The way that `{groups}` asks for, or with words behind a colon `{groups:|}`.
    fn parse(words: Option<&str>) -> Option<Self> {
        match words {
            None => Some(Self::Joined(",".into())),
            Some("") => None,
            Some("*") => Some(Self::Lines),
            Some(delimiter) => Some(Self::Joined(delimiter.into())),
        }
    }

    /// The values in one text. One that has the delimiter in it would be read as several, and is left
    /// out.
    fn join(&self, values: &[String]) -> String {
        let delimiter = match self {
            Self::Joined(delimiter) => delimiter,
            Self::Lines => LINES,
        };
        let fits = |value: &&str| !value.is_empty() && !value.contains(delimiter.trim());
        let fitting: Vec<&str> = values.iter().map(String::as_str).filter(fits).collect();
        fitting.join(delimiter)
    }
}

/// Parts the lines of a header that has several. No value has it in it: it is a control character.
const LINES: &str = "\0";

impl Field {
    fn parse(name: &str) -> Option<Self> {
        let (kind, listing) = name.split_once(':').map_or((name, None), |(kind, way)| (kind, Some(way)));
        match kind {
            "groups" => return Listing::parse(listing).map(Self::Groups),
            "plans" => return Listing::parse(listing).map(Self::Plans),
            _ => {}
        }
        Some(match name {
            "id" => Self::Id,
            "email" => Self::Email,
            "full_name" => Self::FullName,
            "first_name" => Self::FirstName,
            "last_name" => Self::LastName,
            "role" => Self::Role,
            "session_id" => Self::SessionId,
            _ => Self::Attribute(name.strip_prefix("attributes.").filter(|key| !key.is_empty())?.to_owned()),
        })
    }

    /// The field's value; empty if it is absent.
    fn value<'a>(&self, who: &'a Identity, session_id: &'a str) -> Cow<'a, str> {
        let name = who.name.as_ref();
        let email = who.email.as_ref().map(Email::as_str);
        let details = &who.details;
        match self {
            Self::Id => details.external_id.as_deref().or(email).unwrap_or_default().into(),
            Self::Email => email.unwrap_or_default().into(),
            Self::FullName => name.map_or("", PersonName::full).into(),
            Self::FirstName => name.map_or("", PersonName::first).into(),
            Self::LastName => name.map_or("", PersonName::last).into(),
            Self::Role => who.role.as_ref().map_or("", Role::as_str).into(),
            Self::Groups(listing) => listing.join(&details.groups).into(),
            Self::Plans(listing) => listing.join(&details.plans).into(),
            Self::SessionId => session_id.into(),
            Self::Attribute(key) => details.attributes.get(key).map_or("", String::as_str).into(),
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
    /// A list with a line for each of its values beside something else.
    #[error("`{{groups:*}}` and `{{plans:*}}` make lines of their own, and stand alone")]
    NotAlone,
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
        let template = Self(parts);
        if template.makes_lines() && template.0.len() > 1 {
            return Err(TemplateFault::NotAlone);
        }
        Ok(template)
    }

    /// Whether there is a line for each value of a list.
    fn makes_lines(&self) -> bool {
        let is_list_of_lines = |part: &Part| {
            matches!(part, Part::Field(Field::Groups(Listing::Lines) | Field::Plans(Listing::Lines)))
        };
        self.0.iter().any(is_list_of_lines)
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
    rules: Vec<HeaderRule>,
    encoding: ValueEncoding,
    /// The rules' names as [`folded`] has them.
    reserved: Vec<Box<[u8]>>,
}

/// A header, and what stands in it.
#[derive(Clone, Debug)]
pub struct HeaderRule {
    name: HeaderName,
    /// The name as it was written: there are applications to which case does matter.
    written: Box<str>,
    template: HeaderTemplate,
}

impl HeaderRule {
    /// A rule for the header that is `written` like this; `None` if that is no header's name.
    pub fn new(written: &str, template: HeaderTemplate) -> Option<Self> {
        let name = HeaderName::from_bytes(written.as_bytes()).ok()?;
        Some(Self { name, written: written.into(), template })
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
/// their order, empty where there is no such header, with [`LINES`] between several. The names are with the site's
/// [`IdentityHeaders`], by which they are read; no value has a line end in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadyHeaders(Box<[u8]>);

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
        Self { rules: unique, encoding, reserved }
    }

    /// Whether only the gateway may send the upstream a header called `name`, or one that an
    /// application may take for it.
    pub fn reserves(&self, name: &[u8]) -> bool {
        begins_like(name, OWN_PREFIX) || self.reserved.iter().any(|own| reads_like(name, own))
    }

    /// The headers that tell of `who`. Absent values make no header.
    pub fn render(&self, who: &Identity, session_id: &str) -> ReadyHeaders {
        let mut lines = Vec::new();
        for rule in &self.rules {
            let filled = rule.template.fill(who, session_id).unwrap_or_default();
            // Whatever else has control characters in it, be it what parts lines, is not sent.
            let most = if rule.template.makes_lines() { usize::MAX } else { 1 };
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

    /// The headers that `ready`, which [`Self::render`] made, is for.
    pub fn read<'a>(&'a self, ready: &'a ReadyHeaders) -> impl Iterator<Item = (&'a HeaderRule, &'a [u8])> {
        let mut rest = &*ready.0;
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
        assert_eq!(HeaderTemplate::parse("x{groups:*}"), Err(TemplateFault::NotAlone));
        for name in ["groups:", "email:|"] {
            let fault = Err(TemplateFault::UnknownField(name.into()));
            assert_eq!(HeaderTemplate::parse(&format!("{{{name}}}")), fault);
        }
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

    #[test]
    fn encoded_words_stay_short_and_whole() {
        let long = encoded_words(&"ë".repeat(100));
        assert!(long.split(' ').all(|word| word.len() <= 75), "{long}");
    }
}
