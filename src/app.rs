//! Putting it all together: settings → stores → use cases → surfaces → servers.

mod control;
mod figures;
mod generation;
mod keeping;
mod listeners;
mod open_files;
mod reload;
mod spare_memory;

pub use open_files::raise_limit_of_open_files;
pub use reload::{ReloadError, fixed};

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::admin::Applied;
use crate::api::Keys;
use crate::config::Settings;
use crate::domain::clock::{Clock, SystemClock, Timestamp};
use crate::domain::entropy::{Entropy, SystemEntropy};
use crate::domain::host::Scheme;
use crate::gateway::{Connection, CurrentGateway, SitelessRequests};
use crate::http::client::ProxiedSource;
use crate::http::h1::FramingFault;
use crate::http::watch::{CallForRoom, TICK, Watch};
use crate::http::{Request, Response};
use crate::server::{Answer, Chore, Inherited, Listener, Work, Workers};
use crate::store::Stores;
use control::{ControlSurface, ToCome};
use figures::{Counted, Crowd};
use generation::{Addresses, Generation, Premises, limits};
use listeners::Listeners;

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
    ambient: Ambient,
    generation: Generation,
    /// The sockets themselves, of which the workers have copies.
    listeners: Listeners,
    public_workers: Workers<CurrentGateway>,
    control_workers: Workers<ControlSurface>,
    counted: Counted,
    applied: Arc<Applied>,
    keys: Arc<Keys>,
    is_draining: Arc<AtomicBool>,
    reload_asked: Arc<AtomicBool>,
}

impl Running {
    /// Tells operators that other settings did not come into force, and why.
    pub fn note_refused<'a>(&self, why: impl IntoIterator<Item = &'a str>) {
        self.applied.refused(self.ambient.clock.now(), why);
    }

    /// Reads the certificates again, soon, whether their files look changed or not. Ones that
    /// cannot be used change nothing.
    pub fn reload_certificates(&self) {
        self.reload_asked.store(true, Ordering::Relaxed);
    }

    /// Opens the log files anew, as after somebody has moved them away.
    pub fn reopen_logs(&self) {
        self.generation.journal.reopen();
    }

    /// Refuses new connections, lets running requests finish within `drain_timeout`, and returns
    /// when all is quiet. The control listener answers to the end, so that it can be seen what is
    /// going on, and sessions can still be ended.
    pub async fn stop(self) {
        self.is_draining.store(true, Ordering::Relaxed);
        let Self { generation, listeners, public_workers, control_workers, .. } = self;
        // A socket that somebody still has is one to which clients can connect.
        drop(listeners);
        public_workers.stop().await;
        control_workers.stop().await;
        if generation.sso.close().await.is_err() {
            tracing::warn!(target: "tollgate::store", "the latest last-used times may not have been saved");
        }
        let Generation { journal, exporter, .. } = generation;
        let closing = tokio::task::spawn_blocking(move || {
            journal.close();
            if let Some(exporter) = exporter {
                exporter.close();
            }
        });
        let _has_had_its_time = closing.await;
    }
}

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
    let listeners = Listeners::open(&settings, inherited)?;
    let stores = Stores::open(&settings.store, &settings.sites, Arc::clone(&ambient.clock))?;
    run(settings, ambient, stores, listeners).await
}

/// Starts the gateway with the given stores.
pub async fn start_with(settings: Settings, ambient: Ambient, stores: Stores) -> io::Result<Running> {
    let listeners = Listeners::open(&settings, Inherited::default())?;
    run(settings, ambient, stores, listeners).await
}

async fn run(
    settings: Settings,
    ambient: Ambient,
    stores: Stores,
    listeners: Listeners,
) -> io::Result<Running> {
    for warning in settings.warnings(ambient.clock.now()) {
        tracing::warn!(target: "tollgate::server", "{warning}");
    }
    let visitors = open_files::for_visitors(settings.server.max_connections);
    if visitors < settings.server.max_connections {
        tracing::info!(
            target: "tollgate::server",
            max_connections = settings.server.max_connections,
            "visitors get at most {visitors} connections, as the process may not have more files open \
             (LimitNOFILE, ulimit -n)"
        );
    }
    let at =
        Addresses { http: listeners.addresses(Scheme::Http)?, https: listeners.addresses(Scheme::Https)? };
    let control = listeners.control.socket.local_addr()?;
    let is_draining = Arc::new(AtomicBool::new(false));
    let (stores, store) = stores.timed(Arc::clone(&ambient.clock));
    let counted = Counted {
        since: ambient.clock.now(),
        store,
        acme: Arc::default(),
        siteless: SitelessRequests::default(),
        public: Crowd::of(visitors),
        control: Crowd::of(CONTROL_CONNECTIONS),
    };
    let keys = Arc::new(Keys::new(&settings.api_keys, ambient.clock.now()));
    let premises = Premises {
        ambient: &ambient,
        counted: &counted,
        keys: &keys,
        is_draining: &is_draining,
        listeners: &listeners,
        at: &at,
    };
    let generation = Generation::first(settings, stores, &premises)?;
    generation.sso.keep_audit_log_at(generation.journal.audit.clone());
    // So that the first visitors need not wait; if the store does not answer, they have to.
    generation.sso.look_after_keys().await;

    let server = &generation.settings.server;
    let workers = match server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let mut public_workers = Workers::new(workers, server.drain_timeout);
    let call = Arc::<CallForRoom>::default();
    for number in 0..workers {
        let (shared, call) = (Arc::clone(&generation.shared), Arc::clone(&call));
        let public = listeners.public.iter().map(Listener::try_clone).collect::<Result<_, _>>()?;
        public_workers
            .start(
                format!("worker-{number}"),
                Work {
                    listeners: public,
                    limits: limits(server, &counted.public),
                    answer: Box::new(move || Rc::new(CurrentGateway::new(shared, call))),
                    chore: Chore { every: TICK, run: CurrentGateway::tick },
                },
            )
            .await?;
    }
    let reload_asked = Arc::new(AtomicBool::new(false));
    let applied = Arc::new(Applied::new(ambient.clock.now()));
    let scene = generation.scene(&listeners, &applied, counted.since);
    let to_come = ToCome::of(&generation, scene, listeners.shown());
    let reload_due = Arc::clone(&reload_asked);
    let mut control_workers = Workers::new(1, CONTROL_DRAIN);
    control_workers
        .start(
            "control".to_owned(),
            Work {
                listeners: vec![listeners.control.try_clone()?],
                limits: limits(server, &counted.control),
                answer: Box::new(move || Rc::new(ControlSurface::new(to_come, reload_due))),
                chore: Chore { every: TICK, run: ControlSurface::look_after },
            },
        )
        .await?;
    let Addresses { http, https } = at;
    Ok(Running {
        http,
        https,
        control,
        ambient,
        generation,
        listeners,
        public_workers,
        control_workers,
        counted,
        applied,
        keys,
        is_draining,
        reload_asked,
    })
}

impl Answer for CurrentGateway {
    type Connection = Connection;

    fn rest(&self, connection: &Connection) {
        connection.rest();
    }

    fn interim(&self, connection: &Connection) -> Option<Vec<u8>> {
        connection.interim()
    }

    fn watch(&self) -> &Rc<Watch> {
        CurrentGateway::watch(self)
    }

    fn now(&self) -> Timestamp {
        CurrentGateway::now(self)
    }

    fn connect(&self, peer: SocketAddr, source: Option<ProxiedSource>, scheme: Scheme) -> Connection {
        self.current().accept(peer, source, scheme)
    }

    fn misunderstood(&self, fault: FramingFault, connection: &Connection) {
        self.current().note_unreadable(fault, connection);
    }

    async fn answer(&self, request: &mut Request, connection: &Connection) -> Response {
        self.current().handle(request, connection).await
    }
}
