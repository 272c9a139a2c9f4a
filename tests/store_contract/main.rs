//! What every store owes the rest of the program. Each story here is told over [`all`] stores.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is a test, which fails by panicking"
)]

mod directory;
mod keys;
mod model;
mod parked;
mod protocol;
mod races;
mod restart;
#[path = "../servers/mod.rs"]
mod servers;
mod sessions;
mod siblings;
mod tokens;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use servers::redis::Server;
use tempfile::TempDir;
use tollgate::config::{self, Environment, Site, StoreSettings};
use tollgate::domain::clock::{Clock as _, ManualClock, Timestamp};
use tollgate::domain::site::SiteName;
use tollgate::store::Stores;

/// A store, and where it lies if it lies anywhere.
struct Kept {
    stores: Stores,
    folder: Option<TempDir>,
    server: Option<Server>,
    clock: Arc<ManualClock>,
    /// Whether what is over is forgotten when it is swept away, and not by itself.
    forgets_when_swept: bool,
}

impl Kept {
    fn in_memory() -> Self {
        let clock = Arc::new(ManualClock::starting_at(START));
        Self { stores: Stores::in_memory(), folder: None, server: None, clock, forgets_when_swept: true }
    }

    /// Keeps everything in a file in `folder`.
    fn in_file(folder: TempDir) -> Self {
        Self { stores: open(&folder), folder: Some(folder), ..Self::in_memory() }
    }

    /// Keeps everything in a Redis.
    fn in_redis(server: Server) -> Self {
        let clock = Arc::new(ManualClock::starting_at(START));
        let stores = over(&server.url(), &clock);
        Self { stores, folder: None, server: Some(server), clock, forgets_when_swept: false }
    }

    /// The same after a restart, if it outlives one.
    async fn reopened(self) -> Option<Self> {
        self.stores.sessions.close().await.unwrap();
        match (self.folder, self.server) {
            (Some(folder), _) => Some(Self::in_file(folder)),
            (None, server) => server.map(Self::in_redis),
        }
    }

    /// Moves the store's own clock to `time`.
    fn wait_until(&self, time: Timestamp) {
        self.clock.advance(self.clock.now().until(time));
    }
}

/// The store in `folder`.
fn open(folder: &TempDir) -> Stores {
    let settings = StoreSettings::Embedded { path: folder.path().join("data") };
    Stores::open(&settings, &SITES, Arc::new(ManualClock::starting_at(START))).unwrap()
}

/// The store over the Redis at `url`.
fn over(url: &str, clock: &Arc<ManualClock>) -> Stores {
    let store = format!("[store]\nkind = \"redis\"\nurl = {url:?}\nsecret = \"a secret of all nodes\"\n");
    let settings = config::load(&format!("{store}{}", sites()), "contract.toml", &Environment::empty());
    let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
    Stores::open(&settings.store, &SITES, Arc::clone(clock) as _).unwrap()
}

/// Each kind of store, new and empty.
fn all() -> Vec<Kept> {
    let file = Kept::in_file(tempfile::tempdir().unwrap());
    vec![Kept::in_memory(), file, Kept::in_redis(Server::start())]
}

fn sites() -> String {
    let site = |name| {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\n\
             upstream = [\"http://127.0.0.1:9\"]\nlogin_url = \"https://login.test/\"\n"
        )
    };
    ["wiki", "intranet", "shop"].map(site).concat()
}

/// The sites of all stories. A store may ask what their upstreams are told.
static SITES: LazyLock<Vec<Arc<Site>>> =
    LazyLock::new(|| config::load(&sites(), "contract.toml", &Environment::empty()).unwrap().sites);

/// The time at which every story begins.
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn after(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn site(name: &str) -> SiteName {
    SiteName::parse(name).unwrap()
}

#[tokio::test]
async fn a_nonce_is_new_once_until_it_is_forgotten() {
    for kept in all() {
        let (key, stores) = ([7; 32], &kept.stores);
        assert!(stores.nonces.remember(key, after(600)).await.unwrap());
        assert!(!stores.nonces.remember(key, after(600)).await.unwrap());
        stores.sweep(after(599), 10);
        assert!(!stores.nonces.remember(key, after(600)).await.unwrap());
        kept.wait_until(after(600));
        stores.sweep(after(600), 10);
        assert!(stores.nonces.remember(key, after(1200)).await.unwrap());
    }
}
