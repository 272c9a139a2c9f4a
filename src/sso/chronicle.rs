//! What happens, told in one place: as a line in the audit log, to whoever listens, and in figures.
//!
//! All three come from the same [`Event`], so that none of them can forget one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::broadcast;

use super::cause::Cause;
use super::event::Event;
use super::recent::Recent;
use crate::domain::clock::Timestamp;
use crate::domain::session::End;
use crate::domain::site::SiteName;
use crate::domain::token::Refusal;
use crate::journal::{Full, Outlet};
use crate::metrics::{Kind, Page};

/// An event as it is told to those who listen.
#[derive(Debug)]
pub struct PublishedEvent {
    /// A stable word for it.
    pub event: &'static str,
    /// The site that it is about; `None` if it is about no single one.
    pub site: Option<SiteName>,
    /// What there is to say of it: an object in JSON, in one line.
    pub json: String,
    /// Another site that it tells of, and what whoever may not hear of that is told instead.
    pub of_one_site: Option<(SiteName, String)>,
}

/// Events that are kept for those who listen. Who falls behind by more than this has lost some.
const KEPT: usize = 1024;

/// Tells what happens.
pub(super) struct Chronicle {
    /// What happened last.
    pub(super) recent: Recent,
    listeners: Mutex<broadcast::Sender<Arc<PublishedEvent>>>,
    figures: Mutex<Figures>,
    /// Where the audit log is kept, if not with everything else on stderr.
    kept_at: RwLock<Option<Arc<Outlet>>>,
}

/// How often what happened since the program runs, everywhere together.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventSums {
    /// Sessions that began.
    pub logins: u64,
    /// Tokens that opened nothing, and wrong API keys.
    pub refused: u64,
}

/// How often what happened. Events are rare beside requests.
#[derive(Clone, Default)]
struct Figures {
    by_site: BTreeMap<SiteName, SiteFigures>,
    users_created: u64,
    wrong_keys: u64,
}

#[derive(Clone, Default)]
struct SiteFigures {
    issued: u64,
    redeemed: u64,
    refused: BTreeMap<&'static str, u64>,
    started: u64,
    turned_away: u64,
    ended: BTreeMap<&'static str, u64>,
}

impl Default for Chronicle {
    fn default() -> Self {
        Self {
            recent: Recent::default(),
            listeners: Mutex::new(broadcast::Sender::new(KEPT)),
            figures: Mutex::default(),
            kept_at: RwLock::default(),
        }
    }
}

impl Chronicle {
    /// Tells of what has happened at `now`.
    pub(super) fn note(&self, event: Event<'_>, cause: &Cause, now: Timestamp) {
        self.count(event);
        let is_heard = self.listeners().receiver_count() > 0 || self.recent.is_on();
        let is_alarming = matches!(event, Event::WrongKey | Event::ExpiredKey);
        let kept_at = self.kept_at.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_shown = || is_alarming || tracing::enabled!(target: "tollgate::audit", tracing::Level::INFO);
        if !is_heard && kept_at.is_none() && !is_shown() {
            return;
        }
        let details = event.details(cause, now);
        match kept_at {
            None => details.write_line(is_alarming),
            Some(outlet) => {
                // What a log that is kept apart cannot take must be somewhere, and be seen.
                if let Err(Full(_)) = outlet.put(details.to_line(is_alarming), 1) {
                    details.write_line(true);
                }
            }
        }
        if is_heard && let Ok(json) = serde_json::to_string(&details) {
            let of_one_site = event.other_site().and_then(|from| {
                let details = event.of_one_site().details(cause, now);
                Some((from.clone(), serde_json::to_string(&details).ok()?))
            });
            let published =
                PublishedEvent { event: event.name(), site: event.site().cloned(), json, of_one_site };
            let published = Arc::new(published);
            self.recent.keep(&published);
            let _nobody_listens_any_more = self.listeners().send(published);
        }
    }

    /// Keeps the audit log at `outlet` from now on, or on stderr.
    pub(super) fn keep_at(&self, outlet: Option<Arc<Outlet>>) {
        *self.kept_at.write().unwrap_or_else(PoisonError::into_inner) = outlet;
    }

    /// Everything that happens from now on, unless there are `most` already who listen.
    pub(super) fn listen(&self, most: usize) -> Option<broadcast::Receiver<Arc<PublishedEvent>>> {
        let listeners = self.listeners();
        (listeners.receiver_count() < most).then(|| listeners.subscribe())
    }

    /// Shows everybody out who listens: what they may hear is to be judged anew.
    pub(super) fn show_out(&self) {
        *self.listeners() = broadcast::Sender::new(KEPT);
    }

    fn listeners(&self) -> MutexGuard<'_, broadcast::Sender<Arc<PublishedEvent>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, event: Event<'_>) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::UserCreated { .. } => figures.users_created += 1,
            Event::WrongKey => figures.wrong_keys += 1,
            _ => {}
        }
        let Some(site) = event.site() else { return };
        if !figures.by_site.contains_key(site) {
            figures.by_site.insert(site.clone(), SiteFigures::default());
        }
        let Some(own) = figures.by_site.get_mut(site) else { return };
        match event {
            Event::TokenIssued { .. } => own.issued += 1,
            Event::TokenRedeemed { .. } => own.redeemed += 1,
            Event::TokenRefused { refusal, .. } | Event::SignedTokenRefused { refusal, .. } => {
                *own.refused.entry(refusal.as_str()).or_default() += 1;
            }
            Event::SessionStarted { .. } => own.started += 1,
            Event::SessionRefused { .. } => own.turned_away += 1,
            Event::SessionEnded { end, .. } => *own.ended.entry(end.as_str()).or_default() += 1,
            Event::TokenRedeemedAgain { .. }
            | Event::UserCreated { .. }
            | Event::UserChanged { .. }
            | Event::UserDeleted { .. }
            | Event::WrongKey
            | Event::SettingsChanged
            | Event::SessionChanged { .. }
            | Event::ExpiredKey
            | Event::OperatorSignedIn
            | Event::OperatorSignedOut
            | Event::SigningKeysChanged { .. }
            | Event::RequestParked { .. }
            | Event::RequestResumed { .. } => {}
        }
    }

    /// How often what has happened, everywhere together.
    pub(super) fn sums(&self) -> EventSums {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let start = EventSums { refused: figures.wrong_keys, ..EventSums::default() };
        figures.by_site.values().fold(start, |sums, own| EventSums {
            logins: sums.logins + own.started,
            refused: sums.refused + own.turned_away + own.refused.values().sum::<u64>(),
        })
    }

    /// How often what has happened, on each of `sites`.
    pub(super) fn write_figures<'a>(
        &self,
        page: &mut Page,
        sites: impl Iterator<Item = &'a SiteName> + Clone,
    ) {
        // Logins wait for a copy, and not for a page.
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let nothing = SiteFigures::default();
        let of = |site: &SiteName| figures.by_site.get(site).unwrap_or(&nothing);
        let mut counted = |name, help, figure: fn(&SiteFigures) -> u64| {
            page.begin(name, Kind::Counter, help);
            for site in sites.clone() {
                page.figure(&[("site", site.as_str())], figure(of(site)));
            }
        };
        counted("tollgate_tokens_issued_total", "One-time tokens that were issued.", |own| own.issued);
        counted("tollgate_tokens_redeemed_total", "Tokens that opened a session.", |own| own.redeemed);
        counted("tollgate_sessions_started_total", "Sessions that began.", |own| own.started);
        counted(
            "tollgate_sessions_refused_total",
            "Valid tokens refused because the person had too many sessions.",
            |own| own.turned_away,
        );
        page.begin("tollgate_tokens_refused_total", Kind::Counter, "Refused tokens, by reason.");
        for site in sites.clone() {
            for refusal in Refusal::ALL.map(Refusal::as_str) {
                let times = of(site).refused.get(refusal).copied().unwrap_or_default();
                page.figure(&[("site", site.as_str()), ("reason", refusal)], times);
            }
        }
        let help = "Sessions that ended before their time, by reason.";
        page.begin("tollgate_sessions_ended_total", Kind::Counter, help);
        for site in sites {
            for end in End::ALL.map(End::as_str) {
                let times = of(site).ended.get(end).copied().unwrap_or_default();
                page.figure(&[("site", site.as_str()), ("reason", end)], times);
            }
        }
        page.begin("tollgate_users_created_total", Kind::Counter, "People who were seen for the first time.");
        page.figure(&[], figures.users_created);
        page.begin("tollgate_api_keys_refused_total", Kind::Counter, "Wrong API keys that were presented.");
        page.figure(&[], figures.wrong_keys);
        page.begin(
            "tollgate_event_listeners",
            Kind::Gauge,
            "Connections on which events are sent as they happen.",
        );
        page.figure(&[], self.listeners().receiver_count());
    }
}
