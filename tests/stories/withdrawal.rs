//! What is taken back stays taken back: revoked sessions, ended memberships, deleted users, and the
//! tokens that were on their way.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::outage::Frail;
use crate::redis::{is_ready, over};
use crate::servers::redis::Server;
use crate::support::{FakeUpstream, LOGIN_URL, Plan, SITE, TestGateway, Visitor};

async fn user_id(gateway: &TestGateway, email: &str) -> String {
    let found = gateway.api().get(&format!("/v1/users?email={email}")).await.json();
    found["users"][0]["id"].as_str().expect("is known").to_owned()
}

#[tokio::test]
async fn a_token_on_its_way_is_withdrawn_with_what_it_was_for() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let api = gateway.api();
    for (number, what) in ["sessions revoked", "membership ended", "user deleted"].into_iter().enumerate() {
        let email = format!("jane{number}@example.com");
        let mut member = Visitor::at(&gateway);
        member.sign_in(&login_page, &email).await;
        let token = login_page.token_for(&email).await;
        let id = user_id(&gateway, &email).await;
        let answer = match what {
            "sessions revoked" => api.delete(&format!("/v1/sessions?email={email}")).await,
            "membership ended" => {
                api.patch(&format!("/v1/users/{id}"), &json!({ "roles": { "intranet": null } })).await
            }
            _ => api.delete(&format!("/v1/users/{id}")).await,
        };
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        upstream.forget().await;

        assert!(member.get(&format!("{SITE}/a")).await.location().starts_with(LOGIN_URL), "{what}");
        let mut late = Visitor::at(&gateway);
        let refused = late.get(&format!("{SITE}/a?sso={token}")).await;
        assert!(refused.location().starts_with(LOGIN_URL), "{what}: {refused:?}");
        assert_eq!(late.session_cookie(), None, "{what}");
        upstream.assert_untouched(what).await;

        // It is no ban: the next login counts.
        late.sign_in(&login_page, &email).await;
        assert_eq!(late.get(&format!("{SITE}/a")).await.status, 200, "{what}");
    }
}

#[tokio::test]
async fn a_deletion_and_a_login_at_once_leave_no_session_of_nobody() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let api = gateway.api();
    for round in 0..100 {
        let email = format!("race{round}@example.com");
        let token = login_page.token_for(&email).await;
        let id = user_id(&gateway, &email).await;
        let (target, url) = (format!("/v1/users/{id}"), format!("{SITE}/a?sso={token}"));
        let mut visitor = Visitor::at(&gateway);
        let (deleted, _) = tokio::join!(api.delete(&target), visitor.get(&url));
        assert_eq!(deleted.status, 200);
        let left = api.get(&format!("/v1/sessions?email={email}")).await.json();
        assert_eq!(left["sessions"], json!([]), "round {round}");
    }
}

/// Two gateways that share a store. At the first a login has taken its token, and its session is about to begin
/// when the second ends all that the person has.
async fn assert_a_login_elsewhere_is_met(plan: Plan, upstream: &FakeUpstream) {
    let mut held = None;
    let here = plan
        .clone()
        .start_around(|stores| {
            let (frail, stores) = Frail::around(stores);
            held = Some(frail);
            stores
        })
        .await;
    let there = plan.beside(&here).start().await;
    for gateway in [&here, &there] {
        is_ready(gateway).await;
    }
    let held = held.expect("is around the stores");
    for (number, with_state) in [true, false].into_iter().enumerate() {
        let email = format!("jane{number}@example.com");
        let mut jane = Visitor::at(&here);
        if with_state {
            jane.get(&format!("{SITE}/a")).await;
        }
        let link = format!("{SITE}/a?sso={}", here.login_page().token_for(&email).await);
        let about_to = held.beginning.write().await;
        let begun = held.moves.load(Ordering::SeqCst) + 1;
        let login = {
            let link = link.clone();
            tokio::spawn(async move {
                let answer = jane.get(&link).await;
                (jane, answer)
            })
        };
        held.is_asked_to_move(begun).await;
        let revoked = there.api().delete(&format!("/v1/sessions?email={email}")).await;
        assert_eq!((revoked.status, revoked.json()), (200, json!({ "revoked": 0 })));
        drop(about_to);
        let (mut jane, answer) = login.await.expect("an answer");
        assert!(answer.location().starts_with(LOGIN_URL), "{answer:?}");
        assert_eq!(jane.session_cookie(), None);
        // Nor does the browser get it by coming again.
        assert!(jane.get(&link).await.location().starts_with(LOGIN_URL));
        assert_eq!(jane.session_cookie(), None);
        for gateway in [&here, &there] {
            let left = gateway.api().get(&format!("/v1/sessions?email={email}")).await.json();
            assert_eq!(left["sessions"], json!([]));
        }
        upstream.assert_untouched("withdrawn").await;
        // It is no ban.
        jane.sign_in(&there.login_page(), &email).await;
        assert_eq!(jane.get(&format!("{SITE}/a")).await.status, 200);
        upstream.forget().await;
    }
}

#[tokio::test]
async fn a_login_that_is_under_way_at_another_gateway_over_the_same_redis_is_met() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let plan = over(Plan::new(&upstream), &server.url());
    assert_a_login_elsewhere_is_met(plan, &upstream).await;
    server.ask(&["FLUSHALL"]);
    let plan = over(Plan::new(&upstream).site(|site| site.with("max_sessions_per_user", "2")), &server.url());
    assert_a_login_elsewhere_is_met(plan, &upstream).await;
}

#[tokio::test]
async fn a_login_that_is_under_way_in_another_process_over_the_same_file_is_met() {
    let (upstream, folder) = (FakeUpstream::start().await, tempfile::tempdir().expect("a folder"));
    let plan = Plan::new(&upstream).embedded(folder.path());
    assert_a_login_elsewhere_is_met(plan, &upstream).await;
}
