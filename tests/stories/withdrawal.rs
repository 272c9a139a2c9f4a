//! What is taken back stays taken back: revoked sessions, ended memberships, deleted users, and the
//! tokens that were on their way.

use serde_json::json;

use crate::support::{FakeUpstream, LOGIN_URL, SITE, TestGateway, Visitor};

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
