//! A visitor's session: opaque to the browser, bound to one site, ended by idleness or by age.

mod live;

pub use live::{LiveSession, Standing};

use std::fmt;
use std::num::NonZeroU32;

use super::clock::{Span, Timestamp};
use super::entropy::Entropy;
use super::identity::Identity;
use super::secret::hex;
use super::site::SiteName;
use super::token::RolePolicy;

/// The name by which the APIs and logs speak of a session. It opens nothing.
///
/// Names sort by the time of their making, which gives lists an order that new sessions do not
/// disturb. Sessions that came from one another, on sites that share a login, are kin, and their
/// names say so: nothing else has to be kept about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

/// Where in a name the bits begin that kin share.
const KINSHIP: usize = 10;

impl SessionId {
    /// A new name: 48 bits of time, 32 random bits of its own, and 48 that its kin will share.
    pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let mut id = [0; 16];
        let (time, random) = id.split_at_mut(6);
        let [_, _, millis @ ..] = now.as_millis().to_be_bytes();
        time.copy_from_slice(&millis);
        entropy.fill(random);
        Self(id)
    }

    /// A new name of kin.
    #[must_use]
    pub fn mint_kin(self, now: Timestamp, entropy: &dyn Entropy) -> Self {
        let Self(mut id) = Self::mint(now, entropy);
        let (_, shared) = id.split_at_mut(KINSHIP);
        shared.copy_from_slice(self.kinship());
        Self(id)
    }

    /// Whether the one came from the other, or both from a third. To be asked of sessions of the
    /// same person: among those, no two have the same bits by chance.
    pub fn is_kin_of(self, other: Self) -> bool {
        self.kinship() == other.kinship()
    }

    fn kinship(&self) -> &[u8] {
        self.0.split_at(KINSHIP).1
    }

    /// When it was made.
    pub fn minted_at(self) -> Timestamp {
        let millis = u128::from_be_bytes(self.0) >> 80;
        Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
    }

    /// Reads the 32 lower-case hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number =
            (text.len() == 32 && canonical).then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a session is, apart from when it was last used. It began when its name was made.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its public name.
    pub id: SessionId,
    /// The one site on which it is good.
    pub site: SiteName,
    /// Who is behind it.
    pub identity: Identity,
    /// When the upstream is told of the role.
    pub role_policy: RolePolicy,
    /// When it ends however busy it is.
    pub expires_at: Timestamp,
    /// How long it may go unused.
    pub idle: Span,
    /// Whether it reaches the site's back end.
    pub backend: bool,
}

impl Session {
    /// When it began.
    pub fn created_at(&self) -> Timestamp {
        self.id.minted_at()
    }
}

/// How many sessions of one person there may be on a site at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCap {
    /// The most.
    pub most: NonZeroU32,
    /// What happens to one more.
    pub when_full: WhenFull,
}

/// What happens to a session above the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The person's oldest session makes room.
    EvictOldest,
    /// It does not begin.
    Reject,
}

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The visitor logged out.
    LoggedOut,
    /// It was ended from outside: by the API, or together with its user or membership.
    Revoked,
    /// The same browser began another one.
    Replaced,
    /// Its person began another one elsewhere, and the site allows no more of them at a time.
    Evicted,
}

impl End {
    pub(crate) const ALL: [Self; 4] = [Self::LoggedOut, Self::Revoked, Self::Replaced, Self::Evicted];

    /// A stable word for logs, metrics and stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logout",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    #[test]
    fn names_sort_by_time() {
        let entropy = SeededEntropy::new(5);
        let at = |millis| SessionId::mint(Timestamp::from_millis(millis), &entropy);
        let (early, late) = (at(1_000), at(1_001));
        assert!(early < late);
        assert_eq!([early, late].map(|id| id.minted_at().as_millis()), [1_000, 1_001]);
        assert_eq!(SessionId::parse(&early.to_string()), Some(early));
        assert_eq!(SessionId::parse(&early.to_string().to_uppercase()), None);
        assert_eq!(SessionId::parse("+1"), None);
    }

    #[test]
    fn kin_have_names_of_their_own_that_say_so() {
        let entropy = SeededEntropy::new(5);
        let now = Timestamp::from_millis(1_000);
        let first = SessionId::mint(now, &entropy);
        let second = first.mint_kin(now, &entropy);
        let third = second.mint_kin(Timestamp::from_millis(2_000), &entropy);
        assert!(first != second && first < third && third.minted_at().as_millis() == 2_000);
        assert!(first.is_kin_of(second) && third.is_kin_of(first) && first.is_kin_of(first));
        assert!(!SessionId::mint(now, &entropy).is_kin_of(first));
    }

    #[test]
    fn an_end_has_one_word() {
        for end in End::ALL {
            assert_eq!(End::parse(end.as_str()), Some(end));
        }
        assert_eq!(End::parse("expired"), None);
    }
}
