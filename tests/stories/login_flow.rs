//! The main story: a stranger asks for a closed page, is sent to a login page elsewhere, and
//! comes back in with a one-time token.

use serde_json::json;

use crate::support::{
    Ask, FakeUpstream, LOGIN_URL, LOGOUT_URL, Plan, SITE, TestGateway, Visitor, encoded, form_of, links_of,
    local, parameter, query_of, resolved,
};

#[tokio::test]
async fn a_stranger_is_sent_to_the_login_page_with_the_way_back() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let url = format!("{SITE}/reports/2025?quarter=3&q=a%20b+c&&empty=");
    for (method, status) in [("GET", 302), ("HEAD", 302), ("POST", 303), ("PUT", 303), ("DELETE", 303)] {
        let answer = Visitor::at(&gateway).send(Ask::navigate(method, &url)).await;
        assert_eq!(answer.status, status, "{method}");
        let location = answer.location();
        assert!(location.starts_with(&format!("{LOGIN_URL}?")), "{method}: {location}");
        assert_eq!(resolved(SITE, &parameter(&location, "return_url")).as_str(), url, "{method}");
        assert_eq!(parameter(&location, "site"), "intranet", "{method}");
        assert!(parameter(&location, "state").len() >= 32, "{method}: {location}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{method}");
    }
    upstream.assert_untouched("a stranger").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_login_page_keeps_the_query_that_it_has() {
    let upstream = FakeUpstream::start().await;
    let login_url = "\"https://login.test/in?tenant=7&next=a%20b\"";
    let gateway = Plan::new(&upstream).site(|site| site.with("login_url", login_url)).start().await;
    let location = Visitor::at(&gateway).get(&format!("{SITE}/x?y=z")).await.location();
    assert!(location.starts_with("https://login.test/in?tenant=7&next=a%20b&"), "{location}");
    assert_eq!(location.matches('?').count(), 1, "{location}");
    let names: Vec<String> = query_of(&location).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["tenant", "next", "return_url", "site", "state"]);
}

#[tokio::test]
async fn a_stranger_goes_to_the_login_page_and_comes_back_as_a_member() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);

    let asked = format!("{SITE}/reports/2025?quarter=3");
    let to_login = visitor.get(&asked).await.location();
    upstream.assert_untouched("a stranger").await;

    let return_url = parameter(&to_login, "return_url");
    let person = json!({
        "email": "jane@example.com", "first_name": "Jane", "last_name": "Doe",
        "return_url": return_url, "state": parameter(&to_login, "state"),
    });
    let token = gateway.login_page().token(person).await;
    assert_eq!(token.len(), 43);
    assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{token}");

    let back = visitor.get(&format!("{asked}&sso={token}")).await;
    assert_eq!(back.status, 302);
    assert_eq!(local(&back.location()), "/reports/2025?quarter=3");
    assert_eq!(back.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(back.header("referrer-policy").as_deref(), Some("no-referrer"));
    let cookie = visitor.cookie("tollgate").expect("a session cookie");
    assert!(cookie.http_only && !cookie.secure && cookie.domain.is_none(), "{cookie:?}");
    assert_eq!((cookie.path.as_str(), cookie.same_site.as_deref()), ("/", Some("Lax")));
    upstream.assert_untouched("the way back").await;

    let page = visitor.get(&asked).await;
    assert_eq!((page.status, page.text().as_str()), (200, "hello from upstream"));
    let seen = upstream.last();
    assert_eq!(seen.target, "/reports/2025?quarter=3");
    assert_eq!(seen.header("x-forwarded-user").as_deref(), Some("jane@example.com"));
    assert_eq!(seen.header("x-forwarded-email").as_deref(), Some("jane@example.com"));
    assert_eq!(seen.header("x-forwarded-name").as_deref(), Some("Jane Doe"));
    assert_eq!(seen.header("x-forwarded-role").as_deref(), Some("editor"));
    assert_eq!(seen.header("x-forwarded-groups"), None, "absent values make no header");
    assert_eq!(seen.header("cookie"), None, "all cookies were the gateway's");
    for secret in [&token, &cookie.value] {
        upstream.assert_never_saw(secret).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_token_is_taken_out_of_any_url_and_every_other_byte_stays() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    for (with_token, clean) in [
        ("/?sso=TOKEN", "/"),
        ("/a/b/?sso=TOKEN", "/a/b/"),
        ("/a?x=1&sso=TOKEN", "/a?x=1"),
        ("/a?sso=TOKEN&x=1", "/a?x=1"),
        ("/a?x=%20+%e4&sso=TOKEN&&c=&d", "/a?x=%20+%e4&&c=&d"),
        ("/a?x=1?sso=TOKEN", "/a?x=1"),
        ("/a?x=1?sso=TOKEN&y=2", "/a?x=1&y=2"),
        ("/a?next=/b?c=d?sso=TOKEN", "/a?next=/b?c=d"),
        ("/a;v=1/%41%e2%82%ac~'()*!,:@$?sso=TOKEN", "/a;v=1/%41%e2%82%ac~'()*!,:@$"),
        ("/a?to=https://elsewhere.test/?x&sso=TOKEN", "/a?to=https://elsewhere.test/?x"),
        ("/a?%73so=TOKEN", "/a"),
        ("/a?ssoo=1&SSO=2&sso=TOKEN&xsso=3", "/a?ssoo=1&SSO=2&xsso=3"),
        ("/public/a?sso=TOKEN&x", "/public/a?x"),
        ("/optional/a?x&sso=TOKEN", "/optional/a?x"),
    ] {
        let token = login_page.token_for("jane@example.com").await;
        let mut visitor = Visitor::at(&gateway);
        let answer = visitor.get(&format!("{SITE}{}", with_token.replace("TOKEN", &token))).await;
        assert_eq!(answer.status, 302, "{with_token}");
        assert_eq!(local(&answer.location()), clean, "{with_token}");
        assert!(visitor.session_cookie().is_some(), "{with_token}");
    }
    upstream.assert_untouched("redeeming").await;
}

#[tokio::test]
async fn a_site_may_call_its_token_parameter_and_its_cookie_something_else() {
    let upstream = FakeUpstream::start().await;
    let plan =
        Plan::new(&upstream).site(|site| site.with("token_param", "\"ticket\"").cookie("name", "\"door\""));
    let gateway = plan.start().await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.get(&format!("{SITE}/a?sso=mine&ticket={token}")).await;
    assert_eq!(local(&answer.location()), "/a?sso=mine");
    assert!(visitor.cookie("door").is_some() && visitor.session_cookie().is_none());
    assert_eq!(visitor.get(&format!("{SITE}/a?sso=mine")).await.status, 200);
    assert_eq!(upstream.last().target, "/a?sso=mine");
}

#[tokio::test]
async fn a_strict_cookie_is_set_by_a_page_that_moves_on_as_no_redirect_from_elsewhere_would_send_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.cookie("same_site", "\"strict\"")).start().await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let mut visitor = Visitor::at(&gateway);
    let link = Ask::navigate("GET", &format!("{SITE}/a?b=%20&sso={token}"));
    let page = visitor.send(link.with("Sec-Fetch-Site", "cross-site")).await;
    assert_eq!((page.status, page.header("refresh").as_deref()), (200, Some("0; url=/a?b=%20")), "{page:?}");
    assert_eq!(links_of(&page.text()), ["/a?b=%20"], "for whoever does not move on");
    assert_eq!(visitor.cookie("tollgate").expect("set").same_site.as_deref(), Some("Strict"));
    assert_eq!(visitor.get(&format!("{SITE}/a?b=%20")).await.status, 200);
}

#[tokio::test]
async fn every_redemption_makes_a_new_session_and_ends_the_old_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let mut visitor = Visitor::at(&gateway);
    let mut cookies = Vec::new();
    for email in ["jane@example.com", "jane@example.com", "joe@example.com"] {
        visitor.sign_in(&login_page, email).await;
        cookies.push(visitor.session_cookie().expect("signed in"));
    }
    assert!(cookies[0] != cookies[1] && cookies[1] != cookies[2], "{cookies:?}");
    visitor.get(&format!("{SITE}/a")).await;
    assert_eq!(upstream.last().header("x-forwarded-user").as_deref(), Some("joe@example.com"));
    upstream.forget().await;
    for old in &cookies[..2] {
        let ask = Ask::navigate("GET", &format!("{SITE}/a")).with("Cookie", &format!("tollgate={old}"));
        let answer = Visitor::at(&gateway).send(ask).await;
        assert!(answer.location().starts_with(LOGIN_URL), "{answer:?}");
    }
    upstream.assert_untouched("an ended session").await;
}

#[tokio::test]
async fn the_upstream_learns_what_the_login_page_knows() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| {
        site.identity_header("X-WEBAUTH-USER", "{email}")
            .identity_header("X-Plans", "{plans}")
            .identity_header("X-Department", "dep:{attributes.department}")
            .identity_header("X-Nobody-Has-This", "{attributes.nothing}")
    });
    let gateway = plan.start().await;
    let person = json!({
        "email": "Zoe@Example.com", "full_name": "Zoë van Damme", "external_id": "u-17",
        "groups": ["staff", "chess"], "plans": ["gold"], "attributes": { "department": "R&D" },
    });
    let token = gateway.login_page().token(person).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.get(&format!("{SITE}/?sso={token}")).await;
    visitor.get(&format!("{SITE}/a")).await;
    let seen = upstream.last();
    for (name, value) in [
        ("x-forwarded-user", Some("u-17")),
        ("x-forwarded-email", Some("Zoe@Example.com")),
        ("x-forwarded-name", Some("Zoë van Damme")),
        ("x-forwarded-groups", Some("staff,chess")),
        ("x-webauth-user", Some("Zoe@Example.com")),
        ("x-plans", Some("gold")),
        ("x-department", Some("dep:R&D")),
        ("x-nobody-has-this", None),
    ] {
        assert_eq!(seen.header(name).as_deref(), value, "{name}");
    }
}

#[tokio::test]
async fn a_name_outside_ascii_is_written_as_the_upstream_reads_it() {
    let upstream = FakeUpstream::start().await;
    for (encoding, written) in [
        ("utf8", "Zo\u{eb} D\u{142}uga"),
        ("percent", "Zo%C3%AB D%C5%82uga"),
        ("base64url", "Wm_DqyBExYJ1Z2E"),
        ("rfc2047", "=?UTF-8?B?Wm/DqyBExYJ1Z2E=?="),
    ] {
        let plan = Plan::new(&upstream).site(|site| site.identity("encoding", &format!("{encoding:?}")));
        let gateway = plan.start().await;
        let person = json!({ "email": "zoe@example.com", "full_name": "Zo\u{eb} D\u{142}uga" });
        let token = gateway.login_page().token(person).await;
        let mut visitor = Visitor::at(&gateway);
        visitor.get(&format!("{SITE}/?sso={token}")).await;
        visitor.get(&format!("{SITE}/a")).await;
        assert_eq!(upstream.last().header("x-forwarded-name").as_deref(), Some(written), "{encoding}");
        assert_eq!(
            upstream.last().header("x-forwarded-email").as_deref(),
            Some("zoe@example.com"),
            "{encoding}"
        );
    }
}

#[tokio::test]
async fn an_open_path_is_never_told_who_is_there_and_an_optional_one_is() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    for (path, user) in [("/public/a", None), ("/public", None), ("/optional/a", None)] {
        assert_eq!(visitor.get(&format!("{SITE}{path}")).await.status, 200, "{path}");
        assert_eq!(upstream.last().header("x-forwarded-user"), user, "{path}");
    }
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let jane = Some("jane@example.com".to_owned());
    for (path, user) in [("/public/a", None), ("/optional/a", jane.clone()), ("/publicity", jane)] {
        assert_eq!(visitor.get(&format!("{SITE}{path}")).await.status, 200, "{path}");
        assert_eq!(upstream.last().header("x-forwarded-user"), user, "{path}");
        assert_eq!(upstream.last().header("cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn a_member_can_ask_who_they_are_and_a_stranger_cannot() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let session = format!("{SITE}/.tollgate/session");
    assert_eq!(visitor.fetch(&session).await.status, 401);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let answer = visitor.fetch(&session).await;
    assert_eq!(answer.status, 200);
    let text = answer.json().to_string();
    assert!(text.contains("jane@example.com") && text.contains("2025-11-22T"), "{text}");
    assert!(!text.contains(&visitor.session_cookie().expect("signed in")), "{text}");
    upstream.assert_untouched("the gateway's own path").await;
}

#[tokio::test]
async fn whoever_logs_out_is_a_stranger_again() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let cookie = visitor.session_cookie().expect("signed in");

    let answer = visitor.get(&format!("{SITE}/.tollgate/logout")).await;
    assert!(matches!(answer.status, 302 | 303), "{answer:?}");
    assert!(answer.location().starts_with(LOGOUT_URL), "{answer:?}");
    assert_eq!(visitor.session_cookie(), None, "the browser forgets it");

    let ask = Ask::navigate("GET", &format!("{SITE}/a")).with("Cookie", &format!("tollgate={cookie}"));
    let answer = Visitor::at(&gateway).send(ask).await;
    assert!(answer.location().starts_with(LOGIN_URL), "the gateway forgets it too: {answer:?}");
    upstream.assert_untouched("a session that was logged out").await;
}

#[tokio::test]
async fn the_login_link_leads_to_the_login_page_and_back_to_where_it_says() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let link = format!("{SITE}/.tollgate/login?return_url={}", encoded("/optional/a?b=c&d"));
    let location = Visitor::at(&gateway).get(&link).await.location();
    assert!(location.starts_with(LOGIN_URL), "{location}");
    let return_url = parameter(&location, "return_url");
    assert_eq!(resolved(SITE, &return_url).as_str(), format!("{SITE}/optional/a?b=c&d"));
}

#[tokio::test]
async fn the_redeem_url_of_the_api_leads_to_the_return_url() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        Plan::new(&upstream).site(|site| site.with("public_url", &format!("{SITE:?}"))).start().await;
    for (return_url, target) in [(json!("/a/b?c=d#e"), "/a/b?c=d#e"), (json!(null), "/")] {
        let mut person = json!({ "email": "jane@example.com", "full_name": "Jane Doe" });
        if !return_url.is_null() {
            person["return_url"] = return_url;
        }
        let issued = gateway.login_page().issue(person).await;
        let redeem_url = issued["redeem_url"].as_str().expect("a URL");
        assert!(redeem_url.starts_with(&format!("{SITE}/")), "{redeem_url}");
        let mut visitor = Visitor::at(&gateway);
        let answer = visitor.get(redeem_url).await;
        assert_eq!((answer.status, local(&answer.location())), (302, target));
        assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 200);
    }
}

#[tokio::test]
async fn where_the_site_wants_a_confirmation_only_the_button_redeems() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("redeem", "\"confirm\"")).start().await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/a/b?c=%20d&sso={token}&e");
    for _ in 0..3 {
        let page = visitor.get(&url).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").expect("a type").starts_with("text/html"));
        assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(page.header("referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(visitor.session_cookie(), None, "looking redeems nothing");
    }
    let (action, fields) = form_of(&visitor.get(&url).await.text());
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let button = Ask::navigate("POST", resolved(&url, &action).as_str()).form(&fields).with("Origin", SITE);
    let answer = visitor.send(button.with("Sec-Fetch-Site", "same-origin")).await;
    assert!(matches!(answer.status, 302 | 303), "{answer:?}");
    assert_eq!(local(&answer.location()), "/a/b?c=%20d&e");
    assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 200);
    upstream.assert_never_saw(&token).await;
}
