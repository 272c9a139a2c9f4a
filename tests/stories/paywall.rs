//! The upstream may decide: it is told of what kind a visitor is, and says what its answer takes. Who
//! has not got that sees nothing of the answer.

use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::h2::Honest;
use crate::support::http2::{H2Upstream, Stream};
use crate::support::{
    Answer, Ask, ByHand, FakeUpstream, Plan, Response, SITE, SitePlan, TestGateway, Visitor, links_of,
    parameter,
};

const SECRET: &str = "the rest of the article";

/// An article that takes `label`.
fn article(label: &str) -> Answer {
    Answer::page(SECRET)
        .with("X-Access-Required", label)
        .with("ETag", "\"secret-etag\"")
        .with("Set-Cookie", "secret=1")
}

async fn member(gateway: &TestGateway, more: &Value) -> Visitor {
    let mut order = json!({ "email": "jane@example.com", "full_name": "Jane Doe" });
    for (field, value) in more.as_object().unwrap() {
        order[field] = value.clone();
    }
    let token = gateway.login_page().token(order).await;
    let mut visitor = Visitor::at(gateway);
    assert_eq!(visitor.get(&format!("{SITE}/public/?sso={token}")).await.status, 302);
    visitor
}

/// Fails if anything of the upstream's answer is there.
fn nothing_of_it(answer: &Response) {
    let shown = format!("{answer:?}\n{}", answer.text()).to_lowercase();
    for secret in [SECRET, "secret", "x-access-required", "etag"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
}

#[tokio::test]
async fn the_upstream_learns_of_what_kind_a_visitor_is() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| site.with("allow_backend_login", "true"));
    let gateway = plan.start().await;
    for (more, backend, class) in [
        (json!({}), false, "registered"),
        (json!({ "plans": ["trial", "gold"] }), false, "plan-trial"),
        (json!({ "plans": ["Gold plus; Zoë"] }), false, "plan-Gold%20plus%3B%20Zo%C3%AB"),
        (json!({ "plans": ["gold"] }), true, "backend"),
    ] {
        let (users, _) = gateway.api().all("/v1/users").await;
        if let Some(user) = users.first().filter(|_| backend) {
            let user = format!("/v1/users/{}", user["id"].as_str().unwrap());
            assert_eq!(gateway.api().patch(&user, &json!({ "account": "full" })).await.status, 200);
        }
        let mut visitor = member(&gateway, &more).await;
        for (path, told) in [("/", Some(class)), ("/optional/", Some(class)), ("/public/", None)] {
            assert_eq!(visitor.get(&format!("{SITE}{path}")).await.status, 200);
            assert_eq!(upstream.last().header("x-access-class").as_deref(), told, "{more} {path}");
        }
    }
    let mut stranger = Visitor::at(&gateway);
    assert_eq!(stranger.get(&format!("{SITE}/optional/")).await.status, 200);
    assert_eq!(upstream.last().header("x-access-class").as_deref(), Some("anonymous"));
}

#[tokio::test]
async fn a_site_may_leave_it_out_and_is_obeyed_all_the_same() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("access_class", "false")).start().await;
    let mut visitor = member(&gateway, &json!({ "plans": ["gold"] })).await;
    for (path, label, status) in [("/", "gold", 200), ("/optional/", "plus", 403)] {
        upstream.answers(article(label));
        assert_eq!(visitor.get(&format!("{SITE}{path}")).await.status, status);
        assert_eq!(upstream.last().header("x-access-class"), None);
    }
}

#[tokio::test]
async fn a_change_of_plans_counts_from_the_next_request_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    upstream.answers(article("gold"));
    let mut visitor = member(&gateway, &json!({ "plans": ["trial"] })).await;
    let (sessions, _) = gateway.api().all("/v1/sessions").await;
    let session = format!("/v1/sessions/{}", sessions[0]["id"].as_str().unwrap());
    for (plans, class, status) in [
        (json!(["trial"]), "plan-trial", 403),
        (json!(["gold"]), "plan-gold", 200),
        (json!([]), "registered", 403),
    ] {
        assert_eq!(gateway.api().patch(&session, &json!({ "plans": plans })).await.status, 200);
        assert_eq!(visitor.get(&format!("{SITE}/optional/a")).await.status, status, "{plans}");
        assert_eq!(upstream.last().header("x-access-class").as_deref(), Some(class));
    }
}

#[tokio::test]
async fn an_answer_is_shown_to_those_alone_who_have_what_it_takes() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let gold = json!({ "plans": ["trial", "gold"], "groups": ["press"] });
    let mut visitor = member(&gateway, &gold).await;
    for (label, shown) in [
        ("gold", true),
        ("plus, gold", true),
        ("trial", true),
        ("plan-gold", true),
        ("registered", true),
        // The role that everybody has who is new.
        ("editor", true),
        ("plus", false),
        ("Gold", false),
        ("press", false),
        ("backend", false),
        ("anonymous", false),
        ("gold plus", false),
        ("\"gold\"", false),
        ("gold;q=1", false),
        ("*", false),
        ("jane@example.com", false),
    ] {
        upstream.answers(article(label));
        for path in ["/a", "/optional/a"] {
            let answer = visitor.get(&format!("{SITE}{path}")).await;
            if shown {
                assert_eq!((answer.status, answer.text().as_str()), (200, SECRET), "{label}");
                assert_eq!(answer.header("x-access-required"), None, "{label}");
                assert_eq!(answer.header("etag").as_deref(), Some("\"secret-etag\""));
            } else {
                assert_eq!(answer.status, 403, "{label}");
                nothing_of_it(&answer);
            }
        }
        // Nobody is signed in: a login could help.
        let mut stranger = Visitor::at(&gateway);
        let answer = stranger.get(&format!("{SITE}/optional/a?b=c")).await;
        assert_eq!(answer.status, 302, "{label}");
        nothing_of_it(&answer);
        assert_eq!(parameter(&answer.location(), "return_url"), format!("{SITE}/optional/a?b=c"));
        let answer = stranger.send(Ask::navigate("POST", &format!("{SITE}/optional/a")).form(&[])).await;
        assert_eq!(answer.status, 303, "{label}");
        let answer = stranger.fetch(&format!("{SITE}/optional/a")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (401, "login_required"));
        nothing_of_it(&answer);
    }
}

#[tokio::test]
async fn a_login_leads_back_to_what_took_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    upstream.answers(article("registered"));
    let mut stranger = Visitor::at(&gateway);
    let login = stranger.get(&format!("{SITE}/optional/a")).await.location();
    let (state, return_url) = (parameter(&login, "state"), parameter(&login, "return_url"));
    let order =
        json!({ "email": "a@example.com", "full_name": "A", "state": state, "return_url": return_url });
    let url = gateway.login_page().issue(order).await["redeem_url"].as_str().unwrap().to_owned();
    let (_, answer) = stranger.follow(&url).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, SECRET));
}

#[tokio::test]
async fn those_who_lack_it_are_told_what_it_takes() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    upstream.answers(article("gold, plan-silver, backend"));
    let mut visitor = member(&gateway, &json!({})).await;
    let page = visitor.get(&format!("{SITE}/optional/a")).await;
    let html = page.text();
    for words in ["jane@example.com", "the plan gold", "the role gold", "the plan silver", "back end"] {
        assert!(html.contains(words), "{words} in {html}");
    }
    assert!(links_of(&html).iter().any(|link| link.contains("logout")), "{html}");
    let answer = visitor.fetch(&format!("{SITE}/optional/a")).await;
    let details = &answer.json()["error"]["details"];
    let missing =
        json!([{ "plans": ["gold"] }, { "roles": ["gold"] }, { "plans": ["silver"] }, { "backend": true }]);
    assert_eq!((&details["missing"], details.get("paywall_url")), (&missing, None));
    upstream.answers(article("<script>\"&"));
    let page = visitor.get(&format!("{SITE}/optional/a")).await;
    assert!(!page.text().contains("<script>"), "{}", page.text());
}

#[tokio::test]
async fn a_paywall_page_sells_what_is_missing() {
    let upstream = FakeUpstream::start().await;
    let page = "https://login.test/subscribe?theme=dark";
    let site = |site: SitePlan| site.with("paywall_url", &format!("{page:?}")).with("require_state", "false");
    let gateway = Plan::new(&upstream).site(site).start().await;
    upstream.answers(article("gold , plan-b%20c"));
    let mut visitor = member(&gateway, &json!({})).await;
    for (method, status) in [("GET", 302), ("HEAD", 302), ("POST", 303)] {
        let answer = visitor.send(Ask::navigate(method, &format!("{SITE}/optional/a?b=c&d"))).await;
        assert_eq!(answer.status, status, "{method}");
        nothing_of_it(&answer);
        let location = answer.location();
        assert!(location.starts_with(&format!("{page}&return_url=")), "{location}");
        assert_eq!(parameter(&location, "return_url"), format!("{SITE}/optional/a?b=c&d"));
        assert_eq!(parameter(&location, "site"), "intranet");
        assert_eq!(parameter(&location, "required"), "gold,plan-b%20c");
        // The page may send the visitor back with a token for this very browser.
        let state = parameter(&location, "state");
        let order = json!({ "email": "jane@example.com", "full_name": "J", "state": state, "plans": ["x"] });
        let token = gateway.login_page().token(order).await;
        assert_eq!(visitor.get(&format!("{SITE}/optional/?sso={token}")).await.location(), "/optional/");
    }
    let answer = visitor.fetch(&format!("{SITE}/optional/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (403, "forbidden"));
    nothing_of_it(&answer);
    let url = answer.json()["error"]["details"]["paywall_url"].as_str().unwrap().to_owned();
    assert_eq!(parameter(&url, "required"), "gold,plan-b%20c");
    assert!(!parameter(&url, "state").is_empty());
    // A script of another origin learns no state of this browser.
    let foreign = Ask::script("GET", &format!("{SITE}/optional/a")).with("Origin", "https://evil.example");
    let answer = visitor.send(foreign).await;
    assert!(!answer.text().contains("state="), "{}", answer.text());
    // Who is not signed in signs in first.
    let location = Visitor::at(&gateway).get(&format!("{SITE}/optional/a")).await.location();
    assert!(location.starts_with("https://login.test/signin?"), "{location}");
    // A redirect stays within its line whatever the upstream asks for.
    upstream.answers(article("a&return_url=https://evil.example/#x\u{e9}"));
    let location = visitor.get(&format!("{SITE}/optional/a")).await.location();
    assert_eq!(parameter(&location, "return_url"), format!("{SITE}/optional/a"));
}

#[tokio::test]
async fn a_paywall_page_of_the_site_itself_is_no_way_in_circles() {
    let upstream = FakeUpstream::start().await;
    let site = |site: SitePlan| site.with("paywall_url", &format!("\"{SITE}/optional/subscribe\""));
    let gateway = Plan::new(&upstream).site(site).start().await;
    upstream.answers(article("gold"));
    let mut visitor = member(&gateway, &json!({})).await;
    let location = visitor.get(&format!("{SITE}/optional/a")).await.location();
    let answer = visitor.get(&location).await;
    assert_eq!(answer.status, 403);
    nothing_of_it(&answer);
}

#[tokio::test]
async fn what_cannot_be_understood_is_shown_to_nobody() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = member(&gateway, &json!({ "plans": ["gold"] })).await;
    let page = || Answer::page(SECRET);
    for (answer, what) in [
        (page().with("X-Access-Required", ""), "empty"),
        (page().with("X-Access-Required", ", ,"), "nothing but commas"),
        (page().with("X-Access-Required", "gold\tsilver"), "a tab"),
        (page().with("X-Access-Required", "plan-%ff"), "an escape that is no text"),
        (article("gold").with("X-Access-Required", "gold"), "said twice"),
        (article("gold").with("x_access_required", "registered"), "said in two spellings"),
    ] {
        upstream.answers(answer);
        for path in ["/a", "/optional/a", "/public/a"] {
            let answer = visitor.get(&format!("{SITE}{path}")).await;
            assert_eq!(answer.status, 502, "{what}: {path}");
            nothing_of_it(&answer);
        }
        assert_eq!(Visitor::at(&gateway).fetch(&format!("{SITE}/optional/a")).await.status, 502, "{what}");
    }
}

#[tokio::test]
async fn a_label_counts_in_whatever_spelling_and_whatever_connection_says_of_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = member(&gateway, &json!({ "plans": ["gold"] })).await;
    for name in ["x-access-required", "X_ACCESS_REQUIRED", "X.Access.Required"] {
        for (label, status) in [("gold", 200), ("plus", 403)] {
            for connection in ["keep-alive".to_owned(), name.to_owned(), format!("close, {name}")] {
                upstream.answers(Answer::page(SECRET).with(name, label).with("Connection", &connection));
                let answer = visitor.get(&format!("{SITE}/optional/a")).await;
                assert_eq!(answer.status, status, "{name}: {label}, {connection}");
                assert!(!format!("{answer:?}").to_lowercase().contains("required"), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn on_a_path_where_nobody_is_asked_a_label_is_a_mistake_of_the_site() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = member(&gateway, &json!({ "plans": ["gold"] })).await;
    upstream.answers(article("gold"));
    let page = visitor.get(&format!("{SITE}/public/a")).await;
    assert_eq!(page.status, 502);
    nothing_of_it(&page);
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/public/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "misplaced_requirement"));
}

#[tokio::test]
async fn whatever_kind_of_answer_it_is_it_is_withheld() {
    let (gateway, upstream) = ByHand::behind(|site| site).await;
    let head = "X-Access-Required: gold\r\nSet-Cookie: secret=1\r\n";
    for (what, method, fields, answer) in [
        (
            "not modified",
            "GET",
            "If-None-Match: \"x\"\r\n",
            format!("HTTP/1.1 304 N\r\n{head}ETag: \"secret\"\r\n\r\n"),
        ),
        (
            "a part",
            "GET",
            "Range: bytes=0-5\r\n",
            format!("HTTP/1.1 206 P\r\n{head}Content-Length: 6\r\n\r\nsecret"),
        ),
        ("a head", "HEAD", "", format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 100000\r\n\r\n")),
        ("an error", "GET", "", format!("HTTP/1.1 500 E\r\n{head}Content-Length: 6\r\n\r\nsecret")),
        (
            "a redirect",
            "GET",
            "",
            format!("HTTP/1.1 302 F\r\n{head}Location: /secret\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "early hints before",
            "GET",
            "",
            format!(
                "HTTP/1.1 103 E\r\nLink: </secret>\r\n\r\nHTTP/1.1 200 OK\r\n{head}Content-Length: 6\r\n\r\nsecret"
            ),
        ),
        (
            "a label on early hints too",
            "GET",
            "",
            format!(
                "HTTP/1.1 103 E\r\nX-Access-Required: registered\r\n\r\nHTTP/1.1 200 OK\r\n{head}Content-Length: 6\r\n\r\nsecret"
            ),
        ),
        (
            "a stream of events",
            "GET",
            "Accept: text/event-stream\r\n",
            format!(
                "HTTP/1.1 200 OK\r\n{head}Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecret\r\n"
            ),
        ),
        (
            "half an answer",
            "GET",
            "",
            format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 100000\r\n\r\nsecret"),
        ),
        (
            "a whole chunked one",
            "POST",
            "Content-Length: 3\r\n\r\nabc",
            format!(
                "HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n6\r\nsecret\r\n0\r\nX-Secret: 1\r\n\r\n"
            ),
        ),
        ("until the end", "GET", "", format!("HTTP/1.0 200 OK\r\n{head}\r\nsecret")),
        (
            "a WebSocket",
            "GET",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            format!(
                "HTTP/1.1 101 S\r\n{head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nsecret"
            ),
        ),
    ] {
        let visitor = Visitor::at(&gateway);
        let end = if fields.contains("\r\n\r\n") { "" } else { "\r\n" };
        let request = format!(
            "{method} /optional/a HTTP/1.1\r\nHost: site.test\r\nAccept: application/json\r\n{fields}{end}"
        );
        let said = async {
            let mut stream = upstream.accept().await;
            let mut request_bytes = [0; 8192];
            let read = stream.read(&mut request_bytes).await.unwrap();
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        // The gateway does not wait for the rest.
        let (answer, _open) = tokio::join!(visitor.send_raw(request.as_bytes()), said);
        let answer = answer.expect(what);
        assert_eq!(answer.status, 401, "{what}");
        nothing_of_it(&answer);
    }
}

#[tokio::test]
async fn early_hints_with_a_label_wait_for_the_answer_and_so_reach_nobody() {
    let (gateway, upstream) = ByHand::behind(|site| site).await;
    let visitor = member(&gateway, &json!({})).await;
    let cookie = format!("Cookie: tollgate={}\r\n", visitor.session_cookie().unwrap());
    for name in ["X-Access-Required", "x_access_required"] {
        let mut connection = visitor.connect().await;
        let request =
            format!("GET /a HTTP/1.1\r\nHost: site.test\r\nAccept: a/b\r\n{cookie}Connection: close\r\n\r\n");
        assert!(connection.send(request.as_bytes()).await);
        let mut stream = upstream.accept().await;
        let mut request_bytes = [0; 8192];
        assert!(stream.read(&mut request_bytes).await.unwrap() > 0);
        let early =
            format!("HTTP/1.1 103 E\r\n{name}: gold\r\nConnection: {name}\r\nLink: </secret>\r\n\r\n");
        stream.write_all(early.as_bytes()).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\nX-Access-Required: gold\r\nContent-Length: 6\r\n\r\nsecret";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let all = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert!(all.starts_with("HTTP/1.1 403 ") && !all.contains("secret"), "{all}");
    }
}

#[tokio::test]
async fn what_was_withheld_is_nobody_elses_answer_and_costs_no_connection() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = member(&gateway, &json!({})).await;
    for _ in 0..3 {
        upstream.answers(article("gold"));
        assert_eq!(visitor.get(&format!("{SITE}/optional/a")).await.status, 403);
        upstream.answers(Answer::page("free"));
        assert_eq!(visitor.get(&format!("{SITE}/optional/b")).await.text(), "free");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn over_http2_too_and_never_in_trailers() {
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        let label = if stream.request.uri().path().ends_with("paid") { "gold" } else { "registered" };
        let head = http::Response::builder().header("x-access-required", label).header("x-secret", "1");
        let mut body = stream.begin(head.body(()).unwrap());
        body.send_data(SECRET.into(), false).unwrap();
        let trailers = [("x-access-required", "gold"), ("x_access_required", "gold"), ("x-kept", "1")];
        let field = |(name, value): (&'static str, &'static str)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        };
        let _gone_already = body.send_trailers(trailers.map(field).into_iter().collect());
    })
    .await;
    let site = SitePlan::new("intranet", "site.test", upstream.address);
    let site = site.upstreams(&[format!("h2c://{}", upstream.address)]);
    let gateway = Plan::of(site).server("h2c", "true").start().await;
    let jane = member(&gateway, &json!({})).await;
    let cookie = format!("tollgate={}", jane.session_cookie().unwrap());
    let client = Honest::plainly(gateway.http).await;
    for (path, cookie, status) in [
        ("/optional/paid", None, 302),
        ("/optional/free", None, 302),
        ("/optional/paid", Some(&cookie), 403),
        ("/optional/free", Some(&cookie), 200),
        ("/public/free", Some(&cookie), 502),
    ] {
        let mut request = http::Request::get(format!("{SITE}{path}"));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let answer = client.send(request.body(Full::default()).unwrap()).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        if status == 200 {
            assert_eq!(answer.text(), SECRET);
        } else {
            nothing_of_it(&answer);
        }
    }
    assert_eq!(upstream.connections(), 1);
    let request = format!(
        "GET /optional/free HTTP/1.1\r\nHost: site.test\r\nCookie: {cookie}\r\nTE: trailers\r\nConnection: close\r\n\r\n"
    );
    let mut connection = jane.connect().await;
    assert!(connection.send(request.as_bytes()).await);
    let all = String::from_utf8_lossy(&connection.rest().await).to_lowercase();
    assert!(all.contains(SECRET) && all.contains("x-kept"), "{all}");
    assert!(!all.contains("required"), "{all}");
}
