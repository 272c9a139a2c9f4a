//! Proxies that say by the PROXY protocol whose connections they pass on.

use std::net::IpAddr;

use crate::support::h2::Honest;
use crate::support::{Authority, Connection, FakeUpstream, Plan, SITE, TestGateway, settle};
use tokio::io::AsyncWriteExt as _;

const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";

/// Where the proxy is, and where somebody else is.
const PROXY: [u8; 4] = [127, 0, 9, 1];
const STRANGER: [u8; 4] = [127, 0, 9, 2];

async fn gateway(upstream: &FakeUpstream, authority: &Authority) -> TestGateway {
    Plan::new(upstream)
        .server("proxy_protocol", "true")
        .server("trusted_proxies", "[\"127.0.9.1\"]")
        .server("header_timeout", "\"500ms\"")
        .server("h2c", "true")
        .certificate(authority.issue("site", &["site.test"]))
        .start()
        .await
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family, length[0], length[1]][..], rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 7, 127, 0, 0, 1, 0xd4, 0x31, 1, 0xbb];

#[tokio::test]
async fn the_client_is_who_the_proxy_says() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&upstream, &authority).await;
    let with_more = [&V4[..], &[0x20, 0, 3, 1, 2, 3], &[0xee, 0x0f, 0xa0], &[7; 4_000]].concat();
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 54321 443\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 54321 443\r\n".to_vec(), "2001:db8::7"),
        (binary(1, 0x11, &V4), "192.0.2.7"),
        (binary(1, 0x11, &with_more), "192.0.2.7"),
    ] {
        for pieces in [1, 5, 100_000] {
            let mut connection = Connection::open(IpAddr::from(PROXY), gateway.http).await;
            for piece in header.chunks(pieces) {
                connection.send(piece).await;
            }
            // Twice: what it says goes for the whole connection.
            for _ in 0..2 {
                assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
                let received = upstream.last();
                // The client's own word counts for nothing.
                assert_eq!(received.header("x-forwarded-for").as_deref(), Some(client), "{pieces}");
                assert_eq!(received.header("x-real-ip").as_deref(), Some(client));
            }
        }
    }
}

#[tokio::test]
async fn before_tls_and_before_http_2_as_well() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&upstream, &authority).await;
    let mut stream = Connection::dial(IpAddr::from(PROXY), gateway.https()).await;
    stream.write_all(&binary(1, 0x11, &V4)).await.unwrap();
    let client = authority.client().offering(&["h2"]);
    let visitor = Honest::on(client.shake_over(stream, "site.test").await.unwrap()).await;
    assert_eq!(visitor.get("https://site.test/public/a").await.status, 200);
    assert_eq!(upstream.last().header("x-forwarded-for").as_deref(), Some("192.0.2.7"));
    assert_eq!(upstream.last().header("x-forwarded-proto").as_deref(), Some("https"));

    let mut stream = Connection::dial(IpAddr::from(PROXY), gateway.http).await;
    stream.write_all(b"PROXY TCP4 192.0.2.8 127.0.0.1 1 2\r\n").await.unwrap();
    let visitor = Honest::on(stream).await;
    assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.status, 200);
    assert_eq!(upstream.last().header("x-forwarded-for").as_deref(), Some("192.0.2.8"));
}

#[tokio::test]
async fn what_is_the_proxys_own_is_the_proxys() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&upstream, &authority).await;
    for (header, told) in [
        (binary(0, 0, &[]), "6.6.6.6, 127.0.9.1"),
        (binary(0, 0x11, &V4), "6.6.6.6, 127.0.9.1"),
        // Somebody else's, of whom nothing is known: what they say of themselves is not the proxy's word.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.9.1"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), "127.0.9.1"),
        (binary(1, 0, &[]), "127.0.9.1"),
        (binary(1, 0x12, &V4), "127.0.9.1"),
        (binary(1, 0x31, &[b'/'; 216]), "127.0.9.1"),
    ] {
        let mut connection = Connection::open(IpAddr::from(PROXY), gateway.http).await;
        connection.send(&header).await;
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
        let received = upstream.last();
        assert_eq!(received.header("x-forwarded-for").as_deref(), Some(told), "{header:?}");
    }
}

#[tokio::test]
async fn a_network_of_proxies_is_not_open_to_those_whom_they_do_not_name() {
    let upstream = FakeUpstream::start().await;
    let lan = [
        ("path", "\"/lan/\"".to_owned()),
        ("access", "\"off\"".to_owned()),
        ("require", r#"{ networks = ["127.0.9.0/24"] }"#.to_owned()),
    ];
    let plan = Plan::new(&upstream)
        .server("proxy_protocol", "true")
        .server("trusted_proxies", "[\"127.0.9.1\"]")
        .site(|site| site.route_with(&lan));
    let gateway = plan.start().await;
    for (header, status) in [
        (b"PROXY UNKNOWN\r\n".to_vec(), 403),
        (binary(1, 0, &[]), 403),
        (binary(1, 0x11, &V4), 403),
        (binary(0, 0, &[]), 200),
        (b"PROXY TCP4 127.0.9.7 127.0.0.1 54321 443\r\n".to_vec(), 200),
    ] {
        upstream.forget().await;
        let mut connection = Connection::open(IpAddr::from(PROXY), gateway.http).await;
        connection.send(&header).await;
        let answer = connection.exchange(b"GET /lan/ HTTP/1.1\r\nHost: site.test\r\n\r\n", "GET").await;
        assert_eq!(answer.unwrap().status, status, "{}", header.escape_ascii());
        assert_eq!(upstream.count(), usize::from(status == 200));
    }
}

#[tokio::test]
async fn nothing_is_guessed() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&upstream, &authority).await;
    let introduced = [b"PROXY TCP4 192.0.2.7 127.0.0.1 54321 443\r\n", GET].concat();
    for (from, bytes) in [
        // Whoever is no proxy may say what they want.
        (STRANGER, introduced.clone()),
        (STRANGER, GET.to_vec()),
        (STRANGER, binary(1, 0x11, &V4)),
        // A proxy has to say something, all of it, and soon.
        (PROXY, GET.to_vec()),
        (PROXY, b"PROXY TCP4 192.0.2.7".to_vec()),
        (PROXY, b"PROXY TCP4 192.0.2.7 127.0.0.1 54321\r\n\r\n".to_vec()),
        (PROXY, [b"PROXY TCP4 evil 127.0.0.1 54321 443\r\n", GET].concat()),
        (PROXY, [b"PROXY TCP4 192.0.2.7 127.0.0.1 080 443\r\n", GET].concat()),
        (PROXY, [b"PROXY TCP4 192.0.2.7 127.0.0.1 54321 0443\r\n", GET].concat()),
        (PROXY, [b" ", &introduced[..]].concat()),
        (PROXY, binary(1, 0x11, &V4)[..20].to_vec()),
        (PROXY, [&binary(2, 0x11, &V4)[..], GET].concat()),
        // It says it once: what comes behind is the client's.
        (PROXY, [b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", &introduced[..]].concat()),
        (PROXY, Vec::new()),
    ] {
        let mut connection = Connection::open(IpAddr::from(from), gateway.http).await;
        connection.send(&bytes).await;
        let answer = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    settle().await;
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
    // The control listener is not in front of anything.
    assert_eq!(gateway.api().get("/healthz").await.status, 200);
}
