//! Thirty browsers, one token, one instant: exactly one of them gets a session.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{FakeUpstream, Plan, SITE, TestGateway, Visitor, seconds};

const TOKENS: usize = 1_000;
const BROWSERS: u8 = 30;

#[tokio::test]
async fn of_thirty_browsers_with_one_token_exactly_one_gets_in() {
    let upstream = FakeUpstream::start().await;
    let gateway = Arc::new(Plan::new(&upstream).server("workers", "2").start().await);
    let login_page = gateway.login_page();
    let mut tokens = Vec::new();
    for number in 0..TOKENS {
        let email = format!("visitor-{}@example.com", number % 50);
        let person = json!({ "email": email, "full_name": "A Visitor", "expires_in": 3600 });
        tokens.push(login_page.token(person).await);
    }
    let tokens = Arc::new(tokens);
    let start = Arc::new(Barrier::new(usize::from(BROWSERS)));
    let mut browsers = JoinSet::new();
    for number in 0..BROWSERS {
        browsers.spawn(redeem_all(Arc::clone(&gateway), number, Arc::clone(&tokens), Arc::clone(&start)));
    }
    let mut winners = vec![0; TOKENS];
    while let Some(won) = browsers.join_next().await {
        for token in won.expect("the browser is well") {
            winners[token] += 1;
        }
    }
    let wrong: Vec<_> = winners.iter().enumerate().filter(|(_, won)| **won != 1).collect();
    assert!(wrong.is_empty(), "tokens with more or less than one session: {wrong:?}");
    upstream.assert_untouched("redeeming").await;
}

/// The numbers of the tokens for which this browser got a session. Every browser has an address
/// and a kept connection of its own, and forgets its cookies after each token.
async fn redeem_all(
    gateway: Arc<TestGateway>,
    number: u8,
    tokens: Arc<Vec<String>>,
    start: Arc<Barrier>,
) -> Vec<usize> {
    let mut visitor = Visitor::at(&gateway).at_address(1, number + 1);
    visitor.get(&format!("{SITE}/warm-up")).await;
    let mut won = Vec::new();
    for (token, text) in tokens.iter().enumerate() {
        visitor.jar = crate::support::jar::Jar::default();
        let url = format!("{SITE}/?sso={text}");
        if start.wait().await.is_leader() {
            // So that nobody is slowed down for having come too late too often.
            gateway.advance(seconds(3));
        }
        visitor.get(&url).await;
        if visitor.session_cookie().is_some() {
            won.push(token);
        }
    }
    won
}

#[tokio::test]
async fn a_burst_of_redemptions_of_different_tokens_loses_none() {
    let upstream = FakeUpstream::start().await;
    let gateway = Arc::new(Plan::new(&upstream).server("workers", "2").start().await);
    let login_page = gateway.login_page();
    let mut visits = JoinSet::new();
    for number in 0..200_u8 {
        let email = format!("visitor-{number}@example.com");
        let token = login_page.token_for(&email).await;
        let mut visitor = Visitor::at(&gateway).at_address(2, number + 1);
        visits.spawn(async move {
            let answer = visitor.get(&format!("{SITE}/?sso={token}")).await;
            assert_eq!(answer.status, 302);
            assert_eq!(visitor.get(&format!("{SITE}/who?{email}")).await.status, 200);
        });
    }
    while let Some(visit) = visits.join_next().await {
        visit.expect("got in");
    }
    let seen = upstream.requests();
    assert_eq!(seen.len(), 200);
    for request in seen {
        let user = request.header("x-forwarded-user").expect("is told");
        assert_eq!(request.target, format!("/who?{user}"), "nobody is taken for another");
    }
}
