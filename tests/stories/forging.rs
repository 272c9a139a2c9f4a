//! What a client says about who it is and where it comes from never reaches the upstream as if
//! the gateway had said it.

use crate::support::{Ask, FakeUpstream, Plan, Received, SITE, TestGateway, Visitor};

const FORGED: &str = "forged-by-the-client";

/// The header names that only the gateway may set on the site of these stories.
const OWN: [&str; 11] = [
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Name",
    "X-Forwarded-Role",
    "X-Forwarded-Groups",
    "X-WEBAUTH-USER",
    "X-Tollgate-Assertion",
    "X-Tollgate-Anything",
    "X-Tollgate-",
    "X-Access-Class",
    "X-Access-Required",
];

/// Each path with whether a session is there, and whether the upstream is told of it.
const VISITS: [(&str, bool, bool); 5] = [
    ("/closed", true, true),
    ("/optional/a", true, true),
    ("/optional/a", false, false),
    ("/public/a", true, false),
    ("/public/a", false, false),
];

fn plan(upstream: &FakeUpstream) -> Plan {
    Plan::new(upstream).site(|site| site.identity_header("X-WEBAUTH-USER", "{email}"))
}

/// How one name can be spelled so that some server takes it for another.
fn spellings(name: &str) -> Vec<String> {
    let mut mixed: String = String::new();
    for (at, c) in name.chars().enumerate() {
        mixed.push(if at % 2 == 0 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() });
    }
    let last = name.rfind('-').unwrap_or(0);
    vec![
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        mixed,
        name.replace('-', "_"),
        name.replace('-', "_").to_uppercase(),
        name.replace('-', "."),
        name.replace('-', "+"),
        name.replace('-', "!"),
        name.replacen('-', "~", 1),
        name.replacen('-', "_", 1),
        name.replacen('-', ".", 1),
        format!("{}_{}", &name[..last], &name[last + 1..]),
        format!("{}.{}", &name[..last], &name[last + 1..]).to_lowercase(),
    ]
}

/// Fails unless the upstream was told exactly what the gateway knows.
fn told(request: &Received, of_jane: bool, what: &str) {
    let jane = |value: &str| of_jane.then(|| value.to_owned());
    for (name, value) in [
        ("x-forwarded-user", jane("jane@example.com")),
        ("x-forwarded-email", jane("jane@example.com")),
        ("x-forwarded-name", jane("Jane Doe")),
        ("x-forwarded-role", jane("editor")),
        ("x-webauth-user", jane("jane@example.com")),
        ("x-forwarded-groups", None),
    ] {
        assert_eq!(request.header(name), value, "{what}: {name}");
    }
    let forged = |value: &[u8]| String::from_utf8_lossy(value).contains(FORGED);
    let fields = request.headers.0.iter().chain(&request.trailers.0);
    let found: Vec<_> = fields.filter(|(_, value)| forged(value)).collect();
    assert!(found.is_empty(), "{what}: {found:?}");
}

async fn jane(gateway: &TestGateway) -> String {
    let mut visitor = Visitor::at(gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    format!("Cookie: tollgate={}\r\n", visitor.session_cookie().expect("signed in"))
}

#[tokio::test]
async fn a_forged_identity_header_never_arrives_however_it_is_spelled() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let cookie = jane(&gateway).await;
    let visitor = Visitor::at(&gateway);
    for (path, has_session, is_told) in VISITS {
        let cookie = if has_session { cookie.as_str() } else { "" };
        for name in OWN.iter().flat_map(|name| spellings(name)) {
            for fields in [
                format!("{name}: {FORGED}\r\n{cookie}"),
                format!("{cookie}{name}: {FORGED}\r\n"),
                format!("{name}: {FORGED}\r\n{cookie}{name}: {FORGED} again\r\n"),
                format!("{name}:\t {FORGED}\t\r\n{cookie}"),
                format!("{cookie}{name}: {FORGED}\r\nConnection: {name}\r\n"),
                format!(
                    "{cookie}Connection: keep-alive, {name}\r\nconnection: {name}\r\n{name}: {FORGED}\r\n"
                ),
            ] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n");
                let before = upstream.count();
                let answer = visitor.send_raw(request.as_bytes()).await.expect("an answer");
                assert_eq!(answer.status, 200, "{request:?}");
                assert_eq!(upstream.count(), before + 1, "{request:?}");
                told(&upstream.last(), is_told, &request);
            }
        }
    }
    upstream.assert_never_saw(FORGED).await;
}

#[tokio::test]
async fn a_forged_trailer_never_arrives() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let cookie = jane(&gateway).await;
    let visitor = Visitor::at(&gateway);
    for (path, has_session, is_told) in VISITS {
        let cookie = if has_session { cookie.as_str() } else { "" };
        for name in OWN.iter().flat_map(|name| spellings(name)) {
            for announced in [format!("Trailer: {name}\r\n"), "TE: trailers\r\n".to_owned(), String::new()] {
                let request = format!(
                    "POST {path} HTTP/1.1\r\nHost: site.test\r\n{cookie}{announced}Transfer-Encoding: chunked\r\n\r\n\
                     5\r\nhello\r\n0\r\n{name}: {FORGED}\r\nX-Harmless: yes\r\n\r\n"
                );
                let answer = visitor.send_raw(request.as_bytes()).await.expect("an answer");
                assert_eq!(answer.status, 200, "{request:?}");
                assert_eq!(upstream.last().body, b"hello", "{request:?}");
                told(&upstream.last(), is_told, &request);
            }
        }
    }
    upstream.assert_never_saw(FORGED).await;
}

#[tokio::test]
async fn a_header_that_is_no_header_is_refused_and_not_guessed_at() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let visitor = Visitor::at(&gateway);
    for fields in [
        format!("X-Forwarded-User : {FORGED}"),
        format!("X-Forwarded-User\t: {FORGED}"),
        format!(" X-Forwarded-User: {FORGED}"),
        format!("X-A: b\r\n X-Forwarded-User: {FORGED}"),
        format!("X-A: b\rX-Forwarded-User: {FORGED}"),
        format!("X-A: b\0X-Forwarded-User: {FORGED}"),
        format!("X-Forwarded-User\0: {FORGED}"),
        format!("\"X-Forwarded-User\": {FORGED}"),
        format!("X-Forwarded\u{2010}User: {FORGED}"),
        format!("X-Forwarded-User\u{a0}: {FORGED}"),
    ] {
        let request = format!("GET /public/a HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n\r\n");
        let answer = visitor.send_raw(request.as_bytes()).await;
        assert_eq!(answer.map(|answer| answer.status), Some(400), "{request:?}");
    }
    upstream.assert_untouched("broken headers").await;
}

#[tokio::test]
async fn connection_cannot_take_away_what_the_gateway_says() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let cookie = jane(&gateway).await;
    let visitor = Visitor::at(&gateway);
    for nominated in [
        "X-Forwarded-User",
        "x-forwarded-email, X-FORWARDED-NAME, x-forwarded-role, X-WebAuth-User",
        "close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Real-IP, Forwarded, X-Request-Id",
        "Host, Cookie, Content-Length, Transfer-Encoding",
    ] {
        let request =
            format!("GET /closed HTTP/1.1\r\nHost: site.test\r\n{cookie}Connection: {nominated}\r\n\r\n");
        let answer = visitor.send_raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{nominated}");
        let seen = upstream.last();
        told(&seen, true, nominated);
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "host"] {
            assert!(seen.header(name).is_some(), "{nominated}: {name} in {seen:?}");
        }
    }
}

/// A CGI program takes `Proxy` for the proxy that its own requests go through (CVE-2016-5385).
#[tokio::test]
async fn nobody_says_through_which_proxy_the_site_is_to_ask() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let cookie = jane(&gateway).await;
    for (path, has_session, _) in VISITS {
        let cookie = if has_session { cookie.as_str() } else { "" };
        for name in ["Proxy", "proxy", "PROXY"] {
            let fields = format!("{cookie}{name}: http://{FORGED}/\r\nProxy-Status: passes");
            let head = format!("POST {path} HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n");
            let chunks =
                format!("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{name}: {FORGED}\r\n\r\n");
            let answer =
                Visitor::at(&gateway).send_raw((head + &chunks).as_bytes()).await.expect("an answer");
            assert_eq!(answer.status, 200, "{path} {name}");
            assert_eq!(upstream.last().header("proxy-status").as_deref(), Some("passes"), "{path}");
        }
    }
    upstream.assert_never_saw(FORGED).await;
}

#[tokio::test]
async fn nobody_is_believed_about_where_a_request_comes_from() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let cookie = jane(&gateway).await;
    let visitor = Visitor::at(&gateway);
    for (path, has_session, _) in VISITS {
        let cookie = if has_session { cookie.as_str() } else { "" };
        for fields in [
            "X-Forwarded-For: 6.6.6.6",
            "x-forwarded-for: 6.6.6.6\r\nX-FORWARDED-FOR: 127.0.0.1, 6.6.6.6",
            "X_Forwarded_For: 6.6.6.6\r\nX.Forwarded.For: 6.6.6.6",
            "X-Forwarded-Proto: https-6.6.6.6\r\nX-Forwarded-Host: 6.6.6.6\r\nX-Forwarded-Port: 6.6.6.6",
            "Forwarded: for=6.6.6.6;proto=https;host=6.6.6.6;by=6.6.6.6",
            "X-Real-IP: 6.6.6.6",
            "X-Request-Id: 6.6.6.6",
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: site.test\r\n{cookie}{fields}\r\n\r\n");
            assert_eq!(
                visitor.send_raw(request.as_bytes()).await.expect("an answer").status,
                200,
                "{fields}"
            );
            let seen = upstream.last();
            assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.1"), "{fields}");
            assert_eq!(seen.header("x-real-ip").as_deref(), Some("127.0.0.1"), "{fields}");
            assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"), "{fields}");
            assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("site.test"), "{fields}");
            assert!(seen.header("x-request-id").is_some_and(|id| id.len() >= 16), "{fields}");
        }
    }
    upstream.assert_never_saw("6.6.6.6").await;
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_about_where_a_request_comes_from_and_about_nothing_else() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).server("trusted_proxies", "[\"127.0.0.1/32\"]").start().await;
    let mut visitor = Visitor::at(&gateway);
    let ask = || {
        Ask::navigate("GET", &format!("{SITE}/public/a"))
            .with("X-Forwarded-For", "1.1.1.1, 6.6.6.6")
            .with("X-Forwarded-Proto", "https")
            .with("X-Request-Id", "0123456789abcdef-from-the-proxy")
            .with("X-Forwarded-User", FORGED)
            .with("X_Tollgate_Assertion", FORGED)
    };
    assert_eq!(visitor.send(ask()).await.status, 200);
    let seen = upstream.last();
    told(&seen, false, "from a trusted proxy");
    let hops = seen.header("x-forwarded-for").expect("a chain");
    assert!(hops.starts_with("1.1.1.1, 6.6.6.6"), "{hops}");
    assert_eq!(seen.header("x-real-ip").as_deref(), Some("6.6.6.6"), "the last hop that is not ours");
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(seen.header("x-request-id").as_deref(), Some("0123456789abcdef-from-the-proxy"));

    let mut other = Visitor::at(&gateway).at_address(3, 1);
    assert_eq!(other.send(ask()).await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.3.1"), "another proxy is not");
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"));
    assert_ne!(seen.header("x-request-id").as_deref(), Some("0123456789abcdef-from-the-proxy"));
}

/// Whoever comes in turn over one connection, as behind a proxy: each is told of as who they are at that moment.
#[tokio::test]
async fn of_many_who_share_a_connection_each_is_told_of_alone() {
    let upstream = FakeUpstream::start().await;
    for trusted in ["[]", "[\"127.0.0.1\"]"] {
        let plan = Plan::new(&upstream).server("trusted_proxies", trusted);
        let rules = |first: (&str, &str), second: (&str, &str)| {
            let plan = plan.clone();
            plan.site(|site| site.identity_header(first.0, first.1).identity_header(second.0, second.1))
        };
        let plans = [
            rules(("X-App-Mail", "{email}"), ("X-App-Role", "{role}")),
            rules(("X-App-Role", "{role}"), ("X-App-Mail", "{email}")),
        ];
        let mut gateway = plans[0].clone().start().await;
        let api = gateway.api();
        let mut people = Vec::new();
        for name in ["jane", "john", "jack"] {
            let email = format!("{name}@example.com");
            let mut visitor = Visitor::at(&gateway);
            visitor.sign_in(&gateway.login_page(), &email).await;
            let (users, _) = api.all(&format!("/v1/users?email={email}")).await;
            people.push((email, users[0]["id"].as_str().unwrap().to_owned(), "editor".to_owned(), visitor));
        }
        let mut connection = Visitor::at(&gateway).connect().await;
        for turn in 0..240_usize {
            // Some come several times in a row, and some once between others.
            let who = [0, 0, 0, 1, 3, 1, 1, 2, 0, 2, 3, 3, 2, 2][(turn * 5 / 4) % 14];
            match turn % 24 {
                7 => {
                    let (_, id, role, _) = &mut people[turn % 3];
                    *role = if role == "editor" { "chief".to_owned() } else { "editor".to_owned() };
                    let change = serde_json::json!({ "roles": { "intranet": role } });
                    assert_eq!(api.patch(&format!("/v1/users/{id}"), &change).await.status, 200);
                }
                13 => gateway.reload(&plans[(turn / 24 + 1) % 2]).await.unwrap(),
                19 => {
                    let (email, _, _, visitor) = &mut people[turn % 3];
                    let out = Ask::navigate("POST", &format!("{SITE}/.tollgate/logout")).form(&[]);
                    assert!(visitor.send(out).await.status < 400);
                    visitor.sign_in(&gateway.login_page(), email).await;
                }
                _ => {}
            }
            let person = people.get(who);
            let key = person.and_then(|(.., visitor)| visitor.session_cookie());
            let cookie = key.map_or(String::new(), |key| format!("Cookie: tollgate={key}\r\n"));
            let request = format!(
                "GET /optional/{turn} HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-For: 192.0.2.{who}\r\n\
                 X-App-Mail: root\r\nX-App-Role: root\r\n{cookie}\r\n"
            );
            let answer = connection.exchange(request.as_bytes(), "GET").await.expect("goes on");
            let received = upstream.last();
            assert_eq!((answer.status, received.target), (200, format!("/optional/{turn}")));
            let told = |name: &str| received.headers.one(name).unwrap_or_default();
            let (email, role) =
                person.map_or(("", ""), |(email, _, role, _)| (email.as_str(), role.as_str()));
            assert_eq!((told("x-app-mail").as_str(), told("x-app-role").as_str()), (email, role), "{turn}");
            let from = if trusted == "[]" { "127.0.0.1".to_owned() } else { format!("192.0.2.{who}") };
            assert_eq!(told("x-real-ip"), from, "{turn}");
        }
        gateway.stop().await;
    }
}
