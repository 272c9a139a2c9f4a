//! Putting it all together: settings → stores → use cases → surfaces → servers.

mod listeners;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::acme::{self, Challenges, Keeper};
use crate::api::Api;
use crate::config::Settings;
use crate::domain::clock::{Clock, SystemClock, Timestamp};
use crate::domain::entropy::{Entropy, SystemEntropy};
use crate::domain::host::Scheme;
use crate::gateway::{Connection, Front, Gateway, Shared};
use crate::http::access_log::AccessLine;
use crate::http::client::{Client, Peer};
use crate::http::request_id::{RequestId, RequestIds};
use crate::http::watch::{TICK, Verdict, Watch};
use crate::http::{Request, Response};
use crate::proxy::{Checkups, Fleet};
use crate::server::{Answer, CertificateWatch, Chore, Crew, Door, Inherited, Limits, Work};
use crate::sso::Sso;
use crate::sso::sites::Sites;
use crate::store::Stores;
use listeners::{Listeners, home_of};

/// Time and randomness for the whole program.
#[derive(Clone)]
pub struct Ambient {
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// What makes secrets.
    pub entropy: Arc<dyn Entropy>,
}

impl Ambient {
    /// The operating system's.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }
}

/// A gateway that is running. It stops when it is told to, or dropped.
pub struct Running {
    /// The public listeners for plain HTTP, in the order of the configuration.
    pub http: Vec<SocketAddr>,
    /// Those for HTTP over TLS.
    pub https: Vec<SocketAddr>,
    /// The control listener.
    pub control: SocketAddr,
    sso: Arc<Sso>,
    crew: Crew,
    control_crew: Crew,
    is_draining: Arc<AtomicBool>,
    reload_asked: Arc<AtomicBool>,
}

impl Running {
    /// Reads the certificates again, soon, whether their files look changed or not. Ones that
    /// cannot be used change nothing.
    pub fn reload_certificates(&self) {
        self.reload_asked.store(true, Ordering::Relaxed);
    }

    /// Refuses new connections, lets running requests finish within `drain_timeout`, and returns
    /// when all is quiet. The control listener answers to the end, so that it can be seen what is
    /// going on, and sessions can still be ended.
    pub async fn stop(self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.crew.stop().await;
        self.control_crew.stop().await;
        if self.sso.close().await.is_err() {
            tracing::warn!(target: "tollgate::store", "what was used last may not have been written down");
        }
    }
}

/// Every how many sweeps throttles are swept too: that looks at all of them.
const THROTTLE_TICKS: u64 = 50;

/// Every how many sweeps the files of certificates are looked at.
const CERTIFICATE_TICKS: u64 = 10;

/// The most slices in a row: a backlog is worked off quickly, and the control API still answers.
const SLICES_IN_A_ROW: usize = 8;

/// What the control listener's last calls get when all else is quiet.
const CONTROL_DRAIN: Duration = Duration::from_secs(1);

/// Connections to the control listener at one time.
const CONTROL_CONNECTIONS: usize = 512;

/// Starts the gateway with the store that the settings name.
pub async fn start(settings: Settings, ambient: Ambient) -> io::Result<Running> {
    start_on(settings, ambient, Inherited::default()).await
}

/// The same on the sockets that the process `inherited`, all of which have to be among those that the
/// settings name.
pub async fn start_on(settings: Settings, ambient: Ambient, inherited: Inherited) -> io::Result<Running> {
    // Whoever connects while the store is read waits for it.
    let challenges = challenges(&settings)?;
    let listeners = Listeners::open(&settings, challenges.as_ref(), inherited)?;
    let stores = Stores::open(&settings.store, &settings.sites, Arc::clone(&ambient.clock))?;
    run(settings, ambient, stores, listeners, challenges).await
}

/// Starts the gateway with the given stores.
pub async fn start_with(settings: Settings, ambient: Ambient, stores: Stores) -> io::Result<Running> {
    let challenges = challenges(&settings)?;
    let listeners = Listeners::open(&settings, challenges.as_ref(), Inherited::default())?;
    run(settings, ambient, stores, listeners, challenges).await
}

/// Where authorities look, if certificates are asked for.
fn challenges(settings: &Settings) -> io::Result<Option<Arc<Challenges>>> {
    let prepared = settings.acme.as_ref().map(acme::prepare).transpose()?;
    Ok(prepared.map(|()| Arc::default()))
}

async fn run(
    settings: Settings,
    ambient: Ambient,
    stores: Stores,
    listeners: Listeners,
    challenges: Option<Arc<Challenges>>,
) -> io::Result<Running> {
    for warning in settings.warnings(ambient.clock.now()) {
        tracing::warn!(target: "tollgate::server", "{warning}");
    }
    let (http, https) = (listeners.addresses(Scheme::Http)?, listeners.addresses(Scheme::Https)?);
    let control_address = listeners.control.listener.local_addr()?;
    let server = settings.server;

    let homes =
        settings.sites.iter().filter_map(|site| Some((site.name.clone(), home_of(site, &http, &https)?)));
    let homes = homes.collect();
    let fleets = Fleet::prepare(&settings.sites)?;
    let fronts = settings.sites.iter().filter_map(|site| {
        let fleet = Arc::clone(fleets.get(&site.name)?);
        Some((site.name.clone(), Arc::new(Front::new(Arc::clone(site), fleet))))
    });
    let fronts: HashMap<_, _> = fronts.collect();
    let sites = Sites::new(settings.sites);
    let entropy = Arc::clone(&ambient.entropy);
    let sso = Arc::new(Sso::new(sites, stores, Arc::clone(&ambient.clock), ambient.entropy));
    let kept = Arc::clone(&sso);
    // So that the first visitors need not wait; if the store does not answer, they have to.
    sso.look_after_keys().await;
    let is_draining = Arc::new(AtomicBool::new(false));
    let api = Api::new(Arc::clone(&sso), settings.api_keys, homes, Arc::clone(&is_draining));
    let api = Arc::new(api);
    let shared = Arc::new(Shared {
        sso: Arc::clone(&sso),
        api: Arc::clone(&api),
        https_port: https.first().map(SocketAddr::port),
        body_time: server.body_idle_timeout,
        trusted_proxies: server.trusted_proxies.clone(),
        fronts,
        challenges: challenges.clone(),
        clock: Arc::clone(&ambient.clock),
    });
    let clock = ambient.clock;

    let limits = |connections| Limits {
        connections: Arc::new(Semaphore::new(connections)),
        head_bytes: server.max_header_bytes,
        head_time: server.header_timeout,
        body_time: server.body_idle_timeout,
        idle_time: server.keep_alive_timeout,
    };
    let public_limits = limits(server.max_connections);
    let workers = match server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let mut crew = Crew::new(workers, server.drain_timeout);
    for number in 0..workers {
        let shared = Arc::clone(&shared);
        let doors = listeners.public.iter().map(Door::try_clone).collect::<Result<_, _>>()?;
        crew.hire(
            format!("worker-{number}"),
            Work {
                doors,
                limits: public_limits.clone(),
                answer: Box::new(move || Rc::new(Gateway::new(shared))),
                chore: Chore { every: TICK, run: Gateway::tick },
            },
        )
        .await?;
    }
    let request_ids = RequestIds::new(sso.entropy());
    let trusted_proxies = server.trusted_proxies;
    let reload_asked = Arc::new(AtomicBool::new(false));
    let (watches, reload_due) = (RefCell::new(listeners.watches), Arc::clone(&reload_asked));
    let keeper = settings.acme.zip(challenges).map(|(settings, challenges)| Keeper {
        settings,
        challenges,
        clock: Arc::clone(&clock),
        entropy,
    });
    let fleets: Vec<Arc<Fleet>> = fleets.into_values().collect();
    let operator = move || {
        let watch = Rc::default();
        // It ends with the thread, and what it was about is asked for again.
        let _ends_with_the_thread = keeper.map(|keeper| tokio::spawn(keeper.keep()));
        let checkups = Checkups::new(&fleets, Arc::clone(&clock), sso.entropy());
        Rc::new(ControlSurface {
            api,
            sso,
            trusted_proxies,
            request_ids,
            watch,
            watches,
            reload_due,
            checkups,
        })
    };
    let mut control_crew = Crew::new(1, CONTROL_DRAIN);
    control_crew
        .hire(
            "control".to_owned(),
            Work {
                doors: vec![listeners.control],
                limits: limits(CONTROL_CONNECTIONS),
                answer: Box::new(operator),
                chore: Chore { every: TICK, run: ControlSurface::look_after },
            },
        )
        .await?;
    let control = control_address;
    Ok(Running { http, https, control, sso: kept, crew, control_crew, is_draining, reload_asked })
}

impl Answer for Gateway {
    type Connection = Connection;

    fn rest(&self, connection: &Connection) {
        connection.rest();
    }

    fn interim(&self, connection: &Connection) -> Option<Vec<u8>> {
        connection.interim()
    }

    fn watch(&self) -> &Rc<Watch> {
        Gateway::watch(self)
    }

    fn now(&self) -> Timestamp {
        Gateway::now(self)
    }

    fn connect(&self, peer: SocketAddr, scheme: Scheme) -> Connection {
        self.accept(peer, scheme)
    }

    async fn answer(&self, request: Request, connection: &Connection) -> Response {
        self.handle(request, connection).await
    }
}

/// What answers on the control listener.
struct ControlSurface {
    api: Arc<Api>,
    sso: Arc<Sso>,
    trusted_proxies: Vec<IpNet>,
    request_ids: RequestIds,
    watch: Rc<Watch>,
    watches: RefCell<Vec<CertificateWatch>>,
    reload_due: Arc<AtomicBool>,
    checkups: Checkups,
}

impl ControlSurface {
    fn look_after(&self) {
        let ticks = self.watch.tick(|_| Verdict::GoesOn);
        self.checkups.tick();
        if self.reload_due.swap(false, Ordering::Relaxed) {
            self.watches.borrow_mut().iter_mut().for_each(|watch| watch.reload(self.sso.now()));
        } else if ticks.is_multiple_of(CERTIFICATE_TICKS) {
            self.watches.borrow_mut().iter_mut().for_each(|watch| watch.look(self.sso.now()));
        }
        if ticks.is_multiple_of(THROTTLE_TICKS) {
            self.sso.sweep_throttles();
        }
        if self.sso.keys_are_due() {
            let sso = Arc::clone(&self.sso);
            tokio::spawn(async move { sso.look_after_keys().await });
        }
        for _ in 0..SLICES_IN_A_ROW {
            if !self.sso.sweep() {
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
        self.sso.now()
    }

    fn connect(&self, peer: SocketAddr, scheme: Scheme) -> Peer {
        Peer::new(peer, scheme, &self.trusted_proxies)
    }

    async fn answer(&self, request: Request, peer: &Peer) -> Response {
        let began = self.sso.now();
        let client = Client::of(peer, request.headers(), &self.trusted_proxies);
        let request_id = RequestId::of(request.headers(), &client, &self.request_ids);
        let mut line = AccessLine::of(&request, &client, &request_id, began);
        let response = self.api.handle_control(request, client).await;
        line.write(&response, self.sso.now());
        response
    }
}
