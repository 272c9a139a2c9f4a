//! Redeeming one-time tokens.

use std::cmp::min;
use std::sync::Arc;
use std::time::Duration;

use super::detached::to_its_end;
use super::{Cause, Event, Sso};
use crate::config::Site;
use crate::domain::identity::Identity;
use crate::domain::opaque::{LoginToken, SessionHash, SessionKey};
use crate::domain::session::{End, LiveSession, Session, SessionId};
use crate::domain::state::{BrowserKey, Receipt};
use crate::domain::token::{Claim, Redeemed as EarlierRedemption, Refusal, RolePolicy, Taken, TokenKind};
use crate::domain::user::{Account, User};
use crate::store::{Admission, Beginning, StoreResult, Unavailable, live_session};

/// A browser's attempt to redeem a token.
#[derive(Debug)]
pub struct Redemption {
    /// The site on which it happens.
    pub site: Arc<Site>,
    /// The token.
    pub token: LoginToken,
    /// The kind of token that the endpoint takes; `None` for either.
    pub kind: Option<TokenKind>,
    /// The browser, if it has a key by which it is known.
    pub browser: Option<BrowserKey>,
    /// The session that the browser has now, which ends if the token is good.
    pub current: Option<SessionHash>,
    /// Whether the token has to have been issued for this browser, be the site content without.
    pub bound: bool,
    /// Who makes it.
    pub cause: Cause,
}

/// A new session.
#[derive(Debug)]
pub struct Redeemed {
    /// The value for the session cookie.
    pub key: SessionKey,
    /// The session.
    pub live: Arc<LiveSession>,
    /// Where the login page wanted the visitor to go: not yet proven.
    pub return_url: Option<String>,
    /// Whether this very browser is known to have asked the login page for the token: it came with its state.
    pub was_asked_for: bool,
}

/// Why there is no new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// The token is not good.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its person has as many sessions on the site as there may be.
    #[error("there are too many sessions of this person on the site")]
    TooManySessions,
    /// Nobody knows whether it is good.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What a good token leads to: a session that has just begun, or one that did when the same browser took the
/// token a moment ago.
struct Begun {
    redeemed: Redeemed,
    /// The session of another site that hands its visitor on.
    source: Option<SessionId>,
    /// How much had been withdrawn before the token was taken.
    withdrawn: u64,
}

/// How long a browser that comes twice at the same time waits for what its first request opens.
const SESSION_MAY_BE_UNDER_WAY: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(80), Duration::from_millis(300), Duration::ZERO];

impl Sso {
    /// Takes the token and opens a session under a new key; the browser's present session ends.
    ///
    /// It runs detached from the caller, so that a client who leaves cannot stop it half-way: the
    /// token would be gone and the session not there.
    pub async fn redeem(self: &Arc<Self>, attempt: Redemption) -> Result<Redeemed, RedeemError> {
        let sso = Arc::clone(self);
        to_its_end(async move {
            let begun = sso.begin(&attempt).await;
            if let Err(RedeemError::Refused(refusal)) = begun {
                sso.note(Event::TokenRefused { site: &attempt.site.name, refusal }, &attempt.cause);
            }
            sso.confirm(begun?, &attempt).await
        })
        .await
    }

    /// Takes the token and begins a session, if it is good.
    async fn begin(&self, attempt: &Redemption) -> Result<Begun, RedeemError> {
        let site = &attempt.site;
        let now = self.now();
        let withdrawn = self.withdrawals.count();
        let receipt = attempt.browser.as_ref().map(|browser| Receipt::mint(browser, self.entropy()));
        let claim = Claim {
            kind: attempt.kind,
            site: site.name.clone(),
            state: attempt.browser.as_ref().map(|browser| browser.state_for(&site.name)),
            require_state: site.require_state || attempt.bound,
            receipt: receipt.clone(),
        };
        let grant = match self.stores.tokens.take(attempt.token.hash(), claim, now).await?? {
            Taken::Now(grant) => grant,
            Taken::Before(earlier) => {
                let source = earlier.source;
                let redeemed = self.redeemed_before(attempt, earlier).await?;
                return Ok(Begun { redeemed, source, withdrawn });
            }
        };
        let source = match grant.source {
            Some(id) => Some(self.source_of_token(id).await?),
            None => None,
        };
        // Name, role and back end are what they are now, not what they were when the token was
        // made; and so is what a session tells that hands its person on.
        let mut identity = grant.identity;
        if let Some(source) = &source {
            identity.details = source.session.identity.details.clone();
        }
        let (identity, backend) = match identity.user {
            None => (identity, false),
            Some(id) => {
                let user = self.stores.directory.find(id).await?.ok_or(Refusal::Revoked)?;
                with_rights(identity, &user, site, grant.role_policy).ok_or(Refusal::Revoked)?
            }
        };
        let age = grant.session_max.unwrap_or(site.session_max);
        // Sites that share a login do not prolong each other's sessions.
        let expires_at = source.iter().map(|source| source.session.expires_at).fold(now.after(age), min);
        let session = Session {
            id: match grant.source {
                Some(source) => source.mint_kin(now, self.entropy()),
                None => SessionId::mint(now, self.entropy()),
            },
            site: site.name.clone(),
            identity,
            role_policy: grant.role_policy,
            expires_at,
            idle: grant.session_idle.unwrap_or(site.session_idle).into(),
            backend,
        };
        let key = match attempt.browser.as_ref().zip(receipt) {
            Some((browser, receipt)) => browser.session_key(&attempt.token, &receipt),
            None => SessionKey::mint(self.entropy()),
        };
        let live = Arc::new(live_session(key.hash(), session, site, now));
        let token = Some(attempt.token.hash());
        let beginning = Beginning { cap: site.session_cap, replaces: attempt.current, token, now };
        let (ended, is_in) = match self.stores.sessions.insert(Arc::clone(&live), beginning).await? {
            Admission::Begun(ended) => (ended, true),
            Admission::Withdrawn(ended) => (ended, false),
            Admission::Full => {
                self.note(Event::SessionRefused { site: &site.name }, &attempt.cause);
                return Err(RedeemError::TooManySessions);
            }
        };
        for (id, end) in ended {
            self.note(Event::SessionEnded { site: &site.name, session: id, end }, &attempt.cause);
        }
        if !is_in {
            return Err(Refusal::Revoked.into());
        }
        // Whatever becomes of it, it is there: should it end at once, that is its end.
        let (site, session, user) = (&site.name, live.session.id, live.session.identity.user);
        self.note(Event::TokenRedeemed { site, session, user }, &attempt.cause);
        self.note(Event::SessionStarted { site, session, user }, &attempt.cause);
        // By a site that shares its login the browser asked, but nobody knows who signed in there, or whom.
        let was_asked_for = grant.state.is_some() && grant.source.is_none();
        let redeemed = Redeemed { key, live, return_url: grant.return_url, was_asked_for };
        Ok(Begun { redeemed, source: grant.source, withdrawn })
    }

    /// Ends what has just begun if it was withdrawn meanwhile. A session that began before is looked at in the
    /// same way: the first time the store may have failed before this was done.
    async fn confirm(&self, begun: Begun, attempt: &Redemption) -> Result<Redeemed, RedeemError> {
        let Begun { redeemed, source, withdrawn } = begun;
        let live = &redeemed.live;
        if self.withdrawals.meant(&live.session.identity, &attempt.site.name, withdrawn) {
            self.end_session(live.session.id, End::Revoked, &attempt.cause.left_to_gateway()).await?;
            return Err(Refusal::Revoked.into());
        }
        self.confirm_source(live, source, &attempt.cause).await?;
        self.confirm_rights(live, &attempt.cause).await?;
        Ok(redeemed)
    }

    /// What a browser gets that has taken the token a moment ago, and whose answer may have been
    /// lost: the same session, if it goes on.
    async fn redeemed_before(
        &self,
        attempt: &Redemption,
        earlier: EarlierRedemption,
    ) -> Result<Redeemed, RedeemError> {
        let browser = attempt.browser.as_ref().ok_or(Refusal::Used)?;
        let key = browser.session_key(&attempt.token, &earlier.receipt);
        for wait in SESSION_MAY_BE_UNDER_WAY {
            if let Some(live) = self.look_up(&attempt.site, &key, self.now()).await? {
                let session = live.session.id;
                self.note(Event::TokenRedeemedAgain { site: &attempt.site.name, session }, &attempt.cause);
                // Whether it came with the state is not remembered.
                return Ok(Redeemed { key, live, return_url: earlier.return_url, was_asked_for: false });
            }
            tokio::time::sleep(wait).await;
        }
        Err(Refusal::Used.into())
    }

    /// Looks the user of a session up again that was just written: who was changed or deleted between
    /// the first look and that was not found as it is now when that change went over the sessions.
    pub(super) async fn confirm_rights(&self, live: &LiveSession, cause: &Cause) -> Result<(), RedeemError> {
        let Some(id) = live.session.identity.user else { return Ok(()) };
        let still_there = if let Some(user) = self.stores.directory.find(id).await? {
            self.refresh_session(live, &user, &cause.left_to_gateway()).await?
        } else {
            self.end_session(live.session.id, End::Revoked, &cause.left_to_gateway()).await?;
            false
        };
        if still_there { Ok(()) } else { Err(Refusal::Revoked.into()) }
    }

    /// The site that a token opens, for whoever has to send its bearer there.
    pub async fn site_of_token(&self, token: &LoginToken) -> StoreResult<Option<Arc<Site>>> {
        let name = self.stores.tokens.site_of(token.hash()).await?;
        Ok(name.and_then(|name| self.sites.by_name(&name).map(Arc::clone)))
    }
}

/// `identity` with the rights that `user` has on `site` now, and whether they reach its back end;
/// `None` if the session rests on a membership that is over.
pub(super) fn with_rights(
    identity: Identity,
    user: &User,
    site: &Site,
    policy: RolePolicy,
) -> Option<(Identity, bool)> {
    let role = user.roles.get(&site.name);
    let backend = site.allow_backend_login && user.account == Account::Full && role.is_some();
    match policy {
        RolePolicy::Always => {
            let name = Some(user.name.clone());
            Some((Identity { role: Some(role?.clone()), name, ..identity }, backend))
        }
        RolePolicy::WithBackend => {
            Some((Identity { role: role.filter(|_| backend).cloned(), ..identity }, backend))
        }
    }
}
