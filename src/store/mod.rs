//! Where tokens, sessions and users are kept.
//!
//! A method's signature shows what it depends on: whoever needs the time is handed it. Reading a
//! session is on the path of every request and answers at once; everything else may take its time
//! and is a future.

pub mod embedded;
mod key_record;
pub mod memory;
pub mod record;
mod redis;
mod timed;

pub use timed::StoreTimes;

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{Site, StoreSettings};
use crate::domain::assertion::KeyRing;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::email::Email;
use crate::domain::identity::{AccessClass, Identity};
use crate::domain::opaque::{SessionHash, TokenHash};
use crate::domain::paused::ParkedId;
use crate::domain::session::{End, LiveSession, Session, SessionCap, SessionId, Standing};
use crate::domain::site::SiteName;
use crate::domain::token::{Claim, Refusal, Taken, TokenGrant};
use crate::domain::user::{Account, PersonName, Role, User, UserId};

/// The store cannot answer. Nobody is let in on the strength of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store does not answer")]
pub struct Unavailable;

/// What a store answers.
pub type StoreResult<T> = Result<T, Unavailable>;

/// An answer that may take its time.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = StoreResult<T>> + Send + 'a>>;

/// One page of a list, and where the next one begins.
#[derive(Debug)]
pub struct Page<T, C> {
    /// The page's entries, oldest first.
    pub entries: Vec<T>,
    /// What to ask the next page with; `None` on the last one.
    pub next: Option<C>,
}

/// Keeps one-time tokens by their hashes.
pub trait TokenStore: Send + Sync {
    /// Keeps what `hash` stands for until it is redeemed or expires.
    fn insert(&self, hash: TokenHash, grant: TokenGrant) -> StoreFuture<'_, ()>;

    /// Hands out what `hash` stands for, if `claim` may have it, and never again: of any number
    /// of callers at the same time, one gets it. A refused token stays as it was. The browser that
    /// got it may come once more within [`RETRY`](crate::domain::token::RETRY).
    fn take(&self, hash: TokenHash, claim: Claim, now: Timestamp) -> StoreFuture<'_, Result<Taken, Refusal>>;

    /// Withdraws the open tokens that `filter` shows. Whoever took one of such a moment ago may come with it no
    /// more, and if it was a person's, no session [begins](SessionStore::insert) by it any more in a store that
    /// others share.
    fn revoke(&self, filter: SessionFilter) -> StoreFuture<'_, ()>;

    /// The site that a token opens; looking does not change it.
    fn site_of(&self, hash: TokenHash) -> StoreFuture<'_, Option<SiteName>>;

    /// Forgets at most `limit` tokens that are long over, and says how many it looked at. A store that
    /// forgets by the way only takes note of the time.
    fn sweep(&self, now: Timestamp, limit: usize) -> usize;
}

/// Which sessions, or tokens for sessions, are meant.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Those of the person with this [`Email::key`].
    pub email_key: Option<Arc<str>>,
    /// Those on one of these sites.
    pub sites: Option<Vec<SiteName>>,
}

impl SessionFilter {
    /// Whether those of `who` on `site` are meant.
    pub fn matches(&self, who: &Identity, site: &SiteName) -> bool {
        let email_key = who.email.as_ref().map(Email::key);
        self.email_key.as_deref().is_none_or(|key| email_key == Some(key)) && self.covers(site)
    }

    /// Whether any on `site` are meant.
    pub(crate) fn covers(&self, site: &SiteName) -> bool {
        self.sites.as_ref().is_none_or(|sites| sites.contains(site))
    }
}

/// What a store knows of a session without asking anybody.
#[derive(Debug)]
pub enum Glance {
    /// There it is, good or not: the caller knows the time.
    Known(Arc<LiveSession>),
    /// There is none.
    Nobody,
    /// That takes [`SessionStore::find`].
    Unsure,
}

/// The circumstances under which a session begins.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// How many its person may have on its site. Nobody counts those of anonymous visitors.
    pub cap: Option<SessionCap>,
    /// The browser's session until now, which ends if it is one of the same site.
    pub replaces: Option<SessionHash>,
    /// The token that was taken for it.
    pub token: Option<TokenHash>,
    /// When it begins.
    pub now: Timestamp,
}

/// What came of [`SessionStore::insert`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has begun, and these have ended for it.
    Begun(Vec<(SessionId, End)>),
    /// Its person has as many as there may be.
    Full,
    /// Its token was [withdrawn](TokenStore::revoke) meanwhile. It has not begun, but these may have ended for it.
    Withdrawn(Vec<(SessionId, End)>),
}

/// How a store has been doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it did what it was asked last.
    pub is_well: bool,
    /// How often it did not since the start, under a stable word for each reason.
    pub faults: Vec<(&'static str, u64)>,
}

/// How many sessions there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// On each site of which there were any, or may be.
    pub by_site: BTreeMap<SiteName, usize>,
    /// Whether they are those of all nodes, so that each counts the same. They were counted a moment ago. Where
    /// every node has its own, those that are over may be among them until they are
    /// [forgotten](SessionStore::sweep).
    pub is_shared: bool,
}

impl Count {
    /// Those of all sites.
    pub fn sum(&self) -> usize {
        self.by_site.values().sum()
    }
}

/// Keeps sessions by the hashes of their cookies. Whoever ends or changes one marks the
/// [`LiveSession`] first, as it is held by whatever runs on the strength of it.
pub trait SessionStore: Send + Sync {
    /// What is known of the session behind a cookie here and now. This is on the path of every
    /// request.
    fn glance(&self, hash: &SessionHash) -> Glance;

    /// The session behind a cookie, good or not.
    fn find(&self, hash: SessionHash) -> StoreFuture<'_, Option<Arc<LiveSession>>>;

    /// How `live`, which was found here before, stands at `now`; `None` if that takes
    /// [`find`](Self::find).
    fn standing(&self, live: &LiveSession, now: Timestamp) -> Option<Standing> {
        Some(live.standing(now))
    }

    /// Starts the idle time of `live` anew.
    fn touch(&self, live: &Arc<LiveSession>, now: Timestamp) {
        live.touch(now);
    }

    /// Keeps a new session, unless there are too many. Of any number at the same time no more are
    /// kept than the cap allows. A store that others share looks whether the token was withdrawn meanwhile:
    /// whoever did that goes over the sessions afterwards, and so finds what was let in.
    fn insert(&self, live: Arc<LiveSession>, beginning: Beginning) -> StoreFuture<'_, Admission>;

    /// Ends the session behind a cookie and hands it back.
    fn remove(&self, hash: SessionHash, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>>;

    /// Why the session behind a cookie ended, for as long as it might still be presented. Only
    /// [`End::Evicted`] is sure to be remembered: of everything else the visitor knows.
    fn fate(&self, hash: SessionHash, now: Timestamp) -> StoreFuture<'_, Option<End>>;

    /// The session with this name that is alive at `now`.
    fn find_by_id(&self, id: SessionId, now: Timestamp) -> StoreFuture<'_, Option<Arc<LiveSession>>>;

    /// Ends the session with this name and hands it back.
    fn remove_by_id(&self, id: SessionId, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>>;

    /// Puts `live` in the place of the session with the same name, which is
    /// [superseded](Standing::Superseded); `false` if that has ended.
    fn replace(&self, live: Arc<LiveSession>) -> StoreFuture<'_, bool>;

    /// Puts `new` in the place of `old`, which is [superseded](Standing::Superseded): the same session with
    /// its headers made anew. It is nothing that others are told, who make their own. Hands back what is
    /// there now; `None` if the session has ended.
    fn refit(&self, old: &Arc<LiveSession>, new: LiveSession) -> Option<Arc<LiveSession>>;

    /// Makes what is read from now on for these sites, and as before for others: sessions of sites that are
    /// no more have to be found, so that they can be ended.
    fn serve(&self, _sites: &[Arc<Site>]) {}

    /// Looks for sessions of sites that were not [served](Self::serve) before: all that there are are
    /// listed then.
    fn look_for(&self, _sites: Vec<SiteName>) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Up to `limit` sessions that are alive at `now`, in the order of their making, behind
    /// `after`.
    fn list(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Page<Arc<LiveSession>, SessionId>>;

    /// Forgets at most `limit` sessions that are over, and says how many it looked at.
    fn sweep(&self, now: Timestamp, limit: usize) -> usize;

    /// How many sessions there are, as far as it is known without asking anybody.
    fn count(&self) -> Option<Count> {
        None
    }

    /// How the store has been doing, for whoever watches over it.
    fn health(&self) -> Health {
        Health { is_well: true, faults: Vec::new() }
    }

    /// Writes down what is still to be. Nothing is asked of any of the stores afterwards.
    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// `session` with its headers made, for the cookie with this hash, last seen at `last_seen`.
pub(crate) fn live_session(
    hash: SessionHash,
    session: Session,
    site: &Site,
    last_seen: Timestamp,
) -> LiveSession {
    let headers = site.identity.render(&session.identity, &session.id.to_string());
    let class = site.access_class.then(|| AccessClass::of(&session.identity, session.backend));
    let headers = headers.of_class(class.unwrap_or(AccessClass::Registered));
    LiveSession::new(hash, session, headers, last_seen)
}

/// What came of [`Directory::provision`].
#[derive(Debug)]
pub struct Provisioned {
    /// The user, who is now a member of the site.
    pub user: User,
    /// Whether the address was seen for the first time.
    pub created: bool,
    /// Whether somebody who was known became a member of the site only now.
    pub joined: bool,
}

/// A change to a user: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// Another name.
    pub name: Option<PersonName>,
    /// Another kind of account.
    pub account: Option<Account>,
    /// Another role on each of these sites; `None` ends the membership.
    pub roles: BTreeMap<SiteName, Option<Role>>,
}

impl UserChange {
    /// `user` with this change.
    pub(crate) fn apply_to(self, mut user: User) -> User {
        user.name = self.name.unwrap_or(user.name);
        user.account = self.account.unwrap_or(user.account);
        for (site, role) in self.roles {
            user.roles.set(site, role);
        }
        user
    }
}

/// Which users a list is to show.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// The one with this [`Email::key`].
    pub email_key: Option<Arc<str>>,
    /// Members of one of these sites.
    pub sites: Option<Vec<SiteName>>,
}

impl UserFilter {
    /// Whether the list shows `user`.
    pub fn matches(&self, user: &User) -> bool {
        let is_member = |sites: &Vec<SiteName>| sites.iter().any(|site| user.roles.contains_key(site));
        self.email_key.as_deref().is_none_or(|key| user.email.key() == key)
            && self.sites.as_ref().is_none_or(is_member)
    }
}

/// Keeps the users.
pub trait Directory: Send + Sync {
    /// Finds the user with this address or creates one, and makes the user a member of `site`
    /// (as `editor`) unless that is so already. A known user keeps name and roles.
    fn provision(
        &self,
        email: Email,
        name: PersonName,
        site: SiteName,
        now: Timestamp,
    ) -> StoreFuture<'_, Provisioned>;

    /// The user with this [`Email::key`].
    fn find_by_email(&self, email_key: Arc<str>) -> StoreFuture<'_, Option<User>>;

    /// The user with this number.
    fn find(&self, id: UserId) -> StoreFuture<'_, Option<User>>;

    /// Up to `limit` users in the order of their numbers, behind `after`.
    fn list(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreFuture<'_, Page<User, UserId>>;

    /// Changes a user; `None` if there is no such user.
    fn update(&self, id: UserId, change: UserChange) -> StoreFuture<'_, Option<User>>;

    /// Deletes a user and hands the entry back.
    fn remove(&self, id: UserId) -> StoreFuture<'_, Option<User>>;

    /// Answers if the store does.
    fn answers(&self) -> StoreFuture<'_, ()> {
        let nobody = self.find(UserId::NOBODY);
        Box::pin(async { nobody.await.map(drop) })
    }
}

/// The key of a nonce: a hash over everything with which it has to be unique.
pub type NonceKey = [u8; 32];

/// Remembers the nonces of signed requests.
pub trait NonceStore: Send + Sync {
    /// Remembers `key` until `until`; `false` if it is remembered already.
    fn remember(&self, key: NonceKey, until: Timestamp) -> StoreFuture<'_, bool>;

    /// Forgets at most `limit` nonces that are over, and says how many it looked at.
    fn sweep(&self, now: Timestamp, limit: usize) -> usize;
}

/// Keeps the keys with which sites sign what they tell their upstreams.
pub trait KeyStore: Send + Sync {
    /// The keys of `site`; `None` if it never had any. Keys that cannot be read are no reason to make
    /// others: then the store does not answer.
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>>;

    /// Puts `ring` in the place of the one whose revision is one less, or of nothing if it is the first;
    /// `false` if something else stands there. Of any number at the same time one gets `true`.
    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool>;
}

/// A paused request, to be kept.
pub struct SealedRequest {
    /// [Whose](crate::domain::network::network_of) address it came from.
    pub network: u128,
    /// When it is of no use any more.
    pub until: Timestamp,
    /// What only its browser can open.
    pub sealed: Vec<u8>,
}

/// Keeps requests that wait for a login. There is no end to those who can bring some, so a store keeps
/// only so many, and the oldest go first.
pub trait ParkedStore: Send + Sync {
    /// Keeps `request`, in the place of what was under `id` before.
    fn park(&self, id: ParkedId, request: SealedRequest) -> StoreFuture<'_, ()>;

    /// Whether there may be something under `id`.
    fn holds(&self, id: ParkedId) -> StoreFuture<'_, bool>;

    /// Hands out what is under `id`, and never again: of any number of callers at the same time, one
    /// gets it.
    fn take(&self, id: ParkedId, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>>;

    /// Forgets all that the browser has.
    fn clear(&self, browser: [u8; 32]) -> StoreFuture<'_, ()>;

    /// Forgets at most `limit` that are over, and says how many it looked at.
    fn sweep(&self, now: Timestamp, limit: usize) -> usize;
}

/// The stores that make up one installation.
#[derive(Clone)]
pub struct Stores {
    /// One-time tokens.
    pub tokens: Arc<dyn TokenStore>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Users.
    pub directory: Arc<dyn Directory>,
    /// Nonces of signed requests.
    pub nonces: Arc<dyn NonceStore>,
    /// Keys that sign.
    pub keys: Arc<dyn KeyStore>,
    /// Requests that wait for a login.
    pub parked: Arc<dyn ParkedStore>,
}

impl Stores {
    /// The stores that `settings` name, for sessions on `sites`.
    pub fn open(settings: &StoreSettings, sites: &[Arc<Site>], clock: Arc<dyn Clock>) -> io::Result<Self> {
        match settings {
            StoreSettings::Memory => Ok(Self::in_memory()),
            StoreSettings::Embedded { path } => {
                embedded::open(path, sites, clock.now()).map_err(io::Error::other)
            }
            StoreSettings::Redis(settings) => redis::open(settings, sites, clock),
        }
    }

    /// Everything in memory: forgotten on restart.
    pub fn in_memory() -> Self {
        Self {
            tokens: Arc::new(memory::Tokens::default()),
            sessions: Arc::new(memory::Sessions::default()),
            directory: Arc::new(memory::Users::default()),
            nonces: Arc::new(memory::Nonces::default()),
            keys: Arc::new(memory::Keys::default()),
            parked: Arc::new(memory::Parked::default()),
        }
    }

    /// One slice of forgetting, of at most `limit` entries of each kind, so that no request has to
    /// wait for it. Returns whether there may be more to do right away.
    pub fn sweep(&self, now: Timestamp, limit: usize) -> bool {
        let looked_at = [
            self.tokens.sweep(now, limit),
            self.sessions.sweep(now, limit),
            self.nonces.sweep(now, limit),
            self.parked.sweep(now, limit),
        ];
        looked_at.contains(&limit)
    }
}
