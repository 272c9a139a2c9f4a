//! Paths for which a session is not enough: who may see what, and what everybody else is told.

use serde_json::{Value, json};

use crate::support::{Ask, FakeUpstream, Plan, SITE, TestGateway, Visitor, links_of, local};

/// A site with an archive for subscribers and staff, pages for editors in chief, and an intranet.
async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    let plan = Plan::new(upstream).server("trusted_proxies", "[\"127.0.0.0/8\"]").site(|site| {
        site.route_requiring("/archive/", r#"{ plans = ["plus", "gold"] }"#)
            .route_requiring("/archive/", r#"{ groups = ["staff"], email_domains = ["example.com"] }"#)
            .route_requiring("/desk/", r#"{ roles = ["chief"] }"#)
            .route_requiring("/lan/", r#"{ networks = ["10.0.0.0/8"] }"#)
            .route("/archive/samples/", "off")
    });
    plan.start().await
}

async fn member(gateway: &TestGateway, email: &str, more: Value) -> Visitor {
    let mut order = json!({ "email": email, "full_name": "Jane Doe" });
    for (field, value) in more.as_object().unwrap() {
        order[field] = value.clone();
    }
    let token = gateway.login_page().token(order).await;
    let mut visitor = Visitor::at(gateway);
    assert_eq!(visitor.get(&format!("{SITE}/?sso={token}")).await.status, 302);
    visitor
}

#[tokio::test]
async fn only_who_has_what_it_takes_reaches_the_upstream() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    for (email, more, may) in [
        ("ann@example.com", json!({ "plans": ["plus"] }), true),
        ("bob@example.org", json!({ "plans": ["trial", "gold"] }), true),
        ("cid@example.com", json!({ "groups": ["staff"] }), true),
        // Each of the two alternatives asks for all that it names.
        ("dan@example.org", json!({ "groups": ["staff"] }), false),
        ("eve@example.com", json!({ "groups": ["plus"] }), false),
        ("fay@sub.example.com", json!({ "groups": ["staff"] }), false),
        ("gil@example.com", json!({}), false),
    ] {
        let mut visitor = member(&gateway, email, more).await;
        upstream.forget().await;
        for path in ["/archive/1", "/archive", "/%61rchive/1", "//archive/1"] {
            let answer = visitor.get(&format!("{SITE}{path}")).await;
            assert_eq!(answer.status, if may { 200 } else { 403 }, "{email} {path}");
        }
        assert_eq!(upstream.count(), if may { 4 } else { 0 }, "{email}");
        // What lies deeper is another route's.
        assert_eq!(visitor.get(&format!("{SITE}/archive/samples/1")).await.status, 200);
    }
    let mut stranger = Visitor::at(&gateway);
    assert_eq!(stranger.get(&format!("{SITE}/archive/1")).await.status, 302);
}

#[tokio::test]
async fn a_page_says_what_it_takes_and_offers_another_account() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut visitor = member(&gateway, "jane@example.com", json!({})).await;
    upstream.forget().await;
    let page = visitor.get(&format!("{SITE}/archive/1?a=b")).await;
    assert_eq!((page.status, page.header("cache-control").as_deref()), (403, Some("no-store")));
    let html = page.text();
    for words in ["jane@example.com", "one of the plans plus, gold", "the group staff"] {
        assert!(html.contains(words), "{words} in {html}");
    }
    let links = links_of(&html);
    let switch = links.iter().find(|link| link.contains("logout")).expect("a way to switch");
    let answer = visitor.get(&format!("{SITE}{}", local(switch))).await;
    assert_eq!(answer.status, 302);
    upstream.assert_untouched("a refused request").await;
    // The old session is over, whoever comes next.
    assert_eq!(visitor.get(&format!("{SITE}/")).await.status, 302);
}

#[tokio::test]
async fn a_program_is_told_what_is_missing() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut visitor = member(&gateway, "jane@example.com", json!({})).await;
    let answer = visitor.fetch(&format!("{SITE}/archive/1")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (403, "forbidden"));
    let missing = answer.json()["error"]["details"]["missing"].clone();
    assert_eq!(missing, json!([{ "plans": ["plus", "gold"] }, { "groups": ["staff"] }]));
    let answer = visitor.fetch(&format!("{SITE}/desk/")).await;
    assert_eq!(answer.json()["error"]["details"]["missing"], json!([{ "roles": ["chief"] }]));
}

#[tokio::test]
async fn a_role_that_is_given_opens_at_once_and_one_that_is_taken_closes() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut visitor = member(&gateway, "jane@example.com", json!({})).await;
    let (users, _) = gateway.api().all("/v1/users").await;
    let user = format!("/v1/users/{}", users[0]["id"].as_str().unwrap());
    for (role, status) in [("editor", 403), ("chief", 200), ("Chief", 403)] {
        gateway.api().patch(&user, &json!({ "roles": { "intranet": role } })).await;
        assert_eq!(visitor.get(&format!("{SITE}/desk/")).await.status, status, "{role}");
    }
}

#[tokio::test]
async fn a_network_is_asked_for_before_a_login() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let from = |address: &str| Ask::navigate("GET", &format!("{SITE}/lan/")).with("X-Forwarded-For", address);
    let mut stranger = Visitor::at(&gateway);
    assert_eq!(stranger.send(from("10.1.2.3")).await.status, 302);
    let page = stranger.send(from("192.0.2.1")).await;
    assert_eq!(page.status, 403);
    assert!(!page.text().contains("logout") && !page.text().contains("10.0.0.0"), "{}", page.text());
    let mut visitor = member(&gateway, "jane@example.com", json!({})).await;
    upstream.forget().await;
    assert_eq!(visitor.send(from("192.0.2.1")).await.status, 403);
    // The nearest hop that is no trusted proxy is the client: what stands before it proves nothing.
    assert_eq!(visitor.send(from("10.1.2.3, 192.0.2.1")).await.status, 403);
    upstream.assert_untouched("a client from elsewhere").await;
    assert_eq!(visitor.send(from("192.0.2.1, 10.1.2.3")).await.status, 200);
}

/// Proxies that append to a header pass on whatever stands in it already.
#[tokio::test]
async fn whom_a_proxy_does_not_name_is_not_let_into_its_network() {
    let upstream = FakeUpstream::start().await;
    let lan = [
        ("path", "\"/lan/\"".to_owned()),
        ("access", "\"off\"".to_owned()),
        ("require", r#"{ networks = ["127.0.0.0/8"] }"#.to_owned()),
    ];
    let plan = Plan::new(&upstream).server("trusted_proxies", "[\"127.0.0.1\"]");
    let gateway = plan.site(|site| site.route_with(&lan)).start().await;
    let visitor = Visitor::at(&gateway);
    let ask = async |fields: &[u8]| {
        let request = [b"GET /lan/ HTTP/1.1\r\nHost: site.test\r\n", fields, b"\r\n"].concat();
        visitor.send_raw(&request).await.expect("an answer").status
    };
    for fields in [
        &b"X-Forwarded-For: \xff, 192.0.2.7\r\n"[..],
        b"X-Forwarded-For: a\xe9, 192.0.2.7\r\n",
        b"X-Forwarded-For: \", 192.0.2.7\r\n",
        b"X-Forwarded-For: 127.0.0.1, unknown\r\n",
        b"X-Forwarded-For: 127.0.0.1, \r\n",
        b"X-Forwarded-For: 127.0.0.1, \xff\r\n",
        b"X-Forwarded-For: \"192.0.2.7:99999\"\r\n",
        b"X-Forwarded-For: fe80::1%eth0\r\n",
        b"Forwarded: for=\"\xff\", for=192.0.2.7\r\n",
        b"Forwarded: for=\"127.0.0.1, for=192.0.2.7\r\n",
        b"Forwarded: for=127.0.0.1, for=_hidden\r\n",
        b"Forwarded: for = 192.0.2.7\r\n",
        b"Forwarded: for=192.0.2.7;host=\"a,for=127.0.0.1;b\"\r\n",
    ] {
        assert_eq!(ask(fields).await, 403, "{}", fields.escape_ascii());
    }
    upstream.assert_untouched("a client that is not named").await;
    for fields in [
        &b""[..],
        b"X-Forwarded-For: \xff, 127.0.5.5\r\n",
        b"Forwarded: for=\"x, for=\"127.0.5.5:80\";proto=https\r\n",
    ] {
        assert_eq!(ask(fields).await, 200, "{}", fields.escape_ascii());
    }
    let seen = upstream.last();
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("unknown, 127.0.5.5, 127.0.0.1"));
    let forwarded = seen.header("forwarded").expect("is told");
    assert!(
        forwarded.starts_with("for=unknown, for=\"127.0.5.5:80\";proto=https, for=127.0.0.1;"),
        "{forwarded}"
    );
}
