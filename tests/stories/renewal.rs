//! Certificates that are renewed while visitors are connected.

use rcgen::CertificateParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate::config::CertificateFiles;

use crate::support::{Authority, Client, FakeUpstream, HANG, Plan, TestGateway, seconds};

const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";

/// Whether the gateway shows a certificate for `name`.
async fn shows(gateway: &TestGateway, client: &Client, name: &str) -> bool {
    client.shake(gateway, name).await.is_ok()
}

/// Waits until the gateway shows a certificate for `name`.
async fn shows_soon(gateway: &TestGateway, client: &Client, name: &str) {
    let shown = async {
        while !shows(gateway, client, name).await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(HANG, shown).await.expect("shows the new certificate");
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_nobody_is_cut_off() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream).certificate(authority.issue("site", &["old.test"])).start().await;
    let client = authority.client();
    let mut early = client.connect(&gateway, "old.test").await;
    assert_eq!(early.exchange(GET, "GET").await.unwrap().status, 200);

    authority.issue("site", &["new.test"]);
    shows_soon(&gateway, &client, "new.test").await;
    // One who comes for the first time: a ticket goes on with what it was given for.
    assert!(!shows(&gateway, &authority.client(), "old.test").await);
    assert_eq!(early.exchange(GET, "GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn sighup_has_them_read_at_once() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream).certificate(authority.issue("site", &["old.test"])).start().await;
    let client = authority.client();
    authority.issue("site", &["new.test"]);
    gateway.reload_certificates();
    shows_soon(&gateway, &client, "new.test").await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_leaves_the_old_one_until_it_can() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let files = authority.issue("site", &["old.test"]);
    let gateway = Plan::new(&upstream).certificate(files.clone()).start().await;
    let client = authority.client();
    let CertificateFiles { cert, key } = authority.issue("next", &["new.test"]);
    let broken: [&dyn Fn(); 4] = [
        &|| std::fs::write(&files.cert, "").unwrap(),
        &|| std::fs::remove_file(&files.cert).unwrap(),
        // The new certificate is there, and its key not yet.
        &|| assert!(std::fs::copy(&cert, &files.cert).unwrap() > 0),
        &|| std::fs::write(&files.key, "nonsense").unwrap(),
    ];
    for breaking in broken {
        breaking();
        gateway.reload_certificates();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(shows(&gateway, &client, "old.test").await);
    }
    std::fs::copy(&key, &files.key).unwrap();
    shows_soon(&gateway, &client, "new.test").await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_in_no_others_way() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let first = authority.issue("first", &["first.test"]);
    let plan =
        Plan::new(&upstream).certificate(first.clone()).certificate(authority.issue("site", &["old.test"]));
    let gateway = plan.start().await;
    let client = authority.client();
    std::fs::write(&first.key, "nonsense").unwrap();
    gateway.reload_certificates();
    authority.issue("site", &["new.test"]);
    shows_soon(&gateway, &client, "new.test").await;
    assert!(shows(&gateway, &client, "first.test").await);
    authority.issue("first", &["first.test", "second.test"]);
    shows_soon(&gateway, &client, "second.test").await;
}

#[tokio::test]
async fn a_ticket_outlives_the_certificate_and_opens_nothing_more() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let gateway = Plan::new(&upstream).certificate(authority.issue("site", &["site.test"])).start().await;
    let client = authority.client();
    let mut first = client.shake(&gateway, "site.test").await.unwrap();
    first.write_all(GET).await.unwrap();
    assert!(first.read(&mut [0; 4096]).await.unwrap() > 0);
    authority.issue("site", &["site.test", "new.test"]);
    shows_soon(&gateway, &authority.client(), "new.test").await;
    let again = client.shake(&gateway, "site.test").await.unwrap();
    assert!(crate::support::tls::is_resumed(&again));
    // A ticket is for the name for which it was given.
    let other = client.shake(&gateway, "new.test").await.unwrap();
    assert!(!crate::support::tls::is_resumed(&other));
}

#[tokio::test]
async fn an_expired_certificate_is_served_all_the_same() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let mut params = CertificateParams::new(vec!["site.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let gateway = Plan::new(&upstream).certificate(authority.issue_with("site", &params)).start().await;
    let refused = authority.client().shake(&gateway, "site.test").await.unwrap_err().to_string();
    assert!(refused.contains("expired"), "{refused}");
    tokio::time::timeout(seconds(60), gateway.stop()).await.expect("stops");
}
