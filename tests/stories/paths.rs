//! No request without a session puts one byte on the upstream's socket for a closed path,
//! whatever its path, method, framing or headers look like.

use crate::support::{Ask, FakeUpstream, Plan, Response, SITE, TestGateway, Visitor};

/// Paths that are closed, or that no two servers read alike, on a site where only `/public/` is
/// open.
const CLOSED: &[&str] = &[
    "/",
    "/closed",
    "/closed/",
    "/closed?public",
    "/closed?/public/",
    "/closed;/public/",
    "/closed%3b/public/",
    "/closed%3f/public/",
    "/closed%23/public/",
    "/closed/public/",
    "/publi",
    "/publicity",
    "/public-notices",
    "/public.html",
    "/public%20/a",
    "/PUBLIC/a",
    "/Public/a",
    "/pub%6cic/a",
    "/%70ublic/a",
    "/%2570ublic/a",
    "//public/a",
    "///public/a",
    "/;/public/a",
    "/;x=1/public/a",
    "/x;/public/a",
    "/./public/a",
    "/x/../public/a",
    "/public/..",
    "/public/../",
    "/public/../closed",
    "/public/../../closed",
    "/public/./../closed",
    "/public//../closed",
    "/public/x/../../closed",
    "/public/..//closed",
    "/public/...//../closed",
    "/public/%2e%2e/closed",
    "/public/%2E%2E/closed",
    "/public/.%2e/closed",
    "/public/%2e./closed",
    "/public/%2e/../closed",
    "/public/..%2fclosed",
    "/public/..%2Fclosed",
    "/public%2f..%2fclosed",
    "/public%2f../closed",
    "/public/%2e%2e%2fclosed",
    "/public/..\\closed",
    "/public\\..\\closed",
    "/public/..%5cclosed",
    "/public%5c..%5cclosed",
    "/public/..;/closed",
    "/public/..;x=1/closed",
    "/public/..%3b/closed",
    "/public;/../closed",
    "/public/.;/../closed",
    "/public/..%00/closed",
    "/public/%00/../closed",
    "/public/..%0d/closed",
    "/public/..%0a/closed",
    "/public/..%09/closed",
    "/public/%c0%ae%c0%ae/../closed",
    "/public/%e0%80%ae%e0%80%ae/closed",
    "/public/%f0%80%80%ae./closed",
    "/public/..%e0%80%afclosed",
    "/public/%u002e%u002e/closed",
    "/public/%%32%65%%32%65/closed",
    "/public/../closed?x=/public/",
    "/public/../.tollgate/../closed",
    "/.tollgate/../closed",
    "/.tollgate/%2e%2e/closed",
    "/.tollgate/..;/closed",
    "/.tollgate",
    "/.tollgate/",
    "/.tollgate/closed",
    "/.TOLLGATE/session",
    "/.tollgate/auth",
    "/.tollgate/jwks.json",
    "/%2etollgate/session",
    "//.tollgate/session",
    "/api/session/get-token",
    "/api/session/redeem-token",
    "/api/../closed",
    "/api/2/session/get-token",
    "/sso_tokens",
    "/v1/sso_tokens",
    "/healthz",
    "/metrics",
    "/?sso=",
    "/closed?sso=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "/closed?x=1?sso=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "/closed#/public/",
    "/\u{fc}bung",
    "/closed\u{2028}x",
    "/\u{ff0f}..\u{ff0f}public/",
    "http://site.test/closed",
    "http://site.test",
    "http://site.test/public/../closed",
    "http://site.test@evil.test/public/a",
    "http://evil.test/public/a",
    "https://site.test/closed",
    "HTTP://SITE.TEST/closed",
    "http:/closed",
    "http:closed",
    "//site.test/closed",
    "site.test:80",
    "site.test",
    "closed",
    "../closed",
    "*",
    "?x",
    "",
    "\\closed",
    "/closed HTTP/1.1 /public/",
];

const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "PRI",
    "X-Y!",
];

/// The answer to `bytes`, and the proof so far that the upstream got nothing of them.
async fn send(visitor: &Visitor, upstream: &FakeUpstream, bytes: &[u8]) -> Option<Response> {
    let shown = String::from_utf8_lossy(bytes);
    let answer = visitor.send_raw(bytes).await;
    if let Some(answer) = &answer {
        assert!(answer.status < 500 || answer.status == 501 || answer.status == 505, "{shown:?}: {answer:?}");
        assert_ne!(answer.text(), "hello from upstream", "{shown:?}");
    }
    assert_eq!(upstream.byte_count(), 0, "{shown:?}");
    answer
}

#[tokio::test]
async fn no_path_and_no_method_gets_a_stranger_to_the_upstream() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    for path in CLOSED {
        for method in METHODS {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n");
            send(&visitor, &upstream, request.as_bytes()).await;
        }
        let old = format!("GET {path} HTTP/1.0\r\nHost: site.test\r\n\r\n");
        send(&visitor, &upstream, old.as_bytes()).await;
    }
    upstream.assert_untouched("every path with every method").await;
    it_was_not_for_being_dead(&gateway, &upstream).await;
}

#[tokio::test]
async fn no_header_opens_a_closed_path() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| site.route_for(&["POST"], "/hook/", "off"));
    let gateway = plan.start().await;
    let visitor = Visitor::at(&gateway);
    let long_value = format!("Cookie: tollgate={}", "A".repeat(20_000));
    for header in [
        "X-Original-URL: /public/a",
        "X-Rewrite-URL: /public/a",
        "X-Forwarded-Uri: /public/a",
        "X-Forwarded-Path: /public/a",
        "X-Forwarded-Prefix: /public",
        "X-Original-Method: POST",
        "X-HTTP-Method-Override: POST",
        "X-HTTP-Method: POST",
        "X-Method-Override: POST",
        "X-Forwarded-Method: POST",
        "X-Forwarded-Host: other.test",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=other.test",
        "X-Forwarded-User: admin@example.com",
        "Remote-User: admin@example.com",
        "X-Tollgate-Assertion: eyJhbGciOiJub25lIn0.e30.",
        "Authorization: Basic YWRtaW46YWRtaW4=",
        "Authorization: Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Proxy-Authorization: Basic YWRtaW46YWRtaW4=",
        "Cookie: tollgate=",
        "Cookie: tollgate=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Cookie: tollgate=\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
        "Cookie: __Host-tollgate=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Cookie: tollgate=a; tollgate=b",
        "Cookie: \u{fc}=\u{fc}; =; ;;; tollgate",
        &long_value,
        "Expect: 100-continue\r\nContent-Length: 5",
        "Expect: 200-ok",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: close",
        "Connection: Host",
        "Connection: Cookie, X-Forwarded-For",
        "TE: trailers",
        "Range: bytes=0-",
        "If-None-Match: *",
        "Max-Forwards: 0",
        "Origin: http://site.test\r\nAccess-Control-Request-Method: GET",
        "Sec-Purpose: prefetch",
        "X-Requested-With: XMLHttpRequest",
        "Host: other.test",
        "Host: site.test",
        " continued: yes",
        "X-Forwarded-User : admin",
        ": empty",
        "no colon",
        "Null: a\0b",
    ] {
        for line in ["GET /closed", "POST /closed", "GET /hook/x", "OPTIONS /closed", "HEAD /closed"] {
            let request = format!("{line} HTTP/1.1\r\nHost: site.test\r\n{header}\r\n\r\n");
            send(&visitor, &upstream, request.as_bytes()).await;
            let first = format!("{line} HTTP/1.1\r\n{header}\r\nHost: site.test\r\n\r\n");
            send(&visitor, &upstream, first.as_bytes()).await;
        }
    }
    upstream.assert_untouched("every header").await;
    let open = Ask::navigate("POST", &format!("{SITE}/hook/x")).form(&[("a", "b")]);
    assert_eq!(Visitor::at(&gateway).send(open).await.status, 200);
    assert_eq!(upstream.last().method, "POST");
}

#[tokio::test]
async fn no_framing_smuggles_a_request_past_the_gate() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    // What a server that reads the framing otherwise would take for a second request.
    let inner = "GET /closed/smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let length = inner.len();
    let bodies = [
        format!("Content-Length: {length}\r\n\r\n{inner}"),
        format!("Content-Length: 0\r\n\r\n{inner}"),
        format!("Content-Length: 3\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!("Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{inner}"),
        format!("Content-Length: 0, {length}\r\n\r\n{inner}"),
        format!("Content-Length: +{length}\r\n\r\n{inner}"),
        format!("Content-Length: -1\r\n\r\n{inner}"),
        format!("Content-Length: 0x10\r\n\r\n{inner}"),
        format!("Content-Length: 99999999999999999999\r\n\r\n{inner}"),
        format!("Content-Length : {length}\r\n\r\n{inner}"),
        format!("Content-Length:\r\n {length}\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunked}"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked, chunked\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: identity, chunked\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: gzip, chunked\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Transfer_Encoding: chunked\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0;ext=\"\r\n\r\n\"\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nHost: evil.test\r\n\r\n{inner}"),
        format!("\r\n{inner}"),
        format!("\r\n\r\n{inner}"),
        format!("X: y\n\n{inner}"),
        format!("X: y\r\r{inner}"),
        format!("X: y\n\r\n{inner}"),
        format!("Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n{inner}"),
    ];
    for body in &bodies {
        for line in
            ["GET /closed", "POST /closed", "HEAD /closed", "OPTIONS /closed", "TRACE /closed", "CONNECT a:1"]
        {
            let request = format!("{line} HTTP/1.1\r\nHost: site.test\r\n{body}");
            send_all(&visitor, &upstream, request.as_bytes()).await;
        }
    }
    for raw in [
        "GET /closed\r\n\r\n",
        "GET /closed HTTP/0.9\r\nHost: site.test\r\n\r\n",
        "GET /closed HTTP/1.2\r\nHost: site.test\r\n\r\n",
        "GET /closed HTTP/2.0\r\nHost: site.test\r\n\r\n",
        "GET /closed HTTP/1.1\r\n\r\n",
        "GET /closed HTTP/1.0\r\n\r\n",
        "GET  /closed HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET\t/closed\tHTTP/1.1\r\nHost: site.test\r\n\r\n",
        " GET /closed HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "\r\n\r\nGET /closed HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /closed HTTP/1.1\nHost: site.test\n\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /closed HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7c}\x03\x03",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        send_all(&visitor, &upstream, raw.as_bytes()).await;
    }
    upstream.assert_untouched("every framing").await;
    it_was_not_for_being_dead(&gateway, &upstream).await;
}

/// Sends `bytes`, says that no more will come, and reads everything that comes back.
async fn send_all(visitor: &Visitor, upstream: &FakeUpstream, bytes: &[u8]) {
    let mut connection = visitor.connect().await;
    connection.send(bytes).await;
    connection.finish().await;
    let answers = String::from_utf8_lossy(&connection.rest().await).into_owned();
    let shown = String::from_utf8_lossy(bytes);
    assert!(!answers.contains("hello from upstream"), "{shown:?}: {answers}");
    assert_eq!(upstream.byte_count(), 0, "{shown:?}: {answers}");
}

#[tokio::test]
async fn requests_that_name_no_site_of_ours_are_refused() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    for (head, expected) in [
        ("GET /public/a HTTP/1.1\r\n", &[400][..]),
        ("GET /public/a HTTP/1.1\r\nHost: site.test\r\nHost: site.test\r\n", &[400]),
        ("GET /public/a HTTP/1.1\r\nHost: site.test\r\nHost: other.test\r\n", &[400]),
        ("GET /public/a HTTP/1.1\r\nHost: other.test\r\n", &[421]),
        ("GET /public/a HTTP/1.1\r\nHost: site.test.evil.test\r\n", &[421]),
        ("GET /public/a HTTP/1.1\r\nHost: sub.site.test\r\n", &[421]),
        ("GET /public/a HTTP/1.1\r\nHost:\r\n", &[400, 421]),
        ("GET /public/a HTTP/1.1\r\nHost: site.test, other.test\r\n", &[400, 421]),
        ("GET /public/a HTTP/1.1\r\nHost: user@site.test\r\n", &[400, 421]),
        ("GET /public/a HTTP/1.1\r\nHost: site.test/x\r\n", &[400, 421]),
        ("GET /public/a HTTP/1.1\r\nHost: site.test:port\r\n", &[400, 421]),
        ("GET /public/a HTTP/1.1\r\nHost: site.test:99999\r\n", &[400, 421]),
        ("GET http://other.test/public/a HTTP/1.1\r\nHost: site.test\r\n", &[421]),
        ("GET http://user@site.test/public/a HTTP/1.1\r\nHost: site.test\r\n", &[400, 421]),
        ("GET ftp://site.test/public/a HTTP/1.1\r\nHost: site.test\r\n", &[400, 421]),
        ("CONNECT site.test:80 HTTP/1.1\r\nHost: site.test:80\r\n", &[400, 405, 501]),
        ("TRACE /public/a HTTP/1.1\r\nHost: site.test\r\n", &[400, 405, 501]),
        ("GET * HTTP/1.1\r\nHost: site.test\r\n", &[400]),
    ] {
        let answer = send(&visitor, &upstream, format!("{head}\r\n").as_bytes()).await;
        let status = answer.expect("an answer").status;
        assert!(expected.contains(&status), "{status} for {head:?}");
    }
    upstream.assert_untouched("requests for nobody").await;
    for head in [
        "GET http://site.test/public/a?b=c HTTP/1.1\r\nHost: site.test\r\n",
        "GET http://site.test/public/a?b=c HTTP/1.1\r\nHost: other.test\r\n",
        "GET /public/a?b=c HTTP/1.1\r\nHost: SITE.test\r\n",
        "GET /public/a?b=c HTTP/1.1\r\nhOST: site.test:8080\r\n",
    ] {
        let answer = visitor.send_raw(format!("{head}\r\n").as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{head:?}");
        assert_eq!(upstream.last().target, "/public/a?b=c", "{head:?}");
    }
}

#[tokio::test]
async fn an_encoded_slash_passes_only_where_the_site_allows_it_and_is_read_both_ways() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| {
        site.with("allow_encoded_slash", "true").with("access", "\"off\"").route("/admin/", "required")
    });
    let gateway = plan.start().await;
    let visitor = Visitor::at(&gateway);
    for path in ["/admin%2fx", "/%2fadmin/x", "/admin%2F", "/x%2f..%2fadmin", "/x/..%2fadmin", "/%61dmin%2fx"]
    {
        let request = format!("GET {path} HTTP/1.1\r\nHost: site.test\r\n\r\n");
        send(&visitor, &upstream, request.as_bytes()).await;
    }
    upstream.assert_untouched("encoded slashes").await;
    let request = b"GET /projects/a%2Fb HTTP/1.1\r\nHost: site.test\r\n\r\n";
    assert_eq!(visitor.send_raw(request).await.expect("an answer").status, 200);
    assert_eq!(upstream.last().target, "/projects/a%2Fb", "forwarded as it was judged");
}

#[tokio::test]
async fn an_open_path_is_forwarded_byte_for_byte() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    for target in [
        "/public",
        "/public/",
        "/public/a//b",
        "/public/%41%e2%82%ac;v=1/~!$&'()*+,:=@",
        "/public/a?",
        "/public/a?b=%2f%5c%00../../closed&&=?/\\[]",
        "/public/%252e%252e/a",
        "/public/.../..a/a..",
    ] {
        assert_eq!(visitor.get(&format!("{SITE}{target}")).await.status, 200, "{target}");
        assert_eq!(upstream.last().target, target);
    }
}

/// The same gateway lets a member through: what was refused before was refused for a reason.
async fn it_was_not_for_being_dead(gateway: &TestGateway, upstream: &FakeUpstream) {
    let mut member = Visitor::at(gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert_eq!(member.get(&format!("{SITE}/closed")).await.status, 200);
    assert_eq!(upstream.last().target, "/closed");
}
