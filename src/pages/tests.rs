use super::*;
use crate::domain::entropy::SeededEntropy;
use crate::domain::host::Origin;
use crate::domain::opaque::LoginToken;

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

const PROBLEMS: [Problem; 12] = [
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
    Problem::SessionEnded,
    Problem::UpstreamTooSlow,
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
    let hash = {
        use base64::Engine as _;
        use sha2::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style))
    };
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    );
    assert_eq!(page.content_security_policy(), expected);
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
