//! The admin page: what an operator sees there, and what comes of what is done there.

use serde_json::json;

use crate::support::{
    Authority, Connection, FakeUpstream, MASTER_KEY, Operator, Plan, SITE, SitePlan, TestGateway, Visitor,
    minutes, seconds,
};

/// Every page that is there without anybody's help.
const PAGES: [&str; 8] = ["", "sessions", "users", "links", "sites", "upstreams", "events", "certificates"];

/// The name of the only session, as the list links to it.
async fn only_session(operator: &Operator) -> String {
    let page = operator.page("sessions").await;
    let links: Vec<&str> = page.split("href=\"/admin/sessions/").skip(1).collect();
    assert_eq!(links.len(), 1, "{page}");
    links[0].split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_operator_signs_in_with_a_key_looks_around_and_signs_out() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut operator = Operator::at(&gateway);
    assert_eq!(operator.get("sessions?site=intranet").await.status, 401);
    let answer = operator.sign_in(MASTER_KEY).await;
    assert_eq!((answer.status, answer.location().as_str()), (303, "/admin/"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/admin/"), "{cookie}");
    for place in PAGES {
        let page = operator.page(place).await;
        assert_eq!(page.matches("aria-current=\"page\"").count(), 1, "{place}");
        assert_eq!(page.matches("<h1").count(), 1, "{place}");
        assert!(page.contains("Signed in with <strong>master</strong>"), "{place}");
    }
    let token = operator.token().await;
    let out = operator.send("sign-out", &[("token", &token)]).await;
    assert_eq!((out.status, out.location().as_str()), (303, "/admin/"));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(operator.get("").await.status, 401);
}

#[tokio::test]
async fn whoever_signs_in_anew_is_signed_out_of_what_was_before() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let left_behind = operator.clone();
    assert_eq!(operator.sign_in("not-this-one-0123456789").await.status, 403);
    left_behind.page("").await;
    assert_eq!(operator.sign_in(MASTER_KEY).await.status, 303);
    operator.page("").await;
    assert_eq!(left_behind.get("").await.status, 401);
}

#[tokio::test]
async fn who_was_sent_to_sign_in_comes_to_the_page_that_was_asked_for() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let operator = Operator::at(&gateway);
    let closed = operator.get("users?site=intranet").await;
    assert_eq!(closed.status, 401);
    assert!(
        closed.text().contains("name=\"next\" value=\"/admin/users?site=intranet\""),
        "{}",
        closed.text()
    );
    let answer =
        operator.send("sign-in", &[("key", MASTER_KEY), ("next", "/admin/users?site=intranet")]).await;
    assert_eq!(answer.location(), "/admin/users?site=intranet");
}

#[tokio::test]
async fn a_sign_in_ends_when_nobody_clicks_and_after_a_working_day_in_any_case() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let glance = [("X-Admin-Glance", "1")];
    gateway.advance(minutes(20));
    // A page that is looked after by its own script is not somebody who is there.
    assert_eq!(operator.ask("GET", "", &glance, b"").await.status, 200);
    gateway.advance(minutes(10));
    let over = operator.ask("GET", "", &glance, b"").await;
    assert_eq!((over.status, over.text().as_str()), (401, ""));
    assert_eq!(operator.get("").await.status, 401);

    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    for _ in 0..16 {
        assert_eq!(operator.get("").await.status, 200);
        gateway.advance(minutes(29));
    }
    assert_eq!(operator.get("").await.status, 200);
    gateway.advance(minutes(16));
    assert_eq!(operator.get("").await.status, 401);
}

#[tokio::test]
async fn a_session_is_found_looked_at_and_ended() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    assert!(operator.page("sessions").await.contains("Nobody is signed in."));
    let mut jane = Visitor::at(&gateway);
    let token = gateway
        .login_page()
        .token(json!({
            "email": "Jane@example.com", "full_name": "Jane Doe", "external_id": "c-17", "groups": ["staff"],
            "plans": ["gold"], "attributes": {"floor": "3"},
        }))
        .await;
    jane.get(&format!("{SITE}/?sso={token}")).await;
    gateway.advance(minutes(1));
    let id = only_session(&operator).await;
    let page = operator.page(&format!("sessions/{id}")).await;
    for told in
        ["Jane@example.com", "Jane Doe", "c-17", "staff", "gold", "floor", "1 min ago", "in 29 min", &id]
    {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert!(!page.contains(&jane.session_cookie().unwrap()));
    for (sought, found) in
        [("JANE@example.com", true), ("1", true), ("joe@example.com", false), ("2", false), ("bogus", false)]
    {
        let list = operator.page(&format!("sessions?q={sought}")).await;
        assert_eq!(list.contains(&id), found, "{sought}: {list}");
    }
    assert_eq!(operator.get(&format!("sessions?q={id}")).await.location(), format!("/admin/sessions/{id}"));

    // To look at the question ends nothing.
    let question = operator.page(&format!("sessions/{id}/end")).await;
    assert!(question.contains("End the session of Jane@example.com on intranet?"), "{question}");
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 200);
    let ended = operator.press(&format!("sessions/{id}/end"), &[]).await;
    assert_eq!((ended.status, ended.location().as_str()), (303, "/admin/sessions"));
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 302);
    let list = operator.page("sessions").await;
    assert!(list.contains("The session of Jane@example.com has ended.") && !list.contains(&id), "{list}");
    assert!(!operator.page("sessions").await.contains("has ended"), "it is said once");
    assert_eq!(operator.get(&format!("sessions/{id}")).await.status, 404);
}

#[tokio::test]
async fn all_sessions_of_a_person_end_or_those_on_one_site_and_open_tokens_with_them() {
    let upstream = FakeUpstream::start().await;
    let wiki = SitePlan::new("wiki", "wiki.test", upstream.address());
    let gateway = Plan::new(&upstream).and_site(wiki).start().await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let (page, mut jane, mut joe) = (gateway.login_page(), Visitor::at(&gateway), Visitor::at(&gateway));
    jane.sign_in(&page, "jane@example.com").await;
    joe.sign_in(&page, "joe@example.com").await;
    let open = page.token_for("jane@example.com").await;
    let elsewhere = operator.press("sessions/end?email=jane%40example.com&site=wiki", &[]).await;
    assert_eq!(elsewhere.status, 303);
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 200);
    for (email, site) in [("", ""), ("nobody", ""), ("jane@example.com", "atlantis")] {
        let place = format!("sessions/end?email={email}&site={site}");
        assert_eq!(operator.get(&place).await.status, 422, "{place}");
    }
    let ended = operator.press("sessions/end?email=jane%40example.com", &[]).await;
    assert_eq!(ended.status, 303);
    assert!(operator.page("sessions").await.contains("The one session of jane@example.com has ended."));
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 302);
    assert_eq!(joe.get(&format!("{SITE}/")).await.status, 200);
    let late = Visitor::at(&gateway).get(&format!("{SITE}/?sso={open}")).await;
    assert!(late.location().contains("error=token_invalid"), "{late:?}");
}

#[tokio::test]
async fn long_lists_have_pages() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let page = gateway.login_page();
    for number in 0..55 {
        let mut visitor = Visitor::at(&gateway);
        visitor.sign_in(&page, &format!("reader{number}@example.com")).await;
    }
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    for list in ["sessions", "users"] {
        let first = operator.page(list).await;
        assert_eq!(first.matches("<tr><th scope=\"row\">").count(), 50, "{list}");
        let (_, next) = first.split_once("quiet\" href=\"/admin/").expect("a next page");
        let next = next.split('"').next().unwrap().replace("&#38;", "&");
        let second = operator.page(&next).await;
        assert_eq!(second.matches("<tr><th scope=\"row\">").count(), 5, "{list}");
        assert!(second.contains("First page") && !second.contains("Next page"), "{list}");
    }
}

#[tokio::test]
async fn what_is_changed_of_a_user_reaches_the_site_with_the_next_request() {
    let upstream = FakeUpstream::start().await;
    let wiki = SitePlan::new("wiki", "wiki.test", upstream.address());
    let gateway = Plan::new(&upstream).and_site(wiki).start().await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert_eq!(operator.get("users?q=1").await.location(), "/admin/users/1");
    assert!(operator.page("users?q=jane@example.com").await.contains("/admin/users/1\""));
    let token = operator.token().await;
    let change = |what: &'static str, fields: Vec<(&'static str, &'static str)>| {
        let (operator, token) = (operator.clone(), token.clone());
        async move {
            let mut fields = fields;
            fields.push(("token", &token));
            operator.send(&format!("users/1/{what}"), &fields).await.status
        }
    };
    assert_eq!(change("role", vec![("site", "intranet"), ("role", "chief")]).await, 303);
    jane.get(&format!("{SITE}/a")).await;
    assert_eq!(upstream.last().header("x-forwarded-role").as_deref(), Some("chief"));
    assert_eq!(change("role", vec![("site", "wiki"), ("role", "reader")]).await, 303);
    assert_eq!(change("account", vec![("account", "full")]).await, 303);
    let user = gateway.api().get("/v1/users/1").await.json();
    assert_eq!(
        (&user["roles"], &user["account"]),
        (&json!({"intranet": "chief", "wiki": "reader"}), &json!("full"))
    );
    for (what, fields, status) in [
        ("role", vec![("site", "intranet"), ("role", "no role")], 200),
        ("role", vec![("site", "atlantis"), ("role", "chief")], 404),
        ("account", vec![("account", "admin")], 422),
        ("leave", vec![("site", "atlantis")], 404),
        ("promote", vec![], 404),
    ] {
        assert_eq!(change(what, fields).await, status, "{what}");
    }
    assert_eq!(gateway.api().get("/v1/users/1").await.json()["roles"], user["roles"]);

    assert_eq!(operator.press("users/1/leave?site=intranet", &[]).await.status, 303);
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 302);
    let gone = operator.press("users/1/delete", &[]).await;
    assert_eq!((gone.status, gone.location().as_str()), (303, "/admin/users"));
    assert_eq!(gateway.api().get("/v1/users/1").await.status, 404);
    assert_eq!(operator.get("users/1").await.status, 404);
}

#[tokio::test]
async fn a_test_link_signs_somebody_in_once() {
    let upstream = FakeUpstream::start().await;
    let strict = SitePlan::new("strict", "strict.test", upstream.address()).with("require_state", "true");
    let gateway = Plan::new(&upstream).and_site(strict).start().await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let order =
        [("site", "intranet"), ("email", "jane@example.com"), ("name", "Jane Doe"), ("return_url", "/a?b=c")];
    let made = operator.press("links", &order).await.text();
    let (_, link) = made.split_once("readonly value=\"").expect("a link");
    let link = link.split('"').next().unwrap().replace("&#38;", "&");
    assert!(made.contains("in 5 min") && made.contains("is a user now"), "{made}");
    let (_, target) = link.split_once("/.tollgate/").expect("leads to the site");
    let mut jane = Visitor::at(&gateway);
    let answer = jane.get(&format!("{SITE}/.tollgate/{target}")).await;
    assert_eq!((answer.status, answer.location().as_str()), (302, "/a?b=c"));
    assert_eq!(jane.get(&format!("{SITE}/")).await.status, 200);
    let again = Visitor::at(&gateway).get(&format!("{SITE}/.tollgate/{target}")).await;
    assert!(again.location().contains("token_invalid"), "{again:?}");
    assert!(!operator.page("links").await.contains("/.tollgate/redeem"), "it is shown once");
    // Whoever was taken off the site is a member again by it, which does not go unsaid.
    let changes = async || operator.page("events").await.matches("class=\"what\">user changed").count();
    operator.press("users/1/leave?site=intranet", &[]).await;
    assert_eq!(changes().await, 1);
    operator.press("links", &order).await;
    assert_eq!(changes().await, 2);
    operator.press("links", &order).await;
    assert_eq!(changes().await, 2, "a member stays one");
    for (field, value) in
        [("site", "atlantis"), ("site", "strict"), ("email", "jane"), ("name", ""), ("return_url", "/\u{7}")]
    {
        let refused = operator.press("links", &[&order[..], &[(field, value)]].concat()).await.text();
        assert!(
            refused.contains("role=\"alert\"") && !refused.contains("/.tollgate/redeem"),
            "{field}: {refused}"
        );
    }
}

#[tokio::test]
async fn sites_are_shown_as_they_are_in_force_and_requests_are_explained() {
    let upstream = FakeUpstream::start().await;
    let site = |plan: SitePlan| plan.route_requiring("/hq/", "{ roles = [\"chief\"] }");
    let mut gateway = Plan::new(&upstream).site(site).start().await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let page = operator.page("sites").await;
    for told in ["site.test", "/public", "/hq", "a role of", "https://login.test/signin", "SameSite=Lax"] {
        assert!(page.contains(told), "{told} in {page}");
    }
    let ask = |query: &'static str| {
        let operator = operator.clone();
        async move { operator.page(&format!("sites?url=http%3A%2F%2Fsite.test{query}")).await }
    };
    for (query, outcome) in [
        ("%2Fpublic%2Fa", "forwarded; the upstream is told of nobody"),
        ("%2Fa", "a session is needed"),
        ("%2Fa&as=jane@example.com", "forwarded; the upstream is told of jane@example.com"),
        ("%2Fhq%2F&as=jane@example.com&role=editor", "missing: a role of"),
        ("%2Fhq%2F&as=jane@example.com&role=chief", "forwarded"),
        ("%2Fa&method=TRACE", "not forwarded: 405"),
        ("%2F..%2Fa", "400"),
        ("%2Fa&as=jane", "e-mail address is not valid"),
        ("%2Fa&from=nowhere", "address is not valid"),
        ("%2Fa&method=%0A", "a session is needed"),
    ] {
        let page = ask(query).await;
        assert!(page.contains(outcome), "{query}: {outcome} in {page}");
    }
    let closed = |plan: SitePlan| plan.route("/vault/", "required");
    gateway.reload(&Plan::new(&upstream).site(closed)).await.unwrap();
    let page = operator.page("sites").await;
    assert!(page.contains("/vault") && !page.contains("/hq"), "{page}");
}

#[tokio::test]
async fn an_operator_sees_what_happened_and_what_was_refused() {
    let upstream = FakeUpstream::start().await;
    let mut gateway = TestGateway::before(&upstream).await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    gateway.api().with_key(Some("no-key-that-anybody-has")).get("/v1/users").await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let page = operator.page("events").await;
    for told in [
        "user created",
        "token issued",
        "session started",
        "wrong key",
        "operator signed in",
        "by a visitor at 127.0.0.1",
        "by a stranger at 127.0.0.1",
        "by key ",
        "request <code>",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    let only = operator.page("events?event=wrong_key").await;
    assert!(only.contains("127.0.0.1") && !only.contains("/admin/users/1"), "{only}");
    for secret in ["jane@example.com", "no-key-that", &jane.session_cookie().unwrap()] {
        assert!(!page.contains(secret), "{secret}");
    }

    assert!(operator.page("").await.contains("Nothing needs your attention."));
    gateway.note_refused("config.toml:3: there is no such key");
    let page = operator.page("").await;
    assert!(
        page.contains("could not be applied") && page.contains("config.toml:3: there is no such key"),
        "{page}"
    );
    gateway.reload(&Plan::new(&upstream)).await.unwrap();
    assert!(operator.page("").await.contains("Nothing needs your attention."));
}

#[tokio::test]
async fn figures_are_drawn_over_time() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let mut visitor = Visitor::at(&gateway);
    // Each time five seconds pass, until the gateway has looked at the clock often enough.
    let passes = async |needle: &str| {
        for _ in 0..300 {
            gateway.advance(seconds(5));
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            let page = operator.page("").await;
            if page.contains(needle) {
                return page;
            }
        }
        panic!("there is never {needle}");
    };
    assert!(operator.page("").await.contains("The first figures come in a moment."));
    passes("all <b>0/s</b>").await;
    for _ in 0..10 {
        visitor.get(&format!("{SITE}/public/a")).await;
    }
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let page = passes("all <b>2.2/s</b>").await;
    for told in ["sessions <b>1</b>", ",2200\"", "median <b>"] {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert!(!page.contains("logins <b>0/min</b>"), "{page}");
}

#[tokio::test]
async fn an_upstream_that_is_left_out_is_something_to_look_at() {
    let upstream = FakeUpstream::start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let both = |plan: SitePlan| {
        plan.upstreams(&[format!("http://{}", upstream.address()), format!("http://{nobody}")])
    };
    let gateway = Plan::new(&upstream).site(both).start().await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..40 {
        visitor.get(&format!("{SITE}/public/a")).await;
    }
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let page = operator.page("").await;
    assert!(page.contains("Of 2 upstreams of intranet, 1 is left out."), "{page}");
    let page = operator.page("upstreams").await;
    assert!(page.contains("left out"), "{page}");
    assert!(page.contains("3 failures in a row, tried again in"), "{page}");
}

#[tokio::test]
async fn without_a_key_that_opens_it_the_page_says_how_to_make_one() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).without_keys();
    let plan = plan.key(&format!("name = \"page\"\nsecret = {MASTER_KEY:?}\nscopes = [\"write:sso\"]"));
    let gateway = plan.start().await;
    let page = Operator::at(&gateway).get("").await;
    assert_eq!(page.status, 401);
    assert!(page.text().contains("tollgate key new") && !page.text().contains("<form"), "{}", page.text());
}

#[tokio::test]
async fn over_tls_the_page_is_at_the_certificates_names_and_its_cookie_is_for_that_host_alone() {
    let upstream = FakeUpstream::start().await;
    let authority = Authority::new();
    let files = authority.issue("control", &["gate.test"]);
    let plan = Plan::new(&upstream).control_certificate(&files);
    let gateway = plan.start().await;
    let ask = async |method: &str, target: &str, head: &str, body: &str| {
        let stream = Connection::dial([127, 0, 0, 1].into(), gateway.control).await;
        let stream = authority.client().shake_over(stream, "gate.test").await.expect("shakes hands");
        let length = body.len();
        let request = format!("{method} {target} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}");
        Connection::over(stream).exchange(request.as_bytes(), method).await.expect("an answer")
    };
    let own = "Host: gate.test\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let body = format!("key={MASTER_KEY}");
    let unencrypted = format!("{own}Origin: http://gate.test\r\n");
    assert_eq!(ask("POST", "/admin/sign-in", &unencrypted, &body).await.status, 403);
    let signed_in =
        ask("POST", "/admin/sign-in", &format!("{own}Origin: https://gate.test\r\n"), &body).await;
    let cookie = signed_in.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-tollgate_admin="), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Secure; Path=/"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    for (host, cookie, status) in [
        ("gate.test", cookie, 200),
        ("other.test", cookie, 421),
        ("gate.test", cookie.trim_start_matches("__Host-"), 401),
    ] {
        let head = format!("Host: {host}\r\nCookie: {cookie}\r\n");
        assert_eq!(ask("GET", "/admin/", &head, "").await.status, status, "{host} {cookie}");
    }
}
