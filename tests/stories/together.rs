//! What one feature does where another one is at work: frames and forms, groups and logouts, proxies that
//! ask about pages with scripts, buttons and those who press them for others.

use serde_json::json;

use crate::paused::{attribute, come_back, fields, goes_by_itself, own_form, resumed};
use crate::sso_group::{House, travel};
use crate::support::{
    Ask, FakeUpstream, MASTER_KEY, Plan, Response, SITE, TestGateway, Visitor, local, minutes, parameter,
};

const SECURE: &str = "https://site.test";

/// A site at [`SECURE`] that `https://partner.test` may frame.
fn framed(upstream: &FakeUpstream) -> Plan {
    Plan::new(upstream).server("trusted_proxies", "[\"127.0.0.1\"]").site(|site| {
        site.with("public_url", &format!("{SECURE:?}")).with("embed_origins", "[\"https://partner.test\"]")
    })
}

/// What a browser sends within a frame of another site's page, once the frame shows this site.
fn within(ask: Ask) -> Ask {
    ask.with("Sec-Fetch-Dest", "iframe").with("Sec-Fetch-Site", "same-origin")
}

/// A form that a page of the site sends from within a frame.
fn framed_form(path: &str, body: &str) -> Ask {
    within(own_form(&format!("{SECURE}{path}"), body).with("Origin", SECURE))
}

/// Signs in by the page that a frame shows, as the owner of `email`. The answer to the redemption.
async fn back_in_the_frame(gateway: &TestGateway, frame: &mut Visitor, page: &str, email: &str) -> Response {
    let data = |name: &str| attribute(page, "a", name).expect("the frame asks to sign in");
    let person = json!({
        "email": email, "full_name": "Jane Doe", "state": parameter(&data("data-login"), "state"),
    });
    let token = gateway.login_page().token(person).await;
    let url = format!("{SECURE}{}{token}", data("data-redeem"));
    frame.send(within(Ask::navigate("GET", &url))).await
}

#[tokio::test]
async fn a_form_that_meets_the_challenge_in_a_frame_is_sent_again_there() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    let mut frame = Visitor::at(&gateway);
    // First a stranger's, then that of somebody whose session is over, then somebody else's.
    for (body, next, by_itself) in [
        ("a=1", "jane@example.com", true),
        ("a=2", "jane@example.com", true),
        ("a=3", "joe@example.com", false),
    ] {
        let challenged = frame.send(framed_form("/save", body)).await;
        assert_eq!(challenged.status, 401);
        let back = back_in_the_frame(&gateway, &mut frame, &challenged.text(), next).await;
        let location = back.location();
        assert!(location.starts_with("/.tollgate/resume?"), "{body}: {location}");
        let page = frame.send(within(Ask::navigate("GET", &format!("{SECURE}{location}")))).await;
        assert_eq!((page.status, goes_by_itself(&page)), (200, by_itself), "{body}");
        assert_eq!(fields(&page.text()), [("a".to_owned(), body[2..].to_owned())]);
        let sent = frame.send(framed_form("/save", body)).await;
        assert_eq!((sent.status, upstream.last().body.as_slice()), (200, body.as_bytes()));
        gateway.advance(minutes(31));
    }
    // A page around the frame gets nothing kept.
    let foreign = framed_form("/save", "a=4").with("Origin", "https://partner.test");
    let challenged = frame.send(foreign.with("Sec-Fetch-Site", "cross-site")).await;
    let back = back_in_the_frame(&gateway, &mut frame, &challenged.text(), "joe@example.com").await;
    assert_eq!(back.location(), "/save");
}

/// A browser that Jane has signed in with, by the login page, for a page with a form.
async fn known_as_jane(gateway: &TestGateway) -> Visitor {
    let mut visitor = Visitor::at(gateway);
    let to_login = visitor.get(&format!("{SITE}/save")).await.location();
    come_back(gateway, &mut visitor, &to_login, "jane@example.com").await;
    visitor
}

/// Whether a form that meets the challenge goes by itself when the owner of `email` has signed in.
async fn goes_for(gateway: &TestGateway, visitor: &mut Visitor, form: Ask, email: &str) -> bool {
    let to_login = visitor.send(form).await.location();
    let back = come_back(gateway, visitor, &to_login, email).await;
    goes_by_itself(&resumed(visitor, &back).await)
}

#[tokio::test]
async fn who_has_no_name_leaves_no_form_to_who_was_there_before() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = known_as_jane(&gateway).await;
    assert!(visitor.cookie("tollgate_person").is_some());
    // An anonymous session takes the place of Jane's.
    let answer = gateway.api().get("/api/session/get-token?format=json&raw").await;
    let token = answer.json()["sessiontoken"]["access_token"].as_str().expect("a token").to_owned();
    let answer = visitor.get(&format!("{SITE}/.tollgate/redeem?token={token}")).await;
    assert_eq!(answer.status, 302, "{MASTER_KEY}");
    gateway.advance(minutes(31));
    let form = own_form(&format!("{SITE}/save"), "text=nobody's");
    assert!(!goes_for(&gateway, &mut visitor, form, "jane@example.com").await, "Jane has not written it");
}

#[tokio::test]
async fn who_goes_on_at_another_host_is_remembered_at_this_one() {
    let upstream = FakeUpstream::start().await;
    let hosts = "[\"site.test\", \"www.site.test\"]";
    let gateway = Plan::new(&upstream).site(|site| site.with("hosts", hosts)).start().await;
    let mut visitor = known_as_jane(&gateway).await;
    // Joe takes over, and is sent to the other host.
    let token = gateway.login_page().token_for("joe@example.com").await;
    let link = format!("{SITE}/.tollgate/redeem?token={token}&return_url=http://www.site.test/a");
    assert_eq!(visitor.get(&link).await.location(), "http://www.site.test/a");
    gateway.advance(minutes(31));
    let form = own_form(&format!("{SITE}/save"), "text=Joe's");
    assert!(!goes_for(&gateway, &mut visitor, form, "jane@example.com").await, "Jane has not written it");
}

#[tokio::test]
async fn two_names_for_who_was_there_are_not_nobody() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = known_as_jane(&gateway).await;
    visitor.get(&format!("{SITE}/.tollgate/logout")).await;
    let key = visitor.cookie("tollgate_state").expect("a key").value;
    for planted in ["tollgate_person=x", "tollgate_person=a; tollgate_person=b"] {
        let cookies = format!("tollgate_state={key}; {planted}");
        let form = own_form(&format!("{SITE}/save"), "a=1").with("Cookie", &cookies);
        assert!(!goes_for(&gateway, &mut visitor, form, "joe@example.com").await, "{planted}");
        visitor.get(&format!("{SITE}/.tollgate/logout")).await;
    }
}

#[tokio::test]
async fn who_logs_out_of_a_group_leaves_no_session_of_another_login_in_this_browser() {
    let house = House::of(3, |_, site| site).await;
    // Jane has come to art by one link, and to books by another: no session is kin of the other.
    let mut jane = house.reader("art", "jane@example.com").await;
    crate::sso_group::sign_in(&mut jane, &house.login_page("books"), "books", "jane@work.example").await;
    let (urls, _) = travel(&mut jane, "http://art.test/.tollgate/logout").await;
    assert_eq!(urls.last().expect("some"), "https://login.test/bye", "{urls:#?}");
    for name in ["art", "books", "cars"] {
        let (urls, _) = travel(&mut jane, &format!("http://{name}.test/closed")).await;
        assert!(urls.last().expect("some").starts_with("https://login.test/"), "{name}: {urls:#?}");
        house.upstream(name).assert_untouched("who logged out").await;
    }
    assert_eq!(house.sessions().await, 0);
}

#[tokio::test]
async fn a_logout_of_a_group_leaves_no_form_at_any_of_its_sites() {
    let house = House::of(2, |_, site| site).await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let form = own_form("http://books.test/save", "text=secret").with("Origin", "http://books.test");
    assert_eq!(jane.send(form).await.status, 303);
    travel(&mut jane, "http://art.test/.tollgate/logout").await;
    // Joe is next at this machine.
    let (urls, _) = travel(&mut jane, "http://books.test/save").await;
    let person = json!({
        "email": "joe@example.com", "full_name": "Joe",
        "state": parameter(urls.last().expect("some"), "state"),
    });
    let token = house.login_page("books").token(person).await;
    let answer = jane.get(&format!("http://books.test/save?sso={token}")).await;
    assert_eq!(answer.location(), "/save");
}

#[tokio::test]
async fn a_button_that_has_to_be_pressed_is_not_pressed_by_another_sites_form() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("redeem", "\"confirm\"")).start().await;
    for (site, origin, may) in [
        (Some("cross-site"), Some("https://evil.test"), false),
        (Some("cross-site"), Some("null"), false),
        (Some("same-site"), Some("http://sibling.test"), false),
        (None, Some("https://evil.test"), false),
        (Some("same-origin"), Some("null"), true),
        (Some("cross-site"), Some("https://login.test"), true),
        (None, Some(SITE), true),
        // Any page can have that said, and over plain http browsers say nothing else.
        (None, Some("null"), false),
        (None, None, true),
    ] {
        let token = gateway.login_page().token_for("mallory@example.com").await;
        let mut victim = Visitor::at(&gateway);
        let mut ask = Ask::navigate("POST", &format!("{SITE}/.tollgate/redeem"))
            .without("Sec-Fetch-Site")
            .form(&[("token", &token), ("return_url", "/a")]);
        ask = site.map_or(ask.clone(), |site| ask.with("Sec-Fetch-Site", site));
        ask = origin.map_or(ask.clone(), |origin| ask.with("Origin", origin));
        let answer = victim.send(ask).await;
        assert_eq!(victim.session_cookie().is_some(), may, "{site:?} {origin:?}: {answer:?}");
        if !may {
            let (action, fields) = crate::support::form_of(&answer.text());
            assert_eq!((action.as_str(), fields.len()), ("/.tollgate/redeem", 2), "the visitor is shown it");
        }
    }
}

const AUTH: &str = "/.tollgate/auth";

/// How Caddy and Traefik ask about `target`, which a browser asked for as `ask` says.
fn handing_on(ask: Ask, method: &str, target: &str) -> Ask {
    ask.with("X-Forwarded-Uri", target)
        .with("X-Forwarded-Method", method)
        .with("X-Forwarded-For", "192.0.2.7")
        .with("X-Forwarded-Host", "site.test")
}

/// How nginx asks.
fn by_status(ask: Ask, method: &str, target: &str) -> Ask {
    ask.with("X-Original-URI", target)
        .with("X-Original-Method", method)
        .with("X-Forwarded-For", "192.0.2.7")
        .with("X-Forwarded-Host", "site.test")
}

#[tokio::test]
async fn a_script_that_wants_its_request_kept_is_answered_behind_another_proxy_as_well() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).start().await;
    let mut jane = Visitor::at(&gateway);
    let wish =
        || Ask::script("GET", &format!("{SECURE}{AUTH}")).with("Origin", SECURE).with("X-Tollgate-Park", "1");
    for (ask, refusal) in [
        (handing_on(wish(), "POST", "/api/save"), 401),
        (by_status(wish(), "POST", "/api/save"), 401),
        (handing_on(wish().with("X_Tollgate_Park", "1"), "POST", "/api/save"), 400),
        (handing_on(wish().with("X-Tollgate-Chromeless", "1"), "POST", "/api/save"), 400),
    ] {
        let answer = jane.send(ask).await;
        assert_eq!(answer.status, refusal, "{}", answer.text());
        assert!(!answer.text().contains("resumes"), "its body is with the proxy");
    }
    let token = gateway.login_page().token_for("jane@example.com").await;
    jane.get(&format!("{SECURE}/?sso={token}")).await;
    assert_eq!(jane.send(handing_on(wish(), "POST", "/api/save")).await.status, 200);
    assert_eq!(jane.send(by_status(wish(), "POST", "/api/save")).await.status, 200);
}

#[tokio::test]
async fn pages_with_scripts_are_no_yes_and_what_they_ask_for_works_behind_another_proxy() {
    let upstream = FakeUpstream::start().await;
    let gateway = framed(&upstream).site(|site| site.with("keep_fragment", "true")).start().await;
    let page = || Ask::navigate("GET", &format!("{SECURE}{AUTH}"));
    let frame = || within(page());
    for ask in [page(), frame()] {
        let answer = Visitor::at(&gateway).send(by_status(ask.clone(), "GET", "/a")).await;
        assert_eq!((answer.status, answer.body.len()), (401, 0));
        let answer = Visitor::at(&gateway).send(handing_on(ask, "GET", "/a")).await;
        assert_eq!(answer.status, 401);
        assert!(answer.text().contains("<script>") && answer.header("set-cookie").is_some(), "{answer:?}");
    }
    let mut frame_visitor = Visitor::at(&gateway);
    let answer = frame_visitor.send(handing_on(frame(), "GET", "/a?b")).await;
    let back = back_in_the_frame(&gateway, &mut frame_visitor, &answer.text(), "jane@example.com").await;
    assert_eq!(back.location(), "/a?b");
    assert_eq!(frame_visitor.send(handing_on(frame(), "GET", "/a?b")).await.status, 200);
    // A token in a frame that has not asked for it leads to the page that asks, as at the gateway itself.
    let mut other = Visitor::at(&gateway);
    let token = gateway.login_page().token_for("mallory@example.com").await;
    let answer = other.send(handing_on(frame(), "GET", &format!("/a?sso={token}"))).await;
    let location = answer.location();
    assert!(location.starts_with(&format!("{SECURE}/.tollgate/redeem?")), "{location}");
    let answer = other.send(within(Ask::navigate("GET", &location))).await;
    assert_eq!((answer.status, other.cookie("__Host-tollgate").is_none()), (401, true));
}

#[tokio::test]
async fn a_place_on_a_page_is_kept_on_every_way_back() {
    for (redeem, strict) in [("direct", false), ("confirm", false), ("direct", true), ("confirm", true)] {
        let upstream = FakeUpstream::start().await;
        let plan = Plan::new(&upstream).site(|site| {
            let site = site.with("keep_fragment", "true").with("require_state", "true");
            let site = site.with("redeem", &format!("{redeem:?}"));
            if strict { site.cookie("same_site", "\"strict\"") } else { site }
        });
        let gateway = plan.start().await;
        let mut visitor = Visitor::at(&gateway);
        let page = visitor.get(&format!("{SITE}/report?q")).await;
        let to_login = crate::paused::keep(&mut visitor, &page, "/x'y;z");
        let mut back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
        if redeem == "confirm" {
            let (_, fields) = crate::support::form_of(&back.text());
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
            let post = Ask::navigate("POST", &format!("{SITE}/.tollgate/redeem")).form(&fields);
            back = visitor.send(post.with("Sec-Fetch-Site", "cross-site").with("Origin", SITE)).await;
        }
        let next = match back.header("refresh") {
            Some(refresh) => refresh.strip_prefix("0; url=").expect("at once").to_owned(),
            None => back.location(),
        };
        assert_eq!(local(&next), "/report?q#/x'y;z", "{redeem} {strict}");
    }
}

#[tokio::test]
async fn a_place_on_a_page_and_a_form_survive_the_way_round_a_group() {
    let house = House::of(2, |_, site| site.with("keep_fragment", "true")).await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let page = jane.get("http://books.test/report?q").await;
    assert_eq!(page.status, 401);
    let html = page.text();
    let plan = |name: &str| attribute(&html, "div", &format!("data-{name}")).expect("is there");
    let cookie = format!("{}={}.top; Path=/; Max-Age=900; SameSite=Lax", plan("cookie"), plan("tag"));
    let now = tollgate::domain::clock::Clock::now(&*house.gateway.clock);
    jane.jar.store(&cookie, "books.test", false, now);
    let asked = attribute(&html, "a", "href").expect("leads on");
    assert!(asked.starts_with("http://art.test/.tollgate/group?"), "{asked}");
    let answered = jane.get(&asked).await.location();
    assert_eq!(jane.get(&answered).await.location(), "/report?q#top");
}

#[tokio::test]
async fn who_was_signed_in_elsewhere_by_a_strangers_link_is_asked_before_a_form_goes_to_that_stranger() {
    let house = House::of_two().await;
    let mut victim = Visitor::at(&house.gateway);
    let form = own_form("http://books.test/save", "text=secret").with("Origin", "http://books.test");
    assert_eq!(victim.send(form).await.status, 303);
    // A link with a token of its author's, at the site of the group that takes it, and one that goes on.
    let token = house.login_page("art").token_for("mallory@example.com").await;
    victim.get(&format!("http://art.test/?sso={token}")).await;
    let (urls, page) = travel(&mut victim, "http://books.test/.tollgate/login?return_url=/save").await;
    assert!(urls.last().expect("some").contains("/.tollgate/resume?"), "{urls:#?}");
    assert!(!goes_by_itself(&page) && page.text().contains("mallory@example.com"), "{}", page.text());
    house.upstream("books").assert_untouched("nobody pressed the button").await;
}

#[tokio::test]
async fn what_is_too_long_to_go_round_a_group_goes_to_the_login_page() {
    let house = House::of_two().await;
    for (length, filling, goes_round) in [
        (7_000, "a", true),
        (2_500, "&", true),
        (9_000, "a", false),
        (3_000, "&", false),
        (12_000, "&", false),
    ] {
        let mut jane = house.reader("art", "jane@example.com").await;
        let url = format!("http://books.test/closed?{}", filling.repeat(length));
        let (urls, answer) = travel(&mut jane, &url).await;
        let last = urls.last().expect("some");
        if goes_round {
            assert_eq!((answer.status, last), (200, &url), "{length} {filling}");
        } else {
            assert!(last.starts_with("https://login.test/"), "{length} {filling}: {}", answer.status);
            assert_eq!(parameter(last, "return_url"), url);
        }
    }
}
