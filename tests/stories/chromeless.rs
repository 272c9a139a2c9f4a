//! Pages without the site's own head and foot: who asks for them once has them until the word is taken
//! back, and nobody else can say it.

use crate::support::{Answer, Ask, FakeUpstream, Plan, SITE, TestGateway, Visitor, parameter};

async fn asked(visitor: &mut Visitor, upstream: &FakeUpstream, target: &str) -> Option<String> {
    assert_eq!(visitor.get(&format!("{SITE}{target}")).await.status, 200, "{target}");
    assert_eq!(upstream.last().target, target, "the parameter stays where it is");
    upstream.last().header("x-tollgate-chromeless")
}

#[tokio::test]
async fn it_is_remembered_until_it_is_taken_back() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    for (target, is_on) in [
        ("/a", false),
        ("/a?chromeless=0", false),
        ("/a?x=y&chromeless=1", true),
        ("/a", true),
        ("/optional/a?chromeless=x", true),
        ("/public/a", true),
        ("/public/a?chromeless=0", false),
        ("/a", false),
        ("/public/a?chromeless=1", true),
        ("/a", true),
    ] {
        let expected = is_on.then(|| "1".to_owned());
        assert_eq!(asked(&mut visitor, &upstream, target).await, expected, "{target}");
    }
    let cookie = visitor.cookie("tollgate_chromeless").expect("a cookie");
    assert_eq!((cookie.expires_at, cookie.domain, cookie.http_only), (None, None, true));
    assert_eq!(cookie.same_site.as_deref(), Some("Lax"));
    upstream.assert_never_saw("tollgate_chromeless").await;

    // Who signs out begins anew.
    visitor.get(&format!("{SITE}/.tollgate/logout")).await;
    assert!(visitor.cookie("tollgate_chromeless").is_none());
    assert_eq!(asked(&mut visitor, &upstream, "/public/a").await, None);
}

#[tokio::test]
async fn it_comes_along_through_a_login() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/a?chromeless=1&b=c");
    let return_url = parameter(&visitor.get(&url).await.location(), "return_url");
    assert_eq!(return_url, url);
    let token = gateway.login_page().token_for("jane@example.com").await;
    let back = visitor.get(&format!("{return_url}&sso={token}")).await.location();
    assert_eq!(asked(&mut visitor, &upstream, &back).await.as_deref(), Some("1"));
    assert_eq!(asked(&mut visitor, &upstream, "/b").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn nobody_but_the_gateway_says_it_to_the_upstream() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    for path in ["/a", "/optional/a", "/public/a", "/public/a?chromeless=0"] {
        for name in ["X-Tollgate-Chromeless", "x_tollgate_chromeless", "X.Tollgate.Chromeless"] {
            let ask = Ask::navigate("GET", &format!("{SITE}{path}")).with(name, "forged");
            assert_eq!(visitor.send(ask).await.status, 200);
        }
        let ask = Ask::navigate("GET", &format!("{SITE}{path}"))
            .with("Connection", "X-Tollgate-Chromeless")
            .with("X-Tollgate-Chromeless", "forged");
        visitor.send(ask).await;
    }
    upstream.assert_never_saw("forged").await;
    let ask =
        Ask::navigate("GET", &format!("{SITE}/a?chromeless=1")).with("Connection", "X-Tollgate-Chromeless");
    visitor.send(ask.with("X-Tollgate-Chromeless", "0")).await;
    assert_eq!(upstream.last().header("x-tollgate-chromeless").as_deref(), Some("1"));
}

#[tokio::test]
async fn no_cache_shows_to_others_what_one_visitor_wanted() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/public/a");
    assert_eq!(visitor.get(&url).await.header("vary"), None);
    assert_eq!(visitor.get(&format!("{url}?chromeless=1")).await.header("vary").as_deref(), Some("Cookie"));
    let answer = visitor.get(&url).await;
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    assert_eq!(answer.header("set-cookie"), None, "it is known by now");
    // In one line: there are caches that read the last one only.
    for (said, read) in [("Accept-Encoding", "Accept-Encoding, Cookie"), ("Cookie", "Cookie"), ("*", "*")] {
        upstream.answers(Answer::page("page").with("Vary", said));
        for path in ["/public/a", "/optional/a"] {
            let answer = visitor.get(&format!("{SITE}{path}")).await;
            assert_eq!(answer.headers.all("vary"), [read], "{path}: {said}");
        }
    }
}

#[tokio::test]
async fn within_frames_it_is_remembered_as_well() {
    let upstream = FakeUpstream::start().await;
    let site = "https://site.test";
    let gateway = Plan::new(&upstream)
        .server("trusted_proxies", "[\"127.0.0.1\"]")
        .site(|plan| {
            plan.with("public_url", &format!("{site:?}")).with("embed_origins", "[\"https://partner.test\"]")
        })
        .start()
        .await;
    let mut frame = Visitor::at(&gateway);
    frame.get(&format!("{site}/public/a?chromeless=1")).await;
    let cookie = frame.cookie("__Host-tollgate_chromeless").expect("a cookie");
    assert!(cookie.partitioned && cookie.secure && cookie.same_site.as_deref() == Some("None"));
}
