//! Upstreams that are said to speak HTTP/2: whether they do is agreed on, or found out.

use crate::http2_upstream::{repeat, site};
use crate::support::http2::{H2Plan, H2Upstream};
use crate::support::secured::acceptor;
use crate::support::{Authority, Plan, SITE, SitePlan, Visitor};

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
