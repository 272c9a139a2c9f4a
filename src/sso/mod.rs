//! The use cases: issue a token, redeem it, recognise a session, end it; users and their roles.
//!
//! Everything that changes who is let in happens here, and each of it leaves one line in the
//! audit log. None of it knows HTTP.

mod assertions;
mod authenticate;
mod cause;
mod chronicle;
mod detached;
mod editions;
mod ending;
mod event;
mod group;
mod issue;
mod paused;
mod recent;
mod redeem;
mod sessions;
pub mod sites;
pub mod throttle;
mod users;
mod withdrawals;

pub use cause::{Actor, Cause, Circumstances};
pub use chronicle::{EventSums, PublishedEvent};
pub use editions::Consequences;
pub use event::Event;
pub use issue::{Issued, Member, SignedOrder, TokenOrder};
pub use redeem::{RedeemError, Redeemed, Redemption};
pub use sessions::SessionChange;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::entropy::Entropy;
use crate::domain::state::BrowserKey;
use crate::journal::Outlet;
use crate::metrics::{Kind, Page, Source};
use crate::store::{Count, Health, Stores};
use assertions::Signers;
use chronicle::Chronicle;
use sites::Sites;
use throttle::{RecentFailures, Throttle};
use withdrawals::Withdrawals;

/// The use cases over one set of stores.
pub struct Sso {
    /// The sites that there are.
    pub sites: Sites,
    /// Holds back whoever presents wrong API keys.
    wrong_keys: Arc<Throttle>,
    /// Holds back whoever presents tokens that were never issued.
    guesses: Arc<Throttle>,
    /// Stops a browser and a login page from sending each other in circles.
    bounces: Arc<RecentFailures>,
    /// The same for browsers without cookies, of which there may be many at one address.
    cookieless_bounces: Arc<Throttle>,
    /// Stops sites that share a login from sending a browser in circles.
    rounds: Arc<RecentFailures>,
    /// Bounds the tokens by which one session is handed on.
    hand_overs: Arc<Throttle>,
    /// Meets logins that are under way.
    withdrawals: Arc<Withdrawals>,
    /// What sites sign with that do.
    signers: Signers,
    /// Tells what happens.
    chronicle: Arc<Chronicle>,
    stores: Stores,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// How many there were before these, and before those that are in force.
    number: u32,
    latest: Arc<AtomicU32>,
}

impl Sso {
    /// The use cases for `sites` over `stores`.
    pub fn new(sites: Sites, stores: Stores, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            signers: Signers::new(sites.all()),
            sites,
            wrong_keys: Arc::new(Throttle::new(30, Duration::from_secs(2))),
            guesses: Arc::new(Throttle::new(40, Duration::from_secs(1))),
            bounces: Arc::new(RecentFailures::new(3, Duration::from_mins(1))),
            cookieless_bounces: Arc::new(Throttle::new(200, Duration::from_millis(500))),
            rounds: Arc::new(RecentFailures::new(20, Duration::from_mins(1))),
            hand_overs: Arc::new(Throttle::new(20, Duration::from_secs(3))),
            withdrawals: Arc::default(),
            chronicle: Arc::default(),
            stores,
            clock,
            entropy,
            number: 0,
            latest: Arc::default(),
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The source of randomness.
    pub fn entropy(&self) -> &dyn Entropy {
        self.entropy.as_ref()
    }

    /// Tells the audit log, and whoever listens, what has happened, and by whose doing.
    pub fn note(&self, event: Event<'_>, cause: &Cause) {
        self.chronicle.note(event, cause, self.now());
    }

    /// Keeps the audit log at `outlet` from now on, or on stderr.
    pub fn keep_audit_log_at(&self, outlet: Option<Arc<Outlet>>) {
        self.chronicle.keep_at(outlet);
    }

    /// Everything that happens from now on, unless there are `most` already who listen.
    pub fn listen(&self, most: usize) -> Option<broadcast::Receiver<Arc<PublishedEvent>>> {
        self.chronicle.listen(most)
    }

    /// Keeps the last events from now on, or keeps none.
    pub fn keep_events(&self, keep: bool) {
        self.chronicle.recent.switch(keep);
    }

    /// The last events, the latest first, if they are [kept](Self::keep_events).
    pub fn last_events(&self) -> Vec<Arc<PublishedEvent>> {
        self.chronicle.recent.all()
    }

    /// How often what has happened so far.
    pub fn event_sums(&self) -> EventSums {
        self.chronicle.sums()
    }

    /// How many sessions there are, if the store knows that at once.
    pub fn session_count(&self) -> Option<Count> {
        self.stores.sessions.count()
    }

    /// Whether the store is working (1) or not (0).
    pub fn store_health(&self) -> Health {
        self.stores.sessions.health()
    }

    /// Notes a token that never was, from `address`; how long to wait if there were too many.
    pub fn note_guess(&self, address: IpAddr) -> Result<(), Duration> {
        self.guesses.note_or_hold(address.into(), self.now())
    }

    /// Notes a wrong API key from `address`; how long to wait if there were too many.
    pub fn note_wrong_key(&self, address: IpAddr) -> Result<(), Duration> {
        self.wrong_keys.note_or_hold(address.into(), self.now())
    }

    /// Whether a visitor with a bad token has been sent back to the login page too often: by the
    /// key of the browser, or by its address if it has none.
    pub fn is_bouncing(&self, browser: Option<&BrowserKey>, address: IpAddr) -> bool {
        let now = self.now();
        match browser {
            Some(browser) => self.bounces.are_too_many(browser.into(), now),
            None => self.cookieless_bounces.check(address.into(), now).is_err(),
        }
    }

    /// Notes that a visitor with a bad token is sent back to the login page with the key
    /// `browser`, which it may or may not keep.
    pub fn note_bounce(&self, browser: &BrowserKey, address: IpAddr) {
        self.bounces.note(browser.into(), self.now());
        self.cookieless_bounces.note_failure(address.into(), self.now());
    }

    /// Remembers the nonce of a signed request; `false` if it was used before.
    pub async fn remember_nonce(
        &self,
        key: crate::store::NonceKey,
        until: Timestamp,
    ) -> crate::store::StoreResult<bool> {
        self.stores.nonces.remember(key, until).await
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        self.stores.directory.answers().await.is_ok()
    }

    /// Has the stores write down what is still to be.
    pub async fn close(&self) -> crate::store::StoreResult<()> {
        self.stores.sessions.close().await
    }

    /// One slice of forgetting what is over; whether there may be more to do right away.
    pub fn sweep(&self) -> bool {
        const SLICE: usize = 256;
        self.stores.sweep(self.now(), SLICE)
    }

    /// Forgets who has long stopped failing.
    pub fn sweep_throttles(&self) {
        for throttle in [&self.wrong_keys, &self.guesses, &self.cookieless_bounces, &self.hand_overs] {
            throttle.sweep(self.now());
        }
        self.bounces.sweep(self.now());
        self.rounds.sweep(self.now());
    }
}

impl Source for Sso {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let sites = || self.sites.all().iter().map(|site| &site.name);
        self.chronicle.write_figures(page, sites());
        if let Some(count) = self.stores.sessions.count() {
            // What is added up over nodes must not be what each of them says of all.
            let (name, help) = if count.is_shared {
                ("tollgate_shared_sessions", "Live sessions of all nodes: each node reports the same number.")
            } else {
                ("tollgate_sessions", "Live sessions on this node.")
            };
            page.begin(name, Kind::Gauge, help);
            for site in sites() {
                let figure = count.by_site.get(site).copied().unwrap_or_default();
                page.figure(&[("site", site.as_str())], figure);
            }
        }
        let health = self.stores.sessions.health();
        page.begin("tollgate_store_up", Kind::Gauge, "Whether the store is working (1) or not (0).");
        page.figure(&[], u8::from(health.is_well));
        let help = "Failed store operations, by reason.";
        page.begin("tollgate_store_faults_total", Kind::Counter, help);
        for (reason, times) in health.faults {
            page.figure(&[("reason", reason)], times);
        }
    }
}
