//! Recognising a session: the one step of all this that every request takes.

use std::sync::Arc;
use std::time::Duration;

use super::Sso;
use crate::config::Site;
use crate::domain::clock::Timestamp;
use crate::domain::opaque::{SessionHash, SessionKey};
use crate::domain::session::{End, LiveSession, Standing};
use crate::store::{Glance, StoreResult, Unavailable};

/// How often a session that others change meanwhile is looked up.
const LOOKS: usize = 8;

/// How long it takes until what supersedes a session is there.
const A_MOMENT: Duration = Duration::from_millis(1);

impl Sso {
    /// The live session on `site` that `key` opens, if there is one. Its idle time starts anew.
    pub async fn authenticate(
        &self,
        site: &Site,
        key: &SessionKey,
        now: Timestamp,
    ) -> StoreResult<Option<Arc<LiveSession>>> {
        let live = self.look_up(site, key, now).await?;
        if let Some(live) = &live {
            self.stores.sessions.touch(live, now);
        }
        Ok(live)
    }

    /// Whether `live`, which [`Self::authenticate`] found by the same key before, is still what it
    /// would find. If so, its idle time starts anew.
    pub fn authenticate_again(&self, live: &Arc<LiveSession>, now: Timestamp) -> bool {
        let is_good = self.standing(live, now) == Some(Standing::Good);
        if is_good {
            self.stores.sessions.touch(live, now);
        }
        is_good
    }

    /// The same as [`Self::authenticate`], without starting the idle time anew: asking when a session
    /// ends does not keep it alive.
    pub async fn look_up(
        &self,
        site: &Site,
        key: &SessionKey,
        now: Timestamp,
    ) -> StoreResult<Option<Arc<LiveSession>>> {
        for _ in 0..LOOKS {
            let found = self.find_by_cookie(key.hash()).await?;
            let Some(live) = found.filter(|live| live.session.site == site.name) else { return Ok(None) };
            match live.standing(now) {
                Standing::Good => return Ok(self.fitted(live, site)),
                Standing::Over(_) => return Ok(None),
                // Another one is about to take its place.
                Standing::Superseded => tokio::time::sleep(A_MOMENT).await,
            }
        }
        Err(Unavailable)
    }

    /// The session behind a cookie, good or not. Nearly always it is at hand.
    pub(super) async fn find_by_cookie(&self, hash: SessionHash) -> StoreResult<Option<Arc<LiveSession>>> {
        match self.stores.sessions.glance(&hash) {
            Glance::Known(live) => Ok(Some(live)),
            Glance::Nobody => Ok(None),
            Glance::Unsure => self.stores.sessions.find(hash).await,
        }
    }

    /// How `live` stands, on whose strength something runs; `None` if nobody knows without
    /// [asking](Self::ask_after).
    pub fn standing(&self, live: &LiveSession, now: Timestamp) -> Option<Standing> {
        self.stores.sessions.standing(live, now)
    }

    /// What is known of who is now in the place of `live`.
    pub fn glance_after(&self, live: &LiveSession) -> Glance {
        self.stores.sessions.glance(&live.hash)
    }

    /// Who is now in the place of `live`, good or not.
    pub async fn ask_after(&self, live: &LiveSession) -> StoreResult<Option<Arc<LiveSession>>> {
        self.stores.sessions.find(live.hash).await
    }

    /// Why the session that `key` opened is over, if its bearer cannot know.
    pub async fn fate_of(&self, key: &SessionKey, now: Timestamp) -> StoreResult<Option<End>> {
        self.stores.sessions.fate(key.hash(), now).await
    }
}
