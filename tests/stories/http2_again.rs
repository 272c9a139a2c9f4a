//! Requests to upstreams that speak HTTP/2 which had no answer: when they are sent again, and to whom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http2_upstream::{before, site};
use crate::support::http2::{H2Upstream, Stream};
use crate::support::{Ask, Plan, SITE, Visitor, serving};

#[tokio::test]
async fn what_was_not_even_looked_at_is_sent_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let serve = move |mut stream: Stream| {
        let number = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            match number {
                0 => stream.say("first"),
                // On a connection that was good a moment ago.
                1 => stream.answer.send_reset(Reason::REFUSED_STREAM),
                _ => stream.say("again"),
            }
        }
    };
    let upstream = H2Upstream::start(serve).await;
    let gateway = before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    assert_eq!(visitor.get(&format!("{SITE}/a")).await.text(), "first");
    let posted = visitor.send(Ask::bare("POST", &format!("{SITE}/a"))).await;
    assert_eq!((posted.status, posted.text().as_str()), (200, "again"));
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

/// The way to an upstream: its first connection breaks when a second request comes on it.
async fn way_that_breaks(upstream: SocketAddr) -> SocketAddr {
    let mut numbers = 0..;
    serving(move |mut gateway| {
        let is_first = numbers.next() == Some(0);
        async move {
            let mut upstream = TcpStream::connect(upstream).await.expect("connects");
            if !is_first {
                let _ended = copy_bidirectional(&mut gateway, &mut upstream).await;
                return;
            }
            // Until it is quiet, which means that the first request has been answered.
            let quiet = Duration::from_millis(500);
            let talk = copy_bidirectional(&mut gateway, &mut upstream);
            let _quiet = timeout(quiet, talk).await;
            let mut next = [0; 1];
            let _request = gateway.peek(&mut next).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_does_no_harm_twice_is_sent_again_when_a_connection_breaks() {
    let upstream = H2Upstream::start(async |mut stream: Stream| stream.say("hello")).await;
    for (method, status) in [("GET", 200), ("POST", 502)] {
        let way = way_that_breaks(upstream.address).await;
        let site = site(&upstream).upstreams(&[format!("h2c://{way}")]);
        let gateway = Plan::of(site).start().await;
        let mut visitor = Visitor::at(&gateway);
        assert_eq!(visitor.get(&format!("{SITE}/a")).await.text(), "hello");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = visitor.send(Ask::bare(method, &format!("{SITE}/a"))).await;
        assert_eq!(second.status, status, "{method}");
    }
}

#[tokio::test]
async fn what_one_upstream_refuses_another_may_take() {
    let refuser =
        H2Upstream::start(async |mut stream: Stream| stream.answer.send_reset(Reason::REFUSED_STREAM)).await;
    let other = H2Upstream::start(async |mut stream: Stream| stream.say("hello")).await;
    let both = [&refuser, &other].map(|upstream| format!("h2c://{}", upstream.address));
    let gateway = Plan::of(site(&refuser).upstreams(&both)).start().await;
    let mut visitor = Visitor::at(&gateway);
    // Until chance has led to the one that refuses.
    while refuser.connections() == 0 {
        let posted = visitor.send(Ask::bare("POST", &format!("{SITE}/a"))).await;
        assert_eq!((posted.status, posted.text().as_str()), (200, "hello"));
    }
}
