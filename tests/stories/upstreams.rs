//! What stands behind a gateway: several servers, sockets in the file system, TLS. Whom a request
//! reached is judged by who received it.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tollgate::config::CertificateFiles;

use crate::support::secured::{acceptor, self_made};
use crate::support::{Ask, Authority, FakeUpstream, Plan, SITE, SitePlan, TestGateway, Visitor, serving};

/// A site that is open, before these.
fn site(upstreams: &[String]) -> SitePlan {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    SitePlan::new("intranet", "site.test", nowhere).upstreams(upstreams).with("access", "\"off\"")
}

fn at(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A port at which nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    listener.local_addr().expect("has an address")
}

#[tokio::test]
async fn several_upstreams_share_the_work() {
    let upstreams = [FakeUpstream::start().await, FakeUpstream::start().await, FakeUpstream::start().await];
    let addresses = upstreams.each_ref().map(|upstream| at(upstream.address()));
    let gateway = Plan::of(site(&addresses)).start().await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..90 {
        assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 200);
    }
    for upstream in &upstreams {
        // Chance may be uneven, but not like that.
        assert!((10..=60).contains(&upstream.count()), "{}", upstream.count());
    }
}

#[tokio::test]
async fn the_busy_one_is_spared() {
    let (busy, idle) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = Plan::of(site(&[at(busy.address()), at(idle.address())])).start().await;
    busy.answers(crate::support::Answer::Never);
    // Until one of them hangs.
    let mut hanging = Vec::new();
    while busy.count() == 0 {
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"GET /slow HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
        crate::support::settle().await;
        hanging.push(connection);
    }
    idle.forget().await;
    let mut visitor = Visitor::at(&gateway);
    for _ in 0..30 {
        assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 200);
    }
    assert_eq!((busy.count(), idle.count()), (1, 30));
}

#[tokio::test]
async fn one_that_cannot_be_reached_costs_nobody_an_answer() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::of(site(&[at(nobody().await), at(upstream.address())])).start().await;
    let mut visitor = Visitor::at(&gateway);
    for number in 0..20 {
        // Nothing was sent, so that it does not matter what it is.
        let ask = Ask::navigate("POST", &format!("{SITE}/a")).body("text/plain", &format!("body {number}"));
        assert_eq!(visitor.send(ask).await.status, 200);
        assert_eq!(upstream.last().body, format!("body {number}").as_bytes());
    }
    assert_eq!(upstream.count(), 20);
}

#[tokio::test]
async fn each_is_called_by_its_own_name_if_the_site_wants_that() {
    let upstream = FakeUpstream::start().await;
    let name = format!("localhost:{}", upstream.address().port());
    for (preserve, host) in [("true", "site.test"), ("false", name.as_str())] {
        let dead = at(nobody().await);
        let plan = site(&[dead, format!("http://{name}/")]).with("preserve_host", preserve);
        let gateway = Plan::of(plan).start().await;
        for _ in 0..8 {
            assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}/a")).await.status, 200);
            assert_eq!(upstream.last().header("host").as_deref(), Some(host));
        }
    }
}

/// A name with a dead address before the living one: `localhost` is `::1` first, on which nobody
/// listens, and 127.0.0.1 behind it. Where it has one address alone there is nothing to show.
#[tokio::test]
async fn a_dead_address_of_a_name_hides_no_living_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::of(site(&[format!("http://localhost:{}", upstream.address().port())])).start().await;
    assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}/a")).await.status, 200);
    // A name that does not exist is told like an upstream that is down.
    let gateway = Plan::of(site(&["http://no-such-host.invalid".to_owned()])).start().await;
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_unreachable"));
}

/// Answers each request on `stream` with its head as the body.
async fn repeat(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
        if head.ends_with(b"\r\n\r\n") {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len());
            let answer = [answer.as_bytes(), &head].concat();
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            head.clear();
        }
    }
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_an_upstream() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).expect("binds");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(repeat(stream));
        }
    });
    let upstream = [format!("unix:{}", path.display())];
    for (preserve, host) in [("true", "host: site.test"), ("false", "host: localhost")] {
        let gateway = Plan::of(site(&upstream).with("preserve_host", preserve)).start().await;
        let mut visitor = Visitor::at(&gateway);
        for _ in 0..3 {
            let told = visitor.get(&format!("{SITE}/a?b=c")).await.text();
            assert!(told.starts_with("GET /a?b=c HTTP/1.1\r\n") && told.contains(host), "{told}");
        }
    }
    drop(folder);
    let gateway = Plan::of(site(&upstream)).start().await;
    let answer = Visitor::at(&gateway).fetch(&format!("{SITE}/a")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_unreachable"));
}

/// A server with TLS.
async fn secured(acceptor: TlsAcceptor) -> SocketAddr {
    serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                repeat(stream).await;
            }
        }
    })
    .await
}

fn toml(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

async fn status_and_code(gateway: &TestGateway) -> (u16, String) {
    let answer = Visitor::at(gateway).fetch(&format!("{SITE}/a")).await;
    let code = if answer.status == 200 { String::new() } else { answer.error_code() };
    (answer.status, code)
}

const TRUSTED: (u16, &str) = (200, "");
const REFUSED: (u16, &str) = (502, "upstream_tls");

/// What the upstream shows, the site's `ca` and `server_name`, and what comes of it.
type Case<'a> = (&'a CertificateFiles, Option<&'a str>, Option<&'a str>, (u16, &'a str));

#[tokio::test]
async fn an_upstream_with_tls_has_to_be_whom_the_operator_means() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("makes a folder");
    let good = authority.issue("good", &["app.internal"]);
    let self_made = self_made(folder.path(), "appliance");
    let (ca, other_ca) = (toml(&authority.root_file()), toml(&stranger.root_file()));
    let (named, itself) = (toml(&self_made.cert), toml(&good.cert));
    let cases: [Case<'_>; 9] = [
        (&good, Some(&ca), Some("app.internal"), TRUSTED),
        // The name, and not the address.
        (&good, Some(&ca), None, REFUSED),
        (&good, Some(&ca), Some("other.internal"), REFUSED),
        (&good, Some(&other_ca), Some("app.internal"), REFUSED),
        // Nobody else has heard of this authority.
        (&good, None, Some("app.internal"), REFUSED),
        // What the operator named is who the operator named.
        (&good, Some(&itself), None, TRUSTED),
        (&self_made, Some(&named), None, TRUSTED),
        (&self_made, Some(&ca), Some("appliance"), REFUSED),
        (&good, Some(&named), Some("app.internal"), REFUSED),
    ];
    for (number, (papers, ca, name, expected)) in cases.into_iter().enumerate() {
        let address = secured(acceptor(papers, &["http/1.1"], None)).await;
        let mut plan = site(&[format!("https://{address}")]);
        if let Some(ca) = ca {
            plan = plan.upstream_tls("ca", ca);
        }
        if let Some(name) = name {
            plan = plan.upstream_tls("server_name", &format!("{name:?}"));
        }
        let gateway = Plan::of(plan).start().await;
        let told = status_and_code(&gateway).await;
        assert_eq!((told.0, told.1.as_str()), expected, "case {number}");
    }
}

#[tokio::test]
async fn an_upstream_may_ask_who_the_gateway_is() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let papers = authority.issue("upstream", &["127.0.0.1"]);
    let root = authority.root_file();
    let address = secured(acceptor(&papers, &[], Some(&root))).await;
    let (ours, foreign) = (authority.issue("gate", &["gate"]), stranger.issue("gate", &["gate"]));
    let plan = || site(&[format!("https://{address}")]).upstream_tls("ca", &toml(&root));
    for (shown, is_welcome) in [(Some(&ours), true), (Some(&foreign), false), (None, false)] {
        let plan = shown.into_iter().fold(plan(), |plan, papers| {
            plan.upstream_tls("cert", &toml(&papers.cert)).upstream_tls("key", &toml(&papers.key))
        });
        let gateway = Plan::of(plan).start().await;
        // In TLS 1.3 the refusal comes when the client is already through with its part.
        let told = status_and_code(&gateway).await;
        assert_eq!((told.0, told.1.as_str()), if is_welcome { TRUSTED } else { REFUSED });
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_apart_from_one_that_is_down() {
    let upstream = FakeUpstream::start().await;
    let authority = Authority::new();
    let plan = site(&[format!("https://{}", upstream.address())]);
    let gateway = Plan::of(plan.upstream_tls("ca", &toml(&authority.root_file()))).start().await;
    let told = status_and_code(&gateway).await;
    assert_eq!((told.0, told.1.as_str()), REFUSED);
    let plan = site(&[format!("https://{}", nobody().await)]);
    let gateway = Plan::of(plan.upstream_tls("ca", &toml(&authority.root_file()))).start().await;
    assert_eq!(status_and_code(&gateway).await, (502, "upstream_unreachable".to_owned()));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let authority = Authority::new();
    let plan = site(&[format!("https://{address}")]).with("connect_timeout", "\"200ms\"");
    let gateway = Plan::of(plan.upstream_tls("ca", &toml(&authority.root_file()))).start().await;
    let told = status_and_code(&gateway).await;
    assert_eq!((told.0, told.1.as_str()), REFUSED);
    drop(listener);
}
