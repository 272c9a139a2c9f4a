//! The ways to file a session. Each is an `Arc` that goes by a part of what it points to, so that an
//! index takes eight bytes for a session, whatever it is ordered by.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::domain::email::Email;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{LiveSession, SessionId};

/// Orders `$filed` by what it lends.
macro_rules! in_order_of {
    ($filed:ty, $key:ty) => {
        impl PartialEq for $filed {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl Eq for $filed {}

        impl PartialOrd for $filed {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $filed {
            fn cmp(&self, other: &Self) -> Ordering {
                Borrow::<$key>::borrow(self).cmp(Borrow::<$key>::borrow(other))
            }
        }
    };
}

pub(super) use in_order_of;

/// A session that is found by the hash of its cookie.
pub(super) struct ByHash(pub(super) Arc<LiveSession>);

impl Borrow<SessionHash> for ByHash {
    fn borrow(&self) -> &SessionHash {
        &self.0.hash
    }
}

impl PartialEq for ByHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl Eq for ByHash {}

impl Hash for ByHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

/// A session in the order of names, which is that of their making.
pub(super) struct ById(pub(super) Arc<LiveSession>);

impl Borrow<SessionId> for ById {
    fn borrow(&self) -> &SessionId {
        &self.0.session.id
    }
}

in_order_of!(ById, SessionId);

/// A session among those of its person, which stand together in the order of their names.
pub(super) struct ByPerson(Arc<LiveSession>);

impl ByPerson {
    /// Files `live`, unless nobody knows whose session it is.
    pub(super) fn of(live: &Arc<LiveSession>) -> Option<Self> {
        live.session.identity.email.is_some().then(|| Self(Arc::clone(live)))
    }

    pub(super) fn live(&self) -> &Arc<LiveSession> {
        &self.0
    }
}

/// A place in the order of [`ByPerson`]: a person's [`Email::key`], and a name behind which it is.
pub(super) trait PersonalPlace {
    fn place(&self) -> (&str, Option<SessionId>);
}

impl PersonalPlace for ByPerson {
    fn place(&self) -> (&str, Option<SessionId>) {
        let session = &self.0.session;
        (session.identity.email.as_ref().map_or("", Email::key), Some(session.id))
    }
}

impl PersonalPlace for (&str, Option<SessionId>) {
    fn place(&self) -> (&str, Option<SessionId>) {
        *self
    }
}

impl<'a> Borrow<dyn PersonalPlace + 'a> for ByPerson {
    fn borrow(&self) -> &(dyn PersonalPlace + 'a) {
        self
    }
}

impl PartialEq for dyn PersonalPlace + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn PersonalPlace + '_ {}

impl PartialOrd for dyn PersonalPlace + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn PersonalPlace + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

in_order_of!(ByPerson, dyn PersonalPlace + '_);
