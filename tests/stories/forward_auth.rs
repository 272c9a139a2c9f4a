//! Another proxy carries the requests and asks whether it may: it gets the same answers that visitors
//! of the gateway itself would get, and nobody but it is believed.

use crate::support::{Ask, FakeUpstream, Plan, Response, SITE, TestGateway, Visitor, parameter};

const AUTH: &str = "/.tollgate/auth";

async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    let plan = Plan::new(upstream).server("trusted_proxies", "[\"127.0.0.0/8\"]").site(|site| {
        site.route("/public/", "off")
            .route("/about/", "optional")
            .route_for(&["POST"], "/drop/", "off")
            .route_requiring("/desk/", r#"{ roles = ["chief"] }"#)
    });
    plan.start().await
}

/// How nginx asks.
fn by_status(method: &str, uri: &str) -> Ask {
    Ask::navigate("GET", &format!("{SITE}{AUTH}"))
        .with("X-Original-URI", uri)
        .with("X-Original-Method", method)
        .with("X-Forwarded-For", "192.0.2.7")
}

/// How Traefik and Caddy ask.
fn to_hand_on(method: &str, uri: &str) -> Ask {
    Ask::navigate("GET", &format!("{SITE}{AUTH}"))
        .with("X-Forwarded-Uri", uri)
        .with("X-Forwarded-Method", method)
        .with("X-Forwarded-Host", "site.test")
        .with("X-Forwarded-Proto", "http")
        .with("X-Forwarded-For", "192.0.2.7")
}

fn told(answer: &Response) -> (u16, Option<String>) {
    (answer.status, answer.header("x-forwarded-email"))
}

fn jane() -> Option<String> {
    Some("jane@example.com".to_owned())
}

#[tokio::test]
async fn who_may_pass_is_named_and_nothing_is_carried() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut member = Visitor::at(&gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    upstream.forget().await;
    for ask in [by_status, to_hand_on] {
        for (method, uri, expected) in [
            ("GET", "/", (200, jane())),
            ("POST", "/a?b=c", (200, jane())),
            ("GET", "/public/a", (200, None)),
            ("GET", "/about/", (200, jane())),
            ("POST", "/drop/a", (200, None)),
            ("GET", "/drop/a", (200, jane())),
            ("GET", "/desk/", (403, None)),
        ] {
            assert_eq!(told(&member.send(ask(method, uri)).await), expected, "{method} {uri}");
        }
    }
    // Envoy puts the path behind its own, and keeps the method.
    let ask = Ask::navigate("POST", &format!("{SITE}{AUTH}/drop/a?b")).with("X-Forwarded-For", "192.0.2.7");
    assert_eq!(told(&member.send(ask).await), (200, None));
    let ask = Ask::navigate("GET", &format!("{SITE}{AUTH}/desk/")).with("X-Forwarded-For", "192.0.2.7");
    assert_eq!(member.send(ask).await.status, 403);
    upstream.assert_untouched("a question").await;
}

#[tokio::test]
async fn a_stranger_is_sent_to_the_login_page_and_comes_back_with_a_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.send(by_status("GET", "/a?b=c")).await;
    assert_eq!((answer.status, answer.header("location")), (401, None));
    assert_eq!(visitor.send(by_status("GET", "/public/a")).await.status, 200);

    let answer = visitor.send(to_hand_on("GET", "/a?b=c")).await;
    let login = answer.header("location").expect("a redirect");
    assert_eq!((answer.status, parameter(&login, "return_url").as_str()), (302, "http://site.test/a?b=c"));
    let answer = visitor.send(to_hand_on("POST", "/a").without("Sec-Fetch-Mode")).await;
    assert_eq!(answer.status, 303);

    let token = gateway.login_page().token_for("jane@example.com").await;
    // nginx could not pass the session on: the token is left for whoever can.
    assert_eq!(visitor.send(by_status("GET", &format!("/a?sso={token}"))).await.status, 401);
    let answer = visitor.send(to_hand_on("GET", &format!("/a?b=c&sso={token}"))).await;
    assert_eq!((answer.status, answer.header("location").as_deref()), (302, Some("/a?b=c")));
    assert_eq!(told(&visitor.send(by_status("GET", "/a?b=c")).await), (200, jane()));
    upstream.assert_untouched("a question").await;
}

#[tokio::test]
async fn a_script_gets_json_and_a_page_of_another_site_no_websocket() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let script = to_hand_on("GET", "/a").with("Sec-Fetch-Mode", "cors");
    assert_eq!(visitor.send(script).await.error_code(), "login_required");
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let socket = |origin: &str| {
        to_hand_on("GET", "/socket")
            .with("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
            .with("Origin", origin)
    };
    assert_eq!(visitor.send(socket(SITE)).await.status, 200);
    assert_eq!(visitor.send(socket("http://evil.test")).await.status, 403);
}

#[tokio::test]
async fn nobody_talks_a_proxy_into_another_target() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    for (ask, expected) in [
        // What the client adds in the other dialect.
        (by_status("GET", "/desk/").with("X-Forwarded-Uri", "/public/"), 400),
        (to_hand_on("GET", "/desk/").with("X-Original-URI", "/public/"), 400),
        (to_hand_on("GET", "/desk/").with("X-Original-URL", "http://site.test/public/"), 400),
        (by_status("GET", "/desk/").and("X-Original-URI", "/public/"), 400),
        (to_hand_on("GET", "/desk/").and("X-Forwarded-Uri", "/public/"), 400),
        (to_hand_on("GET", "/drop/").and("X-Forwarded-Method", "POST"), 400),
        // Its own path behind the gateway's, in the place of the proxy's word.
        (Ask::navigate("GET", &format!("{SITE}{AUTH}")).with("X-Forwarded-For", "192.0.2.7"), 400),
        // Another path than the one that is judged.
        (by_status("GET", "/public/../desk/"), 403),
        (to_hand_on("GET", "/public/%2e%2e/desk/"), 400),
        (to_hand_on("GET", "//evil.test/public/"), 302),
        (to_hand_on("GET", "/.tollgate/login"), 404),
        (to_hand_on("GET", "desk"), 400),
        (by_status("TRACE", "/public/"), 403),
        (to_hand_on("post", "/drop/"), 405),
    ] {
        let described = format!("{ask:?}");
        assert_eq!(visitor.send(ask).await.status, expected, "{described}");
    }
    upstream.assert_untouched("a question").await;
}

#[tokio::test]
async fn only_trusted_proxies_are_answered() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.route("/public/", "off")).start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    for ask in [by_status("GET", "/public/"), to_hand_on("GET", "/")] {
        let answer = visitor.send(ask).await;
        assert_eq!((answer.status, answer.header("x-forwarded-email")), (403, None));
    }
}
