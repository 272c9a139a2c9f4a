//! What passes between visitor and upstream: every byte of the bodies, as a stream, and every
//! header that is meant for the other end.

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::support::{
    Answer, Ask, ByHand, FakeUpstream, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, read_until, settle,
};

#[tokio::test]
async fn headers_for_the_other_end_pass_and_those_for_the_next_hop_do_not() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    upstream.answers(
        Answer::page("body")
            .with("X-Kept", "one")
            .with("X-Kept", "two")
            .with("ETag", "\"v1\"")
            .with("Content-Security-Policy", "default-src 'none'")
            .with("Location", "https://elsewhere.test/x")
            .with("Connection", "X-Secret-Of-The-Hop, keep-alive")
            .with("X-Secret-Of-The-Hop", "internal")
            .with("Keep-Alive", "timeout=5")
            .with("Proxy-Connection", "keep-alive"),
    );
    let ask = Ask::navigate("GET", &format!("{SITE}/public/a"))
        .with("Authorization", "Basic dXNlcjpwYXNz")
        .with("If-None-Match", "\"v1\", \"v2\"")
        .with("Range", "bytes=0-10")
        .with("Origin", "http://site.test")
        .and("X-Kept", "one")
        .and("X-Kept", "two")
        .and("X-Empty", "")
        .with("Connection", "X-Secret-Of-The-Hop, keep-alive, TE")
        .with("X-Secret-Of-The-Hop", "internal")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Connection", "keep-alive")
        .with("TE", "gzip")
        .with("Upgrade", "h2c");
    let answer = Visitor::at(&gateway).send(ask).await;
    let seen = upstream.last();
    for (name, value) in [
        ("authorization", "Basic dXNlcjpwYXNz"),
        ("if-none-match", "\"v1\", \"v2\""),
        ("range", "bytes=0-10"),
        ("origin", "http://site.test"),
        ("accept-language", "en-GB,en;q=0.7"),
        ("sec-fetch-mode", "navigate"),
        ("x-empty", ""),
    ] {
        assert_eq!(seen.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(seen.headers.all("x-kept"), ["one", "two"]);
    assert_eq!(answer.headers.all("x-kept"), ["one", "two"]);
    assert_eq!(answer.header("etag").as_deref(), Some("\"v1\""));
    assert_eq!(answer.header("content-security-policy").as_deref(), Some("default-src 'none'"));
    assert_eq!(answer.header("location").as_deref(), Some("https://elsewhere.test/x"));
    for headers in [&seen.headers, &answer.headers] {
        for name in ["x-secret-of-the-hop", "keep-alive", "proxy-connection", "te", "upgrade"] {
            assert!(headers.all(name).is_empty(), "{name} in {headers:?}");
        }
        assert!(!headers.lists("connection", "x-secret-of-the-hop"), "{headers:?}");
    }
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/public/a");
    upstream.answers(Answer::page("five!"));
    let answer = visitor.send(Ask::navigate("HEAD", &url)).await;
    assert_eq!((answer.status, answer.header("content-length").as_deref()), (200, Some("5")));
    assert_eq!(upstream.last().method, "HEAD");
    for status in [204, 304] {
        let headers = vec![("ETag".to_owned(), "\"v1\"".to_owned())];
        upstream.answers(Answer::Page { status, headers, body: Vec::new() });
        let answer = visitor.get(&url).await;
        assert_eq!((answer.status, answer.header("etag").as_deref()), (status, Some("\"v1\"")));
        assert!(answer.headers.all("transfer-encoding").is_empty(), "{status}: {answer:?}");
    }
    upstream.answers(Answer::page(""));
    assert_eq!(visitor.get(&url).await.body, b"", "and the connection still works");
}

#[tokio::test]
async fn a_body_arrives_whole_however_it_is_framed() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    let sized = "POST /public/a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 11\r\n\r\nhello world";
    let chunked = "POST /public/a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6;ext=1\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";
    for request in [sized, chunked] {
        assert_eq!(visitor.send_raw(request.as_bytes()).await.expect("an answer").status, 200, "{request:?}");
        let seen = upstream.last();
        assert_eq!(seen.body, b"hello world", "{request:?}");
        let framings = seen.headers.all("content-length").len() + seen.headers.all("transfer-encoding").len();
        assert_eq!(framings, 1, "{seen:?}");
    }
    for answer in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\n\r\nhello world",
        b"HTTP/1.0 200 OK\r\n\r\nhello world",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    ] {
        upstream.answers(Answer::Bytes(answer.to_vec()));
        let answer = visitor.send_raw(b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello world"), "{answer:?}");
    }
}

/// Whoever joins what stands behind a body to the head would take it for what had been looked at there.
#[tokio::test]
async fn what_may_stand_in_a_head_alone_does_not_come_behind_a_body() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\
                  Set-Cookie: tollgate=planted\r\nContent-Length: 5\r\nCache-Control: public\r\n\
                  X-Access-Required: gold\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n";
    upstream.answers(Answer::Bytes(answer.into()));
    let mut connection = Visitor::at(&gateway).connect().await;
    connection.send(b"GET /public/a HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n").await;
    let heard = String::from_utf8_lossy(&connection.rest().await).into_owned();
    assert!(heard.ends_with("2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"), "{heard}");
}

#[tokio::test]
async fn a_get_without_a_body_is_forwarded_without_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    Visitor::at(&gateway).get(&format!("{SITE}/public/a")).await;
    let seen = upstream.last();
    assert!(seen.headers.all("transfer-encoding").is_empty(), "{seen:?}");
    assert!(seen.headers.all("content-length").is_empty(), "{seen:?}");
}

#[tokio::test]
async fn the_upstream_gets_the_visitors_host_or_its_own() {
    let upstream = FakeUpstream::start().await;
    let own = upstream.address().to_string();
    for (preserve, host) in [("true", "site.test:8443"), ("false", own.as_str())] {
        let gateway = Plan::new(&upstream).site(|site| site.with("preserve_host", preserve)).start().await;
        Visitor::at(&gateway).get("http://site.test:8443/public/a").await;
        let seen = upstream.last();
        assert_eq!(seen.header("host").as_deref(), Some(host));
        let outside = seen.header("x-forwarded-host").expect("is told");
        assert!(outside.starts_with("site.test"), "{outside}");
    }
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..20 {
        visitor.get(&format!("{SITE}/public/a")).await;
    }
    let ids: std::collections::BTreeSet<_> =
        upstream.requests().iter().map(|request| request.header("x-request-id").expect("an id")).collect();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn connections_are_used_again_and_a_dead_one_is_replaced() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/public/a");
    for _ in 0..10 {
        assert_eq!(visitor.get(&url).await.status, 200);
    }
    assert_eq!(upstream.connections(), 1);
    // An answer after which the upstream hangs up without a word about it.
    upstream.answers(Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()));
    for round in 0..10 {
        let answer = visitor.get(&url).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "round {round}");
    }
}

#[tokio::test]
async fn an_answer_with_trailers_leaves_its_connection_for_others() {
    let upstream = ByHand::start().await;
    let gateway = Plan::of(SitePlan::new("intranet", "site.test", upstream.address())).start().await;
    let visitor = Visitor::at(&gateway);
    let asking = async || {
        let answer = visitor.send_raw(b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
        assert_eq!(answer.expect("an answer").text(), "ok");
    };
    let answering = async {
        let mut connection = upstream.accept().await;
        for _ in 0..3 {
            read_until(&mut connection, "\r\n\r\n").await;
            let answer =
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n";
            connection.write_all(answer.as_bytes()).await.expect("answers");
        }
    };
    let asking_thrice = async {
        for _ in 0..3 {
            asking().await;
        }
    };
    timeout(HANG, async { tokio::join!(answering, asking_thrice) }).await.expect("on one connection");
}

#[tokio::test]
async fn an_upstream_that_fails_is_a_502_and_one_that_recovers_is_used_again() {
    let dead = FakeUpstream::start().await;
    let nowhere = SitePlan::new("intranet", "site.test", dead.address());
    drop(dead);
    let upstream = FakeUpstream::start().await;
    let other = SitePlan::new("other", "other.test", upstream.address());
    let gateway = Plan::of(nowhere).and_site(other).start().await;
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.get(&format!("{SITE}/public/a")).await;
    assert_eq!(answer.status, 502, "nobody listens");
    for (what, bytes) in [
        ("hangs up at once", &b""[..]),
        ("speaks no HTTP", b"220 mail.example ESMTP\r\n"),
        ("breaks off in its head", b"HTTP/1.1 200 OK\r\nContent-Le"),
        ("has a broken status", b"HTTP/1.1 abc OK\r\n\r\n"),
        ("has two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ] {
        upstream.answers(Answer::Bytes(bytes.to_vec()));
        let answer = visitor.get("http://other.test/public/a").await;
        assert_eq!(answer.status, 502, "{what}: {answer:?}");
        assert!(!answer.text().contains(&upstream.address().to_string()), "{what}: {}", answer.text());
    }
    upstream.answers(Answer::page("back again"));
    let answer = visitor.get("http://other.test/public/a").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "back again"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_passed_off_as_whole() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        upstream.answers(Answer::Bytes(bytes.to_vec()));
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
        let answer = String::from_utf8_lossy(&connection.rest().await).into_owned();
        let whole = answer.ends_with("0\r\n\r\n") || answer.to_lowercase().contains("content-length: 5\r\n");
        assert!(!whole, "{answer:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_504() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("upstream_timeout", "\"200ms\"")).start().await;
    upstream.answers(Answer::Never);
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.get(&format!("{SITE}/public/a")).await;
    assert_eq!(answer.status, 504);
    upstream.answers(Answer::page("awake"));
    assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("max_body", "\"1KiB\"")).start().await;
    let visitor = Visitor::at(&gateway);
    let sized = |length: usize| {
        let body = "x".repeat(length);
        format!("POST /public/a HTTP/1.1\r\nHost: site.test\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let chunked = |length: usize| {
        let chunk = format!("100\r\n{}\r\n", "x".repeat(256)).repeat(length / 256);
        format!(
            "POST /public/a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
        )
    };
    for request in [sized(1024), chunked(1024)] {
        assert_eq!(visitor.send_raw(request.as_bytes()).await.expect("an answer").status, 200);
        assert_eq!(upstream.last().body.len(), 1024);
    }
    upstream.forget().await;
    for length in [1025, 2 * 1024 * 1024] {
        assert_eq!(
            visitor.send_raw(sized(length).as_bytes()).await.expect("an answer").status,
            413,
            "{length}"
        );
    }
    upstream.assert_untouched("a length that is too large").await;
    for length in [1280, 2 * 1024 * 1024] {
        assert_eq!(
            visitor.send_raw(chunked(length).as_bytes()).await.expect("an answer").status,
            413,
            "{length}"
        );
    }
    assert!(upstream.requests().is_empty(), "no whole request arrives");
    assert_eq!(visitor.send_raw(sized(1).as_bytes()).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn whoever_expects_a_100_gets_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut connection = Visitor::at(&gateway).connect().await;
    let head =
        "POST /public/a HTTP/1.1\r\nHost: site.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    connection.send(head.as_bytes()).await;
    settle().await;
    connection.send(b"hello").await;
    let answer = connection.receive("POST").await.expect("an answer");
    assert_eq!((answer.status, answer.interim.as_slice()), (200, &[100][..]));
    assert_eq!(upstream.last().body, b"hello");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_even_if_it_comes_all_at_once() {
    let upstream = FakeUpstream::start().await;
    let plan =
        Plan::new(&upstream).server("max_header_bytes", "\"8KiB\"").site(|site| site.route("/open", "off"));
    let gateway = plan.start().await;
    let mut visitor = Visitor::at(&gateway);
    let with = |bytes: usize| Ask::navigate("GET", &format!("{SITE}/open")).with("X-Big", &"x".repeat(bytes));
    assert_eq!(visitor.send(with(7_000)).await.status, 200);
    upstream.forget().await;
    for bytes in [8_192, 10_000, 15_000, 100_000] {
        let mut visitor = Visitor::at(&gateway);
        assert_eq!(visitor.send(with(bytes)).await.status, 431, "{bytes}");
    }
    upstream.assert_untouched("a head that is too long").await;
}
