//! Two gateways over one Redis: whatever happens at the one is so at the other.

use std::time::Duration;

use serde_json::json;

use crate::servers::redis::Server;
use crate::support::{
    FakeUpstream, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, minutes, seconds, settle,
};

/// A gateway over the Redis at `url`.
pub(crate) fn over(plan: Plan, url: &str) -> Plan {
    plan.store("kind", "\"redis\"")
        .store("url", &format!("{url:?}"))
        .store("secret", "\"a secret of all nodes\"")
}

/// Two gateways over the Redis at `url`, with one clock.
pub(crate) async fn two(
    upstream: &FakeUpstream,
    url: &str,
    site: fn(SitePlan) -> SitePlan,
) -> [TestGateway; 2] {
    two_of(over(Plan::new(upstream).site(site), url)).await
}

/// Two gateways by one plan, with one clock.
pub(crate) async fn two_of(plan: Plan) -> [TestGateway; 2] {
    let first = plan.clone().start().await;
    let second = plan.beside(&first).start().await;
    // Until both have found their store, and hear from each other.
    for gateway in [&first, &second] {
        is_ready(gateway).await;
    }
    settle().await;
    [first, second]
}

/// Waits until the store of `gateway` answers.
pub(crate) async fn is_ready(gateway: &TestGateway) {
    let waiting = async {
        while gateway.api().get("/readyz").await.status != 200 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.expect("the store answers");
}

/// The visitor of one gateway, come to the other one with the same cookies.
pub(crate) fn moved(visitor: &Visitor, to: &TestGateway) -> Visitor {
    let mut same = Visitor::at(to);
    same.jar = visitor.jar.clone();
    same
}

/// What is said to who asks for a closed page.
pub(crate) async fn asks(visitor: &mut Visitor) -> u16 {
    visitor.get(&format!("{SITE}/closed")).await.status
}

/// Waits until `visitor` is answered with `status`, at most for `time`.
pub(crate) async fn is_told(visitor: &mut Visitor, status: u16, time: Duration) {
    let waiting = async {
        loop {
            let told = asks(visitor).await;
            if told == status {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(time, waiting).await.is_ok(), "is not told {status}");
}

fn as_it_is(site: SitePlan) -> SitePlan {
    site
}

#[tokio::test]
async fn who_signs_in_at_one_gateway_is_known_at_the_other_and_who_logs_out_is_not() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let [here, there] = two(&upstream, &server.url(), as_it_is).await;
    let mut visitor = Visitor::at(&here);
    visitor.sign_in(&there.login_page(), "jane@example.com").await;
    let mut elsewhere = moved(&visitor, &there);
    assert_eq!([asks(&mut visitor).await, asks(&mut elsewhere).await], [200, 200]);
    visitor.get(&format!("{SITE}/.tollgate/logout")).await;
    is_told(&mut elsewhere, 302, seconds(1)).await;
    let count = upstream.count();
    assert_eq!(asks(&mut elsewhere).await, 302);
    assert_eq!(upstream.count(), count);
}

#[tokio::test]
async fn what_is_ended_or_changed_at_one_gateway_is_so_at_the_other_at_once() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let [here, there] = two(&upstream, &server.url(), as_it_is).await;
    let mut jane = Visitor::at(&there);
    jane.sign_in(&here.login_page(), "jane@example.com").await;
    assert_eq!(asks(&mut jane).await, 200);
    let sessions = here.api().get("/v1/sessions?email=jane@example.com").await.json();
    let id = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    // Another role, while the other gateway has the session at hand.
    let users = here.api().get("/v1/users").await.json();
    let user = users["users"][0]["id"].to_string().replace('"', "");
    let change = json!({ "roles": { "intranet": "admin" } });
    assert_eq!(here.api().patch(&format!("/v1/users/{user}"), &change).await.status, 200);
    let changed = async {
        loop {
            assert_eq!(asks(&mut jane).await, 200);
            if upstream.last().header("X-Forwarded-Role").as_deref() == Some("admin") {
                return;
            }
        }
    };
    assert!(tokio::time::timeout(seconds(1), changed).await.is_ok(), "the other role never came");
    assert_eq!(here.api().delete(&format!("/v1/sessions/{id}")).await.json(), json!({ "revoked": 1 }));
    is_told(&mut jane, 302, seconds(1)).await;
    assert_eq!(here.api().get("/v1/sessions").await.json()["sessions"], json!([]));
}

#[tokio::test]
async fn a_session_lives_on_wherever_it_is_used() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    // It is written down after a quarter of a second.
    let [here, there] = two(&upstream, &server.url(), |site| site.with("session_idle", "\"60s\"")).await;
    let mut visitor = Visitor::at(&here);
    visitor.sign_in(&here.login_page(), "jane@example.com").await;
    let mut elsewhere = moved(&visitor, &there);
    assert_eq!(asks(&mut elsewhere).await, 200);
    for _ in 0..3 {
        here.advance(seconds(59));
        assert_eq!(asks(&mut visitor).await, 200);
        tokio::time::sleep(minutes(1) / 20 + Duration::from_millis(500)).await;
    }
    // The other one has not seen it for three minutes.
    here.advance(seconds(59));
    assert_eq!(asks(&mut elsewhere).await, 200);
    here.advance(seconds(61));
    assert_eq!([asks(&mut elsewhere).await, asks(&mut visitor).await], [302, 302]);
}

#[tokio::test]
async fn however_many_sign_in_at_both_no_more_stay_than_may() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let [here, there] = two(&upstream, &server.url(), |site| site.with("max_sessions_per_user", "2")).await;
    let mut visitors = Vec::new();
    for round in 0..6 {
        let mut visitor = Visitor::at(if round % 2 == 0 { &here } else { &there });
        visitor.sign_in(&here.login_page(), "jane@example.com").await;
        visitors.push(visitor);
        here.advance(seconds(1));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut told = Vec::new();
    for visitor in &mut visitors {
        told.push(asks(visitor).await == 200);
    }
    assert_eq!(told, [false, false, false, false, true, true]);
}

#[tokio::test]
async fn a_gateway_that_starts_anew_has_lost_nothing() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let plan = over(Plan::new(&upstream), &server.url());
    let gateway = plan.clone().start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let token = gateway.login_page().token_for("joe@example.com").await;
    gateway.stop().await;
    let gateway = plan.start().await;
    assert_eq!(asks(&mut moved(&visitor, &gateway)).await, 200);
    let mut joe = Visitor::at(&gateway);
    joe.get(&format!("{SITE}/.tollgate/redeem?sso={token}")).await;
    assert_eq!(asks(&mut joe).await, 200);
}
