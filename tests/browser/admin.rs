//! The admin page in a real browser: clicked through, with the keyboard, on a phone, in the dark, without
//! scripts, and looked over by axe-core for what shuts people out.

use std::io::Read as _;

use super::backstage::{Backstage, KEY};
use super::webdriver::Browser;

fn sign_in(browser: &Browser, backstage: &Backstage) {
    browser.open(&backstage.page(""));
    browser.fill("#key", KEY);
    browser.click("main button");
    assert_eq!(browser.text("h1"), "Overview");
}

#[test]
fn an_operator_clicks_through_every_page_and_ends_a_session() {
    let backstage = Backstage::set();
    let cookies = backstage.live_through(30);
    let browser = Browser::start();
    browser.open(&backstage.page(""));
    browser.fill("#key", "not-the-key-of-anybody");
    browser.click("main button");
    assert_eq!(browser.text("[role=alert]").trim(), "There is no such key.");
    browser.fill("#key", KEY);
    browser.click("main button");
    assert!(browser.text(".concerns").contains("paper.pem, shown to visitors, runs out soon"));
    for (link, heading) in [
        ("24 hours", "Overview"),
        ("Sessions", "Sessions"),
        ("Users", "Users"),
        ("Test logins", "Test logins"),
        ("Sites", "Sites"),
        ("Upstreams", "Upstreams"),
        ("Certificates", "Certificates"),
        ("Events", "Events"),
    ] {
        browser.follow(link);
        assert_eq!(browser.text("h1"), heading);
    }

    // What happens shows by itself.
    backstage.try_wrong_key();
    browser.wait_until(
        "the event",
        "document.querySelector('#live tbody tr').textContent.includes('wrong key')",
    );
    browser.press(".live-switch button");
    assert_eq!(browser.text(".live-switch"), "Paused\nGo on");

    // A session is found by its person, and whatever runs on its strength is cut when it ends.
    let mut events = backstage.follow_events(&cookies[0]);
    browser.follow("Sessions");
    browser.fill("#q", "ada@example.com");
    browser.click(".search button");
    browser.follow("ada@example.com");
    assert!(browser.text("main").contains("Numbers & Co"));
    browser.follow("End this session");
    browser.click("main form button");
    assert_eq!(browser.text(".notice").trim(), "The session of ada@example.com has ended.");
    let _cut_is_an_end = events.read_to_end(&mut Vec::new());
    assert!(backstage.ask("intranet", "/", &cookies[0]).starts_with("HTTP/1.1 302"));

    // Another's role is changed, and all of their sessions end.
    browser.follow("Users");
    browser.follow("alan@example.com");
    browser.fill("#role-1", "admin");
    browser.click("form.line button");
    assert!(browser.text(".notice").contains("alan@example.com is admin on intranet"));
    browser.follow("Where the person is signed in");
    browser.follow("End all sessions of alan@example.com");
    browser.click("main form button");
    assert!(browser.text(".notice").contains("alan@example.com ha"));

    // A link is made, and a request explained.
    browser.follow("Test logins");
    browser.fill("#email", "new@example.com");
    browser.fill("#name", "New Person");
    browser.click("main form button");
    assert!(browser.text(".made").contains("is a user now"));
    browser.follow("Sites");
    browser.fill("#url", "https://intranet.example.com/payroll/admin/x");
    browser.click(".ask .button");
    assert!(browser.text(".outcome").contains("session is needed"));

    browser.click(".who button");
    assert_eq!(browser.text("h1"), "tollgate admin");
    let console = browser.console();
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}

#[test]
fn everything_can_be_done_without_scripts_and_with_the_keyboard_alone() {
    let backstage = Backstage::set();
    backstage.live_through(10);
    let browser = Browser::start();
    sign_in(&browser, &backstage);
    browser.type_keys("\u{e004}\u{e007}");
    assert_eq!(browser.evaluate("document.activeElement.id"), "main", "the first stop leads to the content");
    browser.switch_scripts_off();
    browser.open(&backstage.page("sessions?q=ada@example.com"));
    browser.press("tbody a");
    browser.press(".danger");
    browser.press("main form button");
    assert!(browser.text(".notice").contains("The session of ada@example.com has ended."));
    browser.open(&backstage.page("events"));
    assert!(browser.text("#live tbody").contains("session ended"));
}

#[test]
fn no_page_shuts_anybody_out() {
    let backstage = Backstage::set();
    backstage.live_through(60);
    backstage.refuse_settings();
    let browser = Browser::start();
    let mut faults = Vec::new();
    let mut look = |place: &str| {
        for (width, is_dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
            browser.appear(width, 900, is_dark);
            browser.open(&backstage.page(place));
            let seen = browser.accessibility_faults();
            faults.extend(
                seen.into_iter().map(|fault| format!("/admin/{place} at {width}, dark {is_dark}: {fault}")),
            );
            let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.evaluate(overflow), 0, "{place} at {width}");
        }
    };
    look("");
    browser.fill("#key", KEY);
    browser.click("main button");
    browser.open(&backstage.page("sessions?q=ada@example.com"));
    let session = browser.evaluate("document.querySelector('tbody a').getAttribute('href').slice(7)");
    let session = session.as_str().unwrap();
    for place in [
        "",
        "?over=day",
        "sessions",
        "sessions?q=ada@example.com",
        "sessions?q=nothing",
        "sessions/end?email=ada@example.com",
        session,
        "users",
        "users/1",
        "users/1/delete",
        "links",
        "sites?url=https://intranet.example.com/payroll/&as=ada@example.com",
        "upstreams",
        "events",
        "certificates",
        "nothing",
    ] {
        look(place);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Takes the pictures of the documents: `tests/screenshots` runs this.
#[test]
#[ignore = "it takes pictures, and makes sure of nothing"]
fn pictures() {
    let backstage = Backstage::set_for_pictures();
    backstage.live_through(930);
    let browser = Browser::start_with(&["--hide-scrollbars"], &serde_json::json!({}));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    let picture = |name: &str, place: &str, width: u64, height: u64, is_dark: bool| {
        browser.appear(width, height, is_dark);
        browser.open(&backstage.page(place));
        let file = folder.join(format!("admin-{name}.png"));
        if height == 0 { browser.whole_page(&file) } else { browser.screenshot(&file) }
    };
    picture("sign-in", "", 1000, 720, false);
    browser.fill("#key", KEY);
    browser.click("main button");
    browser.open(&backstage.page("sessions?q=grace.hopper@navy.example"));
    let session = browser.evaluate("document.querySelector('tbody a').getAttribute('href').slice(7)");
    picture("overview", "", 1160, 960, false);
    picture("overview-phone", "", 390, 844, true);
    picture("sessions", "sessions", 1160, 620, false);
    picture("session", session.as_str().unwrap(), 1160, 900, true);
    picture("user", "users/3", 1160, 800, false);
    let ask =
        "sites?url=https://intranet.example.com/payroll/admin/&as=ada@example.com&role=editor&groups=staff";
    picture("sites", ask, 1160, 1000, false);
    picture("events", "events", 1160, 660, true);
    picture("upstreams", "upstreams", 1160, 600, false);
    picture("certificates", "certificates", 1160, 500, false);
}
