//! What an authority is shown, and who else gets to see it: nobody who does not ask for the very thing, and
//! nobody when it is over.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::acme::{Stage, serial_soon};
use crate::servers::pebble::Looks;
use crate::servers::redis::free_port;
use crate::support::tls::session;
use crate::support::{Client, Connection, Response, TestGateway};

/// A place where the authority looks, before it looks at the gateway: so a story can look first.
struct Ambush {
    listener: TcpListener,
    /// The listener of the gateway.
    behind: SocketAddr,
}

impl Ambush {
    async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { listener, behind: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    async fn catch(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Lets the one through that was caught, with what it has said already, and whoever else comes: an
    /// authority looks several times.
    fn release(self, caught: TcpStream, said: Vec<u8>) {
        let Self { listener, behind } = self;
        tokio::spawn(pass(caught, said, behind));
        tokio::spawn(async move {
            while let Ok((next, _)) = listener.accept().await {
                tokio::spawn(pass(next, Vec::new(), behind));
            }
        });
    }
}

async fn pass(mut from: TcpStream, said: Vec<u8>, to: SocketAddr) {
    let mut to = TcpStream::connect(to).await.unwrap();
    to.write_all(&said).await.unwrap();
    // Either may leave as it likes.
    let _is_over = copy_bidirectional(&mut from, &mut to).await;
}

async fn ask(to: SocketAddr, method: &str, target: &str, host: &str) -> Response {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n");
    let mut connection = Connection::open([127, 0, 0, 1].into(), to).await;
    connection.exchange(request.as_bytes(), method).await.expect("an answer")
}

#[tokio::test]
async fn a_file_is_read_under_its_name_at_its_host_and_in_its_time() {
    let own = Looks { http: free_port(), tls: free_port() };
    let ambush = Ambush::before(own.http).await;
    let looks = Looks { http: ambush.port(), tls: own.tls };
    let mut stage = Stage::looking_at(looks, own, false).await;
    stage.pebble.run();
    let gateway = stage.plan(&["site.test"], "http-01").start().await;

    let mut caught = ambush.catch().await;
    let mut said = vec![0; 4096];
    let length = caught.read(&mut said).await.unwrap();
    said.truncate(length);
    let head = String::from_utf8(said.clone()).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let token = path.strip_prefix("/.well-known/acme-challenge/").expect(&head).to_owned();

    let answer = ask(gateway.http, "GET", &path, "site.test").await;
    assert_eq!((answer.status, answer.text().starts_with(&format!("{token}."))), (200, true));
    assert_eq!(answer.header("content-type").as_deref(), Some("application/octet-stream"));
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    // As authorities may write the host.
    let host = format!("Site.Test:{}", gateway.http.port());
    assert_eq!(ask(gateway.http, "GET", &path, &host).await.status, 200);

    // Whoever asks for anything else is a stranger on a closed path, as ever.
    let other = format!("{}{token}", "/.well-known/acme-challenge");
    let at = |rest: &str| format!("/.well-known/acme-challenge/{rest}");
    for (method, target, host, status) in [
        ("GET", path.as_str(), "www.site.test", 401),
        ("GET", &path, "elsewhere.test", 421),
        ("POST", &path, "site.test", 401),
        ("HEAD", &path, "site.test", 401),
        ("GET", &at(""), "site.test", 401),
        ("GET", &at(&token[1..]), "site.test", 401),
        ("GET", &at(&format!("{token}a")), "site.test", 401),
        ("GET", &at(&format!("{token}/")), "site.test", 401),
        ("GET", &at(&format!("%{:02x}{}", token.as_bytes()[0], &token[1..])), "site.test", 401),
        ("GET", &at(&format!("a/../{token}")), "site.test", 400),
        ("GET", &at(&format!("./{token}")), "site.test", 400),
        ("GET", &at(&format!("..%2facme-challenge%2f{token}")), "site.test", 400),
        ("GET", &format!("/.well-known//acme-challenge/{token}"), "site.test", 401),
        ("GET", &format!("/.WELL-KNOWN/acme-challenge/{token}"), "site.test", 401),
        ("GET", &format!("/public/..;/.well-known/acme-challenge/{token}"), "site.test", 400),
        ("GET", &other, "site.test", 401),
    ] {
        let answer = ask(gateway.http, method, target, host).await;
        assert_eq!(answer.status, status, "{method} {target} {host}");
        assert!(!answer.text().contains(&format!("{token}.")), "{method} {target} {host}");
    }
    // Two hosts are none, and an absolute target's is the one that counts.
    let twice = format!("GET {path} HTTP/1.1\r\nHost: site.test\r\nHost: site.test\r\n\r\n");
    let mut connection = Connection::open([127, 0, 0, 1].into(), gateway.http).await;
    assert_eq!(connection.exchange(twice.as_bytes(), "GET").await.unwrap().status, 400);
    let absolute = format!("http://www.site.test{path}");
    assert_eq!(ask(gateway.http, "GET", &absolute, "site.test").await.status, 401);
    // It is no way to the control listener.
    assert_eq!(ask(gateway.control, "GET", &path, "site.test").await.status, 404);
    stage.upstream.assert_untouched("all of it was the gateway's to answer").await;

    ambush.release(caught, said);
    serial_soon(&gateway, &stage.client().await, "site.test").await;
    assert_eq!(ask(gateway.http, "GET", &path, "site.test").await.status, 401, "it is over");
}

#[tokio::test]
async fn files_under_that_path_are_the_sites_else() {
    let stage = Stage::running().await;
    let plan = stage.plan(&["site.test"], "http-01");
    let gateway = plan.site(|site| site.route("/.well-known/", "off")).start().await;
    serial_soon(&gateway, &stage.client().await, "site.test").await;
    let path = "/.well-known/acme-challenge/of-the-sites-own-program";
    assert_eq!(ask(gateway.http, "GET", path, "site.test").await.status, 200);
    assert_eq!(stage.upstream.last().target, path);
}

/// What becomes of a handshake with `name` under these protocols, and of a request on it.
async fn shaken(gateway: &TestGateway, protocols: &[&str], name: &str) -> Option<Vec<u8>> {
    // Whoever validates trusts nobody and looks at what it is shown.
    let stream = Client::blind().offering(protocols).shake(gateway, name).await.ok()?;
    let shown = session(&stream).peer_certificates()?.first()?.to_vec();
    let (mut stream, mut answer) = (stream, Vec::new());
    let _is_over = stream.write_all(b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
    let _is_over = stream.read_to_end(&mut answer).await;
    assert_eq!(String::from_utf8_lossy(&answer), "", "{protocols:?} {name}");
    Some(shown)
}

/// How the extension begins that such a certificate has (RFC 8737 §6.1): its number, and that it matters.
const ACME_IDENTIFIER: [u8; 13] =
    [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f, 0x01, 0x01, 0xff];

#[tokio::test]
async fn a_handshake_for_the_authority_shows_a_certificate_and_nothing_more() {
    let own = Looks { http: free_port(), tls: free_port() };
    let ambush = Ambush::before(own.tls).await;
    let looks = Looks { http: own.http, tls: ambush.port() };
    let mut stage = Stage::looking_at(looks, own, false).await;
    stage.pebble.run();
    let gateway = stage.plan(&["site.test"], "tls-alpn-01").start().await;
    let caught = ambush.catch().await;

    for name in ["site.test", "SITE.test"] {
        let shown = shaken(&gateway, &["acme-tls/1"], name).await.expect("shakes hands");
        assert!(shown.windows(13).any(|window| window == ACME_IDENTIFIER), "{name}");
    }
    // A name that waits for its certificate has none, and nobody but an authority is shown this one.
    for (protocols, name) in [
        (&["acme-tls/1"][..], "www.site.test"),
        (&["acme-tls/1"], "elsewhere.test"),
        (&["acme-tls/1", "h2"], "site.test"),
        (&["http/1.1", "acme-tls/1"], "site.test"),
        (&["http/1.1"], "site.test"),
        (&[], "site.test"),
    ] {
        assert_eq!(shaken(&gateway, protocols, name).await, None, "{protocols:?} {name}");
    }
    stage.upstream.assert_untouched("nothing is said on such a connection").await;

    ambush.release(caught, Vec::new());
    let client = stage.client().await;
    serial_soon(&gateway, &client, "site.test").await;
    // It is over: now there is nobody here who knows that protocol.
    assert_eq!(shaken(&gateway, &["acme-tls/1"], "site.test").await, None);
    let request = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
    let stream = client.offering(&["acme-tls/1", "http/1.1"]).shake(&gateway, "site.test").await.unwrap();
    assert_eq!(session(&stream).alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(Connection::over(stream).exchange(request, "GET").await.unwrap().status, 200);
}
