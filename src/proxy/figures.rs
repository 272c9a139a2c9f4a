//! How the upstreams are doing, for whoever watches over the gateway.

use std::sync::Arc;

use super::fleet::{Fleet, Member};
use super::standing::UpstreamState;
use crate::domain::clock::Timestamp;
use crate::metrics::{Counter, Distribution, Histogram, Kind, Long, Page, Source};

/// What one worker counts of an upstream. On cache lines of its own: others count meanwhile.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct UpstreamCounters {
    /// From when a request was ready to be sent to when there was the head of an answer.
    pub(super) answered: Histogram<Long>,
    pub(super) failed: Counter,
    /// Idle connections, as of late.
    pub(super) idle: Counter,
    /// Requests under way, as of late.
    pub(super) in_flight: Counter,
}

/// How an upstream does, to be shown.
#[derive(Debug)]
pub struct UpstreamStanding {
    /// Whether it is left out, and why.
    pub state: UpstreamState,
    /// Whether it is given requests, as far as there are others.
    pub is_up: bool,
    /// From when a request was ready to be sent to when there was the head of an answer.
    pub answered: Distribution<Long>,
    /// Requests that it did not answer.
    pub failed: u64,
    /// Connections that wait to be used again.
    pub idle: u64,
    /// Requests under way.
    pub in_flight: u64,
}

impl Fleet {
    /// How each upstream does.
    pub fn standings(&self) -> Vec<UpstreamStanding> {
        let sum = |member: &Member, of: fn(&UpstreamCounters) -> &Counter| {
            member.counters.fold(0, |sum: u64, counters| sum.saturating_add(of(counters).value()))
        };
        let standing = |member: &Arc<Member>| UpstreamStanding {
            state: member.standing.state(),
            is_up: member.standing.is_up(),
            answered: member.counters.fold(Distribution::default(), |all, own| all.with(&own.answered)),
            failed: sum(member, |counters| &counters.failed),
            idle: sum(member, |counters| &counters.idle),
            in_flight: sum(member, |counters| &counters.in_flight),
        };
        self.members.iter().map(standing).collect()
    }

    /// From when requests were ready to be sent to when there was the head of an answer, whichever upstream
    /// gave it.
    pub fn answered(&self) -> Distribution<Long> {
        let members = self.members.iter();
        members.fold(Distribution::default(), |all, member| {
            member.counters.fold(all, |all, own| all.with(&own.answered))
        })
    }
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

    fn sums(&self, page: &mut Page, of: fn(&UpstreamCounters) -> &Counter) {
        self.each(|labels, member| {
            let sum = member.counters.fold(0, |sum: u64, counters| sum.saturating_add(of(counters).value()));
            page.figure(labels, sum);
        });
    }
}

impl Source for UpstreamFigures {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let help = "Whether an upstream is sent requests (1), or left out (0) after failures in a row or failed health checks.";
        page.begin("tollgate_upstream_up", Kind::Gauge, help);
        self.each(|labels, member| page.figure(labels, u8::from(member.standing.is_up())));
        page.begin(
            "tollgate_upstream_failures_total",
            Kind::Counter,
            "Requests that an upstream did not answer.",
        );
        self.sums(page, |counters| &counters.failed);
        let help = "From when a request is ready to be sent to the head of the upstream's answer.";
        page.begin("tollgate_upstream_response_seconds", Kind::Histogram, help);
        self.each(|labels, member| {
            let told = member.counters.fold(Distribution::default(), |all, own| all.with(&own.answered));
            page.distribution(labels, &told);
        });
        let help = "Connections to an upstream that wait to be used again; of those in HTTP/2, all.";
        page.begin("tollgate_upstream_connections_idle", Kind::Gauge, help);
        self.sums(page, |counters| &counters.idle);
        let help = "Requests whose answers are not complete yet.";
        page.begin("tollgate_upstream_requests_in_flight", Kind::Gauge, help);
        self.sums(page, |counters| &counters.in_flight);
    }
}
