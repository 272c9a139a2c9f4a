//! Sites that others may show in a frame: who may, and how somebody signs in there. A frame and a tab of
//! one browser keep their cookies apart, and so they are two visitors here.

use serde_json::json;

use crate::support::{
    Answer, Ask, FakeUpstream, LOGIN_URL, Plan, Response, TestGateway, Visitor, encoded, links_of, parameter,
};

const SITE: &str = "https://site.test";
const ALLOWED: &str = "frame-ancestors 'self' https://partner.test";

/// A site at [`SITE`] that `https://partner.test` may frame.
fn framed(upstream: &FakeUpstream) -> Plan {
    Plan::new(upstream).server("trusted_proxies", "[\"127.0.0.1\"]").site(|site| {
        site.with("public_url", &format!("{SITE:?}")).with("embed_origins", "[\"https://partner.test\"]")
    })
}

/// What a browser sends for a page in a frame of another site.
fn in_frame(target: &str) -> Ask {
    Ask::navigate("GET", &format!("{SITE}{target}"))
        .with("Sec-Fetch-Dest", "iframe")
        .with("Sec-Fetch-Site", "cross-site")
        .without("Sec-Fetch-User")
}

/// The attribute `name` in a page, as its script reads it.
fn data(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap_or_default().replace("&#38;", "&").replace("&#61;", "=")
}

fn policies(answer: &Response) -> Vec<String> {
    answer.headers.all("content-security-policy")
}

/// Asks for a token as the login page at `login_url` does, and has the URL to which it sends the browser.
async fn logged_in(gateway: &TestGateway, login_url: &str) -> String {
    let order = json!({
        "email": "jane@example.com",
        "full_name": "Jane Doe",
        "return_url": parameter(login_url, "return_url"),
        "state": parameter(login_url, "state"),
    });
    let issued = gateway.login_page().issue(order).await;
    issued["redeem_url"].as_str().expect("a URL").to_owned()
}

#[tokio::test]
async fn a_stranger_in_a_frame_signs_in_by_way_of_a_tab_and_goes_on_in_the_frame() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    let (mut frame, mut tab) = (Visitor::at(&gateway), Visitor::at(&gateway));

    let answer = frame.send(in_frame("/article?page=2&x=%20")).await;
    assert_eq!((answer.status, answer.header("location")), (401, None));
    assert_eq!(answer.header("www-authenticate").as_deref(), Some("Tollgate"));
    assert_eq!(policies(&answer).last().map(String::as_str), Some(ALLOWED));
    assert!(!policies(&answer).concat().contains("'none'; frame-ancestors"), "{answer:?}");
    assert!(answer.header("cache-control").is_some_and(|control| control == "no-store"));
    let cookie = frame.cookie("__Host-tollgate_state").expect("a key of its own");
    assert!(cookie.partitioned && cookie.secure && cookie.http_only);
    assert_eq!(cookie.same_site.as_deref(), Some("None"));
    upstream.assert_untouched("a stranger came").await;

    // Without a script the page itself opens in a tab, and there is the usual way.
    let page = answer.text();
    assert!(links_of(&page).iter().all(|link| link == "/article?page=2&x=%20"), "{page}");
    let login_url = data(&page, "data-login");
    assert!(login_url.starts_with(LOGIN_URL), "{login_url}");
    let return_url = parameter(&login_url, "return_url");
    assert!(return_url.starts_with(&format!("{SITE}/.tollgate/embed?return_url=/article")), "{return_url}");

    // The tab redeems nothing, as itself it has no part in this.
    let back = logged_in(&gateway, &login_url).await;
    assert!(back.starts_with(&format!("{return_url}&sso=")), "{back}");
    let token = parameter(&back, "sso");
    for _ in 0..2 {
        let answer = tab.get(&back).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
        assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"));
        let [policy] = &policies(&answer)[..] else { panic!("{answer:?}") };
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'sha256-"),
            "{policy}"
        );
        assert!(!answer.text().contains(&token), "the address alone has it, and the script takes it out");
        assert!(links_of(&answer.text()).contains(&"/article?page=2&x=%20".to_owned()));
    }

    // The frame does.
    let redeem =
        in_frame(&format!("{}{token}", data(&page, "data-redeem"))).with("Sec-Fetch-Site", "same-origin");
    let answer = frame.send(redeem).await;
    assert_eq!((answer.status, answer.location().as_str()), (302, "/article?page=2&x=%20"), "{answer:?}");
    let session = frame.cookie("__Host-tollgate").expect("a session");
    assert!(session.partitioned && session.secure && session.http_only);
    assert_eq!(session.same_site.as_deref(), Some("None"));
    let answer = frame.send(in_frame("/article?page=2")).await;
    assert_eq!((answer.status, policies(&answer)), (200, vec![ALLOWED.to_owned()]));
    assert_eq!(upstream.last().header("x-forwarded-email").as_deref(), Some("jane@example.com"));
    upstream.assert_never_saw(&token).await;

    // The tab is a stranger as before.
    assert_eq!(tab.get(&format!("{SITE}/article")).await.status, 302);
}

#[tokio::test]
async fn a_token_that_the_frame_has_not_asked_for_is_not_redeemed_in_it() {
    let upstream = FakeUpstream::start().await;
    for mode in ["direct", "confirm"] {
        let plan = framed(&upstream).site(|site| site.with("redeem", &format!("{mode:?}")));
        let gateway = plan.start().await;
        let (mut attacker, mut frame) = (Visitor::at(&gateway), Visitor::at(&gateway));
        let state = parameter(&attacker.get(&format!("{SITE}/a")).await.location(), "state");
        frame.send(in_frame("/a")).await;
        let person = json!({ "email": "mallory@example.com", "full_name": "Mallory" });
        let loose = gateway.login_page().token(person.clone()).await;
        let mut bound = person;
        bound["state"] = json!(state);
        let bound = gateway.login_page().token(bound).await;
        for token in [&loose, &bound] {
            for target in [format!("/a?sso={token}"), format!("/.tollgate/redeem?token={token}")] {
                let answer = frame.send(in_frame(&target)).await;
                let is_refusal = matches!(answer.status, 401 | 429);
                assert!(is_refusal && answer.header("location").is_none(), "{mode} {target}: {answer:?}");
            }
        }
        assert!(frame.cookie("__Host-tollgate").is_none());
        upstream.assert_untouched("nobody signed in").await;
        // Whom they are for can still use them.
        assert!(matches!(attacker.get(&format!("{SITE}/a?sso={bound}")).await.status, 200 | 302));
    }
}

#[tokio::test]
async fn where_a_button_has_to_be_pressed_it_cannot_be_framed_and_a_frame_does_without() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).site(|site| site.with("redeem", "\"confirm\"")).start().await;
    let mut frame = Visitor::at(&gateway);
    let page = frame.send(in_frame("/a")).await.text();
    let back = logged_in(&gateway, &data(&page, "data-login")).await;
    let redeem = format!("{}{}", data(&page, "data-redeem"), parameter(&back, "sso"));
    assert_eq!(frame.send(in_frame(&redeem)).await.location(), "/a");
    assert_eq!(frame.send(in_frame("/a")).await.status, 200);

    let token = gateway.login_page().token_for("jane@example.com").await;
    let answer = Visitor::at(&gateway).get(&format!("{SITE}/a?sso={token}")).await;
    assert!(answer.text().contains("<form"), "{answer:?}");
    let [policy] = &policies(&answer)[..] else { panic!("{answer:?}") };
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}

#[tokio::test]
async fn who_cannot_sign_in_within_a_frame_is_told_so_there() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    // A browser that keeps no cookies in frames.
    let send = async |target: String| Visitor::at(&gateway).send(in_frame(&target)).await;
    let page = send("/a".to_owned()).await.text();
    assert!(!page.contains("keeps no cookies"), "{page}");
    let back = logged_in(&gateway, &data(&page, "data-login")).await;
    let redeem = format!("{}{}", data(&page, "data-redeem"), parameter(&back, "sso"));
    let answer = send(redeem).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("keeps no cookies"), "{}", answer.text());
    assert_eq!(parameter(&data(&answer.text(), "data-login"), "error"), "token_invalid");
    // Nor is anybody asked again and again.
    let mut frame = Visitor::at(&gateway);
    let dead = format!("/a?sso={}", "A".repeat(43));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = frame.send(in_frame(&dead)).await;
        assert_eq!(policies(&answer).last().map(String::as_str), Some(ALLOWED));
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
}

#[tokio::test]
async fn every_answer_says_who_may_frame_it_whatever_the_upstream_says() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    let mut jane = Visitor::at(&gateway);
    let token = gateway.login_page().token_for("jane@example.com").await;
    assert_eq!(jane.get(&format!("{SITE}/?sso={token}")).await.status, 302);
    upstream.answers(
        Answer::page("hello")
            .with("X-Frame-Options", "DENY")
            .with("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none', img-src *")
            .with("Content-Security-Policy", "Frame-Ancestors *")
            .with("Content-Security-Policy-Report-Only", "frame-ancestors 'none'"),
    );
    for path in ["/article", "/public/a", "/optional/a"] {
        let answer = jane.get(&format!("{SITE}{path}")).await;
        assert_eq!((answer.status, answer.header("x-frame-options")), (200, None));
        assert_eq!(policies(&answer), ["default-src 'self', img-src *", ALLOWED], "{path}");
        let reported = answer.header("content-security-policy-report-only");
        assert_eq!(reported.as_deref(), Some("frame-ancestors 'none'"));
    }
    let mut stranger = Visitor::at(&gateway);
    for (path, status) in
        [("/closed", 302), ("/.tollgate/nowhere", 404), ("/a/../b", 400), ("/api/echo", 200)]
    {
        let answer = stranger.get(&format!("{SITE}{path}")).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(policies(&answer).last().map(String::as_str), Some(ALLOWED), "{path}");
        assert_eq!(policies(&answer).concat().matches("frame-ancestors").count(), 1, "{path}");
    }
    // What goes wrong in a frame is told there, to a person.
    let answer = stranger.send(in_frame("/a/../b")).await;
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{answer:?}");
    let told: Vec<String> = upstream.requests().iter().map(|request| request.target.clone()).collect();
    assert_eq!(told, ["/article", "/public/a", "/optional/a"]);
}

#[tokio::test]
async fn a_site_that_nobody_may_frame_is_as_it_was() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let plain = "http://site.test";
    let policy = "frame-ancestors *, default-src 'self'";
    upstream.answers(
        Answer::page("hello").with("X-Frame-Options", "DENY").with("Content-Security-Policy", policy),
    );
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.get(&format!("{plain}/public/a")).await;
    assert_eq!(answer.header("x-frame-options").as_deref(), Some("DENY"));
    assert_eq!(policies(&answer), [policy]);
    let token = gateway.login_page().token_for("jane@example.com").await;
    for (target, status) in [
        ("/closed".to_owned(), 401),
        (format!("/closed?sso={token}"), 401),
        (format!("/.tollgate/redeem?token={token}"), 403),
        ("/.tollgate/embed".to_owned(), 404),
    ] {
        let ask = Ask { url: format!("{plain}{target}"), ..in_frame("") };
        let answer = visitor.send(ask).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains("\"error\""), "{target}: {}", answer.text());
        assert!(policies(&answer).is_empty(), "{target}");
    }
    let answer = visitor.get(&format!("{plain}/.tollgate/nowhere")).await;
    assert!(policies(&answer).concat().contains("frame-ancestors 'none'"));
    // The token is as good as new.
    assert_eq!(visitor.get(&format!("{plain}/a?sso={token}")).await.status, 302);
}

#[tokio::test]
async fn the_handover_is_a_page_for_people_and_for_nobody_else() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    let mut visitor = Visitor::at(&gateway);
    let token = gateway.login_page().token_for("jane@example.com").await;
    let url = format!("{SITE}/.tollgate/embed?return_url={}&sso={token}", encoded("https://evil.test/x"));
    for (ask, status) in [
        (Ask::navigate("POST", &url), 405),
        (Ask::navigate("HEAD", &url), 204),
        (Ask::navigate("GET", &url).with("Sec-Purpose", "prefetch"), 403),
        (Ask::script("GET", &url), 403),
    ] {
        let shown = format!("{ask:?}");
        assert_eq!(visitor.send(ask).await.status, status, "{shown}");
    }
    let page = visitor.get(&url).await.text();
    assert_eq!(links_of(&page), ["/"], "nobody is sent to another site");
    // In a frame nobody sees it, be it one of a page that may frame the site.
    let answer = visitor.send(in_frame(&format!("/.tollgate/embed?sso={token}"))).await;
    assert!(policies(&answer).concat().contains("frame-ancestors 'none'"), "{answer:?}");
    assert_eq!(policies(&answer).len(), 1);
    assert!(visitor.jar.cookies().is_empty());
    assert_eq!(visitor.get(&format!("{SITE}/a?sso={token}")).await.status, 302, "nothing used it up");
}

#[tokio::test]
async fn the_token_api_leads_a_login_to_where_it_began() {
    let upstream = FakeUpstream::start().await;
    let hosts = "[\"site.test\", \"www.site.test\"]";
    let embedding = framed(&upstream).site(|site| site.with("hosts", hosts)).start().await;
    let plain = Plan::new(&upstream).site(|site| site.with("public_url", &format!("{SITE:?}"))).start().await;
    for (gateway, return_url, start) in [
        (&embedding, "/a", "https://site.test/.tollgate/redeem?sso="),
        (&embedding, "/.tollgate/embed", "https://site.test/.tollgate/embed?sso="),
        (&embedding, "/.tollgate/embed#x", "https://site.test/.tollgate/embed?sso="),
        (
            &embedding,
            "/.tollgate/embed?return_url=/b",
            "https://site.test/.tollgate/embed?return_url=/b&sso=",
        ),
        (
            &embedding,
            "https://www.site.test/.tollgate/embed?return_url=/b",
            "https://www.site.test/.tollgate/embed?return_url=/b&sso=",
        ),
        (&embedding, "https://evil.test/.tollgate/embed", "https://site.test/.tollgate/redeem?sso="),
        (&embedding, "/.tollgate/embedded", "https://site.test/.tollgate/redeem?sso="),
        (&plain, "/.tollgate/embed?return_url=/b", "https://site.test/.tollgate/redeem?sso="),
    ] {
        let person = json!({ "email": "jane@example.com", "full_name": "Jane", "return_url": return_url });
        let issued = gateway.login_page().issue(person).await;
        let token = issued["token"].as_str().expect("a token");
        assert_eq!(issued["redeem_url"], format!("{start}{token}"), "{return_url}");
    }
}

#[tokio::test]
async fn signing_out_in_a_frame_ends_there() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    let mut frame = Visitor::at(&gateway);
    let page = frame.send(in_frame("/a")).await.text();
    let back = logged_in(&gateway, &data(&page, "data-login")).await;
    frame.send(in_frame(&format!("{}{}", data(&page, "data-redeem"), parameter(&back, "sso")))).await;
    // The page around the frame cannot do it.
    assert_eq!(frame.send(in_frame("/.tollgate/logout")).await.status, 403);
    assert_eq!(frame.send(in_frame("/a")).await.status, 200);
    let own = |target: &str| in_frame(target).with("Sec-Fetch-Site", "same-origin");
    let answer = frame.send(own("/.tollgate/logout")).await;
    assert_eq!((answer.status, policies(&answer).last().map(String::as_str)), (200, Some(ALLOWED)));
    assert_eq!(frame.send(own("/a")).await.status, 401);
    let again = frame.send(own("/.tollgate/login?return_url=/a")).await;
    assert_eq!(again.status, 401);
    assert!(again.text().contains("data-login"), "{}", again.text());
}

#[tokio::test]
async fn a_session_of_the_time_before_is_taken_away_with_the_new_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let answer = Visitor::at(&gateway).get(&format!("{SITE}/?sso={token}")).await;
    let [gone, new] = &answer.headers.all("set-cookie")[..] else { panic!("{answer:?}") };
    assert!(gone.starts_with("__Host-tollgate=;") && !gone.contains("Partitioned"), "{gone}");
    assert!(gone.contains("Max-Age=0") && gone.contains("Secure"), "{gone}");
    assert!(new.contains("Partitioned"), "{new}");
}
