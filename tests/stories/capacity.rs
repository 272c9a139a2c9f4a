//! When there is no room for more, nobody is lost, and it passes.

use std::process::Command;
use std::time::Duration;

use crate::support::{Connection, FakeUpstream, HANG, Plan, Program, Visitor, settle};

const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";

async fn open(program: &Program) -> Connection {
    Connection::open([127, 0, 0, 1].into(), program.http).await
}

async fn is_served(program: &Program) {
    let served = async {
        loop {
            let mut connection = open(program).await;
            if connection.exchange(GET, "GET").await.is_some_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    tokio::time::timeout(HANG, served).await.expect("is served");
}

#[tokio::test]
async fn out_of_file_descriptors_it_says_so_once_and_goes_on() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).server("keep_alive_timeout", "\"1h\"").server("workers", "2");
    let program = Program::start(&plan).await;
    is_served(&program).await;
    program.limit_files(Some(60));
    for _burst in 0..2 {
        let mut crowd = Vec::new();
        for _ in 0..120 {
            crowd.push(open(&program).await);
        }
        program.line_with("cannot accept").await;
        // For as long as this takes there is no room, and no more to say.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(program.lines_with("cannot accept").len(), 1);
        drop(crowd);
        is_served(&program).await;
    }
    assert!(program.lines_with("panicked").is_empty());
}

#[tokio::test]
async fn visitors_do_not_get_all_files_that_may_be_open() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).server("workers", "1").server("header_timeout", "\"1m\"");
    let program = Program::start_by(&plan, |program| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 200; exec \"$@\"", "sh"]);
        shell.arg(program.get_program()).args(program.get_args());
        shell
    })
    .await;
    let mut first = open(&program).await;
    let mut silent = Vec::new();
    for _ in 0..250 {
        silent.push(open(&program).await);
    }
    program.line_with("the connection limit is reached").await;
    // Who was let in is served as ever, on a connection to the upstream that has to be made first.
    let answer = first.exchange(GET, "GET").await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(program.lines_with("cannot accept").is_empty());
}

#[tokio::test]
async fn who_has_to_wait_for_a_place_gets_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("max_connections", "3").server("workers", "2").start().await;
    let visitor = Visitor::at(&gateway);
    let mut first = Vec::new();
    for _ in 0..3 {
        let mut connection = visitor.connect().await;
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
        // It is not idle: another request has begun.
        assert!(connection.send(b"GET /public/a HTTP/1.1\r\n").await);
        first.push(connection);
    }
    let mut waiting = visitor.connect().await;
    waiting.send(GET).await;
    let early = tokio::time::timeout(Duration::from_millis(300), waiting.receive("GET")).await;
    assert!(early.is_err(), "there is no place yet");
    drop(first.pop());
    assert_eq!(waiting.receive("GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn who_has_been_idle_longest_makes_room_for_others() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("max_connections", "3").server("workers", "1").start().await;
    let visitor = Visitor::at(&gateway);
    let mut first = Vec::new();
    for _ in 0..3 {
        let mut connection = visitor.connect().await;
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
        first.push(connection);
        // So that it is known who has been idle longest.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut next = visitor.connect().await;
        assert_eq!(next.exchange(GET, "GET").await.expect("is let in").status, 200);
        assert!(first.remove(0).rest().await.is_empty(), "is closed without a word");
        assert!(next.send(b"GET /public/a HTTP/1.1\r\n").await);
        // Whoever is still there is served.
        let last = first.last_mut().unwrap();
        assert_eq!(last.exchange(GET, "GET").await.unwrap().status, 200);
        others.push(next);
    }
    let metrics = gateway.api().get("/metrics").await.text();
    assert!(metrics.contains("tollgate_connections_evicted_total{listener=\"public\"} 2\n"), "{metrics}");
}

#[tokio::test]
async fn who_is_idle_makes_room_whichever_worker_they_are_with() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).server("max_connections", "2").server("workers", "2");
    let gateway =
        plan.server("header_timeout", "\"5m\"").server("keep_alive_timeout", "\"1h\"").start().await;
    let visitor = Visitor::at(&gateway);
    let mut busy = visitor.connect().await;
    // One of the workers has nobody else, and takes some of those who come.
    assert_eq!(busy.exchange(&[GET, b"GET"].concat(), "GET").await.unwrap().status, 200);
    let mut last: Option<Connection> = None;
    for _ in 0..10 {
        let mut next = visitor.connect().await;
        assert_eq!(next.exchange(GET, "GET").await.expect("is let in").status, 200);
        if let Some(mut last) = last.replace(next) {
            assert!(last.rest().await.is_empty(), "is closed without a word");
        }
    }
    assert_eq!(busy.exchange(&GET[3..], "GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn over_http_2_who_is_idle_is_told_to_leave() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("h2c", "true").server("max_connections", "1").start().await;
    let stream = Connection::dial([127, 0, 0, 1].into(), gateway.http).await;
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("begins");
    let left = tokio::spawn(connection);
    let get = http::Request::get("http://site.test/public/a").body(()).expect("a request");
    let (answer, _) = sender.send_request(get, true).expect("is sent");
    let mut answer = answer.await.expect("an answer");
    while let Some(piece) = answer.body_mut().data().await {
        piece.expect("a whole body");
    }
    let mut next = Visitor::at(&gateway).connect().await;
    assert_eq!(next.exchange(GET, "GET").await.expect("is let in").status, 200);
    left.await.unwrap().expect("leaves in peace");
}

#[tokio::test]
async fn a_crowd_is_spread_over_all_workers() {
    let upstream = FakeUpstream::start().await;
    let program = Program::start(&Plan::new(&upstream).server("workers", "4")).await;
    let mut crowd = Vec::new();
    for _ in 0..400 {
        let mut connection = open(&program).await;
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
        crowd.push(connection);
    }
    // Each worker has served its own, over a connection of its own to the upstream.
    assert_eq!(upstream.connections(), 4);
}

#[tokio::test]
async fn a_crowd_that_has_come_to_rest_leaves_its_memory_to_others() {
    const CROWD: usize = 300;
    let upstream = FakeUpstream::start().await;
    let program = Program::start(&Plan::new(&upstream).server("keep_alive_timeout", "\"1h\"")).await;
    is_served(&program).await;
    let before = program.memory();
    let mut crowd = Vec::new();
    // All of them are in the middle of a large head at the same time.
    let (begun, rest) =
        (format!("GET /public/a HTTP/1.1\r\nX-Large: {}", "x".repeat(30_000)), "\r\nHost: site.test\r\n\r\n");
    for _ in 0..CROWD {
        let mut connection = open(&program).await;
        connection.send(begun.as_bytes()).await;
        crowd.push(connection);
    }
    let taken = async {
        while program.memory() < before + CROWD * begun.len() {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, taken).await.expect("each takes at least what it has sent");
    let busy = program.memory() - before;
    for connection in &mut crowd {
        assert_eq!(connection.exchange(rest.as_bytes(), "GET").await.map(|answer| answer.status), Some(200));
    }
    let given_back = async {
        while program.memory().saturating_sub(before) > busy / 2 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, given_back).await.expect("gives back what is not needed any more");
    assert_eq!(crowd.len(), CROWD, "all are still connected");
}
