//! WebSockets pass as if nobody stood in between, but only for whom the site is open; and what is
//! said too early, or after a refusal, never becomes a request.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{ByHand, FakeUpstream, HANG, Plan, SitePlan, TestGateway, Visitor, read_until, rest};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn handshake(path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: site.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: chat\r\n{extra}\r\n"
    )
}

/// Asks for a WebSocket, and agrees to it on the other side.
async fn open(gateway: &TestGateway, upstream: &ByHand, extra: &str) -> (TcpStream, TcpStream) {
    let mut browser = TcpStream::connect(gateway.http).await.expect("connects");
    browser.write_all(handshake("/chat", extra).as_bytes()).await.expect("sends");
    let mut server = upstream.accept().await;
    let head = read_until(&mut server, "\r\n\r\n").await.to_ascii_lowercase();
    for field in ["upgrade: websocket\r\n", "connection: upgrade\r\n", "sec-websocket-protocol: chat\r\n"] {
        assert!(head.contains(field), "{field:?} is missing: {head}");
    }
    assert!(!head.contains("keep-alive"), "{head}");
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    );
    server.write_all(answer.as_bytes()).await.expect("agrees");
    let head = read_until(&mut browser, "\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("\r\nupgrade: websocket\r\n") && head.contains("\r\nconnection: upgrade\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("\r\nsec-websocket-accept: {}\r\n", ACCEPT.to_ascii_lowercase())),
        "{head}"
    );
    (browser, server)
}

/// The cookie line of somebody who is signed in.
async fn signed_in(gateway: &TestGateway) -> String {
    let mut jane = Visitor::at(gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    format!("Cookie: tollgate={}\r\n", jane.session_cookie().expect("a session"))
}

#[tokio::test]
async fn a_member_talks_to_the_upstream_both_ways_and_either_may_end_it() {
    let (gateway, upstream) = ByHand::behind(|site| site.with("access", "\"optional\"")).await;
    let (mut browser, mut server) = open(&gateway, &upstream, "").await;
    let long = vec![0x5a; 3_000_000];
    let echo = async {
        let mut received = vec![0; long.len()];
        server.read_exact(&mut received).await.expect("all of it");
        server.write_all(&received).await.expect("sends it back");
        server
    };
    let ask = async {
        browser.write_all(&long).await.expect("sends");
        let mut back = vec![0; long.len()];
        browser.read_exact(&mut back).await.expect("all of it");
        assert!(back == long);
        browser
    };
    let (mut server, mut browser) = timeout(HANG, async { tokio::join!(echo, ask) }).await.expect("in time");
    browser.shutdown().await.expect("says goodbye");
    assert!(rest(&mut server).await.is_empty());
    server.write_all(b"last words").await.expect("may still speak");
    drop(server);
    assert_eq!(rest(&mut browser).await, b"last words");
}

#[tokio::test]
async fn only_who_may_see_the_page_may_have_its_websocket() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut stranger = TcpStream::connect(gateway.http).await.expect("connects");
    stranger.write_all(handshake("/chat", "").as_bytes()).await.expect("sends");
    let head = read_until(&mut stranger, "login_required").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    upstream.assert_untouched("a stranger asked").await;
}

#[tokio::test]
async fn another_sites_page_cannot_use_a_members_session() {
    let (gateway, upstream) = ByHand::behind(|site| site).await;
    let cookie = signed_in(&gateway).await;
    let port = gateway.http.port();
    for origin in ["http://evil.test".to_owned(), "null".to_owned(), format!("https://site.test:{port}")] {
        let mut browser = TcpStream::connect(gateway.http).await.expect("connects");
        let extra = format!("{cookie}Origin: {origin}\r\n");
        browser.write_all(handshake("/chat", &extra).as_bytes()).await.expect("sends");
        let head = read_until(&mut browser, "cross_site").await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{origin}: {head}");
    }
    assert!(timeout(Duration::from_millis(200), upstream.accept()).await.is_err(), "the upstream was asked");
    open(&gateway, &upstream, &format!("{cookie}Origin: http://site.test\r\n")).await;
}

#[tokio::test]
async fn what_comes_early_is_for_the_other_protocol_or_for_nobody() {
    let (gateway, upstream) = ByHand::behind(|site| site.with("access", "\"optional\"")).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
        // It agrees to something else, or without having read the key.
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
    ] {
        let mut browser = TcpStream::connect(gateway.http).await.expect("connects");
        browser.write_all((handshake("/chat", "") + smuggled).as_bytes()).await.expect("sends");
        let mut server = upstream.accept().await;
        let head = read_until(&mut server, "\r\n\r\n").await;
        assert!(!head.contains("smuggled"), "{head}");
        server.write_all(answer.as_bytes()).await.expect("answers");
        let said = String::from_utf8_lossy(&rest(&mut browser).await).into_owned();
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
        assert!(!said.starts_with("HTTP/1.1 101"), "{said}");
        let mut more = [0; 64];
        let silence = timeout(Duration::from_millis(200), server.read(&mut more)).await;
        assert!(!matches!(silence, Ok(Ok(1..))), "{answer}: {:?}", String::from_utf8_lossy(&more));
    }
    let metrics = gateway.api().get("/metrics").await.text();
    let failures = metrics.lines().find(|line| line.starts_with("tollgate_upstream_failures_total{"));
    assert!(failures.is_some_and(|line| line.ends_with(" 2")), "who switches unasked fails: {failures:?}");
}

/// Browsers would not believe it either (RFC 6455 §4.1), and other clients may believe too much.
#[tokio::test]
async fn an_upstream_that_agrees_in_part_or_to_something_else_is_not_believed() {
    let (gateway, upstream) = ByHand::behind(|site| site.with("access", "\"optional\"")).await;
    let (upgrade, connection) = ("Upgrade: websocket\r\n", "Connection: Upgrade\r\n");
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}\r\n");
    let plain = format!("{upgrade}{connection}{accept}");
    let offers = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-own\r\n";
    for (offered, fields, is_believed) in [
        ("", plain.clone(), true),
        ("", format!("upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n{accept}"), true),
        ("", format!("{plain}Sec-WebSocket-Protocol: chat\r\n"), true),
        (offers, plain.clone(), true),
        (
            offers,
            format!("{plain}Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"),
            true,
        ),
        ("", format!("{connection}{accept}"), false),
        ("", format!("{upgrade}{accept}"), false),
        ("", format!("{upgrade}Connection: keep-alive\r\n{accept}"), false),
        ("", format!("Upgrade: websocket, h2c\r\n{connection}{accept}"), false),
        ("", format!("Upgrade: h2c\r\n{plain}"), false),
        ("", format!("{upgrade}{connection}"), false),
        ("", format!("{plain}{accept}"), false),
        ("", format!("{plain}Sec-WebSocket-Accept: AAAA\r\n"), false),
        ("", format!("{plain}Sec-WebSocket-Protocol: other\r\n"), false),
        ("", format!("{plain}Sec-WebSocket-Protocol: Chat\r\n"), false),
        ("", format!("{plain}Sec-WebSocket-Protocol:\r\n"), false),
        ("", format!("{plain}Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"), false),
        ("", format!("{plain}Sec-WebSocket-Extensions: permessage-deflate\r\n"), false),
        (offers, format!("{plain}Sec-WebSocket-Extensions: x-own, x-other\r\n"), false),
    ] {
        let mut browser = TcpStream::connect(gateway.http).await.expect("connects");
        browser.write_all(handshake("/chat", offered).as_bytes()).await.expect("sends");
        let mut server = upstream.accept().await;
        read_until(&mut server, "\r\n\r\n").await;
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        server.write_all(answer.as_bytes()).await.expect("answers");
        let head = read_until(&mut browser, "\r\n\r\n").await;
        let status = if is_believed { "HTTP/1.1 101 " } else { "HTTP/1.1 502 " };
        assert!(head.starts_with(status), "{fields}: {head}");
        if !is_believed {
            // Nobody else gets this connection.
            assert_eq!(rest(&mut server).await, b"", "{fields}");
        }
    }
}

#[tokio::test]
async fn other_protocols_are_not_passed_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("access", "\"optional\"")).start().await;
    for (method, upgrade, connection) in [
        ("GET", "h2c", "Upgrade, HTTP2-Settings"),
        ("GET", "TLS/1.0", "Upgrade"),
        ("GET", "websocket", "close"),
        ("POST", "websocket", "Upgrade"),
        ("GET", "websocket, h2c", "keep-alive"),
    ] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: site.test\r\nUpgrade: {upgrade}\r\nConnection: {connection}\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nSec-WebSocket-Key: {KEY}\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = Visitor::at(&gateway).send_raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{method} {upgrade} {connection}");
        let received = upstream.last();
        assert_eq!(received.header("upgrade"), None);
        // A word for the connection, whether `Connection` names it or not (RFC 7540 §3.2.1).
        assert_eq!(received.header("http2-settings"), None, "{connection}");
        assert_eq!(received.header("connection"), None);
    }
}

/// The gateway makes a key for those who ask over HTTP/2, and must not make up a handshake for anybody else.
#[tokio::test]
async fn without_its_one_key_a_handshake_is_none() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("access", "\"optional\"")).start().await;
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    for keys in [String::new(), format!("{key}{key}"), format!("{key}Sec-WebSocket-Key: AAAA\r\n")] {
        let request = handshake("/chat", "").replace(&key, &keys);
        let answer = Visitor::at(&gateway).send_raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{request}");
        let received = upstream.last();
        assert_eq!((received.header("upgrade"), received.header("connection")), (None, None), "{received:?}");
    }
}

#[tokio::test]
async fn over_http_2_a_stream_becomes_a_websocket() {
    let upstream = ByHand::start().await;
    let site = SitePlan::new("intranet", "site.test", upstream.address());
    let gateway = Plan::of(site).server("h2c", "true").start().await;
    let cookie = signed_in(&gateway).await;
    let cookie = cookie.trim().strip_prefix("Cookie: ").expect("a cookie").to_owned();
    let stream = TcpStream::connect(gateway.http).await.expect("connects");
    let (mut sender, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("begins");
    tokio::spawn(connection);
    // The client has to hear first that it may ask.
    let asked = http::Request::get("http://site.test/.tollgate/session").body(Empty::new()).expect("is one");
    assert_eq!(sender.send_request(asked).await.expect("an answer").status(), 401);
    let ask = |protocol: &'static str, cookie: &str, origin: &str| {
        http::Request::connect("http://site.test/chat?room=1")
            .extension(Protocol::from_static(protocol))
            .header("sec-websocket-version", "13")
            .header("cookie", cookie)
            .header("origin", origin)
            .body(Empty::new())
            .expect("is one")
    };
    for (protocol, cookie, origin, status) in [
        ("websocket", "", "http://site.test", 401),
        ("websocket", cookie.as_str(), "http://evil.test", 403),
        ("connect-udp", cookie.as_str(), "http://site.test", 405),
    ] {
        let answer = sender.send_request(ask(protocol, cookie, origin)).await.expect("an answer");
        assert_eq!(answer.status(), status, "{protocol} {origin}");
    }
    let (answer, mut server) =
        tokio::join!(sender.send_request(ask("websocket", &cookie, "http://site.test")), async {
            let mut server = upstream.accept().await;
            let head = read_until(&mut server, "\r\n\r\n").await;
            assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{head}");
            let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
            let accept = tollgate::http::websocket::acceptance(&key.parse().expect("is a value"));
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\nhello"
            );
            server.write_all(answer.as_bytes()).await.expect("agrees");
            server
        });
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().get("sec-websocket-accept").is_none());
    let mut browser = TokioIo::new(hyper::upgrade::on(answer).await.expect("becomes one"));
    let mut hello = [0; 5];
    browser.read_exact(&mut hello).await.expect("reads");
    assert_eq!(&hello, b"hello");
    browser.write_all(b"and back").await.expect("writes");
    browser.flush().await.expect("writes");
    assert!(read_until(&mut server, "and back").await.ends_with("and back"));
    browser.shutdown().await.expect("says goodbye");
    assert!(rest(&mut server).await.is_empty());
}

#[tokio::test]
async fn a_gateway_that_stops_says_so_where_a_message_ends() {
    let (gateway, upstream) = ByHand::behind(|site| site.with("access", "\"optional\"")).await;
    let (mut browser, mut server) = open(&gateway, &upstream, "").await;
    // Half of a message from the server, and a whole one from the browser.
    server.write_all(&[0x82, 4, 1, 2]).await.expect("begins");
    browser.write_all(&[0x82, 0x81, 0, 0, 0, 0, 7]).await.expect("speaks");
    let mut half = [0; 4];
    browser.read_exact(&mut half).await.expect("half of it");
    let mut whole = [0; 7];
    server.read_exact(&mut whole).await.expect("all of it");
    let stopping = tokio::spawn(gateway.stop());
    let told = rest_of_close(&mut server).await;
    assert_eq!(told.get(..8), Some(&[0x88, 0x8c, 0, 0, 0, 0, 0x03, 0xe9][..]), "{told:?}");
    server.write_all(&[3, 4]).await.expect("ends its message");
    let told = rest(&mut browser).await;
    assert_eq!(told.get(..6), Some(&[3, 4, 0x88, 12, 0x03, 0xe9][..]), "{told:?}");
    drop((browser, server));
    timeout(HANG, stopping).await.expect("stops").expect("well");
}

async fn rest_of_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < 8 {
        let read = timeout(HANG, stream.read_buf(&mut bytes)).await.expect("a word").expect("reads");
        assert!(read > 0, "ended without a word: {bytes:?}");
    }
    bytes
}
