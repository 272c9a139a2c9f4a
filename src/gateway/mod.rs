//! The life of a public request, top to bottom: see [`Gateway::handle`].

mod address;
mod assertions;
mod challenge;
mod cors;
mod fault;
mod forbidden;
mod front;
mod https;
mod logout;
mod presented;
mod redeem;
mod reserved;
mod revocation;
mod upgrade;
mod visit;
mod who_am_i;

pub use address::Connection;
pub use front::Front;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderValue, Version};
use ipnet::IpNet;

use crate::api::{Api, Via, answers_at};
use crate::domain::access::{Access, AccessLevel, decide};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::host::Scheme;
use crate::domain::session::LiveSession;
use crate::domain::site::SiteName;
use crate::http::access_log::AccessLine;
use crate::http::client::{Client, Peer};
use crate::http::connection::forwards;
use crate::http::request_id::{RequestId, RequestIds};
use crate::http::watch::Watch;
use crate::http::{Request, Response};
use crate::proxy::{Errand, Pool, forward};
use crate::sso::Sso;
use assertions::Assertions;
use fault::Fault;
use forbidden::Refusal;
use reserved::Endpoint;
use revocation::Revocation;
use visit::{Audience, Target, Visit};

/// What all workers share.
pub struct Shared {
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
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The gateway, as one worker has it.
pub struct Gateway {
    shared: Arc<Shared>,
    pools: HashMap<SiteName, Rc<Pool>>,
    request_ids: RequestIds,
    watch: Rc<Watch>,
    revocation: Revocation,
    assertions: Assertions,
}

impl Gateway {
    /// A worker's gateway, with connections of its own.
    pub fn new(shared: Arc<Shared>) -> Self {
        let pool = |(name, front): (&SiteName, &Arc<Front>)| {
            (name.clone(), Rc::new(Pool::new(&front.fleet, &shared.clock, shared.sso.entropy())))
        };
        let pools = shared.fronts.iter().map(pool).collect();
        let request_ids = RequestIds::new(shared.sso.entropy());
        Self {
            shared,
            pools,
            request_ids,
            watch: Rc::default(),
            revocation: Revocation::default(),
            assertions: Assertions::default(),
        }
    }

    /// A new connection from `peer` over `scheme`.
    pub fn accept(&self, peer: SocketAddr, scheme: Scheme) -> Connection {
        Connection::new(Peer::new(peer, scheme, &self.shared.trusted_proxies))
    }

    /// The worker's deadlines.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
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
        if self.watch.is_draining() {
            self.pools.values().for_each(|pool| pool.close_idle());
        } else if ticks.is_multiple_of(TICKS_PER_SWEEP) {
            self.pools.values().for_each(|pool| pool.sweep(now));
            self.sweep_assertions(now);
        }
    }

    /// Answers one request: the one place where faults become responses, and where the access log
    /// is written.
    pub async fn handle(&self, request: Request, connection: &Connection) -> Response {
        let began = self.shared.clock.now();
        let trusted = &self.shared.trusted_proxies;
        let client = Client::of(&connection.peer, request.headers(), trusted);
        let request_id = RequestId::of(request.headers(), &client, &self.request_ids);
        let audience = Audience::of(request.headers());
        let mut line = AccessLine::of(&request, &client, &request_id, began);
        let mut hsts = None;
        let answered = self.answer(request, connection, &client, &request_id, began, &mut hsts).await;
        let mut response = answered.unwrap_or_else(|fault| {
            // Of a store that is lost the store itself tells, once and not with each request.
            if fault.is_ours() && !matches!(fault, Fault::Unavailable(_)) {
                let request_id = request_id.as_str();
                tracing::warn!(target: "tollgate::gateway", request_id, fault = %fault, "cannot answer");
            }
            fault.into_response(audience, &request_id)
        });
        // Whatever was answered, and whatever the upstream says of it.
        if let Some(hsts) = hsts {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts);
        }
        line.write(&response, self.shared.clock.now());
        response
    }

    /// The life of a request. The order of these steps matters, and each says why it stands where
    /// it does.
    async fn answer(
        &self,
        request: Request,
        connection: &Connection,
        client: &Client,
        request_id: &RequestId,
        now: Timestamp,
        hsts: &mut Option<HeaderValue>,
    ) -> Result<Response, Fault> {
        // 1. What is not a request for a resource of a site goes no further. (What is framed in a
        //    way that servers read differently has not come as far as here.)
        if !forwards(request.method()) {
            return Err(Fault::MethodRefused);
        }
        // 2. The site decides everything that follows.
        let target = Target::of(&request)?;
        let address = self.address(connection, &target, client.scheme)?;
        let site = &address.front.site;
        hsts.clone_from(&address.hsts);
        //    Over plain http some sites have nothing to say, not even at the gateway's own paths:
        //    a token that came in the open is not to be used in the open as well.
        if let Some(instead) = self.to_https(&address, client.scheme, &target) {
            return Ok(instead);
        }
        // 3. From here on the path is one that gateway and upstream read alike.
        let visit = Visit::of(request.headers(), &address, client, &target, now)?;
        // 4. The gateway's own paths are never forwarded, whatever the rules say.
        if let Some(endpoint) = Endpoint::of(&visit) {
            return self.reserved(endpoint, request, &visit).await;
        }
        if answers_at(site, visit.path.as_str()) {
            let via = Via { client: *client, origin: address.origin.clone(), site: Some(Arc::clone(site)) };
            return Ok(self.shared.api.handle(request, via).await);
        }
        // 5. A token is redeemed on whatever path it comes to, open ones too.
        if let Some(answer) = self.redeem_on_arrival(&request, &visit).await? {
            return Ok(answer);
        }
        // 6. Who is it? Open paths do not even ask.
        let demand = site.rules.demand(&visit.path, request.method());
        let visitor = match demand.level {
            AccessLevel::Off => None,
            AccessLevel::Optional | AccessLevel::Required => self.visitor(&visit).await?,
        };
        // 7. Nothing passes this line without a permit.
        let permit = match decide(&demand, visitor, client.address) {
            Access::Allow(permit) => permit,
            Access::Challenge => return self.challenge(&request, &visit).await,
            Access::Deny { visitor, alternatives } => {
                let refusal = Refusal { visitor: visitor.as_deref(), alternatives: &alternatives };
                return Ok(refusal.into_response(&request, &visit, request_id));
            }
        };
        // 8. A session's WebSocket is not for other sites' pages.
        let websocket = upgrade::websocket_key(&request, request_id);
        if websocket.is_some() && permit.visitor().is_some() {
            upgrade::check_origin(request.headers(), &address.origin, &address.front.cors)?;
        }
        //    What was to be signed and is not would be taken for a request without a session.
        let assertion = self.assertion(site, permit.visitor(), &address.origin, now)?;
        // 9. The upstream gets a head made anew, from which whatever is forged is missing.
        let origin_header = cors::origin_of(request.headers());
        let errand = Errand {
            site,
            cookie_names: visit.cookie_names,
            pool: &address.pool,
            client,
            host: &address.host,
            whereabouts: &address.whereabouts,
            cookies: visit.shown_cookies(),
            request_id,
            assertion: assertion.as_ref(),
            target: &visit.forwarded_target(&target)?,
            websocket: websocket.as_ref(),
            // A client in HTTP/1.0 understands none (RFC 9110 §15.2), and the library for HTTP/2
            // has no way to send one.
            interim: (request.version() == Version::HTTP_11).then_some(&connection.interim),
            body_time: self.shared.body_time,
            watch: &self.watch,
            clock: &self.shared.clock,
        };
        let with_session = permit.visitor().is_some();
        let response = forward(permit, request, errand).await?;
        if with_session {
            address.front.cors.learn(origin_header.as_ref(), response.headers());
        }
        Ok(response)
    }

    /// The live session that a request comes with.
    async fn visitor(&self, visit: &Visit<'_>) -> Result<Option<Arc<LiveSession>>, Fault> {
        let Some(key) = visit.session_key()? else { return Ok(None) };
        let sso = &self.shared.sso;
        if let Some(live) = &*visit.presented.recognised.borrow()
            && sso.authenticate_again(live, visit.now)
        {
            return Ok(Some(Arc::clone(live)));
        }
        let found = sso.authenticate(&visit.front.site, key, visit.now).await?;
        visit.presented.recognised.replace(found.clone());
        Ok(found)
    }
}
