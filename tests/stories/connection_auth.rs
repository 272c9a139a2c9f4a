//! Applications that authenticate a connection and not a request (NTLM, Negotiate): nobody is ever
//! taken for somebody else who had the same connection before.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::h2::Honest;
use crate::support::http2::H2Upstream;
use crate::support::tls::session;
use crate::support::wire::Reader;
use crate::support::{
    Ask, Authority, Connection, FakeUpstream, HANG, Plan, Response, SITE, SitePlan, TestGateway, Visitor,
    serving,
};

/// An upstream that knows people by their connections. A connection says hello to whoever proved on
/// it who they are, until it ends.
struct WindowsServer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    opened: AtomicUsize,
    closed: AtomicUsize,
    /// Every `Authorization` with the number of its connection.
    words: Mutex<Vec<(usize, String)>>,
    /// Whether it hangs up in the middle of a handshake.
    is_moody: std::sync::atomic::AtomicBool,
}

impl WindowsServer {
    async fn start() -> Self {
        let seen = Arc::<Seen>::default();
        let all = Arc::clone(&seen);
        let address = serving(move |stream| {
            let number = all.opened.fetch_add(1, Ordering::SeqCst) + 1;
            let seen = Arc::clone(&all);
            async move {
                converse(stream, number, &seen).await;
                seen.closed.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await;
        Self { address, seen }
    }

    fn plan(&self) -> Plan {
        Plan::of(SitePlan::new("intranet", "site.test", self.address))
    }

    fn pinning(&self) -> Plan {
        self.plan().site(|site| site.with("connection_auth", "true"))
    }

    /// Waits until as many connections are left as this.
    async fn has_left(&self, open: usize) {
        let is_so = async {
            while self.seen.opened.load(Ordering::SeqCst) - self.seen.closed.load(Ordering::SeqCst) != open {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANG, is_so).await.expect("connections end");
    }
}

async fn converse(stream: TcpStream, number: usize, seen: &Seen) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::new(reader);
    let mut who: Option<String> = None;
    let mut is_challenged = false;
    while let Some((_, headers)) = reader.head().await {
        let _body = reader.framed(&headers).await;
        let said = headers.one("authorization");
        seen.words.lock().unwrap().extend(said.clone().map(|said| (number, said)));
        let words: Vec<&str> = said.as_deref().unwrap_or_default().split(' ').collect();
        let mut challenge = "Negotiate, NTLM".to_owned();
        match words.as_slice() {
            ["NTLM", "hello"] => {
                is_challenged = true;
                challenge = format!("NTLM {number}");
            }
            ["NTLM", _, _] if is_challenged && seen.is_moody.load(Ordering::SeqCst) => return,
            // An answer to the challenge of another connection proves nothing.
            ["NTLM", to, name] if is_challenged && *to == number.to_string() => {
                who = Some((*name).to_owned());
            }
            ["Negotiate", name] => who = Some((*name).to_owned()),
            _ => {}
        }
        let (line, body) = match &who {
            Some(who) => ("200 OK\r\nPersistent-Auth: true".to_owned(), format!("hello {who}")),
            None => (format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}"), "who?".to_owned()),
        };
        let answer = format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn page(path: &str) -> Ask {
    Ask::script("GET", &format!("{SITE}{path}"))
}

/// Who the application takes `visitor` for.
async fn greeting(visitor: &mut Visitor, path: &str) -> String {
    visitor.send(page(path)).await.text()
}

/// Proves to the application to be `name`, in three steps as browsers do.
async fn prove(visitor: &mut Visitor, path: &str, name: &str) -> Response {
    assert_eq!(visitor.send(page(path)).await.status, 401);
    let challenged = visitor.send(page(path).with("Authorization", "NTLM hello")).await;
    assert_eq!(challenged.status, 401, "{challenged:?}");
    let challenge = challenged.header("www-authenticate").expect("a challenge");
    let answer = format!("{challenge} {name}");
    visitor.send(page(path).with("Authorization", &answer)).await
}

async fn signed_in(gateway: &TestGateway, name: &str) -> Visitor {
    let mut visitor = Visitor::at(gateway);
    visitor.sign_in(&gateway.login_page(), &format!("{name}@example.com")).await;
    visitor
}

#[tokio::test]
async fn a_connection_on_which_somebody_was_authenticated_is_nobody_elses() {
    let server = WindowsServer::start().await;
    let gateway = server.plan().start().await;
    let (mut jane, mut bob) = (signed_in(&gateway, "jane").await, signed_in(&gateway, "bob").await);
    let mut stranger = Visitor::at(&gateway);
    for scheme in ["Negotiate", "negotiate", "NEGOTIATE"] {
        // One step is enough for a ticket, and it counts for this one answer.
        let ask = page("/a").with("Authorization", &format!("{scheme} jane"));
        let answer = jane.send(ask).await.text();
        assert_eq!(answer, if scheme == "Negotiate" { "hello jane" } else { "who?" });
        for _ in 0..4 {
            assert_eq!(greeting(&mut bob, "/a").await, "who?");
            assert_eq!(greeting(&mut stranger, "/public/a").await, "who?");
            assert_eq!(greeting(&mut jane, "/a").await, "who?", "not even herself");
        }
    }
    // A handshake over several requests comes to nothing, as each has another connection.
    assert_eq!(prove(&mut jane, "/a", "jane").await.status, 401);
    server.has_left(0).await;
}

#[tokio::test]
async fn where_a_site_wants_it_a_visitor_keeps_the_connection_that_was_authenticated() {
    let server = WindowsServer::start().await;
    let gateway = server.pinning().start().await;
    let (mut jane, mut bob) = (signed_in(&gateway, "jane").await, signed_in(&gateway, "bob").await);
    let mut stranger = Visitor::at(&gateway);
    let proven = prove(&mut jane, "/a", "jane").await;
    assert_eq!((proven.status, proven.text().as_str()), (200, "hello jane"));
    for round in 0..4 {
        assert_eq!(greeting(&mut stranger, "/public/a").await, "who?", "{round}");
        assert_eq!(greeting(&mut stranger, "/optional/a").await, "who?", "{round}");
        assert_eq!(greeting(&mut jane, "/a").await, "hello jane", "{round}");
        if round == 0 {
            assert_eq!(prove(&mut bob, "/a", "bob").await.text(), "hello bob");
        }
        assert_eq!(greeting(&mut bob, "/a").await, "hello bob", "{round}");
        // An open path is asked for as nobody, and takes nothing away from her.
        assert_eq!(greeting(&mut jane, "/public/a").await, "who?", "{round}");
    }
    // A pause in which the gateway forgets what else it remembers of a connection.
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert_eq!(greeting(&mut jane, "/a").await, "hello jane");
    // On another connection nobody is anybody.
    let mut again = signed_in(&gateway, "jane").await;
    assert_eq!(greeting(&mut again, "/a").await, "who?");
}

#[tokio::test]
async fn another_session_on_the_same_connection_inherits_nothing() {
    let server = WindowsServer::start().await;
    let gateway = server.pinning().start().await;
    let (jane, bob) = (signed_in(&gateway, "jane").await, signed_in(&gateway, "bob").await);
    let mut shared = Connection::open(Ipv4Addr::LOCALHOST.into(), gateway.http).await;
    let of = |visitor: &Visitor| format!("Cookie: tollgate={}\r\n", visitor.session_cookie().unwrap());
    let request = |cookie: &str, path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: site.test\r\nAccept: a/b\r\n{cookie}{more}\r\n").into_bytes()
    };
    let (jane, bob) = (of(&jane), of(&bob));
    let told = |answer: Option<Response>| answer.expect("an answer").text();
    let ticket = request(&jane, "/a", "Authorization: Negotiate jane\r\n");
    assert_eq!(told(shared.exchange(&ticket, "GET").await), "hello jane");
    assert_eq!(told(shared.exchange(&request(&jane, "/a", ""), "GET").await), "hello jane");
    assert_eq!(told(shared.exchange(&request("", "/optional/a", ""), "GET").await), "who?");
    assert_eq!(told(shared.exchange(&request(&bob, "/a", ""), "GET").await), "who?");
    assert_eq!(told(shared.exchange(&request(&jane, "/a", ""), "GET").await), "who?", "it was closed");
    let mut shared = Connection::open(Ipv4Addr::LOCALHOST.into(), gateway.http).await;
    // Who was nobody and signs in does not go on as who they were before.
    let nobody = request("", "/optional/a", "Authorization: Negotiate nobody\r\n");
    assert_eq!(told(shared.exchange(&nobody, "GET").await), "hello nobody");
    assert_eq!(told(shared.exchange(&request("", "/public/a", ""), "GET").await), "hello nobody");
    assert_eq!(told(shared.exchange(&request(&bob, "/a", ""), "GET").await), "who?");
    assert_eq!(told(shared.exchange(&request("", "/public/a", ""), "GET").await), "who?");
}

#[tokio::test]
async fn it_ends_with_the_visitors_connection_and_with_the_session() {
    let server = WindowsServer::start().await;
    let gateway = server.pinning().start().await;
    let mut jane = signed_in(&gateway, "jane").await;
    assert_eq!(prove(&mut jane, "/a", "jane").await.status, 200);
    server.has_left(1).await;
    let mut bob = signed_in(&gateway, "bob").await;
    assert_eq!(prove(&mut bob, "/a", "bob").await.status, 200);
    server.has_left(2).await;
    // She leaves.
    drop(jane);
    server.has_left(1).await;
    // He stays where he is, and his session is ended.
    let ended = gateway.api().send("DELETE", "/v1/sessions?email=bob@example.com", &[], b"").await;
    assert_eq!(ended.status, 200);
    server.has_left(0).await;
    assert_eq!(bob.fetch(&format!("{SITE}/a")).await.status, 401);
}

#[tokio::test]
async fn who_shares_a_connection_with_others_has_none_pinned() {
    let server = WindowsServer::start().await;
    let gateway = server.pinning().server("trusted_proxies", "[\"127.0.0.1/32\"]").start().await;
    let mut jane = signed_in(&gateway, "jane").await;
    let ticket = page("/a").with("Authorization", "Negotiate jane");
    assert_eq!(jane.send(ticket.clone()).await.text(), "hello jane");
    assert_eq!(greeting(&mut jane, "/a").await, "who?", "behind a proxy");

    let gateway = server.pinning().server("h2c", "true").start().await;
    let jane = signed_in(&gateway, "jane").await;
    let many = Honest::plainly(gateway.http).await;
    let request = |authorization: &str| {
        let cookie = format!("tollgate={}", jane.session_cookie().unwrap());
        let request = http::Request::get(format!("{SITE}/a")).header("cookie", cookie);
        let request =
            if authorization.is_empty() { request } else { request.header("authorization", authorization) };
        request.body(http_body_util::Full::default()).unwrap()
    };
    assert_eq!(many.send(request("Negotiate jane")).await.expect("an answer").text(), "hello jane");
    assert_eq!(many.send(request("")).await.expect("an answer").text(), "who?", "over HTTP/2");
    server.has_left(0).await;
}

#[tokio::test]
async fn a_word_of_a_handshake_is_never_said_on_another_connection() {
    let server = WindowsServer::start().await;
    let gateway = server.pinning().start().await;
    let mut jane = signed_in(&gateway, "jane").await;
    server.seen.is_moody.store(true, Ordering::SeqCst);
    let before = server.seen.words.lock().unwrap().len();
    // A GET without a body on a connection that was used before: what would be sent again otherwise.
    assert_eq!(prove(&mut jane, "/a", "jane").await.status, 502);
    let words = server.seen.words.lock().unwrap()[before..].to_vec();
    let [(first, hello), (second, proof)] = words.as_slice() else { panic!("{words:?}") };
    assert_eq!((first, hello.as_str()), (second, "NTLM hello"));
    assert_eq!(*proof, format!("NTLM {first} jane"));
    // A new beginning is one.
    server.seen.is_moody.store(false, Ordering::SeqCst);
    assert_eq!(prove(&mut jane, "/a", "jane").await.text(), "hello jane");
}

#[tokio::test]
async fn over_http2_nothing_is_said_of_it_to_an_upstream() {
    let upstream = H2Upstream::start(|mut stream| async move {
        let said =
            stream.request.headers().get("authorization").map(|said| said.to_str().unwrap().to_owned());
        let head = http::Response::builder().status(401);
        let head =
            head.header("www-authenticate", "Negotiate").header("www-authenticate", "Basic realm=\"a\"");
        let mut body = stream.begin(head.header("persistent-auth", "true").body(()).unwrap());
        body.send_data(said.unwrap_or_default().into(), true).unwrap();
    })
    .await;
    let site = SitePlan::new("intranet", "site.test", upstream.address);
    let gateway = Plan::of(site.upstreams(&[format!("h2c://{}", upstream.address)])).start().await;
    let mut visitor = Visitor::at(&gateway);
    for (said, read) in [("Negotiate YII=", ""), ("ntlm TlRM", ""), ("Basic eDp5", "Basic eDp5")] {
        let answer = visitor.send(page("/public/a").with("Authorization", said)).await;
        assert_eq!((answer.status, answer.text().as_str()), (401, read), "{said}");
        assert_eq!(answer.headers.all("www-authenticate"), ["Basic realm=\"a\""]);
        assert_eq!(answer.header("persistent-auth"), None);
    }
}

#[tokio::test]
async fn visitors_are_offered_what_can_be_pinned() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    for (pins, spoken) in [("true", &b"http/1.1"[..]), ("false", b"h2")] {
        let plan = Plan::new(&upstream).certificate(authority.issue("site", &["site.test"]));
        let gateway = plan.site(|site| site.with("connection_auth", pins)).start().await;
        let client = authority.client().offering(&["h2", "http/1.1"]);
        let stream = client.shake(&gateway, "site.test").await.expect("shakes hands");
        assert_eq!(session(&stream).alpn_protocol(), Some(spoken), "{pins}");
    }
}
