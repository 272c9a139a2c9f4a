//! WebSockets over HTTP/2 (RFC 8441): any 2xx opens one there, so that only who agreed to a WebSocket may
//! say so.

use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::ext::Protocol;

use crate::http2_upstream;
use crate::support::h2::Honest;
use crate::support::http2::{H2Upstream, Stream};
use crate::support::wire::Connection;
use crate::support::{Answer, Authority, FakeUpstream, Plan, Response, Visitor};

const HANDSHAKE: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Asks for a WebSocket at `url`. The client has heard by then that it may.
async fn ask(client: &Honest, url: &str, cookie: &str) -> Response {
    let request = http::Request::connect(url).extension(Protocol::from_static("websocket"));
    let request = request.header("sec-websocket-version", "13").header("cookie", cookie);
    client.send(request.body(Full::default()).expect("is one")).await.expect("an answer")
}

#[tokio::test]
async fn a_page_of_the_site_opens_no_websocket() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| site.with("access", "\"optional\""));
    let gateway = plan.server("h2c", "true").start().await;
    let client = Honest::plainly(gateway.http).await;
    client.get("http://site.test/").await;
    for (answer, status, body) in [
        ("200 OK\r\nContent-Length: 5\r\n\r\npage.", 502, "upstream_unreadable"),
        ("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npage.\r\n0\r\n\r\n", 502, "upstream_unreadable"),
        ("200 OK\r\n\r\npage.", 502, "upstream_unreadable"),
        ("201 Created\r\nContent-Length: 0\r\n\r\n", 502, "upstream_unreadable"),
        ("204 No Content\r\n\r\n", 502, "upstream_unreadable"),
        ("206 Partial Content\r\nContent-Length: 5\r\n\r\npage.", 502, "upstream_unreadable"),
        ("302 Found\r\nLocation: /b\r\nContent-Length: 5\r\n\r\nmoved", 302, "moved"),
        ("404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 404, "no"),
        ("426 Upgrade Required\r\nContent-Length: 4\r\n\r\nmore", 426, "more"),
        ("503 Service Unavailable\r\n\r\nlater", 503, "later"),
    ] {
        upstream.answers(Answer::Bytes(format!("HTTP/1.1 {answer}").into_bytes()));
        let told = ask(&client, "http://site.test/chat", "").await;
        assert_eq!(told.status, status, "{answer}");
        assert!(told.text().contains(body) && !told.text().contains("page."), "{answer}: {}", told.text());
        assert_eq!(upstream.last().header("upgrade").as_deref(), Some("websocket"));
    }
    // Over HTTP/1.1 nobody takes a page for a WebSocket, and that there is none is no failure.
    upstream.answers(Answer::page("page."));
    assert_eq!(Visitor::at(&gateway).send_raw(HANDSHAKE).await.expect("an answer").text(), "page.");
    let metrics = gateway.api().get("/metrics").await.text();
    let failures = metrics.lines().find(|line| line.starts_with("tollgate_upstream_failures_total{"));
    assert!(failures.is_some_and(|line| line.ends_with(" 0")), "{failures:?}");
}

#[tokio::test]
async fn behind_an_upstream_in_http_2_there_is_none() {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let notes = Arc::clone(&asked);
    let serve = move |mut stream: Stream| {
        let request = &stream.request;
        notes.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
        async move {
            if stream.request.uri().path() == "/none" {
                let answer = http::Response::builder().status(404).body(()).expect("is one");
                stream.begin(answer).send_data("no".into(), true).expect("sends");
            } else {
                stream.say("page.");
            }
        }
    };
    let upstream = H2Upstream::start(serve).await;
    let gateway = Plan::of(http2_upstream::site(&upstream)).server("h2c", "true").start().await;
    let client = Honest::plainly(gateway.http).await;
    client.get("http://site.test/").await;
    for (path, status, body) in [("/chat", 502, "upstream_unreadable"), ("/none", 404, "no")] {
        let told = ask(&client, &format!("http://site.test{path}"), "").await;
        assert_eq!(told.status, status, "{path}");
        assert!(told.text().contains(body), "{path}: {}", told.text());
    }
    assert_eq!(Visitor::at(&gateway).send_raw(HANDSHAKE).await.expect("an answer").text(), "page.");
    assert_eq!(*asked.lock().unwrap(), ["GET /", "GET /chat", "GET /none", "GET /chat"]);
}

#[tokio::test]
async fn the_gateways_own_pages_open_none() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream).server("h2c", "true").start().await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    let cookie = format!("tollgate={}", jane.session_cookie().expect("a session"));
    let client = Honest::plainly(gateway.http).await;
    client.get("http://site.test/").await;
    let told = ask(&client, "http://site.test/.tollgate/session", &cookie).await;
    assert_eq!((told.status, told.error_code().as_str()), (405, "method_not_allowed"));
    // Who is a stranger is told so as ever.
    assert_eq!(ask(&client, "http://site.test/.tollgate/session", "").await.status, 401);

    let files = authority.issue("control", &["control.test"]);
    let gateway = Plan::new(&upstream).control_certificate(&files).start().await;
    let stream = Connection::dial([127, 0, 0, 1].into(), gateway.control).await;
    let tls = authority.client().offering(&["h2"]);
    let operator = Honest::on(tls.shake_over(stream, "control.test").await.expect("agrees")).await;
    assert_eq!(operator.get("https://control.test/healthz").await.status, 200);
    let told = ask(&operator, "https://control.test/healthz", "").await;
    assert_eq!((told.status, told.header("allow").as_deref()), (405, Some("GET")));
}

#[tokio::test]
async fn the_access_log_says_how_it_was_asked_for() {
    let (folder, upstream) = (tempfile::tempdir().expect("a folder"), FakeUpstream::start().await);
    upstream.answers(Answer::Bytes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let file = folder.path().join("access.log");
    let log = format!("[log]\naccess_file = {:?}", file.display().to_string());
    let plan = Plan::new(&upstream).site(|site| site.with("access", "\"optional\""));
    let gateway = plan.server("h2c", "true").tables(&log).start().await;
    let client = Honest::plainly(gateway.http).await;
    client.get("http://site.test/").await;
    assert_eq!(ask(&client, "http://site.test/chat", "").await.status, 404);
    assert_eq!(Visitor::at(&gateway).send_raw(HANDSHAKE).await.expect("an answer").status, 404);
    gateway.stop().await;
    let log = std::fs::read_to_string(file).expect("was written");
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("is JSON"));
    let told: Vec<_> = lines.map(|line| format!("{} {}", line["path"], line["protocol"])).collect();
    assert_eq!(told, [r#""/" "HTTP/2.0""#, r#""/chat" "HTTP/2.0""#, r#""/chat" "HTTP/1.1""#]);
}
