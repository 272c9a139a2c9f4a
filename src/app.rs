//! Putting it all together: settings → stores → use cases → surfaces → servers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::config::{Settings, Site, StoreKind};
use crate::domain::clock::{Clock, SystemClock, Timestamp};
use crate::domain::entropy::{Entropy, SystemEntropy};
use crate::domain::host::{Authority, HostPattern, Origin, Scheme};
use crate::gateway::{Connection, Front, Gateway, Shared};
use crate::http::access_log::AccessLine;
use crate::http::client::{Client, Peer};
use crate::http::request_id::{RequestId, RequestIds};
use crate::http::watch::{TICK, Watch};
use crate::http::{Request, Response};
use crate::server::{Answer, Chore, Crew, Limits, Work, bind};
use crate::sso::Sso;
use crate::sso::sites::Sites;
use crate::store::Stores;

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
    /// The public listeners, in the order of the configuration.
    pub http: Vec<SocketAddr>,
    /// The control listener.
    pub control: SocketAddr,
    crew: Crew,
    control_crew: Crew,
    is_draining: Arc<AtomicBool>,
}

impl Running {
    /// Refuses new connections, lets running requests finish within `drain_timeout`, and returns
    /// when all is quiet. The control listener answers to the end, so that it can be seen what is
    /// going on, and sessions can still be ended.
    pub async fn stop(self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.crew.stop().await;
        self.control_crew.stop().await;
    }
}

/// Every how many sweeps throttles are swept too: that looks at all of them.
const THROTTLE_TICKS: u64 = 50;

/// The most slices in a row: a backlog is worked off quickly, and the control API still answers.
const SLICES_IN_A_ROW: usize = 8;

/// What the control listener's last calls get when all else is quiet.
const CONTROL_DRAIN: Duration = Duration::from_secs(1);

/// Connections to the control listener at one time.
const CONTROL_CONNECTIONS: usize = 512;

/// Starts the gateway with the store that the settings name.
pub async fn start(settings: Settings, ambient: Ambient) -> io::Result<Running> {
    let stores = match settings.store {
        StoreKind::Memory => Stores::in_memory(),
    };
    start_with(settings, ambient, stores).await
}

/// Starts the gateway with the given stores.
pub async fn start_with(settings: Settings, ambient: Ambient, stores: Stores) -> io::Result<Running> {
    let server = settings.server;
    let public: Vec<TcpListener> =
        server.http.iter().map(|address| bind(*address)).collect::<Result<_, _>>()?;
    let control = bind(settings.control.listen)?;
    let http: Vec<SocketAddr> = public.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let control_address = control.local_addr()?;

    let homes = settings.sites.iter().filter_map(|site| Some((site.name.clone(), home_of(site, &http)?)));
    let homes = homes.collect();
    let fronts =
        settings.sites.iter().map(|site| (site.name.clone(), Arc::new(Front::new(Arc::clone(site)))));
    let fronts: HashMap<_, _> = fronts.collect();
    let sites = Sites::new(settings.sites);
    let sso = Arc::new(Sso::new(sites, stores, Arc::clone(&ambient.clock), ambient.entropy));
    let is_draining = Arc::new(AtomicBool::new(false));
    let api = Api::new(Arc::clone(&sso), settings.api_keys, homes, Arc::clone(&is_draining));
    let api = Arc::new(api);
    let shared = Arc::new(Shared {
        sso: Arc::clone(&sso),
        api: Arc::clone(&api),
        trusted_proxies: server.trusted_proxies.clone(),
        fronts,
        clock: ambient.clock,
    });

    let mut crew = Crew::new(server.drain_timeout);
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
    for number in 0..workers {
        let shared = Arc::clone(&shared);
        let listeners = public.iter().map(TcpListener::try_clone).collect::<Result<_, _>>()?;
        crew.hire(
            format!("worker-{number}"),
            Work {
                listeners,
                limits: public_limits.clone(),
                answer: Box::new(move || Rc::new(Gateway::new(shared))),
                chore: Chore { every: TICK, run: Gateway::tick },
            },
        )
        .await?;
    }
    let request_ids = RequestIds::new(sso.entropy());
    let trusted_proxies = server.trusted_proxies;
    let operator =
        move || Rc::new(ControlSurface { api, sso, trusted_proxies, request_ids, watch: Rc::default() });
    let mut control_crew = Crew::new(CONTROL_DRAIN);
    control_crew
        .hire(
            "control".to_owned(),
            Work {
                listeners: vec![control],
                limits: limits(CONTROL_CONNECTIONS),
                answer: Box::new(operator),
                chore: Chore { every: TICK, run: ControlSurface::sweep },
            },
        )
        .await?;
    Ok(Running { http, control: control_address, crew, control_crew, is_draining })
}

/// Where visitors find a site, as far as that can be told without asking one: its `public_url`, or
/// its first plain host at the first listener's port.
fn home_of(site: &Site, listeners: &[SocketAddr]) -> Option<Origin> {
    if let Some(origin) = &site.public_url {
        return Some(origin.clone());
    }
    let listener = listeners.first()?;
    let named = site.hosts.iter().find_map(|pattern| match pattern {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Any | HostPattern::OneLevel(_) => None,
    });
    let host = named.unwrap_or_else(|| match reachable(listener.ip()) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    Some(Origin::new(Scheme::Http, &Authority::parse(&format!("{host}:{}", listener.port()))?))
}

/// An address that a client on this machine can connect to, for a listener on all of them.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

impl Answer for Gateway {
    type Connection = Connection;

    fn watch(&self) -> &Rc<Watch> {
        Gateway::watch(self)
    }

    fn now(&self) -> Timestamp {
        Gateway::now(self)
    }

    fn connect(&self, peer: SocketAddr) -> Connection {
        self.accept(peer, Scheme::Http)
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
}

impl ControlSurface {
    fn sweep(&self) {
        if self.watch.tick().is_multiple_of(THROTTLE_TICKS) {
            self.sso.sweep_throttles();
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

    fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    fn now(&self) -> Timestamp {
        self.sso.now()
    }

    fn connect(&self, peer: SocketAddr) -> Peer {
        Peer::new(peer, Scheme::Http, &self.trusted_proxies)
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
