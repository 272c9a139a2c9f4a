//! When the gateway may have no more files open: who is idle makes room, who cannot be served is told so,
//! no upstream is blamed for it, and it passes.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::http2::{H2Upstream, Stream};
use crate::support::{Answer, Connection, FakeUpstream, HANG, Plan, Program, Response, SitePlan, settle};

/// A path on which the gateway answers a stranger by itself: no connection to an upstream is made for it.
const CLOSED: &[u8] = b"GET /closed HTTP/1.1\r\nHost: site.test\r\nAccept: application/json\r\n\r\n";
/// What only an upstream has.
const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\nAccept: application/json\r\n\r\n";
/// The same for a person.
const OPENED: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\nAccept: text/html\r\n\
    Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n";

/// How long a request may wait for a file, as the configuration has it.
const PATIENCE: Duration = Duration::from_millis(500);

fn site(upstreams: &[String]) -> SitePlan {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let patience = format!("\"{}ms\"", PATIENCE.as_millis());
    SitePlan::new("intranet", "site.test", nowhere).upstreams(upstreams).with("connect_timeout", &patience)
}

fn at(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// An upstream that wants a connection for each request.
async fn closing() -> FakeUpstream {
    let upstream = FakeUpstream::start().await;
    upstream.answers(Answer::page("hello").with("Connection", "close"));
    upstream
}

async fn connect(program: &Program) -> Connection {
    Connection::open([127, 0, 0, 1].into(), program.http).await
}

/// So many who have a connection and nothing more to say for now.
async fn idle(program: &Program, count: usize) -> Vec<Connection> {
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut connection = connect(program).await;
        assert_eq!(ask(&mut connection, CLOSED).await.status, 401);
        idle.push(connection);
    }
    idle
}

async fn ask(connection: &mut Connection, request: &[u8]) -> Response {
    connection.exchange(request, "GET").await.expect("an answer")
}

/// The sum of a figure over all that it is told of.
async fn figure(program: &Program, name: &str) -> u64 {
    let metrics = program.api().get("/metrics").await.text();
    let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let values: Vec<u64> = lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(!values.is_empty(), "no {name} in {metrics}");
    values.iter().sum()
}

/// Neither what is said nor what is counted tells of any trouble with its two upstreams.
async fn nobody_is_blamed(program: &Program) {
    assert_eq!(figure(program, "tollgate_upstream_failures_total").await, 0);
    assert_eq!(figure(program, "tollgate_upstream_up").await, 2);
    assert!(program.lines_with("left out").is_empty(), "{:?}", program.lines_with("left out"));
}

#[tokio::test]
async fn who_is_idle_makes_room_for_a_connection_to_the_upstream() {
    let upstream = closing().await;
    let plan = Plan::of(site(&[at(upstream.address())]).with("connect_timeout", "\"1m\""));
    let program = Program::start(&plan.server("keep_alive_timeout", "\"1h\"")).await;
    let mut idle = idle(&program, 4).await;
    let mut busy = idle.pop().expect("the last one");
    program.leave_no_files();
    for round in 1..=3 {
        assert_eq!(ask(&mut busy, GET).await.text(), "hello");
        assert_eq!((upstream.count(), upstream.connections()), (round, round));
    }
    // One had to go, without a word. What it left was enough for each connection after the other.
    let mut left = 0;
    for mut visitor in idle {
        left += usize::from(visitor.exchange(CLOSED, "GET").await.is_some());
    }
    assert_eq!(left, 2);
    program.limit_files(None);
    assert_eq!(figure(&program, "tollgate_connections_evicted_total").await, 1);
}

#[tokio::test]
async fn who_is_idle_makes_room_whichever_worker_they_are_with() {
    let upstream = closing().await;
    let plan = Plan::of(site(&[at(upstream.address())]).with("connect_timeout", "\"1m\""));
    let plan = plan.server("keep_alive_timeout", "\"1h\"").server("workers", "2");
    let program = Program::start(&plan).await;
    // Workers have as many connections each: of two, the other is with the other worker.
    let mut idle = idle(&program, 2).await;
    program.leave_no_files();
    assert_eq!(ask(&mut idle[1], GET).await.text(), "hello");
    assert!(idle[0].rest().await.is_empty(), "is closed without a word");
}

#[tokio::test]
async fn where_nobody_is_idle_it_is_said_and_no_upstream_is_blamed() {
    let upstreams = [closing().await, closing().await];
    let urls = upstreams.each_ref().map(|upstream| at(upstream.address()));
    let names =
        upstreams.each_ref().map(|upstream| format!("http://localhost:{}", upstream.address().port()));
    for site in [
        site(&urls),
        // Meanwhile nobody waits for an upstream.
        site(&urls).with("connect_timeout", "\"5s\"").with("upstream_timeout", "\"3s\""),
        // Where it is cannot be found out either.
        site(&names),
    ] {
        no_upstream_is_blamed(&Plan::of(site)).await;
    }
}

#[tokio::test]
async fn over_http_2_no_upstream_is_blamed_either() {
    let upstreams = [(); 2].map(|()| H2Upstream::start(async |mut stream: Stream| stream.say("hello")));
    let upstreams = join_all(upstreams).await;
    for host in ["127.0.0.1", "localhost"] {
        let url = |upstream: &H2Upstream| format!("h2c://{host}:{}", upstream.address.port());
        let urls: Vec<_> = upstreams.iter().map(url).collect();
        no_upstream_is_blamed(&Plan::of(site(&urls))).await;
    }
}

/// Enough come to have an upstream left out that fails all of them.
async fn no_upstream_is_blamed(plan: &Plan) {
    let program = Program::start(plan).await;
    let mut visitors = Vec::new();
    // None of them is idle: each has begun another request behind its first.
    for request in [GET, OPENED].into_iter().cycle().take(20) {
        let mut visitor = connect(&program).await;
        let (begun, rest) = request.split_at(request.len() - 2);
        assert_eq!(ask(&mut visitor, &[CLOSED, begun].concat()).await.status, 401);
        visitors.push((visitor, rest));
    }
    program.limit_files(Some(0));
    let began = Instant::now();
    let answers = join_all(visitors.iter_mut().map(|(visitor, rest)| ask(visitor, rest))).await;
    let waited = began.elapsed();
    for (answer, is_person) in answers.iter().zip([false, true].into_iter().cycle()) {
        assert_eq!(answer.status, 503, "{}", answer.text());
        let kind = answer.header("content-type").expect("has a type");
        let reference = answer.header("x-request-id").expect("has a name");
        // Where the upstream is concerns nobody.
        assert!(
            !["127.0.0.1", "localhost"].iter().any(|host| answer.text().contains(host)),
            "{}",
            answer.text()
        );
        if is_person {
            assert!(kind.starts_with("text/html"), "{kind}");
            let text = answer.text();
            assert!(text.contains("Too many visitors at once") && text.contains(&reference), "{text}");
        } else {
            assert!(kind.starts_with("application/json"), "{kind}");
            assert_eq!(answer.error_code(), "out_of_files");
        }
    }
    assert!(waited >= PATIENCE, "nobody was given the time to make room");
    program.line_with("no connection to").await;
    program.limit_files(None);
    for (visitor, _) in &mut visitors {
        let answer = ask(visitor, GET).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
    nobody_is_blamed(&program).await;
}

#[tokio::test]
async fn a_health_check_that_cannot_be_made_says_nothing_of_the_upstream() {
    let upstreams = [closing().await, closing().await];
    let urls = upstreams.each_ref().map(|upstream| at(upstream.address()));
    let checked = site(&urls)
        .health("path", "\"/healthz\"")
        .health("interval", "\"100ms\"")
        .health("timeout", "\"1m\"")
        .health("unhealthy_after", "1")
        .health("healthy_after", "1000");
    let program = Program::start(&Plan::of(checked)).await;
    let mut visitor = idle(&program, 1).await.remove(0);
    are_asked_after(&upstreams, [0, 0]).await;
    program.limit_files(Some(0));
    // While this one waits, several checks are due.
    assert_eq!(ask(&mut visitor, GET).await.error_code(), "out_of_files");
    let asked = upstreams.each_ref().map(FakeUpstream::connections);
    assert_eq!(ask(&mut visitor, GET).await.error_code(), "out_of_files");
    assert_eq!(upstreams.each_ref().map(FakeUpstream::connections), asked, "there is no file for a check");
    program.limit_files(None);
    are_asked_after(&upstreams, asked).await;
    nobody_is_blamed(&program).await;
    assert_eq!(ask(&mut visitor, GET).await.text(), "hello");
}

/// Waits until each upstream has been asked how it is, on more connections than these.
async fn are_asked_after(upstreams: &[FakeUpstream; 2], asked: [usize; 2]) {
    let are_asked = async {
        while upstreams.iter().zip(asked).any(|(upstream, asked)| upstream.connections() <= asked) {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, are_asked).await.expect("are asked");
}

#[tokio::test]
async fn who_comes_when_there_are_no_files_waits_and_is_served() {
    let upstream = closing().await;
    let program = Program::start(&Plan::of(site(&[at(upstream.address())])).server("workers", "2")).await;
    program.limit_files(Some(0));
    let mut waiting = Vec::new();
    for address in [program.http, program.http, program.http, program.control] {
        let mut connection = Connection::open([127, 0, 0, 1].into(), address).await;
        let request = if address == program.http { GET } else { b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" };
        assert!(connection.send(request).await);
        waiting.push(connection);
    }
    program.line_with("cannot accept").await;
    upstream.assert_untouched("nobody could be let in").await;
    program.limit_files(None);
    for connection in &mut waiting {
        assert_eq!(connection.receive("GET").await.expect("an answer").status, 200);
    }
    assert_eq!(upstream.count(), 3);
}
