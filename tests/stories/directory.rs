//! Sessions and users over the control API: whole lists page by page, and changes that take hold
//! at once.

use serde_json::{Value, json};

use crate::support::{
    ApiClient, Ask, FakeUpstream, LOGIN_URL, Plan, SITE, SitePlan, TestGateway, Visitor, encoded, minutes,
    seconds,
};

/// The only session of `email`.
async fn session_of(gateway: &TestGateway, email: &str) -> Value {
    let (mut sessions, _) = gateway.api().all(&format!("/v1/sessions?email={}", encoded(email))).await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    sessions.remove(0)
}

/// The only user with `email`, and where it is found.
async fn user_of(gateway: &TestGateway, email: &str) -> (Value, String) {
    let (users, _) = gateway.api().all("/v1/users").await;
    let user =
        users.into_iter().find(|user| user["email"] == email).unwrap_or_else(|| panic!("{email} is known"));
    let address = format!("/v1/users/{}", user["id"].as_str().expect("an id"));
    (user, address)
}

#[tokio::test]
async fn a_list_comes_page_by_page_and_misses_and_repeats_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    for number in 0..230 {
        let mut visitor = Visitor::at(&gateway);
        visitor.sign_in(&login_page, &format!("user-{}@example.com", number % 115)).await;
        gateway.advance(std::time::Duration::from_millis(number % 3));
    }
    let api = gateway.api();
    for (target, expected) in [
        ("/v1/sessions?limit=50", 230),
        ("/v1/sessions?site=intranet&limit=100", 230),
        ("/v1/sessions", 230),
        ("/v1/sessions?email=User-7%40EXAMPLE.com&limit=1", 2),
        ("/v1/sessions?email=nobody%40example.com", 0),
        ("/v1/users?limit=50", 115),
    ] {
        let (items, pages) = api.all(target).await;
        assert_eq!(items.len(), expected, "{target}");
        let ids: std::collections::BTreeSet<&str> =
            items.iter().map(|item| item["id"].as_str().expect("an id")).collect();
        assert_eq!(ids.len(), expected, "{target}");
        assert!(pages > 1 || !target.contains("limit"), "{target}: {pages} pages");
    }
    for target in [
        "/v1/sessions?cursor=nonsense",
        "/v1/users?cursor=%00",
        "/v1/sessions?limit=0",
        "/v1/sessions?limit=ten",
    ] {
        let answer = api.get(target).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (422, "parameter_invalid"), "{target}");
    }
}

#[tokio::test]
async fn what_ends_and_begins_between_two_pages_does_not_upset_the_list() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for number in 0..10 {
        Visitor::at(&gateway).sign_in(&gateway.login_page(), &format!("user-{number}@example.com")).await;
        gateway.advance(std::time::Duration::from_millis(1));
    }
    let api = gateway.api();
    let first = api.get("/v1/sessions?limit=4").await.json();
    let ids: Vec<&str> = first["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["id"].as_str().expect("an id"))
        .collect();
    for id in &ids {
        assert_eq!(api.delete(&format!("/v1/sessions/{id}")).await.status, 200);
    }
    Visitor::at(&gateway).sign_in(&gateway.login_page(), "late@example.com").await;
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let rest = pages_from(&api, cursor).await;
    let old: Vec<&Value> = rest.iter().filter(|item| item["email"] != "late@example.com").collect();
    assert_eq!(old.len(), 6, "{rest:?}");
    assert!(old.iter().all(|item| !ids.contains(&item["id"].as_str().expect("an id"))));
}

/// Every session behind `cursor`.
async fn pages_from(api: &ApiClient, cursor: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), Some(cursor.to_owned()));
    while let Some(at) = cursor {
        let page = api.get(&format!("/v1/sessions?limit=4&cursor={}", encoded(&at))).await.json();
        items.extend(page["sessions"].as_array().expect("a list").clone());
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        assert!(items.len() < 100, "the cursors lead in a circle");
    }
    items
}

#[tokio::test]
async fn a_session_is_known_by_a_name_that_opens_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let session = session_of(&gateway, "jane@example.com").await;
    let cookie = visitor.session_cookie().expect("signed in");
    assert!(!session.to_string().contains(&cookie), "{session}");
    assert_eq!(session["site"], "intranet");
    assert_eq!(session["email"], "jane@example.com");
    let id = session["id"].as_str().expect("an id");
    assert_eq!(gateway.api().get(&format!("/v1/sessions/{id}")).await.json(), session);
    let ask = Ask::navigate("GET", &format!("{SITE}/a")).with("Cookie", &format!("tollgate={id}"));
    assert_eq!(Visitor::at(&gateway).send(ask).await.status, 302);
    upstream.assert_untouched("a session's public name").await;
    assert_eq!(gateway.api().get(&format!("/v1/sessions/{cookie}")).await.status, 404);
}

#[tokio::test]
async fn changes_to_a_session_reach_the_upstream_with_the_next_request() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.identity_header("X-Plans", "{plans}")).start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let id = session_of(&gateway, "jane@example.com").await["id"].as_str().expect("an id").to_owned();
    let address = format!("/v1/sessions/{id}");
    let change = json!({ "groups": ["staff", "chess"], "plans": ["gold"], "attributes": { "a": "b" } });
    let answer = gateway.api().patch(&address, &change).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["groups"], json!(["staff", "chess"]));
    visitor.get(&format!("{SITE}/a")).await;
    assert_eq!(upstream.last().header("x-forwarded-groups").as_deref(), Some("staff,chess"));
    assert_eq!(upstream.last().header("x-plans").as_deref(), Some("gold"));

    assert_eq!(gateway.api().patch(&address, &json!({ "groups": [], "idle": 60 })).await.status, 200);
    visitor.get(&format!("{SITE}/a")).await;
    assert_eq!(upstream.last().header("x-forwarded-groups"), None);
    assert_eq!(upstream.last().header("x-plans").as_deref(), Some("gold"), "what is not named stays");
    gateway.advance(minutes(1) + seconds(1));
    assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 302, "the new idle time counts");

    for change in [json!({ "groups": "staff" }), json!({ "idle": 0 }), json!({ "max": "long" })] {
        visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
        let id = session_of(&gateway, "jane@example.com").await["id"].as_str().expect("an id").to_owned();
        let answer = gateway.api().patch(&format!("/v1/sessions/{id}"), &change).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (422, "parameter_invalid"), "{change}");
    }
}

#[tokio::test]
async fn deleting_sessions_ends_them_at_once() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let api = gateway.api();
    let mut browsers: Vec<Visitor> = (0..3).map(|_| Visitor::at(&gateway)).collect();
    for visitor in &mut browsers {
        visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    }
    let (sessions, _) = api.all("/v1/sessions").await;
    let first = format!("/v1/sessions/{}", sessions[0]["id"].as_str().expect("an id"));
    assert_eq!(api.delete(&first).await.json(), json!({ "revoked": 1 }));
    assert_eq!(api.get(&first).await.status, 404);
    let mut open = 0;
    for visitor in &mut browsers {
        open += usize::from(visitor.get(&format!("{SITE}/a")).await.status == 200);
    }
    assert_eq!(open, 2);
    let answer = api.delete("/v1/sessions?email=JANE%40example.com").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "revoked": 2 })));
    upstream.forget().await;
    for visitor in &mut browsers {
        assert!(visitor.get(&format!("{SITE}/a")).await.location().starts_with(LOGIN_URL));
    }
    upstream.assert_untouched("revoked sessions").await;
    assert_eq!(api.delete("/v1/sessions?email=jane%40example.com").await.json(), json!({ "revoked": 0 }));
    let answer = api.delete("/v1/sessions").await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (422, "parameter_missing"),
        "not all of them at once"
    );
}

#[tokio::test]
async fn a_users_role_is_told_from_the_next_session_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let (user, address) = user_of(&gateway, "jane@example.com").await;
    assert_eq!((&user["account"], &user["roles"]), (&json!("guest"), &json!({ "intranet": "editor" })));
    let answer = gateway.api().patch(&address, &json!({ "roles": { "intranet": "admin" } })).await;
    assert_eq!((answer.status, &answer.json()["roles"]["intranet"]), (200, &json!("admin")));
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    visitor.get(&format!("{SITE}/a")).await;
    assert_eq!(upstream.last().header("x-forwarded-role").as_deref(), Some("admin"));

    for change in [
        json!({ "account": "root" }),
        json!({ "roles": { "nowhere": "admin" } }),
        json!({ "roles": { "intranet": "a\r\nb" } }),
        json!({ "roles": { "intranet": "" } }),
        json!({ "roles": "admin" }),
        json!({ "full_name": 7 }),
    ] {
        let answer = gateway.api().patch(&address, &change).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (422, "parameter_invalid"), "{change}");
    }
    let answer =
        gateway.api().patch(&address, &json!({ "full_name": "Jane Smith", "account": "full" })).await;
    assert_eq!(
        (&answer.json()["full_name"], &answer.json()["account"]),
        (&json!("Jane Smith"), &json!("full"))
    );
    assert_eq!(user_of(&gateway, "jane@example.com").await.0["roles"], json!({ "intranet": "admin" }));
}

#[tokio::test]
async fn a_user_who_is_deleted_is_out_and_starts_anew() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let (_, address) = user_of(&gateway, "jane@example.com").await;
    gateway.api().patch(&address, &json!({ "roles": { "intranet": "admin" } })).await;
    assert_eq!(gateway.api().delete(&address).await.status, 200);
    for method in ["GET", "DELETE", "PATCH"] {
        let json = [("Content-Type", "application/json")];
        assert_eq!(gateway.api().send(method, &address, &json, b"{}").await.status, 404, "{method}");
    }
    assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 302, "no session outlives its user");
    upstream.assert_untouched("a deleted user").await;
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let (user, again) = user_of(&gateway, "jane@example.com").await;
    assert_ne!(again, address, "a number is never used twice");
    assert_eq!(user["roles"], json!({ "intranet": "editor" }));
    for id in ["0", "-1", "01", "x", "99999999999999999999999", "%00", "1/2"] {
        assert_eq!(gateway.api().get(&format!("/v1/users/{id}")).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn a_key_for_one_site_sees_and_changes_that_sites_members_only() {
    let upstream = FakeUpstream::start().await;
    let secret = "the-key-of-the-shop-0123456789-abcdefghijklmn";
    let key = format!("name = \"shop\"\nsecret = {secret:?}\nscopes = [\"admin\"]\nsites = [\"shop\"]");
    let plan =
        Plan::new(&upstream).and_site(SitePlan::new("shop", "shop.test", upstream.address())).key(&key);
    let gateway = plan.start().await;
    gateway.login_page().token_for("jane@example.com").await;
    let shop = gateway.api().with_key(Some(secret));
    let (_, address) = user_of(&gateway, "jane@example.com").await;
    assert_eq!(shop.all("/v1/users").await.0, Vec::<Value>::new());
    for method in ["GET", "DELETE", "PATCH"] {
        let json = [("Content-Type", "application/json")];
        let answer = shop.send(method, &address, &json, b"{\"roles\": {\"shop\": \"admin\"}}").await;
        assert_eq!(answer.status, 404, "{method}: {answer:?}");
    }
    shop.post("/v1/sso_tokens", &json!({ "email": "jane@example.com", "full_name": "J" })).await;
    let answer = shop.patch(&address, &json!({ "roles": { "intranet": "admin" } })).await;
    assert!((400..500).contains(&answer.status), "not the other site's role: {answer:?}");
    let seen = shop.get(&address).await;
    assert!(!seen.text().contains("intranet"), "nor sees it: {}", seen.text());
    assert_eq!(user_of(&gateway, "jane@example.com").await.0["roles"]["intranet"], "editor");
}
