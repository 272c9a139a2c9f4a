//! What a visitor was about to do when the login came in between goes on after it: a form, once and
//! byte for byte, and the place on a page.

use base64::Engine as _;
use serde_json::json;

use crate::support::jar::Jar;
use crate::support::{
    Ask, FakeUpstream, Plan, Response, SITE, TestGateway, Visitor, encoded, local, minutes, parameter,
};

/// A form that a page of the site itself sends.
pub(crate) fn own_form(url: &str, body: &str) -> Ask {
    Ask::navigate("POST", url)
        .with("Sec-Fetch-Site", "same-origin")
        .with("Origin", SITE)
        .with("Referer", &format!("{SITE}/form"))
        .body("application/x-www-form-urlencoded", body)
}

/// Comes back from the login page, to which `to_login` sent the visitor, as the owner of `email`.
pub(crate) async fn come_back(
    gateway: &TestGateway,
    visitor: &mut Visitor,
    to_login: &str,
    email: &str,
) -> Response {
    let person = json!({
        "email": email, "first_name": "Jane", "last_name": "Doe", "state": parameter(to_login, "state"),
    });
    let token = gateway.login_page().token(person).await;
    let url = parameter(to_login, "return_url");
    let sign = if url.contains('?') { '&' } else { '?' };
    visitor.get(&format!("{url}{sign}sso={token}")).await
}

/// The page on which what was paused is sent again.
pub(crate) async fn resumed(visitor: &mut Visitor, back: &Response) -> Response {
    let location = back.location();
    assert!(local(&location).starts_with("/.tollgate/resume?"), "{location}");
    visitor.get(&format!("{SITE}{}", local(&location))).await
}

/// What a browser takes the attribute `name` of the first such tag for.
pub(crate) fn attribute(html: &str, tag: &str, name: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("<{tag} "))?;
    let (_, value) = rest.split_once('>')?.0.split_once(&format!("{name}=\""))?;
    Some(unescaped(value.split('"').next()?))
}

fn unescaped(text: &str) -> String {
    let entities = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// The fields of the form in a page, as a browser reads them.
pub(crate) fn fields(html: &str) -> Vec<(String, String)> {
    let tags = html.split("<input ").skip(1).map(|rest| format!("<input {rest}"));
    let field = |tag: String| Some((attribute(&tag, "input", "name")?, attribute(&tag, "input", "value")?));
    tags.filter_map(field).collect()
}

pub(crate) fn goes_by_itself(page: &Response) -> bool {
    attribute(&page.text(), "div", "data-by-itself").as_deref() == Some("yes")
}

/// Sends the form in `page` as a browser does.
async fn send_form(visitor: &mut Visitor, page: &Response) -> Response {
    let html = page.text();
    assert_eq!(attribute(&html, "form", "enctype").as_deref(), Some("application/x-www-form-urlencoded"));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields(&html)).finish();
    let action = attribute(&html, "form", "action").expect("goes somewhere");
    visitor.send(own_form(&format!("{SITE}{action}"), &body)).await
}

#[tokio::test]
async fn a_form_that_met_the_challenge_is_sent_again_after_the_login_once_and_byte_for_byte() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    gateway.advance(minutes(31));

    let url = format!("{SITE}/notes/7?draft=%20x|y&_method=PUT");
    let body = "text=one%0D%0Atwo+%22%3C%2Fscript%3E%26&empty=&a=2&a=1&%C3%A4=%E2%82%AC&csrf=tok%2B%2F%3D";
    let challenged = visitor.send(own_form(&url, body).with("X-HTTP-Method-Override", "DELETE")).await;
    assert_eq!(challenged.status, 303);
    let to_login = challenged.location();
    assert_eq!(parameter(&to_login, "return_url"), url);

    // The session of whoever came by a link that no browser asked for has no person to compare with.
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    upstream.assert_untouched("the login").await;
    let page = resumed(&mut visitor, &back).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(page.header("referrer-policy").as_deref(), Some("strict-origin"), "else the origin is null");
    upstream.assert_untouched("the page that sends it again").await;

    assert_eq!(send_form(&mut visitor, &page).await.status, 200);
    let seen = upstream.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/notes/7?draft=%20x|y&_method=PUT"));
    assert_eq!(String::from_utf8_lossy(&seen.body), body);
    assert_eq!(seen.header("content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("x-forwarded-user").as_deref(), Some("jane@example.com"));
    assert_eq!(seen.header("x-http-method-override"), None, "a header of the first time is gone");
    assert_eq!(seen.header("cookie"), None, "all cookies are the gateway's");
    assert_eq!(upstream.count(), 1);

    // A reload, the way back and a second tab find nothing any more: the page itself is there.
    for _ in 0..2 {
        let again = visitor.get(&format!("{SITE}{}", local(&back.location()))).await;
        assert_eq!((again.status, again.location().as_str()), (302, "/notes/7?draft=%20x%7Cy&_method=PUT"));
    }
    assert_eq!(upstream.count(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn it_goes_by_itself_only_if_the_same_person_is_back_or_it_was_nobodys() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let url = format!("{SITE}/save");
    // A stranger's form, by a login that this browser asked for.
    let mut stranger = Visitor::at(&gateway);
    let to_login = stranger.send(own_form(&url, "a=1")).await.location();
    let back = come_back(&gateway, &mut stranger, &to_login, "jane@example.com").await;
    assert!(goes_by_itself(&resumed(&mut stranger, &back).await));
    // The same by a link out of the blue: whose account is that?
    let mut lured = Visitor::at(&gateway);
    lured.send(own_form(&url, "a=1")).await;
    let token = login_page.token_for("mallory@example.com").await;
    let back = lured.get(&format!("{url}?sso={token}")).await;
    let page = resumed(&mut lured, &back).await;
    assert!(!goes_by_itself(&page) && page.text().contains("mallory@example.com"), "{}", page.text());

    // From now on this browser knows who was signed in.
    for (next, by_itself) in [("jane@example.com", true), ("john@example.com", false)] {
        gateway.advance(minutes(31));
        let to_login = stranger.send(own_form(&url, "a=1")).await.location();
        let back = come_back(&gateway, &mut stranger, &to_login, next).await;
        let page = resumed(&mut stranger, &back).await;
        assert_eq!(goes_by_itself(&page), by_itself, "{next}");
        assert!(page.text().contains("<button"), "whoever has no script has a button");
    }
    // A session that is over, and nobody knows whose it was.
    let mut forgetful = Visitor::at(&gateway);
    forgetful.sign_in(&login_page, "jane@example.com").await;
    gateway.advance(minutes(31));
    let to_login = forgetful.send(own_form(&url, "a=1")).await.location();
    let back = come_back(&gateway, &mut forgetful, &to_login, "jane@example.com").await;
    assert!(!goes_by_itself(&resumed(&mut forgetful, &back).await));
    upstream.assert_untouched("nothing was sent again").await;
}

#[tokio::test]
async fn what_is_too_much_or_of_another_kind_is_gone_and_the_visitor_is_told() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let url = format!("{SITE}/save");
    let form = |body: &str| own_form(&url, body);
    let large = format!("a={}", "x".repeat(300 << 10));
    for (what, ask) in [
        ("300 KiB", form(&large)),
        ("another kind", form("x").with("Content-Type", "text/plain")),
        ("no kind", form("x").without("Content-Type")),
        ("two kinds", form("x").and("Content-Type", "application/json")),
        ("compressed", form("a=1").with("Content-Encoding", "gzip")),
        (
            "a strange kind",
            form("x").with("Content-Type", &format!("multipart/form-data; x={}", "y".repeat(300))),
        ),
    ] {
        let mut visitor = Visitor::at(&gateway);
        let challenged = visitor.send(ask).await;
        assert_eq!(challenged.status, 303, "{what}");
        let back = come_back(&gateway, &mut visitor, &challenged.location(), "jane@example.com").await;
        let page = resumed(&mut visitor, &back).await;
        let html = page.text();
        assert!(
            html.contains("did not arrive") && !html.contains("<script") && !html.contains("<form"),
            "{what}: {html}"
        );
        let again = visitor.get(&format!("{SITE}{}", local(&back.location()))).await;
        assert_eq!(again.location(), "/save", "{what}: it is said once");
    }
    upstream.assert_untouched("nothing was kept").await;
}

#[tokio::test]
async fn as_much_as_fits_is_kept_chunked_or_not() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let full = format!("a={}", "x".repeat((256 << 10) - 2));
    let mut visitor = Visitor::at(&gateway);
    let to_login = visitor.send(own_form(&format!("{SITE}/save"), &full)).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let page = resumed(&mut visitor, &back).await;
    send_form(&mut visitor, &page).await;
    assert!(upstream.last().body == full.as_bytes());
}

#[tokio::test]
async fn what_waits_is_forgotten_after_a_quarter_of_an_hour_and_at_logout() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let url = format!("{SITE}/save");
    let mut late = Visitor::at(&gateway);
    let to_login = late.send(own_form(&url, "a=1")).await.location();
    gateway.advance(minutes(15));
    let back = come_back(&gateway, &mut late, &to_login, "jane@example.com").await;
    // It may or may not have been swept away by now.
    let (_, page) = late.follow(&format!("{SITE}{}", local(&back.location()))).await;
    assert_eq!(page.text(), "hello from upstream");
    assert_eq!(upstream.last().method, "GET");

    let mut leaving = Visitor::at(&gateway);
    let to_login = leaving.send(own_form(&url, "a=1")).await.location();
    leaving.get(&format!("{SITE}/.tollgate/logout")).await;
    let back = come_back(&gateway, &mut leaving, &to_login, "jane@example.com").await;
    assert_eq!(local(&back.location()), "/save");
    assert_eq!(leaving.get(&url).await.status, 200);
    assert!(upstream.requests().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn each_tab_goes_on_with_its_own_form() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let first = visitor.send(own_form(&format!("{SITE}/first"), "a=1")).await.location();
    let second = visitor.send(own_form(&format!("{SITE}/second?x"), "a=2")).await.location();
    let back = come_back(&gateway, &mut visitor, &second, "jane@example.com").await;
    assert_eq!(fields(&resumed(&mut visitor, &back).await.text()), [("a".to_owned(), "2".to_owned())]);
    let back = come_back(&gateway, &mut visitor, &first, "jane@example.com").await;
    assert_eq!(fields(&resumed(&mut visitor, &back).await.text()), [("a".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn every_way_back_leads_to_it() {
    let upstream = FakeUpstream::start().await;
    let url = format!("{SITE}/save?x=1");
    for (mode, cookie) in [("direct", "lax"), ("confirm", "lax"), ("direct", "strict")] {
        let plan = Plan::new(&upstream).site(|site| {
            site.with("redeem", &format!("{mode:?}")).cookie("same_site", &format!("{cookie:?}"))
        });
        let gateway = plan.start().await;
        let mut visitor = Visitor::at(&gateway);
        let to_login = visitor.send(own_form(&url, "a=1")).await.location();
        let person = json!({
            "email": "jane@example.com", "first_name": "Jane", "last_name": "Doe",
            "state": parameter(&to_login, "state"), "return_url": url,
        });
        let token = gateway.login_page().token(person).await;
        let link = format!("{SITE}/.tollgate/redeem?sso={token}");
        let mut back = visitor.send(Ask::navigate("GET", &link).with("Sec-Fetch-Site", "cross-site")).await;
        if mode == "confirm" {
            let (_, fields) = crate::support::form_of(&back.text());
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
            let post = Ask::navigate("POST", &format!("{SITE}/.tollgate/redeem")).form(&fields);
            back = visitor.send(post).await;
        }
        let next = if cookie == "strict" {
            let refresh = back.header("refresh").expect("moves on");
            refresh.strip_prefix("0; url=").expect("at once").to_owned()
        } else {
            back.location()
        };
        let page = visitor.get(&format!("{SITE}{next}")).await;
        assert_eq!(fields(&page.text()), [("a".to_owned(), "1".to_owned())], "{mode} {cookie}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_form_from_a_page_in_an_old_charset_and_files_are_sent_again_as_they_were() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let to_login = visitor.send(own_form(&format!("{SITE}/save"), "q=Z%FCrich%80")).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let html = resumed(&mut visitor, &back).await.text();
    assert_eq!(attribute(&html, "form", "accept-charset").as_deref(), Some("windows-1252"));
    assert_eq!(fields(&html), [("q".to_owned(), "Zürich€".to_owned())]);

    let body = "------Xy\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a \\u{e4}<.txt\"\r\n\
        Content-Type: text/plain\r\n\r\n</script>\0\r\n------Xy--\r\n";
    let ask =
        own_form(&format!("{SITE}/save"), body).with("Content-Type", "multipart/form-data; boundary=----Xy");
    visitor.jar = Jar::default();
    let to_login = visitor.send(ask.clone()).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let html = resumed(&mut visitor, &back).await.text();
    // A backslash in a file's name is not what a script could give it.
    assert_eq!(attribute(&html, "div", "data-type").as_deref(), Some("multipart/form-data; boundary=----Xy"));

    let mut ask = ask;
    ask.body = Some(body.replace("\\u{e4}", "ä").into_bytes());
    visitor.jar = Jar::default();
    let to_login = visitor.send(ask).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let html = resumed(&mut visitor, &back).await.text();
    assert_eq!(attribute(&html, "form", "enctype").as_deref(), Some("multipart/form-data"));
    assert_eq!(attribute(&html, "input", "data-filename").as_deref(), Some("a ä<.txt"));
    assert_eq!(attribute(&html, "input", "data-content").as_deref(), Some("PC9zY3JpcHQ+AA=="));
    assert!(
        html.contains("<noscript>") && html.contains("type=\"submit\" hidden"),
        "not without its files: {html}"
    );
    assert_eq!(html.matches("</script>").count(), 1, "{html}");
}

#[tokio::test]
async fn a_script_that_wishes_so_has_its_request_sent_again_on_the_way_back_to_its_page() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let page_url = format!("{SITE}/editor?doc=7");
    let ask = |wish: bool| {
        let ask = Ask::script("POST", &format!("{SITE}/api/save?v=2"))
            .with("Origin", SITE)
            .with("Referer", &page_url)
            .body("application/json", "{\"text\":\"</script>\\u0000\"}");
        if wish { ask.with("X-Tollgate-Park", "1") } else { ask }
    };
    // Most scripts do something about a 401 themselves.
    let mut visitor = Visitor::at(&gateway);
    for (wish, resumes) in [(false, serde_json::Value::Null), (true, json!(true))] {
        let refused = visitor.send(ask(wish)).await;
        assert_eq!(refused.status, 401);
        let details = &refused.json()["error"]["details"];
        assert_eq!(details["resumes"], resumes);
        let to_login = details["login_url"].as_str().unwrap().to_owned();
        assert_eq!(parameter(&to_login, "return_url"), page_url);
        let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
        if wish {
            let page = resumed(&mut visitor, &back).await;
            let html = page.text();
            assert!(goes_by_itself(&page) && !html.contains("<form"), "{html}");
            let plan = |name: &str| attribute(&html, "div", &format!("data-{name}")).expect("is there");
            assert_eq!((plan("url"), plan("next")), ("/api/save?v=2".to_owned(), "/editor?doc=7".to_owned()));
            assert_eq!(plan("type"), "application/json");
            let body = base64::engine::general_purpose::STANDARD.decode(plan("body")).expect("is base64");
            assert_eq!(String::from_utf8_lossy(&body), "{\"text\":\"</script>\\u0000\"}");
            let policy = page.header("content-security-policy").expect("has one");
            assert!(
                policy.contains("connect-src 'self'") && policy.contains("script-src 'sha256-"),
                "{policy}"
            );
            assert!(!policy.contains("unsafe"), "{policy}");
        } else {
            assert_eq!(local(&back.location()), "/editor?doc=7");
            visitor.get(&format!("{SITE}/.tollgate/logout")).await;
            visitor.jar = Jar::default();
        }
    }
    upstream.assert_untouched("nothing was sent again").await;
}

#[tokio::test]
async fn a_site_that_does_not_want_it_keeps_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("resume_posts", "false")).start().await;
    let mut visitor = Visitor::at(&gateway);
    let to_login = visitor.send(own_form(&format!("{SITE}/save"), "a=1")).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    assert_eq!(local(&back.location()), "/save");
    assert!(visitor.cookie("tollgate_person").is_none());
}

/// What the script of the page that keeps a fragment does at `hash`.
pub(crate) fn keep(visitor: &mut Visitor, page: &Response, hash: &str) -> String {
    let html = page.text();
    let plan = |name: &str| attribute(&html, "div", &format!("data-{name}")).expect("is there");
    let cookie =
        format!("{}={}.{}; Path=/; Max-Age=900; SameSite=Lax", plan("cookie"), plan("tag"), encoded(hash));
    let now = tollgate::domain::clock::Timestamp::from_millis(1_763_800_000_000);
    visitor.jar.store(&cookie, "site.test", false, now);
    attribute(&html, "a", "href").expect("leads on")
}

#[tokio::test]
async fn a_visitor_comes_back_to_the_very_place_on_a_page_where_the_site_wants_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("keep_fragment", "true")).start().await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/report?q=%20x");
    let page = visitor.get(&url).await;
    assert_eq!((page.status, page.header("location")), (401, None), "never to be taken for a yes");
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    assert!(page.header("www-authenticate").is_some());
    let html = page.text();
    assert!(
        html.contains("<noscript><meta http-equiv=\"refresh\" content=\"0;url=https://login.test/"),
        "{html}"
    );
    let policy = page.header("content-security-policy").expect("has one");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");

    let to_login = keep(&mut visitor, &page, "/route?a=b|c");
    assert_eq!(parameter(&to_login, "return_url"), url);
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    assert_eq!(local(&back.location()), "/report?q=%20x#/route?a=b%7Cc");
    assert!(visitor.cookie("tollgate_fragment").is_none(), "it is used once");
    visitor.get(&url).await;
    upstream.assert_never_saw("tollgate_fragment").await;

    // HEAD has no page, a form no fragment, a program no use for either.
    let mut other = Visitor::at(&gateway);
    assert_eq!(other.send(Ask::navigate("HEAD", &url)).await.status, 302);
    assert_eq!(other.send(own_form(&url, "a=1")).await.status, 303);
    assert!(other.fetch(&url).await.json()["error"]["code"] == "login_required");
}

#[tokio::test]
async fn a_fragment_that_was_planted_or_is_none_is_left_out() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("keep_fragment", "true")).start().await;
    let url = format!("{SITE}/report");
    for (what, hash) in
        [("a line's end", "a\r\nSet-Cookie: evil=1"), ("markup", "\"><script>"), ("nothing", "")]
    {
        let mut visitor = Visitor::at(&gateway);
        let page = visitor.get(&url).await;
        let to_login = keep(&mut visitor, &page, hash);
        let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
        let location = back.location();
        assert!(
            location.starts_with("/report") && !location.contains(['\r', '\n', '"', '<']),
            "{what}: {location}"
        );
        assert!(visitor.cookie("evil").is_none(), "{what}");
    }
    // One of another page, and one of another browser.
    let mut other = Visitor::at(&gateway);
    let elsewhere = other.get(&format!("{SITE}/elsewhere")).await;
    let mut visitor = Visitor::at(&gateway);
    let own = visitor.get(&format!("{SITE}/other")).await;
    for page in [elsewhere, own] {
        let to_login = attribute(&visitor.get(&url).await.text(), "a", "href").expect("leads on");
        keep(&mut visitor, &page, "evil");
        let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
        assert_eq!(local(&back.location()), "/report");
        gateway.advance(minutes(31));
    }
}

#[tokio::test]
async fn with_a_redis_whichever_node_takes_the_login_has_what_another_one_kept() {
    let upstream = FakeUpstream::start().await;
    let server = crate::servers::redis::Server::start();
    let [first, second] = crate::redis::two(&upstream, &server.url(), |site| site).await;
    let mut visitor = Visitor::at(&first);
    let to_login = visitor.send(own_form(&format!("{SITE}/save"), "a=1")).await.location();
    let mut moved = crate::redis::moved(&visitor, &second);
    let back = come_back(&second, &mut moved, &to_login, "jane@example.com").await;
    let page = resumed(&mut moved, &back).await;
    assert!(goes_by_itself(&page));
    send_form(&mut moved, &page).await;
    assert_eq!(upstream.last().body, b"a=1");
    let mut again = crate::redis::moved(&moved, &first);
    let again = again.get(&format!("{SITE}{}", local(&back.location()))).await;
    assert_eq!(again.location(), "/save", "it is gone everywhere");
}
