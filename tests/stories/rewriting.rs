//! Applications that speak of the address under which they know themselves: visitors stay on the
//! site, and nobody is led anywhere else than before.

use crate::support::{Answer, Ask, FakeUpstream, Plan, Response, SITE, TestGateway, Visitor};

/// Asks for a page that answers with these headers.
async fn answered(
    gateway: &TestGateway,
    upstream: &FakeUpstream,
    ask: Ask,
    headers: &[(&str, &str)],
) -> Response {
    let found = Answer::Page { status: 302, headers: Vec::new(), body: Vec::new() };
    upstream.answers(headers.iter().fold(found, |answer, (name, value)| answer.with(name, value)));
    let answer = Visitor::at(gateway).send(ask).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    answer
}

fn page() -> Ask {
    Ask::navigate("GET", &format!("{SITE}/public/a"))
}

#[tokio::test]
async fn visitors_stay_on_the_site_when_an_application_names_its_own_address() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let own = upstream.address();
    let shouted = format!("HTTP://{own}");
    for name in ["Location", "Content-Location"] {
        for (said, read) in [
            (format!("http://{own}/b?c=http://{own}/#d"), format!("{SITE}/b?c=http://{own}/#d")),
            (format!("{shouted}/b"), format!("{SITE}/b")),
            (format!("http://{own}"), format!("{SITE}/")),
            (format!("//{own}/b"), format!("{SITE}/b")),
            // A path that would be another host's if it stood alone.
            (format!("http://{own}//evil.test/b"), format!("{SITE}//evil.test/b")),
            ("/b".into(), "/b".into()),
            ("b?c".into(), "b?c".into()),
            (format!("{SITE}/b"), format!("{SITE}/b")),
            ("https://elsewhere.test/b".into(), "https://elsewhere.test/b".into()),
            (format!("https://{own}/b"), format!("https://{own}/b")),
            (format!("http://jane@{own}/b"), format!("http://jane@{own}/b")),
            (format!("http://{own}@elsewhere.test/"), format!("http://{own}@elsewhere.test/")),
            (format!("http://{own}\\@elsewhere.test/"), format!("http://{own}\\@elsewhere.test/")),
            (format!("http:{own}/b"), format!("http:{own}/b")),
            (format!("/login?next=http://{own}/"), format!("/login?next=http://{own}/")),
        ] {
            let answer = answered(&gateway, &upstream, page(), &[(name, &said)]).await;
            assert_eq!(answer.header(name), Some(read), "{name}: {said}");
        }
    }
    let refresh = format!("5; URL='http://{own}/b'; http://{own}/");
    let answer = answered(&gateway, &upstream, page(), &[("Refresh", &refresh)]).await;
    assert_eq!(answer.header("refresh"), Some(format!("5; URL='{SITE}/b'; http://{own}/")));
}

#[tokio::test]
async fn an_application_behind_tls_need_not_know_of_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("trusted_proxies", "[\"127.0.0.0/8\"]").start().await;
    let secured = || Ask::navigate("GET", "https://site.test/public/a");
    let plain = [("Location", "http://site.test/b")];
    let answer = answered(&gateway, &upstream, secured(), &plain).await;
    assert_eq!(answer.location(), "https://site.test/b");
    // Who came without TLS goes on without, and where TLS is meant it stays.
    assert_eq!(answered(&gateway, &upstream, page(), &plain).await.location(), "http://site.test/b");
    let secure = [("Location", "https://site.test/b")];
    assert_eq!(answered(&gateway, &upstream, page(), &secure).await.location(), "https://site.test/b");
}

#[tokio::test]
async fn a_site_with_another_public_address_hides_the_one_that_its_application_is_asked_under() {
    let upstream = FakeUpstream::start().await;
    let public = |site: crate::support::SitePlan| site.with("public_url", "\"https://www.example.com\"");
    let gateway = Plan::new(&upstream).site(public).start().await;
    let said = [("Location", "http://site.test/b"), ("Set-Cookie", "a=b; Domain=site.test; Path=/")];
    let answer = answered(&gateway, &upstream, page(), &said).await;
    assert_eq!(answer.location(), "https://www.example.com/b");
    assert_eq!(answer.header("set-cookie").as_deref(), Some("a=b; Path=/"));
}

#[tokio::test]
async fn cookies_for_the_applications_own_host_become_the_sites() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let cookies = [
        "a=1; Domain=127.0.0.1; Path=/x;HttpOnly ;; Max-Age=5",
        "b=2; domain=.127.0.0.1",
        "c=\"Domain=127.0.0.1\"; Domain=site.test",
        "d=4; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Domain=test",
        // Whatever becomes of its domain, the gateway's cookie is not for an upstream to set.
        "tollgate=forged; Domain=127.0.0.1",
        "=tollgate_state=forged; Domain=127.0.0.1; Path=/",
        "__Host-tollgate=forged; Path=/; Secure; Domain=127.0.0.1",
    ];
    let cookies = cookies.map(|cookie| ("Set-Cookie", cookie));
    let answer = answered(&gateway, &upstream, page(), &cookies).await;
    assert_eq!(
        answer.headers.all("set-cookie"),
        [
            "a=1; Path=/x;HttpOnly ;; Max-Age=5",
            "b=2",
            "c=\"Domain=127.0.0.1\"; Domain=site.test",
            "d=4; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Domain=test",
        ]
    );
}

#[tokio::test]
async fn an_operator_says_what_else_lies_where() {
    let upstream = FakeUpstream::start().await;
    let rewrite = r#"{
        location = { "http://old.test:8080/app/" = "/", "/inner/" = "/outer" },
        cookie_domain = { "old.test" = "", "intern.test" = "site.test" },
        cookie_path = { "/app" = "/" },
    }"#;
    let rewrite = rewrite.replace('\n', "");
    let gateway = Plan::new(&upstream).site(|site| site.with("rewrite", &rewrite)).start().await;
    for (said, read) in [
        ("http://old.test:8080/app/b?c", "http://site.test/b?c"),
        ("http://old.test:8080/app", "http://site.test/"),
        // Behind what is taken away there may stand what would lead elsewhere by itself.
        ("http://old.test:8080/app//evil.test/", "http://site.test//evil.test/"),
        ("/inner//evil.test/", "http://site.test/outer//evil.test/"),
        ("/inner/b", "http://site.test/outer/b"),
        ("http://old.test:8080/apply", "http://old.test:8080/apply"),
        ("http://old.test/app/b", "http://old.test/app/b"),
        ("/inner", "http://site.test/outer"),
        ("/innermost", "/innermost"),
    ] {
        let answer = answered(&gateway, &upstream, page(), &[("Location", said)]).await;
        assert_eq!(answer.location(), read, "{said}");
    }
    let cookies = [
        ("Set-Cookie", "a=1; Path=/app/x; Domain=OLD.test"),
        ("Set-Cookie", "b=2; Domain=intern.test; Path=/app"),
        ("Set-Cookie", "tollgate=forged; Path=/app"),
    ];
    let answer = answered(&gateway, &upstream, page(), &cookies).await;
    assert_eq!(answer.headers.all("set-cookie"), ["a=1; Path=/x", "b=2; Domain=site.test; Path=/"]);
}
