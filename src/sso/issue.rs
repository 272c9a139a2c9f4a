//! Issuing one-time tokens.

use std::sync::Arc;
use std::time::Duration;

use super::detached::to_its_end;
use super::{Cause, Event, Sso};
use crate::config::Site;
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::identity::{Details, Identity};
use crate::domain::opaque::LoginToken;
use crate::domain::state::LoginState;
use crate::domain::token::{RolePolicy, TokenGrant, TokenKind};
use crate::domain::user::{PersonName, User};
use crate::store::{NonceKey, StoreResult};

/// The life of a token of the plain API, unless site or call say otherwise.
const PLAIN_TTL: Duration = Duration::from_mins(5);

/// The life of a token of the 23-compatible API, unless the site says otherwise.
const COMPATIBLE_TTL: Duration = Duration::from_mins(15);

/// What a login page may say about the token it wants, apart from whom it is for.
#[derive(Clone, Debug, Default)]
pub struct TokenOrder {
    /// Where to go afterwards.
    pub return_url: Option<String>,
    /// The browser that alone may redeem it.
    pub state: Option<LoginState>,
    /// The token's life, where it differs from the site's.
    pub expires_in: Option<Duration>,
    /// The session's idle time, where it differs from the site's.
    pub session_idle: Option<Duration>,
    /// The session's greatest age, where it differs from the site's.
    pub session_max: Option<Duration>,
}

/// Whom a token of the plain API is for.
#[derive(Clone, Debug)]
pub struct Member {
    /// The address under which the directory knows the person.
    pub email: Email,
    /// The name, if the person is new.
    pub name: PersonName,
    /// What the login page alone knows.
    pub details: Details,
}

/// A token that was issued.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: LoginToken,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
    /// Whether the directory has a new user because of it.
    pub user_created: bool,
}

/// A token that a login page signed and that was believed.
#[derive(Debug)]
pub struct SignedOrder {
    /// The token in its place.
    pub stand_in: LoginToken,
    /// What no other token has: with it this one counts once.
    pub nonce: NonceKey,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// A token before it is said for whom it is.
struct Blank {
    token: LoginToken,
    kind: TokenKind,
    role_policy: RolePolicy,
    ttl: Duration,
}

impl Sso {
    /// Keeps a token in the place of one that a login page signed, when that is brought for the first
    /// time. Whether it was.
    ///
    /// It runs detached from the caller, so that a client who leaves cannot stop it half-way: the
    /// token would be used up and worth nothing.
    pub async fn accept_signed(
        self: &Arc<Self>,
        site: &Arc<Site>,
        signed: SignedOrder,
        member: Member,
        order: TokenOrder,
        cause: &Cause,
    ) -> StoreResult<bool> {
        let (sso, site, cause) = (Arc::clone(self), Arc::clone(site), cause.clone());
        to_its_end(async move {
            if !sso.stores.nonces.remember(signed.nonce, signed.expires_at).await? {
                return Ok(false);
            }
            let expires_in = Some(sso.now().until(signed.expires_at));
            let order = TokenOrder { expires_in, ..order };
            sso.issue_to_member(&site, signed.stand_in, member, order, &cause).await?;
            Ok(true)
        })
        .await
    }

    /// Issues a token for a member of `site`, who becomes one by this.
    pub async fn issue_for_member(
        &self,
        site: &Arc<Site>,
        member: Member,
        order: TokenOrder,
        cause: &Cause,
    ) -> StoreResult<Issued> {
        self.issue_to_member(site, LoginToken::mint(self.entropy()), member, order, cause).await
    }

    async fn issue_to_member(
        &self,
        site: &Arc<Site>,
        token: LoginToken,
        member: Member,
        order: TokenOrder,
        cause: &Cause,
    ) -> StoreResult<Issued> {
        let provisioned =
            self.stores.directory.provision(member.email, member.name, site.name.clone(), self.now()).await?;
        let user = provisioned.user;
        if provisioned.created {
            self.note(Event::UserCreated { user: user.id, site: &site.name }, cause);
        } else if provisioned.joined {
            self.note(Event::UserChanged { user: user.id }, cause);
        }
        let identity = Identity {
            user: Some(user.id),
            email: Some(user.email),
            name: Some(user.name),
            details: member.details,
            ..Identity::default()
        };
        let ttl = order.expires_in.or(site.token_ttl).unwrap_or(PLAIN_TTL);
        let blank = Blank { token, kind: TokenKind::Session, role_policy: RolePolicy::Always, ttl };
        let mut issued = self.issue(site, blank, identity, order, cause).await?;
        issued.user_created = provisioned.created;
        Ok(issued)
    }

    /// Issues a token of the 23-compatible API: for a person with or without an entry in the
    /// directory, or for an anonymous visitor.
    pub async fn issue_for_visitor(
        &self,
        site: &Arc<Site>,
        email: Option<Email>,
        name: Option<PersonName>,
        order: TokenOrder,
        cause: &Cause,
    ) -> StoreResult<Issued> {
        let user = match &email {
            Some(email) => self.stores.directory.find_by_email(email.key().into()).await?,
            None => None,
        };
        // A user of other sites only is none of this one's.
        let user = user.filter(|user| user.roles.contains_key(&site.name));
        let known_name = user.as_ref().map(|user| user.name.clone());
        let identity = Identity {
            user: user.map(|user| user.id),
            email,
            name: name.or(known_name),
            ..Identity::default()
        };
        self.issue(site, self.compatible(site, TokenKind::Session), identity, order, cause).await
    }

    /// Issues a login token of the 23-compatible API for a user with a full account.
    pub async fn issue_for_user(
        &self,
        site: &Arc<Site>,
        user: &User,
        order: TokenOrder,
        cause: &Cause,
    ) -> StoreResult<Issued> {
        let identity = Identity {
            user: Some(user.id),
            email: Some(user.email.clone()),
            name: Some(user.name.clone()),
            ..Identity::default()
        };
        self.issue(site, self.compatible(site, TokenKind::Login), identity, order, cause).await
    }

    /// A token of the 23-compatible API.
    fn compatible(&self, site: &Site, kind: TokenKind) -> Blank {
        Blank {
            token: LoginToken::mint(self.entropy()),
            kind,
            role_policy: RolePolicy::WithBackend,
            ttl: site.token_ttl.unwrap_or(COMPATIBLE_TTL),
        }
    }

    async fn issue(
        &self,
        site: &Arc<Site>,
        blank: Blank,
        identity: Identity,
        order: TokenOrder,
        cause: &Cause,
    ) -> StoreResult<Issued> {
        let Blank { token, kind, role_policy, ttl } = blank;
        let expires_at = self.now().after(ttl);
        let user = identity.user;
        let grant = TokenGrant {
            kind,
            site: site.name.clone(),
            identity,
            role_policy,
            return_url: order.return_url,
            state: order.state,
            expires_at,
            session_idle: order.session_idle,
            session_max: order.session_max,
            source: None,
        };
        self.stores.tokens.insert(token.hash(), grant).await?;
        self.note(Event::TokenIssued { site: &site.name, user, from: None }, cause);
        Ok(Issued { token, expires_at, user_created: false })
    }
}
