//! How long stores take to answer, and how often they do not: around any store, whatever it is.
//!
//! What requests do with a session that is at hand takes no time worth telling, and passes straight
//! through.

use std::sync::Arc;

use super::{
    Admission, Beginning, Count, Directory, Glance, Health, KeyStore, NonceKey, NonceStore, Page,
    ParkedStore, Provisioned, SealedRequest, SessionFilter, SessionStore, StoreFuture, Stores, TokenStore,
    UserChange, UserFilter,
};
use crate::config::Site;
use crate::domain::assertion::KeyRing;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::email::Email;
use crate::domain::opaque::{SessionHash, TokenHash};
use crate::domain::paused::ParkedId;
use crate::domain::session::{End, LiveSession, SessionId, Standing};
use crate::domain::site::SiteName;
use crate::domain::token::{Claim, Refusal, Taken, TokenGrant};
use crate::domain::user::{PersonName, User, UserId};
use crate::metrics::{self, Counter, Distribution, Histogram, Kind, Long, Source};

/// What is asked of a store, as the figures tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    IssueToken,
    TakeToken,
    WithdrawTokens,
    FindToken,
    BeginSession,
    FindSession,
    ChangeSession,
    EndSession,
    ListSessions,
    ProvisionUser,
    FindUser,
    ChangeUser,
    ListUsers,
    RememberNonce,
    Keys,
    Parked,
}

impl Operation {
    const ALL: [Self; 16] = [
        Self::IssueToken,
        Self::TakeToken,
        Self::WithdrawTokens,
        Self::FindToken,
        Self::BeginSession,
        Self::FindSession,
        Self::ChangeSession,
        Self::EndSession,
        Self::ListSessions,
        Self::ProvisionUser,
        Self::FindUser,
        Self::ChangeUser,
        Self::ListUsers,
        Self::RememberNonce,
        Self::Keys,
        Self::Parked,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::IssueToken => "issue_token",
            Self::TakeToken => "take_token",
            Self::WithdrawTokens => "withdraw_tokens",
            Self::FindToken => "find_token",
            Self::BeginSession => "begin_session",
            Self::FindSession => "find_session",
            Self::ChangeSession => "change_session",
            Self::EndSession => "end_session",
            Self::ListSessions => "list_sessions",
            Self::ProvisionUser => "provision_user",
            Self::FindUser => "find_user",
            Self::ChangeUser => "change_user",
            Self::ListUsers => "list_users",
            Self::RememberNonce => "remember_nonce",
            Self::Keys => "keys",
            Self::Parked => "parked",
        }
    }
}

/// How long a store took for what it was asked.
pub struct StoreTimes {
    clock: Arc<dyn Clock>,
    operations: [Times; Operation::ALL.len()],
}

#[derive(Default)]
struct Times {
    answered: Histogram<Long>,
    unanswered: Counter,
}

impl StoreTimes {
    fn time<'a, T: 'a>(&'a self, operation: Operation, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let asked = self.clock.moment();
            let answer = answer.await;
            if let Some(times) = self.operations.get(operation as usize) {
                match &answer {
                    Ok(_) => times.answered.observe(asked.micros_until(self.clock.moment())),
                    Err(_) => times.unanswered.increment(),
                }
            }
            answer
        })
    }
}

impl Source for StoreTimes {
    fn write(&self, page: &mut metrics::Page, _now: Timestamp) {
        let help = "How long the store took to answer, by what it was asked.";
        page.begin("tollgate_store_duration_seconds", Kind::Histogram, help);
        let told = || Operation::ALL.into_iter().zip(&self.operations);
        for (operation, times) in told() {
            let distribution = Distribution::default().with(&times.answered);
            page.distribution(&[("operation", operation.as_str())], &distribution);
        }
        let help = "How often the store gave no answer, by what it was asked.";
        page.begin("tollgate_store_errors_total", Kind::Counter, help);
        for (operation, times) in told() {
            page.figure(&[("operation", operation.as_str())], times.unanswered.value());
        }
    }
}

impl Stores {
    /// The same stores, and what tells how long they take.
    pub fn timed(self, clock: Arc<dyn Clock>) -> (Self, Arc<StoreTimes>) {
        let times = Arc::new(StoreTimes { clock, operations: Default::default() });
        let stores = Self {
            tokens: Arc::new(Timed(self.tokens, Arc::clone(&times))),
            sessions: Arc::new(Timed(self.sessions, Arc::clone(&times))),
            directory: Arc::new(Timed(self.directory, Arc::clone(&times))),
            nonces: Arc::new(Timed(self.nonces, Arc::clone(&times))),
            keys: Arc::new(Timed(self.keys, Arc::clone(&times))),
            parked: Arc::new(Timed(self.parked, Arc::clone(&times))),
        };
        (stores, times)
    }
}

/// A store that is timed.
struct Timed<S: ?Sized>(Arc<S>, Arc<StoreTimes>);

impl TokenStore for Timed<dyn TokenStore> {
    fn insert(&self, hash: TokenHash, grant: TokenGrant) -> StoreFuture<'_, ()> {
        self.1.time(Operation::IssueToken, self.0.insert(hash, grant))
    }

    fn take(&self, hash: TokenHash, claim: Claim, now: Timestamp) -> StoreFuture<'_, Result<Taken, Refusal>> {
        self.1.time(Operation::TakeToken, self.0.take(hash, claim, now))
    }

    fn revoke(&self, filter: SessionFilter) -> StoreFuture<'_, ()> {
        self.1.time(Operation::WithdrawTokens, self.0.revoke(filter))
    }

    fn site_of(&self, hash: TokenHash) -> StoreFuture<'_, Option<SiteName>> {
        self.1.time(Operation::FindToken, self.0.site_of(hash))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        self.0.sweep(now, limit)
    }
}

impl SessionStore for Timed<dyn SessionStore> {
    fn glance(&self, hash: &SessionHash) -> Glance {
        self.0.glance(hash)
    }

    fn find(&self, hash: SessionHash) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.1.time(Operation::FindSession, self.0.find(hash))
    }

    fn standing(&self, live: &LiveSession, now: Timestamp) -> Option<Standing> {
        self.0.standing(live, now)
    }

    fn touch(&self, live: &Arc<LiveSession>, now: Timestamp) {
        self.0.touch(live, now);
    }

    fn insert(&self, live: Arc<LiveSession>, beginning: Beginning) -> StoreFuture<'_, Admission> {
        self.1.time(Operation::BeginSession, self.0.insert(live, beginning))
    }

    fn remove(&self, hash: SessionHash, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.1.time(Operation::EndSession, self.0.remove(hash, end))
    }

    fn fate(&self, hash: SessionHash, now: Timestamp) -> StoreFuture<'_, Option<End>> {
        self.1.time(Operation::FindSession, self.0.fate(hash, now))
    }

    fn find_by_id(&self, id: SessionId, now: Timestamp) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.1.time(Operation::FindSession, self.0.find_by_id(id, now))
    }

    fn remove_by_id(&self, id: SessionId, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.1.time(Operation::EndSession, self.0.remove_by_id(id, end))
    }

    fn replace(&self, live: Arc<LiveSession>) -> StoreFuture<'_, bool> {
        self.1.time(Operation::ChangeSession, self.0.replace(live))
    }

    fn refit(&self, old: &Arc<LiveSession>, new: LiveSession) -> Option<Arc<LiveSession>> {
        self.0.refit(old, new)
    }

    fn serve(&self, sites: &[Arc<Site>]) {
        self.0.serve(sites);
    }

    fn look_for(&self, sites: Vec<SiteName>) -> StoreFuture<'_, ()> {
        self.1.time(Operation::ListSessions, self.0.look_for(sites))
    }

    fn list(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Page<Arc<LiveSession>, SessionId>> {
        self.1.time(Operation::ListSessions, self.0.list(filter, after, limit, now))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        self.0.sweep(now, limit)
    }

    fn count(&self) -> Option<Count> {
        self.0.count()
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.0.close()
    }
}

impl Directory for Timed<dyn Directory> {
    fn provision(
        &self,
        email: Email,
        name: PersonName,
        site: SiteName,
        now: Timestamp,
    ) -> StoreFuture<'_, Provisioned> {
        self.1.time(Operation::ProvisionUser, self.0.provision(email, name, site, now))
    }

    fn find_by_email(&self, email_key: Arc<str>) -> StoreFuture<'_, Option<User>> {
        self.1.time(Operation::FindUser, self.0.find_by_email(email_key))
    }

    fn find(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        self.1.time(Operation::FindUser, self.0.find(id))
    }

    fn list(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreFuture<'_, Page<User, UserId>> {
        self.1.time(Operation::ListUsers, self.0.list(filter, after, limit))
    }

    fn update(&self, id: UserId, change: UserChange) -> StoreFuture<'_, Option<User>> {
        self.1.time(Operation::ChangeUser, self.0.update(id, change))
    }

    fn remove(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        self.1.time(Operation::ChangeUser, self.0.remove(id))
    }

    fn answers(&self) -> StoreFuture<'_, ()> {
        self.0.answers()
    }
}

impl NonceStore for Timed<dyn NonceStore> {
    fn remember(&self, key: NonceKey, until: Timestamp) -> StoreFuture<'_, bool> {
        self.1.time(Operation::RememberNonce, self.0.remember(key, until))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        self.0.sweep(now, limit)
    }
}

impl KeyStore for Timed<dyn KeyStore> {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        self.1.time(Operation::Keys, self.0.load(site))
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        self.1.time(Operation::Keys, self.0.replace(site, ring))
    }
}

impl ParkedStore for Timed<dyn ParkedStore> {
    fn park(&self, id: ParkedId, request: SealedRequest) -> StoreFuture<'_, ()> {
        self.1.time(Operation::Parked, self.0.park(id, request))
    }

    fn holds(&self, id: ParkedId) -> StoreFuture<'_, bool> {
        self.1.time(Operation::Parked, self.0.holds(id))
    }

    fn take(&self, id: ParkedId, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.1.time(Operation::Parked, self.0.take(id, now))
    }

    fn clear(&self, browser: [u8; 32]) -> StoreFuture<'_, ()> {
        self.1.time(Operation::Parked, self.0.clear(browser))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        self.0.sweep(now, limit)
    }
}
