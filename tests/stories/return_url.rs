//! No `return_url`, host, forwarded header or token parameter makes the gateway send a browser
//! anywhere but to the site, its login page and its logout page.
//!
//! Each `Location` is read the way browsers read it (the WHATWG URL standard), relative to the
//! URL that was asked for.

use std::collections::BTreeSet;

use serde_json::json;
use url::Url;

use crate::support::{
    Ask, FakeUpstream, LOGIN_URL, LOGOUT_URL, Plan, Response, SITE, TestGateway, Visitor, encoded, parameter,
};

/// What stands between the gateway's own origin and a host, in the eyes of some URL parser.
const PREFIXES: &[&str] = &[
    "//",
    "///",
    "////",
    "/\\",
    "\\/",
    "\\\\",
    "/\\/",
    "//\\",
    "/%5c",
    "/%5C/",
    "%5c%5c",
    "/%2f",
    "%2f%2f",
    "%2F/",
    "/%09/",
    "/\t/",
    "\t//",
    "/\n/",
    "/\r\n/",
    "\n//",
    "/\0/",
    " //",
    "\u{a0}//",
    "\u{3000}//",
    "\u{feff}//",
    "/\u{2028}/",
    "\u{ff0f}\u{ff0f}",
    "/\u{2215}",
    "/./",
    "/.//",
    "/..//",
    "/x/..//",
    "/%2e//",
    "/%2e%2e//",
    ".//",
    "..//",
    "http:",
    "http:/",
    "http:\\",
    "http:\\\\",
    "http:///",
    "http://",
    "hTTp://",
    "http://\t",
    "ht\ntp://",
    "https:",
    "https:/",
    "https://",
    "hTTpS://",
    "https:\\\\",
    " https://",
    "\thttps://",
    "\u{1}https://",
    "ftp://",
    "ws://",
    "file://",
    "blob:https://",
    "view-source:https://",
    "intent://",
    "://",
    ":",
    "@",
    "?//",
    "#//",
    ";//",
];

/// Hosts that are not the site's, however much they look like it.
const HOSTS: &[&str] = &[
    "evil.test",
    "evil.test/..",
    "site.test@evil.test",
    "site.test:80@evil.test/",
    "site.test%40evil.test",
    "site.test.evil.test",
    "site.testevil.test",
    "evil.test#site.test",
    "evil.test?site.test",
    "evil.test\\@site.test",
    "evil.test%00site.test",
    "EVIL.test:80",
    "evil\u{3002}test",
    "\u{24d4}vil.test",
    "site.test\u{ff0f}evil.test",
    "[::1]",
    "2130706433",
    "0x7f.1",
];

/// What does not fit into that grid.
const OTHERS: &[&str] = &[
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "java\tscript:alert(1)",
    "\u{1}javascript:alert(1)",
    " javascript:alert(1)",
    "javascript://site.test/%0aalert(1)",
    "javascript:%61lert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "vbscript:msgbox(1)",
    "about:blank",
    "mailto:a@evil.test",
    "tel:+1",
    "file:///etc/passwd",
    "http://site.test:81/",
    "http://site.test:8080/",
    "http://site.test:0/",
    "http://site.test:99999/",
    "http://site.test:80:80/",
    "http://site.test:80@evil.test/",
    "http://user:pass@site.test/",
    "http://user@site.test/",
    "http://@site.test/",
    "http://:@site.test/",
    "http://site.test./",
    "http://.site.test/",
    "http://site.test../",
    "http://sub.site.test/",
    "http://site.test%2eevil.test/",
    "http://site.test%2f@evil.test/",
    "http://site.test%23@evil.test/",
    "http://site.test\r\n.evil.test/",
    "http://site.test\u{2024}evil.test/",
    "http://s\u{131}te.test/",
    "http://\u{455}ite.test/",
    "http://xn--ite-9cd.test/",
    "http://site\u{ad}.test.evil.test/",
    "https://site.test/",
    "https://login.test/",
    "https://login.test.evil.test/signin",
    "https://evil.test/signin?https://login.test/signin",
    "http:site.test",
    "http:/site.test",
    "site.test",
    "evil.test",
    "evil",
    ".",
    "..",
    "",
    "%",
    "%zz",
    "%2",
    "/%",
    "/%zz",
    "/../x",
    "/a/../../x",
    "/a/%2e%2e/x",
    "/a/..;/x",
    "/a\\b",
    "/a%5cb",
    "/a\r\nLocation: https://evil.test/",
    "/a%0d%0aLocation:%20https://evil.test/",
    "/a\r\n\r\n<script>alert(1)</script>",
    "/a\nSet-Cookie: tollgate=x",
    "/a\u{85}Location: https://evil.test/",
    "/a\u{560d}\u{560a}Set-Cookie:x",
    "/a\0b",
    "/a\u{7f}b",
    "/\u{202e}tset.live//",
    "https://evil.test\u{2028}http://site.test/",
    "http://site.test/\\evil.test",
    "http://site.test//evil.test",
    "http://site.test/..//evil.test",
    "http://site.test\\evil.test",
    "http://site.test\\@evil.test",
    "//site.test@evil.test/\\..",
    "//google%E3%80%82com",
    "/.tollgate/logout?return_url=//evil.test",
    "/.tollgate/login?return_url=https%3A%2F%2Fevil.test",
    "[::1]",
    "http://[::1]/",
    "http://[::1/",
    "http://[site.test]/",
    "http://127.0.0.1/",
    "http://0/",
    "http://",
    "http:///",
    "http:?",
    "//",
    "///",
    "/\\",
    "\\",
    "/@evil.test",
    "/:80",
    "?return_url=//evil.test",
    "#",
    "<>\"'`{}|^",
];

fn hostile() -> BTreeSet<String> {
    let grid = PREFIXES.iter().flat_map(|prefix| HOSTS.iter().map(move |host| format!("{prefix}{host}")));
    let mut forms: BTreeSet<String> = grid.chain(OTHERS.iter().map(|&form| form.to_owned())).collect();
    let long = format!("/{}", "a".repeat(9_000));
    forms.insert(long);
    forms.insert(format!("{}evil.test", "/".repeat(500)));
    forms
}

/// Fails if `answer` to a request for `asked` sends a browser off: returns where it leads.
fn harmless(what: &str, asked: &str, answer: &Response) -> Option<Url> {
    assert!(answer.status < 500, "{what}: {answer:?}");
    assert!(
        answer.headers.all("set-cookie").iter().all(|cookie| !cookie.contains("evil.")),
        "{what}: {answer:?}"
    );
    let refresh = answer.header("refresh").map(|refresh| refresh.replacen("0; url=", "", 1));
    let location = answer.header("location").or(refresh)?;
    assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{what}: {location:?}");
    let asked = Url::parse(asked).expect("the URL that was asked for");
    let target = asked.join(&location).unwrap_or_else(|fault| panic!("{what}: {location:?}: {fault}"));
    let page = format!("{}{}", target.origin().ascii_serialization(), target.path());
    let allowed = target.origin() == asked.origin() || page == LOGIN_URL || page == LOGOUT_URL;
    let plain = target.username().is_empty() && target.password().is_none();
    assert!(allowed && plain, "{what}: off to {target}");
    if page == LOGIN_URL {
        let back = parameter(target.as_str(), "return_url");
        let back = asked.join(&back).unwrap_or_else(|fault| panic!("{what}: {back:?}: {fault}"));
        assert_eq!(back.origin(), asked.origin(), "{what}: the login page is told {back}");
    }
    Some(target)
}

#[test]
fn there_are_enough_hostile_forms() {
    assert!(hostile().len() >= 300, "{}", hostile().len());
}

#[tokio::test]
async fn no_return_url_in_a_query_leads_off_the_site() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for form in hostile() {
        // As it is, where a request line can carry it; encoded once; encoded twice.
        let plain = form.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let spellings = [plain.then(|| form.clone()), Some(encoded(&form)), Some(encoded(&encoded(&form)))];
        for spelling in spellings.into_iter().flatten() {
            for path in ["/.tollgate/login", "/.tollgate/logout", "/.tollgate/redeem"] {
                let url = format!("{SITE}{path}?return_url={spelling}");
                let answer = Visitor::at(&gateway).get(&url).await;
                let target = harmless(&url, &url, &answer);
                // Some signs may be refused as they are; what is encoded gets an answer.
                let refused = spelling == form && answer.status == 400;
                assert!(target.is_some() || refused || path == "/.tollgate/redeem", "{url}: {answer:?}");
            }
        }
    }
    upstream.assert_untouched("return_url").await;
}

#[tokio::test]
async fn no_return_url_leads_a_member_off_the_site() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut member = Visitor::at(&gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    for form in hostile() {
        let url = format!("{SITE}/.tollgate/login?return_url={}", encoded(&form));
        harmless(&url, &url, &member.get(&url).await);
    }
    for (number, form) in OTHERS.iter().enumerate() {
        let mut member = Visitor::at(&gateway);
        member.sign_in(&gateway.login_page(), &format!("member-{number}@example.com")).await;
        let url = format!("{SITE}/.tollgate/logout?return_url={}", encoded(form));
        harmless(&url, &url, &member.get(&url).await);
        let mut member = Visitor::at(&gateway);
        member.sign_in(&gateway.login_page(), &format!("member-{number}@example.com")).await;
        let ask = Ask::navigate("POST", &format!("{SITE}/.tollgate/logout")).form(&[("return_url", form)]);
        harmless(form, SITE, &member.send(ask.with("Origin", SITE)).await);
    }
    upstream.assert_untouched("return_url").await;
}

#[tokio::test]
async fn no_return_url_of_a_token_leads_off_the_site() {
    let upstream = FakeUpstream::start().await;
    for same_site in ["lax", "strict"] {
        let plan = Plan::new(&upstream).site(|site| {
            site.with("public_url", &format!("{SITE:?}")).cookie("same_site", &format!("{same_site:?}"))
        });
        redeem_all_forms(&plan.start().await, if same_site == "lax" { 302 } else { 200 }).await;
    }
    upstream.assert_untouched("return_url").await;
}

async fn redeem_all_forms(gateway: &TestGateway, expected: u16) {
    let mut redeemed = 0;
    for form in hostile() {
        let person = json!({
            "email": "jane@example.com", "full_name": "Jane Doe", "site": "intranet", "return_url": form,
        });
        let issued = gateway.api().post("/v1/sso_tokens", &person).await;
        if issued.status != 201 {
            assert_eq!((issued.status, issued.error_code().as_str()), (422, "parameter_invalid"), "{form:?}");
            continue;
        }
        let url = issued.json()["redeem_url"].as_str().expect("a URL").to_owned();
        assert_eq!(
            Url::parse(&url).expect("a URL").origin(),
            Url::parse(SITE).expect("a URL").origin(),
            "{form:?}"
        );
        let from_login_page = Ask::navigate("GET", &url).with("Sec-Fetch-Site", "cross-site");
        let answer = Visitor::at(gateway).send(from_login_page).await;
        assert_eq!(answer.status, expected, "{form:?}: {answer:?}");
        let target = harmless(&form, &url, &answer);
        assert!(target.is_some(), "{form:?}: {answer:?}");
        redeemed += 1;
    }
    assert!(redeemed >= 100, "{redeemed} tokens were issued at all");
}

#[tokio::test]
async fn no_return_url_of_the_session_api_leads_off_the_site() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for form in hostile() {
        let fields = [("return_url", form.as_str()), ("format", "json"), ("raw", "1")];
        let answer = gateway.api().form("/api/session/get-token", &fields).await.json();
        if answer["status"] != "ok" {
            continue;
        }
        let token = answer["sessiontoken"]["access_token"].as_str().expect("a token").to_owned();
        let own = encoded(&form);
        let url =
            format!("{SITE}/api/session/redeem-token?session_token={token}&return_url={own}&redirect={own}");
        let answer = Visitor::at(&gateway).get(&url).await;
        assert_eq!(answer.status, 302, "{form:?}: {answer:?}");
        harmless(&form, &url, &answer);
    }
    upstream.assert_untouched("return_url").await;
}

#[tokio::test]
async fn no_path_before_a_token_leads_off_the_site() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let login_page = gateway.login_page();
    let visitor = Visitor::at(&gateway);
    for form in hostile() {
        // What a request line can carry, with spaces and controls encoded as a browser would.
        let sendable: String = form
            .chars()
            .map(|c| if c.is_ascii_graphic() { c.to_string() } else { encoded(&c.to_string()) })
            .collect();
        let path = if sendable.starts_with('/') { sendable } else { format!("/{sendable}") };
        if path.len() > 8_000 {
            continue;
        }
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let token = login_page.token_for("jane@example.com").await;
        for query in [format!("sso={token}"), "sso=junk".to_owned(), "x=1".to_owned()] {
            let request = format!("GET {path}?{query} HTTP/1.1\r\nHost: site.test\r\n\r\n");
            let answer = visitor.send_raw(request.as_bytes()).await.expect("an answer");
            harmless(&request, &format!("{SITE}{path}?{query}"), &answer);
        }
    }
    for form in OTHERS {
        let url = format!("{SITE}/closed?sso={}", encoded(form));
        harmless(&url, &url, &Visitor::at(&gateway).get(&url).await);
    }
    upstream.assert_untouched("paths that look like URLs").await;
}

#[tokio::test]
async fn no_host_and_no_forwarded_header_names_where_a_visitor_goes() {
    let upstream = FakeUpstream::start().await;
    for trusted in ["[]", "[\"127.0.0.1/32\"]"] {
        let gateway = Plan::new(&upstream).server("trusted_proxies", trusted).start().await;
        let visitor = Visitor::at(&gateway);
        for host in HOSTS.iter().copied().chain([
            "site.test:81",
            "site.test:0",
            "site.test:99999",
            "site.test:x",
            "site.test.",
            "site.test ",
            "site.test\t.evil.test",
            "site.test,evil.test",
            "site.test evil.test",
            "site.test/../evil.test",
            "site.test\\evil.test",
            "login.test",
            "*",
            "*.test",
        ]) {
            let paths =
                ["/closed", "/closed?sso=junk", "/.tollgate/login?return_url=/a", "/.tollgate/logout"];
            for path in paths {
                for field in [
                    format!("Host: {host}"),
                    format!("Host: site.test\r\nX-Forwarded-Host: {host}"),
                    format!("Host: site.test\r\nX-Forwarded-Host: site.test, {host}"),
                    format!("Host: site.test\r\nX-Forwarded-Host: {host}, site.test"),
                    format!("Host: site.test\r\nForwarded: host=\"{host}\";proto=https"),
                    format!("Host: site.test\r\nX-Forwarded-Proto: javascript\r\nX-Forwarded-Port: {host}"),
                    format!("Host: site.test\r\nX-Forwarded-Server: {host}\r\nX-Host: {host}"),
                    format!("Host: site.test\r\nX-Original-Host: {host}\r\nX-Original-URL: http://{host}/"),
                    format!("Host: site.test\r\nOrigin: http://{host}\r\nReferer: http://{host}/"),
                ] {
                    let request = format!("GET {path} HTTP/1.1\r\n{field}\r\n\r\n");
                    if let Some(answer) = visitor.send_raw(request.as_bytes()).await {
                        stays_among_our_hosts(&request, &answer);
                    }
                }
                let absolute = format!("GET http://{host}{path} HTTP/1.1\r\nHost: site.test\r\n\r\n");
                if let Some(answer) = visitor.send_raw(absolute.as_bytes()).await {
                    stays_among_our_hosts(&absolute, &answer);
                }
            }
        }
    }
    upstream.assert_untouched("hostile hosts").await;
}

/// A port is the visitor's to choose, as the site has no `public_url`; a host is not.
fn stays_among_our_hosts(request: &str, answer: &Response) {
    assert!(answer.status < 500, "{request:?}: {answer:?}");
    let Some(location) = answer.header("location") else { return };
    let target = Url::parse(SITE).expect("a URL").join(&location).expect("a Location");
    let ours = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        matches!(url.scheme(), "http" | "https") && matches!(host, "site.test" | "login.test")
    };
    assert!(ours(&target), "{request:?}: off to {target}");
    for (name, value) in target.query_pairs() {
        if name == "return_url" {
            let back = Url::parse(SITE).expect("a URL").join(&value).expect("a return_url");
            assert!(
                ours(&back) && back.host_str() == Some("site.test"),
                "{request:?}: the login page is told {back}"
            );
        }
    }
}
