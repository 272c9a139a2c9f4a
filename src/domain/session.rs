//! A visitor's session: opaque to the browser, bound to one site, ended by idleness or by age.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::{Span, Timestamp};
use super::entropy::Entropy;
use super::identity::{Identity, ReadyHeaders};
use super::opaque::SessionHash;
use super::secret::hex;
use super::site::SiteName;
use super::token::RolePolicy;

/// The name by which the APIs and logs speak of a session. It opens nothing.
///
/// Names sort by the time of their making, which gives lists an order that new sessions do not
/// disturb.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new name: 48 bits of time, 80 random bits.
    pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
        let mut id = [0; 16];
        let (time, random) = id.split_at_mut(6);
        let [_, _, millis @ ..] = now.as_millis().to_be_bytes();
        time.copy_from_slice(&millis);
        entropy.fill(random);
        Self(id)
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

/// A session in a store: with its headers made once, at login, and its idle clock.
#[derive(Debug)]
pub struct LiveSession {
    /// The hash of the cookie that opens it.
    pub hash: SessionHash,
    /// What does not change while it is used.
    pub session: Session,
    /// What the upstream is told, ready to be sent.
    pub headers: ReadyHeaders,
    last_seen: AtomicU64,
}

impl LiveSession {
    /// A session that was last used at `last_seen`.
    pub fn new(hash: SessionHash, session: Session, headers: ReadyHeaders, last_seen: Timestamp) -> Self {
        Self { hash, session, headers, last_seen: AtomicU64::new(last_seen.as_millis()) }
    }

    /// When it was last used.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// When it ends unless it is used again before.
    pub fn ends_at(&self) -> Timestamp {
        self.last_seen().after(self.session.idle.into()).min(self.session.expires_at)
    }

    /// Whether it is still good at `now`.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now < self.ends_at()
    }

    /// Starts the idle time anew. Ordering does not matter: a touch that gets lost to another of
    /// the same moment changes nothing.
    pub fn touch(&self, now: Timestamp) {
        self.last_seen.store(now.as_millis(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::opaque::SessionKey;

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

    /// There may be millions. With the two counts of its `Arc` it just fits into a block of the
    /// allocator's.
    #[test]
    fn a_session_is_small() {
        assert!(size_of::<LiveSession>() + 16 <= 160, "{}", size_of::<LiveSession>());
    }

    #[test]
    fn a_session_ends_by_idleness_or_by_age() {
        let start = Timestamp::from_millis(1_000_000);
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let session = Session {
            id: SessionId::mint(start, &SeededEntropy::new(6)),
            site: SiteName::parse("s").unwrap(),
            identity: Identity::default(),
            role_policy: RolePolicy::Always,
            expires_at: start.after(minutes(60)),
            idle: minutes(30).into(),
            backend: false,
        };
        let hash = SessionKey::mint(&SeededEntropy::new(7)).hash();
        let live = LiveSession::new(hash, session, ReadyHeaders::default(), start);
        assert!(live.is_alive(start.after(Duration::from_millis(30 * 60_000 - 1))));
        assert!(!live.is_alive(start.after(minutes(30))));
        live.touch(start.after(minutes(29)));
        assert!(live.is_alive(start.after(minutes(58))));
        live.touch(start.after(minutes(58)));
        assert!(!live.is_alive(start.after(minutes(60))));
    }
}
