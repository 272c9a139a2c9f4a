//! What a login interrupts goes on after it, in a real browser: forms with text and with files, what a
//! script sent, and the place on a page; with scripts and without.

use std::time::Duration;

use crate::demo::artifact;
use crate::newsroom::Newsroom;
use crate::webdriver::Browser;

const FORM: &str = "<h1>Write</h1><form id=f method=post action='/save?draft=1'>\
    <input name=submit value='\"x\"'><input name=dataset value='&amp;'><input name=empty>\
    <textarea name=text></textarea><button>Send</button></form>";

const UPLOAD: &str = "<h1>Upload</h1><form method=post action=/upload enctype=multipart/form-data>\
    <textarea name=text></textarea><input type=file name=one id=one><input type=file name=two>\
    <button>Send</button></form>";

const OLD: &str = "<h1>Old</h1><form method=post action=/old accept-charset=windows-1252>\
    <input name=q value='Zürich €5'><button>Send</button></form>";

const EDITOR: &str = "<h1>Editor</h1><p id=state>idle</p><button onclick=\"save()\">Save</button><script>\
    async function save() { const answer = await fetch('/api/save', {method: 'POST', body: '{\"a\":\"ü</script\\u003e\"}',\
    headers: {'Content-Type': 'application/json', 'X-Tollgate-Park': '1'}});\
    const error = (await answer.json()).error; if (error.details.resumes) location = error.details.login_url; }\
    </script>";

const REPORT: &str = "<h1>Report</h1><p id=section-2>Section</p>";

const PAGES: &[(&str, &str)] =
    &[("/form", FORM), ("/upload", UPLOAD), ("/old", OLD), ("/editor", EDITOR), ("/report", REPORT)];

const JANE: &str = "jane@example.com";

/// Signs in at the login page, to which the browser was sent.
fn sign_in(browser: &Browser, email: &str) {
    assert_eq!(browser.url().host_str(), Some("localhost"), "{}", browser.url());
    browser.fill("#email", email);
    browser.click("button");
}

/// Waits until the page has this heading.
#[track_caller]
fn await_heading(browser: &Browser, heading: &str) {
    let has_come = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        browser.evaluate("document.querySelector('h1')?.textContent") == heading
    });
    assert!(has_come, "no {heading:?} at {}: {:?}", browser.url(), browser.console());
}

#[test]
fn a_form_that_was_written_while_the_session_ran_out_is_sent_after_the_login() {
    let newsroom = Newsroom::open("paused-form", "", PAGES);
    let browser = Browser::start();
    for (page, text) in [("/form", "one\ntwo </textarea> & ü"), ("/upload", "three"), ("/old", "")] {
        browser.open(&format!("{}{page}", newsroom.origin));
        if browser.url().host_str() == Some("localhost") {
            sign_in(&browser, JANE);
        }
        // Sent once with a session, to know what it is that has to arrive.
        let expected = ["before", "after"].map(|when| {
            browser.open(&format!("{}{page}", newsroom.origin));
            if !text.is_empty() {
                browser.fill("textarea", text);
            }
            if page == "/upload" {
                let file = artifact("ä \"file\".bin");
                std::fs::write(&file, b"</script>\0\r\n--\xff\r\n").unwrap();
                browser.type_into("#one", &file.display().to_string());
            }
            if when == "after" {
                newsroom.sign_out(JANE);
                browser.click("button");
                assert_eq!(newsroom.posts().len(), 1);
                sign_in(&browser, JANE);
            } else {
                newsroom.forget();
                browser.click("button");
            }
            await_heading(&browser, "Thank you");
            newsroom.posts().pop().unwrap()
        });
        let [before, after] = expected;
        assert_eq!(newsroom.posts().len(), 2, "once");
        assert_eq!(after.target, before.target);
        assert_eq!(browser.url().as_str(), format!("{}{}", newsroom.origin, before.target));
        assert_eq!(without_boundary(&after.head, &after.body), without_boundary(&before.head, &before.body));
        assert_eq!(field(&after.head, "origin"), Some(newsroom.origin.as_str()), "not null: {}", after.head);
        browser.evaluate("window.history.back()");
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(newsroom.posts().len(), 2, "the way back sends nothing");
    }
}

#[test]
fn another_person_is_asked_and_a_button_does_without_scripts() {
    let newsroom = Newsroom::open("paused-asked", "", PAGES);
    let browser = Browser::start();
    let form = format!("{}/form", newsroom.origin);
    browser.open(&form);
    sign_in(&browser, JANE);
    newsroom.sign_out(JANE);
    browser.click("button");
    sign_in(&browser, "john@example.com");
    await_heading(&browser, "Shall this be sent?");
    assert!(browser.text("main").contains("john@example.com"));
    assert_eq!(newsroom.posts().len(), 0);
    browser.screenshot(&artifact("9-paused-asked.png"));
    let console = browser.console();
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    browser.switch_scripts_off();
    browser.press(".button");
    await_heading(&browser, "Thank you");
    assert_eq!(newsroom.posts().len(), 1);
    // The same without scripts from the beginning.
    newsroom.sign_out("john@example.com");
    browser.open(&form);
    browser.fill("#email", "john@example.com");
    browser.press("button");
    await_heading(&browser, "Write");
    newsroom.sign_out("john@example.com");
    browser.press("button");
    await_heading(&browser, "Who are you?");
    browser.fill("#email", "john@example.com");
    browser.press("button");
    await_heading(&browser, "One moment, your message is on its way");
    assert_eq!(newsroom.posts().len(), 1);
    browser.press(".button");
    await_heading(&browser, "Thank you");
    assert_eq!(newsroom.posts()[0].body, newsroom.posts()[1].body);
}

#[test]
fn what_a_script_sent_is_sent_on_the_way_back_to_its_page() {
    let newsroom = Newsroom::open("paused-script", "", PAGES);
    let browser = Browser::start();
    browser.open(&format!("{}/editor", newsroom.origin));
    sign_in(&browser, JANE);
    newsroom.sign_out(JANE);
    browser.click("button");
    sign_in(&browser, JANE);
    await_heading(&browser, "Editor");
    assert_eq!(browser.url().path(), "/editor");
    let posts = newsroom.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(String::from_utf8_lossy(&posts[0].body), "{\"a\":\"ü</script>\"}");
    assert_eq!(field(&posts[0].head, "content-type"), Some("application/json"));
}

#[test]
fn a_visitor_comes_back_to_the_very_place_on_a_page() {
    let newsroom = Newsroom::open("fragment", "keep_fragment = true", PAGES);
    let browser = Browser::start();
    let report = format!("{}/report?x=%20#section-2?a=[1]|ü", newsroom.origin);
    browser.open(&report);
    await_heading(&browser, "Who are you?");
    assert!(!browser.url().as_str().contains("section"), "{}", browser.url());
    let console = browser.console();
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    sign_in(&browser, JANE);
    let url = browser.url();
    assert_eq!((url.path(), url.query()), ("/report", Some("x=%20")));
    assert_eq!(url.fragment(), Some("section-2?a=%5B1%5D%7C%C3%BC"));
    assert_eq!(browser.evaluate("document.cookie"), "", "it is used once");

    // Without scripts everything but the fragment.
    newsroom.sign_out(JANE);
    browser.switch_scripts_off();
    browser.open(&report.replace("%20", "y"));
    await_heading(&browser, "Who are you?");
    browser.fill("#email", JANE);
    browser.press("button");
    await_heading(&browser, "Report");
    assert_eq!(browser.url().query(), Some("x=y"));
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// The body, in which each browser and each time has a boundary of its own.
fn without_boundary(head: &str, body: &[u8]) -> String {
    let content_type = field(head, "content-type").unwrap();
    let body: String = body.iter().copied().map(char::from).collect();
    match content_type.split_once("boundary=") {
        Some((_, boundary)) => body.replace(boundary, "BOUNDARY"),
        None => format!("{content_type}: {body}"),
    }
}
