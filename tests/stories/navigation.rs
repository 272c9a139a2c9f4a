//! Who is redirected and who gets a plain 401: a browser's navigation has somewhere to go, a
//! script's request must never follow a redirect to a login page.

use crate::support::{
    Answer, Ask, FakeUpstream, LOGIN_URL, Plan, SITE, TestGateway, Visitor, parameter, resolved,
};

const URL: &str = "http://site.test/closed/data?x=1";

#[tokio::test]
async fn a_navigation_is_redirected_and_anything_else_gets_a_401() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let navigate = || Ask::navigate("GET", URL);
    let bare = |method: &str| Ask::bare(method, URL);
    let upgrade = |protocol: &str| navigate().with("Connection", "Upgrade").with("Upgrade", protocol);
    for (what, ask, expected) in [
        ("a link", navigate(), 302),
        ("a link, by HEAD", Ask::navigate("HEAD", URL), 302),
        ("a submitted form", Ask::navigate("POST", URL).form(&[("a", "b")]), 303),
        ("a client that says nothing about itself", bare("GET"), 302),
        ("curl", bare("GET").with("User-Agent", "curl/8.5.0").with("Accept", "*/*"), 302),
        ("curl -X POST", bare("POST").with("Accept", "*/*").form(&[("a", "b")]), 303),
        ("curl -X DELETE", bare("DELETE").with("Accept", "*/*"), 303),
        ("an old browser", bare("GET").with("Accept", "text/html, */*;q=0.1"), 302),
        ("XHTML only", bare("GET").with("Accept", "application/xhtml+xml"), 302),
        ("HTML among others", bare("GET").with("Accept", "application/json, text/html;q=0.5"), 302),
        ("HTML in capitals", bare("GET").with("Accept", "Text/HTML"), 302),
        ("HTML in a second field", bare("GET").and("Accept", "image/png").and("Accept", "text/html"), 302),
        ("a page that is reloaded", navigate().with("Cache-Control", "max-age=0"), 302),
        ("a script's fetch", Ask::script("GET", URL), 401),
        ("a script's POST", Ask::script("POST", URL).body("application/json", "{}"), 401),
        ("a script's DELETE", Ask::script("DELETE", URL), 401),
        ("jQuery", bare("GET").with("Accept", "*/*").with("X-Requested-With", "XMLHttpRequest"), 401),
        ("jQuery that wants HTML", navigate().with("X-Requested-With", "XMLHttpRequest"), 401),
        ("a client of an API", bare("GET").with("Accept", "application/json"), 401),
        ("a picture", bare("GET").with("Accept", "image/avif,image/webp,image/*"), 401),
        ("an event stream", bare("GET").with("Accept", "text/event-stream"), 401),
        ("whoever refuses HTML", bare("GET").with("Accept", "application/json, text/html;q=0"), 401),
        ("mode cors", navigate().with("Sec-Fetch-Mode", "cors"), 401),
        ("mode no-cors", navigate().with("Sec-Fetch-Mode", "no-cors"), 401),
        ("mode same-origin", navigate().with("Sec-Fetch-Mode", "same-origin"), 401),
        ("mode websocket", navigate().with("Sec-Fetch-Mode", "websocket"), 401),
        ("an empty mode", navigate().with("Sec-Fetch-Mode", ""), 401),
        ("an unknown mode", navigate().with("Sec-Fetch-Mode", "navigate-nested"), 401),
        ("dest iframe", navigate().with("Sec-Fetch-Dest", "iframe"), 401),
        ("dest embed", navigate().with("Sec-Fetch-Dest", "embed"), 401),
        ("dest empty", navigate().with("Sec-Fetch-Dest", "empty"), 401),
        ("dest image", navigate().with("Sec-Fetch-Dest", "image"), 401),
        ("dest script", navigate().with("Sec-Fetch-Dest", "script"), 401),
        ("dest serviceworker", navigate().with("Sec-Fetch-Dest", "serviceworker"), 401),
        ("mode alone, navigate", bare("GET").with("Sec-Fetch-Mode", "navigate"), 302),
        ("dest alone, document", bare("GET").with("Sec-Fetch-Dest", "document"), 302),
        ("a WebSocket", upgrade("websocket"), 401),
        (
            "h2c",
            upgrade("h2c").with("Connection", "Upgrade, HTTP2-Settings").with("HTTP2-Settings", "AAAA"),
            401,
        ),
    ] {
        let answer = Visitor::at(&gateway).send(ask).await;
        assert_eq!(answer.status, expected, "{what}: {answer:?}");
        if expected == 401 {
            assert_eq!(answer.header("location"), None, "{what}");
            assert_eq!(answer.error_code(), "login_required", "{what}");
        } else {
            assert!(answer.location().starts_with(LOGIN_URL), "{what}");
        }
    }
    upstream.assert_untouched("requests without a session").await;
}

#[tokio::test]
async fn a_fault_at_the_gateways_own_addresses_is_told_in_the_words_of_whoever_asks() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("trusted_proxies", "[\"127.0.0.1\"]").start().await;
    let own = |path: &str| format!("{SITE}/.tollgate/{path}");
    let question = |ask: Ask| ask.with("X-Forwarded-For", "192.0.2.7").with("X-Original-URI", "closed");
    for (ask, status, kind) in [
        (Ask::script("GET", &own("nowhere")), 404, "application/json"),
        (Ask::navigate("GET", &own("nowhere")), 404, "text/html"),
        (Ask::script("GET", &own("redeem?token=x")), 403, "application/json"),
        (Ask::script("PUT", &own("whoami")), 405, "application/json"),
        (question(Ask::script("GET", &own("auth"))), 400, "application/json"),
        (question(Ask::navigate("GET", &own("auth"))), 400, "text/html"),
    ] {
        let answer = Visitor::at(&gateway).send(ask.clone()).await;
        let told = answer.header("content-type").unwrap_or_default();
        assert_eq!((answer.status, told.starts_with(kind)), (status, true), "{ask:?} {told}");
    }
}

#[tokio::test]
async fn the_401_says_where_to_log_in() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = Visitor::at(&gateway).fetch(URL).await;
    assert_eq!(
        answer.header("content-type").as_deref().map(|t| t.starts_with("application/json")),
        Some(true)
    );
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    let error = &answer.json()["error"];
    assert!(error["message"].is_string());
    let login_url = error["details"]["login_url"].as_str().expect("a URL");
    assert!(login_url.starts_with(LOGIN_URL), "{login_url}");
    assert_eq!(parameter(login_url, "site"), "intranet");
    assert_eq!(resolved(SITE, &parameter(login_url, "return_url")).origin(), resolved(SITE, "/").origin());
}

#[tokio::test]
async fn a_member_gets_through_however_the_request_is_made() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    for ask in [
        Ask::navigate("GET", URL),
        Ask::script("GET", URL),
        Ask::script("DELETE", URL),
        Ask::bare("PROPFIND", URL),
        Ask::bare("GET", URL).with("Accept", "image/png"),
        Ask::navigate("GET", URL).with("Sec-Purpose", "prefetch"),
        Ask::script("POST", URL).body("application/json", "{\"a\": 1}"),
    ] {
        let method = ask.method.clone();
        assert_eq!(visitor.send(ask).await.status, 200, "{method}");
        assert_eq!(upstream.last().method, method);
    }
    assert_eq!(upstream.last().body, b"{\"a\": 1}");
}

#[tokio::test]
async fn a_script_elsewhere_gets_its_preflight_answered_and_may_read_the_401() {
    let upstream = FakeUpstream::start().await;
    let origins = "[\"https://app.test\"]";
    let gateway = Plan::new(&upstream).site(|site| site.with("cors_origins", origins)).start().await;
    let preflight = |origin: &str| {
        Ask::bare("OPTIONS", URL)
            .with("Accept", "*/*")
            .with("Origin", origin)
            .with("Access-Control-Request-Method", "PUT")
            .with("Access-Control-Request-Headers", "content-type, x-custom")
            .with("Sec-Fetch-Mode", "cors")
            .with("Sec-Fetch-Dest", "empty")
    };
    let cross_origin = |origin: &str| {
        Ask::script("PUT", URL)
            .body("application/json", "{}")
            .with("Origin", origin)
            .with("Sec-Fetch-Site", "cross-site")
    };

    let answer = Visitor::at(&gateway).send(preflight("https://app.test")).await;
    assert!(matches!(answer.status, 200 | 204), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://app.test"));
    assert_eq!(answer.header("access-control-allow-credentials").as_deref(), Some("true"));
    assert!(answer.headers.lists("access-control-allow-methods", "PUT"), "{answer:?}");
    assert!(answer.headers.lists("access-control-allow-headers", "x-custom"), "{answer:?}");
    let answer = Visitor::at(&gateway).send(cross_origin("https://app.test")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "login_required"));
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://app.test"));
    assert_eq!(answer.header("access-control-allow-credentials").as_deref(), Some("true"));
    assert!(answer.headers.lists("vary", "Origin"), "{answer:?}");

    for origin in [
        "https://evil.test",
        "https://app.test.evil.test",
        "http://app.test",
        "null",
        "https://app.test:8443",
    ] {
        for ask in [preflight(origin), cross_origin(origin)] {
            let answer = Visitor::at(&gateway).send(ask).await;
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}: {answer:?}");
            assert_eq!(answer.header("location"), None, "{origin}");
        }
    }
    upstream.assert_untouched("preflights of strangers").await;
}

#[tokio::test]
async fn what_an_upstream_reflects_to_strangers_opens_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.route("/public/", "off")).start().await;
    let origin = "https://evil.test";
    let reflecting = Answer::page("feed")
        .with("Access-Control-Allow-Origin", origin)
        .with("Access-Control-Allow-Credentials", "true");
    upstream.answers(reflecting);
    let public = Ask::script("GET", &format!("{SITE}/public/feed")).with("Origin", origin);
    assert_eq!(Visitor::at(&gateway).send(public).await.status, 200);
    upstream.forget().await;

    let preflight =
        Ask::script("OPTIONS", URL).with("Origin", origin).with("Access-Control-Request-Method", "DELETE");
    let refused = Ask::script("GET", URL).with("Origin", origin);
    for ask in [preflight, refused] {
        let answer = Visitor::at(&gateway).send(ask).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
    }
    upstream.assert_untouched("a closed path").await;
}
