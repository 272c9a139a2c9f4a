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

mod logins;

use std::sync::Arc;
use std::time::Duration;

use logins::{CONFIG, resident_bytes, sign_in};
use tollgate::config::{self, Environment};
use tollgate::domain::clock::{ManualClock, Timestamp};
use tollgate::domain::entropy::SystemEntropy;
use tollgate::sso::Sso;
use tollgate::sso::sites::Sites;
use tollgate::store::Stores;

/// The gateway's own: what a block really takes depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
