//! Upstreams that speak HTTP/2: many requests on one connection, trailers, bodies that go both ways
//! at once, and streams that break off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::{Barrier, mpsc};
use tokio::time::timeout;

use crate::support::http2::{H2Plan, H2Upstream, Stream};
use crate::support::wire::Connection;
use crate::support::{Ask, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, settle};

pub(crate) fn site(upstream: &H2Upstream) -> SitePlan {
    let site = SitePlan::new("intranet", "site.test", upstream.address);
    site.upstreams(&[format!("h2c://{}", upstream.address)]).with("access", "\"off\"")
}

pub(crate) async fn before(upstream: &H2Upstream) -> TestGateway {
    Plan::of(site(upstream)).start().await
}

/// Tells what came: the target as HTTP/2 has it, the fields, and the body with its trailers.
pub(crate) async fn repeat(mut stream: Stream) {
    let target = format!("{} {}", stream.request.method(), stream.request.uri());
    let fields = stream.request.headers().clone();
    let (body, trailers) = stream.rest().await;
    let mut lines = vec![target];
    for (name, value) in fields.iter().chain(trailers.iter().flatten()) {
        lines.push(format!("{name}: {}", value.to_str().expect("is text")));
    }
    let body = String::from_utf8(body).expect("is text");
    stream.say(&format!("{}\n\n{body}", lines.join("\n")));
}

#[tokio::test]
async fn a_request_arrives_as_http2_has_it() {
    let upstream = H2Upstream::start(repeat).await;
    let gateway = before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let ask = Ask::bare("POST", &format!("{SITE}/a?b=c"))
        .with("Connection", "keep-alive, X-Hop")
        .with("X-Hop", "1")
        .with("TE", "gzip, trailers;q=0.5")
        .with("X-Kept", "yes")
        .with("X-Forwarded-User", "forged")
        .body("text/plain", "hello");
    let told = visitor.send(ask).await.text();
    let (head, body) = told.split_once("\n\n").expect("is told");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST http://site.test/a?b=c"));
    let lines: Vec<&str> = lines.collect();
    for wanted in
        ["content-length: 5", "x-kept: yes", "x-forwarded-host: site.test", "x-forwarded-proto: http"]
    {
        assert!(lines.contains(&wanted), "{wanted} is not in {told}");
    }
    for unwanted in ["host:", "connection:", "te:", "x-hop:", "x-forwarded-user:", "transfer-encoding:"] {
        assert!(!lines.iter().any(|line| line.starts_with(unwanted)), "{unwanted} is in {told}");
    }
    assert_eq!(body, "hello");
    let told = visitor.send(Ask::bare("GET", &format!("{SITE}/")).with("TE", "trailers")).await.text();
    assert!(told.contains("\nte: trailers"), "{told}");
    assert!(!told.contains("content-length"), "{told}");

    let gateway = Plan::of(site(&upstream).with("preserve_host", "false")).start().await;
    let told = Visitor::at(&gateway).get(&format!("{SITE}/a")).await.text();
    assert!(told.starts_with(&format!("GET http://{}/a\n", upstream.address)), "{told}");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        let (_, trailers) = stream.rest().await;
        let came = trailers.unwrap_or_default();
        let mut answer = stream.begin(Response::new(()));
        answer.send_data(Bytes::from_static(b"body"), false).expect("is open");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().expect("is a value"));
        if let Some(sum) = came.get("x-sum") {
            trailers.insert("x-sum-was", sum.clone());
        }
        if came.contains_key("x-forwarded-user") {
            trailers.insert("x-was-fooled", "1".parse().expect("is a value"));
        }
        answer.send_trailers(trailers).expect("is open");
    })
    .await;
    let gateway = before(&upstream).await;
    let mut connection = Visitor::at(&gateway).connect().await;
    let request = "POST /a HTTP/1.1\r\nHost: site.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-Forwarded-User: forged\r\n\r\n";
    connection.send(request.as_bytes()).await;
    let whole = read_until(&mut connection, "\r\n\r\n", 2).await;
    assert!(whole.contains("grpc-status: 0") && whole.contains("x-sum-was: 42"), "{whole}");
    assert!(!whole.contains("x-was-fooled"), "{whole}");
}

/// Reads until `needle` came so many times.
async fn read_until(connection: &mut Connection, needle: &str, times: usize) -> String {
    let mut text = String::new();
    while text.matches(needle).count() < times {
        let more = connection.some().await.expect("no end yet");
        text.push_str(&String::from_utf8_lossy(&more));
    }
    text
}

#[tokio::test]
async fn question_and_answer_flow_at_the_same_time() {
    // Answers before anything was asked, and then each piece with itself.
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        let mut answer = stream.begin(Response::new(()));
        while let Some(Ok(piece)) = stream.piece().await {
            answer.send_data(piece, false).expect("is open");
        }
        answer.send_data(Bytes::from_static(b"bye"), true).expect("is open");
    })
    .await;
    let gateway = before(&upstream).await;
    let mut connection = Visitor::at(&gateway).connect().await;
    connection.send(b"POST /a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    read_until(&mut connection, "\r\n\r\n", 1).await;
    for word in ["one", "two", "six"] {
        connection.send(format!("3\r\n{word}\r\n").as_bytes()).await;
        read_until(&mut connection, word, 1).await;
    }
    connection.send(b"0\r\n\r\n").await;
    let end = read_until(&mut connection, "0\r\n\r\n", 1).await;
    assert!(end.contains("bye"), "{end}");
}

#[tokio::test]
async fn many_requests_share_a_connection_and_more_get_another() {
    const TOGETHER: usize = 24;
    let all_there = Arc::new(Barrier::new(TOGETHER));
    let met = Arc::clone(&all_there);
    let serve = move |mut stream: Stream| {
        let met = Arc::clone(&met);
        async move {
            if stream.request.uri().path() == "/together" {
                met.wait().await;
            }
            stream.say("hello");
        }
    };
    let upstream = H2Upstream::planned(H2Plan { max_streams: Some(10), tls: None }, serve).await;
    let gateway = before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..20 {
        assert_eq!(visitor.get(&format!("{SITE}/alone")).await.text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
    // None of them is answered before all have arrived.
    let visitors = (0..TOGETHER).map(|_| {
        let mut visitor = Visitor::at(&gateway);
        tokio::spawn(async move { visitor.get(&format!("{SITE}/together")).await.text() })
    });
    let visitors: Vec<_> = visitors.collect();
    for visitor in visitors {
        assert_eq!(timeout(HANG, visitor).await.expect("in time").expect("comes back"), "hello");
    }
    assert_eq!(upstream.connections(), 3, "24 streams, 10 on each");
}

#[tokio::test]
async fn those_who_come_at_once_wait_for_one_connection() {
    let upstream = H2Upstream::start(async |mut stream: Stream| stream.say("hello")).await;
    let gateway = before(&upstream).await;
    let visitors = (0..20).map(|_| {
        let mut visitor = Visitor::at(&gateway);
        tokio::spawn(async move { visitor.get(&format!("{SITE}/a")).await.status })
    });
    let visitors: Vec<_> = visitors.collect();
    for visitor in visitors {
        assert_eq!(visitor.await.expect("comes back"), 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_visitor_who_leaves_resets_the_stream_and_nothing_else() {
    let (resets, mut was_reset) = mpsc::unbounded_channel();
    let serve = move |mut stream: Stream| {
        let resets = resets.clone();
        async move {
            match stream.request.uri().path() {
                // Before there is an answer.
                "/silent" => {
                    let reason = std::future::poll_fn(|cx| stream.answer.poll_reset(cx)).await;
                    resets.send(reason.expect("a reset")).expect("somebody listens");
                }
                // In the middle of it.
                "/talking" => {
                    let mut answer = stream.begin(Response::new(()));
                    answer.send_data(Bytes::from_static(b"some"), false).expect("is open");
                    let reason = std::future::poll_fn(|cx| answer.poll_reset(cx)).await;
                    resets.send(reason.expect("a reset")).expect("somebody listens");
                }
                // In the middle of the request.
                "/listening" => {
                    let reason = loop {
                        match stream.piece().await {
                            Some(Ok(_)) => {}
                            Some(Err(error)) => break error.reason().expect("a reset"),
                            None => panic!("the request was cut off"),
                        }
                    };
                    resets.send(reason).expect("somebody listens");
                }
                _ => stream.say("hello"),
            }
        }
    };
    let upstream = H2Upstream::start(serve).await;
    let gateway = before(&upstream).await;
    let mut bystander = Visitor::at(&gateway);
    assert_eq!(bystander.get(&format!("{SITE}/a")).await.text(), "hello");
    for request in [
        "GET /silent HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /talking HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "POST /listening HTTP/1.1\r\nHost: site.test\r\nContent-Length: 100\r\n\r\nsome",
    ] {
        let mut leaver = Visitor::at(&gateway).connect().await;
        leaver.send(request.as_bytes()).await;
        settle().await;
        drop(leaver);
        let reason = timeout(HANG, was_reset.recv()).await.expect(request).expect("is told");
        assert_eq!(reason, Reason::CANCEL, "{request}");
    }
    assert_eq!(bystander.get(&format!("{SITE}/a")).await.text(), "hello");
    assert_eq!(upstream.connections(), 1);
}

/// Begins an answer and breaks it off as the path says.
async fn break_off(mut stream: Stream) {
    let path = stream.request.uri().path().to_owned();
    let mut head = Response::new(());
    if path == "/short" {
        head.headers_mut().insert("content-length", 100.into());
    }
    match path.as_str() {
        "/refused" => return stream.answer.send_reset(Reason::INTERNAL_ERROR),
        "/whole" => return stream.say("whole"),
        _ => {}
    }
    let mut answer = stream.begin(head);
    answer.send_data(Bytes::from_static(b"half"), path == "/short").expect("is open");
    settle().await;
    match path.as_str() {
        "/reset" => answer.send_reset(Reason::INTERNAL_ERROR),
        "/quietly" => answer.send_reset(Reason::NO_ERROR),
        // Without a word.
        "/dropped" => {}
        _ => {
            let _ended = answer.send_data(Bytes::from_static(b"."), true);
        }
    }
}

#[tokio::test]
async fn what_breaks_off_never_looks_complete() {
    let upstream = H2Upstream::start(break_off).await;
    let gateway = before(&upstream).await;
    for path in ["/reset", "/quietly", "/dropped", "/short"] {
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: site.test\r\n\r\n").as_bytes()).await;
        let all = String::from_utf8(connection.rest().await).expect("is text");
        // The connection ends, and neither a last chunk nor a length says that this was all.
        assert!(all.is_empty() || all.starts_with("HTTP/1.1 200 "), "{path}: {all}");
        assert!(!all.ends_with("0\r\n\r\n"), "{path}: {all}");
        assert!(!all.to_lowercase().contains("content-length: 4\r\n"), "{path}: {all}");
        // And the next visitor does not notice.
        assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}/whole")).await.text(), "whole");
    }
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/refused")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_broke_off"));
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_early_answer_is_whole_although_the_rest_of_the_request_is_unwanted() {
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        let head = Response::builder().status(StatusCode::PAYLOAD_TOO_LARGE).body(()).expect("a head");
        let mut answer = stream.begin(head);
        answer.send_data(Bytes::from_static(b"too much"), true).expect("is open");
        // Behind it, as nobody reads the rest, the stream is reset with NO_ERROR.
    })
    .await;
    let gateway = before(&upstream).await;
    for _ in 0..3 {
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"POST /a HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1000\r\n\r\nsome").await;
        let answer = connection.receive("POST").await.expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn what_may_have_no_body_has_none() {
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        let status = stream.request.uri().path().trim_start_matches('/').parse().expect("a status");
        let mut head = Response::builder().status::<u16>(status).body(()).expect("a head");
        if stream.request.method() == "HEAD" {
            head.headers_mut().insert("content-length", 1234.into());
        }
        let mut answer = stream.begin(head);
        let _reset = answer.send_data(Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n"), true);
    })
    .await;
    let gateway = before(&upstream).await;
    let mut connection = Visitor::at(&gateway).connect().await;
    for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200), ("GET", 204)] {
        let request = format!("{method} /{status} HTTP/1.1\r\nHost: site.test\r\n\r\n");
        let answer = connection.exchange(request.as_bytes(), method).await.expect("an answer");
        assert_eq!(answer.status, status, "{method}");
    }
}

#[tokio::test]
async fn interim_answers_are_skipped_and_what_is_no_answer_is_refused() {
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        let hints = || Response::builder().status(103).header("link", "</a.css>").body(()).expect("a head");
        match stream.request.uri().path() {
            "/hints" => {
                for _ in 0..3 {
                    stream.answer.send_informational(hints()).expect("is open");
                }
                stream.say("hello");
            }
            "/lengths" => {
                let head = Response::builder().header("content-length", "2").header("content-length", "2");
                let mut answer = stream.begin(head.body(()).expect("a head"));
                answer.send_data(Bytes::from_static(b"ok"), true).expect("is open");
            }
            _ => stream.say("hello"),
        }
    })
    .await;
    let gateway = before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..2 {
        let answer = visitor.get(&format!("{SITE}/hints")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert!(answer.interim.is_empty());
        let answer = visitor.fetch(&format!("{SITE}/lengths")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_unreadable"));
    }
    assert_eq!(visitor.get(&format!("{SITE}/a")).await.text(), "hello");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_else() {
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        if stream.request.uri().path() != "/endless" {
            return stream.say("hello");
        }
        let mut answer = stream.begin(Response::new(()));
        loop {
            answer.reserve_capacity(64 * 1024);
            while answer.capacity() == 0 {
                let Some(Ok(_)) = std::future::poll_fn(|cx| answer.poll_capacity(cx)).await else { return };
            }
            let room = answer.capacity().min(64 * 1024);
            if answer.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
                return;
            }
        }
    })
    .await;
    let gateway = before(&upstream).await;
    // More than a connection's usual window holds.
    let mut silent = Vec::new();
    for _ in 0..30 {
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"GET /endless HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
        silent.push(connection);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..5 {
        assert_eq!(timeout(HANG, visitor.get(&format!("{SITE}/a"))).await.expect("in time").text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_leaves_is_followed_without_a_word_to_anybody() {
    let upstream = H2Upstream::start(async |mut stream: Stream| stream.say("hello")).await;
    let gateway = before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    for round in 1..4 {
        for _ in 0..5 {
            assert_eq!(visitor.get(&format!("{SITE}/a")).await.text(), "hello");
        }
        assert_eq!(upstream.connections(), round);
        upstream.leave();
        settle().await;
    }
}

#[tokio::test]
async fn a_gateway_that_stops_does_not_wait_for_idle_connections() {
    let upstream = H2Upstream::start(async |mut stream: Stream| stream.say("hello")).await;
    let gateway = before(&upstream).await;
    assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}/a")).await.text(), "hello");
    // The time to drain would be thirty seconds.
    timeout(Duration::from_secs(10), gateway.stop()).await.expect("stops at once");
}

#[tokio::test]
async fn who_streams_questions_may_have_none_for_a_while() {
    // Says nothing, not even a head, before it is asked.
    let upstream = H2Upstream::start(async |mut stream: Stream| {
        let _question = stream.piece().await;
        stream.say("answer");
    })
    .await;
    let site = site(&upstream).with("upstream_timeout", "\"200ms\"");
    let plan = Plan::of(site).server("h2c", "true").server("body_idle_timeout", "\"200ms\"");
    let gateway = plan.start().await;
    let stream = Connection::dial([127, 0, 0, 1].into(), gateway.http).await;
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("begins");
    tokio::spawn(connection);
    for (kind, status) in [("application/grpc", 200), ("application/grpc+proto", 200), ("text/plain", 408)] {
        let request = http::Request::post("http://site.test/a").header("content-type", kind);
        let request = request.body(()).expect("a request");
        let (answer, mut question) = sender.send_request(request, false).expect("is sent");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _refused = question.send_data(Bytes::from_static(b"question"), true);
        let answer = timeout(HANG, answer).await.expect("in time").expect("an answer");
        assert_eq!(answer.status(), status, "{kind}");
    }
}
