//! Logging out; listing and changing sessions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::detached::to_its_end;
use super::redeem::{RedeemError, with_rights};
use super::{Cause, Event, Sso};
use crate::config::Site;
use crate::domain::identity::Particulars;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{End, LiveSession, Session, SessionId};
use crate::domain::user::User;
use crate::store::{Page, SessionFilter, StoreResult, live_session};

/// A change to a session: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct SessionChange {
    /// Other groups.
    pub groups: Option<Vec<String>>,
    /// Other plans.
    pub plans: Option<Vec<String>>,
    /// Other attributes.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Another idle time.
    pub idle: Option<Duration>,
    /// Another greatest age, counted from the session's beginning.
    pub max: Option<Duration>,
}

impl SessionChange {
    /// Has `session` tell what it is to tell from now on.
    pub(super) fn tell(&self, session: &mut Session) {
        let mut details = Particulars::clone(&session.identity.details);
        details.groups = self.groups.clone().unwrap_or(details.groups);
        details.plans = self.plans.clone().unwrap_or(details.plans);
        details.attributes = self.attributes.clone().unwrap_or(details.attributes);
        session.identity.details = details.into();
    }
}

/// How many sessions are worked on at a time where all of a person's are.
pub(super) const BATCH: usize = 256;

impl Sso {
    /// Ends the session behind a cookie at the visitor's wish, if it is one of `site`: a cookie of
    /// another site is none of this site's business. With it end its kin, on the sites with which
    /// this one shares a login. Says whether there was one.
    pub async fn log_out(
        self: &Arc<Self>,
        site: &Site,
        hash: SessionHash,
        cause: &Cause,
    ) -> StoreResult<bool> {
        let Some(live) = self.find_by_cookie(hash).await? else { return Ok(false) };
        if live.session.site != site.name {
            return Ok(false);
        }
        if let Some(filter) = self.among_whom_kin(&live, site) {
            return self.log_out_with_kin(live, filter, cause.clone()).await.map(|()| true);
        }
        if let Some(live) = self.stores.sessions.remove(hash, End::LoggedOut).await? {
            let session = live.session.id;
            self.note(Event::SessionEnded { site: &site.name, session, end: End::LoggedOut }, cause);
        }
        Ok(true)
    }

    /// One page of live sessions.
    pub async fn list_sessions(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
    ) -> StoreResult<Page<Arc<LiveSession>, SessionId>> {
        self.stores.sessions.list(filter, after, limit, self.now()).await
    }

    /// The live session with this name.
    pub async fn find_session(&self, id: SessionId) -> StoreResult<Option<Arc<LiveSession>>> {
        self.stores.sessions.find_by_id(id, self.now()).await
    }

    /// Changes a session, and with it what came from the same login on sites that share it: any of
    /// those may open the site anew, and would give back what is taken away here. `None` if it has
    /// ended. What the upstream is told changes with the next request. It runs detached from the caller.
    pub async fn change_session(
        self: &Arc<Self>,
        live: &Arc<LiveSession>,
        change: SessionChange,
        cause: &Cause,
    ) -> StoreResult<Option<Arc<LiveSession>>> {
        let (sso, live, cause) = (Arc::clone(self), Arc::clone(live), cause.clone());
        to_its_end(async move { sso.change_with_kin(&live, &change, &cause).await }).await
    }

    async fn change_with_kin(
        &self,
        live: &LiveSession,
        change: &SessionChange,
        cause: &Cause,
    ) -> StoreResult<Option<Arc<LiveSession>>> {
        let mut session = live.session.clone();
        change.tell(&mut session);
        session.idle = change.idle.map_or(session.idle, Into::into);
        if let Some(max) = change.max {
            session.expires_at = session.created_at().after(max);
        }
        let changed = self.put_in_place_of(live, session, cause).await?;
        if let Some(changed) = &changed {
            self.change_kin(changed, change, cause).await?;
        }
        Ok(changed)
    }

    /// Puts `session` in the place of `live`; `None` if that has ended.
    pub(super) async fn put_in_place_of(
        &self,
        live: &LiveSession,
        session: Session,
        cause: &Cause,
    ) -> StoreResult<Option<Arc<LiveSession>>> {
        let Some(site) = self.sites.by_name(&session.site) else {
            return Ok(None);
        };
        let changed = Arc::new(live_session(live.hash, session, site, live.last_seen()));
        if !self.stores.sessions.replace(Arc::clone(&changed)).await? {
            return Ok(None);
        }
        let (own, id) = (&site.name, changed.session.id);
        self.note(Event::SessionChanged { site: own, session: id }, cause);
        // What was read before may have been changed meanwhile, together with the user.
        match self.confirm_rights(&changed, cause).await {
            Ok(()) => Ok(Some(changed)),
            Err(RedeemError::Unavailable(unavailable)) => Err(unavailable),
            Err(RedeemError::Refused(_) | RedeemError::TooManySessions) => Ok(None),
        }
    }

    /// Brings one of a user's sessions in line with what the directory says of the user now;
    /// whether it goes on.
    pub(super) async fn refresh_session(
        &self,
        live: &LiveSession,
        user: &User,
        cause: &Cause,
    ) -> StoreResult<bool> {
        let session = &live.session;
        let Some(site) = self.sites.by_name(&session.site) else { return Ok(false) };
        let Some((identity, backend)) =
            with_rights(session.identity.clone(), user, site, session.role_policy)
        else {
            self.end_session(session.id, End::Revoked, cause).await?;
            return Ok(false);
        };
        // What runs on the strength of a session that is changed does not go on: only what changes
        // is replaced.
        if (session.backend, &session.identity) == (backend, &identity) {
            return Ok(true);
        }
        let refreshed =
            live_session(live.hash, Session { identity, backend, ..session.clone() }, site, live.last_seen());
        self.stores.sessions.replace(Arc::new(refreshed)).await
    }

    /// Brings a user's sessions in line with what the directory says of the user now.
    pub(super) async fn refresh_sessions(&self, user: &User, cause: &Cause) -> StoreResult<()> {
        let filter = SessionFilter { email_key: Some(user.email.key().into()), sites: None };
        let mut after = None;
        loop {
            let page = self.stores.sessions.list(filter.clone(), after, BATCH, self.now()).await?;
            for live in page.entries.iter().filter(|live| live.session.identity.user == Some(user.id)) {
                self.refresh_session(live, user, cause).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
