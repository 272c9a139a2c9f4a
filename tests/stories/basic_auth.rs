//! Applications that ask for user name and password: the gateway says them, and nobody else does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, FakeUpstream, Plan, SITE, TestGateway, Visitor};

async fn gateway(upstream: &FakeUpstream, user: &str, password: &str) -> TestGateway {
    let credentials = format!("{{ user = {user:?}, password = {password:?} }}");
    Plan::new(upstream).site(|site| site.identity("basic_auth", &credentials)).start().await
}

async fn signed_in(gateway: &TestGateway, more: Value) -> Visitor {
    let mut order = json!({ "email": "jane@example.com", "full_name": "Jane Doe" });
    for (field, value) in more.as_object().unwrap() {
        order[field] = value.clone();
    }
    let mut visitor = Visitor::at(gateway);
    let token = gateway.login_page().token(order).await;
    assert_eq!(visitor.get(&format!("{SITE}/?sso={token}")).await.status, 302);
    visitor
}

/// The user name and the password that the upstream read in its last request.
fn read(upstream: &FakeUpstream) -> Option<String> {
    let value = upstream.last().header("authorization")?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ").expect("the scheme")).expect("base64");
    Some(String::from_utf8(decoded).expect("UTF-8"))
}

#[tokio::test]
async fn each_visitor_comes_with_credentials_of_their_own() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream, "{id}", "{attributes.app_password}").await;
    for (more, expected) in [
        (json!({ "attributes": { "app_password": "s3cr:t" } }), Some("jane@example.com:s3cr:t")),
        (json!({ "external_id": "jané", "attributes": { "app_password": "pä ß" } }), Some("jané:pä ß")),
        // Half of it would be somebody else's, or nobody's.
        (json!({}), None),
        (json!({ "attributes": { "app_password": "" } }), None),
        (json!({ "external_id": "jane:root", "attributes": { "app_password": "p" } }), None),
    ] {
        let mut jane = signed_in(&gateway, more.clone()).await;
        assert_eq!(jane.get(&format!("{SITE}/a")).await.status, 200);
        assert_eq!(read(&upstream).as_deref(), expected, "{more}");
        let forging = Ask::navigate("GET", &format!("{SITE}/a")).with("Authorization", "Basic cm9vdDpyb290");
        assert_eq!(jane.send(forging).await.status, 200);
        assert_eq!(read(&upstream).as_deref(), expected, "{more}");
    }
    upstream.assert_never_saw("cm9vdDpyb290").await;
}

#[tokio::test]
async fn a_technical_user_is_for_those_who_are_signed_in() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream, "gate", "open sesame").await;
    let mut jane = signed_in(&gateway, json!({})).await;
    let mut stranger = Visitor::at(&gateway);
    for (path, told) in [("/a", true), ("/optional/a", true), ("/public/a", false)] {
        assert_eq!(jane.get(&format!("{SITE}{path}")).await.status, 200);
        assert_eq!(read(&upstream).as_deref(), told.then_some("gate:open sesame"), "{path}");
    }
    for path in ["/optional/a", "/public/a"] {
        assert_eq!(stranger.get(&format!("{SITE}{path}")).await.status, 200);
        assert_eq!(read(&upstream), None, "{path}");
    }
    // Whoever is there, and however it is spelled: what a client says here is not passed on.
    for path in ["/a", "/optional/a", "/public/a"] {
        for name in ["Authorization", "AUTHORIZATION", "authorization"] {
            let ask =
                || Ask::navigate("GET", &format!("{SITE}{path}")).with(name, "Bearer forged-by-the-client");
            assert_eq!(jane.send(ask()).await.status, 200);
            stranger.send(ask()).await;
        }
        let trailer = format!(
            "POST {path} HTTP/1.1\r\nHost: site.test\r\nCookie: tollgate={}\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\nAuthorization: Bearer forged-by-the-client\r\n\r\n",
            jane.session_cookie().unwrap()
        );
        assert_eq!(stranger.send_raw(trailer.as_bytes()).await.unwrap().status, 200);
    }
    upstream.assert_never_saw("forged-by-the-client").await;
}

#[tokio::test]
async fn nobody_is_asked_for_a_password_that_would_lead_nowhere() {
    let upstream = FakeUpstream::start().await;
    let refused = Answer::Page { status: 401, headers: Vec::new(), body: b"no".to_vec() };
    upstream.answers(refused.with("WWW-Authenticate", "Basic realm=\"app\"").with("X-Other", "stays"));
    let gateway = gateway(&upstream, "gate", "wrong").await;
    let mut jane = signed_in(&gateway, json!({})).await;
    for path in ["/a", "/public/a"] {
        let answer = jane.get(&format!("{SITE}{path}")).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, None), "{path}");
        assert_eq!(answer.header("x-other").as_deref(), Some("stays"));
    }
    // A site without keeps its own.
    let open = TestGateway::before(&upstream).await;
    let answer = Visitor::at(&open).get(&format!("{SITE}/public/a")).await;
    assert_eq!(answer.header("www-authenticate").as_deref(), Some("Basic realm=\"app\""));
}

#[tokio::test]
async fn a_new_password_counts_from_the_next_request_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream, "{email}", "{attributes.app_password}").await;
    let mut jane = signed_in(&gateway, json!({ "attributes": { "app_password": "old" } })).await;
    assert_eq!(jane.get(&format!("{SITE}/a")).await.status, 200);
    assert_eq!(read(&upstream).as_deref(), Some("jane@example.com:old"));
    let id = jane.fetch(&format!("{SITE}/.tollgate/session")).await.json()["session"]["id"].clone();
    let change = json!({ "attributes": { "app_password": "new" } });
    let target = format!("/v1/sessions/{}", id.as_str().expect("an id"));
    let headers = [("Content-Type", "application/json")];
    let changed = gateway.api().send("PATCH", &target, &headers, change.to_string().as_bytes()).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(jane.get(&format!("{SITE}/a")).await.status, 200);
    assert_eq!(read(&upstream).as_deref(), Some("jane@example.com:new"));
}
