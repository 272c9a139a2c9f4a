//! What every store owes the rest of the program. Each story here is told over [`all`] stores.

#![expect(clippy::unwrap_used, reason = "all of this is a test, which fails by panicking")]

mod directory;
mod model;
mod sessions;
mod tokens;

use std::time::Duration;

use tollgate::domain::clock::Timestamp;
use tollgate::domain::site::SiteName;
use tollgate::store::Stores;

/// Each kind of store, new and empty.
fn all() -> Vec<Stores> {
    vec![Stores::in_memory()]
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
        stores.sweep(after(600), 10);
        assert!(stores.nonces.remember(key, after(1200)).await.unwrap());
    }
}
