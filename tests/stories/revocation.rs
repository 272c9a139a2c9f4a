//! What runs on the strength of a session ends with it, however the session ends and whatever runs:
//! judged by what the client saw, and by what the upstream saw. It takes less than a second by
//! construction; no story measures that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::time::timeout;
use tollgate::store::Stores;

use crate::outage::Frail;
use crate::redis::over;
use crate::servers::redis::Server;
use crate::support::{
    ByHand, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, encoded, minutes, read_until, rest, seconds,
    settle,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a close for an ended session says, to a browser and to a server.
const TO_BROWSER: &[u8] = b"\x88\x0f\x03\xf0session ended";
const TO_SERVER: &[u8] = b"\x88\x8f\0\0\0\0\x03\xf0session ended";

/// Both ends of something that runs.
trait Side: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Side for T {}

/// Where the story itself is the upstream.
enum Behind {
    Tcp(ByHand),
    Unix(UnixListener),
}

impl Behind {
    async fn tcp() -> (Self, String) {
        let by_hand = ByHand::start().await;
        let url = by_hand.url();
        (Self::Tcp(by_hand), url)
    }

    fn unix(folder: &std::path::Path) -> (Self, String) {
        let path = folder.join("upstream");
        (Self::Unix(UnixListener::bind(&path).expect("binds")), format!("unix:{}", path.display()))
    }

    async fn accept(&self) -> Box<dyn Side> {
        match self {
            Self::Tcp(by_hand) => Box::new(by_hand.accept().await),
            Self::Unix(listener) => {
                let accepted = timeout(HANG, listener.accept()).await.expect("a connection");
                Box::new(accepted.expect("accepts").0)
            }
        }
    }
}

fn plan(url: String, change: impl FnOnce(SitePlan) -> SitePlan) -> Plan {
    let site = SitePlan::new("intranet", "site.test", ([127, 0, 0, 1], 1).into());
    // Whatever ends here does not end because somebody was too slow.
    Plan::of(change(site.upstreams(&[url]))).server("body_idle_timeout", "\"10m\"")
}

/// Something that a session lets run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    WebSocket,
    Events,
    /// An answer that the client does not read.
    Unread,
    Download,
    LongPoll,
    Upload,
    /// An upload to which the answer has begun.
    Talk,
}

const KINDS: [Kind; 7] =
    [Kind::WebSocket, Kind::Events, Kind::Unread, Kind::Download, Kind::LongPoll, Kind::Upload, Kind::Talk];

/// It runs.
struct Run {
    kind: Kind,
    cookie: String,
    client: TcpStream,
    server: Box<dyn Side>,
}

impl Run {
    async fn begin(kind: Kind, gateway: &TestGateway, behind: &Behind, cookie: &str) -> Self {
        let mut client = TcpStream::connect(gateway.http).await.expect("connects");
        let (line, body) = match kind {
            Kind::WebSocket => ("GET /chat", ""),
            Kind::Events | Kind::Unread | Kind::Download | Kind::LongPoll => ("GET /get", ""),
            Kind::Upload => ("PUT /put", "Content-Length: 1000\r\n"),
            Kind::Talk => ("POST /talk", "Transfer-Encoding: chunked\r\n"),
        };
        let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n");
        let extra = if kind == Kind::WebSocket { &upgrade } else { body };
        let piece = match kind {
            Kind::Upload => "some of it",
            Kind::Talk => "4\r\nword\r\n",
            _ => "",
        };
        let head = format!(
            "{line} HTTP/1.1\r\nHost: site.test\r\nX-Requested-With: XMLHttpRequest\r\nCookie: {cookie}\r\n\
             {extra}\r\n{piece}"
        );
        client.write_all(head.as_bytes()).await.expect("asks");
        let mut server = behind.accept().await;
        read_until(&mut server, if piece.is_empty() { "\r\n\r\n" } else { piece.trim_end() }).await;
        let answer = match kind {
            Kind::WebSocket => format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
            ),
            Kind::Events => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                             Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
                .to_owned(),
            Kind::Download => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst".to_owned(),
            Kind::Unread => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nfirst", 1_u64 << 40),
            Kind::Talk => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_owned(),
            Kind::LongPoll | Kind::Upload => String::new(),
        };
        server.write_all(answer.as_bytes()).await.expect("answers");
        match kind {
            Kind::WebSocket => drop(read_until(&mut client, "\r\n\r\n").await),
            Kind::LongPoll | Kind::Upload => {}
            Kind::Events | Kind::Unread | Kind::Download | Kind::Talk => {
                read_until(&mut client, "first").await;
            }
        }
        if kind == Kind::Unread {
            // Until nobody takes any more.
            let block = vec![0; 1 << 16];
            while timeout(Duration::from_millis(500), server.write_all(&block)).await.is_ok() {}
        }
        Self { kind, cookie: cookie.to_owned(), client, server }
    }

    /// It is still there, and something passes.
    async fn goes_on(&mut self) {
        assert_eq!(self.kind, Kind::Events);
        self.server.write_all(b"6\r\nsecond\r\n").await.expect("goes on");
        read_until(&mut self.client, "second").await;
    }

    /// Both sides have seen that it ended, and neither took a piece for the whole.
    async fn has_ended(mut self, why: &str, is_over: bool) {
        let kind = self.kind;
        let seen = rest(&mut self.server).await;
        // What the upstream says now comes too late.
        let _closed = self.server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
        let upstream_saw = String::from_utf8_lossy(&seen).into_owned();
        match kind {
            Kind::WebSocket => assert_eq!(seen, TO_SERVER, "{why}"),
            Kind::Talk => assert!(!upstream_saw.contains("0\r\n\r\n"), "{why}: {upstream_saw}"),
            _ => assert_eq!(upstream_saw, "", "{why}: {kind:?}"),
        }
        if kind == Kind::LongPoll {
            let told = read_until(&mut self.client, "session_ended").await;
            assert!(told.starts_with("HTTP/1.1 401 "), "{why}: {told}");
            if !is_over {
                return;
            }
            // The connection is as good as before, and whoever asks again is a stranger.
            let again = format!(
                "GET /get HTTP/1.1\r\nHost: site.test\r\nCookie: {}\r\nConnection: close\r\n\
                 X-Requested-With: XMLHttpRequest\r\n\r\n",
                self.cookie
            );
            self.client.write_all(again.as_bytes()).await.expect("asks again");
        }
        let client_saw = rest(&mut self.client).await;
        let text = String::from_utf8_lossy(&client_saw);
        assert!(!text.contains("late"), "{why}: {kind:?}: {text}");
        match kind {
            Kind::WebSocket => assert_eq!(client_saw, TO_BROWSER, "{why}"),
            Kind::LongPoll => assert!(text.contains("login_required"), "{why}: {text}"),
            Kind::Upload => {
                assert!(text.starts_with("HTTP/1.1 401 ") && text.contains("session_ended"), "{why}: {text}");
                assert!(text.to_ascii_lowercase().contains("connection: close"), "{why}: {text}");
            }
            Kind::Unread => assert!(client_saw.len() < 1 << 30, "{why}"),
            Kind::Events | Kind::Download | Kind::Talk => assert_eq!(text.trim(), "", "{why}: {kind:?}"),
        }
    }
}

/// How a session ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Logout,
    Deleted,
    AllDeleted,
    Idle,
    Age,
    RoleChanged,
    Changed,
    UserDeleted,
    Evicted,
    Replaced,
}

const ENDINGS: [Ending; 10] = [
    Ending::Logout,
    Ending::Deleted,
    Ending::AllDeleted,
    Ending::Idle,
    Ending::Age,
    Ending::RoleChanged,
    Ending::Changed,
    Ending::UserDeleted,
    Ending::Evicted,
    Ending::Replaced,
];

impl Ending {
    /// Whether it is the end of all that its person has.
    fn is_of_the_person(self) -> bool {
        matches!(self, Self::AllDeleted | Self::RoleChanged | Self::UserDeleted)
    }

    /// Whether the session goes on, only as another one than it was.
    fn is_a_change(self) -> bool {
        matches!(self, Self::RoleChanged | Self::Changed)
    }

    /// Ends the session of `jane`, who has the oldest one. Whoever else is there is not idle meanwhile.
    async fn come(self, scene: &mut Scene) {
        let (api, login_page) = (scene.gateway.api(), scene.gateway.login_page());
        let sessions = format!("/v1/sessions?email={}", encoded("jane@example.com"));
        let oldest = api.get(&sessions).await.json()["sessions"][0]["id"].as_str().expect("an id").to_owned();
        let session = format!("/v1/sessions/{oldest}");
        let (users, _) = api.all("/v1/users").await;
        let user = users.iter().find(|user| user["email"] == "jane@example.com").expect("is known");
        let user = format!("/v1/users/{}", user["id"].as_str().expect("an id"));
        let answer = match self {
            Self::Logout => scene.jane.get(&format!("{SITE}/.tollgate/logout")).await,
            Self::Deleted => api.delete(&session).await,
            Self::AllDeleted => api.delete(&sessions).await,
            Self::Idle => {
                scene.gateway.advance(minutes(20));
                touch(&mut scene.bystander, &scene.behind).await;
                return scene.gateway.advance(minutes(11));
            }
            Self::Age => {
                for _ in 0..2 {
                    scene.gateway.advance(minutes(25));
                    touch(&mut scene.bystander, &scene.behind).await;
                    touch(&mut scene.jane, &scene.behind).await;
                }
                return scene.gateway.advance(minutes(6));
            }
            Self::RoleChanged => api.patch(&user, &json!({ "roles": { "intranet": "admin" } })).await,
            Self::Changed => api.patch(&session, &json!({ "groups": ["staff"] })).await,
            Self::UserDeleted => api.delete(&user).await,
            Self::Evicted => {
                let token = login_page.token_for("jane@example.com").await;
                Visitor::at(&scene.gateway).get(&format!("{SITE}/?sso={token}")).await
            }
            Self::Replaced => {
                let token = login_page.token_for("jane@example.com").await;
                scene.jane.get(&format!("{SITE}/?sso={token}")).await
            }
        };
        assert!(matches!(answer.status, 200 | 204 | 302), "{self:?}: {answer:?}");
    }
}

/// A request that is answered, and keeps the session from being idle.
async fn touch(visitor: &mut Visitor, behind: &Behind) {
    let answering = async {
        let mut server = behind.accept().await;
        read_until(&mut server, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        server.write_all(answer).await.expect("answers");
    };
    let (answer, ()) = tokio::join!(visitor.fetch("http://site.test/touch"), answering);
    assert_eq!(answer.status, 200);
}

fn cookie_of(visitor: &Visitor) -> String {
    format!("tollgate={}", visitor.session_cookie().expect("is signed in"))
}

/// Jane is signed in, and so is somebody whose session does not end: Jane herself in another
/// browser, if hers is not the only one to end.
struct Scene {
    gateway: TestGateway,
    behind: Behind,
    jane: Visitor,
    bystander: Visitor,
}

impl Scene {
    async fn set(behind: (Behind, String), other: &str, change: impl FnOnce(SitePlan) -> SitePlan) -> Self {
        let (behind, url) = behind;
        let gateway = plan(url, change).start().await;
        let (mut jane, mut bystander) = (Visitor::at(&gateway), Visitor::at(&gateway));
        jane.sign_in(&gateway.login_page(), "jane@example.com").await;
        gateway.advance(minutes(5));
        bystander.sign_in(&gateway.login_page(), other).await;
        Self { gateway, behind, jane, bystander }
    }

    async fn begin(&self, kind: Kind, visitor: &Visitor) -> Run {
        Run::begin(kind, &self.gateway, &self.behind, &cookie_of(visitor)).await
    }
}

async fn whatever_runs_ends(ending: Ending, behind: (Behind, String)) {
    let other = if ending.is_of_the_person() { "joe@example.com" } else { "jane@example.com" };
    let mut scene = Scene::set(behind, other, |site| {
        let site = site.with("max_sessions_per_user", "2").with("session_idle", "\"30m\"");
        site.with("session_max", "\"60m\"")
    })
    .await;
    let mut runs = Vec::new();
    for kind in KINDS {
        runs.push(scene.begin(kind, &scene.jane).await);
    }
    let mut untouched = scene.begin(Kind::Events, &scene.bystander).await;
    ending.come(&mut scene).await;
    for run in runs {
        run.has_ended(&format!("{ending:?}"), !ending.is_a_change()).await;
    }
    untouched.goes_on().await;
    // What was cut off is not used again: the next request has a connection of its own.
    touch(&mut scene.bystander, &scene.behind).await;
}

#[tokio::test]
async fn however_a_session_ends_whatever_runs_ends_with_it() {
    for ending in ENDINGS {
        whatever_runs_ends(ending, Behind::tcp().await).await;
    }
}

#[tokio::test]
async fn behind_a_socket_in_the_file_system_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    whatever_runs_ends(Ending::Deleted, Behind::unix(folder.path())).await;
}

#[tokio::test]
async fn a_change_of_times_alone_ends_nothing_and_what_runs_ends_with_the_changed_session() {
    let scene = Scene::set(Behind::tcp().await, "joe@example.com", |site| site).await;
    let mut events = scene.begin(Kind::Events, &scene.jane).await;
    let socket = scene.begin(Kind::WebSocket, &scene.jane).await;
    let session = scene.gateway.api().get("/v1/sessions?email=jane%40example.com").await.json();
    let session = format!("/v1/sessions/{}", session["sessions"][0]["id"].as_str().expect("an id"));
    for idle in [3600, 7200] {
        let answer = scene.gateway.api().patch(&session, &json!({ "idle": idle, "max": 90_000 })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        // Long enough for several looks at it.
        tokio::time::sleep(seconds(1)).await;
        events.goes_on().await;
    }
    // The idle time is the new one; what passes meanwhile does not begin it anew.
    scene.gateway.advance(minutes(100));
    tokio::time::sleep(seconds(1)).await;
    events.goes_on().await;
    scene.gateway.advance(minutes(21));
    events.has_ended("idle", true).await;
    socket.has_ended("idle", true).await;
}

#[tokio::test]
async fn a_session_that_ends_at_one_node_ends_what_runs_at_another() {
    let (behind, url) = Behind::tcp().await;
    let stores = Stores::in_memory();
    let here = plan(url.clone(), |site| site).start_over(stores.clone()).await;
    let there = plan(url, |site| site).start_over(stores).await;
    let mut jane = Visitor::at(&here);
    jane.sign_in(&here.login_page(), "jane@example.com").await;
    let run = Run::begin(Kind::WebSocket, &there, &behind, &cookie_of(&jane)).await;
    assert_eq!(jane.get(&format!("{SITE}/.tollgate/logout")).await.status, 302);
    run.has_ended("elsewhere", true).await;
}

#[tokio::test]
async fn and_so_at_nodes_that_share_nothing_but_a_redis() {
    let (behind, url) = Behind::tcp().await;
    let server = Server::start();
    let plan = over(plan(url, |site| site), &server.url());
    let here = plan.clone().start().await;
    let there = plan.beside(&here).start().await;
    settle().await;
    for kind in [Kind::WebSocket, Kind::Events, Kind::Upload] {
        let mut jane = Visitor::at(&here);
        jane.sign_in(&here.login_page(), "jane@example.com").await;
        let run = Run::begin(kind, &there, &behind, &cookie_of(&jane)).await;
        assert_eq!(jane.get(&format!("{SITE}/.tollgate/logout")).await.status, 302);
        run.has_ended("elsewhere", true).await;
    }
}

/// Jane's events, at a gateway over a store that the story holds up.
async fn events_over_frail_store() -> (Arc<Frail>, TestGateway, Run) {
    let (behind, url) = Behind::tcp().await;
    let (frail, stores) = Frail::stores();
    let gateway = plan(url, |site| site).start_over(stores).await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    let events = Run::begin(Kind::Events, &gateway, &behind, &cookie_of(&jane)).await;
    (frail, gateway, events)
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_what_runs_its_time_but_not_for_ever() {
    let (frail, _gateway, mut events) = events_over_frail_store().await;
    for is_down in [true, false] {
        frail.is_down.store(is_down, Ordering::SeqCst);
        tokio::time::sleep(seconds(3)).await;
        events.goes_on().await;
    }
    // Whoever would end the session could not: so it is over for want of somebody who knows.
    frail.is_down.store(true, Ordering::SeqCst);
    events.has_ended("nobody knows", true).await;
}

#[tokio::test]
async fn what_the_store_finds_when_it_is_asked_counts() {
    for (ending, goes_on) in [(None, true), (Some("/v1/sessions?email=jane%40example.com"), false)] {
        let (frail, gateway, mut events) = events_over_frail_store().await;
        frail.is_vague.store(true, Ordering::SeqCst);
        if let Some(sessions) = ending {
            assert_eq!(gateway.api().delete(sessions).await.status, 200);
        }
        // Longer than it may go on if nobody knew.
        if goes_on {
            tokio::time::sleep(seconds(12)).await;
            events.goes_on().await;
        } else {
            events.has_ended("found out", true).await;
        }
        assert!(frail.asked.load(Ordering::SeqCst) < 30, "asked now and then, not at each look");
    }
}

#[tokio::test]
async fn a_websocket_that_is_in_the_middle_of_a_message_may_end_it_if_it_is_quick() {
    for is_quick in [true, false] {
        let scene = Scene::set(Behind::tcp().await, "joe@example.com", |site| site).await;
        let mut run = scene.begin(Kind::WebSocket, &scene.jane).await;
        // Half of a message each way.
        run.server.write_all(&[0x82, 4, 1, 2]).await.expect("begins");
        run.client.write_all(&[0x82, 0x84, 0, 0, 0, 0, 7]).await.expect("begins");
        let (mut half, mut begun) = ([0; 4], [0; 7]);
        run.client.read_exact(&mut half).await.expect("half of it");
        run.server.read_exact(&mut begun).await.expect("the beginning");
        assert_eq!(scene.gateway.api().delete("/v1/sessions?email=jane%40example.com").await.status, 200);
        // No message is put into another: the upstream is left with what it has.
        assert_eq!(rest(&mut run.server).await, b"");
        if is_quick {
            // Whatever comes behind the message is not passed on.
            run.server.write_all(&[3, 4, 0x82, 1, 9, 0x82, 1]).await.expect("ends its message");
        }
        let last = rest(&mut run.client).await;
        // Who is too slow, be it the story, is cut off.
        assert!(last.is_empty() || is_quick && last == [&[3, 4], TO_BROWSER].concat(), "{last:?}");
    }
}
