//! Upstreams that are said to speak HTTP/2: whether they do is agreed on, or found out, and what was wrong is
//! told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http2_upstream::{repeat, site};
use crate::support::h2::{
    END_HEADERS, END_STREAM, GOAWAY, HEADERS, PUSH_PROMISE, RST_STREAM, SETTINGS, block, frame, get,
};
use crate::support::http2::{H2Plan, H2Upstream};
use crate::support::secured::acceptor;
use crate::support::{Authority, Plan, SITE, SitePlan, Visitor, serving};

#[tokio::test]
async fn over_tls_http2_has_to_be_agreed_on() {
    let authority = Authority::new();
    let files = authority.issue("upstream", &["app.internal"]);
    for (offered, expected) in [(&["h2", "http/1.1"][..], 200), (&["http/1.1"], 502), (&[], 502)] {
        let plan = H2Plan { max_streams: None, tls: Some(acceptor(&files, offered, None)) };
        let upstream = H2Upstream::planned(plan, repeat).await;
        let plan = site(&upstream)
            .upstreams(&[format!("https://{}", upstream.address)])
            .upstream_tls("ca", &format!("{:?}", authority.root_file().display().to_string()))
            .upstream_tls("server_name", "\"app.internal\"")
            .upstream_tls("http2", "true");
        let gateway = Plan::of(plan).start().await;
        let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
        assert_eq!(answer.status, expected, "{offered:?}: {answer:?}");
        if expected == 200 {
            assert!(answer.text().starts_with("GET https://site.test/a\n"), "{}", answer.text());
        } else {
            assert_eq!(answer.error_code(), "upstream_tls");
        }
    }
}

#[tokio::test]
async fn who_speaks_no_http2_is_found_out() {
    let upstream = crate::support::FakeUpstream::start().await;
    let site = SitePlan::new("intranet", "site.test", upstream.address());
    let site = site.upstreams(&[format!("h2c://{}", upstream.address())]).with("access", "\"off\"");
    let gateway = Plan::of(site).start().await;
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_unreadable"));

    // One that waits for us to go on is not waited for without end.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let site = SitePlan::new("intranet", "site.test", address).upstreams(&[format!("h2c://{address}")]);
    let site = site.with("access", "\"off\"").with("connect_timeout", "\"200ms\"");
    let gateway = Plan::of(site).start().await;
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_unreachable"));
}

/// An upstream that answers each request with these frames, whose stream is number 1, and leaves.
async fn saying(frames: Vec<u8>) -> SocketAddr {
    let settings = frame(SETTINGS, 0, 0, &[]);
    serving(move |mut stream| {
        let (settings, frames) = (settings.clone(), frames.clone());
        async move {
            stream.write_all(&settings).await.expect("begins");
            let mut bytes = [0; 4096];
            let mut asked = Vec::new();
            // HEADERS that end the request, on the first stream.
            while !asked.windows(6).any(|frame| frame == [HEADERS, END_STREAM | END_HEADERS, 0, 0, 0, 1]) {
                let read = stream.read(&mut bytes).await.expect("is asked");
                assert!(read > 0, "was not asked");
                asked.extend_from_slice(&bytes[..read]);
            }
            stream.write_all(&frames).await.expect("answers");
            stream.shutdown().await.expect("has nothing more to say");
            // Whoever leaves at once may leave before he was heard.
            let _all = stream.read_to_end(&mut asked).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_is_malformed_is_told_apart_from_what_breaks_off() {
    const PLAIN: (&[u8], &[u8]) = (b":status", b"200");
    let answer = |fields: &[(&[u8], &[u8])]| frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields));
    let (malformed, broken) = ("upstream_unreadable", "upstream_broke_off");
    for (what, frames, code) in [
        ("an index of nothing", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 5]), malformed),
        ("a word for the connection", answer(&[PLAIN, (b"connection", b"close")]), malformed),
        ("no status", answer(&[(b"x-own", b"1")]), malformed),
        ("two statuses", answer(&[PLAIN, PLAIN]), malformed),
        ("two lengths", answer(&[PLAIN, (b"content-length", b"0"), (b"content-length", b"1")]), malformed),
        ("a push", frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &*get("/b")].concat()), malformed),
        ("a reset", frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]), broken),
        ("nothing", Vec::new(), broken),
        ("a goodbye", frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 2]), broken),
    ] {
        let address = saying(frames).await;
        let site = SitePlan::new("intranet", "site.test", address).upstreams(&[format!("h2c://{address}")]);
        let gateway = Plan::of(site.with("access", "\"off\"")).start().await;
        let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (502, code), "{what}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_missed_is_missed_in_tls() {
    let authority = Authority::new();
    let files = authority.issue("upstream", &["app.internal"]);
    let root = authority.root_file();
    let acceptor = acceptor(&files, &["h2"], Some(&root));
    let address = serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // It says why, and stays: who leaves words unread may not be heard.
            let Err((_, mut stream)) = acceptor.accept(stream).into_fallible().await else { return };
            let _all = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    let plan = SitePlan::new("intranet", "site.test", address)
        .upstreams(&[format!("https://{address}")])
        .with("access", "\"off\"")
        .upstream_tls("ca", &format!("{:?}", root.display().to_string()))
        .upstream_tls("server_name", "\"app.internal\"")
        .upstream_tls("http2", "true");
    let gateway = Plan::of(plan).start().await;
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_tls"));
}
