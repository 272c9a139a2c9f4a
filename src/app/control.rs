//! What answers on the control listener, and looks after what nobody else does.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use ipnet::IpNet;

use super::generation::Generation;
use super::keeping::Keeping;
use super::spare_memory;
use crate::acme::Keeper;
use crate::admin::{Admin, Scene};
use crate::api::Api;
use crate::domain::clock::{Clock, Moment, Timestamp};
use crate::domain::host::Scheme;
use crate::http::access_log::{AccessLog, Head, Outcome};
use crate::http::client::{Client, Peer, ProxiedSource};
use crate::http::h1::FramingFault;
use crate::http::h2_head::asked_for_websocket;
use crate::http::request_id::{RequestId, RequestIds};
use crate::http::watch::{Verdict, Watch};
use crate::http::{Request, Response, reply};
use crate::journal::Journal;
use crate::proxy::{Checkups, Fleet};
use crate::server::{Answer, CertificateWatch, Certificates};
use crate::sso::Sso;

/// Every how many sweeps throttles are swept too: that looks at all of them.
const THROTTLE_TICKS: u64 = 50;

/// Every how many sweeps the files of certificates are looked at.
const CERTIFICATE_TICKS: u64 = 10;

/// Every how many sweeps spare memory is given back.
const MEMORY_TICKS: u64 = 10;

/// The most slices in a row: a backlog is worked off quickly, and the control API still answers.
const SLICES_IN_A_ROW: usize = 8;

/// What is told without a key, and is worth reading for pages of other sites that an operator has open. Whether
/// it is well is not, and balancers ask that under any name.
const OPEN: [&str; 3] = ["/metrics", "/docs", "/v1/openapi.json"];

/// What answers on the control listener.
pub(super) struct ControlSurface {
    in_force: RefCell<Rc<InForce>>,
    admin: Admin,
    request_ids: RequestIds,
    watch: Rc<Watch>,
    clock: Arc<dyn Clock>,
    reload_due: Arc<AtomicBool>,
}

/// What of it follows from the settings.
struct InForce {
    api: Arc<Api>,
    scene: Scene,
    sso: Arc<Sso>,
    trusted_proxies: Vec<IpNet>,
    watches: RefCell<Vec<CertificateWatch>>,
    checkups: Checkups,
    log: Option<AccessLog>,
    keeping: RefCell<Option<Keeping>>,
}

/// What is to be made [`InForce`], on the control listener's own thread.
pub(super) struct ToCome {
    api: Arc<Api>,
    scene: Scene,
    sso: Arc<Sso>,
    trusted_proxies: Vec<IpNet>,
    shown: Vec<Arc<Certificates>>,
    fleets: Vec<Arc<Fleet>>,
    keeper: Option<Keeper>,
    clock: Arc<dyn Clock>,
    journal: Journal,
}

impl ToCome {
    /// What follows from this generation, which is to be seen as this `scene` and shows these certificates.
    pub(super) fn of(generation: &Generation, scene: Scene, shown: Vec<Arc<Certificates>>) -> Self {
        Self {
            api: Arc::clone(&generation.api),
            scene,
            sso: Arc::clone(&generation.sso),
            trusted_proxies: generation.settings.server.trusted_proxies.clone(),
            shown,
            fleets: generation.fleets(),
            keeper: generation.keeper(),
            clock: Arc::clone(&generation.shared.clock),
            journal: generation.journal.clone(),
        }
    }

    /// In the place of what was in force `before`.
    fn come(self, before: Option<&InForce>) -> InForce {
        let Self { api, scene, sso, trusted_proxies, shown, fleets, keeper, clock, journal } = self;
        let before = before.and_then(|before| before.keeping.take());
        let keeping = RefCell::new(keeper.map(|keeper| Keeping::in_place_of(before, keeper)));
        let watches = RefCell::new(shown.into_iter().map(CertificateWatch::new).collect());
        let checkups = Checkups::new(&fleets, clock, sso.entropy());
        scene.come_into_force();
        let log = AccessLog::of(&journal);
        InForce { api, scene, sso, trusted_proxies, watches, checkups, log, keeping }
    }
}

/// Lets what follows from this generation come into force.
pub(super) fn hand_over(
    generation: &Generation,
    scene: Scene,
    shown: Vec<Arc<Certificates>>,
) -> Box<dyn FnOnce(&ControlSurface) + Send> {
    let next = ToCome::of(generation, scene, shown);
    Box::new(move |surface| {
        let before = surface.in_force();
        surface.in_force.replace(Rc::new(next.come(Some(&before))));
    })
}

impl ControlSurface {
    pub(super) fn new(to_come: ToCome, reload_due: Arc<AtomicBool>) -> Self {
        let clock = Arc::clone(&to_come.clock);
        let in_force = to_come.come(None);
        let request_ids = RequestIds::new(in_force.sso.entropy());
        Self {
            in_force: RefCell::new(Rc::new(in_force)),
            admin: Admin::default(),
            request_ids,
            watch: Rc::default(),
            clock,
            reload_due,
        }
    }

    fn in_force(&self) -> Rc<InForce> {
        Rc::clone(&self.in_force.borrow())
    }

    pub(super) fn look_after(&self) {
        let InForce { scene, sso, watches, checkups, log, .. } = &*self.in_force();
        let ticks = self.watch.tick(|_| Verdict::GoesOn);
        // Who stops sends nobody anywhere any more, and would wait for the answers.
        if !self.watch.is_draining() {
            checkups.tick();
        }
        self.admin.look_after(scene);
        if let Some(log) = log {
            log.hand_in();
        }
        if self.reload_due.swap(false, Ordering::Relaxed) {
            watches.borrow_mut().iter_mut().for_each(|watch| watch.reload(sso.now()));
        } else if ticks.is_multiple_of(CERTIFICATE_TICKS) {
            watches.borrow_mut().iter_mut().for_each(|watch| watch.look(sso.now()));
        }
        if ticks.is_multiple_of(THROTTLE_TICKS) {
            sso.sweep_throttles();
        }
        if ticks.is_multiple_of(MEMORY_TICKS) {
            spare_memory::give_back();
        }
        if sso.keys_are_due() {
            let sso = Arc::clone(sso);
            tokio::spawn(async move { sso.look_after_keys().await });
        }
        for _ in 0..SLICES_IN_A_ROW {
            if !sso.sweep() {
                return;
            }
        }
    }
}

impl Answer for ControlSurface {
    type Connection = Peer;

    fn rest(&self, _: &Peer) {}

    fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    // Nobody is introduced here: that is for the public listeners.
    fn connect(&self, peer: SocketAddr, _: Option<ProxiedSource>, scheme: Scheme) -> Peer {
        Peer::new(peer, scheme, &self.in_force().trusted_proxies)
    }

    fn misunderstood(&self, fault: FramingFault, peer: &Peer) {
        if let Some(log) = &self.in_force().log {
            log.note_unreadable(peer.address, fault, self.clock.now());
        }
    }

    async fn answer(&self, request: &mut Request, peer: &Peer) -> Response {
        let awaits_consent = asked_for_websocket(request);
        let request = std::mem::take(request);
        let InForce { api, scene, trusted_proxies, log, .. } = &*self.in_force();
        // Whom it trusts may be others now than when the connection began.
        let mut peer = peer.clone();
        peer.judge_by(trusted_proxies);
        let client = Client::of(&peer, request.headers(), trusted_proxies);
        let request_id = RequestId::of(request.headers(), &client, &self.request_ids);
        let clock = &*self.clock;
        let line = log.as_ref().map(|log| Line::begin(log, Head::of(&request, &client, &request_id), clock));
        let mut response = if Admin::answers_at(request.uri().path()) {
            self.admin.handle(scene, request, client, &request_id).await
        } else if OPEN.contains(&request.uri().path()) && !scene.is_asked_by_its_own_name(request.headers()) {
            let told = "This is not shown under a name that could be anybody's: see hosts under [control].\n";
            reply::text(StatusCode::MISDIRECTED_REQUEST, told)
        } else {
            api.handle_control(request, client, request_id.clone()).await
        };
        // To who asks for a WebSocket over HTTP/2 any 2xx opens one (RFC 8441 §5), and there is none here.
        if awaits_consent && response.status().is_success() {
            let refusal = reply::text(StatusCode::METHOD_NOT_ALLOWED, "There is no WebSocket here.\n");
            response = reply::allowing(refusal, "GET");
        }
        request_id.name_on_error(&mut response);
        if let Some(line) = line {
            line.end(&response);
        }
        response
    }
}

/// The line of a request, which is written in any case, even if the client leaves.
struct Line<'a> {
    log: &'a AccessLog,
    head: Option<Head>,
    clock: &'a dyn Clock,
    began: Moment,
}

impl<'a> Line<'a> {
    fn begin(log: &'a AccessLog, head: Head, clock: &'a dyn Clock) -> Self {
        Self { log, head: Some(head), clock, began: clock.moment() }
    }

    fn end(mut self, response: &Response) {
        if let Some(head) = self.head.take() {
            self.log.note(&head, &Outcome::answered(response, self.began, self.clock.moment()));
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if let Some(head) = self.head.take() {
            self.log.note(&head, &Outcome::abandoned(self.began, self.clock.moment()));
        }
    }
}
