//! Sites that want their visitors over https and nothing else.

use crate::support::h2::Honest;
use crate::support::{Answer, Ask, Authority, FakeUpstream, Plan, SITE, SitePlan, TestGateway, Visitor};

async fn strict(upstream: &FakeUpstream, authority: &Authority) -> TestGateway {
    Plan::new(upstream)
        .site(|site| site.with("https_redirect", "true").with("hsts", "\"365d\""))
        .certificate(authority.issue("site", &["site.test"]))
        .start()
        .await
}

#[tokio::test]
async fn a_visitor_over_plain_http_is_sent_to_the_same_page_over_https() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = strict(&upstream, &authority).await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let port = gateway.https().port();
    let mut visitor = Visitor::at(&gateway);
    for target in [
        "/".to_owned(),
        "/public/a?b=c&d".to_owned(),
        "/closed?x=%2F&y=%zz".to_owned(),
        format!("/closed?sso={token}"),
        format!("/.tollgate/redeem?sso={token}"),
        "/.tollgate/logout".to_owned(),
        "/api/session/get-token".to_owned(),
        "//evil.test/a".to_owned(),
        "/\\evil.test".to_owned(),
        "/%2e%2e/a".to_owned(),
        "/?return_url=https://evil.test/".to_owned(),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = visitor.send(Ask::navigate(method, &format!("{SITE}{target}"))).await;
            assert_eq!(answer.status, 308, "{method} {target}");
            assert_eq!(answer.location(), format!("https://site.test:{port}{target}"), "{method}");
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
            assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"));
            assert_eq!(answer.header("set-cookie"), None);
            // Over plain http it would be ignored, and could come from anybody.
            assert_eq!(answer.header("strict-transport-security"), None);
        }
    }
    upstream.assert_untouched("plain http").await;

    // The token was not used up on the way, and is good where it leads.
    let stream = authority.client().offering(&["h2"]).shake(&gateway, "site.test").await.unwrap();
    let visitor = Honest::on(stream).await;
    let answer = visitor.get(&format!("https://site.test:{port}/closed?sso={token}")).await;
    assert_eq!((answer.status, answer.location().as_str()), (302, "/closed"));
}

#[tokio::test]
async fn nobody_is_sent_to_another_host() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = strict(&upstream, &authority).await;
    let port = gateway.https().port();
    let visitor = Visitor::at(&gateway);
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", None),
        ("GET http://evil.test/ HTTP/1.1\r\nHost: site.test\r\n\r\n", None),
        ("GET http://site.test/a HTTP/1.1\r\nHost: evil.test\r\n\r\n", Some("/a")),
        ("GET / HTTP/1.1\r\nHost: site.test@evil.test\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost: site.test:8080\r\nX-Forwarded-Host: evil.test\r\n\r\n", Some("/")),
        ("GET @evil.test/ HTTP/1.1\r\nHost: site.test\r\n\r\n", None),
        ("GET .evil.test/ HTTP/1.1\r\nHost: site.test\r\n\r\n", None),
        ("OPTIONS * HTTP/1.1\r\nHost: site.test\r\n\r\n", None),
    ] {
        let answer = visitor.send_raw(request.as_bytes()).await;
        let location = answer.as_ref().and_then(|answer| answer.header("location"));
        let expected = expected.map(|path| format!("https://site.test:{port}{path}"));
        assert_eq!(location, expected, "{request:?}: {answer:?}");
    }
    upstream.assert_untouched("plain http").await;
}

#[tokio::test]
async fn whose_word_tells_the_scheme() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream)
        .site(|site| {
            site.with("https_redirect", "true")
                .with("hsts", "\"1d\"")
                .with("hsts_include_subdomains", "true")
                .with("public_url", "\"https://site.test:8443\"")
        })
        .server("trusted_proxies", "[\"127.0.0.1\"]");
    let gateway = plan.start().await;
    let ask = || Ask::navigate("GET", &format!("{SITE}/public/a"));
    // A proxy in front did TLS, and says so.
    let mut proxy = Visitor::at(&gateway);
    let answer = proxy.send(ask().with("X-Forwarded-Proto", "https")).await;
    assert_eq!(answer.status, 200);
    let told = answer.header("strict-transport-security");
    assert_eq!(told.as_deref(), Some("max-age=86400; includeSubDomains"));
    let answer = proxy.send(ask().with("X-Forwarded-Proto", "http")).await;
    assert_eq!((answer.status, answer.location().as_str()), (308, "https://site.test:8443/public/a"));
    // A stranger says so as well.
    let mut stranger = Visitor::at(&gateway).at_address(9, 9);
    let answer = stranger.send(ask().with("X-Forwarded-Proto", "https")).await;
    assert_eq!((answer.status, answer.location().as_str()), (308, "https://site.test:8443/public/a"));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn browsers_are_told_to_stay_whatever_the_answer_is() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = strict(&upstream, &authority).await;
    upstream.answers(Answer::page("hello").with("Strict-Transport-Security", "max-age=0"));
    let stream = authority.client().offering(&["h2"]).shake(&gateway, "site.test").await.unwrap();
    let visitor = Honest::on(stream).await;
    for (path, status) in [
        ("/public/a", 200),
        ("/closed", 302),
        ("/.tollgate/session", 401),
        ("/.tollgate/nowhere", 404),
        ("/public/%00", 400),
        ("/api/echo", 200),
    ] {
        let answer = visitor.get(&format!("https://site.test{path}")).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("strict-transport-security").as_deref(), Some("max-age=31536000"), "{path}");
    }
    // Of another's host it says nothing.
    assert_eq!(visitor.get("https://other.test/").await.header("strict-transport-security"), None);
}

#[tokio::test]
async fn a_site_that_does_not_ask_for_it_is_left_alone() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream)
        .and_site(SitePlan::new("shop", "shop.test", upstream.address()).with("https_redirect", "true"))
        .certificate(authority.issue("site", &["site.test"]))
        .start()
        .await;
    upstream.answers(Answer::page("hello").with("Strict-Transport-Security", "max-age=7"));
    let mut visitor = Visitor::at(&gateway);
    assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.status, 200);
    assert_eq!(visitor.get("http://shop.test/public/a").await.status, 308);
    // What the upstream says of itself passes.
    let stream = authority.client().shake(&gateway, "site.test").await.unwrap();
    let mut connection = crate::support::Connection::over(stream);
    let request = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
    let answer = connection.exchange(request, "GET").await.unwrap();
    assert_eq!(answer.header("strict-transport-security").as_deref(), Some("max-age=7"));
}
