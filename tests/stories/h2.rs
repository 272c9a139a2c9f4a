//! Visitors who speak HTTP/2: they meet what others meet, and the upstream cannot tell them apart.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tokio::time::timeout;

use crate::support::h2::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Honest, Outcome, PREFACE, Raw, block, frame, get, post,
};
use crate::support::{
    Answer, Authority, Connection, FakeUpstream, HANG, Plan, SITE, TestGateway, Visitor, settle,
};

/// A gateway whose plain listener speaks HTTP/2 to those who begin with it.
async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    Plan::new(upstream).server("h2c", "true").start().await
}

/// RFC 9113 §7.
const PROTOCOL_ERROR: Outcome = Outcome::Reset(1);

#[tokio::test]
async fn over_tls_it_is_agreed_on() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream).certificate(authority.issue("site", &["site.test"])).start().await;
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1", "h2"], "h2"), (&["http/1.1"], "http/1.1")]
    {
        let client = authority.client().offering(offered);
        let stream = client.shake(&gateway, "site.test").await.expect("agrees");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed.as_bytes()), "{offered:?}");
    }
    let stream = authority.client().offering(&["h2"]).shake(&gateway, "site.test").await.expect("agrees");
    let visitor = Honest::on(stream).await;
    let answer = visitor.get("https://site.test/public/a?b=c").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello from upstream"));
    let received = upstream.last();
    assert_eq!(received.target, "/public/a?b=c");
    assert_eq!(received.header("host").as_deref(), Some("site.test"));
    assert_eq!(received.header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(visitor.get("https://elsewhere.test/public/a").await.status, 421);
}

#[tokio::test]
async fn a_session_is_a_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let visitor = Honest::plainly(gateway.http).await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let answer = visitor.get(&format!("{SITE}/closed?sso={token}&x=1")).await;
    assert_eq!((answer.status, answer.location().as_str()), (302, "/closed?x=1"));
    let cookies = answer.headers.all("set-cookie");
    let cookie = cookies.iter().find_map(|cookie| cookie.split(';').next()).expect("a cookie");

    // As browsers send them over HTTP/2: in crumbs.
    let request = http::Request::get(format!("{SITE}/closed"))
        .header("cookie", "a=b")
        .header("cookie", cookie)
        .header("cookie", "c=d")
        .header("x-forwarded-user", "admin@example.com");
    let answer = visitor.send(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status, 200);
    let received = upstream.last();
    assert_eq!(received.header("x-forwarded-user").as_deref(), Some("jane@example.com"));
    assert_eq!(received.header("cookie").as_deref(), Some("a=b; c=d"));
    assert!(received.headers.0.iter().all(|(name, _)| !name.starts_with(':')), "{:?}", received.headers);

    // No cache may show it to others, nor keep what it was told without a body.
    for method in [http::Method::GET, http::Method::HEAD] {
        let request = http::Request::builder().method(method.clone()).uri(format!("{SITE}/closed"));
        let request = request.header("cookie", cookie).body(Full::default()).unwrap();
        let answer = visitor.send(request).await.unwrap();
        assert_eq!(answer.headers.all("cache-control"), ["private, no-cache"], "{method}");
        assert_eq!(answer.headers.all("vary"), ["Cookie"], "{method}");
    }

    let stranger = visitor.get(&format!("{SITE}/closed")).await;
    assert_eq!(stranger.status, 302);
}

#[tokio::test]
async fn bodies_pass_both_ways() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let visitor = Honest::plainly(gateway.http).await;
    let long: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    upstream.answers(Answer::Page { status: 200, headers: Vec::new(), body: long.clone() });
    let request = http::Request::post(format!("{SITE}/public/a"));
    let answer = visitor.send(request.body(Full::new(Bytes::from(long.clone()))).unwrap()).await.unwrap();
    assert!(answer.body == long, "{} bytes came back", answer.body.len());
    assert!(upstream.last().body == long, "{} bytes arrived", upstream.last().body.len());

    // A HEAD is told all about a body, and gets none, from the site and from the gateway.
    for path in ["/public/a", "/.tollgate/nowhere"] {
        let ask = |method| http::Request::builder().method(method).uri(format!("{SITE}{path}"));
        let got = visitor.send(ask("GET").body(Full::default()).unwrap()).await.unwrap();
        let answer = visitor.send(ask("HEAD").body(Full::default()).unwrap()).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (got.status, 0), "{path}");
        assert_eq!(answer.header("content-length"), Some(got.body.len().to_string()), "{path}");
    }
    assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.body.len(), long.len());
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_is_sent() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream)
        .server("h2c", "true")
        .site(|site| site.with("max_body", "\"10KB\""))
        .start()
        .await;
    let visitor = Honest::plainly(gateway.http).await;
    for (path, status) in [("/closed", 303), ("/public/a", 413)] {
        let body = Full::new(Bytes::from(vec![b'x'; 5_000_000]));
        let request = http::Request::post(format!("{SITE}{path}")).body(body).unwrap();
        assert_eq!(visitor.send(request).await.map(|answer| answer.status), Some(status), "{path}");
    }
    assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.status, 200);
}

#[tokio::test]
async fn without_tls_it_has_to_be_asked_for() {
    let upstream = FakeUpstream::start().await;
    let plain = TestGateway::before(&upstream).await;
    let mut connection = Visitor::at(&plain).connect().await;
    connection.send(PREFACE).await;
    let answer = String::from_utf8_lossy(&connection.rest().await).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 505"),
        "{answer}"
    );
    upstream.assert_untouched("the preface is no request").await;
}

#[tokio::test]
async fn whoever_speaks_http_1_where_both_are_spoken_is_understood() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    // Up to the first byte that is another, the two may be alike.
    for request in [
        "GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "PUT /public/a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1\r\n\r\nx",
        "PRI /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "P /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n",
    ] {
        for pieces in [1, 2, 3, 1000] {
            let mut connection = Visitor::at(&gateway).connect().await;
            for piece in request.as_bytes().chunks(pieces) {
                connection.send(piece).await;
                tokio::task::yield_now().await;
            }
            let method = request.split(' ').next().unwrap();
            assert_eq!(connection.receive(method).await.unwrap().status, 200, "{request:?} {pieces}");
            assert_eq!(upstream.last().method, method);
        }
    }
    // The preface may come in pieces, too.
    let mut connection = Visitor::at(&gateway).connect().await;
    for byte in PREFACE {
        connection.send(&[*byte]).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    connection.send(&frame(4, 0, 0, &[])).await;
    connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/public/in-pieces"))).await;
    timeout(HANG, async {
        while upstream.last().target != "/public/in-pieces" {
            settle().await;
        }
    })
    .await
    .expect("the request arrives");
}

#[tokio::test]
async fn what_is_begun_and_not_gone_on_with_is_ended() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream)
        .server("h2c", "true")
        .server("header_timeout", "\"300ms\"")
        .server("keep_alive_timeout", "\"700ms\"")
        .start()
        .await;
    let mut ends = Vec::new();
    let half_a_head = frame(HEADERS, END_STREAM, 1, &get("/public/a"));
    let last = frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/public/a"));
    for beginning in [
        b"".to_vec(),
        b"PRI".to_vec(),
        PREFACE.to_vec(),
        [PREFACE, &[0, 0, 0, 4]].concat(),
        [PREFACE, &frame(4, 0, 0, &[]), &half_a_head].concat(),
        [PREFACE, &frame(4, 0, 0, &[]), &last[..last.len() - 1]].concat(),
        [PREFACE, &frame(4, 0, 0, &[])].concat(),
    ] {
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(&beginning).await;
        ends.push(async move { connection.rest().await });
    }
    for end in ends {
        end.await;
    }
    // Whoever has been served and is silent is told to go, and gone.
    let mut raw = Raw::begin(gateway.http).await;
    let stream = raw.ask(&get("/public/a")).await;
    assert_eq!(raw.outcome(stream).await, Outcome::Status(200));
    let mut is_told = false;
    while let Some(frame) = raw.receive().await {
        is_told |= frame.kind == GOAWAY;
    }
    assert!(is_told);
}

/// Heads that are none: what they would say stays on this side.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    type Fields<'a> = &'a [(&'a [u8], &'a [u8])];
    const METHOD: (&[u8], &[u8]) = (b":method", b"GET");
    const SCHEME: (&[u8], &[u8]) = (b":scheme", b"http");
    const HOST: (&[u8], &[u8]) = (b":authority", b"site.test");
    const PATH: (&[u8], &[u8]) = (b":path", b"/public/a");
    let with = |fields: Fields<'_>| block(&[&[METHOD, SCHEME, HOST, PATH], fields].concat());
    let path = |path: &[u8]| block(&[METHOD, SCHEME, HOST, (b":path", path)]);
    let host = |host: &[u8]| block(&[METHOD, SCHEME, (b":authority", host), PATH]);
    let method = |method: &[u8]| block(&[(b":method", method), SCHEME, HOST, PATH]);
    let scheme = |scheme: &[u8]| block(&[METHOD, (b":scheme", scheme), HOST, PATH]);
    vec![
        ("no method", block(&[SCHEME, HOST, PATH])),
        ("no scheme", block(&[METHOD, HOST, PATH])),
        ("no path", block(&[METHOD, SCHEME, HOST])),
        ("no host", block(&[METHOD, SCHEME, PATH])),
        ("two methods", block(&[METHOD, METHOD, SCHEME, HOST, PATH])),
        ("two paths", block(&[METHOD, SCHEME, HOST, PATH, PATH])),
        ("two authorities", block(&[METHOD, SCHEME, HOST, HOST, PATH])),
        ("a status", with(&[(b":status", b"200")])),
        ("an unknown pseudo-field", with(&[(b":x", b"y")])),
        ("a pseudo-field behind fields", block(&[METHOD, SCHEME, HOST, (b"a", b"b"), PATH])),
        ("a protocol", with(&[(b":protocol", b"websocket")])),
        ("another host", with(&[(b"host", b"other.test")])),
        ("another port", with(&[(b"host", b"site.test:81")])),
        ("two hosts", with(&[(b"host", b"site.test"), (b"host", b"site.test")])),
        ("a host that is none", block(&[METHOD, SCHEME, PATH, (b"host", b"a b")])),
        ("credentials", host(b"jane@site.test")),
        ("a host with a path", host(b"site.test/a")),
        ("a host with a space", host(b"site.test a")),
        ("a host with a line", host(b"site.test\r\nx: y")),
        ("an empty host", host(b"")),
        ("an empty path", path(b"")),
        ("a path without a slash", path(b"public/a")),
        ("a query without a path", path(b"?a")),
        ("a path that is a URL", path(b"http://site.test/public/a")),
        ("a star", path(b"*")),
        ("a space in the path", path(b"/public/a b")),
        ("a line in the path", path(b"/public/a HTTP/1.1\r\nx: y\r\n\r\n")),
        ("a line feed in the path", path(b"/public/a\nb")),
        ("a return in the path", path(b"/public/a\rb")),
        ("NUL in the path", path(b"/public/\0a")),
        ("a tab in the path", path(b"/public/\ta")),
        ("DEL in the path", path(b"/public/\x7fa")),
        ("a space in the query", path(b"/public/a?b c")),
        ("a line in the query", path(b"/public/a?b\r\nc")),
        ("a path that is not ASCII", path(b"/public/\xc3\xbc")),
        ("a query that is not ASCII", path(b"/public/a?\xc3\xbc")),
        ("dots in the path", path(b"/public/../closed")),
        ("a space in the method", method(b"GET /")),
        ("a line in the method", method(b"GET\r\n")),
        ("a small method", method(b"get")),
        ("an empty method", method(b"")),
        ("a tunnel", block(&[(b":method", b"CONNECT"), HOST])),
        ("a tunnel with a path", method(b"CONNECT")),
        ("TRACE", method(b"TRACE")),
        ("a scheme that is none", scheme(b"ht tp")),
        ("an empty scheme", scheme(b"")),
        ("another scheme", scheme(b"ftp")),
        ("connection", with(&[(b"connection", b"close")])),
        ("keep-alive", with(&[(b"keep-alive", b"1")])),
        ("proxy-connection", with(&[(b"proxy-connection", b"close")])),
        ("transfer-encoding", with(&[(b"transfer-encoding", b"chunked")])),
        ("upgrade", with(&[(b"upgrade", b"websocket")])),
        ("te", with(&[(b"te", b"gzip")])),
        ("a large name", with(&[(b"X-Y", b"z")])),
        ("a space in a name", with(&[(b"x y", b"z")])),
        ("a colon in a name", with(&[(b"x:y", b"z")])),
        ("a line in a name", with(&[(b"x\r\ny", b"z")])),
        ("an empty name", with(&[(b"", b"z")])),
        ("a name that is not ASCII", with(&[(b"\xc3\xbc", b"z")])),
        ("a line in a value", with(&[(b"x", b"y\r\nz: a")])),
        ("a line feed in a value", with(&[(b"x", b"y\nz")])),
        ("a return in a value", with(&[(b"x", b"y\rz")])),
        ("NUL in a value", with(&[(b"x", b"y\0z")])),
        ("DEL in a value", with(&[(b"x", b"y\x7fz")])),
        ("a length that is none", with(&[(b"content-length", b"x")])),
        ("a length with a sign", with(&[(b"content-length", b"+1")])),
        ("a length with a zero in front", with(&[(b"content-length", b"00")])),
        ("a length twice", with(&[(b"content-length", b"0"), (b"content-length", b"0")])),
        ("two lengths", with(&[(b"content-length", b"0"), (b"content-length", b"1")])),
        ("a length and no body", with(&[(b"content-length", b"5")])),
    ]
}

#[tokio::test]
async fn a_head_that_is_none_goes_no_further() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    for (name, block) in malformed() {
        let mut raw = Raw::begin(gateway.http).await;
        let stream = raw.ask(&block).await;
        let outcome = raw.outcome(stream).await;
        let is_refused = match outcome {
            Outcome::Status(status) => (400..500).contains(&status),
            Outcome::Reset(reason) => reason == 1,
            Outcome::Gone => true,
        };
        assert!(is_refused, "{name}: {outcome:?}");
    }
    upstream.assert_untouched("heads that are none").await;
    assert_eq!(Honest::plainly(gateway.http).await.get(&format!("{SITE}/public/a")).await.status, 200);
}

#[tokio::test]
async fn a_fragment_is_no_part_of_what_is_asked_for() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut raw = Raw::begin(gateway.http).await;
    let stream = raw.ask(&get("/public/a?b#/../closed")).await;
    if raw.outcome(stream).await == Outcome::Status(200) {
        assert_eq!(upstream.last().target, "/public/a?b");
    }
}

#[tokio::test]
async fn host_alone_or_twice_the_same_is_a_host() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let rest: [(&[u8], &[u8]); 3] = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/public/a")];
    for (authority, host) in
        [(None, Some("site.test")), (Some("site.test"), Some("Site.Test")), (Some("site.test"), None)]
    {
        let mut fields = rest.to_vec();
        fields.extend(authority.map(|authority| (&b":authority"[..], authority.as_bytes())));
        fields.extend(host.map(|host| (&b"host"[..], host.as_bytes())));
        let mut raw = Raw::begin(gateway.http).await;
        let stream = raw.ask(&block(&fields)).await;
        assert_eq!(raw.outcome(stream).await, Outcome::Status(200), "{authority:?} {host:?}");
        assert_eq!(
            upstream.last().header("host").map(|host| host.to_lowercase()).as_deref(),
            Some("site.test")
        );
    }
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says_or_no_request() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    for (said, sent) in [("5", "0123456789"), ("10", "01234"), ("0", "x")] {
        let mut raw = Raw::begin(gateway.http).await;
        let stream = raw.next_stream();
        let head = post("/public/a", &[(b"content-length", said.as_bytes())]);
        raw.send(&frame(HEADERS, END_HEADERS, stream, &head)).await;
        raw.send(&frame(DATA, END_STREAM, stream, sent.as_bytes())).await;
        let outcome = raw.outcome(stream).await;
        let is_refused = matches!(outcome, PROTOCOL_ERROR | Outcome::Gone | Outcome::Status(400..500));
        assert!(is_refused, "{said} {sent}: {outcome:?}");
    }
    settle().await;
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        Plan::new(&upstream).server("h2c", "true").server("max_header_bytes", "\"8KiB\"").start().await;
    let mut raw = Raw::begin(gateway.http).await;
    let long = vec![b'x'; 9_000];
    let head = block(&[
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"site.test"),
        (b":path", b"/public/a"),
        (b"x", &long),
    ]);
    let stream = raw.ask(&head).await;
    let outcome = raw.outcome(stream).await;
    assert!(matches!(outcome, Outcome::Status(431) | Outcome::Reset(_) | Outcome::Gone), "{outcome:?}");
    upstream.assert_untouched("a head that is too long").await;
}

#[tokio::test]
async fn who_leaves_is_not_waited_for_upstream() {
    let upstream = FakeUpstream::start().await;
    upstream.answers(Answer::Never);
    let gateway = gateway(&upstream).await;
    // The upstream sees the connection end, so that it can stop working.
    for by_reset in [true, false] {
        upstream.forget().await;
        let mut raw = Raw::begin(gateway.http).await;
        let stream = raw.ask(&get("/public/a")).await;
        let arrived = async {
            while upstream.requests().is_empty() {
                settle().await;
            }
        };
        timeout(HANG, arrived).await.expect("arrives");
        if by_reset {
            raw.send(&frame(3, 0, stream, &8_u32.to_be_bytes())).await;
        } else {
            drop(raw);
        }
        settle().await;
    }
    let stopped = timeout(Duration::from_secs(20), gateway.stop()).await;
    stopped.expect("nothing is left that has to be waited for");
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_finishes_what_runs() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("h2c", "true").start().await;
    let mut idle = Raw::begin(gateway.http).await;
    let stream = idle.ask(&get("/public/a")).await;
    assert_eq!(idle.whole_answer(stream).await.0, 200);

    let mut busy = Raw::begin(gateway.http).await;
    let upload = busy.next_stream();
    let head = post("/public/slow", &[]);
    busy.send(&frame(HEADERS, END_HEADERS, upload, &head)).await;
    busy.send(&frame(DATA, 0, upload, b"the first half, ")).await;
    settle().await;

    let stopping = tokio::spawn(gateway.stop());
    let told = |mut raw: Raw| async move {
        while let Some(frame) = raw.receive().await {
            if frame.kind == GOAWAY {
                return Some(raw);
            }
        }
        None
    };
    assert!(timeout(HANG, told(idle)).await.expect("is told").is_some());
    let mut busy = timeout(HANG, told(busy)).await.expect("is told").expect("is told to go");
    busy.send(&frame(DATA, END_STREAM, upload, b"and the second")).await;
    assert_eq!(busy.whole_answer(upload).await.0, 200);
    assert_eq!(upstream.last().body, b"the first half, and the second");
    drop(busy);
    timeout(HANG, stopping).await.expect("stops").expect("stops");
}

#[tokio::test]
async fn the_control_listener_understands_it_too() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let files = authority.issue("control", &["control.test"]);
    let gateway = Plan::new(&upstream).control_certificate(&files).start().await;
    let stream = Connection::dial([127, 0, 0, 1].into(), gateway.control).await;
    let client = authority.client().offering(&["h2"]);
    let operator = Honest::on(client.shake_over(stream, "control.test").await.expect("agrees")).await;
    assert_eq!(operator.get("https://control.test/healthz").await.status, 200);
    assert_eq!(operator.get("https://control.test/v1/users").await.status, 401);
}
