//! A site in a frame of another one, in a browser that keeps no third-party cookies: signing in from
//! there, and what other pages cannot do.

use crate::demo::artifact;
use crate::stage::Stage;
use crate::webdriver::Browser;

const ARTICLE: &str = "article?page=2&chromeless=1";

#[test]
fn a_visitor_signs_in_by_a_tab_and_goes_on_in_the_frame() {
    let stage = Stage::set();
    let browser = Browser::start_strict(&stage.resolver_rules());
    let partner = format!("https://partner.example/frame/{ARTICLE}");

    // The frame asks to sign in, and nobody at the site has heard of it.
    browser.open(&partner);
    browser.enter_frame("iframe");
    assert_eq!(browser.text("h1"), "Sign in to continue");
    assert_eq!(browser.evaluate("getComputedStyle(document.querySelector('main')).maxWidth"), "528px");
    assert!(stage.received("site.example").is_empty());
    browser.screenshot(&artifact("9-sign-in-within-a-frame.png"));

    // The login page has a tab of its own, which closes by itself.
    let frame = browser.tab();
    browser.press("a.button");
    browser.switch_to(&browser.another_tab(&frame));
    assert!(browser.text("h1").starts_with("Sign in to"));
    assert_eq!(browser.url().host_str(), Some("login.example"));
    browser.fill("#email", "zoe@example.com");
    browser.press("#sign-in button");
    browser.wait_until_alone();
    browser.switch_to(&frame);
    browser.enter_frame("iframe");
    browser.wait_until("the article", "document.querySelector('#who')?.textContent === 'zoe@example.com'");
    assert_eq!(browser.text("#line"), format!("GET /{ARTICLE}"));
    assert_eq!(browser.text("#plain"), "1");
    browser.screenshot(&artifact("10-signed-in-within-a-frame.png"));

    // It lasts; and cookies that are not partitioned do not come along, so that this browser is as
    // strict as it is meant to be.
    browser.open("https://partner.example/frame/other");
    browser.enter_frame("iframe");
    assert_eq!(
        (browser.text("#who"), browser.text("#plain")),
        ("zoe@example.com".to_owned(), "1".to_owned())
    );
    assert!(stage.received("site.example").iter().all(|request| request.cookies.is_empty()));

    // What the page around the frame sends in the visitor's name arrives nowhere, in what way ever.
    browser.leave_frame();
    let before = stage.received("site.example").len();
    browser.run(
        "const done = arguments[0]; const url = 'https://site.example/post'; const image = new Image();
         const page = document.createElement('iframe'); page.name = 'forged'; document.body.append(page);
         const form = document.body.appendChild(document.createElement('form'));
         Object.assign(form, { method: 'post', action: url, target: 'forged' });
         const framed = new Promise((ended) => { page.onload = ended; }); form.submit();
         const asked = new Promise((ended) => { image.onload = image.onerror = ended; });
         image.src = 'https://site.example/image';
         const fetched = ['no-cors', 'cors'].map((mode) =>
           fetch(url, { method: 'POST', mode, credentials: 'include', body: 'a=b' }).catch(() => null));
         Promise.all([framed, asked, ...fetched]).then(() => done(null));",
    );
    assert_eq!(stage.received("site.example").len(), before, "{:?}", stage.received("site.example"));
    browser.enter_frame("[name=forged]");
    assert_eq!(browser.text("h1"), "This request came from another site");

    // By itself the site knows nobody.
    browser.open("https://site.example/article");
    assert_eq!(browser.url().host_str(), Some("login.example"));
}

#[test]
fn a_page_of_a_third_site_cannot_frame_it() {
    let stage = Stage::set();
    let browser = Browser::start_strict(&stage.resolver_rules());
    for target in ["public/page", "article", ".tollgate/embed"] {
        browser.open(&format!("https://stranger.example/frame/{target}"));
        assert_refused(&browser, target);
    }
    assert_eq!(stage.received("site.example").len(), 1, "the open page was asked for, and not shown");
    // Its partner can, whatever the site itself says; but for the page that hands tokens over.
    browser.open("https://partner.example/frame/public/page");
    browser.enter_frame("iframe");
    assert_eq!(browser.text("h1"), "The article");
    browser.open("https://partner.example/frame/.tollgate/embed");
    assert_refused(&browser, "the handover");
}

/// The browser shows a page of its own in the frame.
#[track_caller]
fn assert_refused(browser: &Browser, target: &str) {
    browser.enter_frame("iframe");
    browser.wait_until(&format!("the refusal of {target}"), "location.protocol === 'chrome-error:'");
}

#[test]
fn a_tab_that_has_lost_its_frame_says_what_to_do_and_keeps_the_token_to_itself() {
    let stage = Stage::set();
    let browser = Browser::start_strict(&stage.resolver_rules());
    let token = "A".repeat(43);
    let handover = format!("https://site.example/.tollgate/embed?return_url=/public/page&sso={token}");
    browser.open(&handover);
    assert_eq!(browser.url().as_str(), "https://site.example/.tollgate/embed");
    assert!(browser.text("[data-when=alone]").contains("sign in once more"));

    // Whoever opens it from another site is told nothing.
    browser.open("https://stranger.example/frame/public/page");
    let stranger = browser.tab();
    browser.evaluate(&format!(
        "(window.heard = [], window.onmessage = (event) => heard.push(event.data), window.open('{handover}') !== null)"
    ));
    browser.switch_to(&browser.another_tab(&stranger));
    assert!(browser.text("[data-when=alone]").contains("sign in once more"));
    assert_eq!(browser.evaluate("window.opener !== null"), true);
    browser.switch_to(&stranger);
    assert_eq!(browser.evaluate("heard.length"), 0);
}
