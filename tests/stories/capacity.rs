//! When there is no room for more, nobody is lost, and it passes.

use std::process::Command;
use std::time::Duration;

use crate::support::{Connection, FakeUpstream, HANG, Plan, Program, Visitor};

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
    let program = Program::start_by(&plan, |program| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 60; exec \"$@\"", "sh"]);
        shell.arg(program.get_program()).args(program.get_args());
        shell
    })
    .await;
    is_served(&program).await;
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
async fn who_has_to_wait_for_a_place_gets_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("max_connections", "3").server("workers", "2").start().await;
    let visitor = Visitor::at(&gateway);
    let mut first = Vec::new();
    for _ in 0..3 {
        let mut connection = visitor.connect().await;
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
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
