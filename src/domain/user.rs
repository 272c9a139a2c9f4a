//! The directory's entry for a person.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::clock::Timestamp;
use super::email::Email;
use super::site::SiteName;

/// A user's number, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u64);

impl UserId {
    /// Reads the decimal number that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        canonical.then(|| text.parse().ok().map(Self)).flatten()
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a user may do on one site, by the site's own vocabulary.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Arc<str>);

impl Role {
    /// A role of 1 to 64 characters out of `A-Z a-z 0-9 . _ : -`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
        ((1..=64).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The role of a user who is new to a site.
    pub fn editor() -> Self {
        Self("editor".into())
    }

    /// The role as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether a user may be let into a site's back end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// The front end only.
    #[default]
    Guest,
    /// The back end too, on sites with `allow_backend_login`.
    Full,
}

impl Account {
    /// `guest` or `full`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Full => "full",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Guest, Self::Full].into_iter().find(|account| account.as_str() == text)
    }
}

/// A person's name, as it was given: in two parts or in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    /// The given name; empty if only one name is known.
    pub first: String,
    /// The family name; empty if only one name is known.
    pub last: String,
    /// The whole name.
    pub full: String,
}

impl PersonName {
    /// A name given as first and last name.
    pub fn from_parts(first: &str, last: &str) -> Self {
        let (first, last) = (first.trim().to_owned(), last.trim().to_owned());
        let full = format!("{first} {last}").trim().to_owned();
        Self { first, last, full }
    }

    /// A name given in one piece. The last word is taken for the family name: a guess, but the
    /// whole is kept beside it.
    pub fn from_full(full: &str) -> Self {
        let full = full.trim();
        let (first, last) = full.rsplit_once(char::is_whitespace).unwrap_or((full, ""));
        Self { first: first.trim().to_owned(), last: last.to_owned(), full: full.to_owned() }
    }
}

/// A user of one or more sites.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's number.
    pub id: UserId,
    /// The address under which the user is known; unique without case.
    pub email: Email,
    /// The name that was given first; later logins do not change it.
    pub name: PersonName,
    /// Front end only, or back end too.
    pub account: Account,
    /// The sites of which the user is a member, with the role there.
    pub roles: BTreeMap<SiteName, Role>,
    /// When the user was first seen.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_one_piece_is_kept_whole() {
        let name = PersonName::from_full("  Jane van  Doe ");
        assert_eq!((name.first.as_str(), name.last.as_str()), ("Jane van", "Doe"));
        assert_eq!(name.full, "Jane van  Doe");
        assert_eq!(PersonName::from_full("Plato").last, "");
        assert_eq!(PersonName::from_parts("Jane", "Doe").full, "Jane Doe");
    }

    #[test]
    fn a_user_id_has_one_spelling() {
        assert_eq!(UserId::parse("12"), Some(UserId(12)));
        for text in ["", "0", "012", "+1", "-1", "1 ", "99999999999999999999999"] {
            assert_eq!(UserId::parse(text), None, "{text:?}");
        }
    }
}
