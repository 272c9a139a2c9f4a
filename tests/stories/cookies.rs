//! The gateway's cookies stay between the gateway and the browser; everyone else's pass as they
//! are.

use crate::support::{Answer, Ask, FakeUpstream, LOGIN_URL, Plan, SITE, TestGateway, Visitor};

/// A visitor who is signed in and whose browser also keeps the gateway's other cookies, and all
/// the names of these.
async fn member(gateway: &TestGateway) -> (Visitor, Vec<String>) {
    let mut visitor = Visitor::at(gateway);
    visitor.get(&format!("{SITE}/closed")).await;
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let names = visitor.jar.cookies().iter().map(|cookie| cookie.name.clone()).collect();
    (visitor, names)
}

#[tokio::test]
async fn the_upstream_gets_every_cookie_but_the_gateways() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (visitor, names) = member(&gateway).await;
    assert!(names.len() >= 2, "{names:?}");
    let own: Vec<String> =
        visitor.jar.cookies().iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    let session = format!("tollgate={}", visitor.session_cookie().expect("signed in"));
    let others =
        ["a=1", "b=\"x y\"", "c=%20%3B", "d=", "=e", "f", "tollgate2=x", "xtollgate=y", "tollgate.x=z"];
    for path in ["/closed", "/optional/a", "/public/a"] {
        for at in 0..=others.len() {
            let mut cookies: Vec<&str> = others.to_vec();
            for cookie in &own {
                cookies.insert(at, cookie);
            }
            let ask = Ask::navigate("GET", &format!("{SITE}{path}")).with("Cookie", &cookies.join("; "));
            assert_eq!(Visitor::at(&gateway).send(ask).await.status, 200, "{cookies:?}");
            let seen = upstream.last().header("cookie").expect("the others' cookies");
            let seen: Vec<&str> = seen.split(';').map(str::trim).collect();
            assert_eq!(seen, others, "{path}");
        }
        for (lines, expected) in [
            (vec![format!("a=1; {session}; b=2")], vec!["a=1", "b=2"]),
            (vec![format!("a=1;{session};b=2")], vec!["a=1", "b=2"]),
            (vec![format!("{session};")], vec![]),
            // No browser compares the names without case, but some servers do.
            (vec![format!("a=1; TOLLGATE=x; {session}; Tollgate=y")], vec!["a=1"]),
            (vec!["a=1".to_owned(), session.clone(), "b=2".to_owned()], vec!["a=1", "b=2"]),
        ] {
            let mut ask = Ask::navigate("GET", &format!("{SITE}{path}"));
            for line in &lines {
                ask = ask.and("Cookie", line);
            }
            assert_eq!(Visitor::at(&gateway).send(ask).await.status, 200, "{lines:?}");
            let seen = upstream.last().headers.all("cookie").join(";");
            let seen: Vec<&str> =
                seen.split(';').map(str::trim).filter(|cookie| !cookie.is_empty()).collect();
            assert_eq!(seen, expected, "{path}: {lines:?}");
        }
    }
    for cookie in visitor.jar.cookies() {
        upstream.assert_never_saw(&cookie.value).await;
    }
}

#[tokio::test]
async fn cookies_among_which_there_is_none_of_the_gateways_pass_byte_for_byte() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for cookies in [
        &b"a=1"[..],
        b"a=1;b=2;  c=3 ;",
        b"a=\"q;\\\"\"; b",
        b"; ;=;;",
        b"a=caf\xe9; b=\xff\xfe",
        b"a=\"; tollgat=x",
        "a=ünï; b=日本".as_bytes(),
    ] {
        let head = [b"GET /public/a HTTP/1.1\r\nHost: site.test\r\nCookie: ", cookies, b"\r\n\r\n"].concat();
        assert_eq!(Visitor::at(&gateway).send_raw(&head).await.expect("an answer").status, 200);
        let seen: Vec<Vec<u8>> = upstream
            .last()
            .headers
            .0
            .into_iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
            .map(|(_, value)| value)
            .collect();
        assert_eq!(seen, [cookies.to_vec()]);
    }
}

#[tokio::test]
async fn the_upstream_cannot_set_the_gateways_cookies() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (mut visitor, names) = member(&gateway).await;
    let session = visitor.session_cookie();
    let mut answer = Answer::page("with cookies");
    for name in names.iter().map(String::as_str).chain(["__Host-tollgate"]) {
        for cookie in [
            format!("{name}=evil"),
            format!("{name}=evil; Path=/"),
            format!("{name}=evil; Path=/closed; Domain=site.test; Secure"),
            format!(" {name} = evil"),
            format!("{name}=; Max-Age=0"),
            format!("{}=evil", name.to_uppercase()),
            // Without a name, which some browsers send back as `name=value`.
            format!("={name}=evil"),
        ] {
            answer = answer.with("Set-Cookie", &cookie);
        }
    }
    let kept = [
        "a=1; Path=/; HttpOnly",
        "b=\"x y\"; Expires=Wed, 21 Oct 2065 07:28:00 GMT",
        "tollgate2=own; X=y",
        "c",
    ];
    for cookie in kept {
        answer = answer.with("set-cookie", cookie);
    }
    upstream.answers(answer);
    for path in ["/closed", "/optional/a", "/public/a"] {
        let answer = visitor.get(&format!("{SITE}{path}")).await;
        let seen: Vec<String> = answer
            .headers
            .all("set-cookie")
            .into_iter()
            .filter(|cookie| !gateways_own(cookie, session.as_ref()))
            .collect();
        assert_eq!(seen, kept, "{path}");
        assert_eq!(visitor.session_cookie(), session, "{path}");
    }
}

/// Whether the gateway itself may have set `cookie`: the session as it is.
fn gateways_own(cookie: &str, session: Option<&String>) -> bool {
    session.is_some_and(|session| cookie.starts_with(&format!("tollgate={session};")))
}

#[tokio::test]
async fn two_different_session_cookies_are_refused() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (mut other, _) = member(&gateway).await;
    other.sign_in(&gateway.login_page(), "joe@example.com").await;
    let (visitor, _) = member(&gateway).await;
    let (a, b) = (visitor.session_cookie().expect("signed in"), other.session_cookie().expect("signed in"));
    let nonsense = "A".repeat(43);
    for cookies in [
        vec![format!("tollgate={a}; tollgate={b}")],
        vec![format!("tollgate={a}"), format!("tollgate={b}")],
        vec![format!("tollgate={a}; x=y; tollgate={nonsense}")],
        vec![format!("tollgate={nonsense}; tollgate={a}")],
        vec![format!("tollgate={a}; tollgate=")],
        vec![format!("tollgate=evil; tollgate={a}")],
    ] {
        for path in ["/closed", "/optional/a"] {
            let mut ask = Ask::navigate("GET", &format!("{SITE}{path}"));
            for line in &cookies {
                ask = ask.and("Cookie", line);
            }
            let answer = Visitor::at(&gateway).send(ask).await;
            assert_eq!(answer.status, 400, "{path}: {cookies:?}");
        }
    }
    upstream.assert_untouched("two sessions at once").await;
}

#[tokio::test]
async fn a_session_cookie_that_is_none_is_no_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (visitor, _) = member(&gateway).await;
    let good = visitor.session_cookie().expect("signed in");
    let variants = [
        String::new(),
        "x".to_owned(),
        "A".repeat(43),
        good[..42].to_owned(),
        format!("{good}A"),
        format!("{good}="),
        good.to_lowercase(),
        good.to_uppercase(),
        good.replace(|c: char| c.is_ascii_digit(), "0"),
        format!("%{:02X}{}", good.as_bytes()[0], &good[1..]),
        "\u{fc}".repeat(21),
        "\u{7f}\u{80}".to_owned(),
        "A".repeat(16_000),
        "../../etc/passwd".to_owned(),
        "' OR 1=1 --".to_owned(),
    ];
    for value in variants.iter().filter(|value| **value != good) {
        let request = format!("GET /closed HTTP/1.1\r\nHost: site.test\r\nCookie: tollgate={value}\r\n\r\n");
        let answer = Visitor::at(&gateway).send_raw(request.as_bytes()).await.expect("an answer");
        match answer.status {
            302 => assert!(answer.location().starts_with(LOGIN_URL), "{value:?}"),
            status => assert!((400..500).contains(&status), "{value:?}: {status}"),
        }
    }
    let request = [
        b"GET /closed HTTP/1.1\r\nHost: site.test\r\nCookie: tollgate=\xff\xfe",
        good.as_bytes(),
        b"\r\n\r\n",
    ];
    let answer = Visitor::at(&gateway).send_raw(&request.concat()).await.expect("an answer");
    assert!((300..500).contains(&answer.status), "{answer:?}");
    upstream.assert_untouched("no session").await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_and_one_that_is_long_is_not() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (visitor, _) = member(&gateway).await;
    let session = visitor.session_cookie().expect("signed in");
    for (length, expected) in [(16 * 1024, 200), (64 * 1024, 431)] {
        let request = format!(
            "GET /closed HTTP/1.1\r\nHost: site.test\r\nCookie: big={}; tollgate={session}\r\n\r\n",
            "x".repeat(length)
        );
        let answer = Visitor::at(&gateway).send_raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, expected, "{length} bytes");
    }
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn behind_tls_the_cookies_are_bound_to_host_and_scheme() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("trusted_proxies", "[\"127.0.0.1/32\"]").start().await;
    let mut visitor = Visitor::at(&gateway);
    let location = visitor.get("https://site.test/closed?x").await.location();
    assert!(location.contains("https%3A%2F%2Fsite.test%2Fclosed"), "{location}");
    let token = gateway.login_page().token_for("jane@example.com").await;
    visitor.get(&format!("https://site.test/closed?x&sso={token}")).await;
    let cookie = visitor.cookie("__Host-tollgate").expect("a session cookie");
    assert!(cookie.secure && cookie.http_only && cookie.path == "/" && cookie.domain.is_none(), "{cookie:?}");
    assert!(
        visitor.jar.cookies().iter().all(|cookie| cookie.secure && cookie.http_only),
        "{:?}",
        visitor.jar
    );
    assert_eq!(visitor.get("https://site.test/closed?x").await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("cookie"), None);
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));

    // A plain-HTTP page of the same name, or a script elsewhere under the domain, can set a cookie
    // without the prefix: it must not be taken for the session.
    let planted = format!("tollgate={}", cookie.value);
    let ask = Ask::navigate("GET", "https://site.test/closed").with("Cookie", &planted);
    let answer = Visitor::at(&gateway).send(ask).await;
    assert!(answer.location().starts_with(LOGIN_URL), "{answer:?}");
}

#[tokio::test]
async fn logging_out_ends_every_session_that_the_browser_presents() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut keys = Vec::new();
    for email in ["jane@example.com", "joe@example.com"] {
        let mut visitor = Visitor::at(&gateway);
        visitor.sign_in(&gateway.login_page(), email).await;
        keys.push(visitor.session_cookie().expect("signed in"));
    }
    upstream.forget().await;
    let both = format!("tollgate={}; tollgate={}", keys[0], keys[1]);
    let logout = Ask::navigate("GET", &format!("{SITE}/.tollgate/logout")).with("Cookie", &both);
    assert_eq!(Visitor::at(&gateway).send(logout).await.status, 302, "on to the logout page");
    for key in keys {
        let ask = Ask::navigate("GET", &format!("{SITE}/a")).with("Cookie", &format!("tollgate={key}"));
        assert!(Visitor::at(&gateway).send(ask).await.location().starts_with(LOGIN_URL));
    }
    upstream.assert_untouched("ended sessions").await;
}
