//! The life of a public request, top to bottom: see [`Gateway::handle`].

mod address;
mod ancestors;
mod assertions;
mod challenge;
mod chromeless;
mod cors;
mod cross_site;
mod current;
mod destination;
mod embedding;
mod explain;
mod fault;
mod forbidden;
mod forward_auth;
mod front;
mod group;
mod https;
mod logout;
mod paused;
mod paywall;
mod presented;
mod redeem;
mod request_record;
mod reserved;
mod revocation;
mod signed_login;
mod telemetry;
mod unreadable;
mod upgrade;
mod validation;
mod visit;
mod who_am_i;

pub use address::Connection;
pub use current::CurrentGateway;
pub use explain::{Explanation, Question, Supposed, asked};
pub use front::Front;
pub use request_record::{RequestFigures, RequestSums, SitelessRequests};

use std::collections::HashMap;
use std::mem::take;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{Method, Version};
use ipnet::IpNet;

use crate::acme::Challenges;
use crate::api::{Api, Via, answers_at};
use crate::config::{Site, TraceTrust};
use crate::domain::access::{Access, AccessLevel, decide};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::host::Scheme;
use crate::domain::identity::Edition;
use crate::domain::session::LiveSession;
use crate::domain::site::SiteName;
use crate::http::access_log::{AccessLog, Head};
use crate::http::client::{Client, Peer, ProxiedSource};
use crate::http::connection::forwards;
use crate::http::h2_head::asked_for_websocket;
use crate::http::navigation::opening;
use crate::http::request_fields::RequestFields;
use crate::http::request_id::{RequestId, RequestIds};
use crate::http::watch::Watch;
use crate::http::{Request, Response};
use crate::journal::Journal;
use crate::proxy::{Forwarded, Forwarding, Pool, forward};
use crate::sso::Sso;
use crate::trace::{Exporter, Traced, Tracer};
use address::Pins;
use assertions::Assertions;
use destination::Destination;
use fault::Fault;
use forbidden::Refusal;
use paused::Arrivals;
use request_record::{Decision, RequestCounters, RequestRecord};
use reserved::Endpoint;
use revocation::Revocation;
use telemetry::{RequestReport, Telemetry};
use visit::{Audience, Target, Visit};

/// Whose traces are believed, and where spans go.
#[derive(Clone)]
pub struct Traces {
    /// Whose `traceparent` is.
    pub trust: TraceTrust,
    /// Where they go, if there are any.
    pub exporter: Option<Arc<Exporter>>,
}

/// What all workers share, as it follows from one edition of the settings.
pub struct Shared {
    /// Which edition that is.
    pub edition: Edition,
    /// The use cases.
    pub sso: Arc<Sso>,
    /// The token APIs, for sites that offer them on their own hosts.
    pub api: Arc<Api>,
    /// The port at which visitors find https, if it is spoken here.
    pub https_port: Option<u16>,
    /// Time between two pieces of a body.
    pub body_time: Duration,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Each site with what is made of it once.
    pub fronts: HashMap<SiteName, Arc<Front>>,
    /// The logs that are kept.
    pub journal: Journal,
    /// Whose traces are believed, and where spans go.
    pub traces: Traces,
    /// What authorities are shown who look whose the names are.
    pub challenges: Arc<Challenges>,
    /// What is counted of requests that are for no site.
    pub siteless: SitelessRequests,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Shared {
    /// A worker's connections to the upstreams of a site.
    fn pool(&self, front: &Front) -> Pool {
        Pool::new(&front.fleet, &self.clock, self.sso.entropy())
    }

    /// A worker's access log, and its part in traces.
    fn telemetry(&self) -> Rc<Telemetry> {
        let Traces { trust, exporter } = &self.traces;
        let tracer = Tracer::new(*trust, exporter.as_ref(), self.sso.entropy());
        Rc::new(Telemetry { log: AccessLog::of(&self.journal), tracer })
    }
}

/// The gateway, as one worker has it. What belongs to the worker and not to the settings, it shares with
/// the one that comes in its place.
pub struct Gateway {
    shared: Arc<Shared>,
    /// Connections to each site's upstreams, and what is counted of the site.
    pools: HashMap<SiteName, (Rc<Pool>, Arc<RequestCounters>)>,
    siteless: Arc<RequestCounters>,
    telemetry: Rc<Telemetry>,
    request_ids: Rc<RequestIds>,
    watch: Rc<Watch>,
    revocation: Rc<Revocation>,
    assertions: Rc<Assertions>,
    pins: Rc<Pins>,
    /// Who is just bringing something that is to be kept.
    arrivals: Rc<Arrivals>,
}

impl Gateway {
    /// A worker's gateway, with connections of its own and these deadlines.
    pub fn new(shared: Arc<Shared>, watch: Rc<Watch>) -> Self {
        let pool = |(name, front): (&SiteName, &Arc<Front>)| {
            (name.clone(), (Rc::new(shared.pool(front)), front.counters.enlist()))
        };
        let pools = shared.fronts.iter().map(pool).collect();
        let request_ids = Rc::new(RequestIds::new(shared.sso.entropy()));
        Self {
            siteless: shared.siteless.0.enlist(),
            telemetry: shared.telemetry(),
            shared,
            pools,
            request_ids,
            watch,
            revocation: Rc::default(),
            assertions: Rc::default(),
            pins: Rc::default(),
            arrivals: Rc::default(),
        }
    }

    /// A new connection from `peer` over `scheme`, which passes it on for `source` if there is one.
    pub fn accept(&self, peer: SocketAddr, source: Option<ProxiedSource>, scheme: Scheme) -> Connection {
        let trusted = &self.shared.trusted_proxies;
        let peer = Peer::new(peer, scheme, trusted);
        let peer = match source {
            Some(source) => peer.passing_on(source, trusted),
            None => peer,
        };
        Connection::new(peer, self.shared.edition)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Looks after deadlines, after the sessions on whose strength something runs, and, now and then,
    /// after upstream connections that have been idle for too long: to be called once for each
    /// [`TICK`](crate::http::watch::TICK).
    pub fn tick(&self) {
        const TICKS_PER_SWEEP: u64 = 50;
        let now = self.shared.clock.now();
        let ticks = self.watch.tick(|live| self.revocation.judge(&self.shared.sso, live, now));
        self.revocation.next_round();
        self.pins.sweep();
        self.telemetry.hand_in();
        self.pools.values().for_each(|(pool, _)| pool.publish());
        if self.watch.is_draining() {
            self.pools.values().for_each(|(pool, _)| pool.close_idle());
        } else if ticks.is_multiple_of(TICKS_PER_SWEEP) {
            self.pools.values().for_each(|(pool, _)| pool.sweep(now));
            self.sweep_assertions(now);
        }
    }

    /// Answers one request: the one place where faults become responses, and where the access log
    /// is written.
    pub async fn handle(&self, request: &mut Request, connection: &Connection) -> Response {
        let began = self.shared.clock.moment();
        let trusted = &self.shared.trusted_proxies;
        connection.go_by(&self.shared);
        let client = Client::of(&connection.peer(), request.headers(), trusted);
        let request_id = RequestId::of(request.headers(), &client, &self.request_ids);
        let trace = self.telemetry.tracer.take_up(request.headers(), &client);
        let is_recorded = trace.as_ref().is_some_and(Traced::is_recorded);
        let report = (self.telemetry.log.is_some() || is_recorded).then(|| {
            let head = Head::of(request, &client, &request_id);
            Box::new(RequestReport::new(&self.telemetry, head, &client, &self.shared.clock))
        });
        let mut record = RequestRecord::begin(began, &self.siteless, report, trace);
        let awaits_consent = asked_for_websocket(request);
        let mut answered = self.answer(request, connection, &client, &request_id, &record).await;
        if awaits_consent {
            answered = answered.and_then(|answer| upgrade::refuse_page(answer, record.is_own_answer()));
        }
        let found = record.address();
        let ancestors = found.and_then(|address| address.front.ancestors.as_ref());
        let mut response = answered.unwrap_or_else(|fault| {
            record.decide(if fault.is_ours() { Decision::Failed } else { Decision::Refused });
            // Of a store that is lost the store itself tells, once and not with each request.
            if fault.is_ours() && !matches!(fault, Fault::Unavailable(_)) {
                let request_id = request_id.as_str();
                tracing::warn!(target: "tollgate::gateway", request_id, fault = %fault, "cannot answer");
            }
            fault.into_response(Audience::of(opening(request.headers()), ancestors.is_some()), &request_id)
        });
        // Whatever was answered, and whatever the upstream says of it.
        if let Some(hsts) = found.and_then(|address| address.hsts.clone()) {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts);
        }
        if let Some(ancestors) = ancestors {
            ancestors.allow_on(&mut response);
        }
        if record.is_own_answer() {
            request_id.name_on_error(&mut response);
        }
        record.finish(&response, self.shared.clock.moment());
        response
    }

    /// The life of a request. The order of these steps matters, and each says why it stands where
    /// it does.
    async fn answer(
        &self,
        request: &mut Request,
        connection: &Connection,
        client: &Client,
        request_id: &RequestId,
        record: &RequestRecord<'_>,
    ) -> Result<Response, Fault> {
        let now = record.began();
        // 0. Other proxies ask about requests that they carry themselves.
        if forward_auth::asks(request) {
            let answer = self.inquire(request, connection, (client, request_id), record);
            return answer.await.map(Response::from);
        }
        // 1. What is not a request for a resource of a site goes no further. (What is framed in a
        //    way that servers read differently has not come as far as here.)
        if !forwards(request.method()) {
            return Err(Fault::MethodRefused);
        }
        // 2. The site decides everything that follows.
        let target = Target::of(request)?;
        //    Only an authority that looks whose a name is may read before that, and what it reads is made
        //    for it: it comes over plain http, and has no session.
        if let Some(answer) = self.validation(request, &target, connection) {
            return Ok(answer);
        }
        let address = record.is_for(self.address(connection, &target, client.scheme)?);
        let site = &address.front.site;
        //    Over plain http some sites have nothing to say, not even at the gateway's own paths:
        //    a token that came in the open is not to be used in the open as well.
        if let Some(instead) = self.to_https(address, client.scheme, &target) {
            return Ok(instead);
        }
        // 3. From here on the path is one that gateway and upstream read alike.
        let fields = RequestFields::of(request.headers());
        let visit = Visit::of(request.headers(), fields, address, (client, request_id), &target, now)?;
        // 4. The gateway's own paths are never forwarded, whatever the rules say.
        if let Some(endpoint) = Endpoint::of(&visit) {
            let answer = Box::pin(self.reserved(endpoint, request, &visit)).await;
            record.note_redemption(&visit);
            return answer;
        }
        if answers_at(site, visit.path.as_str()) {
            return Ok(Box::pin(self.shared.api.handle(take(request), via(&visit, site))).await);
        }
        // 5. A token is redeemed on whatever path it comes to, open ones too.
        if let Some(token) = &visit.token
            && let Some(answer) = Box::pin(self.redeem_on_arrival(token, request, &visit)).await?
        {
            record.note_redemption(&visit);
            return Ok(answer);
        }
        // 6. Who is it, and
        // 7. what may they? Where a request has two targets, it asks what both of them ask. Nothing
        //    passes this line without a permit.
        let destination = Destination::of(request.headers(), fields, &visit, &address.host)?;
        let permit = match self.judge(&visit, request.method(), destination.as_ref(), record).await? {
            Access::Allow(permit) => permit,
            Access::Challenge => {
                record.decide(Decision::Challenged);
                return Box::pin(self.challenge(request, &visit)).await;
            }
            Access::Deny { visitor, alternatives } => {
                record.decide(Decision::Denied);
                let refusal =
                    Refusal { visitor: visitor.as_deref(), alternatives: &alternatives, paywall_url: None };
                return Ok(refusal.into_response(request, &visit, request_id));
            }
        };
        // 8. What a session pays for is not for other sites' pages: least of all a WebSocket, and nothing
        //    that changes anything where browsers would let them.
        let websocket = upgrade::websocket_key(request, fields, request_id);
        if permit.visitor().is_some() {
            cross_site::check_any(request, websocket.is_some(), &visit)?;
        }
        //    What was to be signed and is not would be taken for a request without a session.
        let assertion = self.assertion(site, permit.visitor(), &address.origin, now)?;
        // 9. The upstream gets a head made anew, from which whatever is forged is missing.
        let origin_header = fields.origin.then(|| cors::origin_of(request.headers())).flatten();
        let with_session = permit.visitor().is_some();
        let introduction = if with_session { visit.presented.introduction() } else { None };
        let pin = site.connection_auth.then(|| self.pin(connection, client, request.version())).flatten();
        let forwarding = Forwarding {
            site,
            cookie_names: visit.cookie_names,
            fields,
            pool: &address.pool,
            pin,
            client,
            host: &address.host,
            origin: &address.origin,
            whereabouts: &address.whereabouts,
            cookies: visit.shown_cookies(),
            chromeless: chromeless::is_on(&visit),
            request_id,
            introduction: introduction.as_deref(),
            trace: record.trace.as_ref(),
            assertion: assertion.as_ref(),
            target: &visit.forwarded_target(&target)?,
            destination: destination.as_ref().map(Destination::target),
            websocket: websocket.as_ref(),
            // A client in HTTP/1.0 understands none (RFC 9110 §15.2), and the library for HTTP/2
            // has no way to send one. Strangers wait for the upstream's last word: it may want them
            // to sign in first.
            interim: (request.version() == Version::HTTP_11 && (with_session || !permit.asked_who()))
                .then_some(&connection.interim),
            body_time: self.shared.body_time,
            watch: &self.watch,
            clock: &self.shared.clock,
            stopwatch: &record.stopwatch,
        };
        record.decide(Decision::Allowed);
        let mut response = match forward(permit, request, forwarding).await? {
            Forwarded::Answer(response) => response,
            // 10. The upstream may find that its answer is not for this visitor.
            Forwarded::Withheld(withheld) => {
                let is_known = withheld.permit.visitor().is_some();
                record.decide(if is_known { Decision::Denied } else { Decision::Challenged });
                return Box::pin(self.withheld(*withheld, request, &visit, request_id)).await;
            }
        };
        chromeless::remember(&visit, &mut response);
        if with_session {
            address.front.cors.learn(origin_header.as_ref(), response.headers());
        }
        Ok(response)
    }

    /// Whether a visit may go on, by the site's rules.
    async fn judge<'a>(
        &self,
        visit: &Visit<'a>,
        method: &Method,
        destination: Option<&Destination>,
        record: &RequestRecord<'_>,
    ) -> Result<Access<'a>, Fault> {
        let rules = &visit.front.site.rules;
        let demand = match destination {
            None => rules.demand(&visit.path, method),
            Some(destination) => destination.demand(rules, &visit.path, method)?,
        };
        // Open paths do not even ask who it is.
        let visitor = match demand.level {
            AccessLevel::Off => None,
            AccessLevel::Optional | AccessLevel::Required => match self.visitor_again(visit) {
                Some(visitor) => Some(visitor),
                None => self.new_visitor(visit).await?,
            },
        };
        if let Some(visitor) = &visitor {
            record.recognise(visitor);
        }
        Ok(decide(&demand, visitor, visit.client.own_address()))
    }

    /// The live session that a request comes with.
    async fn visitor(&self, visit: &Visit<'_>) -> Result<Option<Arc<LiveSession>>, Fault> {
        match self.visitor_again(visit) {
            None => self.new_visitor(visit).await,
            again => Ok(again),
        }
    }

    /// The same, if a request with the same cookies was here on this connection before. That is so with nearly
    /// all, and takes no store.
    fn visitor_again(&self, visit: &Visit<'_>) -> Option<Arc<LiveSession>> {
        let known = visit.presented.recognised.borrow();
        let live = known.as_ref().filter(|live| self.shared.sso.authenticate_again(live, visit.now))?;
        if visit.front.fleet.takes_lines() {
            visit.presented.prepare(live, &visit.front.site);
        }
        Some(Arc::clone(live))
    }

    /// The same, if not.
    async fn new_visitor(&self, visit: &Visit<'_>) -> Result<Option<Arc<LiveSession>>, Fault> {
        let Some(key) = visit.session_key()? else { return Ok(None) };
        let found = self.shared.sso.authenticate(&visit.front.site, key, visit.now).await?;
        visit.presented.recognise(found.clone());
        Ok(found)
    }
}

/// How a call of the APIs on the host of `site` comes there.
fn via(visit: &Visit<'_>, site: &Arc<Site>) -> Via {
    Via {
        client: *visit.client,
        request_id: visit.request_id.clone(),
        origin: visit.origin.clone(),
        site: Some(Arc::clone(site)),
    }
}
