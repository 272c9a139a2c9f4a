//! A session as the stores hold it and requests find it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{End, Session};
use crate::domain::clock::Timestamp;
use crate::domain::identity::ReadyHeaders;
use crate::domain::opaque::SessionHash;

/// How a [`LiveSession`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is good.
    Good,
    /// It is not, and why, unless it was its time. It will never be good again.
    Over(Option<End>),
    /// The session was changed: the store has another one in its place.
    Superseded,
}

/// A session in a store: with its headers made once, at login, and its idle clock.
///
/// It is shared by whatever runs on the strength of it, and says at any time whether that may go
/// on: a store that ends or changes a session says so here first.
#[derive(Debug)]
pub struct LiveSession {
    /// The hash of the cookie that opens it.
    pub hash: SessionHash,
    /// What does not change while it is used.
    pub session: Session,
    /// What the upstream is told, ready to be sent.
    pub headers: ReadyHeaders,
    /// The lower [`TIME_BITS`] tell when it was last used, the upper ones are marks.
    state: AtomicU64,
}

/// Enough for the milliseconds of two million years.
const TIME_BITS: u32 = 56;

const TIME: u64 = (1 << TIME_BITS) - 1;

/// A mark: its last use is still to be written down.
const UNSAVED: u64 = 1 << 63;

/// The marks that say that it is over: none of them if it is not, [`SUPERSEDED`], or one more than
/// the place in [`End::ALL`].
const OVER: u64 = !TIME & !UNSAVED;

const SUPERSEDED: u64 = OVER;

/// The idle time is kept no more exactly than this, so that the many requests of one moment write
/// nothing.
const MOMENT: Duration = Duration::from_millis(250);

impl LiveSession {
    /// A session that was last used at `last_seen`.
    pub fn new(hash: SessionHash, session: Session, headers: ReadyHeaders, last_seen: Timestamp) -> Self {
        Self { hash, session, headers, state: AtomicU64::new(last_seen.as_millis() & TIME) }
    }

    /// When it was last used.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.state.load(Ordering::Relaxed) & TIME)
    }

    /// When it ends unless it is used again before.
    pub fn ends_at(&self) -> Timestamp {
        self.end_after(self.last_seen())
    }

    fn end_after(&self, last_seen: Timestamp) -> Timestamp {
        last_seen.after(self.session.idle.into()).min(self.session.expires_at)
    }

    /// Whether its time is not over at `now`, and nobody ended it.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.standing(now) == Standing::Good
    }

    /// How it stands at `now`.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let state = self.state.load(Ordering::Acquire);
        match state & OVER {
            0 if now < self.end_after(Timestamp::from_millis(state & TIME)) => Standing::Good,
            0 => Standing::Over(None),
            SUPERSEDED => Standing::Superseded,
            mark => {
                let place = usize::try_from(mark >> TIME_BITS).unwrap_or_default();
                Standing::Over(End::ALL.get(place.wrapping_sub(1)).copied())
            }
        }
    }

    /// Whether the upstream is told by `other` just what it is told by this one: then what runs on the
    /// strength of the one may run on that of the other.
    pub fn tells_the_same_as(&self, other: &Self) -> bool {
        (self.session.id, self.session.backend, &self.headers)
            == (other.session.id, other.session.backend, &other.headers)
    }

    /// Ends it for whoever holds it. The first word stands.
    pub fn end(&self, end: End) {
        self.mark((end as u64 + 1) << TIME_BITS);
    }

    /// Another stands in its place from now on.
    pub fn supersede(&self) {
        self.mark(SUPERSEDED);
    }

    fn mark(&self, mark: u64) {
        let marked = |state: u64| (state & OVER == 0).then_some(state | mark);
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, marked);
    }

    /// Starts the idle time anew; whether that is more than a moment after the last time.
    pub fn touch(&self, now: Timestamp) -> bool {
        let is_later = self.last_seen().after(MOMENT) <= now;
        if is_later {
            self.was_seen(now);
        }
        is_later
    }

    /// Takes over a use of the session that may have happened elsewhere.
    pub fn was_seen(&self, at: Timestamp) {
        let at = at.as_millis() & TIME;
        let later = |state: u64| (state & TIME < at).then_some(state & !TIME | at);
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, later);
    }

    /// Notes that its last use is to be written down; whether that was not noted already.
    pub fn note_unsaved(&self) -> bool {
        self.state.fetch_or(UNSAVED, Ordering::AcqRel) & UNSAVED == 0
    }

    /// Its last use, to be written down now: later ones are noted anew.
    pub fn take_unsaved(&self) -> Timestamp {
        Timestamp::from_millis(self.state.fetch_and(!UNSAVED, Ordering::AcqRel) & TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::identity::Identity;
    use crate::domain::opaque::SessionKey;
    use crate::domain::session::SessionId;
    use crate::domain::site::SiteName;
    use crate::domain::token::RolePolicy;

    /// There may be millions. With the two counts of its `Arc` it just fits into a block of the
    /// allocator's.
    #[test]
    fn a_session_is_small() {
        assert!(size_of::<LiveSession>() + 16 <= 160, "{}", size_of::<LiveSession>());
    }

    fn minutes(n: u64) -> Duration {
        Duration::from_mins(n)
    }

    fn session(start: Timestamp) -> LiveSession {
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
        LiveSession::new(hash, session, ReadyHeaders::default(), start)
    }

    #[test]
    fn a_session_ends_by_idleness_or_by_age() {
        let start = Timestamp::from_millis(1_000_000);
        let live = session(start);
        assert!(live.is_alive(start.after(Duration::from_millis(30 * 60_000 - 1))));
        assert!(!live.is_alive(start.after(minutes(30))));
        live.touch(start.after(minutes(29)));
        assert!(live.is_alive(start.after(minutes(58))));
        live.touch(start.after(minutes(58)));
        assert_eq!(live.standing(start.after(minutes(60))), Standing::Over(None));
    }

    #[test]
    fn the_first_word_about_its_end_stands() {
        let start = Timestamp::from_millis(1_000_000);
        for end in End::ALL {
            let live = session(start);
            assert!(live.note_unsaved() && !live.note_unsaved());
            live.end(end);
            live.supersede();
            live.end(End::Evicted);
            assert_eq!(live.standing(start), Standing::Over(Some(end)));
            assert_eq!(live.take_unsaved(), start);
            assert!(!live.is_alive(start) && live.note_unsaved());
        }
        let live = session(start);
        live.supersede();
        assert_eq!(live.standing(start), Standing::Superseded);
    }
}
