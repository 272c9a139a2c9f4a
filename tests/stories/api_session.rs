//! The 23-compatible API: what its clients have asked for over the years, in the dialects in
//! which they expect the answer.

use serde_json::Value;

use crate::support::{
    ApiClient, Ask, FakeUpstream, Plan, Response, SITE, TestGateway, Visitor, encoded, local, seconds,
};

const GET_TOKEN: &str = "/api/session/get-token";

/// A session token for these fields.
async fn token(api: &ApiClient, fields: &[(&str, &str)]) -> String {
    let answer = raw(api, GET_TOKEN, fields).await;
    assert_eq!(answer["status"], "ok", "{answer}");
    answer["sessiontoken"]["access_token"].as_str().expect("a token").to_owned()
}

/// The bare JSON with which `path` answers to a form of `fields`.
async fn raw(api: &ApiClient, path: &str, fields: &[(&str, &str)]) -> Value {
    let fields = [fields, &[("format", "json"), ("raw", "1")]].concat();
    let answer = api.form(path, &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn redeem(visitor: &mut Visitor, token: &str) -> Response {
    visitor.get(&format!("{SITE}/api/session/redeem-token?session_token={token}")).await
}

#[tokio::test]
async fn a_token_is_told_in_xml_json_and_jsonp() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let api = gateway.api();
    for answer in [
        api.get(GET_TOKEN).await,
        api.form(GET_TOKEN, &[]).await,
        api.get("/api/session/get-token?format=xml").await,
    ] {
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").expect("a type").starts_with("text/xml"), "{answer:?}");
        let xml = answer.text();
        let start = "<response status=\"ok\" permission_level=\"super\" message=\"The session access token is ready to \
                     use\" cached=\"0\"><access_token>";
        let token = xml.split_once(start).unwrap_or_else(|| panic!("{xml}")).1;
        let (token, rest) = token.split_at(43);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{token}");
        assert_eq!(rest.trim_end(), "</access_token><return_url>/</return_url></response>");
    }
    for (query, start, end) in [
        ("format=json", "var visual = {", "};"),
        ("format=json&varname=mine", "var mine = {", "};"),
        ("format=json&callback=take", "take({", "});"),
        ("format=json&raw=1", "{", "}"),
        ("format=json&raw", "{", "}"),
    ] {
        let answer = api.get(&format!("{GET_TOKEN}?{query}&return_url=%2Fa%3Fb%3Dc")).await;
        assert_eq!(answer.status, 200, "{query}");
        let kind = answer.header("content-type").expect("a type");
        assert!(kind.starts_with("text/javascript"), "{query}: {kind}");
        let text = answer.text();
        let text = text.trim_end();
        assert!(text.starts_with(start) && text.ends_with(end), "{query}: {text}");
        let (from, to) = (text.find('{').expect("an object"), text.rfind('}').expect("its end"));
        let json: Value =
            serde_json::from_str(&text[from..=to]).unwrap_or_else(|fault| panic!("{fault}: {text}"));
        assert_eq!(json["status"], "ok");
        assert_eq!(json["permission_level"], "super");
        assert_eq!(json["sessiontoken"]["return_url"], "/a?b=c");
        assert_eq!(json["sessiontoken"]["access_token"].as_str().map(str::len), Some(43));
        for field in ["message", "cached", "p", "size", "site", "endpoint"] {
            assert!(!json[field].is_null(), "{query}: {field} in {json}");
        }
    }
}

#[tokio::test]
async fn a_callback_is_an_identifier_and_nothing_else() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for name in [
        "alert(1)//",
        "a;b",
        "a b",
        "</script><script>",
        "1a",
        "a-b",
        "a\n",
        "\u{2028}a",
        "a=1",
        "()",
        "[0]",
        "'a'",
        &"a".repeat(5_000),
    ] {
        for parameter in ["callback", "varname"] {
            let query = format!("{GET_TOKEN}?format=json&{parameter}={}", encoded(name));
            let answer = gateway.api().get(&query).await;
            assert_eq!(answer.status, 200, "{query}");
            let text = answer.text();
            assert!(text.contains("invalid_input"), "{query}: {text}");
            assert!(!text.starts_with(name), "{query}: {text}");
            assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"), "{query}");
        }
    }
}

#[tokio::test]
async fn what_is_put_in_comes_out_escaped() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let return_url = "/a?b=<c>&d=\"e\"'f'</script>\u{2028}";
    let xml = gateway.api().form(GET_TOKEN, &[("return_url", return_url)]).await.text();
    for bad in ["<c>", "</script>", "&d", "\"e\""] {
        assert!(!xml.contains(bad), "{bad} in {xml}");
    }
    let script =
        gateway.api().form(GET_TOKEN, &[("return_url", return_url), ("format", "json")]).await.text();
    for bad in ["</script>", "\u{2028}"] {
        assert!(!script.contains(bad), "{bad} in {script}");
    }
    assert_eq!(
        raw(&gateway.api(), GET_TOKEN, &[("return_url", return_url)]).await["sessiontoken"]["return_url"],
        return_url
    );
}

#[tokio::test]
async fn errors_are_told_with_status_200_in_the_dialect_of_the_call() {
    let upstream = FakeUpstream::start().await;
    let keys = ["none", "anonymous", "read", "write", "admin"].map(|level| (level, format!("{level:-<43}")));
    let mut plan = Plan::new(&upstream);
    for (level, secret) in &keys {
        plan = plan.key(&format!(
            "name = {level:?}\nsecret = {secret:?}\nscopes = [\"read:users\"]\npermission = {level:?}"
        ));
    }
    let gateway = plan.start().await;
    for (level, secret) in &keys {
        let api = gateway.api().with_key(Some(secret));
        let json = raw(&api, GET_TOKEN, &[]).await;
        assert_eq!(
            (json["status"].as_str(), json["code"].as_str()),
            (Some("error"), Some("permission_denied")),
            "{level}"
        );
        assert!(json["message"].as_str().expect("a message").contains("super"), "names the level: {json}");
        let xml = api.get(GET_TOKEN).await;
        assert_eq!(xml.status, 200, "{level}");
        let xml = xml.text();
        assert!(
            xml.starts_with("<response status=\"error\" ") || xml.contains("?><response status=\"error\" "),
            "{xml}"
        );
        assert!(xml.contains(" code=\"permission_denied\" message=\""), "{xml}");
    }
    let wrong = gateway.api().with_key(Some("a-key-that-nobody-has-0123456789-abcdefghijklm"));
    for api in [wrong, gateway.api().with_key(None)] {
        let json = raw(&api, GET_TOKEN, &[]).await;
        assert_eq!(json["status"], "error");
        assert!(json["sessiontoken"].is_null(), "{json}");
    }
    for (fields, code) in [
        (&[("email", "no address")][..], "invalid_input"),
        (&[("email", "jane@example.com\r\nX-Admin: yes")], "invalid_input"),
    ] {
        let json = raw(&gateway.api(), GET_TOKEN, fields).await;
        assert_eq!(
            (json["status"].as_str(), json["code"].as_str()),
            (Some("error"), Some(code)),
            "{fields:?}"
        );
    }
}

#[tokio::test]
async fn a_browser_redeems_a_token_once_and_goes_where_it_says() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let fields = [("email", "jane@example.com"), ("full_name", "Jane Doe"), ("return_url", "/a?b=%20c&d#e")];
    for parameter in ["session_token", "access_token"] {
        let token = token(&gateway.api(), &fields).await;
        let url = format!("{SITE}/api/session/redeem-token?{parameter}={token}");
        let mut visitor = Visitor::at(&gateway);
        let answer = visitor.get(&url).await;
        assert_eq!((answer.status, local(&answer.location())), (302, "/a?b=%20c&d#e"), "{parameter}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"));
        assert_eq!(visitor.get(&format!("{SITE}/a?b=%20c&d")).await.status, 200);
        let seen = upstream.last();
        assert_eq!(seen.header("x-forwarded-email").as_deref(), Some("jane@example.com"));
        assert_eq!(seen.header("x-forwarded-name").as_deref(), Some("Jane Doe"));
        upstream.assert_never_saw(&token).await;

        let mut late = Visitor::at(&gateway);
        let answer = late.get(&url).await;
        assert_eq!(answer.status, 403, "{parameter}");
        assert!(answer.header("content-type").expect("a type").starts_with("text/plain"), "{answer:?}");
        assert!(!answer.text().contains(&token), "{}", answer.text());
        assert_eq!((answer.header("location"), late.session_cookie()), (None, None));
    }
    for bad in ["", "short", &"A".repeat(43), "%00", "%ff"] {
        let answer = redeem(&mut Visitor::at(&gateway), bad).await;
        assert_eq!(answer.status, 403, "{bad:?}: {answer:?}");
        assert!(answer.header("content-type").expect("a type").starts_with("text/plain"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_session_token_lives_for_a_quarter_of_an_hour_unless_the_site_says_otherwise() {
    let upstream = FakeUpstream::start().await;
    for (ttl, lasts) in [(None, 15 * 60), (Some("\"1m\""), 60)] {
        let plan = Plan::new(&upstream);
        let gateway = match ttl {
            Some(ttl) => plan.site(|site| site.with("token_ttl", ttl)).start().await,
            None => plan.start().await,
        };
        for (age, status) in [(lasts - 1, 302), (lasts + 1, 403)] {
            let token = token(&gateway.api(), &[]).await;
            gateway.advance(seconds(age));
            assert_eq!(redeem(&mut Visitor::at(&gateway), &token).await.status, status, "after {age} s");
        }
    }
}

#[tokio::test]
async fn a_token_without_an_address_opens_an_anonymous_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let token = token(&gateway.api(), &[]).await;
    assert_eq!(redeem(&mut visitor, &token).await.status, 302);
    assert_eq!(visitor.get(&format!("{SITE}/closed")).await.status, 200);
    for name in ["user", "email", "name", "role", "groups"] {
        assert_eq!(upstream.last().header(&format!("x-forwarded-{name}")), None, "{name}");
    }
    assert_eq!(gateway.api().all("/v1/users").await.0.len(), 0, "nobody was made up");
}

#[tokio::test]
async fn either_apis_token_opens_the_door_and_only_once() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let by_session_api = token(&gateway.api(), &[("email", "jane@example.com")]).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.get(&format!("{SITE}/a?sso={by_session_api}")).await;
    assert!(visitor.session_cookie().is_some());
    assert_eq!(redeem(&mut Visitor::at(&gateway), &by_session_api).await.status, 403);
    let by_sso_tokens = gateway.login_page().token_for("jane@example.com").await;
    assert_eq!(redeem(&mut Visitor::at(&gateway), &by_sso_tokens).await.status, 302);
    let mut late = Visitor::at(&gateway);
    late.get(&format!("{SITE}/a?sso={by_sso_tokens}")).await;
    assert_eq!(late.session_cookie(), None);
}

#[tokio::test]
async fn what_only_looks_ahead_does_not_redeem() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let token = token(&gateway.api(), &[]).await;
    let url = format!("{SITE}/api/session/redeem-token?session_token={token}");
    for ask in [
        Ask::navigate("HEAD", &url),
        Ask::navigate("GET", &url).with("Sec-Purpose", "prefetch;prerender"),
        Ask::navigate("GET", &url).with("Purpose", "prefetch"),
        Ask::navigate("GET", &url).with("X-Moz", "prefetch"),
    ] {
        let mut visitor = Visitor::at(&gateway);
        visitor.send(ask).await;
        assert_eq!(visitor.session_cookie(), None);
    }
    assert_eq!(redeem(&mut Visitor::at(&gateway), &token).await.status, 302, "still good");
}

#[tokio::test]
async fn a_login_token_is_for_users_with_a_full_account() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("allow_backend_login", "true")).start().await;
    let api = gateway.api();
    let (path, jane) = ("/api/user/get-login-token", ("email", "jane@example.com"));
    assert_eq!(raw(&api, path, &[jane]).await["status"], "error", "nobody knows her yet");
    gateway.login_page().token_for("jane@example.com").await;
    assert_eq!(raw(&api, path, &[jane]).await["status"], "error", "a guest");

    let id = api.all("/v1/users").await.0[0]["id"].as_str().expect("an id").to_owned();
    let change = serde_json::json!({ "account": "full", "roles": { "intranet": "admin" } });
    assert_eq!(api.patch(&format!("/v1/users/{id}"), &change).await.status, 200);
    for who in [("email", "JANE@example.com"), ("user_id", id.as_str())] {
        let answer = raw(&api, path, &[who, ("return_url", "/backend?x")]).await;
        assert_eq!(answer["status"], "ok", "{answer}");
        let token = answer["logintoken"]["login_token"].as_str().expect("a token").to_owned();

        assert_eq!(redeem(&mut Visitor::at(&gateway), &token).await.status, 403, "it is no session token");

        let url = format!("{SITE}/api/user/redeem-login-token?login_token={token}");
        let mut visitor = Visitor::at(&gateway);
        let answer = visitor.get(&url).await;
        assert_eq!((answer.status, local(&answer.location())), (302, "/backend?x"));
        assert_eq!(visitor.get(&format!("{SITE}/backend?x")).await.status, 200);
        assert_eq!(upstream.last().header("x-forwarded-role").as_deref(), Some("admin"));
        let (sessions, _) = api.all("/v1/sessions?email=jane%40example.com").await;
        assert_eq!(sessions[0]["backend"], true, "{sessions:?}");
        assert_eq!(Visitor::at(&gateway).get(&url).await.status, 403, "once");
        api.delete("/v1/sessions?email=jane%40example.com").await;
    }
    let session_token = token(&api, &[jane]).await;
    let url = format!("{SITE}/api/user/redeem-login-token?login_token={session_token}");
    assert_eq!(Visitor::at(&gateway).get(&url).await.status, 403, "a session token is no login token");
    for fields in [&[("user_id", "0")][..], &[("user_id", "x")], &[("email", "nobody@example.com")], &[]] {
        assert_eq!(raw(&api, path, fields).await["status"], "error", "{fields:?}");
    }
}

#[tokio::test]
async fn only_a_full_account_on_a_site_that_allows_it_reaches_the_back_end() {
    let upstream = FakeUpstream::start().await;
    for allowed in [true, false] {
        let plan = Plan::new(&upstream).site(|site| site.with("allow_backend_login", &allowed.to_string()));
        let gateway = plan.start().await;
        let api = gateway.api();
        for account in ["guest", "full"] {
            let email = format!("{account}@example.com");
            gateway.login_page().token_for(&email).await;
            let (users, _) = api.all("/v1/users").await;
            let user = users.iter().find(|user| user["email"] == email.as_str()).expect("is known");
            let address = format!("/v1/users/{}", user["id"].as_str().expect("an id"));
            api.patch(&address, &serde_json::json!({ "account": account })).await;
            Visitor::at(&gateway).sign_in(&gateway.login_page(), &email).await;
            let (sessions, _) = api.all(&format!("/v1/sessions?email={}", encoded(&email))).await;
            assert_eq!(sessions[0]["backend"], allowed && account == "full", "{account}, allowed: {allowed}");
        }
    }
}

#[tokio::test]
async fn echo_tells_what_it_read_and_who_asked() {
    let upstream = FakeUpstream::start().await;
    let read = "name = \"reader\"\nsecret = \"the-key-of-a-reader-0123456789-abcdefghijklmn\"\nscopes = []\n\
                permission = \"read\"";
    let gateway = Plan::new(&upstream).key(read).start().await;
    for (key, level) in [(None, "none"), (Some("the-key-of-a-reader-0123456789-abcdefghijklmn"), "read")] {
        let answer =
            raw(&gateway.api().with_key(key), "/api/echo", &[("a", "b c"), ("\u{fc}", "<\u{e9}>")]).await;
        assert_eq!(answer["status"], "ok", "{answer}");
        assert_eq!(answer["permission_level"], level);
        let text = answer.to_string();
        assert!(text.contains("b c") && text.contains("<\u{e9}>"), "{text}");
    }
    let xml = gateway.api().get("/api/echo?x=%3Cy%3E%26").await.text();
    assert!(!xml.contains("<y>") && xml.contains("&lt;y"), "{xml}");
}

#[tokio::test]
async fn version_two_speaks_plain_json_with_real_status_codes() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let path = "/api/2/session/get-token?email=jane%40example.com&return_url=%2Fa";
    let answer = gateway.api().with_key(None).get(path).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("missing_authentication"), "{}", answer.text());
    let answer = gateway.api().get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").expect("a type").starts_with("application/json"));
    let data = answer.json()["data"].clone();
    let token = data["access_token"].as_str().unwrap_or_else(|| panic!("a token in {data}"));
    let nobody =
        gateway.api().with_key(None).form("/api/2/session/redeem-token", &[("session_token", token)]).await;
    assert_eq!(nobody.status, 401, "{}", nobody.text());
    let answer = gateway
        .api()
        .on_site(gateway.http, "site.test")
        .form("/api/2/session/redeem-token", &[("session_token", token)])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.json()["data"].is_null());
    let cookie = answer.header("set-cookie").expect("a session");
    let cookie = cookie.split(';').next().expect("a cookie");
    let ask = Ask::navigate("GET", &format!("{SITE}/a")).with("Cookie", cookie);
    assert_eq!(Visitor::at(&gateway).send(ask).await.status, 200);
    assert_eq!(upstream.last().header("x-forwarded-email").as_deref(), Some("jane@example.com"));
}

#[tokio::test]
async fn the_sites_own_hosts_offer_the_api_unless_the_site_says_no() {
    let upstream = FakeUpstream::start().await;
    for (apis, offered) in [(None, true), (Some("[\"session\"]"), true), (Some("[]"), false)] {
        let plan = Plan::new(&upstream);
        let gateway = match apis {
            Some(apis) => plan.site(|site| site.with("apis", apis)).start().await,
            None => plan.start().await,
        };
        let on_site = gateway.api().on_site(gateway.http, "site.test");
        let answer = on_site.get(GET_TOKEN).await;
        assert_eq!(answer.text().contains("<access_token>"), offered, "{apis:?}: {answer:?}");
        upstream.assert_untouched("the API's path, closed like any other where it is not offered").await;
    }
}

#[tokio::test]
async fn a_body_that_is_not_understood_is_refused_and_not_passed_over() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let api = gateway.api();
    let json = br#"{"email":"jane@example.com","return_url":"/a"}"#;
    for content_type in ["multipart/form-data; boundary=x", "text/plain", "application/json"] {
        let answer = api.send("POST", GET_TOKEN, &[("Content-Type", content_type)], json).await;
        assert!(answer.text().contains("code=\"invalid_input\""), "{content_type}: {}", answer.text());
    }
    // Version 2 speaks JSON, and takes it.
    let fields = [("Content-Type", "application/json")];
    let answer = api.send("POST", "/api/2/session/get-token", &fields, json).await;
    assert_eq!(answer.json()["data"]["return_url"], "/a", "{}", answer.text());
    let token = answer.json()["data"]["access_token"].as_str().expect("a token").to_owned();
    Visitor::at(&gateway).get(&format!("{SITE}/api/session/redeem-token?session_token={token}")).await;
    let sessions = api.get("/v1/sessions?email=jane@example.com").await.json();
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1), "not an anonymous one");
    upstream.assert_untouched("calls").await;
}
