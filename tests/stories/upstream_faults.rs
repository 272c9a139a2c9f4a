//! Upstreams that misbehave, and clients that do: each is blamed for its own, and nothing gets
//! lost without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    Answer, Ask, ByHand, Connection, FakeUpstream, Plan, Program, SITE, SitePlan, TestGateway, Visitor,
    read_until, rest, serving,
};

async fn open_site(upstream: &FakeUpstream) -> TestGateway {
    Plan::new(upstream).site(|site| site.with("access", "\"off\"")).start().await
}

#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_is_not_passed_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = open_site(&upstream).await;
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ] {
        upstream.answers(Answer::Bytes(format!("HTTP/1.1 200 OK\r\n{framing}\r\nhello").into_bytes()));
        let answer = Visitor::at(&gateway).get(&format!("{SITE}/a")).await;
        assert_eq!(answer.status, 502, "{framing:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_line_that_ends_in_no_way_is_not_waited_behind() {
    let address = serving(|mut stream| async move {
        let mut buffer = vec![0; 8192];
        let _first = stream.read(&mut buffer).await;
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok").await;
        // It keeps the connection open.
        let _forever = stream.read(&mut buffer).await;
    })
    .await;
    let gateway =
        Plan::of(SitePlan::new("intranet", "site.test", address).with("access", "\"off\"")).start().await;
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_unreadable"));
}

#[tokio::test]
async fn extensions_are_borne_beside_as_much_data() {
    let upstream = FakeUpstream::start().await;
    let gateway = open_site(&upstream).await;
    let signed = format!("400;signature={}\r\n{}\r\n", "a".repeat(64), "x".repeat(1024));
    let chatter = format!("1;signature={}\r\nx\r\n", "a".repeat(64));
    for (chunk, is_borne) in [(signed, true), (chatter, false)] {
        let body = chunk.repeat(200);
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n");
        upstream.answers(Answer::Bytes(answer.into_bytes()));
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"GET /a HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n").await;
        assert_eq!(connection.rest().await.ends_with(b"\r\n0\r\n\r\n"), is_borne);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_counted() {
    let upstream = FakeUpstream::start().await;
    let gateway = open_site(&upstream).await;
    for (number, answer) in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfour",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothing of the kind\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        upstream.answers(Answer::Bytes(answer.into()));
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"GET /a HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
        assert!(connection.rest().await.starts_with(b"HTTP/1.1 200 "), "{answer:?}");
        let metrics = gateway.api().get("/metrics").await.text();
        let failures = metrics.lines().find(|line| line.starts_with("tollgate_upstream_failures_total{"));
        let counted = failures.and_then(|line| line.rsplit(' ').next()).map(str::parse);
        assert_eq!(counted, Some(Ok(number + 1)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_streamed_body_arrives_whatever_the_method() {
    let upstream = FakeUpstream::start().await;
    let gateway = open_site(&upstream).await;
    for method in ["GET", "POST", "DELETE", "PROPFIND"] {
        let request = format!(
            "{method} /a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let answer = Visitor::at(&gateway).send_raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(upstream.last().body, b"hello", "{method}");
    }
}

/// They are what is known, and more that can be left aside (RFC 9110 §2.5).
#[tokio::test]
async fn answers_in_a_later_http_1_are_read_as_in_http_1_1() {
    let upstream = FakeUpstream::start().await;
    let gateway = open_site(&upstream).await;
    for version in ["HTTP/1.2", "HTTP/1.9"] {
        for framing in
            ["Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "Content-Length: 2\r\n\r\nok"]
        {
            upstream.answers(Answer::Bytes(format!("{version} 200 OK\r\n{framing}").into_bytes()));
            let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{version} {framing:?}");
        }
    }
}

#[tokio::test]
async fn after_an_answer_in_http_1_0_the_next_upload_is_whole() {
    let upstream = FakeUpstream::start().await;
    let gateway = open_site(&upstream).await;
    let old = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
    upstream.answers(Answer::Bytes(old.into()));
    assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}/a")).await.text(), "ok");
    upstream.answers(Answer::page("hello"));
    let upload =
        "POST /a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(Visitor::at(&gateway).send_raw(upload.as_bytes()).await.expect("an answer").status, 200);
    assert_eq!(upstream.last().body, b"hello");
}

#[tokio::test]
async fn a_body_that_the_client_frames_wrongly_is_the_clients_fault() {
    let upstream = FakeUpstream::start().await;
    let gateway = open_site(&upstream).await;
    for chunk in ["zz\r\nhello\r\n", "-3\r\nhello\r\n", "0x5\r\nhello\r\n"] {
        let request =
            format!("POST /a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        let answer = Visitor::at(&gateway).send_raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status, 400, "{chunk:?}: {answer:?}");
    }
    let gzip = "POST /a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let answer = Visitor::at(&gateway).send_raw(gzip.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 501);
}

/// An upstream that answers one request on each connection as if it would take another, and hangs
/// up when that one comes.
async fn hangs_up_on_the_second() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let hung_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hung_up);
    let address = serving(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let mut buffer = vec![0; 8192];
            let _first = stream.read(&mut buffer).await;
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            if stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (address, hung_up)
}

#[tokio::test]
async fn what_does_no_harm_twice_is_sent_again_when_an_idle_connection_breaks() {
    let (address, hung_up) = hangs_up_on_the_second().await;
    let site = SitePlan::new("intranet", "site.test", address).with("access", "\"off\"");
    let gateway = Plan::of(site).server("workers", "1").start().await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..4 {
        assert_eq!(visitor.get(&format!("{SITE}/a")).await.text(), "ok");
    }
    assert!(hung_up.load(Ordering::SeqCst) > 0, "the story did not happen");
    // A POST may have had its effect: the visitor is told that nobody knows.
    let posted = visitor.send(Ask::navigate("POST", &format!("{SITE}/a")).form(&[("a", "b")])).await;
    assert_eq!(posted.status, 502);
}

/// An upstream that answers the first request on each of its first connections, and hangs up on
/// everything else that it has read.
async fn answers_first_and_then_never(good: usize) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let in_vain = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&in_vain);
    let all_there = Arc::new(tokio::sync::Barrier::new(good));
    let mut numbers = 0..;
    let address = serving(move |mut stream| {
        let is_good = numbers.next().is_some_and(|number| number < good);
        let (count, all_there) = (Arc::clone(&count), Arc::clone(&all_there));
        async move {
            let mut buffer = vec![0; 8192];
            if is_good {
                let _first = stream.read(&mut buffer).await;
                all_there.wait().await;
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
            if stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (address, in_vain)
}

#[tokio::test]
async fn what_is_sent_again_is_sent_again_once() {
    const IDLE: usize = 5;
    let (address, in_vain) = answers_first_and_then_never(IDLE).await;
    let site = SitePlan::new("intranet", "site.test", address).with("access", "\"off\"");
    let gateway = Plan::of(site).start().await;
    let visits = (0..IDLE).map(|_| {
        let mut visitor = Visitor::at(&gateway);
        tokio::spawn(async move { visitor.get(&format!("{SITE}/a")).await.status })
    });
    for visit in visits.collect::<Vec<_>>() {
        assert_eq!(visit.await.expect("comes back"), 200);
    }
    // However many connections there are on which it could be tried.
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_broke_off"));
    assert_eq!(in_vain.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_client_that_ends_its_side_counts_as_gone() {
    let upstream = ByHand::start().await;
    let site = SitePlan::new("intranet", "site.test", upstream.address()).with("access", "\"off\"");
    let program = Program::start(&Plan::of(site)).await;
    for (answer, last) in [("", ""), ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfour", "four")] {
        let mut client = Connection::dial([127, 0, 0, 1].into(), program.http).await;
        client.write_all(b"GET /a HTTP/1.1\r\nHost: site.test\r\n\r\n").await.unwrap();
        let mut asked = upstream.accept().await;
        read_until(&mut asked, "\r\n\r\n").await;
        asked.write_all(answer.as_bytes()).await.unwrap();
        read_until(&mut client, last).await;
        client.shutdown().await.unwrap();
        assert!(rest(&mut client).await.is_empty(), "no more is sent");
        assert!(rest(&mut asked).await.is_empty(), "the upstream is let go");
    }
    program.line_with("\"status\":499").await;
    assert_eq!(program.lines_with("\"status\":499").len(), 1);
}

#[tokio::test]
async fn what_would_serve_another_path_or_method_than_was_judged_is_dropped() {
    let upstream = FakeUpstream::start().await;
    let site = |site: SitePlan| site.with("access", "\"off\"").route_for(&["DELETE"], "/a", "required");
    let gateway = Plan::new(&upstream).site(site).start().await;
    let ask = Ask::navigate("GET", &format!("{SITE}/a"))
        .with("X-Original-URL", "/admin")
        .with("X_Rewrite_URL", "/admin")
        .with("X-Forwarded-Uri", "/admin")
        .with("X-HTTP-Method-Override", "DELETE");
    assert_eq!(Visitor::at(&gateway).send(ask).await.status, 200);
    let received = upstream.last();
    for name in ["x-original-url", "x_rewrite_url", "x-forwarded-uri", "x-http-method-override"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    upstream.forget().await;
    assert_eq!(Visitor::at(&gateway).send(Ask::navigate("delete", &format!("{SITE}/a"))).await.status, 405);
    upstream.assert_untouched("a method in another case").await;
}
