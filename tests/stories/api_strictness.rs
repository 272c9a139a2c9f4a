//! What a call says that is not quite what it may say: none of it is passed over in silence, as the caller
//! would take for done what was not.

use serde_json::json;

use crate::support::{FakeUpstream, MASTER_KEY, Plan, SITE, SitePlan, TestGateway, Visitor};

const TOKENS: &str = "/v1/sso_tokens";

#[tokio::test]
async fn groups_and_plans_have_no_control_characters_at_their_ends_either() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login = |field: &str, entry: &str| json!({ "email": "jane@example.com", "full_name": "Jane Doe", field: [entry] });
    for field in ["groups", "plans"] {
        for entry in ["staff\n", "\nstaff", "\tstaff", "staff\r\n", "\u{85}staff", "sta\nff"] {
            let answer = gateway.api().post(TOKENS, &login(field, entry)).await;
            assert_eq!(answer.status, 422, "{field} {entry:?}: {}", answer.text());
            assert_eq!(answer.json()["error"]["details"]["field"], field, "{entry:?}");
        }
        let answer = gateway.api().post(TOKENS, &login(field, " staff ")).await;
        assert_eq!(answer.status, 201, "{field}: {}", answer.text());
    }
}

#[tokio::test]
async fn nobody_becomes_somebody_else_by_a_name_that_holds_json() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let name = r#"Jane", "email": "boss@example.com", "first_name": "Jane"#;
    let body = format!(r#"{{"email": "jane@example.com", "full_name": "{name}"}}"#);
    let head = format!(
        "POST {TOKENS} HTTP/1.1\r\nHost: control.test\r\nAuthorization: Bearer {MASTER_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = gateway.api().send_raw(head.as_bytes()).await.expect("an answer");
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "malformed_json"));
    assert!(!answer.text().contains("boss"), "{}", answer.text());
}

/// The body never comes: whoever waits for it answers after ten seconds.
#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_refused_before_it_comes() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for ask in ["", "Expect: 100-continue\r\n"] {
        let head = format!(
            "POST {TOKENS} HTTP/1.1\r\nHost: control.test\r\nAuthorization: Bearer {MASTER_KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: 99999999999\r\n{ask}\r\n"
        );
        let answer = gateway.api().send_raw(head.as_bytes()).await.expect("an answer");
        assert_eq!((answer.status, answer.error_code().as_str()), (413, "body_too_large"), "{ask:?}");
    }
}

#[tokio::test]
async fn a_state_that_got_lost_is_an_error_in_the_compatible_api_too() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for state in ["", " "] {
        let fields = [("email", "jane@example.com"), ("state", state)];
        let answer = gateway.api().form("/api/session/get-token", &fields).await;
        assert!(answer.text().contains("code=\"invalid_input\""), "{state:?}: {}", answer.text());
        let answer = gateway.api().form("/api/2/session/get-token", &fields).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (400, Some("invalid_input")),
            "{state:?}"
        );
    }
}

#[tokio::test]
async fn sessions_end_for_exactly_whom_a_call_names() {
    let upstream = FakeUpstream::start().await;
    let shop = SitePlan::new("shop", "shop.test", upstream.address());
    let gateway = Plan::new(&upstream).and_site(shop).start().await;
    let login_page = gateway.login_page();
    let mut people = [Visitor::at(&gateway), Visitor::at(&gateway)];
    for (visitor, email) in people.iter_mut().zip(["jane@example.com", "joe@example.com"]) {
        visitor.sign_in(&login_page, email).await;
    }
    for (query, field) in [
        ("email=nobody@example.com&email=jane@example.com", "email"),
        ("email=jane@example.com&email=nobody@example.com", "email"),
        ("email=jane@example.com&site=shop&site=intranet", "site"),
        ("email=jane@example.com&sites=shop", "sites"),
    ] {
        let answer = gateway.api().delete(&format!("/v1/sessions?{query}")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (422, "parameter_invalid"), "{query}");
        assert_eq!(answer.json()["error"]["details"]["field"], field, "{query}");
    }
    for visitor in &mut people {
        assert_eq!(visitor.get(&format!("{SITE}/closed")).await.status, 200, "nobody's session has ended");
    }
    for list in ["/v1/sessions", "/v1/users"] {
        let answer = gateway.api().get(&format!("{list}?email=jane@example.com&email=joe@example.com")).await;
        assert_eq!(answer.status, 422, "{list}");
    }
}
