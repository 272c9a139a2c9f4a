//! The whole way of a visitor, in a real browser through the real binary: Chromium walks what `tollgate
//! demo` sets up, and in `embedding` a site within a frame. Pictures of the stations are left in
//! `tests/artifacts`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is a test, which fails by panicking"
)]

mod admin;
mod backstage;
mod demo;
mod embedding;
mod group;
mod newsroom;
mod paused;
mod stage;
mod webdriver;

use demo::{Demo, artifact};
use webdriver::Browser;

const ARTICLE: &str = "/articles/tolls?page=2&from=demo";

#[test]
fn a_stranger_signs_in_elsewhere_comes_back_to_the_same_page_and_logs_out() {
    let demo = Demo::start("walk");
    let browser = Browser::start();
    let article = demo.url("gateway", ARTICLE);

    // A closed page leads to the login page, which is told where to send the visitor back to.
    browser.open(&article);
    assert_at_login_page(&browser, &demo);
    let told = browser.url();
    let parameter = |name: &str| told.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
    assert_eq!(parameter("return_url").as_deref(), Some(article.as_str()));
    assert!(parameter("state").is_some(), "{told}");
    assert!(parameter("error").is_none(), "{told}");
    browser.screenshot(&artifact("1-login-page.png"));

    // Back on the very page, its query untouched and the token gone; the site knows the visitor.
    browser.fill("#first_name", "Zoë");
    browser.fill("#last_name", "O’Neill");
    browser.fill("#email", "zoe@example.com");
    browser.click("#sign-in button");
    assert_eq!(browser.url().as_str(), article);
    assert!(browser.text(".visitor").contains("Zoë O’Neill"));
    assert_eq!(browser.text("dl"), "page\n2\nfrom\ndemo");
    let received = browser.text("table");
    for told in
        ["x-forwarded-email zoe@example.com", "x-forwarded-name Zoë O’Neill", "x-forwarded-role editor"]
    {
        assert!(received.contains(told), "{told} in {received}");
    }
    assert!(!received.contains("\ncookie"), "the gateway keeps its cookies to itself: {received}");
    browser.screenshot(&artifact("2-back-at-the-article.png"));

    // The session goes for the whole site, and the visitor can look at it.
    browser.follow("Members");
    assert!(browser.text("main").contains("Your chair is free, Zoë O’Neill."));
    browser.open(&demo.url("gateway", "/.tollgate/session"));
    assert!(browser.text("body").contains("zoe@example.com"));

    // After logging out, what was closed is closed again, and what was open is open.
    browser.open(&article);
    browser.follow("Log out");
    browser.screenshot(&artifact("3-logged-out.png"));
    browser.open(&demo.url("gateway", "/public/"));
    assert_eq!(browser.text("h1"), "Open to everyone");
    browser.screenshot(&artifact("4-open-page.png"));
    browser.become_a_dark_phone();
    browser.open(&article);
    assert_at_login_page(&browser, &demo);
    browser.screenshot(&artifact("5-login-page-dark-phone.png"));

    // One press is enough for somebody else.
    browser.click("ul button");
    assert_eq!(browser.url().as_str(), article);
    assert!(browser.text(".visitor").contains("Alan Turing"));
    browser.screenshot(&artifact("6-article-dark-phone.png"));
}

#[test]
fn a_dead_link_leads_back_to_the_login_page_and_in_the_end_to_an_explanation() {
    let demo = Demo::start("dead-link");
    let browser = Browser::start();
    let dead = demo.url("gateway", &format!("{ARTICLE}&sso={}", "A".repeat(43)));

    for _ in 0..3 {
        browser.open(&dead);
        assert_at_login_page(&browser, &demo);
        assert!(browser.text("[role=alert]").contains("sign-in link did not work"));
    }
    browser.open(&dead);
    assert_eq!(browser.url().host_str(), Some("127.0.0.1"), "the browser stays with the gateway");
    assert!(browser.text("h1").contains("did not work"));
    browser.screenshot(&artifact("7-dead-link.png"));

    // The page is dressed: its one style passes its own Content-Security-Policy.
    assert_eq!(browser.evaluate("getComputedStyle(document.querySelector('main')).maxWidth"), "528px");
    let console = browser.console();
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    browser.become_a_dark_phone();
    browser.screenshot(&artifact("8-dead-link-dark-phone.png"));

    browser.follow("Try again");
    assert_at_login_page(&browser, &demo);
}

#[track_caller]
fn assert_at_login_page(browser: &Browser, demo: &Demo) {
    let url = browser.url();
    assert!(url.as_str().starts_with(&demo.url("login", "/login?")), "{url}");
    assert!(browser.text("h1").starts_with("Sign in to"), "{url}");
}
