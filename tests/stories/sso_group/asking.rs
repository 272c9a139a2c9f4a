//! Who is asked, about whom, and when it ends.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{House, NAMES, journey, places, travel};
use crate::support::{Ask, Visitor, minutes, parameter, query_of, seconds};

#[tokio::test]
async fn whom_nobody_knows_comes_to_the_login_page_as_ever() {
    let house = House::of(3, |_, site| site.with("require_state", "true")).await;
    let mut stranger = Visitor::at(&house.gateway);
    let (urls, _) = travel(&mut stranger, "http://books.test/shelf?page=2").await;
    let expected = [
        "books/shelf",
        "cars/.tollgate/group",
        "art/.tollgate/group",
        "books/.tollgate/login",
        "login/books",
    ];
    assert_eq!(places(&urls), expected.map(str::to_owned));
    let login_url = urls.last().expect("some");
    let named: Vec<_> = query_of(login_url).into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, ["from", "return_url", "site", "state"]);
    assert_eq!(parameter(login_url, "return_url"), "http://books.test/shelf?page=2");
    for upstream in &house.upstreams {
        upstream.assert_untouched("a stranger").await;
    }
    // The state is the browser's.
    let person = json!({
        "email": "jane@example.com", "full_name": "Jane Doe", "state": parameter(login_url, "state"),
    });
    let token = house.login_page("books").token(person).await;
    let (_, answer) = travel(&mut stranger, &format!("http://books.test/shelf?page=2&sso={token}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(house.upstream("books").last().target, "/shelf?page=2");
}

#[tokio::test]
async fn whoever_knows_the_browser_is_found_wherever_it_is() {
    for known_at in ["art", "cars"] {
        let house = House::of(3, |_, site| site).await;
        let mut jane = house.reader(known_at, "jane@example.com").await;
        assert_eq!(travel(&mut jane, "http://books.test/a").await.1.status, 200);
        let third = if known_at == "art" { "cars" } else { "art" };
        let (urls, answer) = travel(&mut jane, &format!("http://{third}.test/a")).await;
        assert_eq!(answer.status, 200, "{urls:?}");
        assert_eq!(house.sessions().await, 3);
        // Nobody is asked any more.
        for site in NAMES {
            assert!(house.opens(&mut jane, site).await);
        }
    }
}

#[tokio::test]
async fn who_was_a_stranger_a_moment_ago_is_asked_about_again() {
    let house = House::of_two().await;
    let mut jane = Visitor::at(&house.gateway);
    for _ in 0..3 {
        let (urls, _) = travel(&mut jane, "http://books.test/a").await;
        assert_eq!(urls.len(), 4, "{urls:?}");
    }
    super::sign_in(&mut jane, &house.login_page("art"), "art", "jane@example.com").await;
    assert_eq!(travel(&mut jane, "http://books.test/a").await.1.status, 200);
}

#[tokio::test]
async fn sessions_that_are_over_and_those_of_nobody_are_not_handed_on() {
    let house = House::of_two().await;
    let api = house.gateway.api();
    let anonymous = api.get("/api/session/get-token?format=json&raw&site=art").await.json();
    let token = anonymous["sessiontoken"]["access_token"].as_str().expect("a token").to_owned();
    let mut nobody = Visitor::at(&house.gateway);
    nobody.get(&format!("http://art.test/?sso={token}")).await;
    let mut idle = house.reader("art", "jane@example.com").await;
    house.gateway.advance(minutes(29));
    assert!(house.opens(&mut nobody, "art").await);
    house.gateway.advance(minutes(1));
    let mut revoked = house.reader("art", "joe@example.com").await;
    assert_eq!(api.delete("/v1/sessions?email=joe@example.com").await.json(), json!({ "revoked": 1 }));
    for visitor in [&mut nobody, &mut idle, &mut revoked] {
        let (urls, _) = travel(visitor, "http://books.test/closed").await;
        let expected = ["books/closed", "art/.tollgate/group", "books/.tollgate/login", "login/books"];
        assert_eq!(places(&urls), expected.map(str::to_owned));
    }
    house.upstream("books").assert_untouched("strangers").await;
    assert!(house.opens(&mut nobody, "art").await, "it goes on where it is");
}

#[tokio::test]
async fn only_a_person_who_goes_to_a_page_is_sent_round() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let page = "http://books.test/closed";
    let navigation = |method: &str| Ask::navigate(method, page);
    for (ask, status) in [
        (navigation("HEAD"), 302),
        (navigation("POST").form(&[("a", "b")]), 303),
        (navigation("GET").with("Sec-Purpose", "prefetch"), 302),
        (navigation("GET").with("Sec-Fetch-Dest", "iframe"), 401),
        (navigation("GET").with("X-Requested-With", "XMLHttpRequest"), 401),
        (Ask::script("GET", page), 401),
        (navigation("GET").with("Sec-Fetch-Dest", "image").with("Sec-Fetch-Mode", "no-cors"), 401),
    ] {
        let shown = format!("{ask:?}");
        let answer = jane.send(ask).await;
        assert_eq!(answer.status, status, "{shown}");
        let location = answer.header("location").unwrap_or_default();
        assert!(!location.contains(".tollgate"), "{shown}: {location}");
    }
    house.upstream("books").assert_untouched("all these").await;
}

#[tokio::test]
async fn a_link_to_the_login_page_asks_the_others_too_unless_somebody_is_signed_in_already() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let link = "http://books.test/.tollgate/login?return_url=/optional/a%3Fb";
    assert_eq!(jane.get("http://books.test/optional/a").await.status, 200);
    assert_eq!(house.upstream("books").last().header("x-forwarded-email"), None);
    let (urls, answer) = travel(&mut jane, link).await;
    assert_eq!(answer.status, 200, "{urls:?}");
    let received = house.upstream("books").last();
    assert_eq!(received.target, "/optional/a?b");
    assert_eq!(received.header("x-forwarded-email").as_deref(), Some("jane@example.com"));
    // Who follows it now wants to be somebody else.
    let (urls, _) = travel(&mut jane, link).await;
    assert_eq!(places(&urls), ["books/.tollgate/login", "login/books"]);
    let (urls, _) = travel(&mut Visitor::at(&house.gateway), link).await;
    let expected = ["books/.tollgate/login", "art/.tollgate/group", "books/.tollgate/login", "login/books"];
    assert_eq!(places(&urls), expected.map(str::to_owned));
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_does_not_go_in_circles() {
    let house = House::of(3, |_, site| site).await;
    let mut forgetful = Visitor::at(&house.gateway);
    let mut url = "http://books.test/closed".to_owned();
    for step in 0.. {
        forgetful.jar = crate::support::jar::Jar::default();
        let location = forgetful.get(&url).await.location();
        if location.starts_with("https://login.test/") {
            assert_eq!(step, 3);
            break;
        }
        url = location;
    }
}

#[tokio::test]
async fn a_browser_that_does_not_keep_its_session_ends_at_the_login_page() {
    let house = House::of_two().await;
    let jane = house.reader("art", "jane@example.com").await;
    // It loses the session at books, as if it were blocked, and keeps everything else.
    let mut url = url::Url::parse("http://books.test/closed").expect("a URL");
    let mut browser = jane.tab();
    let mut steps = 0;
    while !url.as_str().starts_with("https://login.test/") {
        let kept = browser.jar.clone();
        let answer = browser.get(url.as_str()).await;
        if url.path() == "/.tollgate/redeem" {
            browser.jar = kept;
        }
        url = url.join(&answer.location()).expect("a Location");
        steps += 1;
        assert!(steps < 100, "goes in circles");
    }
    house.upstream("books").assert_untouched("a browser without a session").await;
}

#[tokio::test]
async fn where_the_store_does_not_answer_the_stranger_comes_to_the_login_page() {
    let (frail, house) = House::over_frail_store(3).await;
    let mut jane = house.reader("cars", "jane@example.com").await;
    frail.is_down.store(true, Ordering::SeqCst);
    let (urls, _) = travel(&mut jane, "http://books.test/closed").await;
    let expected = ["books/closed", "cars/.tollgate/group", "books/.tollgate/login", "login/books"];
    assert_eq!(places(&urls), expected.map(str::to_owned), "nobody else is asked in vain");
    frail.is_down.store(false, Ordering::SeqCst);
    assert_eq!(travel(&mut jane, "http://books.test/closed").await.1.status, 200);
}

#[tokio::test]
async fn open_tokens_do_not_pile_up() {
    let house = House::of_two().await;
    let jane = house.reader("art", "jane@example.com").await;
    let state = "S".repeat(43);
    let url = format!("http://art.test/.tollgate/group?site=books&return_url=/&state={state}");
    let mut issued = 0;
    let mut visitor = jane.tab();
    for _ in 0..40 {
        let location = visitor.get(&url).await.location();
        assert!(location.starts_with("http://books.test/.tollgate/"), "{location}");
        issued += usize::from(location.contains("&sso="));
    }
    assert_eq!(issued, 20);
    house.gateway.advance(seconds(3));
    assert!(visitor.get(&url).await.location().contains("&sso="));
    assert!(!visitor.get(&url).await.location().contains("&sso="));
    // Others are not held back.
    let mut joe = house.reader("art", "joe@example.com").await;
    assert_eq!(journey(&mut joe, Ask::navigate("GET", "http://books.test/closed")).await.1.status, 200);
}
