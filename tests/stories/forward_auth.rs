//! Another proxy carries the requests and asks whether it may: it gets a yes where a visitor of the
//! gateway itself would have been let through, and nowhere else, whoever asks and whatever is added to
//! the question.

use std::sync::atomic::Ordering;

use crate::outage::Frail;
use crate::support::{
    Ask, FakeUpstream, LOGIN_URL, Plan, Response, SITE, SitePlan, TestGateway, Visitor, minutes, parameter,
};

const AUTH: &str = "http://site.test/.tollgate/auth";

fn plan(upstream: &FakeUpstream) -> Plan {
    Plan::new(upstream).server("trusted_proxies", "[\"127.0.0.1\"]").site(|site| {
        site.route_for(&["POST"], "/drop/", "off").route_requiring("/desk/", r#"{ roles = ["chief"] }"#)
    })
}

/// How nginx asks.
fn by_status(method: &str, target: &str) -> Ask {
    Ask::navigate("GET", AUTH)
        .with("X-Original-URI", target)
        .with("X-Original-Method", method)
        .with("X-Forwarded-For", "192.0.2.7")
        .with("X-Forwarded-Host", "site.test")
        .with("X-Forwarded-Proto", "http")
}

/// How Caddy and Traefik ask.
fn handing_on(method: &str, target: &str) -> Ask {
    Ask::navigate("GET", AUTH)
        .with("X-Forwarded-Uri", target)
        .with("X-Forwarded-Method", method)
        .with("X-Forwarded-For", "192.0.2.7")
        .with("X-Forwarded-Host", "site.test")
        .with("X-Forwarded-Proto", "http")
}

/// How Envoy asks.
fn behind(method: &str, target: &str) -> Ask {
    Ask::navigate(method, &format!("{AUTH}{target}"))
        .with("X-Forwarded-For", "192.0.2.7")
        .with("X-Forwarded-Proto", "http")
}

type Dialect = fn(&str, &str) -> Ask;
const DIALECTS: [(&str, Dialect); 3] =
    [("by status", by_status), ("handing on", handing_on), ("behind", behind)];

/// The status, and of whom the site would be told.
fn told(answer: &Response) -> (u16, String) {
    (answer.status, answer.header("x-forwarded-email").unwrap_or_default())
}

/// A yes for Jane.
fn jane() -> (u16, String) {
    (200, "jane@example.com".to_owned())
}

/// This status, and nobody is named.
fn nobody(status: u16) -> (u16, String) {
    (status, String::new())
}

/// Jane's browser, with a session.
async fn signed_in(gateway: &TestGateway) -> Visitor {
    let mut member = Visitor::at(gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    member
}

fn refuses(answer: &Response) -> bool {
    answer.status >= 300 && answer.header("x-forwarded-email").is_none()
}

#[tokio::test]
async fn who_may_pass_is_named_and_nothing_is_carried() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut member = signed_in(&gateway).await;
    upstream.forget().await;
    for (dialect, ask) in DIALECTS {
        for (method, target, expected) in [
            ("GET", "/", jane()),
            ("POST", "/a?b=c", jane()),
            ("GET", "//a//", jane()),
            ("GET", "/public/a", nobody(200)),
            ("GET", "/optional/", jane()),
            ("POST", "/drop/a", nobody(200)),
            ("GET", "/drop/a", jane()),
            ("GET", "/desk/", nobody(403)),
        ] {
            let answer = member.send(ask(method, target)).await;
            assert_eq!(told(&answer), expected, "{dialect}: {method} {target}");
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        }
        let stranger = Visitor::at(&gateway).send(ask("GET", "/optional/")).await;
        assert_eq!(told(&stranger), nobody(200), "{dialect}");
    }
    upstream.assert_untouched("a question").await;
}

#[tokio::test]
async fn a_stranger_is_sent_to_the_login_page_and_a_script_is_told() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.send(by_status("GET", "/a?b=c")).await;
    assert_eq!((answer.status, answer.header("location"), answer.body.len()), (401, None, 0));
    for ask in [handing_on, behind] {
        let login = visitor.send(ask("GET", "/a?b=c")).await.location();
        assert!(login.starts_with(LOGIN_URL), "{login}");
        assert_eq!(parameter(&login, "return_url"), "http://site.test/a?b=c");
        assert!(visitor.cookie("tollgate_state").is_some());
        assert_eq!(visitor.send(ask("POST", "/a")).await.status, 303);
        let script = visitor.send(ask("GET", "/a").with("Sec-Fetch-Mode", "cors")).await;
        assert_eq!((script.status, script.error_code().as_str()), (401, "login_required"));
    }
    upstream.assert_untouched("a question").await;
}

#[tokio::test]
async fn what_a_stranger_is_well_meant_told_is_no_yes() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream)
        .site(|site| {
            let site = site.with("cors_origins", "[\"https://app.test\"]").with("redeem", "\"confirm\"");
            site.with("max_sessions_per_user", "1").cookie("same_site", "\"strict\"")
        })
        .start()
        .await;
    let login_page = gateway.login_page();
    let token = login_page.token_for("jane@example.com").await;
    let with_token = format!("/a?sso={token}");
    for (dialect, ask) in DIALECTS {
        let mut visitor = Visitor::at(&gateway);
        for question in [
            // A preflight, which gets a 204 at the gateway itself.
            ask("OPTIONS", "/a")
                .with("Origin", "https://app.test")
                .with("Access-Control-Request-Method", "PUT")
                .with("Sec-Fetch-Mode", "cors"),
            ask("OPTIONS", "/a")
                .with("Origin", "https://app.test")
                .with("Access-Control-Request-Method", "PUT"),
            // The page that asks whether to sign in, and the one that moves on.
            ask("GET", &with_token),
            ask("GET", &with_token).with("Sec-Fetch-Site", "cross-site"),
            // What a HEAD gets at the gateway's own addresses.
            ask("HEAD", &with_token),
            ask("HEAD", "/.tollgate/logout"),
            ask("GET", "/.tollgate/logout"),
            ask("GET", "/.tollgate/session"),
            ask("GET", "/.tollgate/auth"),
            ask("GET", "/;/.tollgate/login"),
            ask("GET", "/api/echo"),
            ask("HEAD", "/api/session/redeem-token?session_token=x"),
        ] {
            let described = format!("{dialect}: {question:?}");
            let answer = visitor.send(question).await;
            assert!(refuses(&answer), "{described}\n{answer:?}");
        }
    }
    upstream.assert_untouched("a question").await;
}

#[tokio::test]
async fn a_token_is_taken_to_the_gateway_itself_and_never_passes() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let mut visitor = Visitor::at(&gateway);
    for target in ["/a?b=c", "/public/?b=c", "/a?b=c&x=1"].map(|target| format!("{target}&sso={token}")) {
        assert_eq!(visitor.send(by_status("GET", &target)).await.status, 401, "{target}");
        for ask in [handing_on, behind] {
            let location = visitor.send(ask("GET", &target)).await.location();
            assert!(location.starts_with("http://site.test/.tollgate/redeem?"), "{location}");
            assert_eq!(parameter(&location, "token"), token);
            for refused in [
                ask("POST", &target),
                ask("GET", &target).with("Sec-Fetch-Mode", "cors"),
                ask("GET", &target).with("Sec-Purpose", "prefetch"),
            ] {
                let answer = visitor.send(refused).await;
                assert_eq!((answer.status, answer.header("location")), (403, None), "{target}");
            }
        }
    }
    // However often it was asked: nothing is used up yet.
    let location = visitor.send(handing_on("GET", &format!("/a?b=c?sso={token}"))).await.location();
    let answer = visitor.get(&location).await;
    assert_eq!((answer.status, answer.location().as_str()), (302, "/a?b=c"));
    assert_eq!(told(&visitor.send(by_status("GET", "/a?b=c")).await), jane());
    // A session does not let a token through either, nor what only looks like one.
    for (dialect, ask) in DIALECTS {
        for target in [format!("/a?sso={token}"), "/a?sso=".to_owned(), "/a?%73so=nonsense".to_owned()] {
            let answer = visitor.send(ask("GET", &target)).await;
            assert!(refuses(&answer), "{dialect}: {target}");
            assert!(refuses(&visitor.send(ask("POST", &target)).await), "{dialect}: POST {target}");
        }
    }
    let location = visitor.send(handing_on("GET", "/a?sso=nonsense&b")).await.location();
    let (last, _) = visitor.follow(&location).await;
    assert_eq!(last, "http://site.test/a?b");
}

#[tokio::test]
async fn nobody_talks_a_proxy_into_another_request() {
    let upstream = FakeUpstream::start().await;
    let open = SitePlan::new("open", "open.test", upstream.address()).with("access", "\"off\"");
    let gateway = plan(&upstream).and_site(open).start().await;
    let mut visitor = signed_in(&gateway).await;
    upstream.forget().await;
    for (ask, expected) in [
        // What the client adds in another dialect.
        (by_status("GET", "/desk/").with("X-Forwarded-Uri", "/public/"), 400),
        (handing_on("GET", "/desk/").with("X-Original-URI", "/public/"), 400),
        (handing_on("GET", "/desk/").with("X-Original-URI", "/desk/"), 400),
        (behind("GET", "/desk/").with("X-Forwarded-Uri", "/public/"), 400),
        (behind("GET", "/desk/").with("X-Original-URI", "/public/"), 400),
        // Twice.
        (by_status("GET", "/desk/").and("X-Original-URI", "/public/"), 400),
        (handing_on("GET", "/desk/").and("X-Forwarded-Uri", "/public/"), 400),
        (handing_on("GET", "/drop/").and("X-Forwarded-Method", "POST"), 400),
        (handing_on("GET", "/").and("X-Forwarded-Host", "site.test"), 400),
        // Another site, by a host that the proxy left as it was.
        (handing_on("GET", "/").with("X-Forwarded-Host", "open.test"), 400),
        (by_status("GET", "/").with("X-Forwarded-Host", "open.test"), 403),
        (behind("GET", "/desk/").with("X-Forwarded-Host", "open.test"), 403),
        (handing_on("GET", "/").with("X-Forwarded-Host", "site.test, open.test"), 400),
        (handing_on("GET", "/").with("X-Forwarded-Host", "elsewhere.test"), 421),
        // No target, or none that a request line could have.
        (Ask::navigate("GET", AUTH).with("X-Forwarded-For", "192.0.2.7"), 400),
        (handing_on("GET", "http://site.test/public/"), 400),
        (handing_on("GET", "desk"), 400),
        (handing_on("GET", "/public/#/../desk/"), 400),
        (handing_on("GET", "/public/ /desk/"), 400),
        (handing_on("GET", "/\u{e4}"), 400),
        // A whole URL, which every server reads in its own way.
        (Ask::navigate("GET", AUTH).with("X-Forwarded-For", "192.0.2.7").with("X-Original-URL", SITE), 400),
        (handing_on("GET", "/").with("X-Original-URL", "/desk/"), 400),
        // Methods that are none, or that the rules would not judge.
        (handing_on("GET", "/").without("X-Forwarded-Method"), 400),
        (handing_on("TRACE", "/public/"), 405),
        (handing_on("CONNECT", "/public/"), 405),
        (handing_on("post", "/drop/"), 405),
        (by_status("TRACE", "/public/"), 403),
    ] {
        let described = format!("{ask:?}");
        let answer = visitor.send(ask).await;
        assert_eq!(answer.status, expected, "{described}\n{answer:?}");
        assert!(refuses(&answer));
    }
    // Traefik asks at the gateway's own address, which is no host of a site.
    let ask = handing_on("GET", "/a").with("X-Forwarded-Host", "site.test");
    let ask = Ask { url: ask.url.replace("site.test", "127.0.0.1:8080"), ..ask };
    let cookie = format!("tollgate={}", visitor.session_cookie().unwrap());
    assert_eq!(told(&visitor.send(ask.with("Cookie", &cookie)).await), jane());
}

#[tokio::test]
async fn a_path_that_is_refused_in_itself_is_refused_here() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut stranger = Visitor::at(&gateway);
    for target in [
        "/public/../desk/",
        "/public/%2e%2e/desk/",
        "/public/..;/desk/",
        "/public/%2fdesk",
        "/public/%5c..%5cdesk",
        "/public/%00",
        "/public/%c0%ae%c0%ae/desk/",
        "/public/%",
        "/public/%u002e",
        // These have more than one reading, of which the strictest counts.
        "/public/../../public/",
        "/%64esk/",
        "//desk/",
        "/desk;a/b",
    ] {
        for (dialect, ask) in DIALECTS {
            let answer = stranger.send(ask("GET", target)).await;
            assert!(refuses(&answer), "{dialect}: {target} {answer:?}");
        }
    }
    upstream.assert_untouched("a question").await;
}

#[tokio::test]
async fn only_a_trusted_proxy_that_names_the_client_is_answered() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let jane = signed_in(&gateway).await;
    let cookie = format!("tollgate={}", jane.session_cookie().unwrap());
    let mut elsewhere = Visitor::at(&gateway).at_address(9, 9);
    for (dialect, ask) in DIALECTS {
        for target in ["/", "/public/"] {
            let question = || ask("GET", target).with("Cookie", &cookie);
            let answer = elsewhere.send(question()).await;
            assert_eq!(told(&answer), nobody(403), "{dialect}");
            let mut proxy = Visitor::at(&gateway);
            for unnamed in [
                question().without("X-Forwarded-For"),
                question().with("X-Forwarded-For", ""),
                question().with("X-Forwarded-For", "somebody"),
                question().with("X-Forwarded-For", "192.0.2.7, somebody"),
            ] {
                assert_eq!(told(&proxy.send(unnamed).await), nobody(400), "{dialect}");
            }
            let rfc = question().without("X-Forwarded-For").without("X-Forwarded-Proto");
            let answer = proxy.send(rfc.with("Forwarded", "for=192.0.2.7;proto=http")).await;
            assert_eq!(answer.status, 200, "{dialect}");
        }
    }
    // Without anybody who is trusted there is nobody to answer.
    let gateway = TestGateway::before(&upstream).await;
    let answer = Visitor::at(&gateway).send(handing_on("GET", "/public/")).await;
    assert_eq!(told(&answer), nobody(403));
}

#[tokio::test]
async fn where_a_client_comes_from_is_the_proxys_word() {
    let upstream = FakeUpstream::start().await;
    let lan = r#"{ networks = ["192.0.2.0/24"] }"#;
    let gateway = plan(&upstream).site(|site| site.route_requiring("/lan/", lan)).start().await;
    let mut member = signed_in(&gateway).await;
    for (dialect, ask) in DIALECTS {
        for (forwarded_for, expected) in
            [("192.0.2.7", 200), ("198.51.100.1", 403), ("192.0.2.7, 198.51.100.1", 403)]
        {
            let answer = member.send(ask("GET", "/lan/").with("X-Forwarded-For", forwarded_for)).await;
            assert_eq!(answer.status, expected, "{dialect}: {forwarded_for}");
        }
    }
}

#[tokio::test]
async fn a_client_that_names_itself_is_refused_as_the_proxy_may_let_it_through() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut member = signed_in(&gateway).await;
    for (dialect, ask) in DIALECTS {
        for name in [
            "X-Forwarded-User",
            "x-forwarded-EMAIL",
            "X_Forwarded_User",
            "X-Forwarded_Groups",
            "X.Forwarded.Role",
            "X-Tollgate-Assertion",
            "x_tollgate_anything",
            // What passes for the proxy's word, or has some applications serve another request.
            "X_Forwarded_For",
            "X_Real_IP",
            "Content_Length",
            "Transfer.Encoding",
            "X-Original-URL",
            "X-Rewrite-Url",
            "X_Rewrite_Url",
            "X-HTTP-Method-Override",
            "Proxy",
        ] {
            for target in ["/", "/public/", "/optional/"] {
                let answer = member.send(ask("GET", target).with(name, "1")).await;
                assert!(refuses(&answer), "{dialect}: {name} {target} {answer:?}");
            }
        }
        let harmless = ask("GET", "/").with("X-Forwarded-Port", "80").with("X-Real-IP", "192.0.2.7");
        assert_eq!(told(&member.send(harmless).await), jane(), "{dialect}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_websocket() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut member = signed_in(&gateway).await;
    for (dialect, ask) in DIALECTS {
        // Proxies keep `Upgrade` to themselves, or tell of it.
        let kept = |target: &str| ask("GET", target).with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let told_of =
            |target: &str| ask("GET", target).with("Connection", "Upgrade").with("Upgrade", "websocket");
        let by_version = |target: &str| ask("GET", target).with("Sec-WebSocket-Version", "13");
        for socket in [&kept as &dyn Fn(&str) -> Ask, &told_of, &by_version] {
            for (origin, expected) in [(SITE, 200), ("http://evil.test", 403), ("null", 403)] {
                let answer = member.send(socket("/chat").with("Origin", origin)).await;
                assert_eq!(answer.status, expected, "{dialect}: {origin}");
            }
            let anonymous = socket("/public/chat").with("Origin", "http://evil.test");
            assert_eq!(member.send(anonymous).await.status, 200, "{dialect}");
            // It is no navigation, whatever a client accepts.
            let stranger = Visitor::at(&gateway).send(socket("/chat")).await;
            assert_eq!(stranger.status, 401, "{dialect}");
        }
        let tunnel = ask("GET", "/").with("Connection", "Upgrade").with("Upgrade", "h2c");
        assert!(refuses(&member.send(tunnel).await), "{dialect}");
    }
}

#[tokio::test]
async fn a_session_lives_by_questions_and_ends_as_ever() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    for (dialect, ask) in DIALECTS {
        let mut member = signed_in(&gateway).await;
        for _ in 0..3 {
            gateway.advance(minutes(29));
            assert_eq!(told(&member.send(ask("GET", "/")).await), jane(), "{dialect}");
        }
        gateway.advance(minutes(31));
        assert!(refuses(&member.send(ask("GET", "/")).await), "{dialect}");

        let mut member = signed_in(&gateway).await;
        assert_eq!(gateway.api().delete("/v1/sessions?email=jane@example.com").await.status, 200);
        assert!(refuses(&member.send(ask("GET", "/")).await), "{dialect}");

        let mut member = signed_in(&gateway).await;
        let cookie = format!("tollgate={}", member.session_cookie().unwrap());
        member.get(&format!("{SITE}/.tollgate/logout")).await;
        assert!(refuses(&member.send(ask("GET", "/").with("Cookie", &cookie)).await), "{dialect}");
    }
}

#[tokio::test]
async fn who_had_to_make_room_gets_no_yes() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).site(|site| site.with("max_sessions_per_user", "1")).start().await;
    for (dialect, ask) in DIALECTS {
        let mut first = signed_in(&gateway).await;
        signed_in(&gateway).await;
        assert!(refuses(&first.send(ask("GET", "/")).await), "{dialect}");
    }
}

#[tokio::test]
async fn while_the_store_is_down_there_is_no_yes() {
    let upstream = FakeUpstream::start().await;
    let (frail, stores) = Frail::stores();
    let gateway = plan(&upstream).start_over(stores).await;
    let mut member = signed_in(&gateway).await;
    frail.is_down.store(true, Ordering::SeqCst);
    for (dialect, ask) in DIALECTS {
        assert_eq!(told(&member.send(ask("GET", "/")).await), nobody(503), "{dialect}");
        assert_eq!(told(&member.send(ask("GET", "/optional/")).await), nobody(503), "{dialect}");
        assert_eq!(told(&member.send(ask("GET", "/public/")).await), nobody(200), "{dialect}");
    }
    frail.is_down.store(false, Ordering::SeqCst);
    assert_eq!(told(&member.send(by_status("GET", "/")).await), jane());
}

#[tokio::test]
async fn a_yes_has_the_cookies_that_the_site_may_see() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let member = signed_in(&gateway).await;
    let session = format!("tollgate={}", member.session_cookie().unwrap());
    for (dialect, ask) in DIALECTS {
        for (cookies, shown) in [
            (format!("a=b; {session}; c=d"), Some("a=b; c=d")),
            (format!("{session}; __Host-tollgate=x; TOLLGATE_state=y; c=\"d; e\""), Some("c=\"d; e\"")),
            (session.clone(), None),
        ] {
            let mut proxy = Visitor::at(&gateway);
            let answer = proxy.send(ask("GET", "/").with("Cookie", &cookies)).await;
            assert_eq!(answer.status, 200, "{dialect}: {cookies}");
            assert_eq!(answer.header("cookie").as_deref(), shown, "{dialect}: {cookies}");
            // Envoy is told what to take away, as it takes nothing away by itself.
            let removed = answer.header("x-envoy-auth-headers-to-remove");
            let expected = if shown.is_some() { "x-forwarded-groups" } else { "x-forwarded-groups,cookie" };
            assert_eq!(removed.as_deref(), (dialect == "behind").then_some(expected), "{dialect}");
        }
        let mut proxy = Visitor::at(&gateway);
        let answer = proxy.send(ask("GET", "/public/").with("Cookie", "a=b").and("Cookie", "c=d")).await;
        assert_eq!(answer.header("cookie").as_deref(), Some("a=b; c=d"), "{dialect}");
    }
}

#[tokio::test]
async fn behind_a_proxy_with_tls_cookies_and_addresses_are_those_of_https() {
    let to_https =
        |site: SitePlan| site.with("public_url", "\"https://site.test\"").with("https_redirect", "true");
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).site(to_https).start().await;
    let mut member = Visitor::at(&gateway);
    let token = gateway.login_page().token_for("jane@example.com").await;
    let https =
        |ask: Ask| Ask { url: ask.url.replace("http:", "https:"), ..ask }.without("X-Forwarded-Proto");
    let location = member.send(https(handing_on("GET", &format!("/a?sso={token}")))).await.location();
    assert!(location.starts_with("https://site.test/.tollgate/redeem?"), "{location}");
    assert_eq!(member.get(&location).await.location(), "/a");
    assert!(member.cookie("__Host-tollgate").is_some());
    for (dialect, ask) in DIALECTS {
        assert_eq!(told(&member.send(https(ask("GET", "/a"))).await), jane(), "{dialect}");
    }
    let plain = Visitor::at(&gateway).send(handing_on("GET", "/a?b")).await;
    assert_eq!((plain.status, plain.location().as_str()), (308, "https://site.test/a?b"));
    assert_eq!(Visitor::at(&gateway).send(by_status("GET", "/public/")).await.status, 401);
}
