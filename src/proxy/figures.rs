//! How the upstreams are doing, for whoever watches over the gateway.

use std::sync::Arc;

use super::fleet::{Fleet, Member};
use crate::domain::clock::Timestamp;
use crate::metrics::{Counter, Distribution, Histogram, Kind, Long, Page, Source};

/// What one worker counts of an upstream. On cache lines of its own: others count meanwhile.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    /// From when a request was ready to be sent to when there was the head of an answer.
    pub(super) answered: Histogram<Long>,
    pub(super) failed: Counter,
    /// Idle connections, as of late.
    pub(super) idle: Counter,
    /// Requests under way, as of late.
    pub(super) in_flight: Counter,
}

/// The upstreams of all sites.
pub struct UpstreamFigures(pub Vec<Arc<Fleet>>);

impl UpstreamFigures {
    fn each(&self, mut tell: impl FnMut(&[(&str, &str)], &Member)) {
        for member in self.0.iter().flat_map(|fleet| &fleet.members) {
            let (site, upstream) = member.standing.names();
            tell(&[("site", site), ("upstream", upstream)], member);
        }
    }

    fn sums(&self, page: &mut Page, of: fn(&Tally) -> &Counter) {
        self.each(|labels, member| {
            let sum = member.tallies.fold(0, |sum: u64, tally| sum.saturating_add(of(tally).value()));
            page.figure(labels, sum);
        });
    }
}

impl Source for UpstreamFigures {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let help = "Whether an upstream is given whatever comes: after failures in a row it is not until it answers again, nor if its health checks fail.";
        page.begin("tollgate_upstream_up", Kind::Gauge, help);
        self.each(|labels, member| page.figure(labels, u8::from(member.standing.is_up())));
        page.begin(
            "tollgate_upstream_failures_total",
            Kind::Counter,
            "Requests that an upstream did not answer.",
        );
        self.sums(page, |tally| &tally.failed);
        let help = "From when a request is ready to be sent to the head of the upstream's answer.";
        page.begin("tollgate_upstream_response_seconds", Kind::Histogram, help);
        self.each(|labels, member| {
            let told = member.tallies.fold(Distribution::default(), |all, own| all.with(&own.answered));
            page.distribution(labels, &told);
        });
        let help = "Connections to an upstream that wait to be used again; of those in HTTP/2, all.";
        page.begin("tollgate_upstream_connections_idle", Kind::Gauge, help);
        self.sums(page, |tally| &tally.idle);
        let help = "Requests whose answers are not through yet.";
        page.begin("tollgate_upstream_requests_in_flight", Kind::Gauge, help);
        self.sums(page, |tally| &tally.in_flight);
    }
}
