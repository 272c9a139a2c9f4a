//! What this process shows of the file: all sessions and users in memory, for everybody to read. Only
//! the writer changes it, after what it shows is in the file; that a session was used is the one thing
//! that is known here first.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::chores::Agenda;
use crate::config::Site;
use crate::domain::clock::{Timestamp, millis};
use crate::domain::email::Email;
use crate::domain::opaque::SessionHash;
use crate::domain::session::{LiveSession, Session};
use crate::domain::site::SiteName;
use crate::store::record::{Damaged, Recorded as _};
use crate::store::{Health, live_session, memory};

/// How long the last use of a session may stay unwritten.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// The part of a session's idle time that may be forgotten with its last use.
const OF_IDLE: u32 = 4;

/// The store as it is in memory.
pub(super) struct Mirror {
    pub(super) path: PathBuf,
    pub(super) sessions: memory::Sessions,
    pub(super) users: memory::Users,
    pub(super) agenda: Agenda,
    sites: RwLock<HashMap<SiteName, Arc<Site>>>,
    /// The time, as it was told last.
    now: AtomicU64,
    shortest_idle: AtomicU64,
    /// Sessions whose last use is to be written.
    unsaved: Mutex<Vec<Arc<LiveSession>>>,
    is_well: AtomicBool,
    losses: AtomicU64,
}

impl Mirror {
    /// An empty one, of a file with sessions for `sites`.
    pub(super) fn new(path: PathBuf, sites: &[Arc<Site>], now: Timestamp) -> Self {
        Self {
            path,
            sessions: memory::Sessions::default(),
            users: memory::Users::default(),
            agenda: Agenda::default(),
            sites: RwLock::new(by_name(sites)),
            now: AtomicU64::new(now.as_millis()),
            shortest_idle: AtomicU64::new(u64::MAX),
            unsaved: Mutex::default(),
            is_well: AtomicBool::new(true),
            losses: AtomicU64::new(0),
        }
    }

    /// The time, a moment late. Nothing that ends to the second is judged by it.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    /// Takes note of the time.
    pub(super) fn note_time(&self, now: Timestamp) {
        self.now.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// Makes what is read from now on for these sites, and as before for others.
    pub(super) fn serve(&self, sites: &[Arc<Site>]) {
        self.sites.write().unwrap_or_else(PoisonError::into_inner).extend(by_name(sites));
    }

    /// The session that `record` stands for, with all that it may share with others; `None` if it is one
    /// of a site that this process does not serve.
    pub(super) fn revive(
        &self,
        hash: SessionHash,
        record: &[u8],
        last_seen: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, Damaged> {
        let mut session = Session::from_record(record)?;
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        let Some(site) = sites.get(&session.site) else { return Ok(None) };
        session.site = site.name.clone();
        self.share_names(&mut session);
        self.note_idle(&session);
        Ok(Some(Arc::new(live_session(hash, session, site, last_seen))))
    }

    fn share_names(&self, session: &mut Session) {
        let who = &mut session.identity;
        let Some(user) = who.user.and_then(|id| self.users.known(id)) else { return };
        if who.email.as_ref().map(Email::as_str) == Some(user.email.as_str()) {
            who.email = Some(user.email.clone());
        }
        if who.name.as_ref() == Some(&user.name) {
            who.name = Some(user.name.clone());
        }
        if let Some(role) = user.roles.get(&session.site)
            && who.role.as_ref() == Some(role)
        {
            who.role = Some(role.clone());
        }
    }

    /// Takes note of how long a session may go unused.
    pub(super) fn note_idle(&self, session: &Session) {
        let idle = millis(session.idle.into());
        self.shortest_idle.fetch_min(idle, Ordering::Relaxed);
    }

    /// Shows `live` as the session behind its cookie, unless that is what is shown already.
    pub(super) fn show(&self, live: Arc<LiveSession>) -> Arc<LiveSession> {
        if let Some(present) = self.sessions.known(&live.hash)
            && present.session.to_record() == live.session.to_record()
        {
            present.was_seen(live.last_seen());
            return present;
        }
        self.sessions.show(Arc::clone(&live));
        live
    }

    /// How often last uses are written.
    pub(super) fn seen_within(&self) -> Duration {
        let idle = Duration::from_millis(self.shortest_idle.load(Ordering::Relaxed));
        SEEN_WITHIN.min(idle / OF_IDLE)
    }

    fn unsaved(&self) -> MutexGuard<'_, Vec<Arc<LiveSession>>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the last use of `live` written down soon.
    pub(super) fn note_use(&self, live: &Arc<LiveSession>) {
        if live.note_unsaved() {
            self.unsaved().push(Arc::clone(live));
        }
    }

    /// At most `limit` sessions whose last use is to be written.
    pub(super) fn take_unsaved(&self, limit: usize) -> Vec<Arc<LiveSession>> {
        let mut unsaved = self.unsaved();
        let rest = unsaved.len().saturating_sub(limit);
        unsaved.split_off(rest)
    }

    /// Whether the file can be written.
    pub(super) fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// How the file has been doing.
    pub(super) fn health(&self) -> Health {
        Health { is_well: self.is_well(), faults: vec![("lost", self.losses.load(Ordering::Relaxed))] }
    }

    /// Takes note that the file cannot be written; the first to notice says so.
    pub(super) fn note_loss(&self, error: &dyn Display) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        if self.is_well.swap(false, Ordering::Relaxed) {
            tracing::error!(
                target: "tollgate::store", file = %self.path.display(), %error,
                "the store is lost: nobody can sign in until it is back"
            );
        }
    }

    /// Takes note that the file could be written.
    pub(super) fn note_recovery(&self) {
        if !self.is_well.swap(true, Ordering::Relaxed) {
            tracing::warn!(target: "tollgate::store", file = %self.path.display(), "the store is back");
        }
    }
}

fn by_name(sites: &[Arc<Site>]) -> HashMap<SiteName, Arc<Site>> {
    sites.iter().map(|site| (site.name.clone(), Arc::clone(site))).collect()
}
