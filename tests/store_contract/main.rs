//! What every store owes the rest of the program. Each story here is told over [`all`] stores.

#![expect(clippy::panic, clippy::unwrap_used, reason = "all of this is a test, which fails by panicking")]

mod directory;
mod model;
mod restart;
mod sessions;
mod siblings;
mod tokens;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tempfile::TempDir;
use tollgate::config::{self, Environment, Site, StoreSettings};
use tollgate::domain::clock::Timestamp;
use tollgate::domain::site::SiteName;
use tollgate::store::Stores;

/// A store, and the folder in which it lies if it lies in one.
struct Kept {
    stores: Stores,
    folder: Option<TempDir>,
}

impl Kept {
    /// Keeps everything in a file in `folder`.
    fn in_file(folder: TempDir) -> Self {
        Self { stores: open(&folder), folder: Some(folder) }
    }
}

impl Kept {
    /// The same after a restart, if it outlives one.
    async fn reopened(self) -> Option<Self> {
        self.stores.sessions.close().await.unwrap();
        self.folder.map(Self::in_file)
    }
}

/// The store in `folder`.
fn open(folder: &TempDir) -> Stores {
    let settings = StoreSettings::Embedded { path: folder.path().join("data") };
    Stores::open(&settings, &SITES, START).unwrap()
}

/// Each kind of store, new and empty.
fn all() -> Vec<Kept> {
    let memory = Kept { stores: Stores::in_memory(), folder: None };
    vec![memory, Kept::in_file(tempfile::tempdir().unwrap())]
}

/// The sites of all stories. A store may ask what their upstreams are told.
static SITES: LazyLock<Vec<Arc<Site>>> = LazyLock::new(|| {
    let site = |name| {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\n\
             upstream = [\"http://127.0.0.1:9\"]\nlogin_url = \"https://login.test/\"\n"
        )
    };
    let text: String = ["wiki", "intranet", "shop"].map(site).concat();
    config::load(&text, "contract.toml", &Environment::empty()).unwrap().sites
});

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
    for Kept { stores, .. } in all() {
        let key = [7; 32];
        assert!(stores.nonces.remember(key, after(600)).await.unwrap());
        assert!(!stores.nonces.remember(key, after(600)).await.unwrap());
        stores.sweep(after(599), 10);
        assert!(!stores.nonces.remember(key, after(600)).await.unwrap());
        stores.sweep(after(600), 10);
        assert!(stores.nonces.remember(key, after(1200)).await.unwrap());
    }
}
