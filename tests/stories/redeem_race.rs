//! Thirty browsers, one token, one instant: exactly one of them gets a session.

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Crowd, FakeUpstream, LOGIN_URL, Plan, SITE, Visitor, seconds};

const TOKENS: usize = 1_000;
const BROWSERS: u8 = 30;

#[tokio::test]
async fn of_thirty_browsers_with_one_token_exactly_one_gets_in() {
    let upstream = FakeUpstream::start().await;
    // More workers than cores, so that one may be put to sleep in the middle of its work.
    let plan = Plan::new(&upstream).site(|site| site.with("session_idle", "\"24h\""));
    let gateway = plan.server("workers", "8").start().await;
    let login_page = gateway.login_page();
    let mut browsers = Crowd::at(&gateway, BROWSERS).await;
    for number in 0..TOKENS {
        // So that nobody is slowed down for having come too late too often.
        gateway.advance(seconds(3));
        let email = format!("visitor-{}@example.com", number % 50);
        let token = login_page.token(json!({ "email": email, "full_name": "A Visitor" })).await;
        let mut sessions = 0;
        for answer in browsers.follow(&format!("/closed?sso={token}")).await {
            assert_eq!(answer.status, 302, "{answer:?}");
            if answer.headers.all("set-cookie").iter().any(|cookie| cookie.starts_with("tollgate=")) {
                sessions += 1;
                assert_eq!(answer.location(), "/closed");
            } else {
                assert!(answer.location().starts_with(LOGIN_URL), "{answer:?}");
            }
        }
        assert_eq!(sessions, 1, "token number {number}");
    }
    assert_eq!(gateway.api().all("/v1/sessions").await.0.len(), TOKENS, "no session that nobody was told of");
    upstream.assert_untouched("redeeming").await;
}

#[tokio::test]
async fn a_burst_of_redemptions_of_different_tokens_loses_none() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("workers", "2").start().await;
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
