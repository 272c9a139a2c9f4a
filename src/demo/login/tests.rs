use bytes::Bytes;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::demo::testing::{exchange, field, free_port, status};

const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SIGN_IN: &str = "POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded";

/// A control API that gives one and the same answer, and keeps what it was asked.
struct FakeControl {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<(Parts, Bytes)>,
}

impl FakeControl {
    async fn answering(status: u16, body: Value) -> Self {
        let (listener, address) = free_port().await;
        let (ask, asked) = mpsc::unbounded_channel();
        let respond = move |request: Request<Incoming>| {
            let (ask, body) = (ask.clone(), body.clone());
            async move {
                let (head, asked) = request.into_parts();
                // A test may care for the answer alone.
                let _kept = ask.send((head, asked.collect().await.unwrap().to_bytes()));
                answer::json(StatusCode::from_u16(status).unwrap(), &body)
            }
        };
        tokio::spawn(listen::serve(listener, std::future::pending(), respond));
        Self { address, asked }
    }

    async fn issuing() -> Self {
        Self::answering(201, json!({"token": TOKEN, "user_created": true})).await
    }

    fn was_asked(&mut self) -> (Parts, Value) {
        let (head, body) = self.asked.try_recv().unwrap();
        (head, serde_json::from_slice(&body).unwrap())
    }
}

async fn login_page(control: SocketAddr) -> SocketAddr {
    let (listener, address) = free_port().await;
    let page = LoginPage {
        control,
        key: Secret::new("the-key".into()),
        gateway: Origin::parse("http://127.0.0.1:8080").unwrap(),
        hosts: vec![HostPattern::parse("localhost").unwrap()],
        site: SiteName::parse("ledger").unwrap(),
    };
    tokio::spawn(page.serve(listener, std::future::pending()));
    address
}

#[tokio::test]
async fn the_form_carries_on_what_the_gateway_sent_along() {
    let page = login_page(FakeControl::issuing().await.address).await;
    let target = "/login?return_url=http%3A%2F%2F127.0.0.1%3A8080%2Fa%3Fb%3D%22%3E&site=ledger&state=s%3Ct";
    let html = exchange(page, &format!("GET {target} HTTP/1.1"), "").await;
    assert_eq!(status(&html), "200 OK");
    for part in [
        "<h1>Sign in to ledger</h1>",
        "name=\"return_url\" value=\"http://127.0.0.1:8080/a?b=&#34;&#62;\"",
        "name=\"state\" value=\"s&#60;t\"",
        "value=\"ada@example.com\"",
        ">Émilie du Châtelet</button>",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("role=\"alert\"") && !html.contains("<script"), "{html}");
}

#[tokio::test]
async fn whoever_comes_back_with_a_dead_token_is_told() {
    let page = login_page(FakeControl::issuing().await.address).await;
    let html = exchange(page, "GET /login?error=token_invalid&state=s HTTP/1.1", "").await;
    assert!(html.contains("role=\"alert\">The last sign-in link did not work"), "{html}");
}

#[tokio::test]
async fn signing_in_asks_for_a_token_and_sends_the_visitor_back_with_it() {
    let mut control = FakeControl::issuing().await;
    let page = login_page(control.address).await;
    let form = "return_url=http%3A%2F%2F127.0.0.1%3A8080%2Farticles%2Ftolls%3Fpage%3D2%23end&state=the-state\
                &email=emilie%40example.com&first_name=%C3%89milie&last_name=du+Ch%C3%A2telet";
    let answer = exchange(page, SIGN_IN, form).await;
    assert_eq!(status(&answer), "303 See Other");
    let back = format!("http://127.0.0.1:8080/articles/tolls?page=2&sso={TOKEN}#end");
    assert_eq!(field(&answer, "location"), Some(back.as_str()));
    assert_eq!(field(&answer, "referrer-policy"), Some("no-referrer"));

    let (head, asked) = control.was_asked();
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/v1/sso_tokens"));
    assert_eq!(head.headers["authorization"], "Bearer the-key");
    assert_eq!(head.headers["content-type"], "application/json");
    let expected = json!({
        "email": "emilie@example.com",
        "first_name": "Émilie",
        "last_name": "du Châtelet",
        "site": "ledger",
        "return_url": "http://127.0.0.1:8080/articles/tolls?page=2#end",
        "state": "the-state",
    });
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_with_a_token() {
    let mut control = FakeControl::issuing().await;
    let page = login_page(control.address).await;
    for elsewhere in [
        "",
        "http://evil.example/",
        "http://127.0.0.1:8081/",
        "https://127.0.0.1:8080/",
        "http://127.0.0.1:8080@evil.example/",
        "http://127.0.0.1:8080.evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "javascript:alert(1)",
        "http://127.0.0.1:8080/\r\nSet-Cookie: a=b",
    ] {
        let mut form = form_urlencoded::Serializer::new("email=a%40b.example".to_owned());
        let answer = exchange(page, SIGN_IN, &form.append_pair("return_url", elsewhere).finish()).await;
        let home = format!("http://127.0.0.1:8080/?sso={TOKEN}");
        assert_eq!(field(&answer, "location"), Some(home.as_str()), "{elsewhere:?}");
        let (_, asked) = control.was_asked();
        assert_eq!(asked["return_url"], "http://127.0.0.1:8080/", "{elsewhere:?}");
        assert!(asked.get("state").is_none());
    }
}

#[tokio::test]
async fn a_refusal_is_shown_and_the_form_keeps_what_was_typed() {
    let refusal =
        json!({"error": {"code": "parameter_invalid", "message": "email: <no> address", "details": {}}});
    let page = login_page(FakeControl::answering(422, refusal).await.address).await;
    let html = exchange(page, SIGN_IN, "email=nobody%22%3E&first_name=No&last_name=Body&state=kept").await;
    assert_eq!(status(&html), "422 Unprocessable Entity");
    for part in
        ["email: &#60;no&#62; address", "value=\"nobody&#34;&#62;\"", "value=\"No\"", "value=\"kept\""]
    {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[tokio::test]
async fn trouble_with_the_api_is_told_and_never_redirects() {
    let unauthorized = json!({"error": {"code": "missing_token", "message": "No such key.", "details": {}}});
    let (silent, nobody) = free_port().await;
    drop(silent);
    for (control, told) in [
        (FakeControl::answering(401, unauthorized).await.address, "said no (401 Unauthorized): No such key."),
        (
            FakeControl::answering(201, json!({"token": "short"})).await.address,
            "something other than a token",
        ),
        (
            FakeControl::answering(201, json!({"token": format!("{TOKEN}#")})).await.address,
            "other than a token",
        ),
        (FakeControl::answering(500, json!("?")).await.address, "something other than a token"),
        (nobody, "The control API cannot be reached"),
    ] {
        let html = exchange(login_page(control).await, SIGN_IN, "email=a%40b.example").await;
        assert_eq!(status(&html), "502 Bad Gateway", "{told}");
        assert!(html.contains(told), "{told} in {html}");
        assert!(field(&html, "location").is_none() && !html.contains("the-key"), "{html}");
    }
}

#[tokio::test]
async fn every_other_request_meets_a_clear_answer() {
    let page = login_page(FakeControl::issuing().await.address).await;
    let answer = exchange(page, "GET / HTTP/1.1", "").await;
    assert_eq!((status(&answer), field(&answer, "location")), ("303 See Other", Some("/login")));
    let answer = exchange(page, "GET /favicon.ico HTTP/1.1", "").await;
    assert_eq!(status(&answer), "404 Not Found");
    let answer = exchange(page, "PUT /login HTTP/1.1", "").await;
    assert_eq!(
        (status(&answer), field(&answer, "allow")),
        ("405 Method Not Allowed", Some("GET, HEAD, POST"))
    );
    let answer = exchange(page, SIGN_IN, &"a".repeat(MAX_FORM + 1)).await;
    assert_eq!(status(&answer), "400 Bad Request");
}

#[test]
fn a_parameter_goes_behind_the_query_and_before_the_fragment() {
    for (url, expected) in [
        ("http://a/", "http://a/?sso=T"),
        ("http://a/?", "http://a/?&sso=T"),
        ("http://a/b?c", "http://a/b?c&sso=T"),
        ("http://a/b?c=1&d#e?f", "http://a/b?c=1&d&sso=T#e?f"),
        ("http://a/b#e?f", "http://a/b?sso=T#e?f"),
    ] {
        assert_eq!(with_parameter(url, "sso", "T"), expected);
    }
}
