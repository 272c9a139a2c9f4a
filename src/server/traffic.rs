//! Connections and handshakes, for whoever watches over the gateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::tls::Certificates;
use crate::domain::clock::Timestamp;
use crate::metrics::{Counter, Kind, Page, Source};

/// What happens at the listeners of one kind. Connections are rare beside requests: all workers count in
/// the same place.
#[derive(Debug, Default)]
pub struct Traffic {
    pub(super) accepted: Counter,
    pub(super) closed: Counter,
    pub(super) evicted: Counter,
    pub(super) shaken_hands: Counter,
    pub(super) failed_handshakes: Counter,
}

impl Traffic {
    /// Connections that are open. Slots that are free do not tell: of those, a change of settings may
    /// take away more than there are.
    fn open(&self) -> u64 {
        // In this order, as whatever is closed was accepted before.
        let closed = self.closed.value();
        self.accepted.value().saturating_sub(closed)
    }
}

/// One of the connections that there may be at a time. It is counted until this is dropped.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    traffic: Arc<Traffic>,
}

impl Slot {
    /// The slot that `permit` gives to a connection that was accepted.
    pub(super) fn taken(permit: OwnedSemaphorePermit, traffic: &Arc<Traffic>) -> Self {
        traffic.accepted.increment();
        Self { _permit: permit, traffic: Arc::clone(traffic) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.traffic.closed.increment();
    }
}

/// The listeners of one kind.
pub struct Entrance {
    /// What they are for, in a word.
    pub name: &'static str,
    /// What happens there.
    pub traffic: Arc<Traffic>,
    /// How many connections may be open at one time.
    pub most: usize,
    /// What clients are shown over TLS, if it is spoken.
    pub certificates: Option<Arc<Certificates>>,
}

/// What happens at all listeners.
pub struct TrafficFigures(pub Vec<Entrance>);

impl TrafficFigures {
    fn tell(&self, page: &mut Page, figure: impl Fn(&Entrance) -> u64) {
        for entrance in &self.0 {
            page.figure(&[("listener", entrance.name)], figure(entrance));
        }
    }
}

impl Source for TrafficFigures {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        page.begin("tollgate_connections", Kind::Gauge, "Connections that are open.");
        self.tell(page, |entrance| entrance.traffic.open());
        page.begin("tollgate_connections_limit", Kind::Gauge, "Connections that may be open at one time.");
        self.tell(page, |entrance| wide(entrance.most));
        page.begin("tollgate_connections_accepted_total", Kind::Counter, "Connections that were accepted.");
        self.tell(page, |entrance| entrance.traffic.accepted.value());
        let help = "Idle connections that were closed to make room for others.";
        page.begin("tollgate_connections_evicted_total", Kind::Counter, help);
        self.tell(page, |entrance| entrance.traffic.evicted.value());
        page.begin(
            "tollgate_tls_handshakes_total",
            Kind::Counter,
            "TLS handshakes with clients, by outcome.",
        );
        for Entrance { name, traffic, .. } in self.0.iter().filter(|entrance| entrance.certificates.is_some())
        {
            let outcomes = [("ok", &traffic.shaken_hands), ("failed", &traffic.failed_handshakes)];
            for (outcome, times) in outcomes {
                page.figure(&[("listener", name), ("outcome", outcome)], times.value());
            }
        }
        let help = "When a certificate in use expires, in seconds since 1970.";
        page.begin("tollgate_certificate_expiry_timestamp_seconds", Kind::Gauge, help);
        for Entrance { name, certificates, .. } in &self.0 {
            let Some(certificates) = certificates else { continue };
            let current = certificates.current();
            // A file may be shown under more than one entry.
            let expiries: BTreeMap<_, _> = current
                .iter()
                .map(|certificate| (certificate.files.cert.display().to_string(), certificate.not_after))
                .collect();
            for (file, expiry) in expiries {
                page.figure(&[("listener", name), ("file", &file)], expiry.as_secs());
            }
        }
    }
}
