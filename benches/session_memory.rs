//! What a session costs in memory: `cargo bench --bench session_memory [SESSIONS]`.
//!
//! Sessions are made as the API makes them, a token issued and redeemed for each, once with one
//! user for all of them and once with a user for each. What the process then holds more than
//! before is divided by their number, right after the last login: while the gateway still knows what
//! became of each token. Every measurement is a process of its own, so that none inherits free memory
//! from another.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures, reports, and stops where it cannot"
)]

use std::sync::Arc;
use std::time::Duration;

use tollgate::config::{self, Environment, Site};
use tollgate::domain::clock::{ManualClock, Timestamp};
use tollgate::domain::email::Email;
use tollgate::domain::entropy::SystemEntropy;
use tollgate::domain::identity::Details;
use tollgate::domain::user::PersonName;
use tollgate::sso::sites::Sites;
use tollgate::sso::{Member, Redemption, Sso, TokenOrder};
use tollgate::store::Stores;

/// The gateway's own: what a block really takes depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONFIG: &str = r#"
[server]
http = ["127.0.0.1:8080"]
[control]
listen = "127.0.0.1:8081"
[store]
kind = "memory"
[[api_key]]
name = "login-page"
secret = "a-key-that-nobody-is-going-to-use--0123456789"
scopes = ["write:sso"]
[[site]]
name = "intranet"
hosts = ["intranet.example.com"]
upstream = ["http://127.0.0.1:9000"]
login_url = "https://login.example.com/"
"#;

/// Logins within one second of the clock that the stores see.
const LOGINS_A_SECOND: u64 = 5_000;

fn main() {
    // Cargo adds words of its own, such as `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [sessions, users] => measure(sessions.parse().unwrap(), users.parse().unwrap()),
        [sessions] => compare(sessions.parse().unwrap()),
        _ => compare(1_000_000),
    }
}

fn compare(sessions: u64) {
    println!("bytes a session, of {sessions}:");
    for users in [1, sessions] {
        let arguments = [sessions.to_string(), users.to_string()];
        let own = std::env::current_exe().unwrap();
        assert!(std::process::Command::new(own).args(arguments).status().unwrap().success());
    }
}

fn measure(sessions: u64, users: u64) {
    let settings = config::load(CONFIG, "bench.toml", &Environment::empty()).unwrap();
    let site = Arc::clone(settings.sites.first().unwrap());
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
    let sites = Sites::new(settings.sites);
    let sso = Sso::new(sites, Stores::in_memory(), Arc::clone(&clock) as _, Arc::new(SystemEntropy));
    let sso = Arc::new(sso);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    let before = resident_bytes();
    runtime.block_on(async {
        for number in 0..sessions {
            sign_in(&sso, &site, number % users).await;
            if number % LOGINS_A_SECOND == 0 {
                clock.advance(Duration::from_secs(1));
            }
        }
    });
    println!("{users:>9} users: {:>5}", resident_bytes().saturating_sub(before) / sessions);
}

async fn sign_in(sso: &Arc<Sso>, site: &Arc<Site>, number: u64) {
    let member = Member {
        email: Email::parse(&format!("jane.doe{number}@example.com")).unwrap(),
        name: PersonName::from_parts("Jane", &format!("Doe{number}")),
        details: Details::default(),
    };
    let issued = sso.issue_for_member(site, member, TokenOrder::default(), "login-page").await.unwrap();
    let attempt =
        Redemption { site: Arc::clone(site), token: issued.token, kind: None, browser: None, current: None };
    sso.redeem(attempt).await.unwrap();
}

/// What the process has in memory. Blocks that are free but not yet given back count too.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}
