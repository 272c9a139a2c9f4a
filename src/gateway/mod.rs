//! The life of a public request, top to bottom: see [`Gateway::handle`].

mod challenge;
mod cors;
mod fault;
mod front;
mod logout;
mod redeem;
mod reserved;
mod visit;
mod who_am_i;

pub use front::Front;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::{Method, Request};
use hyper::body::Incoming;
use ipnet::IpNet;

use crate::api::{Api, Via, answers_at};
use crate::domain::access::{Access, AccessLevel, decide};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::session::LiveSession;
use crate::domain::site::SiteName;
use crate::http::access_log::AccessLine;
use crate::http::client::Client;
use crate::http::forged::remove_forged;
use crate::http::request_id::RequestId;
use crate::http::{Response, connection};
use crate::proxy::{Errand, Pool, forward};
use crate::sso::Sso;
use fault::Fault;
use reserved::Endpoint;
use visit::{Audience, Target, Visit};

/// What all workers share.
pub struct Shared {
    /// The use cases.
    pub sso: Arc<Sso>,
    /// The token APIs, for sites that offer them on their own hosts.
    pub api: Arc<Api>,
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
}

/// Where a request came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The other end of the connection.
    pub peer: std::net::SocketAddr,
    /// The listener's scheme.
    pub scheme: crate::domain::host::Scheme,
}

impl Gateway {
    /// A worker's gateway, with connections of its own.
    pub fn new(shared: Arc<Shared>) -> Self {
        let pool =
            |site: &Arc<crate::config::Site>| (site.name.clone(), Rc::new(Pool::new(site.upstream.clone())));
        let pools = shared.sso.sites.all().iter().map(pool).collect();
        Self { shared, pools }
    }

    /// Closes upstream connections that have been idle for too long.
    pub fn sweep(&self) {
        let now = self.shared.clock.now();
        self.pools.values().for_each(|pool| pool.sweep(now));
    }

    /// Answers one request: the one place where faults become responses, and where the access log
    /// is written.
    pub async fn handle(&self, request: Request<Incoming>, arrival: Arrival) -> Response {
        let began = self.shared.clock.now();
        let trusted = &self.shared.trusted_proxies;
        let client = Client::of(arrival.peer, arrival.scheme, request.headers(), trusted);
        let request_id = RequestId::of(request.headers(), &client, self.shared.sso.entropy());
        let audience = Audience::of(request.headers());
        let line = AccessLine::of(&request, &client, &request_id, began);
        let answered = self.answer(request, &client, &request_id, began).await;
        let response = answered.unwrap_or_else(|fault| {
            if fault.is_ours() {
                let request_id = request_id.as_str();
                tracing::warn!(target: "tollgate::gateway", request_id, fault = %fault, "cannot answer");
            }
            fault.into_response(audience, &request_id)
        });
        line.write(&response, self.shared.clock.now());
        response
    }

    /// The life of a request. The order of these steps matters, and each says why it stands where
    /// it does.
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        client: &Client,
        request_id: &RequestId,
        now: Timestamp,
    ) -> Result<Response, Fault> {
        // 1. What is not a request for a resource of a site, or cannot be framed without doubt,
        //    goes no further.
        if connection::has_doubtful_length(request.headers()) {
            return Err(Fault::DoubtfulLength);
        }
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(Fault::MethodRefused);
        }
        // 2. The site decides everything that follows.
        let target = Target::of(&request)?;
        let site = self.shared.sso.sites.by_host(target.authority.host()).ok_or(Fault::UnknownHost)?;
        let front = self.shared.fronts.get(&site.name).ok_or(Fault::UnknownHost)?;
        // 3. Forged headers go before any branch, so that no path can forget them.
        remove_forged(request.headers_mut(), &site.identity, client);
        // 4. From here on the path is one that gateway and upstream read alike.
        let visit = Visit::of(request.headers(), front, client, &target, now)?;
        // 5. The gateway's own paths are never forwarded, whatever the rules say.
        if let Some(endpoint) = Endpoint::of(&visit) {
            return self.reserved(endpoint, request, &visit).await;
        }
        if answers_at(site, visit.path.as_str()) {
            let via = Via { client: *client, origin: visit.origin.clone(), site: Some(Arc::clone(site)) };
            return Ok(self.shared.api.handle(request, via).await);
        }
        // 6. A token is redeemed on whatever path it comes to, open ones too.
        if let Some(answer) = self.redeem_on_arrival(&request, &visit).await? {
            return Ok(answer);
        }
        // 7. Who is it? Open paths do not even ask.
        let level = site.rules.level(&visit.path, request.method());
        let visitor = match level {
            AccessLevel::Off => None,
            AccessLevel::Optional | AccessLevel::Required => self.visitor(&visit)?,
        };
        // 8. Nothing passes this line without a permit.
        let permit = match decide(level, visitor) {
            Access::Allow(permit) => permit,
            Access::Challenge => return Ok(self.challenge(&request, &visit)),
        };
        let pool = self.pools.get(&site.name).ok_or(Fault::UnknownHost)?;
        let origin_header = cors::origin_of(request.headers());
        let errand = Errand {
            site,
            cookie_names: visit.cookie_names,
            pool,
            client,
            host: &target.host_field,
            origin: &visit.origin,
            request_id,
            target: &visit.forwarded_target()?,
            clock: &self.shared.clock,
        };
        let response = forward(permit, request, errand).await?;
        front.cors.learn(origin_header.as_ref(), response.headers());
        Ok(response)
    }

    /// The live session that a request comes with.
    fn visitor(&self, visit: &Visit<'_>) -> Result<Option<Arc<LiveSession>>, Fault> {
        let Some(key) = visit.session_key()? else { return Ok(None) };
        Ok(self.shared.sso.authenticate(&visit.front.site, key, visit.now)?)
    }
}
