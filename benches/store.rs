//! What the stores cost: `cargo bench --bench store [-- --sessions NUMBER] [--redis URL]`.
//!
//! Logins, each a token that is issued and redeemed, many at a time over each store (a Redis only if
//! one is named, and it is written to): how many a second, and how long the slowest hundredth takes.
//! Then how long a start takes with so many sessions in the file, and what the process holds in memory
//! then. The file lies in the system's folder for temporary files (`TMPDIR`): its disk is what is
//! measured.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures by the real clock, reports, and stops where it cannot"
)]

mod logins;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logins::{CONFIG, resident_bytes, sign_in};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tollgate::config::{self, Environment, Settings, StoreSettings};
use tollgate::domain::clock::{Clock as _, SystemClock, Timestamp};
use tollgate::domain::email::Email;
use tollgate::domain::entropy::SystemEntropy;
use tollgate::domain::identity::{Identity, ReadyHeaders};
use tollgate::domain::opaque::SessionKey;
use tollgate::domain::session::{LiveSession, Session, SessionId};
use tollgate::domain::token::RolePolicy;
use tollgate::domain::user::{PersonName, Role};
use tollgate::sso::Sso;
use tollgate::sso::sites::Sites;
use tollgate::store::{Beginning, Stores};

/// The gateway's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Logins at one time, and in all.
const AT_A_TIME: u64 = 64;
const LOGINS: u64 = 6_400;

/// Sessions that are written at one time.
const WRITES: u64 = 512;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let after = |option: &str| words.iter().position(|word| word == option).and_then(|at| words.get(at + 1));
    let sessions = after("--sessions").map_or(1_000_000, |number| number.parse().unwrap());
    let settings = config::load(CONFIG, "bench.toml", &Environment::empty()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!("memory:   {}", logins(&runtime, &settings, Stores::in_memory()));
    let embedded = StoreSettings::Embedded { path: folder.path().join("logins") };
    let stores = Stores::open(&embedded, &settings.sites, Arc::new(SystemClock)).unwrap();
    println!("embedded: {}", logins(&runtime, &settings, stores));
    if let Some(url) = after("--redis") {
        let text = format!("{CONFIG}\n[store]\nkind = \"redis\"\nurl = {url:?}\n");
        let settings = config::load(&text, "bench.toml", &Environment::empty()).unwrap();
        let stores = Stores::open(&settings.store, &settings.sites, Arc::new(SystemClock)).unwrap();
        println!("redis:    {}", logins(&runtime, &settings, stores));
    }
    start(&runtime, &settings, &folder.path().join("start"), sessions);
}

fn logins(runtime: &Runtime, settings: &Settings, stores: Stores) -> String {
    let site = Arc::clone(settings.sites.first().unwrap());
    let sites = Sites::new(settings.sites.clone());
    let sso = Arc::new(Sso::new(sites, stores, Arc::new(SystemClock), Arc::new(SystemEntropy)));
    let began = Instant::now();
    let mut times: Vec<Duration> = runtime.block_on(async {
        let mut visitors = JoinSet::new();
        for visitor in 0..AT_A_TIME {
            let (sso, site) = (Arc::clone(&sso), Arc::clone(&site));
            visitors.spawn(async move {
                let mut times = Vec::new();
                for number in 0..LOGINS / AT_A_TIME {
                    let began = Instant::now();
                    sign_in(&sso, &site, visitor * 1_000 + number % 20).await;
                    times.push(began.elapsed());
                }
                times
            });
        }
        visitors.join_all().await.concat()
    });
    let took = began.elapsed().as_millis();
    runtime.block_on(sso.close()).unwrap();
    times.sort_unstable();
    let slowest = times.get(times.len() * 99 / 100).unwrap();
    let a_second = u128::from(LOGINS) * 1_000 / took;
    format!("{a_second:>6} logins a second, 99 of 100 within {slowest:.1?}")
}

/// Fills a file, and starts over it.
fn start(runtime: &Runtime, settings: &Settings, folder: &Path, sessions: u64) {
    let embedded = StoreSettings::Embedded { path: folder.to_owned() };
    let now = SystemClock.now();
    let stores = Stores::open(&embedded, &settings.sites, Arc::new(SystemClock)).unwrap();
    let (began, mut missing) = (Instant::now(), 0);
    runtime.block_on(async {
        for first in (0..sessions).step_by(usize::try_from(WRITES).unwrap()) {
            let numbers = first..sessions.min(first + WRITES);
            let mut writes = JoinSet::new();
            for number in numbers {
                writes.spawn(write(&stores, settings, number, now));
            }
            while let Some(written) = writes.join_next().await {
                // A disk that is busy may make somebody wait for too long.
                missing += u64::from(written.unwrap().is_err());
            }
        }
        stores.sessions.close().await.unwrap();
    });
    drop(stores);
    println!("{sessions} sessions written in {:.1?}, {missing} not in time", began.elapsed());
    let before = resident_bytes();
    let began = Instant::now();
    let stores = Stores::open(&embedded, &settings.sites, Arc::new(SystemClock)).unwrap();
    let took = began.elapsed();
    let held = resident_bytes().saturating_sub(before) / sessions;
    println!("start with {sessions} sessions: {took:.2?}, {held} bytes a session");
    drop(stores);
}

/// A session of a person of whom there is one for each.
fn write(
    stores: &Stores,
    settings: &Settings,
    number: u64,
    now: Timestamp,
) -> impl Future<Output = Result<(), tollgate::store::Unavailable>> + use<> {
    let identity = Identity {
        email: Email::parse(&format!("jane.doe{number}@example.com")),
        name: Some(PersonName::from_parts("Jane", &format!("Doe{number}"))),
        role: Some(Role::editor()),
        ..Identity::default()
    };
    let session = Session {
        id: SessionId::mint(now, &SystemEntropy),
        site: settings.sites.first().unwrap().name.clone(),
        identity,
        role_policy: RolePolicy::Always,
        expires_at: now.after(Duration::from_hours(24)),
        idle: Duration::from_mins(30).into(),
        backend: false,
    };
    let hash = SessionKey::mint(&SystemEntropy).hash();
    let live = Arc::new(LiveSession::new(hash, session, ReadyHeaders::default(), now));
    let sessions = Arc::clone(&stores.sessions);
    async move { sessions.insert(live, Beginning { cap: None, replaces: None, token: None, now }).await.map(drop) }
}
