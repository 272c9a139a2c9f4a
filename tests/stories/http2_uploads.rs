//! Uploads over HTTP/2: while they wait for an upstream they hold up nobody else, however they are cut into frames,
//! and one that is broken off is never taken for a whole one.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http2_upstream;
use crate::support::h2::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Raw, frame, post};
use crate::support::http2::{H2Upstream, Stream};
use crate::support::wire::Connection;
use crate::support::{ByHand, HANG, Plan, SitePlan, TestGateway, read_until, rest, serving};

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
    open_before(SitePlan::new("intranet", "site.test", upstream)).await
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

async fn open_before(site: SitePlan) -> TestGateway {
    Plan::of(site.with("access", "\"off\"")).server("h2c", "true").start().await
}

/// `NO_ERROR` and `CANCEL` (RFC 9113 §7): neither ends a request, only `END_STREAM` does.
const REASONS: [u32; 2] = [0, 8];

#[tokio::test]
async fn one_that_is_reset_does_not_reach_an_upstream_as_a_whole_one() {
    let upstream = ByHand::start().await;
    let gateway = open_before(SitePlan::new("intranet", "site.test", upstream.address())).await;
    for reason in REASONS {
        for length in [None, Some("10")] {
            for at_once in [false, true] {
                let shown = format!("{reason} {length:?} {at_once}");
                let mut raw = Raw::begin(gateway.http).await;
                let stream = raw.next_stream();
                let length = length.map(|length| (&b"content-length"[..], length.as_bytes()));
                let head = post("/a", length.as_slice());
                raw.send(&frame(HEADERS, END_HEADERS, stream, &head)).await;
                let mut upstream = upstream.accept().await;
                read_until(&mut upstream, "\r\n\r\n").await;
                let piece = frame(DATA, 0, stream, b"half");
                let reset = frame(RST_STREAM, 0, stream, &reason.to_be_bytes());
                if at_once {
                    raw.send(&[piece, reset].concat()).await;
                } else {
                    raw.send(&piece).await;
                    read_until(&mut upstream, "half").await;
                    raw.send(&reset).await;
                }
                let came = rest(&mut upstream).await;
                assert!(!came.ends_with(b"0\r\n\r\n"), "{shown}: {}", String::from_utf8_lossy(&came));
            }
        }
    }
    // What has an end of its own is whole, whatever follows.
    for reason in REASONS {
        let mut raw = Raw::begin(gateway.http).await;
        let stream = raw.next_stream();
        raw.send(&frame(HEADERS, END_HEADERS, stream, &post("/a", &[]))).await;
        let mut upstream = upstream.accept().await;
        raw.send(&frame(DATA, END_STREAM, stream, b"all")).await;
        read_until(&mut upstream, "3\r\nall\r\n0\r\n\r\n").await;
        raw.send(&frame(RST_STREAM, 0, stream, &reason.to_be_bytes())).await;
        rest(&mut upstream).await;
    }
}

#[tokio::test]
async fn nor_an_upstream_that_speaks_http2() {
    let (tell, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let upstream = H2Upstream::start(move |mut stream: Stream| {
        let tell = tell.clone();
        async move {
            while let Some(piece) = stream.piece().await {
                let told = piece.map(|_| "a piece").map_err(|error| error.reason());
                let is_over = told.is_err();
                tell.send(told).expect("is listened to");
                if is_over {
                    return;
                }
            }
            tell.send(Ok("the end")).expect("is listened to");
        }
    })
    .await;
    let gateway = open_before(http2_upstream::site(&upstream)).await;
    for reason in REASONS {
        for length in [None, Some("10")] {
            let mut raw = Raw::begin(gateway.http).await;
            let stream = raw.next_stream();
            let length = length.map(|length| (&b"content-length"[..], length.as_bytes()));
            raw.send(&frame(HEADERS, END_HEADERS, stream, &post("/a", length.as_slice()))).await;
            raw.send(&frame(DATA, 0, stream, b"half")).await;
            assert_eq!(timeout(HANG, ends.recv()).await.expect("in time"), Some(Ok("a piece")));
            raw.send(&frame(RST_STREAM, 0, stream, &reason.to_be_bytes())).await;
            let end = timeout(HANG, ends.recv()).await.expect("in time");
            assert_eq!(end, Some(Err(Some(h2::Reason::CANCEL))), "{reason} {length:?}");
        }
    }
}
