//! What is reported of a request that is over: a line in the access log, and spans.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::request_record::RequestRecord;
use crate::domain::clock::Clock;
use crate::domain::host::Scheme;
use crate::domain::session::SessionId;
use crate::domain::user::UserId;
use crate::http::access_log::{AccessLog, Head, Outcome};
use crate::http::client::Client;
use crate::trace::{Asked, Finished, Gist, Traced, Tracer};

/// One worker's access log and part in traces.
pub(super) struct Telemetry {
    pub(super) log: Option<AccessLog>,
    pub(super) tracer: Tracer,
}

impl Telemetry {
    /// Has what was noted written and sent.
    pub(super) fn hand_in(&self) {
        if let Some(log) = &self.log {
            log.hand_in();
        }
        self.tracer.hand_in();
    }
}

/// What is known of a request from its beginning. It is taken down only if it is to be reported.
pub(super) struct RequestReport<'a> {
    telemetry: &'a Rc<Telemetry>,
    head: Box<Head>,
    scheme: Scheme,
    /// The session that it came with, once that is known.
    pub(super) session: Cell<Option<(SessionId, Option<UserId>)>>,
    pub(super) clock: &'a Arc<dyn Clock>,
}

impl<'a> RequestReport<'a> {
    pub(super) fn new(
        telemetry: &'a Rc<Telemetry>,
        head: Head,
        client: &Client,
        clock: &'a Arc<dyn Clock>,
    ) -> Self {
        let scheme = client.scheme;
        Self { telemetry, head: Box::new(head), scheme, session: Cell::new(None), clock }
    }

    /// Sends it, with what became of the request.
    pub(super) fn send(self, record: &RequestRecord<'_>, outcome: Outcome<'_>) {
        let address = record.address();
        let site = address.map(|address| &address.front.site.name);
        let decision = record.decision().as_str();
        if let Some(log) = &self.telemetry.log {
            let trace = record.trace.as_ref().map(Traced::id);
            let (session, decision) = (self.session.get(), Some(decision));
            log.note(&self.head, &Outcome { site, decision, session, trace, ..outcome });
        }
        let Some(traced) = record.trace.filter(Traced::is_recorded) else { return };
        let asked = record.stopwatch.asked().zip(address);
        let upstream = asked.and_then(|((index, sent, answered), address)| {
            let (authority, default_port) = address.pool.whereabouts(index)?;
            Some(Asked { authority, default_port, sent, answered })
        });
        self.telemetry.tracer.finish(Finished {
            traced,
            scheme: self.scheme,
            gist: Gist::of(&self.head, site),
            site: site.cloned(),
            decision,
            status: outcome.status,
            began: outcome.began,
            ended: outcome.ended,
            upstream,
        });
    }
}
