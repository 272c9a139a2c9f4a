//! What is counted of the keeper's work, for as long as the program runs.

use crate::domain::clock::Timestamp;
use crate::metrics::{Counter, Kind, Page, Source};

/// How attempts to get certificates went, and how often the keeper had to be started again.
#[derive(Debug, Default)]
pub struct AcmeCounters {
    pub(super) got: Counter,
    pub(super) failed: Counter,
    pub(super) restarts: Counter,
}

impl Source for AcmeCounters {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let help = "Attempts to get a certificate from the authority, by what came of them.";
        page.begin("tollgate_acme_attempts_total", Kind::Counter, help);
        for (outcome, counter) in [("issued", &self.got), ("failed", &self.failed)] {
            page.figure(&[("outcome", outcome)], counter.value());
        }
        let help = "How often the certificate task failed and was restarted.";
        page.begin("tollgate_acme_keeper_restarts_total", Kind::Counter, help);
        page.figure(&[], self.restarts.value());
    }
}
