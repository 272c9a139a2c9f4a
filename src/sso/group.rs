//! Sites that share a login: handing a person on from one to another, and logging out of all.
//!
//! A session is handed on by a one-time token, as a login page would issue it. What comes of it is a
//! session like any other, but for three things: it is kin of the one that it came from, which its
//! name tells; it does not outlast that one; and a logout ends them together.

use std::sync::Arc;
use std::time::Duration;

use super::detached::to_its_end;
use super::redeem::RedeemError;
use super::sessions::SessionChange;
use super::{Cause, Event, Sso};
use crate::config::{RedeemMode, Site};
use crate::domain::email::Email;
use crate::domain::identity::Identity;
use crate::domain::opaque::LoginToken;
use crate::domain::session::{End, LiveSession, SessionId};
use crate::domain::state::{BrowserKey, LoginState};
use crate::domain::token::{Refusal, RolePolicy, TokenGrant, TokenKind};
use crate::store::{SessionFilter, StoreResult};

/// The browser comes with the token at once.
const AT_ONCE: Duration = Duration::from_secs(30);

/// Where a page asks first, somebody has to read it.
const WHEN_CONFIRMED: Duration = Duration::from_mins(5);

/// As many sessions of one person as are looked at in one go.
const BATCH: usize = 256;

impl Sso {
    /// Whether a stranger with this key, if there is any, has been sent round the other sites so often
    /// that it leads nowhere: a browser that does not keep its session would go on for ever.
    pub fn goes_in_rounds(&self, browser: Option<&BrowserKey>) -> bool {
        let Some(browser) = browser else { return false };
        let (culprit, now) = (browser.into(), self.now());
        let too_often = self.rounds.are_too_many(culprit, now);
        if !too_often {
            self.rounds.note(culprit, now);
        }
        too_often
    }

    /// Issues a token by which the person of `live`, a session of `from`, may go on at `site` in the
    /// browser that was given `state` there. `None` if there is nobody to be handed on: an anonymous
    /// visitor, a session that is about to end, a user who is deleted, or too many in a row.
    pub async fn hand_on(
        &self,
        live: &LiveSession,
        from: &Site,
        site: &Site,
        state: LoginState,
        cause: &Cause,
    ) -> StoreResult<Option<LoginToken>> {
        let session = &live.session;
        let ttl = match site.redeem {
            RedeemMode::Direct => AT_ONCE,
            RedeemMode::Confirm => WHEN_CONFIRMED,
        };
        let now = self.now();
        let expires_at = now.after(ttl);
        if session.expires_at <= expires_at || self.hand_overs.note_or_hold(session.id.into(), now).is_err() {
            return Ok(None);
        }
        let Some(identity) = self.identity_at(site, live, cause).await? else { return Ok(None) };
        // Who got less time than the site gives, at a terminal that many use for instance, gets no more
        // by going elsewhere.
        let idle = Duration::from(session.idle);
        let session_idle = (idle < from.session_idle).then(|| idle.min(site.session_idle));
        let token = LoginToken::mint(self.entropy());
        let user = identity.user;
        let grant = TokenGrant {
            kind: TokenKind::Session,
            site: site.name.clone(),
            identity,
            role_policy: session.role_policy,
            return_url: None,
            state: Some(state),
            expires_at,
            session_idle,
            session_max: None,
            source: Some(session.id),
        };
        self.stores.tokens.insert(token.hash(), grant).await?;
        let from = Some((&from.name, session.id));
        self.note(Event::TokenIssued { site: &site.name, user, from }, cause);
        Ok(Some(token))
    }

    /// Who the person of `live` is at `site`: as if the login page had asked for a token there in the
    /// way in which it did at first. What the person may do is the business of `site`.
    async fn identity_at(
        &self,
        site: &Site,
        live: &LiveSession,
        cause: &Cause,
    ) -> StoreResult<Option<Identity>> {
        let who = &live.session.identity;
        let Some(email) = who.email.clone() else { return Ok(None) };
        let details = who.details.clone();
        let directory = &self.stores.directory;
        let known = directory.find_by_email(email.key().into()).await?;
        match live.session.role_policy {
            RolePolicy::Always => {
                // Somebody who is being deleted does not come back by this.
                let Some(known) = known.filter(|known| Some(known.id) == who.user) else { return Ok(None) };
                let provisioned =
                    directory.provision(email, known.name, site.name.clone(), self.now()).await?;
                let user = provisioned.user;
                if provisioned.joined {
                    self.note(Event::UserChanged { user: user.id }, cause);
                }
                let (user, email, name) = (Some(user.id), Some(user.email), Some(user.name));
                Ok(Some(Identity { user, email, name, role: None, details }))
            }
            RolePolicy::WithBackend => {
                let user = known.filter(|user| user.roles.contains_key(&site.name)).map(|user| user.id);
                Ok(Some(Identity { user, email: Some(email), name: who.name.clone(), role: None, details }))
            }
        }
    }

    /// The session that hands its person on by a token, if it still may.
    pub(super) async fn source_of_token(&self, id: SessionId) -> Result<Arc<LiveSession>, RedeemError> {
        let found = self.stores.sessions.find_by_id(id, self.now()).await?;
        found.ok_or(RedeemError::Refused(Refusal::Revoked))
    }

    /// Looks after the source of a session that has just begun. A logout ends the source and goes over
    /// its kin afterwards: one of the two has seen the other, on whatever nodes they are.
    pub(super) async fn confirm_source(
        &self,
        live: &LiveSession,
        source: Option<SessionId>,
        cause: &Cause,
    ) -> Result<(), RedeemError> {
        let Some(source) = source else { return Ok(()) };
        let outcome = self.source_of_token(source).await;
        if matches!(outcome, Err(RedeemError::Refused(_))) {
            self.end_session(live.session.id, End::Revoked, &cause.left_to_gateway()).await?;
        }
        outcome.map(drop)
    }

    /// Which sessions may be kin of `live`, a session of `site`; `None` if there cannot be any.
    pub(super) fn among_whom_kin(&self, live: &LiveSession, site: &Site) -> Option<SessionFilter> {
        let members = self.sites.group_of(site);
        let email_key = live.session.identity.email.as_ref().map(Email::key)?.into();
        (!members.is_empty()).then_some(SessionFilter { email_key: Some(email_key), sites: Some(members) })
    }

    /// Ends `live` and its kin among the sessions that `filter` means.
    ///
    /// It runs detached from the caller, so that a browser that leaves does not stop it half-way. If the
    /// store fails it can be tried again: the session by which kin are known goes last.
    pub(super) async fn log_out_with_kin(
        self: &Arc<Self>,
        live: Arc<LiveSession>,
        filter: SessionFilter,
        cause: Cause,
    ) -> StoreResult<()> {
        let sso = Arc::clone(self);
        to_its_end(async move {
            sso.end_kin(&live, &filter, &cause).await?;
            sso.end_session(live.session.id, End::LoggedOut, &cause).await?;
            // Of those that were just beginning.
            sso.end_kin(&live, &filter, &cause).await
        })
        .await
    }

    /// Ends the kin of `live`, until there are none: any of them may be the source of another.
    async fn end_kin(&self, live: &LiveSession, filter: &SessionFilter, cause: &Cause) -> StoreResult<()> {
        let id = live.session.id;
        loop {
            let (mut ended, mut after) = (false, None);
            loop {
                let page = self.stores.sessions.list(filter.clone(), after, BATCH, self.now()).await?;
                let names = page.entries.iter().map(|other| other.session.id);
                for kin in names.filter(|other| *other != id && other.is_kin_of(id)) {
                    ended |= self.end_session(kin, End::LoggedOut, cause).await?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            if !ended {
                return Ok(());
            }
        }
    }

    /// Changes the kin of a session that was `changed`: they tell the same, and where its times have
    /// become shorter, theirs do.
    pub(super) async fn change_kin(
        &self,
        changed: &LiveSession,
        change: &SessionChange,
        cause: &Cause,
    ) -> StoreResult<()> {
        let (id, site) = (changed.session.id, self.sites.by_name(&changed.session.site));
        let Some(filter) = site.and_then(|site| self.among_whom_kin(changed, site)) else { return Ok(()) };
        let mut after = None;
        loop {
            let page = self.stores.sessions.list(filter.clone(), after, BATCH, self.now()).await?;
            for kin in &page.entries {
                let other = kin.session.id;
                if other == id || !other.is_kin_of(id) {
                    continue;
                }
                let mut session = kin.session.clone();
                change.tell(&mut session);
                if let Some(idle) = change.idle {
                    session.idle = Duration::from(session.idle).min(idle).into();
                }
                if change.max.is_some() {
                    session.expires_at = session.expires_at.min(changed.session.expires_at);
                }
                self.put_in_place_of(kin, session, cause).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
