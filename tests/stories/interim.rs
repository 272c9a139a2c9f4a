//! What an upstream says before its answer (RFC 9110 §15.2): 103 with what a page will need, above all.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{ByHand, HANG, TestGateway, read_until};

async fn begin() -> (TestGateway, ByHand, TcpStream) {
    let (gateway, by_hand) = ByHand::behind(|site| site).await;
    let visitor = TcpStream::connect(gateway.http).await.expect("connects");
    (gateway, by_hand, visitor)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn early_hints_come_while_the_page_is_still_being_made() {
    let (_gateway, by_hand, mut visitor) = begin().await;
    visitor.write_all(b"GET /public/page HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("writes");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    for (hint, shown) in [("</a.css>; rel=preload", "</a.css>; rel=preload"), ("</b.js>", "</b.js>")] {
        let head = format!(
            "HTTP/1.1 103 What reason\r\nLink: {hint}\r\nSet-Cookie: tollgate=planted\r\nSet-Cookie: a=b\r\n\
             X-Tollgate-Word: x\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 7\r\n\r\n"
        );
        upstream.write_all(head.as_bytes()).await.expect("writes");
        let early = read_until(&mut visitor, "\r\n\r\n").await;
        assert_eq!(early, format!("HTTP/1.1 103 Early Hints\r\nlink: {shown}\r\n\r\n"));
    }
    upstream.write_all(OK.as_bytes()).await.expect("writes");
    let answer = read_until(&mut visitor, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    // What comes together with the answer stands before it, and the connection goes on.
    for _ in 0..2 {
        visitor.write_all(b"GET /public/page HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("writes");
        read_until(&mut upstream, "\r\n\r\n").await;
        let both = format!("HTTP/1.1 103 Early Hints\r\nLink: </c.css>\r\n\r\n{OK}");
        upstream.write_all(both.as_bytes()).await.expect("writes");
        let all = read_until(&mut visitor, "\r\n\r\nok").await;
        let answer = all.strip_prefix("HTTP/1.1 103 Early Hints\r\nlink: </c.css>\r\n\r\n").expect(&all);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{all}");
    }
}

#[tokio::test]
async fn they_come_while_a_body_is_still_being_sent() {
    let (_gateway, by_hand, mut visitor) = begin().await;
    let head =
        "POST /public/form HTTP/1.1\r\nHost: site.test\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n";
    visitor.write_all(head.as_bytes()).await.expect("writes");
    let mut upstream = by_hand.accept().await;
    // To say that the body may come is the gateway's; what the upstream says of it goes no further.
    assert_eq!(read_until(&mut visitor, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    read_until(&mut upstream, "\r\n\r\n").await;
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    upstream.write_all(hints.as_bytes()).await.expect("writes");
    assert_eq!(read_until(&mut visitor, "\r\n\r\n").await, "HTTP/1.1 102 Processing\r\n\r\n");
    visitor.write_all(b"a=1234").await.expect("writes");
    read_until(&mut upstream, "a=1234").await;
    upstream.write_all(OK.as_bytes()).await.expect("writes");
    read_until(&mut visitor, "\r\n\r\nok").await;
}

#[tokio::test]
async fn a_client_that_cannot_understand_them_gets_none() {
    let (_gateway, by_hand, mut visitor) = begin().await;
    visitor.write_all(b"GET /public/page HTTP/1.0\r\nHost: site.test\r\n\r\n").await.expect("writes");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    let both = format!("HTTP/1.1 103 Early Hints\r\nLink: </c.css>\r\n\r\n{OK}");
    upstream.write_all(both.as_bytes()).await.expect("writes");
    let answer = read_until(&mut visitor, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_only_its_own_answer_up() {
    let (_gateway, by_hand, mut visitor) = begin().await;
    visitor.write_all(b"GET /public/page HTTP/1.1\r\nHost: site.test\r\n\r\n").await.expect("writes");
    let mut upstream = by_hand.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    // As many as are borne with, each nearly as long as a head may be: more than waits for anybody.
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(250 * 1024));
    let writing = tokio::spawn(async move {
        upstream.write_all(hint.repeat(32).as_bytes()).await.expect("writes");
        upstream.write_all(OK.as_bytes()).await.expect("writes");
        upstream
    });
    let _upstream = timeout(HANG, writing).await.expect("the gateway goes on reading").expect("is done");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let all = read_until(&mut visitor, "\r\n\r\nok").await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.len() < 1024, "{}", all.len());
}
