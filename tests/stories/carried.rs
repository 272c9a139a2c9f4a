//! Real proxies carry the requests and ask the gateway about each of them, with the configurations that
//! `docs/forward-auth.md` has for them. What the upstream behind them received is what counts.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::timeout;

use crate::servers::carriers::{Carrier, Kind};
use crate::support::{
    Ask, FakeUpstream, HANG, LOGIN_URL, LOGOUT_URL, Plan, Received, Response, SITE, SitePlan, TestGateway,
    Visitor, form_of, parameter, settle,
};

/// A site behind a proxy.
struct Scene {
    kind: Kind,
    upstream: FakeUpstream,
    gateway: TestGateway,
    carrier: Carrier,
}

impl Scene {
    async fn set(kind: Kind, change: impl FnOnce(SitePlan) -> SitePlan) -> Self {
        let upstream = FakeUpstream::start().await;
        // Nothing that is only asked about comes this way.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let site = SitePlan::new("intranet", "site.test", nowhere)
            .route_for(&["POST"], "/drop/", "off")
            .route_requiring("/desk/", r#"{ roles = ["chief"] }"#);
        let plan = Plan::of(change(site)).server("trusted_proxies", "[\"127.0.0.1\"]");
        let gateway = plan.start().await;
        let (asked, behind) = (gateway.http, upstream.address());
        let carrier = tokio::task::spawn_blocking(move || Carrier::start(kind, asked, behind));
        let carrier = carrier.await.expect("starts");
        // Some listen before they know what to do.
        let mut early = Visitor::of(carrier.address, Arc::clone(&gateway.clock));
        let ready = async {
            while early.get(&format!("{SITE}/public/")).await.status != 200 {
                settle().await;
            }
        };
        timeout(HANG, ready).await.unwrap_or_else(|_| panic!("{kind:?} carries nothing"));
        upstream.forget().await;
        Self { kind, upstream, gateway, carrier }
    }

    /// A stranger at the proxy.
    fn visitor(&self) -> Visitor {
        Visitor::of(self.carrier.address, Arc::clone(&self.gateway.clock))
    }

    /// Somebody who came back from the login page to the proxy.
    async fn member(&self, email: &str) -> Visitor {
        let mut visitor = self.visitor();
        let token = self.gateway.login_page().token_for(email).await;
        let (last, answer) = visitor.follow(&format!("{SITE}/optional/?sso={token}")).await;
        assert_eq!((last.as_str(), answer.status), ("http://site.test/optional/", 200), "{:?}", self.kind);
        self.upstream.forget().await;
        visitor
    }

    /// What the upstream received of a request, if it received any.
    async fn carries(&self, visitor: &mut Visitor, ask: Ask) -> (Response, Option<Received>) {
        let before = self.upstream.count();
        let answer = visitor.send(ask).await;
        let passed = self.upstream.count() > before;
        (answer, passed.then(|| self.upstream.last()))
    }
}

fn page(target: &str) -> Ask {
    Ask::navigate("GET", &format!("{SITE}{target}"))
}

/// Fails unless the upstream was told of Jane, or of nobody, and of nothing else.
fn told(received: &Received, of_jane: bool, what: &str) {
    let jane = |value: &str| of_jane.then(|| value.to_owned());
    let expected = [
        ("x-forwarded-user", jane("jane@example.com")),
        ("x-forwarded-email", jane("jane@example.com")),
        ("x-forwarded-name", jane("Jane Doe")),
        ("x-forwarded-role", jane("editor")),
        ("x-forwarded-groups", None),
    ];
    for (name, value) in &expected {
        assert_eq!(received.header(name), *value, "{what}: {name}");
    }
    let folded = |name: &str| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    for (name, value) in &received.headers.0 {
        let own =
            expected.iter().any(|(own, _)| *own == folded(name)) || folded(name).starts_with("x-tollgate-");
        let plain = expected.iter().any(|(own, _)| name.eq_ignore_ascii_case(own));
        assert!(!own || plain, "{what}: {name}: {}", String::from_utf8_lossy(value));
    }
}

#[tokio::test]
async fn a_person_signs_in_comes_to_the_page_and_leaves_again() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site.with("require_state", "true")).await;
        let mut person = scene.visitor();
        let deep = "/reports/q3?year=2025&who=J%C3%BCrgen+x&path=%2Fa%2Fb";
        let (_, answer) = person.follow(&format!("{SITE}{deep}")).await;
        let login = answer.location();
        assert!(login.starts_with(LOGIN_URL), "{kind:?}: {login}");
        assert_eq!(parameter(&login, "return_url"), format!("{SITE}{deep}"), "{kind:?}");
        let state = parameter(&login, "state");
        let fields = serde_json::json!({
            "email": "jane@example.com", "first_name": "Jane", "last_name": "Doe", "state": state,
        });
        let token = scene.gateway.login_page().token(fields).await;
        let stolen = scene.visitor().follow(&format!("{SITE}{deep}&sso={token}")).await.1;
        assert!(stolen.location().starts_with(LOGIN_URL), "{kind:?}: in another browser");
        scene.upstream.assert_untouched("a stranger").await;

        let (last, answer) = person.follow(&format!("{SITE}{deep}&sso={token}")).await;
        assert_eq!((last, answer.status), (format!("{SITE}{deep}"), 200), "{kind:?}");
        let received = scene.upstream.last();
        assert_eq!(received.target, deep, "{kind:?}");
        told(&received, true, &format!("{kind:?}"));
        assert_eq!(received.header("cookie"), None, "{kind:?}");
        scene.upstream.assert_never_saw(&token).await;
        person.jar.store(
            "own=kept",
            "site.test",
            false,
            tollgate::domain::clock::Clock::now(&*scene.gateway.clock),
        );
        let (_, received) = scene.carries(&mut person, page("/a")).await;
        assert_eq!(received.expect("passes").header("cookie").as_deref(), Some("own=kept"), "{kind:?}");

        let (answer, received) = scene.carries(&mut person, page("/desk/")).await;
        assert!(answer.status == 403 && received.is_none(), "{kind:?}: {answer:?}");
        assert!(answer.text().contains("/.tollgate/logout"), "{kind:?}: {}", answer.text());
        let script = Ask::script("GET", &format!("{SITE}/desk/"));
        let (answer, received) = scene.carries(&mut person, script).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str(), received.is_some()),
            (403, "forbidden", false)
        );

        let answer = person.get(&format!("{SITE}/.tollgate/session")).await;
        assert_eq!(answer.json()["user"]["email"], "jane@example.com", "{kind:?}");
        let bye = person.get(&format!("{SITE}/.tollgate/logout")).await;
        assert!(bye.location().starts_with(LOGOUT_URL), "{kind:?}");
        let (answer, received) = scene.carries(&mut person, page("/a")).await;
        assert!(answer.status == 302 && received.is_none(), "{kind:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_script_is_told_and_whoever_is_shut_out_stays_out() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site).await;
        let mut stranger = scene.visitor();
        let answer = stranger.fetch(&format!("{SITE}/api?x")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (401, "login_required"), "{kind:?}");
        let answer = stranger.send(Ask::navigate("POST", &format!("{SITE}/a")).form(&[("a", "b")])).await;
        assert_eq!(answer.status, 303, "{kind:?}");
        let preflight = Ask::script("OPTIONS", &format!("{SITE}/api"))
            .with("Origin", "http://evil.test")
            .with("Access-Control-Request-Method", "PUT");
        assert_eq!(stranger.send(preflight).await.status, 401, "{kind:?}");
        scene.upstream.assert_untouched("a stranger").await;

        let mut member = scene.member("jane@example.com").await;
        let upload = Ask::script("PUT", &format!("{SITE}/files/a?b")).body("text/plain", "all of it");
        let (answer, received) = scene.carries(&mut member, upload).await;
        let received = received.expect("passes");
        assert_eq!((answer.status, received.method.as_str()), (200, "PUT"), "{kind:?}");
        assert_eq!(
            (received.target.as_str(), &received.body[..]),
            ("/files/a?b", &b"all of it"[..]),
            "{kind:?}"
        );
        let (_, received) =
            scene.carries(&mut member, Ask::script("POST", &format!("{SITE}/drop/")).body("a/b", "c")).await;
        told(&received.expect("passes"), false, &format!("{kind:?}: an open path"));
        assert_eq!(scene.gateway.api().delete("/v1/sessions?email=jane@example.com").await.status, 200);
        let (answer, received) = scene.carries(&mut member, page("/a")).await;
        assert!(answer.status == 302 && received.is_none(), "{kind:?}: {answer:?}");
    }
}

#[tokio::test]
async fn no_client_says_who_it_is() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site).await;
        let mut member = scene.member("jane@example.com").await;
        for name in ["X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Tollgate-Assertion"] {
            let spellings = [
                name.to_owned(),
                name.to_lowercase(),
                name.to_uppercase(),
                name.replace('-', "_"),
                name.replacen('-', "_", 1),
                name.replace('-', "."),
                name.replacen('-', ".", 1),
                name.replace('-', "~"),
                name.replacen('-', "!", 1),
            ];
            for spelling in spellings {
                for (target, named) in [("/a", true), ("/optional/", true), ("/public/", false)] {
                    let ask = page(target).with(&spelling, "forged");
                    let what = format!("{kind:?}: {spelling} {target}");
                    let (answer, received) = scene.carries(&mut member, ask).await;
                    match received {
                        Some(received) => told(&received, named, &what),
                        None => assert!(answer.status >= 400, "{what}: {answer:?}"),
                    }
                    let mut stranger = scene.visitor();
                    let ask = page(target).with(&spelling, "forged").and(&spelling, "again");
                    let (_, received) = scene.carries(&mut stranger, ask).await;
                    assert!(!named || target == "/optional/" || received.is_none(), "{what}");
                    if let Some(received) = received {
                        told(&received, false, &what);
                    }
                }
            }
        }
        scene.upstream.assert_never_saw("forged").await;
    }
}

#[tokio::test]
async fn where_a_client_comes_from_is_told_and_not_believed() {
    for kind in Kind::ALL {
        let lan = r#"{ networks = ["127.0.9.9"] }"#;
        let scene = Scene::set(kind, |site| site.route_requiring("/lan/", lan)).await;
        let inside = scene.member("jane@example.com").await;
        let mut outside = scene.member("joe@example.com").await;
        let mut inside = inside.at_address(9, 9);
        let (answer, received) = scene.carries(&mut inside, page("/lan/")).await;
        assert!(received.is_some(), "{kind:?}: {answer:?}");
        for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Envoy-External-Address"] {
            let claim = if name == "Forwarded" { "for=127.0.9.9" } else { "127.0.9.9" };
            let (answer, received) = scene.carries(&mut outside, page("/lan/").with(name, claim)).await;
            assert!(answer.status == 403 && received.is_none(), "{kind:?}: {name} {answer:?}");
        }
    }
}

#[tokio::test]
async fn no_client_has_a_header_of_the_gateway_taken_away() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site).await;
        let mut member = scene.member("jane@example.com").await;
        for names in
            ["X-Forwarded-User, X-Forwarded-Email", "X-Forwarded-Role, Upgrade", "Cookie", "X-Forwarded-For"]
        {
            let (_, received) = scene.carries(&mut member, page("/a").with("Connection", names)).await;
            if let Some(received) = received {
                told(&received, true, &format!("{kind:?}: {names}"));
            }
        }
    }
}

#[tokio::test]
async fn nothing_in_a_request_leads_the_question_astray() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site).await;
        let stranger = scene.visitor();
        for (target, lines) in [
            ("/desk/", "X-Forwarded-Uri: /public/\r\nX-Forwarded-Method: GET\r\n"),
            ("/desk/", "X-Original-URI: /public/\r\nX-Original-Method: GET\r\n"),
            ("/desk/", "X-Original-URL: http://site.test/public/\r\nX-Rewrite-URL: /public/\r\n"),
            ("/public/", "X-Original-URL: /desk/\r\n"),
            ("/desk/", "X-Forwarded-Host: open.test\r\nX-Forwarded-Proto: https\r\n"),
            ("/drop/", "X-Forwarded-Method: POST\r\nX-HTTP-Method-Override: POST\r\n"),
            ("/desk/", "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n"),
            ("/desk/", "Connection: X-Forwarded-Uri, X-Original-URI, X-Forwarded-For, Cookie\r\n"),
            ("http://site.test/desk/", ""),
            ("http://site.test/public/../desk/", ""),
            ("http://open.test/desk/", ""),
            ("/desk/#/public/", ""),
            ("/public/#/../../desk/", ""),
            ("/public/../desk/", ""),
            ("/public/%2e%2e/desk/", ""),
            ("/public/..;/desk/", ""),
            ("/public/..%2fdesk/", ""),
            ("/public/%2e%2e%2fdesk/", ""),
            ("/public/%5c../desk/", ""),
            ("/public\\..\\desk/", ""),
            ("/.tollgate/../desk/", ""),
            ("/.tollgate/%2e%2e/desk/", ""),
            ("/.tollgate//../../desk/", ""),
            ("/.tollgate;/../desk/", ""),
            ("//desk/", ""),
            ("//public/../desk/", ""),
            ("/%64esk/", ""),
            ("/desk;x=/public/", ""),
            ("/desk/?/public/", ""),
            ("/DESK/../public/", ""),
            ("/.tollgate/auth", "X-Forwarded-Uri: /desk/\r\nX-Forwarded-Method: GET\r\n"),
            ("/.tollgate/auth/public/", ""),
            ("/.tollgate/auth/../../desk/", ""),
        ] {
            let before = scene.upstream.count();
            for method in ["GET", "HEAD", "PUT"] {
                let request = format!("{method} {target} HTTP/1.1\r\nHost: site.test\r\n{lines}\r\n");
                stranger.send_raw(request.as_bytes()).await;
            }
            settle().await;
            for received in scene.upstream.requests().drain(before..) {
                // What came through must be what the gateway itself would let anybody have.
                let path = received.target.split('?').next().unwrap_or_default();
                let is_open = path.starts_with("/public/") && !path.contains("..") && !path.contains('%');
                assert!(is_open, "{kind:?}: {target} {lines}\n{received:?}");
                for name in ["x-original-url", "x-rewrite-url"] {
                    assert_eq!(received.header(name), None, "{kind:?}: {target}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_passes_is_carried_as_it_was_judged() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site).await;
        let mut member = scene.member("jane@example.com").await;
        for target in
            ["/a%20b?c=%2F&d=e+f&g", "/x;y=z/w", "/a//b", "/%C3%A4?%C3%A4", "/?", "/a/?a?b", "/~x/(y)!'*"]
        {
            let (answer, received) = scene.carries(&mut member, page(target)).await;
            let received = received.unwrap_or_else(|| panic!("{kind:?}: {target} {answer:?}"));
            // Traefik folds slashes before it asks, and some leave out the mark of an empty query.
            let asked = if kind == Kind::Traefik { target.replace("//", "/") } else { target.to_owned() };
            assert_eq!(received.target.trim_end_matches('?'), asked.trim_end_matches('?'), "{kind:?}");
            told(&received, true, &format!("{kind:?}: {target}"));
        }
    }
}

#[tokio::test]
async fn a_confirmation_and_a_strict_cookie_work_and_a_token_never_passes() {
    for kind in Kind::ALL {
        let strict = |site: SitePlan| site.with("redeem", "\"confirm\"").cookie("same_site", "\"strict\"");
        let scene = Scene::set(kind, strict).await;
        let token = scene.gateway.login_page().token_for("jane@example.com").await;
        let mut person = scene.visitor();
        let target = format!("{SITE}/public/a?b&sso={token}");
        for refused in [
            Ask::navigate("POST", &target).form(&[("a", "b")]),
            Ask::script("GET", &target),
            Ask::navigate("GET", &target).with("Sec-Purpose", "prefetch"),
        ] {
            assert_eq!(person.send(refused).await.status, 403, "{kind:?}");
        }
        assert!((300..500).contains(&person.send(Ask::navigate("HEAD", &target)).await.status), "{kind:?}");
        let (_, asked) = person.follow(&target).await;
        let (action, fields) = form_of(&asked.text());
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let form = Ask::navigate("POST", &format!("{SITE}{action}")).form(&fields);
        let moved = person.send(form.with("Sec-Fetch-Site", "cross-site")).await;
        assert!(moved.header("refresh").is_some_and(|to| to.ends_with("/public/a?b")), "{kind:?}: {moved:?}");
        assert!(person.session_cookie().is_some(), "{kind:?}");
        scene.upstream.assert_never_saw(&token).await;
        assert!(scene.carries(&mut person, page("/a")).await.1.is_some(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_websocket_is_for_the_sites_own_pages() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site).await;
        let mut member = scene.member("jane@example.com").await;
        let socket = |origin: &str| {
            Ask::bare("GET", &format!("{SITE}/chat"))
                .with("Connection", "Upgrade")
                .with("Upgrade", "websocket")
                .with("Sec-WebSocket-Version", "13")
                .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
                .with("Origin", origin)
        };
        let (answer, received) = scene.carries(&mut member, socket("http://evil.test")).await;
        assert!(answer.status == 403 && received.is_none(), "{kind:?}: {answer:?}");
        let (_, received) = scene.carries(&mut member, socket(SITE)).await;
        let received = received.expect("passes");
        assert!(received.headers.lists("upgrade", "websocket"), "{kind:?}: {received:?}");
        told(&received, true, &format!("{kind:?}"));
        // Behind another protocol there could be requests that nobody judges.
        let tunnel = page("/a").with("Connection", "Upgrade, HTTP2-Settings").with("Upgrade", "h2c");
        for mut visitor in [scene.visitor(), scene.member("joe@example.com").await] {
            let (_, received) = scene.carries(&mut visitor, tunnel.clone().with("HTTP2-Settings", "")).await;
            assert!(received.is_none_or(|it| it.header("upgrade").is_none()), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn without_the_gateway_nothing_passes() {
    for kind in Kind::ALL {
        let scene = Scene::set(kind, |site| site).await;
        let mut member = scene.member("jane@example.com").await;
        let Scene { gateway, upstream, carrier: _carrier, .. } = scene;
        gateway.stop().await;
        for target in ["/a", "/public/", "/optional/", "/.tollgate/session"] {
            let answer = member.send(page(target)).await;
            assert!(answer.status >= 500, "{kind:?}: {answer:?}");
        }
        upstream.assert_untouched("nobody can say yes").await;
    }
}
