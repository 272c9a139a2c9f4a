use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::entropy::SeededEntropy;
use crate::domain::host::Origin;
use crate::domain::opaque::LoginToken;
use crate::http::form::Form;

const FAILURES: [SignInFailure; 8] = [
    SignInFailure::Used,
    SignInFailure::Expired,
    SignInFailure::Unknown,
    SignInFailure::OtherBrowser,
    SignInFailure::Unbound,
    SignInFailure::TooMany,
    SignInFailure::TooManySessions,
    SignInFailure::Evicted,
];

const PROBLEMS: [Problem; 14] = [
    Problem::Malformed,
    Problem::AmbiguousPath,
    Problem::DoubledCookie,
    Problem::CrossSite,
    Problem::NotFound,
    Problem::MethodNotAllowed,
    Problem::BodyTooLarge,
    Problem::UnknownHost,
    Problem::UpstreamUnreachable,
    Problem::SessionsUnavailable,
    Problem::TooBusy,
    Problem::SessionEnded,
    Problem::UpstreamTooSlow,
    Problem::UpstreamUnclear,
];

const HOSTILE: &str = r#""><script>alert('&')</script><img src=//evil.example>"#;

fn token() -> BroughtToken {
    BroughtToken::Issued(LoginToken::mint(&SeededEntropy::new(1)))
}

fn return_to(target: &str) -> ReturnTo {
    ReturnTo::parse(target, &Origin::parse("https://site.example").unwrap(), &[])
}

/// Renders every page there is, each with `text` wherever a page takes text.
fn every_page(text: &str) -> Vec<(StatusCode, String)> {
    let (token, return_to) = (token(), return_to("/a?b=1&c=%22#d"));
    let mut pages: Vec<Page<'_>> = PROBLEMS.map(Page::Problem).to_vec();
    pages.extend(FAILURES.map(|reason| Page::SignInFailed { reason, retry_url: text }));
    pages.extend([0, 30, 600].map(|retry_after_secs| Page::SlowDown { retry_after_secs }));
    pages.extend([
        Page::ConfirmSignIn {
            action: text,
            token_field: text,
            token: &token,
            return_to: Some(&return_to),
            site: text,
        },
        Page::SignedOut { site: text, home_url: text, login_url: Some(text) },
        Page::SignedOut { site: text, home_url: text, login_url: None },
    ]);
    pages.iter().map(|page| (page.status(), page.render(Some(text)))).collect()
}

#[test]
fn each_page_stands_on_its_own() {
    for (status, html) in every_page("plain") {
        let count = |needle: &str| html.matches(needle).count();
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{html}");
        for once in ["<h1>", "<title>", "<main>", "<style>", "name=\"viewport\"", "name=\"color-scheme\""] {
            assert_eq!(count(once), 1, "{once} in {html}");
        }
        assert!(html.contains("Reference <code>plain</code>"), "{html}");
        assert_eq!(html.contains(&format!("Status {}", status.as_u16())), !status.is_success(), "{html}");
        for foreign in
            ["<script", "javascript:", "://", "url(", "@import", " src=", " style=", "<link", "\n\n"]
        {
            assert_eq!(count(foreign), 0, "{foreign:?} in {html}");
        }
        assert!(html.len() < 8 * 1024, "{} bytes", html.len());
    }
}

#[test]
fn hostile_text_stays_text() {
    for (_, html) in every_page(HOSTILE) {
        for markup in ["<script", "<img", "</script", "'&'", "&')", "=\"\"", ">\""] {
            assert!(!html.contains(markup), "{markup} in {html}");
        }
        assert!(html.contains("&#34;&#62;&#60;script&#62;"), "{html}");
    }
}

#[test]
fn a_page_without_a_reference_has_no_empty_one() {
    let page = Page::SignedOut { site: "intranet", home_url: "/", login_url: None };
    let html = page.render(None);
    assert!(!html.contains("Reference") && !html.contains("<footer"), "{html}");
}

#[test]
fn the_confirm_page_posts_what_it_was_given() {
    let (token, return_to) = (token(), return_to("/a?b=1&c=%22#d"));
    let page = Page::ConfirmSignIn {
        action: "/.tollgate/redeem",
        token_field: "sso",
        token: &token,
        return_to: Some(&return_to),
        site: "intranet",
    };
    let html = page.render(None);
    for part in [
        "<form class=\"way\" method=\"post\" action=\"/.tollgate/redeem\">".to_owned(),
        format!("<input type=\"hidden\" name=\"sso\" value=\"{}\">", token.expose()),
        "<input type=\"hidden\" name=\"return_url\" value=\"/a?b=1&#38;c=%22#d\">".to_owned(),
        ">Continue to intranet</button>".to_owned(),
        // Else the form would be nobody's, as the answer says `no-referrer`.
        "<meta name=\"referrer\" content=\"strict-origin\">".to_owned(),
    ] {
        assert!(html.contains(&part), "{part} in {html}");
    }
    assert!(!format!("{page:?}").contains(&token.expose()), "a token is never in Debug output");
}

#[test]
fn the_policy_allows_the_style_by_its_hash() {
    let page = Page::Problem(Problem::NotFound);
    let html = page.render(None);
    let style = html.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).unwrap().0;
    let hash = STANDARD.encode(Sha256::digest(style));
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    );
    assert_eq!(page.content_security_policy(), expected);
}

/// The two pages with a script, with `text` wherever they take text, and the script of each.
fn scripted(text: &str) -> [(Page<'_>, &'static str); 2] {
    let sign_in = Page::FramedSignIn { login_url: text, redeem_url: text, page_url: text, failed: true };
    let handover = Page::Handover { token_param: text, page_url: text };
    [(sign_in, policy::FRAME_SCRIPT), (handover, policy::HANDOVER_SCRIPT)]
}

#[test]
fn a_page_with_a_script_allows_this_one_and_puts_nothing_into_it() {
    for (page, script) in scripted(HOSTILE) {
        let html = page.render(None);
        let [before, rest] = &html.split("<script").collect::<Vec<_>>()[..] else { panic!("{html}") };
        let (inside, after) = rest.split_once("</script>").unwrap();
        assert_eq!(inside.split_once('>').unwrap().1, script);
        for outside in [before, &after] {
            for markup in ["<img", "'&'", "=\"\"", ">\""] {
                assert!(!outside.contains(markup), "{markup} in {html}");
            }
        }
        let hash = STANDARD.encode(Sha256::digest(script));
        let policy = page.content_security_policy();
        assert!(policy.ends_with(&format!("; script-src 'sha256-{hash}'")), "{policy}");
        for part in ["default-src 'none'; ", "frame-ancestors 'none'; ", "form-action 'none'; "] {
            assert!(policy.contains(part), "{policy}");
        }
    }
}

#[test]
fn a_page_for_strangers_is_no_success_wherever_it_is_shown() {
    let [(sign_in, _), (handover, _)] = scripted("plain");
    assert_eq!((sign_in.status(), handover.status()), (StatusCode::UNAUTHORIZED, StatusCode::OK));
}

#[test]
fn only_the_confirm_page_may_post() {
    let (token, return_to) = (token(), return_to("/"));
    let confirm = Page::ConfirmSignIn {
        action: "/",
        token_field: "sso",
        token: &token,
        return_to: Some(&return_to),
        site: "s",
    };
    assert!(!confirm.content_security_policy().contains("form-action"));
    for (_, html) in every_page("plain") {
        assert_eq!(html.contains("<form"), html.contains("Continue to"), "{html}");
    }
}

#[test]
fn a_failure_behind_the_gate_is_not_blamed_on_the_visitor() {
    for problem in PROBLEMS {
        let html = Page::Problem(problem).render(None);
        let ours_or_theirs = problem.status().is_server_error();
        assert_eq!(problem.failed_side().is_some(), ours_or_theirs, "{problem:?}");
        assert_eq!(html.contains("You did nothing wrong"), ours_or_theirs, "{problem:?}");
        assert_eq!(html.matches("class=\"failed\"").count(), usize::from(ours_or_theirs), "{problem:?}");
    }
}

#[test]
fn a_wait_is_told_as_people_tell_it() {
    for (seconds, words) in [
        (0, "a second"),
        (1, "a second"),
        (2, "2 seconds"),
        (90, "90 seconds"),
        (91, "2 minutes"),
        (600, "10 minutes"),
        (u64::MAX, "307445734561825861 minutes"),
    ] {
        assert_eq!(wait_in_words(seconds), words);
    }
}

/// The pages that have a script, each with `text` wherever it takes text.
fn pages_with_a_script(text: &str) -> Vec<(String, &'static str)> {
    let next = return_to("/a?b=1&c=%22");
    let fields = vec![
        Field::Text { name: text.to_owned(), value: text.to_owned() },
        Field::NoFile { name: text.to_owned() },
        Field::File {
            name: text.to_owned(),
            filename: text.to_owned(),
            content_type: text.to_owned(),
            content: HOSTILE.into(),
        },
    ];
    let form = Form { encoding: "multipart/form-data", charset: "UTF-8", fields };
    let paused = |what, by_itself| Page::Paused(PausedPage { what, by_itself, who: Some(text), next: &next });
    let body = base64(HOSTILE.as_bytes());
    let pages = [
        paused(What::Form { form: &form, action: &next }, true),
        paused(What::Form { form: &form, action: &next }, false),
        paused(What::Body { url: &next, content_type: text, body: &body }, true),
        Page::KeepFragment { login_url: text, cookie: text, tag: text, secure: true },
    ];
    pages.iter().map(|page| (page.render(None), page.content_security_policy())).collect()
}

#[test]
fn a_script_in_a_page_is_the_one_that_its_policy_allows_whatever_else_stands_there() {
    for (html, policy) in pages_with_a_script(HOSTILE) {
        let scripts: Vec<&str> = html.split("<script>").skip(1).collect();
        assert_eq!(
            (scripts.len(), html.matches("<script").count(), html.matches("<img").count()),
            (1, 1, 0),
            "{html}"
        );
        let script = scripts[0].split_once("</script>").unwrap().0;
        let hash = policy::hash_of(script);
        assert!(policy.contains(&format!("script-src '{hash}'")), "{policy}");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        assert!(html.contains("&#34;&#62;&#60;script&#62;"), "{html}");
        assert!(!html.contains("\n\n"), "{html}");
    }
}

#[test]
fn what_is_lost_needs_no_script_to_say_so() {
    let next = return_to("/a");
    let page = Page::Paused(PausedPage { what: What::Lost, by_itself: true, who: None, next: &next });
    let html = page.render(None);
    assert!(!html.contains("<script") && !html.contains("<form") && html.contains("href=\"/a\""), "{html}");
}

#[test]
fn the_documents_have_the_title_of_each_refusal_with_its_status() {
    let document = include_str!("../../docs/errors.md");
    let pages = PROBLEMS.map(Page::Problem).into_iter().chain([
        Page::Forbidden { who: None, takes: &[], switch_url: None },
        Page::SlowDown { retry_after_secs: 1 },
    ]);
    let failed = FAILURES.map(|reason| Page::SignInFailed { reason, retry_url: "/" });
    for page in pages.chain(failed) {
        let row = format!("| {} | {}", page.title(), page.status().as_u16());
        assert!(document.contains(&row), "{row}");
    }
}
