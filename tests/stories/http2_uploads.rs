//! Uploads over HTTP/2 that wait for an upstream: they hold up nobody else, however they are cut into frames.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::wire::Connection;
use crate::support::{HANG, Plan, SitePlan, TestGateway, read_until, serving};

type Sender = h2::client::SendRequest<Bytes>;

/// A gateway before an upstream that takes its time: what goes to `/late` it reads only after a while, and what
/// goes to `/never` never. It answers with the number of bytes of the body.
async fn gateway() -> TestGateway {
    let upstream = serving(|mut stream: TcpStream| async move {
        let came = read_until(&mut stream, "\r\n\r\n").await;
        let (head, begun) = came.split_once("\r\n\r\n").expect("a head");
        if head.starts_with("POST /never ") {
            return std::future::pending().await;
        }
        if head.starts_with("POST /late ") {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").parse().expect("a number");
        let mut rest = vec![0; length - begun.len()];
        stream.read_exact(&mut rest).await.expect("a whole body");
        let told = length.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len());
        stream.write_all(answer.as_bytes()).await.expect("answers");
    })
    .await;
    let site = SitePlan::new("intranet", "site.test", upstream).with("access", "\"off\"");
    Plan::of(site).server("h2c", "true").start().await
}

async fn client(gateway: &TestGateway) -> Sender {
    let stream = Connection::dial([127, 0, 0, 1].into(), gateway.http).await;
    let (sender, connection) = h2::client::handshake(stream).await.expect("begins");
    tokio::spawn(connection);
    sender.ready().await.expect("is open")
}

/// Uploads to `path` in so many pieces of so many bytes; what is told of it.
async fn upload(sender: &mut Sender, path: &str, pieces: usize, length: usize) -> String {
    let request = Request::post(format!("http://site.test{path}")).header("content-length", pieces * length);
    let request = request.body(()).expect("a request");
    let (answer, mut body) = sender.send_request(request, false).expect("is sent");
    for left in (0..pieces).rev() {
        body.send_data(Bytes::from(vec![b'x'; length]), left == 0).expect("is open");
    }
    let answer = timeout(HANG, answer).await.expect("in time").expect("an answer");
    let told = answer.into_body().data().await.expect("a body").expect("a whole one");
    String::from_utf8(told.to_vec()).expect("is text")
}

#[tokio::test]
async fn small_pieces_are_no_attack() {
    let gateway = gateway().await;
    let mut sender = client(&gateway).await;
    assert_eq!(upload(&mut sender, "/late", 5_000, 10).await, "50000");
}

#[tokio::test]
async fn one_that_nobody_reads_does_not_hold_up_another() {
    let gateway = gateway().await;
    let mut sender = client(&gateway).await;
    for _ in 0..20 {
        let mut sender = sender.clone();
        tokio::spawn(async move { upload(&mut sender, "/never", 1, 8 << 20).await });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(upload(&mut sender, "/a", 1, 1_000).await, "1000");
}
