//! Whoever watches over the gateway is told the truth, whatever upstreams answer and settings become, and
//! nothing that is none of their business.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sso_group::{House, opens};
use crate::support::{Answer, FakeUpstream, HANG, Plan, SITE, TestGateway, Visitor, settle};

/// The figure `series`, if it is told.
async fn figure(gateway: &TestGateway, series: &str) -> Option<String> {
    let page = gateway.api().get("/metrics").await.text();
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned))
}

async fn ask_for_events(gateway: std::net::SocketAddr, key: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    let request =
        format!("GET /v1/events HTTP/1.1\r\nHost: {gateway}\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn read_until(stream: &mut TcpStream, text: &mut String, word: &str) {
    let reading = async {
        while !text.contains(word) {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).await.unwrap();
            assert!(length > 0, "it ended with {text:?}");
            text.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    };
    tokio::time::timeout(HANG, reading).await.unwrap_or_else(|_| panic!("nobody said {word:?}"));
}

#[tokio::test]
async fn an_answer_whose_status_is_of_no_class_is_counted_as_a_fault_of_the_site() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).start().await;
    for status in [600, 999] {
        let bytes = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").into_bytes();
        upstream.answers(Answer::Bytes(bytes));
        assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}/public/a")).await.status, status);
    }
    let series = "tollgate_requests_total{site=\"intranet\",code=\"5xx\",decision=\"allowed\"}";
    assert_eq!(figure(&gateway, series).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn connections_are_as_many_as_are_open_where_fewer_may_be() {
    let upstream = FakeUpstream::start().await;
    let mut gateway = Plan::new(&upstream).server("max_connections", "10").start().await;
    let visitor = Visitor::at(&gateway);
    let mut open = Vec::new();
    for _ in 0..6 {
        let mut connection = visitor.connect().await;
        let get = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
        assert_eq!(connection.exchange(get, "GET").await.unwrap().status, 200);
        open.push(connection);
    }
    let connections = "tollgate_connections{listener=\"public\"}";
    assert_eq!(figure(&gateway, connections).await.as_deref(), Some("6"));
    gateway.reload(&Plan::new(&upstream).server("max_connections", "2")).await.unwrap();
    settle().await;
    assert_eq!(figure(&gateway, connections).await.as_deref(), Some("6"));
    assert_eq!(
        figure(&gateway, "tollgate_connections_limit{listener=\"public\"}").await.as_deref(),
        Some("2")
    );
    open.truncate(1);
    let left = async {
        while figure(&gateway, connections).await.as_deref() != Some("1") {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, left).await.expect("who left is not counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_key_that_is_taken_away_cannot_slip_in_while_it_is() {
    let upstream = FakeUpstream::start().await;
    let watcher = "watches-everything-0123456789abcdefgh";
    let key = format!("name = \"watcher\"\nsecret = {watcher:?}\nscopes = [\"read:sessions\"]");
    let plan = || Plan::new(&upstream).server("workers", "8");
    let (with, without) = (plan().key(&key), plan());
    let mut gateway = with.start().await;
    let (with, without) = (plan().key(&key), without);
    let control = gateway.control;
    for _ in 0..10 {
        let over = Arc::new(AtomicBool::new(false));
        let comers: Vec<_> = (0..4)
            .map(|_| {
                let over = Arc::clone(&over);
                tokio::spawn(async move {
                    // Comes again at once whenever it is shown out, until it is not let in any more.
                    loop {
                        let (mut stream, mut text) = (ask_for_events(control, watcher).await, String::new());
                        read_until(&mut stream, &mut text, "\r\n\r\n").await;
                        if !text.starts_with("HTTP/1.1 200 ") {
                            return false;
                        }
                        while !text.contains("event: end\n") {
                            let (was_over, mut piece) = (over.load(Ordering::Relaxed), [0; 1024]);
                            // Who was shown out is told so at once.
                            let reading = stream.read(&mut piece);
                            match tokio::time::timeout(Duration::from_secs(2), reading).await {
                                Ok(read) => text.push_str(&String::from_utf8_lossy(&piece[..read.unwrap()])),
                                Err(_) if was_over => return true,
                                Err(_) => {}
                            }
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        gateway.reload(&without).await.unwrap();
        over.store(true, Ordering::Relaxed);
        for comer in comers {
            assert!(!comer.await.unwrap(), "it listens with a key that there is no more");
        }
        gateway.reload(&with).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_for_one_site_does_not_hear_which_other_site_handed_somebody_on() {
    let watcher = "watches-the-books-0123456789abcdefgh";
    let key = format!(
        "name = \"watcher\"\nsecret = {watcher:?}\nscopes = [\"read:sessions\"]\nsites = [\"books\"]"
    );
    let (plan, upstreams) = House::plan(2, |_, site| site).await;
    let house = House { gateway: plan.key(&key).start().await, upstreams };
    let mut everything = ask_for_events(house.gateway.control, crate::support::MASTER_KEY).await;
    let mut narrow = ask_for_events(house.gateway.control, watcher).await;
    let (mut all, mut own) = (String::new(), String::new());
    read_until(&mut everything, &mut all, "retry: 3000").await;
    read_until(&mut narrow, &mut own, "retry: 3000").await;
    let mut jane = house.reader("art", "jane@example.com").await;
    super::sso_group::travel(&mut jane, "http://books.test/closed").await;
    assert!(opens(&mut jane, house.upstream("books"), "books").await);
    for (stream, text) in [(&mut everything, &mut all), (&mut narrow, &mut own)] {
        let begun = "\"event\":\"session_started\"";
        read_until(stream, text, begun).await;
        while !text.rsplit(begun).next().unwrap().contains("\"books\"") {
            let before = text.len();
            let mut piece = [0; 4096];
            let length = tokio::time::timeout(HANG, stream.read(&mut piece)).await.unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&piece[..length]));
            assert!(text.len() > before, "{text}");
        }
    }
    let issued = |text: &str| -> Value {
        let line = text.lines().rfind(|line| line.contains("\"by\":\"sso_group\"")).unwrap();
        serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()
    };
    assert_eq!(issued(&all)["from_site"], "art", "{all}");
    assert!(issued(&all)["from_session"].is_string(), "{all}");
    assert_eq!(issued(&own)["site"], "books", "{own}");
    assert!(!own.contains("\"art\"") && !own.contains("from_"), "{own}");
}
