//! A one-time token: what uses it up, what leaves it alone, and what its bearer meets when it is
//! no longer good.

use serde_json::json;

use crate::support::{
    Ask, FakeUpstream, LOGIN_URL, Plan, SITE, TestGateway, Visitor, links_of, local, minutes, parameter,
    resolved, seconds,
};

#[tokio::test]
async fn what_only_looks_ahead_does_not_use_a_token_up() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    for path in ["/closed", "/optional/a", "/public/a"] {
        let token = login_page.token_for("jane@example.com").await;
        let url = format!("{SITE}{path}?a=1&sso={token}");
        for (what, ask) in [
            ("HEAD", Ask::navigate("HEAD", &url)),
            ("HEAD of a link checker", Ask::bare("HEAD", &url)),
            ("a prefetch", Ask::navigate("GET", &url).with("Sec-Purpose", "prefetch")),
            ("a prerender", Ask::navigate("GET", &url).with("Sec-Purpose", "prefetch;prerender")),
            (
                "an anonymous prefetch",
                Ask::navigate("GET", &url).with("Sec-Purpose", "prefetch;anonymous-client-ip"),
            ),
            ("an older prefetch", Ask::navigate("GET", &url).with("Purpose", "prefetch")),
            ("Firefox's prefetch", Ask::navigate("GET", &url).with("X-Moz", "prefetch")),
            ("a script", Ask::script("GET", &url)),
            ("a POST", Ask::navigate("POST", &url).form(&[("a", "b")])),
            ("OPTIONS", Ask::navigate("OPTIONS", &url)),
        ] {
            let mut visitor = Visitor::at(&gateway);
            let answer = visitor.send(ask).await;
            // 503 makes a browser throw away what it fetched ahead.
            assert!(answer.status < 500 || answer.status == 503, "{what}: {answer:?}");
            assert_eq!(visitor.session_cookie(), None, "{what} at {path}");
        }
        let mut visitor = Visitor::at(&gateway);
        assert_eq!(visitor.get(&url).await.status, 302, "{path}");
        assert!(visitor.session_cookie().is_some(), "{path}: the token was still good");
        upstream.assert_never_saw(&token).await;
    }
}

#[tokio::test]
async fn a_member_who_only_looks_ahead_keeps_session_and_token() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&login_page, "jane@example.com").await;
    let cookie = visitor.session_cookie();
    let token = login_page.token_for("joe@example.com").await;
    let url = format!("{SITE}/closed?sso={token}");
    for ask in [
        Ask::navigate("HEAD", &url),
        Ask::navigate("GET", &url).with("Sec-Purpose", "prefetch"),
        Ask::script("GET", &url),
        Ask::navigate("POST", &url).form(&[("a", "b")]),
    ] {
        visitor.send(ask).await;
        assert_eq!(visitor.session_cookie(), cookie);
    }
    visitor.get(&url).await;
    assert_ne!(visitor.session_cookie(), cookie, "the token was still good");
    upstream.assert_never_saw(&token).await;
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_does_not_disturb_a_member() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let mut visitor = Visitor::at(&gateway);
    let used = login_page.token_for("jane@example.com").await;
    visitor.get(&format!("{SITE}/?sso={used}")).await;
    let expired = login_page.token_for("joe@example.com").await;
    gateway.advance(minutes(5) + seconds(1));
    let cookie = visitor.session_cookie();
    for bad in [used.as_str(), expired.as_str(), &"A".repeat(43), "short", "", "%00", "a%0d%0ab"] {
        for _ in 0..5 {
            let answer = visitor.get(&format!("{SITE}/closed?x=%20&sso={bad}&y")).await;
            assert_eq!((answer.status, local(&answer.location())), (302, "/closed?x=%20&y"), "{bad}");
            assert_eq!(visitor.session_cookie(), cookie, "{bad}");
        }
        assert_eq!(visitor.get(&format!("{SITE}/closed?x=%20&y")).await.status, 200, "{bad}");
        assert_eq!(upstream.last().header("x-forwarded-user").as_deref(), Some("jane@example.com"), "{bad}");
    }
    for token in [used, expired] {
        upstream.assert_never_saw(&token).await;
    }
}

#[tokio::test]
async fn a_stranger_with_a_bad_token_is_sent_back_three_times_and_then_told_what_happened() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let used = gateway.login_page().token_for("jane@example.com").await;
    Visitor::at(&gateway).get(&format!("{SITE}/?sso={used}")).await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/closed?a=b&sso={used}");
    for minute in 0..3 {
        for round in 0..3 {
            let answer = visitor.get(&url).await;
            assert_eq!(answer.status, 302, "minute {minute}, round {round}: {answer:?}");
            let location = answer.location();
            assert!(location.starts_with(LOGIN_URL), "{location}");
            assert_eq!(parameter(&location, "error"), "token_invalid");
            assert_eq!(parameter(&location, "site"), "intranet");
            let back = resolved(SITE, &parameter(&location, "return_url"));
            assert_eq!(back.as_str(), format!("{SITE}/closed?a=b"));
            assert!(!location.contains(&used), "{location}");
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
            assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"));
        }
        for _ in 0..2 {
            let page = visitor.get(&url).await;
            assert!((400..500).contains(&page.status), "minute {minute}: {page:?}");
            assert_eq!(page.header("location"), None);
            assert!(page.header("content-type").expect("a type").starts_with("text/html"));
            assert!(!page.text().contains(&used), "{}", page.text());
            let links = links_of(&page.text());
            assert_eq!(links.len(), 1, "a link to try again: {links:?}");
            let again = visitor.get(resolved(&url, &links[0]).as_str()).await.location();
            assert!(again.starts_with(LOGIN_URL), "{again}");
            let back = resolved(SITE, &parameter(&again, "return_url"));
            assert_eq!(back.as_str(), format!("{SITE}/closed?a=b"));
        }
        let other = Visitor::at(&gateway).get(&url).await;
        assert_eq!(other.status, 302, "another browser has its own three times");
        gateway.advance(seconds(61));
    }
    upstream.assert_untouched("a bad token").await;
}

#[tokio::test]
async fn a_token_lives_as_long_as_its_api_says() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let person = |expires_in: Option<u64>| {
        let mut person = json!({ "email": "jane@example.com", "full_name": "Jane Doe" });
        if let Some(expires_in) = expires_in {
            person["expires_in"] = json!(expires_in);
        }
        person
    };
    for (expires_in, age, good) in [
        (None, 5 * 60 - 1, true),
        (None, 5 * 60 + 1, false),
        (Some(60), 59, true),
        (Some(60), 61, false),
        (Some(3600), 3599, true),
        (Some(3600), 3601, false),
    ] {
        let token = gateway.login_page().token(person(expires_in)).await;
        gateway.advance(seconds(age));
        let mut visitor = Visitor::at(&gateway);
        visitor.get(&format!("{SITE}/?sso={token}")).await;
        assert_eq!(visitor.session_cookie().is_some(), good, "{expires_in:?} after {age} s");
    }
}

#[tokio::test]
async fn a_page_that_was_asked_for_with_a_token_does_not_hand_it_on_as_the_referrer() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    for (referer, told) in [
        (format!("{SITE}/a?x=%20&sso={token}&y"), Some(format!("{SITE}/a?x=%20&y"))),
        (format!("{SITE}/a?x=1?sso={token}"), Some(format!("{SITE}/a?x=1"))),
        (format!("{SITE}/a?x=1"), Some(format!("{SITE}/a?x=1"))),
    ] {
        let ask = Ask::script("GET", &format!("{SITE}/public/style.css")).with("Referer", &referer);
        assert_eq!(Visitor::at(&gateway).send(ask).await.status, 200);
        assert_eq!(upstream.last().header("referer"), told);
    }
    upstream.assert_never_saw(&token).await;
}

#[tokio::test]
async fn of_several_tokens_in_one_url_none_stays_behind() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let used = login_page.token_for("jane@example.com").await;
    Visitor::at(&gateway).get(&format!("{SITE}/?sso={used}")).await;
    for template in [
        "/a?sso=USED&x&sso=FRESH",
        "/a?sso=junk&x&sso=FRESH",
        "/a?x&sso=FRESH&sso=FRESH",
        "/a?x?sso=USED?sso=FRESH",
        "/a?%73so=USED&x&s%73o=FRESH",
    ] {
        let fresh = login_page.token_for("jane@example.com").await;
        let url = format!("{SITE}{}", template.replace("USED", &used).replace("FRESH", &fresh));
        let mut visitor = Visitor::at(&gateway);
        let location = visitor.get(&url).await.location();
        assert!(!location.contains(&fresh), "{template}: {location}");
        let (end, answer) = visitor.follow(resolved(SITE, &location).as_str()).await;
        assert_eq!(answer.status, 200, "{template}: {end}");
        for token in [&used, &fresh] {
            upstream.assert_never_saw(token).await;
        }
    }
}

#[tokio::test]
async fn a_token_belongs_to_the_browser_that_was_given_its_state() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (mut own, mut other) = (Visitor::at(&gateway), Visitor::at(&gateway));
    let state = parameter(&own.get(&format!("{SITE}/a")).await.location(), "state");
    let second_tab = parameter(&own.get(&format!("{SITE}/b")).await.location(), "state");
    assert_eq!(state, second_tab, "all tabs of a browser share it");
    let foreign = parameter(&other.get(&format!("{SITE}/a")).await.location(), "state");
    assert_ne!(state, foreign);

    let person = json!({ "email": "jane@example.com", "full_name": "Jane Doe", "state": state });
    let token = gateway.login_page().token(person).await;
    let url = format!("{SITE}/a?sso={token}");
    let stranger = &mut Visitor::at(&gateway);
    for (who, visitor) in [("another browser", &mut other), ("a browser that was never here", stranger)] {
        let answer = visitor.get(&url).await;
        assert!(answer.location().starts_with(LOGIN_URL), "{who}: {answer:?}");
        assert_eq!(visitor.session_cookie(), None, "{who}");
    }
    own.get(&url).await;
    assert!(own.session_cookie().is_some(), "the refused tries did not use the token up");
    assert_eq!(own.get(&format!("{SITE}/a")).await.status, 200);
}

#[tokio::test]
async fn the_state_cookie_is_kept_from_scripts_and_is_not_the_state_itself() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let state = parameter(&visitor.get(&format!("{SITE}/a")).await.location(), "state");
    let cookies = visitor.jar.cookies();
    assert_eq!(cookies.len(), 1, "one cookie per browser: {cookies:?}");
    let cookie = &cookies[0];
    assert!(cookie.http_only && cookie.domain.is_none() && cookie.value != state, "{cookie:?}");
    assert_eq!(cookie.path, "/");
}

#[tokio::test]
async fn a_site_that_insists_on_a_state_refuses_tokens_without_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("require_state", "true")).start().await;
    let mut visitor = Visitor::at(&gateway);
    let state = parameter(&visitor.get(&format!("{SITE}/a")).await.location(), "state");
    let unbound = gateway.login_page().token_for("jane@example.com").await;
    let answer = visitor.get(&format!("{SITE}/a?sso={unbound}")).await;
    assert!(answer.location().starts_with(LOGIN_URL), "{answer:?}");
    assert_eq!(parameter(&answer.location(), "error"), "token_invalid", "{answer:?}");
    assert_eq!(visitor.session_cookie(), None);

    let person = json!({ "email": "jane@example.com", "full_name": "Jane Doe", "state": state });
    let bound = gateway.login_page().token(person).await;
    visitor.get(&format!("{SITE}/a?sso={bound}")).await;
    assert!(visitor.session_cookie().is_some());

    // Callers of the 23-compatible API can pass the state on too.
    let fields = [("format", "json"), ("raw", "1"), ("state", state.as_str())];
    let answer = gateway.api().form("/api/session/get-token", &fields).await.json();
    let token = answer["sessiontoken"]["access_token"].as_str().expect("a token").to_owned();
    let redeem = format!("{SITE}/api/session/redeem-token?session_token={token}");
    assert_eq!(Visitor::at(&gateway).get(&redeem).await.status, 403, "not in another browser");
    assert_eq!(visitor.get(&redeem).await.status, 302);
    upstream.assert_untouched("redeeming").await;
}
