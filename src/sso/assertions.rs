//! What upstreams are told over a signature, and the keys behind that.
//!
//! The keys of each site are in the store, where all nodes find the same. What was read is kept: it is
//! looked at again [every minute](EVERY), and of a change everybody learns a day before it matters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::detached::to_its_end;
use super::{Cause, Event, Sso};
use crate::config::Site;
use crate::domain::assertion::{Assertion, KeyRing, Urgency};
use crate::domain::clock::Timestamp;
use crate::domain::host::Origin;
use crate::domain::session::Session;
use crate::domain::site::SiteName;
use crate::store::{StoreResult, Unavailable};

/// How often the store is asked for the keys.
const EVERY: Duration = Duration::from_mins(1);

/// How soon again if it did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// How often others are believed to have changed the keys at the same moment.
const ATTEMPTS: usize = 3;

/// The keys of all sites that sign.
pub(super) struct Signers {
    by_site: HashMap<SiteName, Signer>,
    due_at: AtomicU64,
    is_busy: AtomicBool,
    /// Counts how often a key was withdrawn before its time.
    withdrawals: AtomicU64,
}

struct Signer {
    key_age: Duration,
    /// As they were read last. Requests come here only for a new assertion, once in minutes for a session.
    ring: RwLock<Option<Arc<KeyRing>>>,
    /// Held from before the store is asked until its answer is kept: what was read first must not be kept
    /// last, or keys that were withdrawn meanwhile would sign again.
    turn: Mutex<()>,
    /// Whether it was said that there are none.
    is_missed: AtomicBool,
}

impl Signer {
    fn known(&self) -> Option<Arc<KeyRing>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps `ring` from `now` on, and says whether that withdraws the key that signed so far.
    fn keep(&self, ring: KeyRing, now: Timestamp) -> bool {
        let mut known = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let withdraws = known.as_ref().is_some_and(|known| known.is_withdrawn_by(&ring, now));
        *known = Some(Arc::new(ring));
        withdraws
    }
}

impl Signers {
    pub(super) fn new(sites: &[Arc<Site>]) -> Self {
        let signer = |site: &Arc<Site>| {
            let key_age = site.assertions?.key_age;
            let (ring, turn) = (RwLock::default(), Mutex::default());
            let signer = Signer { key_age, ring, turn, is_missed: AtomicBool::new(false) };
            Some((site.name.clone(), signer))
        };
        let by_site = sites.iter().filter_map(signer).collect();
        let (due_at, withdrawals) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { by_site, due_at, is_busy: AtomicBool::new(false), withdrawals }
    }

    fn keep(&self, signer: &Signer, ring: KeyRing, now: Timestamp) {
        if signer.keep(ring, now) {
            // After the ring: whoever sees the number sees the ring as well.
            self.withdrawals.fetch_add(1, Ordering::Release);
        }
    }
}

impl Signers {
    /// The same for `sites` in the place of those so far: keys that are known stay so.
    pub(super) fn succeeded_by(&self, sites: &[Arc<Site>]) -> Self {
        let next = Self::new(sites);
        // What was signed under the settings before may still be at hand.
        next.withdrawals.store(self.withdrawals.load(Ordering::Acquire), Ordering::Release);
        for (site, signer) in &next.by_site {
            let known = self.by_site.get(site).and_then(Signer::known);
            *signer.ring.write().unwrap_or_else(PoisonError::into_inner) = known;
        }
        next
    }
}

impl Sso {
    /// Whether `site` signs what it tells its upstream.
    pub fn asserts(&self, site: &SiteName) -> bool {
        self.signers.by_site.contains_key(site)
    }

    /// The keys with which `site` signs, for whoever verifies that; `None` if it does not sign.
    pub fn key_ring(&self, site: &Site) -> Option<StoreResult<Arc<KeyRing>>> {
        let signer = self.signers.by_site.get(&site.name)?;
        Some(signer.known().ok_or(Unavailable))
    }

    /// States who is behind `session`, at `now`, on the site that visitors find at `origin`. Without a key
    /// there is no answer.
    pub fn assert(&self, session: &Session, origin: &Origin, now: Timestamp) -> StoreResult<Assertion> {
        let signer = self.signers.by_site.get(&session.site).ok_or(Unavailable)?;
        let ring = signer.known().ok_or(Unavailable)?;
        Assertion::sign(ring.signer(now), origin, session, now).ok_or(Unavailable)
    }

    /// Whether it is time to [look after the keys](Self::look_after_keys), and nobody does.
    pub fn keys_are_due(&self) -> bool {
        let signers = &self.signers;
        let due_at = Timestamp::from_millis(signers.due_at.load(Ordering::Relaxed));
        // A clock that was ahead for a moment must not put this off until then.
        let is_due = |now: Timestamp| due_at <= now || now.after(EVERY) < due_at;
        !signers.by_site.is_empty() && is_due(self.now()) && !signers.is_busy.load(Ordering::Relaxed)
    }

    /// Reads the keys of all sites that sign, and makes those that are missing or due.
    pub async fn look_after_keys(&self) {
        if self.signers.is_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let now = self.now();
        // All at once: if the store is away nobody waits for it once for each site, and if the record of
        // one site is damaged the others have their keys.
        let looks = self.signers.by_site.iter().map(|(site, signer)| async move {
            let _turn = signer.turn.lock().await;
            let is_well = self.look_after(site, signer, now).await.is_ok();
            if !is_well && signer.known().is_none() && !signer.is_missed.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    target: "tollgate::sso", %site,
                    "there are no keys to sign with: visitors with a session get 503 until there are"
                );
            }
            is_well
        });
        let all_well = join_all(looks).await.into_iter().all(|is_well| is_well);
        let due_at = now.after(if all_well { EVERY } else { RETRY });
        self.signers.due_at.store(due_at.as_millis(), Ordering::Relaxed);
        self.signers.is_busy.store(false, Ordering::Release);
    }

    /// Gives each of `sites`, which sign, another key, because somebody asked for it. Where the next one is
    /// on its way already, it is left to come when it was to. It runs detached from the caller, and if the
    /// keys of one site cannot be changed, those of the others are all the same.
    pub async fn rotate_signing_keys(
        self: &Arc<Self>,
        sites: Vec<SiteName>,
        urgency: Urgency,
        cause: &Cause,
    ) -> StoreResult<Vec<Arc<KeyRing>>> {
        let (sso, cause) = (Arc::clone(self), cause.clone());
        to_its_end(async move {
            let mut rings = Vec::new();
            for site in &sites {
                rings.push(sso.rotate_keys_of(site, urgency, &cause).await);
            }
            rings.into_iter().collect()
        })
        .await
    }

    async fn rotate_keys_of(
        &self,
        site: &SiteName,
        urgency: Urgency,
        cause: &Cause,
    ) -> StoreResult<Arc<KeyRing>> {
        let signer = self.signers.by_site.get(site).ok_or(Unavailable)?;
        let _turn = signer.turn.lock().await;
        let now = self.now();
        for _ in 0..ATTEMPTS {
            let Some(present) = self.stores.keys.load(site.clone()).await? else {
                // There is none yet, and so none to take the place of.
                self.look_after(site, signer, now).await?;
                return signer.known().ok_or(Unavailable);
            };
            let Some(next) = present.rotate(now, urgency) else {
                self.signers.keep(signer, present, now);
                return signer.known().ok_or(Unavailable);
            };
            if self.stores.keys.replace(site.clone(), next.clone()).await? {
                self.note_change(site, &next, urgency, cause);
                self.signers.keep(signer, next, now);
                return signer.known().ok_or(Unavailable);
            }
        }
        Err(Unavailable)
    }

    fn note_change(&self, site: &SiteName, ring: &KeyRing, urgency: Urgency, cause: &Cause) {
        let keys: Vec<&str> = ring.keys().map(|key| key.id()).collect();
        let is_compromised = urgency == Urgency::Compromised;
        self.note(Event::SigningKeysChanged { site, keys: &keys, is_compromised }, cause);
    }

    /// How often keys were withdrawn before their time. What was signed before the last of these is not to
    /// be sent any more; to be asked for before it is signed.
    pub fn signing_keys_withdrawn(&self) -> u64 {
        self.signers.withdrawals.load(Ordering::Acquire)
    }

    async fn look_after(&self, site: &SiteName, signer: &Signer, now: Timestamp) -> StoreResult<()> {
        for _ in 0..ATTEMPTS {
            let present = self.stores.keys.load(site.clone()).await?;
            let next = match &present {
                None => Some(KeyRing::begin(now).ok_or(Unavailable)?),
                Some(ring) => ring.advance(now, signer.key_age),
            };
            // What is there is good, whatever comes of the next.
            if let Some(ring) = present {
                self.signers.keep(signer, ring, now);
            }
            let Some(next) = next else { return Ok(()) };
            if self.stores.keys.replace(site.clone(), next.clone()).await? {
                self.note_change(site, &next, Urgency::Planned, &Cause::GATEWAY);
                self.signers.keep(signer, next, now);
                return Ok(());
            }
        }
        Err(Unavailable)
    }
}
