//! Other settings while the program runs: what becomes of sessions that began under those before.
//!
//! A session has its headers ready as lines without names, which the rules of its site give them. So
//! lines and rules are to be of one edition. Where a site tells its upstream something else now, the
//! headers of its sessions are made anew: by whoever meets one, and in any case soon, as what runs on the
//! strength of a session ends if its upstream would be told something else.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering as AtomicOrdering;

use super::ending::RETRY;
use super::sessions::BATCH;
use super::sites::Sites;
use super::{Cause, Sso};
use crate::config::Site;
use crate::domain::session::LiveSession;
use crate::domain::site::SiteName;
use crate::store::{SessionFilter, StoreResult, live_session};

/// What sessions have to follow when other settings come into force.
#[derive(Debug, Default)]
pub struct Consequences {
    /// Sites that are new.
    pub added: Vec<SiteName>,
    /// Sites that are no more, or whose visitors have lost their cookies.
    pub removed: Vec<SiteName>,
    /// Sites that tell their upstreams something else, or let others into their back ends.
    pub retold: Vec<SiteName>,
}

impl Sso {
    /// The use cases for `sites` in the place of those so far, over the same stores.
    #[must_use]
    pub fn succeeded_by(&self, sites: Sites) -> Self {
        Self {
            signers: self.signers.succeeded_by(sites.all()),
            sites,
            wrong_keys: Arc::clone(&self.wrong_keys),
            guesses: Arc::clone(&self.guesses),
            bounces: Arc::clone(&self.bounces),
            cookieless_bounces: Arc::clone(&self.cookieless_bounces),
            rounds: Arc::clone(&self.rounds),
            hand_overs: Arc::clone(&self.hand_overs),
            withdrawals: Arc::clone(&self.withdrawals),
            chronicle: Arc::clone(&self.chronicle),
            stores: self.stores.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            number: self.number.saturating_add(1),
            latest: Arc::clone(&self.latest),
        }
    }

    /// These use cases come into force: the stores read sessions for their sites from now on.
    pub fn come_into_force(&self) {
        self.stores.sessions.serve(self.sites.all());
    }

    /// Every request that comes is answered by these use cases from now on. What those hear who listen ends:
    /// keys may be others now, or may see something else. Sooner, whoever came again at once would be judged
    /// by the settings before.
    pub fn supersede_others(&self) {
        self.latest.fetch_max(self.number, AtomicOrdering::AcqRel);
        self.chronicle.show_out();
    }

    /// Whether no other settings have come into force since these, so that requests come to others: what has
    /// taken its time is to be judged by those.
    pub fn is_in_force(&self) -> bool {
        self.number >= self.latest.load(AtomicOrdering::Acquire)
    }

    /// `live`, which is good, with headers that the rules of `site` can read; `None` if it has ended
    /// meanwhile.
    pub(super) fn fitted(&self, live: Arc<LiveSession>, site: &Site) -> Option<Arc<LiveSession>> {
        let edition = site.identity.edition();
        let again =
            |live: &LiveSession| live_session(live.hash, live.session.clone(), site, live.last_seen());
        let live = match live.headers.edition().cmp(&edition) {
            Ordering::Equal => return Some(live),
            Ordering::Less => self.stores.sessions.refit(&live, again(&live))?,
            Ordering::Greater => live,
        };
        if live.headers.edition() == edition {
            return Some(live);
        }
        // The request began under settings that are no more. It ends with them, and whatever of it goes
        // on is compared with what is told now, as if the session had been changed.
        let own = Arc::new(again(&live));
        own.supersede();
        Some(own)
    }

    /// Has the sessions follow: those of sites that are no more end, and what is told of the others is
    /// what it is now. It goes on until it is done, and may go on beside another of its kind.
    pub async fn follow_up(self: Arc<Self>, consequences: Consequences) {
        let Consequences { added, removed, retold } = consequences;
        // First of all: a site that is gone may be back before the store can be written.
        if !removed.is_empty() {
            let filter = SessionFilter { email_key: None, sites: Some(removed) };
            self.end_all(filter, &Cause::GATEWAY).await;
        }
        while !added.is_empty() && self.stores.sessions.look_for(added.clone()).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
        while !retold.is_empty() && self.retell(&retold).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Makes the headers of all sessions of these sites anew, and who may reach a back end no more does
    /// not.
    async fn retell(&self, sites: &[SiteName]) -> StoreResult<()> {
        let filter = SessionFilter { email_key: None, sites: Some(sites.to_vec()) };
        let mut after = None;
        loop {
            let page = self.stores.sessions.list(filter.clone(), after, BATCH, self.now()).await?;
            for live in page.entries {
                let Some(site) = self.sites.by_name(&live.session.site) else { continue };
                // Settings that are newer still have been there already.
                if live.headers.edition() > site.identity.edition() {
                    continue;
                }
                let Some(live) = self.fitted(live, site) else { continue };
                let user =
                    live.session.identity.user.filter(|_| live.session.backend != site.allow_backend_login);
                if let Some(id) = user
                    && let Some(user) = self.stores.directory.find(id).await?
                {
                    self.refresh_session(&live, &user, &Cause::GATEWAY).await?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
            // Whoever else has something to do on this thread is not to wait for all of it.
            tokio::task::yield_now().await;
        }
    }
}
