//! Attacks on HTTP/2 itself: frames that cost their sender nothing and are to cost the gateway
//! much. Each ends with its connection, and other visitors do not notice.

use std::time::Duration;

use crate::support::h2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Honest, Outcome, PING, PRIORITY, RST_STREAM,
    Raw, SETTINGS, WINDOW_UPDATE, block, frame, get, post,
};
use crate::support::{Answer, FakeUpstream, HANG, Plan, Program, SITE, TestGateway, settle};

/// Makes a frame for which the server has to reset this stream.
type Provoke = fn(u32) -> Vec<u8>;

/// More frames than any of the attacks needs.
const MANY: usize = 400_000;

async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    Plan::new(upstream).server("h2c", "true").start().await
}

async fn others_go_on(gateway: &TestGateway) {
    assert_eq!(Honest::plainly(gateway.http).await.get(&format!("{SITE}/public/a")).await.status, 200);
}

#[tokio::test]
async fn frames_that_lead_nowhere_end_the_connection() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let post = post("/public/a", &[]);
    let begin = frame(HEADERS, END_HEADERS, 1, &post);
    let unfinished = frame(HEADERS, END_STREAM, 1, &get("/public/a"));
    for (name, before, flood) in [
        // CVE-2019-9512
        ("pings", &b""[..], frame(PING, 0, 0, &[7; 8])),
        ("answers to pings that nobody sent", b"", frame(PING, ACK, 0, &[7; 8])),
        // CVE-2019-9515
        ("settings", b"", frame(SETTINGS, 0, 0, &[])),
        ("settings that change", b"", frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0, 0, 4, 0, 0, 0xff, 0xff])),
        // CVE-2019-9513
        ("priorities", b"", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7])),
        ("windows", b"", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("windows of a stream", &begin, frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        // CVE-2019-9518
        ("empty data", &begin, frame(DATA, 0, 1, &[])),
        ("data that is all padding", &begin, frame(DATA, 8, 1, &[3, 0, 0, 0])),
        // CVE-2024-27316
        ("empty continuations", &unfinished, frame(CONTINUATION, 0, 1, &[])),
        ("continuations", &unfinished, frame(CONTINUATION, 0, 1, &block(&[(b"x", b"y")]))),
        ("frames that nobody knows", b"", frame(0x42, 0, 0, &[1])),
        ("names without end", &unfinished, frame(CONTINUATION, 0, 1, &[0, 127, 255, 255, 255, 127])),
    ] {
        let mut raw = Raw::begin(gateway.http).await;
        raw.send(before).await;
        // Many in a write, as one who floods does.
        let sent = raw.flood(&flood.repeat(20), MANY / 20).await;
        assert!(sent.is_some(), "{name}: the connection is still there");
        others_go_on(&gateway).await;
    }
}

#[tokio::test]
async fn requests_that_are_taken_back_end_the_connection() {
    // CVE-2023-44487: each is begun, and given up at once.
    let upstream = FakeUpstream::start().await;
    upstream.answers(Answer::Never);
    let gateway = gateway(&upstream).await;
    let mut raw = Raw::begin(gateway.http).await;
    let head = get("/public/a");
    let mut given_up = 0;
    while given_up < MANY {
        let stream = raw.next_stream();
        let pair = [
            frame(HEADERS, END_STREAM | END_HEADERS, stream, &head),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ];
        if !raw.send(&pair.concat()).await {
            break;
        }
        given_up += 1;
    }
    assert!(given_up < 20_000, "{given_up} requests were taken");
    // What had been begun for them ends with them.
    settle().await;
    assert!(upstream.connections() < 5_000, "{} connections", upstream.connections());
    upstream.answers(Answer::page("hello"));
    others_go_on(&gateway).await;
}

#[tokio::test]
async fn a_page_that_is_left_early_is_no_attack() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut raw = Raw::begin(gateway.http).await;
    // A browser that gives up a whole page of pictures, again and again.
    for _ in 0..5 {
        upstream.answers(Answer::Never);
        let streams = (0..90).map(|_| raw.next_stream()).collect::<Vec<u32>>();
        let begin = |stream: &u32| frame(HEADERS, END_STREAM | END_HEADERS, *stream, &get("/public/picture"));
        raw.send(&streams.iter().flat_map(begin).collect::<Vec<u8>>()).await;
        let give_up = |stream: &u32| frame(RST_STREAM, 0, *stream, &8_u32.to_be_bytes());
        raw.send(&streams.iter().flat_map(give_up).collect::<Vec<u8>>()).await;
        upstream.answers(Answer::page("hello"));
        let stream = raw.ask(&get("/public/a")).await;
        assert_eq!(raw.outcome(stream).await, Outcome::Status(200));
    }
}

#[tokio::test]
async fn measuring_the_line_while_something_moves_on_it_is_no_attack() {
    // As clients of gRPC do: pings and windows along with every message.
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut raw = Raw::begin(gateway.http).await;
    let measuring =
        [frame(PING, 0, 0, &[7; 8]).repeat(3), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(3)];
    for _ in 0..40 {
        let streams = (0..50).map(|_| raw.next_stream()).collect::<Vec<u32>>();
        for stream in &streams {
            let head = frame(HEADERS, END_STREAM | END_HEADERS, *stream, &get("/public/a"));
            assert!(raw.send(&[head, measuring.concat()].concat()).await);
        }
        assert_eq!(raw.whole_answer(streams[49]).await.0, 200);
    }
    // More than would have been forgiven without the answers.
    assert!(upstream.requests().len() > 1_900);
}

#[tokio::test]
async fn streams_that_the_server_is_made_to_reset_end_the_connection() {
    // CVE-2025-8671: each request is followed by a frame for which the server has to reset it.
    let upstream = FakeUpstream::start().await;
    upstream.answers(Answer::Never);
    let gateway = gateway(&upstream).await;
    let wrong: [(&str, Provoke); 3] = [
        ("a window that grows by nothing", |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
        ("a window that is too large", |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 255, 255, 255])),
        ("data behind the end", |stream| frame(DATA, 0, stream, b"x")),
    ];
    for (name, provoke) in wrong {
        let mut raw = Raw::begin(gateway.http).await;
        let mut provoked = 0;
        while provoked < MANY {
            let stream = raw.next_stream();
            let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/public/a"));
            if !raw.send(&[head, provoke(stream)].concat()).await {
                break;
            }
            provoked += 1;
        }
        assert!(provoked < 20_000, "{name}: {provoked} times");
    }
    upstream.answers(Answer::page("hello"));
    others_go_on(&gateway).await;
}

#[tokio::test]
async fn a_header_that_unfolds_is_not_unfolded_far() {
    // A table entry of 4 KB, and then a byte for each time it is named.
    let upstream = FakeUpstream::start().await;
    let gateway = Program::start(&Plan::new(&upstream).server("h2c", "true")).await;
    let before = gateway.memory();
    let mut head = get("/public/a");
    head.extend_from_slice(&[0x40, 1, b'x', 127, 0x81, 0x1e]);
    head.extend_from_slice(&[b'y'; 4_000]);
    head.extend(std::iter::repeat_n(0xbe, 12_000));
    let mut raw = Raw::begin(gateway.http).await;
    let stream = raw.ask(&head).await;
    assert!(!matches!(raw.outcome(stream).await, Outcome::Status(200)));
    for _ in 0..50 {
        let mut raw = Raw::begin(gateway.http).await;
        raw.ask(&head).await;
    }
    assert!(gateway.memory() < before + (32 << 20), "{} bytes", gateway.memory());
    upstream.assert_untouched("a bomb").await;
}

#[tokio::test]
async fn no_more_requests_at_once_than_there_may_be() {
    let upstream = FakeUpstream::start().await;
    upstream.answers(Answer::Never);
    let gateway = gateway(&upstream).await;
    let mut raw = Raw::begin(gateway.http).await;
    let mut last = 0;
    for _ in 0..150 {
        last = raw.ask(&get("/public/a")).await;
    }
    // REFUSED_STREAM: it can be sent again.
    assert_eq!(raw.outcome(last).await, Outcome::Reset(7));
    let arrived = async {
        while upstream.requests().len() < 100 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, arrived).await.expect("as many as there may be");
    assert_eq!(upstream.requests().len(), 100);
}

#[tokio::test]
async fn who_does_not_take_an_answer_loses_it_and_nothing_else() {
    // A window of nothing: the answers can be made, but never sent.
    let upstream = FakeUpstream::start().await;
    let body = vec![b'x'; 2 << 20];
    upstream.answers(Answer::Page { status: 200, headers: Vec::new(), body });
    // Long beside the pauses below: a busy machine may take some time over each step.
    let plan = Plan::new(&upstream).server("h2c", "true").server("body_idle_timeout", "\"3s\"");
    let gateway = Program::start(&plan).await;
    let mut raw = Raw::begin_with(gateway.http, &[0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await;
    let before = gateway.memory();
    let mut stuck = Vec::new();
    for _ in 0..60 {
        stuck.push(raw.ask(&get("/public/large")).await);
    }
    for stream in &stuck {
        assert_eq!(raw.outcome(*stream).await, Outcome::Status(200));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let grown = gateway.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for answers of which nothing was taken");

    // Meanwhile one with a window goes on, on this very connection.
    let stream = raw.ask(&get("/public/large")).await;
    assert_eq!(raw.outcome(stream).await, Outcome::Status(200));
    while !stuck.is_empty() {
        raw.send(&frame(WINDOW_UPDATE, 0, stream, &16_384_u32.to_be_bytes())).await;
        raw.send(&frame(WINDOW_UPDATE, 0, 0, &16_384_u32.to_be_bytes())).await;
        let mut taken = 0;
        while taken < 16_384 {
            let frame = raw.receive().await.expect("more of the answer");
            if frame.kind == DATA && frame.stream == stream {
                assert!(!frame.payload.is_empty(), "it came to its end, and {} still wait", stuck.len());
                taken += frame.payload.len();
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        stuck.retain(|stream| !raw.resets.contains(stream));
    }
    assert!(!raw.resets.contains(&stream));
}

#[tokio::test]
async fn a_client_that_reads_nothing_at_all_is_let_go() {
    let upstream = FakeUpstream::start().await;
    let body = vec![b'x'; 32 << 20];
    upstream.answers(Answer::Page { status: 200, headers: Vec::new(), body });
    let gateway = Plan::new(&upstream)
        .server("h2c", "true")
        .server("body_idle_timeout", "\"1s\"")
        .server("keep_alive_timeout", "\"1s\"")
        .server("header_timeout", "\"1s\"")
        .server("max_connections", "1")
        .start()
        .await;
    // A window as wide as can be, and a socket that is never read.
    let mut raw = Raw::begin_with(gateway.http, &[0, 4, 0x7f, 255, 255, 255]).await;
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes())).await;
    for _ in 0..50 {
        raw.ask(&get("/public/large")).await;
    }
    upstream.answers(Answer::page("hello"));
    // It had the only place there is.
    tokio::time::timeout(HANG, others_go_on(&gateway)).await.expect("gets a place");
}
