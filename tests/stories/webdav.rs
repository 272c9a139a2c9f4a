//! Shares over WebDAV: every method passes, and where a request has two targets, both are judged.

use crate::support::http2::H2Upstream;
use crate::support::{Answer, Ask, FakeUpstream, Plan, SITE, SitePlan, TestGateway, Visitor};

/// A request of a program that keeps files.
fn dav(method: &str, path: &str) -> Ask {
    Ask::bare(method, &format!("{SITE}{path}")).with("Accept", "application/xml")
}

fn to(method: &str, path: &str, destination: &str) -> Ask {
    dav(method, path).with("Destination", destination)
}

#[tokio::test]
async fn all_methods_pass_with_what_belongs_to_them() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    let multistatus = Answer::Page {
        status: 207,
        headers: vec![("Content-Type".into(), "application/xml".into()), ("DAV".into(), "1, 2".into())],
        body: b"<multistatus xmlns=\"DAV:\"/>".to_vec(),
    };
    upstream.answers(multistatus);
    let body = "<propfind xmlns=\"DAV:\"><allprop/></propfind>";
    for method in [
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "LOCK",
        "UNLOCK",
        "REPORT",
        "SEARCH",
        "ACL",
        "MKCALENDAR",
        "BIND",
        "VERSION-CONTROL",
        "PUT",
        "DELETE",
        "OPTIONS",
    ] {
        let ask = dav(method, "/share/a%20b/")
            .with("Depth", "1")
            .with("If", "<http://site.test/share/> (<opaquelocktoken:1> [\"x\"]) (Not <DAV:no-lock>)")
            .with("Lock-Token", "<opaquelocktoken:1>")
            .with("Timeout", "Infinite, Second-4100000000")
            .with("Overwrite", "F")
            .body("application/xml", body);
        let answer = jane.send(ask).await;
        assert_eq!((answer.status, answer.header("dav").as_deref()), (207, Some("1, 2")), "{method}");
        let seen = upstream.last();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), (method, "/share/a%20b/"));
        assert_eq!(seen.body, body.as_bytes(), "{method}");
        for (name, value) in [("depth", "1"), ("overwrite", "F"), ("lock-token", "<opaquelocktoken:1>")] {
            assert_eq!(seen.header(name).as_deref(), Some(value), "{method}");
        }
        assert!(seen.header("if").is_some() && seen.header("timeout").is_some(), "{method}");
        assert_eq!(seen.header("x-forwarded-email").as_deref(), Some("jane@example.com"), "{method}");
    }
}

#[tokio::test]
async fn nobody_moves_anything_from_an_open_path_into_a_closed_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for destination in [
        "http://site.test/closed/x",
        "HTTP://SITE.test:80/closed/x",
        "/closed/x",
        "/",
        "http://site.test",
        "http://site.test?x",
        "http://site.test/%70ublic/x",
        "/public;x/y",
        "/publicity",
        "/public%20/x",
        "http://site.test//public/x",
    ] {
        // Whatever the method: some servers take another one from a header.
        for method in ["MOVE", "COPY", "POST", "PUT", "GET", "BIND", "PROPFIND"] {
            let ask = to(method, "/public/a", destination).with("X-HTTP-Method-Override", "MOVE");
            let answer = Visitor::at(&gateway).send(ask).await;
            assert_eq!(answer.status, 401, "{method} to {destination}");
            assert_eq!(answer.error_code(), "login_required", "{method} to {destination}");
        }
        let page = Ask::navigate("GET", &format!("{SITE}/public/a")).with("Destination", destination);
        assert_eq!(Visitor::at(&gateway).send(page).await.status, 302, "{destination}");
    }
    upstream.assert_untouched("strangers moved files").await;
    let open = to("MOVE", "/public/a", "http://site.test/public/b");
    assert_eq!(Visitor::at(&gateway).send(open).await.status, 200, "from open to open");
    assert_eq!(upstream.last().header("x-forwarded-email"), None);
}

#[tokio::test]
async fn a_method_in_small_letters_is_none_that_a_rule_could_miss() {
    let upstream = FakeUpstream::start().await;
    let closed = ["MOVE", "PURGE", "PROPPATCH", "VERSION-CONTROL"];
    let site = |site: SitePlan| site.route_for(&closed, "/public/", "required");
    let gateway = Plan::new(&upstream).site(site).start().await;
    for method in closed {
        let answer = Visitor::at(&gateway).send(dav(method, "/public/a")).await;
        assert_eq!(answer.status, 401, "{method}");
        // There are servers that write it in capitals.
        let (first, rest) = method.split_at(1);
        for method in [method.to_lowercase(), format!("{first}{}", rest.to_lowercase())] {
            let answer = Visitor::at(&gateway).send(dav(&method, "/public/a")).await;
            assert_eq!(answer.status, 405, "{method}");
        }
    }
    upstream.assert_untouched("a rule missed a method").await;
}

#[tokio::test]
async fn a_destination_that_can_be_read_in_two_ways_is_refused() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for (destination, status) in [
        ("http://site.test/public/../closed/x", 400),
        ("/public/%2e%2e/closed/x", 400),
        ("/public/..;/closed/x", 400),
        ("/public/..%2fclosed", 400),
        ("/public\\..\\closed", 400),
        ("/public/%5c", 400),
        ("/public/%00", 400),
        ("/public/%zz", 400),
        ("/public/a b", 400),
        ("/public/a#b", 400),
        ("//site.test/public/b", 400),
        ("public/b", 400),
        ("", 400),
        ("*", 400),
        ("http://jane@site.test/public/b", 400),
        ("http://site.test@elsewhere.test/public/b", 400),
        ("http://site.test\\@elsewhere.test/public/b", 400),
        ("http:///public/b", 400),
        ("http:/public/b", 400),
        ("/public/a,/closed/b", 200),
        // Elsewhere.
        ("http://elsewhere.test/public/b", 502),
        ("http://site.test.elsewhere.test/public/b", 502),
        ("http://site.test:8080/public/b", 502),
        ("https://site.test/public/b", 502),
        ("ftp://site.test/public/b", 502),
        // Where the gateway answers itself.
        ("/.tollgate/x", 502),
        ("/%2etollgate/redeem", 502),
        ("/api/session/get-token", 502),
    ] {
        upstream.forget().await;
        let answer = Visitor::at(&gateway).send(to("MOVE", "/public/a", destination)).await;
        assert_eq!(answer.status, status, "{destination:?}");
        if status != 200 {
            upstream.assert_untouched(destination).await;
        }
    }
    upstream.forget().await;
    for twice in [["/public/b", "/closed/b"], ["/closed/b", "/public/b"], ["/public/b", "/public/b"]] {
        let ask = dav("MOVE", "/public/a").and("Destination", twice[0]).and("DESTINATION", twice[1]);
        assert_eq!(Visitor::at(&gateway).send(ask).await.status, 400, "{twice:?}");
    }
    let trailer = "MOVE /public/a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   0\r\nDestination: /closed/b\r\n\r\n";
    let answer = Visitor::at(&gateway).send_raw(trailer.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 200);
    upstream.assert_never_saw("closed").await;
}

#[tokio::test]
async fn what_is_asked_at_both_ends_has_to_be_met() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| {
        site.route("/docs/", "optional")
            .route_requiring("/docs/board/", r#"{ groups = ["board"] }"#)
            .route_for(&["PUT", "DELETE"], "/read-only/", "required")
            .route("/read-only/", "off")
    });
    let gateway = plan.start().await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    for (ask, stranger, editor) in [
        (to("COPY", "/docs/a", "/docs/b"), 200, 200),
        (to("COPY", "/docs/a", "/closed"), 401, 200),
        (to("COPY", "/closed", "/docs/a"), 401, 200),
        (to("COPY", "/docs/a", "/docs/board/b"), 401, 403),
        (to("COPY", "/docs/board/b", "/docs/a"), 401, 403),
        // With a collection goes whatever lies in it.
        (to("COPY", "/docs/", "/public/b"), 401, 403),
        (to("MOVE", "/docs", "/public/b"), 401, 403),
        (to("COPY", "/public/a", "/docs/"), 401, 403),
        (to("COPY", "/", "/public/b"), 401, 403),
        // Who moves removes, and who copies writes, by whatever name the method goes.
        (to("COPY", "/read-only/a", "/public/b"), 200, 200),
        (to("MOVE", "/read-only/a", "/public/b"), 401, 200),
        (to("COPY", "/public/a", "/read-only/b"), 401, 200),
    ] {
        let before = upstream.count();
        let answer = Visitor::at(&gateway).send(ask.clone()).await;
        assert_eq!(answer.status, stranger, "a stranger: {ask:?}");
        let answer = jane.send(ask.clone()).await;
        assert_eq!(answer.status, editor, "jane: {ask:?}");
        let passed = [stranger, editor].iter().filter(|status| **status == 200).count();
        assert_eq!(upstream.count() - before, passed, "{ask:?}");
    }
    // The application learns who moves something into a closed part.
    assert_eq!(jane.send(to("MOVE", "/public/a", "/closed/b")).await.status, 200);
    assert_eq!(upstream.last().header("x-forwarded-email").as_deref(), Some("jane@example.com"));
}

#[tokio::test]
async fn the_application_reads_the_destination_under_its_own_name() {
    let upstream = FakeUpstream::start().await;
    let own = upstream.address();
    let dead = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let trusting = |plan: Plan| plan.server("trusted_proxies", "[\"127.0.0.0/8\"]");
    let keeps = trusting(Plan::new(&upstream)).start().await;
    let names = trusting(Plan::new(&upstream).site(|site| site.with("preserve_host", "false"))).start().await;
    // One of the two is not there, and whoever asks it first goes on to the other.
    let both = [format!("http://{dead}"), format!("http://{own}")];
    let several = Plan::new(&upstream).site(|site| site.with("preserve_host", "false").upstreams(&both));
    let several = trusting(several).start().await;
    for (said, path) in [
        ("http://site.test/public/b%20c;x//d?e=f", "/public/b%20c;x//d?e=f"),
        ("/public/%62", "/public/%62"),
        ("/public/b?sso=0123456789012345678901234567890123456789012&x", "/public/b?x"),
    ] {
        for (gateway, host, times) in [
            (&keeps, "site.test".to_owned(), 1),
            (&names, own.to_string(), 1),
            (&several, own.to_string(), 6),
        ] {
            for _ in 0..times {
                let answer = Visitor::at(gateway).send(to("MOVE", "/public/a", said)).await;
                assert_eq!(answer.status, 200, "{said}");
                let seen = upstream.last();
                assert_eq!(seen.header("host"), Some(host.clone()), "{said}");
                assert_eq!(seen.header("destination"), Some(format!("http://{host}{path}")), "{said}");
            }
        }
    }
    // Visitors speak TLS with somebody in front, the application does not.
    let secured =
        Ask::bare("COPY", "https://site.test/public/a").with("Destination", "https://site.test/public/b");
    assert_eq!(Visitor::at(&keeps).send(secured).await.status, 200);
    assert_eq!(upstream.last().header("destination").as_deref(), Some("http://site.test/public/b"));
    upstream.assert_never_saw("0123456789012345678901234567890123456789012").await;
}

#[tokio::test]
async fn an_upstream_in_http2_reads_it_as_well() {
    let upstream = H2Upstream::start(|mut stream| async move {
        let headers = stream.request.headers();
        let said: Vec<&str> =
            headers.get_all("destination").iter().map(|value| value.to_str().unwrap()).collect();
        let said = said.join(", ");
        stream.say(&said);
    })
    .await;
    let own = upstream.address;
    for (preserve, host) in [("true", "site.test".to_owned()), ("false", own.to_string())] {
        let site = SitePlan::new("intranet", "site.test", own).upstreams(&[format!("h2c://{own}")]);
        let gateway = Plan::of(site.with("preserve_host", preserve)).start().await;
        let answer = Visitor::at(&gateway).send(to("COPY", "/public/a", "/public/b")).await;
        assert_eq!((answer.status, answer.text()), (200, format!("http://{host}/public/b")));
    }
}
