//! Recognising a session: the one step of all this that every request takes.

use std::sync::Arc;

use super::Sso;
use crate::config::Site;
use crate::domain::clock::Timestamp;
use crate::domain::opaque::SessionKey;
use crate::domain::session::LiveSession;
use crate::store::StoreResult;

impl Sso {
    /// The live session on `site` that `key` opens, if there is one. Its idle time starts anew.
    pub fn authenticate(
        &self,
        site: &Site,
        key: &SessionKey,
        now: Timestamp,
    ) -> StoreResult<Option<Arc<LiveSession>>> {
        let live = self.look_up(site, key, now)?;
        if let Some(live) = &live {
            live.touch(now);
        }
        Ok(live)
    }

    /// The same, without starting the idle time anew: asking when a session ends does not keep it
    /// alive.
    pub fn look_up(
        &self,
        site: &Site,
        key: &SessionKey,
        now: Timestamp,
    ) -> StoreResult<Option<Arc<LiveSession>>> {
        let found = self.stores.sessions.find(&key.hash())?;
        Ok(found.filter(|live| live.session.site == site.name && live.is_alive(now)))
    }
}
