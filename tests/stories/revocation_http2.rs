//! What runs on the strength of a session ends with it in HTTP/2 as well, on either side; and other
//! streams on the same connections, of other sessions, go on.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::support::http2::{H2Upstream, Stream};
use crate::support::{ByHand, HANG, Plan, SitePlan, TestGateway, Visitor, read_until, rest};

/// A gateway that speaks HTTP/2 in the plain, and two people who are signed in, by their cookies.
async fn gateway(upstream: &str) -> (TestGateway, String, String) {
    let site = SitePlan::new("intranet", "site.test", ([127, 0, 0, 1], 1).into());
    let plan = Plan::of(site.upstreams(&[upstream.to_owned()])).server("h2c", "true");
    // Whatever ends here does not end because somebody was too slow.
    let gateway = plan.server("body_idle_timeout", "\"10m\"").start().await;
    let mut cookies = Vec::new();
    for email in ["jane@example.com", "joe@example.com"] {
        let mut visitor = Visitor::at(&gateway);
        visitor.sign_in(&gateway.login_page(), email).await;
        cookies.push(format!("tollgate={}", visitor.session_cookie().expect("a session")));
    }
    let [jane, joe] = cookies.try_into().expect("two of them");
    (gateway, jane, joe)
}

async fn end_of_jane(gateway: &TestGateway) {
    let answer = gateway.api().delete("/v1/sessions?email=jane%40example.com").await;
    assert_eq!(answer.json(), serde_json::json!({ "revoked": 1 }));
}

/// A browser's connection.
struct Client(SendRequest<Bytes>);

/// A request on it.
struct Asked {
    answer: h2::client::ResponseFuture,
    upload: SendStream<Bytes>,
}

impl Client {
    async fn at(gateway: &TestGateway) -> Self {
        let stream = TcpStream::connect(gateway.http).await.expect("connects");
        // What is not read on one stream leaves room for the others.
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(1 << 20);
        let (sender, connection) = builder.handshake(stream).await.expect("begins");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Asks for `path`, as a script; with a body that has begun, if there is a `piece` of it.
    async fn ask(&self, path: &str, cookie: &str, piece: Option<&'static str>) -> Asked {
        let method = if piece.is_some() { "POST" } else { "GET" };
        let request = Request::builder().method(method).uri(format!("http://site.test{path}"));
        let request = request.header("cookie", cookie).header("sec-fetch-mode", "cors");
        self.send(request.body(()).expect("a request"), piece).await
    }

    async fn send(&self, request: Request<()>, piece: Option<&'static str>) -> Asked {
        let mut sender = timeout(HANG, self.0.clone().ready()).await.expect("in time").expect("has room");
        let goes_on = piece.is_some() || request.method() == http::Method::CONNECT;
        let (answer, mut upload) = sender.send_request(request, !goes_on).expect("is sent");
        if let Some(piece) = piece {
            upload.send_data(Bytes::from_static(piece.as_bytes()), false).expect("is sent");
        }
        Asked { answer, upload }
    }
}

impl Asked {
    /// The head of the answer, and the first piece of its body.
    async fn first(self) -> (RecvStream, SendStream<Bytes>) {
        let answer = timeout(HANG, self.answer).await.expect("in time").expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        assert!(piece(&mut body).await.expect("a piece").starts_with(b"first"));
        (body, self.upload)
    }

    /// The gateway's own answer.
    async fn refused(self, what: &str) {
        let answer = timeout(HANG, self.answer).await.expect("in time").expect("an answer");
        assert_eq!(answer.status(), 401);
        let mut body = answer.into_body();
        let told = piece(&mut body).await.expect(what);
        assert!(String::from_utf8_lossy(&told).contains("session_ended"), "{told:?}");
    }
}

/// The next piece of a body, for which there is to be one.
async fn piece(body: &mut RecvStream) -> Result<Bytes, Reason> {
    let piece = timeout(HANG, body.data()).await.expect("in time").expect("no end of the whole");
    piece.map_err(|error| error.reason().unwrap_or_else(|| panic!("the stream alone is reset: {error}")))
}

/// The upstream does as the path says, and tells what becomes of each stream.
async fn serve(mut stream: Stream, ends: mpsc::UnboundedSender<(String, Reason)>, go_on: Arc<Notify>) {
    let path = stream.request.uri().path().to_owned();
    let begin = |stream: &mut Stream, kind| {
        let head = Response::builder().header("content-type", kind).body(()).expect("a head");
        let mut answer = stream.begin(head);
        answer.send_data(Bytes::from_static(b"first"), false).expect("is open");
        answer
    };
    let reason = match path.as_str() {
        "/poll" => poll_fn(|cx| stream.answer.poll_reset(cx)).await.expect("a reset"),
        "/upload" => end_of_request(&mut stream).await,
        "/talk" => {
            let _answer = begin(&mut stream, "application/grpc");
            end_of_request(&mut stream).await
        }
        "/events" => {
            let mut answer = begin(&mut stream, "text/event-stream");
            poll_fn(|cx| answer.poll_reset(cx)).await.expect("a reset")
        }
        "/unread" => {
            let mut answer = begin(&mut stream, "text/plain");
            answer.send_data(Bytes::from(vec![0; 4 << 20]), false).expect("is open");
            poll_fn(|cx| answer.poll_reset(cx)).await.expect("a reset")
        }
        "/stays" => {
            let mut answer = begin(&mut stream, "text/event-stream");
            go_on.notified().await;
            return answer.send_data(Bytes::from_static(b"second"), true).expect("is open");
        }
        other => panic!("nothing at {other}"),
    };
    ends.send((path, reason)).expect("somebody listens");
}

async fn end_of_request(stream: &mut Stream) -> Reason {
    loop {
        match stream.piece().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.reason().expect("a reset"),
            None => panic!("the request was taken for whole"),
        }
    }
}

#[tokio::test]
async fn streams_of_a_session_are_reset_on_both_sides_and_others_go_on() {
    let (tell, mut ends) = mpsc::unbounded_channel();
    let go_on = Arc::<Notify>::default();
    let go = Arc::clone(&go_on);
    let upstream = H2Upstream::start(move |stream| serve(stream, tell.clone(), Arc::clone(&go))).await;
    let (gateway, jane, joe) = gateway(&format!("h2c://{}", upstream.address)).await;
    let client = Client::at(&gateway).await;
    let (mut stays, _upload) = client.ask("/stays", &joe, None).await.first().await;
    let (mut events, _upload) = client.ask("/events", &jane, None).await.first().await;
    let (mut talk, mut talking) = client.ask("/talk", &jane, Some("word")).await.first().await;
    // Nobody makes room for more than the first pieces.
    let (mut unread, _upload) = client.ask("/unread", &jane, None).await.first().await;
    let poll = client.ask("/poll", &jane, None).await;
    let upload = client.ask("/upload", &jane, Some("some of it")).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;

    end_of_jane(&gateway).await;
    let mut ended = Vec::new();
    for _ in 0..5 {
        let (path, reason) = timeout(HANG, ends.recv()).await.expect("ends").expect("is told");
        assert_eq!(reason, Reason::CANCEL, "{path}");
        ended.push(path);
    }
    ended.sort();
    assert_eq!(ended, ["/events", "/poll", "/talk", "/unread", "/upload"]);
    for body in [&mut events, &mut talk] {
        assert_eq!(piece(body).await, Err(Reason::CANCEL));
    }
    let left = loop {
        match piece(&mut unread).await {
            Ok(_) => {}
            Err(reason) => break reason,
        }
    };
    assert_eq!(left, Reason::CANCEL);
    let reset = timeout(HANG, poll_fn(|cx| talking.poll_reset(cx))).await.expect("in time");
    assert_eq!(reset.expect("a reset"), Reason::CANCEL);
    poll.refused("poll").await;
    upload.refused("upload").await;
    go_on.notify_one();
    assert_eq!(piece(&mut stays).await, Ok(Bytes::from_static(b"second")));
    assert_eq!(upstream.connections(), 1, "no connection ended with the streams");
}

#[tokio::test]
async fn a_stream_ends_the_connection_that_it_has_for_itself_behind_the_gateway() {
    let upstream = ByHand::start().await;
    let (gateway, jane, joe) = gateway(&upstream.url()).await;
    let client = Client::at(&gateway).await;
    let accept = async || {
        let mut server = upstream.accept().await;
        let head = read_until(&mut server, "\r\n\r\n").await;
        (server, head)
    };
    let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let mut servers = Vec::new();
    let mut bodies = Vec::new();
    for cookie in [&joe, &jane] {
        let asked = client.ask("/events", cookie, None).await;
        let (mut server, _) = accept().await;
        server.write_all(begin.as_bytes()).await.expect("answers");
        servers.push(server);
        bodies.push(asked.first().await);
    }
    let poll = client.ask("/poll", &jane, None).await;
    servers.push(accept().await.0);
    let upload = client.ask("/upload", &jane, Some("some of it")).await;
    servers.push(accept().await.0);

    let connect = Request::connect("http://site.test/chat").header("cookie", &jane);
    let connect = connect.extension(h2::ext::Protocol::from_static("websocket")).body(()).expect("is one");
    let socket = client.send(connect, None).await;
    let (mut server, head) = accept().await;
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    let accept_key = tollgate::http::websocket::acceptance(&key.parse().expect("is a value"));
    let agree = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept_key}\r\n\r\n\u{1}\u{1}."
    );
    server.write_all(agree.as_bytes()).await.expect("agrees, and says something");
    servers.push(server);
    let socket_answer = timeout(HANG, socket.answer).await.expect("in time").expect("an answer");
    let mut socket_body = socket_answer.into_body();
    assert_eq!(piece(&mut socket_body).await, Ok(Bytes::from_static(b"\x01\x01.")));

    end_of_jane(&gateway).await;
    let mut stays = servers.remove(0);
    for (mut server, expected) in servers.into_iter().zip([&b""[..], b"", b"", TO_SERVER]) {
        let rest = rest(&mut server).await;
        let expected = String::from_utf8_lossy(expected);
        assert!(String::from_utf8_lossy(&rest).trim_end().ends_with(&*expected), "{rest:?}");
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
    }
    let mut told = Vec::new();
    while let Some(Ok(piece)) = timeout(HANG, socket_body.data()).await.expect("in time") {
        told.extend_from_slice(&piece);
    }
    assert_eq!(told, b"\x88\x0f\x03\xf0session ended");
    poll.refused("poll").await;
    upload.refused("upload").await;
    assert_eq!(piece(&mut bodies[1].0).await, Err(Reason::CANCEL));
    stays.write_all(b"6\r\nsecond\r\n").await.expect("goes on");
    assert_eq!(piece(&mut bodies[0].0).await, Ok(Bytes::from_static(b"second")));
}

/// A close for an ended session, as a server is told.
const TO_SERVER: &[u8] = b"\x88\x8f\0\0\0\0\x03\xf0session ended";

#[tokio::test]
async fn a_visitor_in_http_1_is_cut_off_from_a_stream_behind_the_gateway() {
    let (tell, mut ends) = mpsc::unbounded_channel();
    let upstream = H2Upstream::start(move |stream| serve(stream, tell.clone(), Arc::default())).await;
    let (gateway, jane, _) = gateway(&format!("h2c://{}", upstream.address)).await;
    let mut clients = Vec::new();
    for (line, piece, is_answered) in [
        ("GET /events HTTP/1.1", "", true),
        ("GET /poll HTTP/1.1", "", false),
        ("POST /talk HTTP/1.1\r\nTransfer-Encoding: chunked", "4\r\nword\r\n", true),
        ("PUT /upload HTTP/1.1\r\nContent-Length: 100", "some of it", false),
    ] {
        let mut client = TcpStream::connect(gateway.http).await.expect("connects");
        let head = format!(
            "{line}\r\nHost: site.test\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\nCookie: {jane}\r\n\r\n{piece}"
        );
        client.write_all(head.as_bytes()).await.expect("asks");
        if is_answered {
            read_until(&mut client, "first\r\n").await;
        }
        clients.push(client);
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    end_of_jane(&gateway).await;
    for _ in 0..4 {
        let (path, reason) = timeout(HANG, ends.recv()).await.expect("ends").expect("is told");
        assert_eq!(reason, Reason::CANCEL, "{path}");
    }
    for (mut client, expected) in clients.into_iter().zip(["", "session_ended", "", "session_ended"]) {
        let rest = rest(&mut client).await;
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.contains(expected) && rest.is_empty() == expected.is_empty(), "{rest}");
    }
}
