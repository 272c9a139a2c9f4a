//! What stands in a header: text with fields in braces.

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroizing;

use super::Identity;
use crate::domain::email::Email;
use crate::domain::user::{PersonName, Role};

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
        // Spaces around it say nothing, unless there is nothing else.
        let sign = Some(delimiter.trim()).filter(|sign| !sign.is_empty()).unwrap_or(delimiter);
        let fits = |value: &&str| !value.is_empty() && !value.contains(sign);
        let fitting: Vec<&str> = values.iter().map(String::as_str).filter(fits).collect();
        fitting.join(delimiter)
    }
}

/// Parts the lines of a header that has several. No value has it in it: it is a control character.
pub(super) const LINES: &str = "\0";

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

#[derive(Clone, PartialEq, Eq)]
enum Part {
    /// It may be a password: it is wiped from memory when it is done with, and not shown.
    Text(Zeroizing<String>),
    Field(Field),
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(redacted)"),
            Self::Field(field) => field.fmt(f),
        }
    }
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
            parts.push(Part::Text(before.to_owned().into()));
            let field = Field::parse(name).ok_or_else(|| TemplateFault::UnknownField(name.to_owned()))?;
            parts.push(Part::Field(field));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned().into()));
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

    /// Text without any field, whatever braces are in it.
    pub fn fixed(text: &str) -> Result<Self, TemplateFault> {
        if text.contains(char::is_control) {
            return Err(TemplateFault::Control);
        }
        Ok(Self(vec![Part::Text(text.to_owned().into())]))
    }

    /// Whether `character` stands in it whoever it is filled for.
    pub fn says(&self, character: char) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Text(text) if text.contains(character)))
    }

    /// The value for `who` to the last space; `None` if any field that it names is absent.
    pub(super) fn fill_whole(&self, who: &Identity, session_id: &str) -> Option<String> {
        let mut whole = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => whole.push_str(text),
                Part::Field(field) => {
                    let value = Some(field.value(who, session_id)).filter(|value| !value.is_empty());
                    whole.push_str(&value?);
                }
            }
        }
        Some(whole)
    }

    /// Whether there is a line for each value of a list.
    pub(super) fn makes_lines(&self) -> bool {
        let is_list_of_lines = |part: &Part| {
            matches!(part, Part::Field(Field::Groups(Listing::Lines) | Field::Plans(Listing::Lines)))
        };
        self.0.iter().any(is_list_of_lines)
    }

    /// The value for `who`; `None` if every field that it names is absent.
    pub(super) fn fill(&self, who: &Identity, session_id: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::Particulars;

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
    fn a_list_has_its_delimiter_between_the_values_alone() {
        let groups = ["staff", "a b", "c,d", "e;f", ""].map(str::to_owned).to_vec();
        let details = Particulars { groups, ..Particulars::default() };
        let who = Identity { details: details.into(), ..Identity::default() };
        for (template, expected) in [
            ("{groups}", "staff,a b,e;f"),
            ("{groups:, }", "staff, a b, e;f"),
            ("{groups:;}", "staff;a b;c,d"),
            ("{groups: }", "staff c,d e;f"),
        ] {
            let filled = HeaderTemplate::parse(template).unwrap().fill(&who, "s1");
            assert_eq!(filled.as_deref(), Some(expected), "{template}");
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
}
