//! Bodies pass as they come, both ways: nothing waits for an end that may never come, and whoever
//! reads slowly slows the other side down instead of filling the gateway's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{ByHand, FakeUpstream, HANG, Plan, SitePlan, TestGateway, Visitor, read_until, rest};

/// More than all socket buffers on the way can hold together.
const MORE_THAN_BUFFERS: usize = 192 * 1024 * 1024;
/// What buffers on the way, the kernel's above all, may hold at most.
const BUFFERS: usize = 96 * 1024 * 1024;

/// Waits until `progress` stands still; returns where.
async fn standstill(progress: &AtomicUsize) -> usize {
    let mut last = usize::MAX;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = progress.load(Ordering::SeqCst);
        if now == last {
            return now;
        }
        last = now;
    }
}

/// What long bodies repeat. Its length is prime, so that no block is like its neighbour.
fn pattern() -> Vec<u8> {
    (0..65_521_usize).map(|at| (at.wrapping_mul(31) ^ (at >> 7)).to_le_bytes()[0]).collect()
}

/// Writes `length` bytes of the pattern and counts them. Hands the writer back, still open.
async fn write_pattern<W: AsyncWriteExt + Unpin>(mut to: W, length: usize, written: Arc<AtomicUsize>) -> W {
    let pattern = pattern();
    let mut at = 0;
    while at < length {
        let block = &pattern[at % pattern.len()..];
        let block = &block[..block.len().min(length - at)];
        at += to.write(block).await.expect("takes the bytes");
        written.store(at, Ordering::SeqCst);
    }
    to
}

/// Reads `length` bytes, of which the first are in `first`, and compares them with the pattern.
async fn read_pattern(from: &mut (impl AsyncReadExt + Unpin), first: &[u8], length: usize) {
    let pattern = pattern();
    let mut read = first.to_vec();
    let mut at = 0;
    loop {
        let mut left = read.as_slice();
        while !left.is_empty() {
            let expected = &pattern[at % pattern.len()..];
            let (block, rest) = left.split_at(left.len().min(expected.len()));
            assert!(expected.starts_with(block), "behind byte {at}");
            (left, at) = (rest, at + block.len());
        }
        if at >= length {
            assert_eq!(at, length);
            return;
        }
        read.clear();
        let more = timeout(HANG, from.read_buf(&mut read)).await.expect("more bytes").expect("reads");
        assert!(more > 0, "ends at {at} of {length}");
    }
}

/// Reads a head; returns what already came of the body behind it.
async fn read_head(from: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut start = Vec::new();
    loop {
        let read = timeout(HANG, from.read_buf(&mut start)).await.expect("more bytes").expect("reads");
        assert!(read > 0, "ends in the head");
        if let Some(at) = start.windows(4).position(|window| window == b"\r\n\r\n") {
            return start.split_off(at + 4);
        }
    }
}

#[tokio::test]
async fn what_the_upstream_has_said_arrives_before_it_has_said_all() {
    let (gateway, by_hand) = ByHand::behind(|site| site).await;
    let mut visitor = TcpStream::connect(gateway.http).await.expect("connects");
    visitor.write_all(b"GET /public/events HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("writes");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.write_all(head.as_bytes()).await.expect("writes");
    read_until(&mut visitor, "\r\n\r\n").await;
    for event in ["first", "second", "third"] {
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        upstream.write_all(chunk.as_bytes()).await.expect("writes");
        read_until(&mut visitor, event).await;
    }
    upstream.write_all(b"0\r\n\r\n").await.expect("writes");
    read_until(&mut visitor, "0\r\n\r\n").await;
}

#[tokio::test]
async fn what_the_visitor_has_sent_arrives_before_it_has_sent_all() {
    let (gateway, by_hand) = ByHand::behind(|site| site).await;
    let mut visitor = TcpStream::connect(gateway.http).await.expect("connects");
    let head = "POST /public/upload HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    visitor.write_all(head.as_bytes()).await.expect("writes");
    visitor.write_all(b"5\r\nfirst\r\n").await.expect("writes");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "first").await;
    visitor.write_all(b"6\r\nsecond\r\n").await.expect("writes");
    read_until(&mut upstream, "second").await;
    // An upstream may answer before it has read all.
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await.expect("writes");
    read_until(&mut visitor, "early").await;
}

#[tokio::test]
async fn question_and_answer_flow_at_the_same_time() {
    let (gateway, by_hand) = ByHand::behind(|site| site).await;
    let mut visitor = TcpStream::connect(gateway.http).await.expect("connects");
    let head = "POST /public/talk HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    visitor.write_all(head.as_bytes()).await.expect("writes");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    // The answer begins before there is a single word of the question.
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.write_all(head.as_bytes()).await.expect("writes");
    read_until(&mut visitor, "\r\n\r\n").await;
    for word in ["one", "two", "six"] {
        visitor.write_all(format!("3\r\n{word}\r\n").as_bytes()).await.expect("writes");
        read_until(&mut upstream, word).await;
        upstream.write_all(format!("6\r\nre {word}\r\n").as_bytes()).await.expect("writes");
        read_until(&mut visitor, &format!("re {word}")).await;
    }
    visitor.write_all(b"0\r\n\r\n").await.expect("writes");
    read_until(&mut upstream, "0\r\n\r\n").await;
    upstream.write_all(b"0\r\n\r\n").await.expect("writes");
    read_until(&mut visitor, "0\r\n\r\n").await;
}

#[tokio::test]
async fn an_upstream_that_stops_reading_stalls_the_upload() {
    let (gateway, by_hand) = ByHand::behind(|site| site).await;
    let mut visitor = TcpStream::connect(gateway.http).await.expect("connects");
    let head = format!(
        "POST /public/upload HTTP/1.1\r\nHost: site.test\r\nContent-Length: {MORE_THAN_BUFFERS}\r\n\r\n"
    );
    visitor.write_all(head.as_bytes()).await.expect("writes");
    let (mut from_gateway, to_gateway) = visitor.into_split();
    let written = Arc::<AtomicUsize>::default();
    let upload = tokio::spawn(write_pattern(to_gateway, MORE_THAN_BUFFERS, Arc::clone(&written)));

    let mut upstream = by_hand.accept().await;
    let body = read_head(&mut upstream).await;
    let stalled = standstill(&written).await;
    assert!(stalled < BUFFERS, "{stalled} bytes were taken for an upstream that reads none");

    read_pattern(&mut upstream, &body, MORE_THAN_BUFFERS).await;
    let _still_open = upload.await.expect("is done");
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("writes");
    let answer = read_until(&mut from_gateway, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_visitor_who_stops_reading_stalls_the_download() {
    let (gateway, by_hand) = ByHand::behind(|site| site).await;
    let mut visitor = TcpStream::connect(gateway.http).await.expect("connects");
    visitor.write_all(b"GET /public/download HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("writes");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MORE_THAN_BUFFERS}\r\n\r\n");
    upstream.write_all(head.as_bytes()).await.expect("writes");
    let (_from_gateway, to_gateway) = upstream.into_split();
    let written = Arc::<AtomicUsize>::default();
    let download = tokio::spawn(write_pattern(to_gateway, MORE_THAN_BUFFERS, Arc::clone(&written)));
    let stalled = standstill(&written).await;
    assert!(stalled < BUFFERS, "{stalled} bytes were taken for a visitor who reads none");

    let body = read_head(&mut visitor).await;
    read_pattern(&mut visitor, &body, MORE_THAN_BUFFERS).await;
    let _still_open = download.await.expect("is done");
}

#[tokio::test]
async fn a_visitor_who_leaves_ends_the_upstreams_work() {
    let (gateway, by_hand) = ByHand::behind(|site| site).await;
    let mut visitor = Visitor::at(&gateway).connect().await;
    visitor.send(b"GET /public/slow HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome").await.expect("writes");
    drop(visitor);
    let mut rest = Vec::new();
    let end = timeout(HANG, upstream.read_to_end(&mut rest)).await.expect("the gateway hangs up");
    assert!(end.is_err() || rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_an_idle_connection_is_kept_for_longer() {
    let upstream = FakeUpstream::start().await;
    let plan =
        Plan::new(&upstream).server("header_timeout", "\"300ms\"").server("keep_alive_timeout", "\"2s\"");
    let gateway = plan.site(|site| site.route("/open", "off")).start().await;
    let request = "GET /open HTTP/1.1\r\nHost: site.test\r\n\r\n";

    // A head that trickles in, and one that never comes, end the connection without an answer.
    for beginning in ["", &request[..20]] {
        let mut stream = TcpStream::connect(gateway.http).await.expect("connects");
        stream.write_all(beginning.as_bytes()).await.expect("is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("is closed in the end");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }

    // Between two requests a connection may rest for longer than a head may take.
    let mut stream = TcpStream::connect(gateway.http).await.expect("connects");
    let mut buffer = vec![0; 4096];
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).await.expect("is sent");
        let length = stream.read(&mut buffer).await.expect("answers");
        assert!(buffer[..length].starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    // And not for ever: the connection ends by itself.
    while stream.read(&mut buffer).await.expect("is closed in the end") > 0 {}
}

#[tokio::test]
async fn a_head_that_begins_behind_another_request_has_all_of_its_time() {
    let upstream = FakeUpstream::start().await;
    let request = b"GET /open HTTP/1.1\r\nHost: site.test\r\n\r\n".as_slice();
    for (head_time, is_in_time) in [("10s", true), ("300ms", false)] {
        let plan = Plan::new(&upstream).server("header_timeout", &format!("{head_time:?}"));
        let gateway = plan.site(|site| site.route("/open", "off")).start().await;
        // From the first byte of it to the last but one.
        for begun in [1, 5, request.len() - 1] {
            let mut visitor = TcpStream::connect(gateway.http).await.expect("connects");
            let last = b"GET /open HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n";
            let (beginning, end) = last.split_at(begun);
            visitor.write_all(&[request, beginning].concat()).await.expect("is sent");
            read_until(&mut visitor, "\r\n\r\n").await;
            tokio::time::sleep(Duration::from_millis(900)).await;
            let _may_be_closed = visitor.write_all(end).await;
            let rest = rest(&mut visitor).await;
            let answers = String::from_utf8_lossy(&rest).matches("HTTP/1.1 200").count();
            assert_eq!(answers, usize::from(is_in_time), "{head_time} {begun}");
        }
    }
}

/// A gateway that waits 300 ms for a piece of a body; a visitor who has asked for something; and the
/// upstream, which was asked.
async fn asked_with_little_patience() -> (TestGateway, TcpStream, TcpStream) {
    let by_hand = ByHand::start().await;
    let site = SitePlan::new("intranet", "site.test", by_hand.address());
    let plan = Plan::of(site.with("access", "\"off\"")).server("body_idle_timeout", "\"300ms\"");
    let gateway = plan.start().await;
    let mut visitor = TcpStream::connect(gateway.http).await.expect("connects");
    visitor.write_all(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("asks");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    (gateway, visitor, upstream)
}

#[tokio::test]
async fn an_upstream_that_falls_silent_is_cut_off_but_for_events() {
    for (kind, is_cut) in [("text/plain", true), ("text/event-stream; charset=utf-8", false)] {
        let (_gateway, mut visitor, mut upstream) = asked_with_little_patience().await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        upstream.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).await.expect("begins");
        read_until(&mut visitor, "first").await;
        let mut more = [0; 64];
        let next = timeout(Duration::from_millis(1500), visitor.read(&mut more)).await;
        // Cut off, and not ended: the last chunk is missing.
        assert_eq!(matches!(next, Ok(Ok(0) | Err(_))), is_cut, "{kind}: {next:?}");
        if !is_cut {
            upstream.write_all(b"6\r\nsecond\r\n").await.expect("goes on");
            read_until(&mut visitor, "second").await;
        }
    }
}

#[tokio::test]
async fn a_visitor_who_stops_reading_is_let_go() {
    let (_gateway, visitor, mut upstream) = asked_with_little_patience().await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MORE_THAN_BUFFERS}\r\n\r\n");
    upstream.write_all(head.as_bytes()).await.expect("begins");
    // The visitor reads nothing: sooner or later the upstream can write no more, and is let go too.
    let block = vec![0; 65_536];
    let cut_off = async { while upstream.write_all(&block).await.is_ok() {} };
    timeout(HANG, cut_off).await.expect("is let go");
    drop(visitor);
}
