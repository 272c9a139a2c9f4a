//! The admin page, at `/admin/` on the control listener: what an operator sees of the gateway, and what can
//! be done by hand.
//!
//! It is for people with a browser, and that is what it has to be wary of. The listener is on loopback, so
//! that every site that the operator has open could send requests here: see `guard`. It decides nothing by
//! itself: what it shows is what the use cases and the figures say, and what it changes they change.
//!
//! All of it runs on the control listener's one thread, so that nothing here takes a lock.

mod answer;
mod applied;
mod assets;
mod certificates;
mod events;
mod guard;
mod links;
mod operators;
mod overview;
mod plot;
mod posted;
mod query;
mod samples;
mod sessions;
mod sheet;
mod sign_in;
mod sites;
mod upstreams;
mod users;
mod words;

pub use applied::Applied;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;

use crate::api::Api;
use crate::config::{ApiKey, Certificate, Scope, Site};
use crate::domain::clock::Timestamp;
use crate::domain::host::{HostPattern, Origin};
use crate::domain::site::SiteName;
use crate::gateway::{Front, RequestFigures};
use crate::http::client::Client;
use crate::http::request_id::RequestId;
use crate::http::{Request, Response};
use crate::server::Certificates;
use crate::sso::{Actor, Cause, Sso};
use answer::{Answer, Trouble};
use operators::{Operator, Operators};
use query::Query;
use samples::Samples;

/// Where the admin page begins.
const ROOT: &str = "/admin/";

/// What the admin page is about: everything that is in force.
pub struct Scene {
    /// The APIs, with their keys and what they know of sites.
    pub api: Arc<Api>,
    /// The use cases.
    pub sso: Arc<Sso>,
    /// What becomes of requests, with the sites as they are served.
    pub requests: RequestFigures,
    /// Names at which operators find the control listener, besides those that it always has.
    pub hosts: Vec<HostPattern>,
    /// What visitors are shown over TLS.
    pub public_certificates: Option<Arc<Certificates>>,
    /// What operators are.
    pub control_certificates: Option<Arc<Certificates>>,
    /// Since when which settings are in force.
    pub applied: Arc<Applied>,
    /// When the process began.
    pub began: Timestamp,
}

impl Scene {
    /// Events are kept if somebody may ever look at them here.
    pub fn come_into_force(&self) {
        self.sso.keep_events(self.is_open());
    }

    /// Whether there is a key with which somebody can sign in.
    fn is_open(&self) -> bool {
        let now = self.now();
        let opens = |key: &ApiKey| {
            key.proofs.iter().any(|proof| proof.bearer().is_some() && proof.is_good(now)) && administers(key)
        };
        self.api.has_key(opens)
    }

    fn fronts(&self) -> &[Arc<Front>] {
        &self.requests.fronts
    }

    fn sites(&self) -> &[Arc<Site>] {
        self.sso.sites.all()
    }

    fn site(&self, name: &str) -> Option<&Arc<Site>> {
        self.sso.sites.by_name(&SiteName::parse(name)?)
    }

    fn now(&self) -> Timestamp {
        self.sso.now()
    }

    /// Every certificate that is shown to somebody, and to whom.
    fn certificates(&self) -> Vec<(&'static str, Certificate)> {
        let shown = [("visitors", &self.public_certificates), ("operators", &self.control_certificates)];
        let each = shown.into_iter().filter_map(|(to, shown)| Some((to, shown.as_ref()?.current())));
        each.flat_map(|(to, shown)| shown.iter().map(|one| (to, one.clone())).collect::<Vec<_>>()).collect()
    }
}

/// Whether the holder of `key` may come in. What is to be seen here is of the gateway as a whole, so that
/// keys for some sites are not enough.
fn administers(key: &ApiKey) -> bool {
    key.scopes.contains(&Scope::Admin) && key.sites.is_none()
}

/// The admin page over whatever settings are in force, one after another.
pub struct Admin {
    operators: Operators,
    samples: RefCell<Samples>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { operators: Operators::default(), samples: RefCell::new(Samples::default()) }
    }
}

/// A request of somebody who has signed in.
struct Visit<'a> {
    scene: &'a Scene,
    admin: &'a Admin,
    operator: Rc<Operator>,
    /// What the audit log says of whatever is done.
    cause: Cause,
    query: Query,
    now: Timestamp,
}

impl Admin {
    /// Whether `path` is the admin page's.
    pub fn answers_at(path: &str) -> bool {
        path.starts_with(ROOT) || path == "/admin"
    }

    /// Looks at the figures, if it is time, and forgets operators whose time is over.
    pub fn look_after(&self, scene: &Scene) {
        if scene.is_open() {
            self.samples.borrow_mut().look(scene);
        }
        self.operators.sweep(scene);
    }

    /// Answers a request.
    pub async fn handle(
        &self,
        scene: &Scene,
        request: Request,
        client: Client,
        request_id: &RequestId,
    ) -> Response {
        let is_head = *request.method() == Method::HEAD;
        let answered = match guard::origin(request.headers(), &client, scene) {
            Some(origin) => self.answer(scene, request, (client, request_id), &origin).await,
            None => Err(Trouble::ForeignHost),
        };
        let mut response = guard::dress(answered.unwrap_or_else(Trouble::into_response));
        if is_head {
            *response.body_mut() = crate::http::body::Body::empty();
        }
        response
    }

    async fn answer(
        &self,
        scene: &Scene,
        request: Request,
        (client, request_id): (Client, &RequestId),
        origin: &Origin,
    ) -> Answer {
        let circumstances = || request_id.circumstances(&client);
        let path = request.uri().path().to_owned();
        let Some(place) = path.strip_prefix(ROOT) else { return Ok(answer::go(ROOT)) };
        if let Some(name) = place.strip_prefix("assets/") {
            return assets::answer(&request, name);
        }
        if guard::changes(request.method()) {
            guard::check_page(request.headers(), origin)?;
        }
        if place == "sign-in" && *request.method() == Method::POST {
            return self.sign_in(scene, request, client, circumstances()).await;
        }
        let is_glance = request.headers().contains_key(guard::GLANCE);
        let found = self.operators.find(scene, request.headers(), client.scheme, is_glance);
        let Some(operator) = found else {
            return Ok(sign_in::closed(scene, request.method(), request.uri(), is_glance));
        };
        let query = Query::of(request.uri().query());
        let actor = Actor::ApiKey(operator.key.as_str().into());
        let cause = Cause::new(actor, circumstances());
        let visit = Visit { scene, admin: self, operator, cause, query, now: scene.now() };
        visit.answer(place, request, client).await.map_err(|trouble| trouble.by(&visit))
    }
}

impl Visit<'_> {
    /// Finds the page.
    async fn answer(&self, place: &str, request: Request, client: Client) -> Answer {
        let parts: Vec<&str> = place.split('/').collect();
        match (parts.as_slice(), request.method()) {
            ([""], _) => self.overview(&request),
            (["sign-in"], &Method::GET) => Ok(answer::go(ROOT)),
            (["sign-out"], _) => self.sign_out(request, client).await,
            (["sessions"], _) => self.list_sessions(&request).await,
            (["sessions", "end"], _) => self.end_sessions(request).await,
            (["sessions", id], _) => self.show_session(&request, id).await,
            (["sessions", id, "end"], _) => self.end_session(request, id).await,
            (["users"], _) => self.list_users(&request).await,
            (["users", id], _) => self.show_user(&request, id).await,
            (["users", id, change], _) => self.change_user(request, id, change).await,
            (["links"], _) => self.links(request).await,
            (["sites"], _) => self.sites(&request),
            (["upstreams"], _) => self.upstreams(&request),
            (["events"], _) => self.events(&request),
            (["certificates"], _) => self.certificates(&request),
            _ => Err(Trouble::NotFound("page")),
        }
    }
}
