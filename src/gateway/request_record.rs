//! What becomes of a request: taken down while it is answered, and counted when it is over.
//!
//! Each worker counts for itself, site by site: a request takes a handful of additions to numbers that
//! nobody else writes, and the clock is read no oftener than without.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;

use super::address::Address;
use super::front::Front;
use super::telemetry::RequestReport;
use super::visit::Visit;
use crate::domain::clock::{Moment, Timestamp};
use crate::domain::session::LiveSession;
use crate::http::Response;
use crate::http::access_log::Outcome;
use crate::metrics::{Counter, Distribution, Histogram, Kind, Muster, Page, Short, Source};
use crate::proxy::Stopwatch;
use crate::trace::Traced;

/// What the gateway made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It had a permit, and the answer is the upstream's (or that it may go on, where another proxy asks).
    Allowed,
    /// Whoever made it has to sign in first.
    Challenged,
    /// Whoever made it is known, and may not.
    Denied,
    /// It brought a token that opened a session.
    Redeemed,
    /// It was for the gateway itself.
    Own,
    /// It is none that the gateway passes on, whoever makes it.
    Refused,
    /// It could not be answered, and that is not the client's doing.
    Failed,
    /// The client left before there was an answer.
    Abandoned,
}

impl Decision {
    const ALL: [Self; 8] = [
        Self::Allowed,
        Self::Challenged,
        Self::Denied,
        Self::Redeemed,
        Self::Own,
        Self::Refused,
        Self::Failed,
        Self::Abandoned,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Challenged => "challenged",
            Self::Denied => "denied",
            Self::Redeemed => "redeemed",
            Self::Own => "own",
            Self::Refused => "refused",
            Self::Failed => "error",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Classes of statuses, as they are told.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The class of `status` among [`CLASSES`]. What is in none is taken for the last (RFC 9110 §15).
fn class_of(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).saturating_sub(1).min(CLASSES.len() - 1)
}

/// The class of a request that was abandoned: 499, as the access log has it.
const ABANDONED: usize = 3;

/// What one worker counts of a site. On cache lines of its own: others count meanwhile.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct RequestCounters {
    requests: [[Counter; CLASSES.len()]; Decision::ALL.len()],
    delay: Histogram<Short>,
    overhead: Histogram<Short>,
}

impl RequestCounters {
    fn count(&self, decision: Decision, class: usize) {
        if let Some(counter) = self.requests.get(decision as usize).and_then(|row| row.get(class)) {
            counter.add_alone(1);
        }
    }
}

/// What is known of a request on its way through the gateway, and what was made of it. It is counted in any case,
/// even if the client leaves.
pub(super) struct RequestRecord<'a> {
    pub(super) stopwatch: Stopwatch,
    /// The site that was asked for, if there is one.
    address: OnceCell<Rc<Address>>,
    decision: Cell<Decision>,
    is_over: Cell<bool>,
    /// What goes into the access log and into traces, if there are any.
    report: Option<Box<RequestReport<'a>>>,
    /// The trace that it belongs to.
    pub(super) trace: Option<Traced>,
    /// Where requests are counted that are for no site.
    siteless: &'a RequestCounters,
}

impl<'a> RequestRecord<'a> {
    pub(super) fn begin(
        now: Moment,
        siteless: &'a RequestCounters,
        report: Option<Box<RequestReport<'a>>>,
        trace: Option<Traced>,
    ) -> Self {
        Self {
            stopwatch: Stopwatch::begin(now),
            address: OnceCell::new(),
            decision: Cell::new(Decision::Own),
            is_over: Cell::new(false),
            report,
            trace,
            siteless,
        }
    }

    /// When it began.
    pub(super) fn began(&self) -> Timestamp {
        self.stopwatch.began.timestamp()
    }

    /// It is for the site at `address`.
    pub(super) fn is_for(&self, address: Rc<Address>) -> &Address {
        self.address.get_or_init(|| address)
    }

    /// The site that it is for, as far as is known.
    pub(super) fn address(&self) -> Option<&Address> {
        self.address.get().map(Rc::as_ref)
    }

    /// What was made of it.
    pub(super) fn decision(&self) -> Decision {
        self.decision.get()
    }

    /// What is made of it.
    pub(super) fn decide(&self, decision: Decision) {
        self.decision.set(decision);
    }

    /// It may have brought a token that was good.
    pub(super) fn note_redemption(&self, visit: &Visit<'_>) {
        if visit.has_redeemed.get() {
            self.decide(Decision::Redeemed);
        }
    }

    /// Whether the gateway itself has to answer, as far as it has come.
    pub(super) fn is_own_answer(&self) -> bool {
        self.decision.get() != Decision::Allowed
    }

    /// Who made it.
    pub(super) fn recognise(&self, visitor: &LiveSession) {
        if let Some(report) = &self.report {
            report.session.set(Some((visitor.session.id, visitor.session.identity.user)));
        }
    }

    /// There is an answer.
    pub(super) fn finish(&mut self, response: &Response, now: Moment) {
        self.is_over.set(true);
        if let Some(report) = self.report.take() {
            report.send(self, Outcome::answered(response, self.stopwatch.began, now));
        }
        let counters = self.counters();
        counters.count(self.decision.get(), class_of(response.status()));
        if let Some((sent, answered)) = self.stopwatch.laps() {
            let delay = self.stopwatch.began.micros_until(sent);
            counters.delay.observe_alone(delay);
            counters.overhead.observe_alone(delay.saturating_add(answered.micros_until(now)));
        }
    }

    fn counters(&self) -> &RequestCounters {
        self.address().map_or(self.siteless, |address| &address.counters)
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        if !self.is_over.get() {
            self.decide(Decision::Abandoned);
            if let Some(report) = self.report.take() {
                let now = report.clock.moment();
                report.send(self, Outcome::abandoned(self.stopwatch.began, now));
            }
            self.counters().count(Decision::Abandoned, ABANDONED);
        }
    }
}

/// Requests that are for no site, as all workers count them.
#[derive(Clone, Debug, Default)]
pub struct SitelessRequests(pub(super) Arc<Muster<RequestCounters>>);

/// What becomes of requests.
pub struct RequestFigures {
    /// The sites.
    pub fronts: Vec<Arc<Front>>,
    /// What is for none of them.
    pub siteless: SitelessRequests,
}

impl RequestFigures {
    fn each(&self, mut tell: impl FnMut(&str, &Muster<RequestCounters>)) {
        self.fronts.iter().for_each(|front| tell(front.site.name.as_str(), &front.counters));
        tell("", &self.siteless.0);
    }
}

/// What became of all requests together.
#[derive(Debug, Default)]
pub struct RequestSums {
    /// Every one of them.
    pub all: u64,
    /// Those that could not be answered, and not by the client's doing.
    pub failed: u64,
    /// Those that were refused, whoever made them or because of that. Who only has to sign in is not.
    pub refused: u64,
    /// What the gateway added to those that an upstream answered.
    pub overhead: Distribution<Short>,
}

impl RequestFigures {
    /// What became of all of them so far.
    pub fn sums(&self) -> RequestSums {
        let mut sums = RequestSums::default();
        self.each(|_, workers| {
            workers.fold((), |(), counters| {
                for (decision, row) in Decision::ALL.into_iter().zip(&counters.requests) {
                    let own = row.iter().map(Counter::value).sum::<u64>();
                    sums.all += own;
                    match decision {
                        Decision::Failed => sums.failed += own,
                        Decision::Denied | Decision::Refused => sums.refused += own,
                        Decision::Allowed
                        | Decision::Challenged
                        | Decision::Redeemed
                        | Decision::Own
                        | Decision::Abandoned => {}
                    }
                }
                sums.overhead = std::mem::take(&mut sums.overhead).with(&counters.overhead);
            });
        });
        sums
    }
}

impl Source for RequestFigures {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let help = "Requests to the public listeners, by site (none: for no site that there is), by class of the status, and by what the gateway made of them.";
        page.begin("tollgate_requests_total", Kind::Counter, help);
        self.each(|site, workers| {
            for (row, decision) in Decision::ALL.into_iter().enumerate() {
                for (column, class) in CLASSES.into_iter().enumerate() {
                    let own = |counters: &RequestCounters| {
                        counters.requests.get(row)?.get(column).map(Counter::value)
                    };
                    let sum = workers.fold(0, |sum: u64, counters| sum + own(counters).unwrap_or_default());
                    // Most of these never happen.
                    if sum > 0 || (decision, class) == (Decision::Allowed, "2xx") {
                        let labels = [("site", site), ("code", class), ("decision", decision.as_str())];
                        page.figure(&labels, sum);
                    }
                }
            }
        });
        let help = "From when the gateway had the head of a request to when it was ready to be sent to the upstream.";
        self.times(page, "tollgate_request_delay_seconds", help, |counters| &counters.delay);
        let help = "What the gateway added to the time to the head of an answer: the delay, and what it did with the upstream's head.";
        self.times(page, "tollgate_request_overhead_seconds", help, |counters| &counters.overhead);
    }
}

impl RequestFigures {
    fn times(
        &self,
        page: &mut Page,
        name: &'static str,
        help: &str,
        of: fn(&RequestCounters) -> &Histogram<Short>,
    ) {
        page.begin(name, Kind::Histogram, help);
        for front in &self.fronts {
            let told = front.counters.fold(Distribution::default(), |all, counters| all.with(of(counters)));
            page.distribution(&[("site", front.site.name.as_str())], &told);
        }
    }
}
