//! Visitors who come over TLS.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::tls::{is_resumed, session};
use crate::support::{
    Authority, ByHand, FakeUpstream, HANG, Plan, SitePlan, TestGateway, read_until, settle,
};

const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";

async fn gateway(authority: &Authority, upstream: &FakeUpstream) -> TestGateway {
    Plan::new(upstream).certificate(authority.issue("site", &["site.test"])).start().await
}

#[tokio::test]
async fn a_visitor_over_tls_is_a_visitor_over_https() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&authority, &upstream).await;
    for version in [&TLS12, &TLS13] {
        let client = authority.client_of(&[version]);
        let mut connection = client.connect(&gateway, "site.test").await;
        // Twice, as connections are kept.
        for _ in 0..2 {
            assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
        }
        let received = upstream.last();
        assert_eq!(received.header("x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(received.header("x-forwarded-port").as_deref(), Some("443"));
        assert_eq!(
            received.header("forwarded").as_deref(),
            Some("for=127.0.0.1;host=\"site.test\";proto=https")
        );
    }
    // And on the plain listener nothing has changed.
    let mut plain = crate::support::Visitor::at(&gateway).connect().await;
    assert_eq!(plain.exchange(GET, "GET").await.unwrap().status, 200);
    assert_eq!(upstream.last().header("x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn cookies_over_tls_cannot_be_planted_by_neighbours() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&authority, &upstream).await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let mut connection = authority.client().connect(&gateway, "site.test").await;
    let request = format!("GET /closed?sso={token} HTTP/1.1\r\nHost: site.test\r\nAccept: text/html\r\n\r\n");
    let answer = connection.exchange(request.as_bytes(), "GET").await.unwrap();
    let cookies = answer.headers.all("set-cookie");
    let cookie = cookies.iter().find(|cookie| cookie.starts_with("__Host-tollgate=")).expect("a session");
    assert!(cookie.contains("; Secure") && cookie.contains("; HttpOnly"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let request = format!("GET /closed HTTP/1.1\r\nHost: site.test\r\nCookie: {pair}\r\n\r\n");
    assert_eq!(connection.exchange(request.as_bytes(), "GET").await.unwrap().status, 200);
    let received = upstream.last();
    assert_eq!(received.header("x-forwarded-user").as_deref(), Some("jane@example.com"));
    assert_eq!(received.header("cookie"), None);
}

#[tokio::test]
async fn a_login_page_is_told_of_a_site_where_it_listens_for_https() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&authority, &upstream).await;
    let body = br#"{"email":"jane@example.com","full_name":"Jane Doe"}"#;
    let api = gateway.api();
    let answer = api.send("POST", "/v1/sso_tokens", &[("Content-Type", "application/json")], body);
    let url = answer.await.json()["redeem_url"].as_str().unwrap().to_owned();
    let start = format!("https://site.test:{}/.tollgate/redeem?sso=", gateway.https().port());
    assert!(url.starts_with(&start), "{url}");
}

#[tokio::test]
async fn each_name_is_shown_its_own_certificate() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream)
        .certificate(authority.issue("first", &["first.test"]))
        .certificate(authority.issue("wild", &["*.site.test"]))
        .certificate(authority.issue("exact", &["site.test", "shop.site.test"]))
        .start()
        .await;
    let client = authority.client();
    for name in ["first.test", "site.test", "shop.site.test", "www.site.test", "WWW.Site.Test"] {
        assert!(client.shake(&gateway, name).await.is_ok(), "{name}");
    }
    // Of these it has none: the first is shown, and the client sees that it is another's.
    for name in ["elsewhere.test", "a.b.site.test"] {
        assert!(client.shake(&gateway, name).await.is_err(), "{name}");
    }
    let silent = authority.client().anonymous();
    assert!(silent.shake(&gateway, "first.test").await.is_ok());
    assert!(silent.shake(&gateway, "site.test").await.is_err());
}

#[tokio::test]
async fn who_comes_back_resumes_and_is_asked_for_no_less() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream)
        .certificate(authority.issue("site", &["site.test"]))
        .server("workers", "2")
        .start()
        .await;
    for version in [&TLS12, &TLS13] {
        let client = authority.client_of(&[version]);
        let mut resumed = Vec::new();
        for _ in 0..4 {
            let mut stream = client.shake(&gateway, "site.test").await.expect("shakes hands");
            resumed.push(is_resumed(&stream));
            stream.write_all(GET).await.expect("sends");
            // Tickets come behind the handshake, along with what is read.
            assert!(stream.read(&mut [0; 4096]).await.expect("reads") > 0);
            let closed = b"GET /closed HTTP/1.1\r\nHost: site.test\r\nAccept: application/json\r\n\r\n";
            stream.write_all(closed).await.expect("sends");
            let mut answer = [0; 4096];
            let length = stream.read(&mut answer).await.expect("reads");
            assert!(answer[..length].starts_with(b"HTTP/1.1 401"));
        }
        assert_eq!(resumed, [false, true, true, true], "{version:?}");
    }
}

#[tokio::test]
async fn whoever_does_not_shake_hands_is_let_go() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream)
        .certificate(authority.issue("site", &["site.test"]))
        .server("header_timeout", "\"300ms\"")
        .server("max_connections", "2")
        .start()
        .await;
    let dial = || crate::support::Connection::open([127, 0, 0, 1].into(), gateway.https());
    let mut silent = dial().await;
    let mut half = dial().await;
    half.send(b"\x16\x03\x01\x02\x00\x01").await;
    // They take all the places there are, until their time is up.
    let served = async {
        let mut connection = authority.client().connect(&gateway, "site.test").await;
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
    };
    tokio::time::timeout(HANG, served).await.expect("gets a place");
    assert!(silent.rest().await.is_empty());
    half.rest().await;
    // What is no TLS at all is not read as HTTP.
    let mut plain = dial().await;
    plain.send(GET).await;
    let answer = plain.rest().await;
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn what_is_spoken_is_agreed_on_or_nothing_is_said() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = gateway(&authority, &upstream).await;
    let client = authority.client();
    for (offered, agreed) in
        [(&[][..], None), (&["http/1.1"], Some("http/1.1")), (&["http/1.0", "http/1.1"], Some("http/1.1"))]
    {
        let stream = client.clone().offering(offered).shake(&gateway, "site.test").await.expect("agrees");
        assert_eq!(session(&stream).alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
    }
    // A browser that was lured into speaking another server's language must not be answered.
    assert!(client.offering(&["smtp"]).shake(&gateway, "site.test").await.is_err());
}

/// What TLS keeps for a visitor who takes nothing has gone nowhere.
#[tokio::test]
async fn a_visitor_who_stops_reading_is_not_let_go_later_than_without_tls() {
    let (upstream, authority) = (ByHand::start().await, Authority::new());
    let site = SitePlan::new("intranet", "site.test", upstream.address()).with("access", "\"off\"");
    let plan = Plan::of(site).certificate(authority.issue("site", &["site.test"]));
    let gateway = plan.server("body_idle_timeout", "\"4s\"").start().await;
    // In the order in which the upstream was not listened to any more.
    let ended = Arc::<Mutex<Vec<&str>>>::default();
    let download = async |name: &'static str| {
        let mut stream = upstream.accept().await;
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await.expect("begins");
        let ended = Arc::clone(&ended);
        drop(tokio::spawn(async move {
            let piece = vec![0; 65_536];
            while stream.write_all(&piece).await.is_ok() {}
            ended.lock().unwrap().push(name);
        }));
    };
    let mut over_tls = authority.client().shake(&gateway, "site.test").await.expect("shakes hands");
    over_tls.write_all(GET).await.expect("asks");
    download("over TLS").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut bare = crate::support::Connection::dial([127, 0, 0, 1].into(), gateway.http).await;
    bare.write_all(GET).await.expect("asks");
    download("bare").await;
    let both = async {
        while ended.lock().unwrap().len() < 2 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, both).await.expect("both are let go");
    assert_eq!(*ended.lock().unwrap(), ["over TLS", "bare"]);
    drop((over_tls, bare));
}

#[tokio::test]
async fn the_control_listener_speaks_tls_too() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let files = authority.issue("control", &["control.test"]);
    let gateway = Plan::new(&upstream).control_certificate(&files).start().await;
    let stream = crate::support::Connection::dial([127, 0, 0, 1].into(), gateway.control).await;
    let stream = authority.client().shake_over(stream, "control.test").await.expect("shakes hands");
    let mut connection = crate::support::Connection::over(stream);
    let request = b"GET /healthz HTTP/1.1\r\nHost: control.test\r\n\r\n";
    assert_eq!(connection.exchange(request, "GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn two_sites_with_certificates_stay_apart() {
    let (one, two, authority) = (FakeUpstream::start().await, FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&one)
        .and_site(SitePlan::new("shop", "shop.test", two.address()))
        .certificate(authority.issue("both", &["site.test", "shop.test"]))
        .start()
        .await;
    // A browser may use one connection for both, if the certificate is for both.
    let mut connection = authority.client().connect(&gateway, "site.test").await;
    for (host, status) in [("site.test", 200), ("shop.test", 200), ("other.test", 421)] {
        let request = format!("GET /public/{host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(connection.exchange(request.as_bytes(), "GET").await.unwrap().status, status, "{host}");
    }
    assert_eq!(
        (one.last().target, two.last().target),
        ("/public/site.test".into(), "/public/shop.test".into())
    );
}
