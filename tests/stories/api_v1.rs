//! The control API as login pages meet it: tokens for the right key, and a clear answer to
//! everything else.

use serde_json::{Value, json};

use crate::support::{
    ApiClient, FakeUpstream, Plan, Response, SITE, SitePlan, TestGateway, Visitor, seconds,
};

const TOKENS: &str = "/v1/sso_tokens";

fn jane() -> Value {
    json!({ "email": "jane@example.com", "first_name": "Jane", "last_name": "Doe" })
}

/// `person` with `field` set to `value`.
fn with(mut person: Value, field: &str, value: Value) -> Value {
    person[field] = value;
    person
}

#[tokio::test]
async fn a_login_page_gets_a_token_with_one_call() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for path in ["/v1/sso_tokens", "/sso_tokens"] {
        let answer = gateway.api().post(path, &jane()).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        assert!(answer.header("content-type").expect("a type").starts_with("application/json"));
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{path}");
        let issued = answer.json();
        assert_eq!(issued["token"].as_str().expect("a token").len(), 43, "{path}");
        assert_eq!(issued["expires_at"], "2025-11-22T08:31:40Z", "{path}: five minutes from now");
        assert!(
            issued["redeem_url"]
                .as_str()
                .expect("a URL")
                .contains(issued["token"].as_str().expect("a token"))
        );
    }
}

#[tokio::test]
async fn a_user_is_made_at_first_sight_and_known_ever_after() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).and_site(SitePlan::new("shop", "shop.test", upstream.address()));
    let gateway = plan.start().await;
    let api = gateway.api();
    let issue = async |email: &str, name: &str, site: &str| {
        let person = json!({ "email": email, "full_name": name, "site": site });
        let answer = api.post(TOKENS, &person).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["user_created"].as_bool().expect("a boolean")
    };
    assert!(issue("Jane@Example.com", "Jane Doe", "intranet").await);
    assert!(!issue("jane@example.COM", "Someone Else", "intranet").await, "addresses compare without case");
    let (users, _) = api.all("/v1/users").await;
    assert_eq!(users.len(), 1);
    assert_eq!(users[0]["full_name"], "Jane Doe", "a known user keeps the name");
    assert_eq!(users[0]["roles"], json!({ "intranet": "editor" }));

    let user = format!("/v1/users/{}", users[0]["id"].as_str().expect("an id"));
    let answer = api.patch(&user, &json!({ "roles": { "intranet": "admin" } })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!issue("jane@example.com", "Jane Doe", "shop").await, "known, though new to the shop");
    assert!(!issue("jane@example.com", "Jane Doe", "intranet").await);
    let roles = api.get(&user).await.json()["roles"].clone();
    assert_eq!(roles, json!({ "intranet": "admin", "shop": "editor" }), "a member keeps the role");
}

#[tokio::test]
async fn the_key_is_asked_for_before_anything_else() {
    let upstream = FakeUpstream::start().await;
    let narrow = "name = \"narrow\"\nsecret = \"a-key-with-few-rights-0123456789-abcdefghij\"\nscopes = [\"read:users\"]\n\
                  permission = \"none\"";
    let gateway = Plan::new(&upstream).key(narrow).start().await;
    let wrong = "a-key-that-nobody-has-0123456789-abcdefghijklm";
    // Every try comes from an address of its own: guessing from one is another story.
    let mut addresses = 1..;
    let mut anybody = || gateway.api().at_address(6, addresses.next().expect("an address"));
    for (method, path) in [
        ("POST", "/v1/sso_tokens"),
        ("POST", "/sso_tokens"),
        ("GET", "/v1/sessions"),
        ("GET", "/v1/sessions/0123456789abcdef0123456789abcdef"),
        ("PATCH", "/v1/sessions/0123456789abcdef0123456789abcdef"),
        ("DELETE", "/v1/sessions/0123456789abcdef0123456789abcdef"),
        ("DELETE", "/v1/sessions?email=jane%40example.com"),
        ("GET", "/v1/users"),
        ("GET", "/v1/users/1"),
        ("PATCH", "/v1/users/1"),
        ("DELETE", "/v1/users/1"),
    ] {
        let json = [("Content-Type", "application/json")];
        for key in [None, Some(wrong), Some(""), Some("a b"), Some("\u{fc}")] {
            let answer = anybody().with_key(key).send(method, path, &json, b"{}").await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (401, "missing_token"),
                "{method} {path}"
            );
            assert!(answer.json()["error"]["message"].is_string());
            assert!(!answer.text().contains(wrong));
        }
        for authorization in ["Basic bWFzdGVyOmtleQ==", "Bearer", "bearer", "Token x", ""] {
            let headers = [("Content-Type", "application/json"), ("Authorization", authorization)];
            let answer = anybody().with_key(None).send(method, path, &headers, b"{}").await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (401, "missing_token"),
                "{authorization:?}"
            );
        }
        let narrow = gateway.api().with_key(Some("a-key-with-few-rights-0123456789-abcdefghij"));
        let answer = narrow.send(method, path, &json, b"{}").await;
        let may_read = method == "GET" && path.starts_with("/v1/users");
        if may_read {
            assert!(matches!(answer.status, 200 | 404), "{method} {path}: {answer:?}");
        } else {
            let refusal = (answer.status, answer.error_code());
            assert_eq!(refusal, (403, "insufficient_scope".to_owned()), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_key_for_one_site_is_good_for_that_site_alone() {
    let upstream = FakeUpstream::start().await;
    let secret = "the-key-of-the-shop-0123456789-abcdefghijklmn";
    let key = format!("name = \"shop\"\nsecret = {secret:?}\nscopes = [\"admin\"]\nsites = [\"shop\"]");
    let plan = Plan::new(&upstream).and_site(SitePlan::new("shop", "shop.test", upstream.address()));
    let gateway = plan.key(&key).start().await;
    let (master, shop) = (gateway.api(), gateway.api().with_key(Some(secret)));

    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let answer = shop.post(TOKENS, &with(jane(), "site", json!("intranet"))).await;
    assert!(matches!(answer.status, 403 | 422), "{answer:?}");
    assert_eq!(shop.post(TOKENS, &jane()).await.status, 201, "its only site need not be named");
    let answer = master.post(TOKENS, &jane()).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (422, "parameter_missing"),
        "which of the two?"
    );
    assert_eq!(answer.json()["error"]["details"]["field"], "site");

    assert_eq!(master.all("/v1/sessions").await.0.len(), 1);
    assert_eq!(
        shop.all("/v1/sessions").await.0,
        Vec::<Value>::new(),
        "another site's sessions are not its business"
    );
    let id = master.all("/v1/sessions").await.0[0]["id"].as_str().expect("an id").to_owned();
    for method in ["GET", "PATCH", "DELETE"] {
        let json = [("Content-Type", "application/json")];
        let answer = shop.send(method, &format!("/v1/sessions/{id}"), &json, b"{}").await;
        assert_eq!(answer.status, 404, "{method}: {answer:?}");
    }
    let answer = shop.delete("/v1/sessions?email=jane%40example.com").await;
    assert!(answer.status == 200 && answer.json()["revoked"] == 0, "{answer:?}");
    assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 200, "the session is as it was");
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let long = "x".repeat(100_000);
    for (person, code, field) in [
        (json!({}), "parameter_missing", "email"),
        (json!({ "first_name": "Jane", "last_name": "Doe" }), "parameter_missing", "email"),
        (json!({ "email": null, "full_name": "Jane" }), "parameter_missing", "email"),
        (json!({ "email": "", "full_name": "Jane" }), "parameter_", "email"),
        (json!({ "email": "jane@example.com" }), "parameter_missing", "first_name"),
        (json!({ "email": "jane@example.com", "first_name": "Jane" }), "parameter_missing", "last_name"),
        (json!({ "email": "jane@example.com", "last_name": "Doe" }), "parameter_missing", "first_name"),
        (with(jane(), "email", json!("jane")), "parameter_invalid", "email"),
        (with(jane(), "email", json!("jane@example.com\r\nX-Admin: yes")), "parameter_invalid", "email"),
        (with(jane(), "email", json!("jane@example.com\0")), "parameter_invalid", "email"),
        (with(jane(), "email", json!(7)), "parameter_invalid", "email"),
        (with(jane(), "email", json!(["jane@example.com"])), "parameter_invalid", "email"),
        (with(jane(), "email", json!(format!("{long}@example.com"))), "parameter_invalid", "email"),
        (with(jane(), "first_name", json!(7)), "parameter_invalid", "first_name"),
        (with(jane(), "first_name", json!(long)), "parameter_invalid", "first_name"),
        (with(jane(), "last_name", json!({})), "parameter_invalid", "last_name"),
        (with(jane(), "last_name", json!("Doe\u{202e}nimda")), "parameter_invalid", "last_name"),
        (with(jane(), "first_name", json!("\u{2066}Jane")), "parameter_invalid", "first_name"),
        (with(jane(), "site", json!("nowhere")), "parameter_invalid", "site"),
        (with(jane(), "site", json!(7)), "parameter_invalid", "site"),
        (with(jane(), "return_url", json!(7)), "parameter_invalid", "return_url"),
        // Bytes count, since it is in bytes that it has to fit into a request line again.
        (
            with(jane(), "return_url", json!(format!("/{}", "ü".repeat(4096)))),
            "parameter_invalid",
            "return_url",
        ),
        (with(jane(), "external_id", json!(7)), "parameter_invalid", "external_id"),
        (with(jane(), "groups", json!("staff")), "parameter_invalid", "groups"),
        (with(jane(), "groups", json!([1])), "parameter_invalid", "groups"),
        (with(jane(), "plans", json!({ "a": "b" })), "parameter_invalid", "plans"),
        (with(jane(), "attributes", json!(["a"])), "parameter_invalid", "attributes"),
        (with(jane(), "attributes", json!({ "a": 1 })), "parameter_invalid", "attributes"),
        (with(jane(), "state", json!("a b\n")), "parameter_invalid", "state"),
        (with(jane(), "expires_in", json!(0)), "parameter_invalid", "expires_in"),
        (with(jane(), "expires_in", json!(-5)), "parameter_invalid", "expires_in"),
        (with(jane(), "expires_in", json!(3601)), "parameter_invalid", "expires_in"),
        (with(jane(), "expires_in", json!(1.5)), "parameter_invalid", "expires_in"),
        (with(jane(), "expires_in", json!("soon")), "parameter_invalid", "expires_in"),
        (with(jane(), "session_idle", json!(0)), "parameter_invalid", "session_idle"),
        (with(jane(), "session_max", json!("long")), "parameter_invalid", "session_max"),
    ] {
        let answer = gateway.api().post(TOKENS, &person).await;
        let shown: String = person.to_string().chars().take(200).collect();
        assert_eq!(answer.status, 422, "{shown}: {}", answer.text());
        assert!(answer.error_code().starts_with(code), "{shown}: {}", answer.text());
        assert_eq!(answer.json()["error"]["details"]["field"], field, "{shown}: {}", answer.text());
    }
    assert_eq!(gateway.api().all("/v1/users").await.0, Vec::<Value>::new(), "nothing was kept of any of it");
}

#[tokio::test]
async fn a_person_is_told_to_the_upstream_as_named_and_never_as_a_header_of_their_own() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for (number, name) in
        ["Jane\r\nX-Admin: yes", "Jane\nDoe", "\0", "Jane\u{85}Doe", "\u{7f}"].into_iter().enumerate()
    {
        let person =
            json!({ "email": format!("jane-{number}@example.com"), "full_name": name, "groups": [name] });
        let answer = gateway.api().post(TOKENS, &person).await;
        if answer.status != 201 {
            assert_eq!((answer.status, answer.error_code().as_str()), (422, "parameter_invalid"), "{name:?}");
            continue;
        }
        let token = answer.json()["token"].as_str().expect("a token").to_owned();
        let mut visitor = Visitor::at(&gateway);
        visitor.get(&format!("{SITE}/?sso={token}")).await;
        assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 200, "{name:?}");
        assert_eq!(upstream.last().header("x-admin"), None, "{name:?}");
    }
}

#[tokio::test]
async fn a_token_may_carry_times_for_its_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let person = with(with(jane(), "session_idle", json!(60)), "session_max", json!(150));
    let mut visitor = Visitor::at(&gateway);
    for (steps, alive) in [(&[61][..], false), (&[59, 59, 31], true), (&[59, 59, 33], false)] {
        let token = gateway.login_page().token(person.clone()).await;
        visitor.get(&format!("{SITE}/?sso={token}")).await;
        let mut status = 0;
        for step in steps {
            gateway.advance(seconds(*step));
            status = visitor.get(&format!("{SITE}/a")).await.status;
        }
        assert_eq!(status == 200, alive, "{steps:?}");
    }
}

#[tokio::test]
async fn what_is_no_json_or_no_such_address_is_refused_clearly() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let api = gateway.api();
    let json = [("Content-Type", "application/json")];
    for body in
        ["", "{", "}", "nonsense", "{\"email\":", "{\"email\": \"a@b\",}", "\u{feff}{}", "{}{}", "'{}'"]
    {
        let answer = api.send("POST", TOKENS, &json, body.as_bytes()).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "malformed_json"), "{body:?}");
    }
    for body in [&b"{\"email\": \"\xff@b\"}"[..], b"\xff\xfe{\0}\0", b"\0"] {
        let answer = api.send("POST", TOKENS, &json, body).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "malformed_json"), "{body:?}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(api.send("POST", TOKENS, &json, deep.as_bytes()).await.status / 100, 4);
    for body in ["[]", "null", "7", "\"x\""] {
        let answer = api.send("POST", TOKENS, &json, body.as_bytes()).await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer:?}");
    }
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"]
    {
        let answer = api.send("POST", TOKENS, &[("Content-Type", content_type)], b"{}").await;
        assert_eq!(answer.status, 415, "{content_type}");
        answer.error_code();
    }
    for content_type in
        ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=UTF-8"]
    {
        let body = jane().to_string();
        let answer = api.send("POST", TOKENS, &[("Content-Type", content_type)], body.as_bytes()).await;
        assert_eq!(answer.status, 201, "{content_type}");
    }
    let huge = with(jane(), "return_url", json!("x".repeat(4 * 1024 * 1024)));
    let answer = api.post(TOKENS, &huge).await;
    assert_eq!(answer.status, 413);
    answer.error_code();

    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/sso_tokens",
        "/v1/sso_tokens/",
        "/v1/sso_tokens/x",
        "/v1/nothing",
        "/favicon.ico",
    ] {
        let answer = api.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.error_code();
    }
    for (method, path, allowed) in [
        ("GET", "/v1/sso_tokens", &["POST"][..]),
        ("DELETE", "/sso_tokens", &["POST"]),
        ("POST", "/v1/sessions", &["GET", "DELETE"]),
        ("PUT", "/v1/sessions/0123456789abcdef0123456789abcdef", &["GET", "PATCH", "DELETE"]),
        ("POST", "/v1/users", &["GET"]),
        ("PUT", "/v1/users/1", &["GET", "PATCH", "DELETE"]),
        ("POST", "/healthz", &["GET"]),
        ("DELETE", "/readyz", &["GET"]),
    ] {
        let answer = api.send(method, path, &json, b"{}").await;
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        for method in allowed {
            assert!(answer.headers.lists("allow", method), "{path} allows {method}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn health_is_told_without_a_key_and_on_the_control_listener_only() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let anyone = gateway.api().with_key(None);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(anyone.get(path).await.status, 200, "{path}");
        assert_eq!(anyone.on_site(gateway.http, "site.test").get(path).await.status, 302, "{path}");
    }
    for path in ["/v1/users", "/v1/sessions", "/v1/sso_tokens", "/sso_tokens"] {
        let answer = gateway.api().on_site(gateway.http, "site.test").get(path).await;
        assert_eq!(answer.status, 302, "{path} is a page of the site like any other");
    }
    upstream.assert_untouched("the control API's paths").await;
}

#[tokio::test]
async fn a_site_may_offer_sso_tokens_on_its_own_hosts() {
    let upstream = FakeUpstream::start().await;
    let key = "name = \"shop\"\nsecret = \"the-key-of-the-shop-0123456789-abcdefghijklmn\"\nscopes = [\"write:sso\"]";
    let shop = SitePlan::new("shop", "shop.test", upstream.address());
    let plan =
        Plan::new(&upstream).site(|site| site.with("apis", "[\"sso_tokens\"]")).and_site(shop).key(key);
    let gateway = plan.start().await;
    let on_site = gateway.api().on_site(gateway.http, "site.test");
    for path in ["/v1/sso_tokens", "/sso_tokens"] {
        let answer = on_site.post(path, &jane()).await;
        assert_eq!(answer.status, 201, "{path}: the host says which site: {}", answer.text());
        let token = answer.json()["token"].as_str().expect("a token").to_owned();
        let mut visitor = Visitor::at(&gateway);
        visitor.get(&format!("{SITE}/?sso={token}")).await;
        assert!(visitor.session_cookie().is_some(), "{path}");
        assert_eq!(on_site.with_key(None).post(path, &jane()).await.status, 401, "{path}");
    }
    let elsewhere = with(jane(), "site", json!("shop"));
    let answer = on_site.post(TOKENS, &elsewhere).await;
    assert!((400..500).contains(&answer.status), "not for another site: {answer:?}");
    let at_shop = gateway.api().on_site(gateway.http, "shop.test").post(TOKENS, &jane()).await;
    assert_ne!(at_shop.status, 201, "the shop does not offer it");
    upstream.assert_untouched("the token API").await;
}

#[tokio::test]
async fn whoever_guesses_keys_is_slowed_down_and_nobody_else_is() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let guesser = gateway.api().at_address(4, 1);
    let slowed = guess(&guesser).await;
    assert!(slowed.header("retry-after").expect("says how long").parse::<u64>().expect("seconds") > 0);
    slowed.error_code();
    let right = guesser.post(TOKENS, &jane()).await;
    assert_eq!(right.status, 201, "whoever has the key is not shut out by a neighbour without");
    assert_eq!(gateway.api().at_address(4, 2).post(TOKENS, &jane()).await.status, 201, "another address");
    gateway.advance(seconds(3600));
    let wrong = guesser.with_key(Some("another-guessed-key-000000000000000")).post(TOKENS, &jane()).await;
    assert_eq!(wrong.status, 401, "in time all is forgiven");

    for _ in 0..200 {
        assert_eq!(
            gateway.api().at_address(4, 3).post(TOKENS, &jane()).await.status,
            201,
            "right keys never tire"
        );
    }
}

/// Tries wrong keys until the gateway has enough of it.
async fn guess(guesser: &ApiClient) -> Response {
    for number in 0..100 {
        let wrong = format!("a-guessed-key-{number:030}");
        let answer = guesser.with_key(Some(&wrong)).post(TOKENS, &jane()).await;
        match answer.status {
            401 => {}
            429 => return answer,
            status => panic!("{status} for a wrong key"),
        }
    }
    panic!("100 wrong keys, and no end");
}

#[tokio::test]
async fn whoever_guesses_tokens_is_slowed_down_and_nobody_else_is() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut slowed = None;
    for number in 0..200 {
        let mut guesser = Visitor::at(&gateway).at_address(5, 1);
        let answer = guesser.get(&format!("{SITE}/closed?sso={number:A>43}")).await;
        assert_eq!(guesser.session_cookie(), None);
        if answer.status == 429 {
            slowed = Some(answer);
            break;
        }
    }
    let slowed = slowed.expect("200 guessed tokens are too many");
    assert_eq!(slowed.header("location"), None, "{slowed:?}");
    let mut other = Visitor::at(&gateway).at_address(5, 2);
    other.sign_in(&gateway.login_page(), "jane@example.com").await;
    upstream.assert_untouched("guesses").await;
}

#[tokio::test]
async fn a_state_that_got_lost_is_an_error_and_not_a_token_for_anybody() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.api().post(TOKENS, &with(jane(), "state", json!(""))).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (422, "parameter_invalid"));
    assert_eq!(gateway.api().post(TOKENS, &with(jane(), "state", json!(null))).await.status, 201);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_not_called_done() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    Visitor::at(&gateway).sign_in(&gateway.login_page(), "jane@example.com").await;
    let api = gateway.api();
    let user = api.get("/v1/users").await.json()["users"][0]["id"].as_str().expect("a user").to_owned();
    let session =
        api.get("/v1/sessions").await.json()["sessions"][0]["id"].as_str().expect("a session").to_owned();
    for (target, change, field) in [
        (format!("/v1/users/{user}"), json!({ "rolse": {} }), "rolse"),
        (format!("/v1/users/{user}"), json!({ "first_name": "" }), "first_name"),
        (format!("/v1/sessions/{session}"), json!({ "idel": 5 }), "idel"),
        (format!("/v1/sessions/{session}"), json!({ "idle": 7200, "max": 3600 }), "idle"),
        (format!("/v1/sessions/{session}"), json!({ "groups": vec!["x".repeat(190); 30] }), "groups"),
    ] {
        let answer = api.patch(&target, &change).await;
        assert_eq!(answer.status, 422, "{change}: {answer:?}");
        assert_eq!(answer.json()["error"]["details"]["field"], field, "{change}");
    }
    for query in ["email=not-an-address", "email=jane@example.com&site=nosuch", ""] {
        assert_eq!(api.delete(&format!("/v1/sessions?{query}")).await.status, 422, "{query}");
    }
}
