//! What hostile pages, people and data try at the admin page.

use serde_json::json;

use crate::support::{Ask, FakeUpstream, MASTER_KEY, Operator, Plan, SITE, TestGateway, Visitor};

const NEXT: &str = "next-key-of-the-stories-0123456789-abcdefghijklm";

/// Places that show something or change something.
const PLACES: [&str; 14] = [
    "",
    "sessions",
    "sessions/end?email=jane@example.com",
    "sessions/00000000000000000000000000000000",
    "users",
    "users/1",
    "users/1/delete",
    "links",
    "sites",
    "upstreams",
    "events",
    "certificates",
    "sign-out",
    "nothing",
];

async fn with_jane(plan: Plan) -> (TestGateway, Visitor) {
    let gateway = plan.start().await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    (gateway, jane)
}

#[tokio::test]
async fn a_stranger_sees_nothing_but_the_form_to_sign_in() {
    let upstream = FakeUpstream::start().await;
    let (gateway, jane) = with_jane(Plan::new(&upstream)).await;
    let mut stranger = Operator::at(&gateway);
    let session = jane.session_cookie().unwrap();
    for cookie in [
        None,
        Some(format!("tollgate_admin={MASTER_KEY}")),
        Some(format!("tollgate_admin={session}")),
        Some(format!("tollgate_admin={}", "A".repeat(43))),
        Some("tollgate_admin=".to_owned()),
        Some(format!("tollgate={session}")),
    ] {
        stranger.cookie = cookie;
        for place in PLACES {
            for method in ["GET", "POST", "DELETE"] {
                let own = [("Sec-Fetch-Site", "same-origin"), ("Authorization", "Bearer x")];
                let answer = stranger.ask(method, place, &own, b"").await;
                let text = answer.text();
                assert_eq!(answer.status, 401, "{method} {place}: {text}");
                assert!(
                    text.contains("API key") && !text.contains("Jane Doe") && !text.contains("intranet"),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(gateway.api().get("/v1/users/1").await.status, 200);
}

#[tokio::test]
async fn a_key_has_to_be_there_to_be_an_admin_and_for_all_sites() {
    let upstream = FakeUpstream::start().await;
    let weak = "weak-key-of-the-stories-0123456789-abcdefghijkl";
    let narrow = "narrow-key-of-the-stories-0123456789-abcdefghij";
    let all = "[\"write:sso\", \"read:sessions\", \"write:sessions\", \"read:users\", \"write:users\"]";
    let plan = Plan::new(&upstream)
        .key(&format!("name = \"weak\"\nsecret = {weak:?}\nscopes = {all}\npermission = \"super\""))
        .key(&format!(
            "name = \"narrow\"\nsecret = {narrow:?}\nscopes = [\"admin\"]\nsites = [\"intranet\"]"
        ));
    let gateway = plan.start().await;
    let mut operator = Operator::at(&gateway);
    for (key, why) in [
        (weak, "does not have the scope admin"),
        (narrow, "for some sites only"),
        ("no-key-that-anybody-has", "There is no such key."),
        ("", "There is no such key."),
    ] {
        let answer = operator.sign_in(key).await;
        assert_eq!(answer.status, 403, "{key}");
        assert!(
            answer.text().contains(why) && answer.header("set-cookie").is_none(),
            "{key}: {}",
            answer.text()
        );
        assert!(key.is_empty() || !answer.text().contains(key), "{key} is shown");
    }
    assert_eq!(operator.get("").await.status, 401);
}

#[tokio::test]
async fn wrong_keys_are_counted_together_with_those_of_the_api() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut operator = Operator::at(&gateway);
    let api = gateway.api().with_key(Some("no-key-that-anybody-has"));
    for _ in 0..15 {
        assert_eq!(api.get("/v1/users").await.status, 401);
        assert_eq!(operator.sign_in("no-key-that-anybody-has").await.status, 403);
    }
    let held = operator.sign_in("no-key-that-anybody-has").await;
    assert_eq!(held.status, 429);
    assert!(held.header("retry-after").is_some());
    assert_eq!(api.get("/v1/users").await.status, 429);
    // A right key is never held back.
    assert_eq!(operator.sign_in(MASTER_KEY).await.status, 303);
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let (gateway, mut jane) = with_jane(Plan::new(&upstream)).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let token = operator.token().await;
    let own = operator.origin.clone();
    let neighbour = format!("http://{}", gateway.http);
    let headers: [&[(&str, &str)]; 9] = [
        &[],
        &[("Origin", "null")],
        &[("Origin", "https://evil.example")],
        &[("Origin", &neighbour)],
        &[("Origin", &own), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", &own), ("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", &own), ("Origin", &own)],
    ];
    for headers in headers {
        for place in ["sessions/end", "users/1/delete", "sign-out", "links"] {
            // Even if the token has come out somehow.
            let fields = [
                ("token", token.as_str()),
                ("email", "jane@example.com"),
                ("site", "intranet"),
                ("name", "J"),
            ];
            let answer = operator.send_with(place, headers, &fields).await;
            assert_eq!(answer.status, 403, "{place} {headers:?}: {}", answer.text());
        }
        // Nor is anybody signed in by another site's page.
        let answer = operator.send_with("sign-in", headers, &[("key", MASTER_KEY)]).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{headers:?}");
    }
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 200);
    assert_eq!(operator.get("").await.status, 200);
}

#[tokio::test]
async fn a_form_without_the_operators_own_token_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let (gateway, mut jane) = with_jane(Plan::new(&upstream)).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let other = Operator::with_key(&gateway, MASTER_KEY).await.token().await;
    let cookie = operator.cookie.clone().unwrap();
    let cookie = cookie.trim_start_matches("tollgate_admin=");
    for token in ["", "x", other.as_str(), cookie, MASTER_KEY] {
        for place in
            ["sessions/end", "users/1/delete", "users/1/role", "users/1/account", "links", "sign-out"]
        {
            let fields = [
                ("token", token),
                ("email", "jane@example.com"),
                ("site", "intranet"),
                ("role", "chief"),
                ("account", "full"),
                ("name", "J"),
            ];
            assert_eq!(operator.send(place, &fields).await.status, 403, "{place} {token}");
        }
    }
    // What cannot be read is no form either.
    let token = operator.token().await;
    let own = [("Sec-Fetch-Site", "same-origin"), ("Content-Type", "application/x-www-form-urlencoded")];
    let doubled = format!("token={token}&email=jane%40example.com&email=joe%40example.com");
    assert_eq!(operator.ask("POST", "sessions/end", &own, doubled.as_bytes()).await.status, 400);
    let plain = [("Sec-Fetch-Site", "same-origin"), ("Content-Type", "text/plain")];
    let body = format!("token={token}&email=jane%40example.com");
    assert_eq!(operator.ask("POST", "sessions/end", &plain, body.as_bytes()).await.status, 400);
    let long = format!("{body}&more={}", "a".repeat(70_000));
    assert_eq!(operator.ask("POST", "sessions/end", &own, long.as_bytes()).await.status, 413);
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 200);
    assert_eq!(gateway.api().get("/v1/users/1").await.json()["roles"]["intranet"], "editor");
}

#[tokio::test]
async fn to_look_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let (gateway, mut jane) = with_jane(Plan::new(&upstream)).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let token = operator.token().await;
    for place in [
        "sessions/end",
        "users/1/delete",
        "users/1/leave",
        "users/1/role",
        "users/1/account",
        "sign-out",
        "links",
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let query = format!(
                "{place}?token={token}&email=jane%40example.com&site=intranet&role=chief&account=full&name=J"
            );
            let answer = operator.ask(method, &query, &[("Sec-Fetch-Site", "same-origin")], b"").await;
            assert!(matches!(answer.status, 200 | 405), "{method} {place}: {}", answer.status);
        }
    }
    assert_eq!(operator.get("").await.status, 200);
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 200);
    let users = gateway.api().get("/v1/users").await.json();
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&users["users"][0]["roles"]["intranet"], &users["users"][0]["account"]),
        (&json!("editor"), &json!("guest"))
    );
}

#[tokio::test]
async fn who_came_in_by_a_key_goes_with_it() {
    let upstream = FakeUpstream::start().await;
    let mut gateway = TestGateway::before(&upstream).await;
    let next = format!("name = \"next\"\nsecret = {NEXT:?}\nscopes = [\"admin\"]");
    for replaced in [
        // Gone; somebody else's; of the same name and another secret; less than it was; for some sites.
        vec![next.clone()],
        vec![format!("name = \"other\"\nsecret = {MASTER_KEY:?}\nscopes = [\"admin\"]")],
        vec![format!("name = \"master\"\nsecret = {NEXT:?}\nscopes = [\"admin\"]")],
        vec![next.clone(), format!("name = \"master\"\nsecret = {MASTER_KEY:?}\nscopes = [\"write:sso\"]")],
        vec![
            next,
            format!(
                "name = \"master\"\nsecret = {MASTER_KEY:?}\nscopes = [\"admin\"]\nsites = [\"intranet\"]"
            ),
        ],
    ] {
        gateway.reload(&Plan::new(&upstream)).await.unwrap();
        let operator = Operator::with_key(&gateway, MASTER_KEY).await;
        gateway.reload(&Plan::new(&upstream)).await.unwrap();
        assert_eq!(operator.get("sessions").await.status, 200, "another reload is no reason");
        let plan = replaced.iter().fold(Plan::new(&upstream).without_keys(), |plan, key| plan.key(key));
        gateway.reload(&plan).await.unwrap();
        assert_eq!(operator.get("sessions").await.status, 401, "{replaced:?}");
        // It does not come back with it.
        gateway.reload(&Plan::new(&upstream)).await.unwrap();
        assert_eq!(operator.get("sessions").await.status, 401, "{replaced:?}");
    }
}

#[tokio::test]
async fn who_came_in_by_an_old_secret_goes_when_that_ends() {
    let upstream = FakeUpstream::start().await;
    let until = tollgate::domain::clock::Timestamp::from_millis(1_763_800_000_000 + 10 * 60_000).to_rfc3339();
    let plan = Plan::new(&upstream).without_keys().key(&format!(
        "name = \"master\"\nsecret = {NEXT:?}\nscopes = [\"admin\"]\n\
         [[api_key.previous]]\nsecret = {MASTER_KEY:?}\nexpires_at = {until}"
    ));
    let gateway = plan.start().await;
    let (old, new) =
        (Operator::with_key(&gateway, MASTER_KEY).await, Operator::with_key(&gateway, NEXT).await);
    gateway.advance(crate::support::minutes(9));
    assert_eq!((old.get("").await.status, new.get("").await.status), (200, 200));
    gateway.advance(crate::support::minutes(1));
    assert_eq!((old.get("").await.status, new.get("").await.status), (401, 200));
    let late = Operator::at(&gateway).sign_in(MASTER_KEY).await;
    assert!(late.status == 403 && late.text().contains("This key has ended"), "{}", late.text());
}

#[tokio::test]
async fn a_name_that_leads_here_all_of_a_sudden_gets_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).control("hosts", "[\"gate.example.com\"]").start().await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let port = gateway.control.port();
    let ask = |host: String| {
        let cookie = operator.cookie.clone().unwrap();
        let request = format!("GET /admin/ HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n");
        let api = gateway.api();
        async move { api.send_raw(request.as_bytes()).await.expect("an answer") }
    };
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "x.gate.example.com",
        "localhost1",
    ] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let answer = ask(host.clone()).await;
            assert_eq!(answer.status, 421, "{host}");
            assert!(!answer.text().contains("Signed in"), "{host}");
            let names = answer.text().replace("x.gate.example.com", "").contains("gate.example.com");
            assert!(!names, "a stranger learns no names: {}", answer.text());
        }
    }
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "gate.example.com"] {
        assert_eq!(ask(format!("{host}:{port}")).await.status, 200, "{host}");
    }
    // What needs no key is not read either; and whether it is well, balancers ask under any name.
    for (path, host, status) in [
        ("/metrics", "evil.example", 421),
        ("/docs", "evil.example:8081", 421),
        ("/v1/openapi.json", "evil.example", 421),
        ("/metrics", "localhost:8081", 200),
        ("/metrics", "gate.example.com", 200),
        ("/healthz", "evil.example", 200),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = gateway.api().send_raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, status, "{path} {host}");
    }
    // With the right key as well, and from a page of its own by then.
    let body = format!("key={MASTER_KEY}");
    let sign_in = format!(
        "POST /admin/sign-in HTTP/1.1\r\nHost: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n\
         Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = gateway.api().send_raw(sign_in.as_bytes()).await.unwrap();
    assert_eq!((answer.status, answer.header("set-cookie")), (421, None));
    for heads in ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: \r\n"] {
        let answer = gateway.api().send_raw(format!("GET /admin/ HTTP/1.1\r\n{heads}\r\n").as_bytes()).await;
        assert!(answer.is_none_or(|answer| matches!(answer.status, 400 | 421)), "{heads:?}");
    }
}

#[tokio::test]
async fn the_admin_page_is_nowhere_on_the_public_listeners_and_its_cookie_reaches_no_site() {
    let upstream = FakeUpstream::start().await;
    let (gateway, mut jane) = with_jane(Plan::new(&upstream)).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let cookie = operator.cookie.clone().unwrap();
    for path in ["/admin/", "/admin", "/admin/sessions", "/.tollgate/admin/"] {
        let answer = Visitor::at(&gateway).get(&format!("{SITE}{path}")).await;
        assert!(!answer.text().contains("API key"), "{path}: {}", answer.text());
    }
    // A browser sends it along to every port of the host.
    let session = jane.session_cookie().unwrap();
    let both = format!("a=b; {cookie}; tollgate={session}; __Host-tollgate_admin=x; TOLLGATE_ADMIN=y");
    let raw = format!("GET /admin/ HTTP/1.1\r\nHost: site.test\r\nCookie: {both}\r\n\r\n");
    let answer = jane.send_raw(raw.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.last().header("cookie").as_deref(), Some("a=b"));
    // And a site does not plant one.
    let planted =
        crate::support::Answer::page("hello").with("Set-Cookie", &format!("{cookie}; Path=/admin/"));
    upstream.answers(planted);
    let answer = jane.send(Ask::navigate("GET", &format!("{SITE}/a"))).await;
    assert!(answer.headers.all("set-cookie").is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_planted_cookie_does_not_lock_an_operator_out() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let own = operator.cookie.clone().unwrap();
    operator.cookie = Some(format!("tollgate_admin={}; tollgate_admin=x; {own}", "A".repeat(43)));
    assert_eq!(operator.get("").await.status, 200);
}

#[tokio::test]
async fn every_answer_keeps_other_pages_out() {
    let upstream = FakeUpstream::start().await;
    let (gateway, _) = with_jane(Plan::new(&upstream)).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let page = operator.page("").await;
    let (_, asset) = page.split_once("href=\"/admin/assets/").unwrap();
    let asset = format!("assets/{}", asset.split('"').next().unwrap());
    let mut answers = vec![
        (Operator::at(&gateway).get("").await, true),
        (operator.get(&asset).await, false),
        (operator.get("assets/other.css").await, true),
        (operator.send_with("sign-out", &[], &[]).await, true),
        (gateway.api().with_key(None).get("/admin").await, true),
    ];
    for place in PLACES {
        answers.push((operator.get(place).await, true));
    }
    for (answer, is_fleeting) in answers {
        let policy = answer.header("content-security-policy").unwrap();
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers.all(name), [value], "{name}");
        }
        assert_eq!(answer.header("cache-control").as_deref() == Some("no-store"), is_fleeting, "{answer:?}");
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    // Nothing in the pages is of the kind that the policy would stop.
    for place in PLACES {
        let text = operator.get(place).await.text();
        assert!(
            !text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick"),
            "{place}"
        );
    }
}

#[tokio::test]
async fn no_page_has_a_secret_in_it() {
    let upstream = FakeUpstream::start().await;
    let (gateway, jane) = with_jane(Plan::new(&upstream)).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let open = gateway.login_page().token_for("joe@example.com").await;
    let cookie = operator.cookie.clone().unwrap();
    let cookie = cookie.trim_start_matches("tollgate_admin=");
    for place in PLACES {
        let text = operator.get(place).await.text();
        for secret in [MASTER_KEY, &open, cookie, &jane.session_cookie().unwrap()] {
            assert!(!text.contains(secret), "{place}");
        }
    }
}
