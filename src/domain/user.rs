//! The directory's entry for a person.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};

use super::clock::Timestamp;
use super::email::Email;
use super::site::SiteName;
use super::word::Word;

/// A user's number, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(NonZeroU64);

impl UserId {
    /// The first user's.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// Nobody's: it will never come to that many.
    pub const NOBODY: Self = Self(NonZeroU64::MAX);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number as such.
    pub const fn number(self) -> u64 {
        self.0.get()
    }

    /// The user with this number; zero is nobody's.
    pub fn from_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

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
pub struct Role(Word);

impl Role {
    /// A role of 1 to 64 characters out of `A-Z a-z 0-9 . _ : -`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
        ((1..=64).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    /// The role of a user who is new to a site.
    pub fn editor() -> Self {
        static EDITOR: LazyLock<Role> = LazyLock::new(|| Role("editor".into()));
        EDITOR.clone()
    }

    /// The role as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
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

/// A person's name, as it was given: in two parts or in one. Whoever holds the name shares it.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(Arc<NameParts>);

/// The whole name begins with the given name and ends with the family name.
#[derive(PartialEq, Eq)]
struct NameParts {
    full: Box<str>,
    first_len: u32,
    last_len: u32,
}

impl PersonName {
    /// How many characters a name, or each part of one, has at most where it comes in.
    pub const MAX_CHARS: usize = 200;

    /// A name given as first and last name.
    pub fn from_parts(first: &str, last: &str) -> Self {
        let (first, last) = (first.trim(), last.trim());
        Self::of(format!("{first} {last}").trim(), first.len(), last.len())
    }

    /// A name given in one piece. The last word is taken for the family name: a guess, but the
    /// whole is kept beside it.
    pub fn from_full(full: &str) -> Self {
        let full = full.trim();
        let (first, last) = full.rsplit_once(char::is_whitespace).unwrap_or((full, ""));
        Self::of(full, first.trim().len(), last.len())
    }

    /// A name of which all is known that it tells.
    pub fn restore(full: &str, first: &str, last: &str) -> Self {
        let [first_len, last_len] =
            [full.starts_with(first).then_some(first), full.ends_with(last).then_some(last)]
                .map(|part| part.map_or(0, str::len));
        Self::of(full, first_len, last_len)
    }

    fn of(full: &str, first_len: usize, last_len: usize) -> Self {
        // What is longer than 4 GiB is no name, and has no parts.
        let [first_len, last_len] = [first_len, last_len].map(|len| u32::try_from(len).unwrap_or_default());
        Self(Arc::new(NameParts { full: full.into(), first_len, last_len }))
    }

    /// The given name; empty if only a family name is known.
    pub fn first(&self) -> &str {
        self.0.full.get(..self.0.first_len as usize).unwrap_or_default()
    }

    /// The family name; empty if only one name is known.
    pub fn last(&self) -> &str {
        let begins = self.0.full.len().saturating_sub(self.0.last_len as usize);
        self.0.full.get(begins..).unwrap_or_default()
    }

    /// The whole name.
    pub fn full(&self) -> &str {
        &self.0.full
    }
}

/// Whether `c` turns round the text that it stands in, and with it what stands beside a name: Unicode's
/// embeddings, overrides and isolates. The marks that join and part letters are none of these.
pub const fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.full(), f)
    }
}

/// The sites of which somebody is a member, and the role on each. Most people have one or two:
/// they stand in a row, in the order of the sites' names.
#[derive(Clone, Debug, Default)]
pub struct Roles(Box<[(SiteName, Role)]>);

impl Roles {
    /// The role on `site`; `None` for whoever is no member.
    pub fn get(&self, site: &SiteName) -> Option<&Role> {
        self.0.iter().find_map(|(own, role)| (own == site).then_some(role))
    }

    /// Whether `site` is among them.
    pub fn contains_key(&self, site: &SiteName) -> bool {
        self.get(site).is_some()
    }

    /// The sites, in the order of their names.
    pub fn keys(&self) -> impl Iterator<Item = &SiteName> {
        self.0.iter().map(|(site, _)| site)
    }

    /// The sites with the roles there.
    pub fn iter(&self) -> impl Iterator<Item = (&SiteName, &Role)> {
        self.0.iter().map(|(site, role)| (site, role))
    }

    /// Gives another role on `site`; `None` ends the membership.
    pub fn set(&mut self, site: SiteName, role: Option<Role>) {
        let mut roles = std::mem::take(&mut self.0).into_vec();
        roles.retain(|(own, _)| *own != site);
        roles.extend(role.map(|role| (site, role)));
        roles.sort_unstable();
        self.0 = roles.into();
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
    pub roles: Roles,
    /// When the user was first seen.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_one_piece_is_kept_whole() {
        let name = PersonName::from_full("  Jane van  Doe ");
        assert_eq!((name.first(), name.last()), ("Jane van", "Doe"));
        assert_eq!(name.full(), "Jane van  Doe");
    }

    #[test]
    fn a_name_may_have_one_part_only() {
        let parts = |name: PersonName| [name.first(), name.last(), name.full()].map(ToOwned::to_owned);
        assert_eq!(parts(PersonName::from_full("Plato")), ["Plato", "", "Plato"]);
        assert_eq!(parts(PersonName::from_parts(" Zoë ", "")), ["Zoë", "", "Zoë"]);
        assert_eq!(parts(PersonName::from_parts("", "Müller ")), ["", "Müller", "Müller"]);
        assert_eq!(parts(PersonName::from_parts("Jane", "Doe")), ["Jane", "Doe", "Jane Doe"]);
        assert_eq!(parts(PersonName::from_parts("", " ")), ["", "", ""]);
    }

    #[test]
    fn a_site_has_one_role_at_a_time() {
        let site = |name| SiteName::parse(name).unwrap();
        let mut roles = Roles::default();
        for (name, role) in [("wiki", "editor"), ("intranet", "editor"), ("wiki", "admin"), ("shop", "buyer")]
        {
            roles.set(site(name), Role::parse(role));
        }
        roles.set(site("shop"), None);
        roles.set(site("nowhere"), None);
        let shown: Vec<_> = roles.iter().map(|(site, role)| (site.as_str(), role.as_str())).collect();
        assert_eq!(shown, [("intranet", "editor"), ("wiki", "admin")]);
        assert_eq!(roles.get(&site("shop")), None);
    }

    #[test]
    fn a_user_id_has_one_spelling() {
        assert_eq!(UserId::parse("12"), NonZeroU64::new(12).map(UserId));
        assert_eq!(UserId::FIRST.next().to_string(), "2");
        for text in ["", "0", "012", "+1", "-1", "1 ", "99999999999999999999999"] {
            assert_eq!(UserId::parse(text), None, "{text:?}");
        }
    }
}
