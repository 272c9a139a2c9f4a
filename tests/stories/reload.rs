//! Other settings while visitors are connected: what changes changes for the next request, what is under
//! way ends as it began, and where anything of it cannot be, nothing of it is.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tollgate::app::ReloadError;

use crate::redis::{is_ready, over};
use crate::servers::redis::Server;
use crate::support::{
    ApiClient, Ask, Connection, FakeUpstream, HANG, LoginPage, Plan, SITE, SitePlan, TestGateway, Visitor,
    settle,
};

/// Another key than that of most stories.
const NEXT: &str = "next-key-of-the-stories-0123456789-abcdefghijklm";

/// What the upstream of some stories is told by.
const NAMES: [&str; 3] = ["x-app-mail", "x-app-role", "x-app-user"];

const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";

fn site(name: &str, host: &str, upstream: &FakeUpstream) -> SitePlan {
    SitePlan::new(name, host, upstream.address())
}

/// What somebody with this cookie begins, which the upstream answers with a stream of events.
async fn events(gateway: &TestGateway, upstream: &TcpListener, cookie: &str) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(gateway.http).await.unwrap();
    let ask = format!("GET /events HTTP/1.1\r\nHost: site.test\r\nCookie: {cookie}\r\n\r\n");
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut server = timeout(HANG, upstream.accept()).await.expect("a connection").unwrap().0;
    read_until(&mut server, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).await.unwrap();
    read_until(&mut client, "first").await;
    (client, server)
}

async fn read_until(stream: &mut TcpStream, needle: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(needle) {
        let read = timeout(HANG, stream.read_buf(&mut text)).await;
        assert!(matches!(read, Ok(Ok(1..))), "{read:?}: {:?}", String::from_utf8_lossy(&text));
    }
    String::from_utf8_lossy(&text).into_owned()
}

async fn goes_on((client, server): &mut (TcpStream, TcpStream)) {
    server.write_all(b"6\r\nsecond\r\n").await.unwrap();
    read_until(client, "second").await;
}

async fn has_ended((mut client, mut server): (TcpStream, TcpStream)) {
    for side in [&mut client, &mut server] {
        let mut rest = Vec::new();
        let _reset_is_an_end = timeout(HANG, side.read_to_end(&mut rest)).await.expect("an end");
    }
}

fn cookie_of(visitor: &Visitor) -> String {
    format!("tollgate={}", visitor.session_cookie().expect("is signed in"))
}

#[tokio::test]
async fn the_next_request_goes_where_the_new_settings_say_on_the_same_connection() {
    let (old, new) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let mut gateway = TestGateway::before(&old).await;
    let mut kept = Visitor::at(&gateway).connect().await;
    assert_eq!(kept.exchange(GET, "GET").await.unwrap().status, 200);
    let mut member = Visitor::at(&gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;

    gateway.reload(&Plan::new(&new)).await.unwrap();
    let before = old.count();
    assert_eq!(kept.exchange(GET, "GET").await.unwrap().status, 200);
    assert_eq!(member.get(&format!("{SITE}/closed")).await.status, 200, "the session goes on");
    assert_eq!((old.count(), new.count()), (before, 2));

    // What was open is closed, for whoever is connected as well.
    let closed = Plan::new(&new).site(|site| site.route_requiring("/public/a", "{ roles = [\"admin\"] }"));
    gateway.reload(&closed).await.unwrap();
    assert_eq!(kept.exchange(GET, "GET").await.unwrap().status, 302);
    assert_eq!(member.get(&format!("{SITE}/public/a")).await.status, 403);
}

#[tokio::test]
async fn a_request_that_is_under_way_ends_with_the_settings_with_which_it_began() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let new = FakeUpstream::start().await;
    let address = upstream.local_addr().unwrap();
    let mut gateway = Plan::of(SitePlan::new("intranet", "site.test", address)).start().await;
    let mut client = TcpStream::connect(gateway.http).await.unwrap();
    client.write_all(GET).await.unwrap();
    let mut server = timeout(HANG, upstream.accept()).await.unwrap().unwrap().0;
    read_until(&mut server, "\r\n\r\n").await;
    gateway.reload(&Plan::new(&new).site(|site| site.with("max_body", "\"1MiB\""))).await.unwrap();
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfrom old").await.unwrap();
    read_until(&mut client, "from old").await;
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "hello from upstream").await;
}

#[tokio::test]
async fn a_site_is_added_and_removed_and_its_sessions_are_gone_for_good() {
    let (upstream, other) = (FakeUpstream::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    for embedded in [false, true] {
        let plan = if embedded { Plan::new(&upstream).embedded(folder.path()) } else { Plan::new(&upstream) };
        let here = || SitePlan::new("wiki", "site.test", other.local_addr().unwrap());
        let there = plan.clone().without_sites().and_site(site("intranet", "elsewhere.test", &upstream));
        let both = there.clone().and_site(here());
        let mut gateway = there.clone().start().await;
        let mut visitor = Visitor::at(&gateway);
        assert_eq!(visitor.get(&format!("{SITE}/")).await.status, 421);
        gateway.reload(&both).await.unwrap();
        visitor.sign_in(&LoginPage::new(gateway.api(), "wiki"), "jane@example.com").await;
        let mut running = events(&gateway, &other, &cookie_of(&visitor)).await;
        gateway.reload(&both.clone().site(|site| site.with("max_body", "\"1MiB\""))).await.unwrap();
        goes_on(&mut running).await;

        gateway.reload(&there).await.unwrap();
        assert_eq!(visitor.get(&format!("{SITE}/")).await.status, 421);
        has_ended(running).await;
        let sessions = gateway.api().get("/v1/sessions").await.json();
        assert!(!sessions.to_string().contains("jane"), "{sessions}");
        gateway.reload(&both).await.unwrap();
        assert_eq!(visitor.get(&format!("{SITE}/")).await.status, 302, "nobody is signed in again");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn headers_are_never_read_under_the_names_of_other_rules() {
    let upstream = FakeUpstream::start().await;
    let redis = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(&upstream);
    for (store, plan) in [
        ("memory", plan.clone()),
        ("embedded", plan.clone().embedded(folder.path())),
        ("redis", over(plan, &redis.url())),
    ] {
        let rules = |first: (&str, &str), second: (&str, &str)| {
            plan.clone()
                .site(|site| site.identity_header(first.0, first.1).identity_header(second.0, second.1))
        };
        let mail_first = rules(("X-App-Mail", "{email}"), ("X-App-Role", "{role}"));
        let role_first = rules(("X-App-Role", "{role}"), ("X-App-User", "{email}"));
        let mut gateway = mail_first.clone().start().await;
        is_ready(&gateway).await;
        let mut visitor = Visitor::at(&gateway);
        visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
        let told = |names: [&str; 3]| {
            let last = upstream.last();
            names.map(|name| last.header(name).unwrap_or_default())
        };
        for _ in 0..3 {
            assert_eq!(visitor.get(&format!("{SITE}/closed")).await.status, 200, "{store}");
            assert_eq!(told(NAMES), ["jane@example.com", "editor", ""], "{store}");
            gateway.reload(&role_first).await.unwrap();
            // On the same connection, and on one of those who come later.
            assert_eq!(visitor.get(&format!("{SITE}/closed")).await.status, 200, "{store}");
            assert_eq!(told(NAMES), ["", "editor", "jane@example.com"], "{store}");
            let forged = Ask::navigate("GET", &format!("{SITE}/closed")).with("X-App-User", "root");
            assert_eq!(visitor.send(forged).await.status, 200, "{store}");
            assert_eq!(told(NAMES), ["", "editor", "jane@example.com"], "{store}");
            gateway.reload(&mail_first).await.unwrap();
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_runs_ends_only_where_the_upstream_is_told_something_else() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plan = Plan::of(SitePlan::new("intranet", "site.test", upstream.local_addr().unwrap()));
    let mut gateway = plan.clone().start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let mut running = events(&gateway, &upstream, &cookie_of(&visitor)).await;
    let more = plan.clone().site(|site| site.with("upstream_timeout", "\"5s\""));
    gateway.reload(&more).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    goes_on(&mut running).await;
    gateway.reload(&more.site(|site| site.identity_header("X-App-Mail", "{email}"))).await.unwrap();
    has_ended(running).await;
}

#[tokio::test]
async fn a_back_end_that_is_closed_is_closed_for_those_who_are_in_it() {
    let upstream = FakeUpstream::start().await;
    let plan = |allowed: &str| {
        Plan::new(&upstream).site(|site| {
            site.with("allow_backend_login", allowed).route_requiring("/office/", "{ backend = true }")
        })
    };
    let mut gateway = plan("true").start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let changed = gateway.api().patch("/v1/users/1", &json!({ "account": "full" })).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let url = format!("{SITE}/office/a");
    for (allowed, status) in [("true", 200), ("false", 403), ("true", 200)] {
        gateway.reload(&plan(allowed)).await.unwrap();
        let waiting = async {
            while visitor.get(&url).await.status != status {
                settle().await;
            }
        };
        timeout(HANG, waiting).await.expect("follows");
    }
}

#[tokio::test]
async fn api_keys_come_and_go() {
    let upstream = FakeUpstream::start().await;
    let mut gateway = TestGateway::before(&upstream).await;
    let next = format!("name = \"next\"\nsecret = {NEXT:?}\nscopes = [\"read:sessions\"]");
    let (old, new) = (gateway.api(), ApiClient::new(gateway.control, Some(NEXT)));
    assert_eq!((old.get("/v1/sessions").await.status, new.get("/v1/sessions").await.status), (200, 401));
    gateway.reload(&Plan::new(&upstream).key(&next)).await.unwrap();
    assert_eq!((old.get("/v1/sessions").await.status, new.get("/v1/sessions").await.status), (200, 200));
    gateway.reload(&Plan::new(&upstream).without_keys().key(&next)).await.unwrap();
    assert_eq!((old.get("/v1/sessions").await.status, new.get("/v1/sessions").await.status), (401, 200));
}

#[tokio::test]
async fn a_proxy_that_is_trusted_no_more_is_not_believed_on_the_connection_that_it_has() {
    let upstream = FakeUpstream::start().await;
    let trusting = Plan::new(&upstream).server("trusted_proxies", "[\"127.0.0.1\"]");
    let mut gateway = trusting.start().await;
    let mut proxy = Visitor::at(&gateway).connect().await;
    let ask = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n";
    let mut client = async || {
        assert_eq!(proxy.exchange(ask, "GET").await.unwrap().status, 200);
        upstream.last().header("x-real-ip").unwrap()
    };
    assert_eq!(client().await, "192.0.2.9");
    gateway.reload(&Plan::new(&upstream)).await.unwrap();
    assert_eq!(client().await, "127.0.0.1");
    gateway.reload(&Plan::new(&upstream).server("trusted_proxies", "[\"127.0.0.0/8\"]")).await.unwrap();
    assert_eq!(client().await, "192.0.2.9");
}

#[tokio::test]
async fn listeners_are_opened_and_closed_and_who_came_in_stays() {
    let upstream = FakeUpstream::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let second = format!("[\"127.0.0.1:0\", \"{free}\"]");
    let mut gateway = Plan::new(&upstream).server("workers", "2").start().await;
    let first = gateway.http;
    let mut early = Connection::open([127, 0, 0, 1].into(), first).await;
    assert_eq!(early.exchange(GET, "GET").await.unwrap().status, 200);
    let two = Plan::new(&upstream).server("workers", "2");
    gateway.reload(&two.clone().server("http", &second)).await.unwrap();
    assert_eq!(gateway.all_http(), [first, free]);
    let mut late = Connection::open([127, 0, 0, 1].into(), free).await;
    assert_eq!(late.exchange(GET, "GET").await.unwrap().status, 200);

    gateway.reload(&two.server("http", &format!("[\"{free}\"]"))).await.unwrap();
    let refused = async {
        while TcpStream::connect(first).await.is_ok() {
            settle().await;
        }
    };
    timeout(HANG, refused).await.expect("is closed");
    for connection in [&mut early, &mut late] {
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn limits_are_for_those_who_come() {
    let upstream = FakeUpstream::start().await;
    let mut gateway = TestGateway::before(&upstream).await;
    let long = format!("GET /public/a HTTP/1.1\r\nHost: site.test\r\nX-Long: {}\r\n\r\n", "a".repeat(20_000));
    let visitor = Visitor::at(&gateway);
    let mut early = visitor.connect().await;
    assert_eq!(early.exchange(long.as_bytes(), "GET").await.unwrap().status, 200);
    let strict = Plan::new(&upstream).server("max_header_bytes", "\"8KiB\"").server("max_connections", "1");
    gateway.reload(&strict).await.unwrap();
    assert_eq!(early.exchange(long.as_bytes(), "GET").await.unwrap().status, 200);
    // There is one place, and it is taken by who is not idle.
    assert!(early.send(b"GET /public/a HTTP/1.1\r\n").await);
    let mut next = visitor.connect().await;
    assert!(next.send(long.as_bytes()).await);
    assert!(timeout(Duration::from_millis(300), next.receive("GET")).await.is_err());
    drop(early);
    assert_eq!(timeout(HANG, next.receive("GET")).await.unwrap().unwrap().status, 431);
    gateway.reload(&Plan::new(&upstream)).await.unwrap();
    assert_eq!(visitor.send_raw(long.as_bytes()).await.unwrap().status, 200);
}

#[tokio::test]
async fn what_cannot_change_keeps_everything_else_from_changing() {
    let upstream = FakeUpstream::start().await;
    let mut gateway = TestGateway::before(&upstream).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let closed = Plan::new(&upstream).without_keys().site(|site| site.with("hosts", "[\"other.test\"]"));
    let folder = tempfile::tempdir().unwrap();
    for (named, plan) in [
        ("[store]", closed.clone().embedded(folder.path())),
        ("server.workers", closed.clone().server("workers", "3")),
        ("control.listen", closed.clone().control("listen", "\"127.0.0.1:1\"")),
        (
            "cannot listen on",
            closed.clone().server("http", &format!("[\"{free}\", \"{}\"]", taken.local_addr().unwrap())),
        ),
    ] {
        let error: ReloadError = gateway.reload(&plan).await.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        let answer = Visitor::at(&gateway).get(&format!("{SITE}/public/a")).await;
        assert_eq!(answer.status, 200, "{named}");
        assert_eq!(gateway.api().get("/v1/sessions").await.status, 200, "{named}");
        assert!(TcpStream::connect(free).await.is_err(), "{named}: nothing is open that is not in force");
    }
    gateway.reload(&closed).await.unwrap();
    assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}/public/a")).await.status, 421);
}
