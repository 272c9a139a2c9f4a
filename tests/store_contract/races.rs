//! Two nodes over one Redis race for tokens, while their connections are cut, answers get lost, and the
//! Redis is killed and started anew. What each of them saw is judged by the simplest specification
//! there is: a thing that can be taken once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tollgate::domain::clock::ManualClock;
use tollgate::domain::token::{Claim, Refusal};
use tollgate::store::Stores;

use crate::servers::redis::Server;
use crate::servers::relay::Relay;
use crate::tokens::{claim, grant, token};
use crate::{START, after, over};

/// What somebody was told who wanted a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Won,
    Used,
    /// Nothing: perhaps it was taken, perhaps it still will be.
    Nothing,
}

/// One attempt, with the order in which attempts of all began and ended.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    began: u64,
    ended: u64,
    outcome: Outcome,
}

/// Whether there is an order of the attempts, in which each takes effect between its beginning and its
/// end (one that was told nothing: at any time after its beginning, or never), and in which the first
/// wins and all others come too late.
fn could_be(history: &[Attempt]) -> bool {
    let those = |what| history.iter().filter(move |attempt| attempt.outcome == what);
    let mut winners = those(Outcome::Won);
    match (winners.next(), winners.next()) {
        (Some(_), Some(_)) => false,
        // Nobody may have come too late before the winner even began.
        (Some(winner), None) => those(Outcome::Used).all(|late| winner.began < late.ended),
        // Somebody who was told nothing has it.
        (None, _) => {
            those(Outcome::Used).all(|late| those(Outcome::Nothing).any(|lost| lost.began < late.ended))
        }
    }
}

#[test]
fn the_specification_can_be_violated() {
    let attempt = |began, ended, outcome| Attempt { began, ended, outcome };
    let fine: [&[Attempt]; 5] = [
        &[attempt(0, 1, Outcome::Won), attempt(2, 3, Outcome::Used)],
        &[attempt(0, 3, Outcome::Used), attempt(1, 2, Outcome::Won)],
        &[attempt(0, 1, Outcome::Nothing), attempt(2, 3, Outcome::Used)],
        &[attempt(0, 1, Outcome::Nothing), attempt(2, 3, Outcome::Won), attempt(4, 5, Outcome::Used)],
        &[attempt(0, 1, Outcome::Nothing)],
    ];
    for history in fine {
        assert!(could_be(history), "{history:?}");
    }
    let wrong: [&[Attempt]; 4] = [
        &[attempt(0, 1, Outcome::Won), attempt(0, 1, Outcome::Won)],
        &[attempt(0, 1, Outcome::Used), attempt(2, 3, Outcome::Won)],
        &[attempt(0, 1, Outcome::Used)],
        &[attempt(0, 1, Outcome::Used), attempt(2, 3, Outcome::Nothing)],
    ];
    for history in wrong {
        assert!(!could_be(history), "{history:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may be told how much it is to do")]
fn races() -> u64 {
    std::env::var("TOLLGATE_RACES").ok().and_then(|number| number.parse().ok()).unwrap_or(3_000)
}

/// The rounds of a race are numbered here, not in each of them.
static ORDER: AtomicU64 = AtomicU64::new(0);

fn tick() -> u64 {
    ORDER.fetch_add(1, Ordering::SeqCst)
}

async fn attempt(node: Stores, hash: tollgate::domain::opaque::TokenHash, claim: Claim) -> Attempt {
    let began = tick();
    let outcome = match node.tokens.take(hash, claim, START).await {
        Ok(Ok(_)) => Outcome::Won,
        Ok(Err(refusal)) => {
            assert_eq!(refusal, Refusal::Used);
            Outcome::Used
        }
        Err(_) => Outcome::Nothing,
    };
    Attempt { began, ended: tick(), outcome }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_won_twice_whatever_happens_to_the_connections() {
    const AT_ONCE: u64 = 50;
    let mut server = Server::start();
    let cables = [Relay::to(server.port), Relay::to(server.port)];
    let clock = Arc::new(ManualClock::starting_at(START));
    let nodes = [0, 1].map(|node| over(&format!("redis://127.0.0.1:{}", cables[node].port), &clock));
    let (races, over) = (races(), Arc::new(AtomicBool::new(false)));
    // Somebody who tears at the cables.
    let is_over = Arc::clone(&over);
    let vandal = std::thread::spawn(move || {
        let mut restarts = 0;
        for round in 0_usize.. {
            std::thread::sleep(Duration::from_millis(60));
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let cable = &cables[round % 2];
            match round % 4 {
                0 | 1 => cable.cut(),
                // What was done gets lost on the way back.
                2 => {
                    cable.mute(true);
                    std::thread::sleep(Duration::from_millis(5));
                    cable.cut();
                    cable.mute(false);
                }
                _ => {}
            }
            if round % 40 == 9 {
                restarts += 1;
                server.kill();
                // Longer than anybody waits for an answer.
                std::thread::sleep(Duration::from_millis(900));
                server.run();
            }
        }
        restarts
    });
    let mut won = 0;
    for round in 0..races.div_ceil(AT_ONCE) {
        let racing: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let (nodes, hash) = (nodes.clone(), token(1_000_000 + round * AT_ONCE + number));
                tokio::spawn(async move {
                    while nodes[0].tokens.insert(hash, grant(after(300), None)).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    let attempts = nodes
                        .iter()
                        .chain(&nodes)
                        .map(|node| tokio::spawn(attempt(node.clone(), hash, claim(None))));
                    let mut history = Vec::new();
                    for racer in attempts.collect::<Vec<_>>() {
                        history.push(racer.await.unwrap());
                    }
                    history.push(attempt(nodes[1].clone(), hash, claim(None)).await);
                    history
                })
            })
            .collect();
        for race in racing {
            let history = race.await.unwrap();
            assert!(could_be(&history), "{history:?}");
            won += history.iter().filter(|attempt| attempt.outcome == Outcome::Won).count();
        }
    }
    over.store(true, Ordering::Relaxed);
    let restarts = vandal.join().unwrap();
    // Else nothing was tried.
    assert!(won > 0 && restarts > 0, "{won} won, {restarts} restarts");
}
