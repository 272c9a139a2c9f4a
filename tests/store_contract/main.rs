//! What every store owes the rest of the program. Each story here is told over [`all`] stores.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "all of this is a test, which fails by panicking"
)]

mod directory;
mod model;
mod races;
#[path = "../servers/mod.rs"]
mod servers;
mod sessions;
mod tokens;

use std::any::Any;
use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use servers::redis::Server;
use tollgate::config::{self, Environment};
use tollgate::domain::clock::{Clock as _, ManualClock, Timestamp};
use tollgate::domain::site::SiteName;
use tollgate::store::Stores;

/// One kind of store.
#[derive(Clone)]
struct Kept {
    stores: Stores,
    clock: Arc<ManualClock>,
    /// Whether what is over is forgotten when it is swept away, and not by itself.
    forgets_when_swept: bool,
    /// What has to be there as long as it is used.
    _servers: Arc<dyn Any + Send + Sync>,
}

impl Deref for Kept {
    type Target = Stores;

    fn deref(&self) -> &Stores {
        &self.stores
    }
}

impl Kept {
    fn in_memory() -> Self {
        let clock = Arc::new(ManualClock::starting_at(START));
        Self { stores: Stores::in_memory(), clock, forgets_when_swept: true, _servers: Arc::new(()) }
    }

    fn in_redis(url: &str, servers: impl Any + Send + Sync) -> Self {
        let mut toml =
            format!("[store]\nkind = \"redis\"\nurl = {url:?}\nsecret = \"a secret of all nodes\"\n");
        for name in ["intranet", "wiki", "shop"] {
            let _infallible = write!(
                toml,
                "[[site]]\nname = {name:?}\nhosts = [\"{name}.test\"]\nupstream = [\"http://127.0.0.1:9\"]\n\
                 login_url = \"https://login.test/\"\n"
            );
        }
        let settings = config::load(&toml, "contract.toml", &Environment::empty()).unwrap();
        let clock = Arc::new(ManualClock::starting_at(START));
        let stores = Stores::open(&settings.store, &settings.sites, Arc::clone(&clock) as _).unwrap();
        Self { stores, clock, forgets_when_swept: false, _servers: Arc::new(servers) }
    }

    /// Moves the clock of the store to `time`.
    fn wait_until(&self, time: Timestamp) {
        self.clock.advance(self.clock.now().until(time));
    }
}

/// Each kind of store, new and empty.
fn all() -> Vec<Kept> {
    let server = Server::start();
    let url = server.url();
    vec![Kept::in_memory(), Kept::in_redis(&url, server)]
}

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
    for stores in all() {
        let key = [7; 32];
        assert!(stores.nonces.remember(key, after(600)).await.unwrap());
        assert!(!stores.nonces.remember(key, after(600)).await.unwrap());
        stores.sweep(after(599), 10);
        assert!(!stores.nonces.remember(key, after(600)).await.unwrap());
        stores.wait_until(after(600));
        stores.sweep(after(600), 10);
        assert!(stores.nonces.remember(key, after(1200)).await.unwrap());
    }
}
