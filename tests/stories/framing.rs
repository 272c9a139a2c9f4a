//! Where a request ends is never open to two readings: what could hide a second request in the first
//! is refused, the connection ends, and the upstream hears of no request but those that were judged.

use crate::support::{Answer, Connection, FakeUpstream, Plan, TestGateway, Visitor, settle};

/// What every attack tries to get to the upstream as a request of its own.
const HIDDEN: &str = "GET /public/smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";

/// A request that is refused: what is wrong with it, the statuses that say so, and its bytes with
/// `{hidden}` for the request that it hides. None that begins with a head that is refused reaches the
/// upstream at all.
type Attack = (&'static str, &'static [u16], &'static str);

/// A POST whose head says all that is wrong with it.
macro_rules! post {
    ($fields:literal, $behind:literal) => {
        concat!("POST /public/a HTTP/1.1\r\nHost: site.test\r\n", $fields, "\r\n", $behind)
    };
}

/// A POST whose chunked body has something wrong with it.
macro_rules! chunks {
    ($body:literal) => {
        concat!("POST /public/a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n", $body)
    };
}

/// What can be read in two ways, or in none.
const ATTACKS: &[Attack] = &[
    ("two lengths that differ", &[400], post!("Content-Length: 0\r\nContent-Length: 5\r\n", "{hidden}")),
    ("a list of lengths", &[400], post!("Content-Length: 0, 0\r\n", "{hidden}")),
    ("a signed length", &[400], post!("Content-Length: +0\r\n", "{hidden}")),
    ("a negative length", &[400], post!("Content-Length: -1\r\n", "{hidden}")),
    ("a hexadecimal length", &[400], post!("Content-Length: 0x0\r\n", "{hidden}")),
    ("a length with a space in it", &[400], post!("Content-Length: 0 0\r\n", "{hidden}")),
    ("no length in its field", &[400], post!("Content-Length:\r\n", "{hidden}")),
    ("a folded length", &[400], post!("Content-Length:\r\n 0\r\n", "{hidden}")),
    ("a space before the colon of a length", &[400], post!("Content-Length : 0\r\n", "{hidden}")),
    ("a coding that is none", &[400], post!("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n{hidden}")),
    ("a coding behind chunked", &[400], post!("Transfer-Encoding: chunked, x\r\n", "0\r\n\r\n{hidden}")),
    ("a coding of its own", &[400], post!("Transfer-Encoding: identity\r\n", "{hidden}")),
    ("a vertical tab in the coding", &[400], post!("Transfer-Encoding: \u{b}chunked\r\n", "{hidden}")),
    ("a NUL behind the coding", &[400], post!("Transfer-Encoding: chunked\0\r\n", "{hidden}")),
    ("a space before the colon of a coding", &[400], post!("Transfer-Encoding : chunked\r\n", "{hidden}")),
    ("a folded coding", &[400], post!("Transfer-Encoding:\r\n chunked\r\n", "{hidden}")),
    ("a coding before which there is a space", &[400], post!(" Transfer-Encoding: chunked\r\n", "{hidden}")),
    (
        "a coding in HTTP/1.0",
        &[400],
        "POST /public/a HTTP/1.0\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
    ),
    ("a bare CR in a value", &[400], post!("X: y\rTransfer-Encoding: chunked\r\n", "{hidden}")),
    ("a NUL in a name", &[400], post!("X\0: y\r\n", "{hidden}")),
    ("a control character in a value", &[400], post!("X: y\u{1}z\r\n", "{hidden}")),
    ("a field without a name", &[400], post!(": y\r\n", "{hidden}")),
    ("two spaces in the request line", &[400], "GET  /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n{hidden}"),
    ("a tab in the request line", &[400], "GET\t/public/a HTTP/1.1\r\nHost: site.test\r\n\r\n{hidden}"),
    ("two versions", &[400], "GET /public/a HTTP/1.1 HTTP/1.1\r\nHost: site.test\r\n\r\n{hidden}"),
    ("a version in small letters", &[400], "GET /public/a http/1.1\r\nHost: site.test\r\n\r\n{hidden}"),
    ("a sign in a chunk's size", &[400], chunks!("+5\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("a prefix in a chunk's size", &[400], chunks!("0x5\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("a chunk's size of 72 bits", &[400], chunks!("ffffffffffffffffff\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("a bare LF behind a chunk's size", &[400], chunks!("5\nhello\r\n0\r\n\r\n{hidden}")),
    ("a bare LF in an extension", &[400], chunks!("5;a\nhello\r\n0\r\n\r\n{hidden}")),
    ("a bare LF in a quoted extension", &[400], chunks!("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("a bare CR in an extension", &[400], chunks!("5;a\rb\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("a chunk that is longer than it says", &[400], chunks!("5\r\nhello!\r\n0\r\n\r\n{hidden}")),
    ("a bare LF behind a chunk", &[400], chunks!("5\r\nhello\n0\r\n\r\n{hidden}")),
    ("a bare CR behind a chunk", &[400], chunks!("5\r\nhello\r0\r\n\r\n{hidden}")),
    ("a space before a trailer's colon", &[400], chunks!("5\r\nhello\r\n0\r\nX : y\r\n\r\n{hidden}")),
    ("a folded trailer", &[400], chunks!("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n{hidden}")),
    ("a NUL in a trailer", &[400], chunks!("5\r\nhello\r\n0\r\nX: y\0\r\n\r\n{hidden}")),
    (
        "a length before a coding",
        &[400],
        post!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{hidden}"),
    ),
    (
        "a length behind a coding",
        &[400],
        post!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n{hidden}"),
    ),
    (
        "two lengths that are equal",
        &[400],
        post!("Content-Length: 5\r\nContent-Length: 5\r\n", "hello{hidden}"),
    ),
    ("a length that begins with a zero", &[400], post!("Content-Length: 05\r\n", "hello{hidden}")),
    (
        "two lines of codings",
        &[400],
        post!("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{hidden}"),
    ),
    ("chunked twice", &[400], post!("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n{hidden}")),
    (
        "chunked behind another coding",
        &[501],
        post!("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n{hidden}"),
    ),
    ("a bare LF behind the request line", &[400], "GET /public/a HTTP/1.1\nHost: site.test\r\n\r\n{hidden}"),
    ("a bare LF behind a field", &[400], "GET /public/a HTTP/1.1\r\nHost: site.test\n\r\n{hidden}"),
    ("a bare LF at the end of a head", &[400], "GET /public/a HTTP/1.1\r\nHost: site.test\r\n\n{hidden}"),
    ("a field behind a bare LF", &[400], post!("X: y\nContent-Length: 0\r\n", "{hidden}")),
    (
        "an empty line of a bare LF before",
        &[400],
        "\nGET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n{hidden}",
    ),
    ("two empty lines before", &[400], "\r\n\r\nGET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n{hidden}"),
    ("a target that is not ASCII", &[400], "GET /public/\u{e4} HTTP/1.1\r\nHost: site.test\r\n\r\n{hidden}"),
    ("two Hosts", &[400], post!("Host: site.test\r\nContent-Length: 0\r\n", "{hidden}")),
    ("no Host", &[400], "GET /public/a HTTP/1.1\r\nX: y\r\n\r\n{hidden}"),
    ("a version that is not spoken", &[505], "GET /public/a HTTP/2.0\r\nHost: site.test\r\n\r\n{hidden}"),
    ("a space behind a chunk's size", &[400], chunks!("5 \r\nhello\r\n0\r\n\r\n{hidden}")),
    ("a tab behind a chunk's size", &[400], chunks!("5\t\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("a chunk's size of too many digits", &[400], chunks!("00000000000000005\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("an extension without a name", &[400], chunks!("5;\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("an extension with a space", &[400], chunks!("5 ;a\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("an extension with an open quote", &[400], chunks!("5;a=\"\r\nhello\r\n0\r\n\r\n{hidden}")),
    ("an extension with a NUL", &[400], chunks!("5;a\0\r\nhello\r\n0\r\n\r\n{hidden}")),
];

/// Requests for another protocol, which the upstream does not speak.
const UNHEARD: [&str; 3] = [
    "GET /public/a HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "POST /public/a HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    "GET /public/a HTTP/1.1\r\nHost: site.test\r\nUpgrade: websocket\r\n\r\n",
];

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused() {
    refuse(ATTACKS).await;
}

/// Sends each attack at once, in two pieces that part before the hidden request, and byte by byte.
async fn refuse(attacks: &[Attack]) {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    let mut faults = Vec::new();
    for (what, statuses, attack) in attacks {
        let (before, behind) = attack.split_once("{hidden}").expect("hides a request");
        let whole = format!("{before}{HIDDEN}{behind}");
        let way_of = |pieces: usize| match pieces {
            1 => vec![whole.as_bytes()],
            2 => vec![before.as_bytes(), &whole.as_bytes()[before.len()..]],
            _ => whole.as_bytes().chunks(1).collect(),
        };
        for pieces in 1..=3 {
            let mut connection = visitor.connect().await;
            for piece in way_of(pieces) {
                connection.send(piece).await;
                if pieces == 2 {
                    settle().await;
                }
            }
            let answers = end_of(&mut connection).await;
            settle().await;
            let refused = statuses.iter().any(|status| answers.starts_with(&format!("HTTP/1.1 {status} ")));
            let heard = upstream.requests();
            if !refused || answers.matches("HTTP/1.1 ").count() != 1 || !heard.is_empty() {
                let shown: String = answers.chars().take(60).collect();
                faults.push(format!("{what} ({pieces}): {shown:?}, {} requests upstream", heard.len()));
            }
            upstream.forget().await;
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// What a connection still says, if it ends: one that stays open is told so.
async fn end_of(connection: &mut Connection) -> String {
    // Whether it ends by itself is the question, so nothing is finished from here.
    let rest = tokio::time::timeout(crate::support::seconds(5), connection.rest()).await;
    rest.map_or("stays open".to_owned(), |rest| String::from_utf8_lossy(&rest).into_owned())
}

#[tokio::test]
async fn what_comes_before_an_upgrade_is_refused_becomes_no_request() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    for asking in UNHEARD {
        let mut connection = visitor.connect().await;
        connection.send(format!("{asking}{HIDDEN}").as_bytes()).await;
        let answers = end_of(&mut connection).await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{asking}: {answers}");
        upstream.assert_never_saw("smuggled").await;
    }
}

/// What the client has sent may still be on its way when the refusal is made, and nobody can tell it
/// from what follows the refusal.
#[tokio::test]
async fn behind_an_upgrade_that_was_refused_there_is_no_request() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    for asking in UNHEARD {
        for path in ["/public/a", "/closed"] {
            let mut connection = visitor.connect().await;
            connection.send(asking.replace("/public/a", path).as_bytes()).await;
            let answer = connection.receive("GET").await.expect("an answer");
            assert!(answer.closes && [200, 401, 303].contains(&answer.status), "{asking}: {answer:?}");
            connection.send(HIDDEN.as_bytes()).await;
            assert_eq!(end_of(&mut connection).await, "", "{asking}");
            upstream.assert_never_saw("smuggled").await;
        }
    }
}

/// As curl asks for HTTP/2 with requests that want nothing else.
#[tokio::test]
async fn an_upgrade_that_is_refused_costs_nobody_the_answer() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("access", "\"off\"")).start().await;
    let page = "long".repeat(500_000);
    upstream.answers(Answer::page(&page));
    let asking =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    for (method, behind) in [("GET", "\r\n"), ("POST", "Content-Length: 5\r\n\r\nhello")] {
        let request = format!("{method} /a HTTP/1.1\r\nHost: site.test\r\n{asking}{behind}");
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(request.as_bytes()).await;
        // What it goes on to send must not break the connection under its answer.
        settle().await;
        connection.send(HIDDEN.as_bytes()).await;
        let answer = connection.receive(method).await.expect("an answer");
        assert_eq!(answer.status, 200, "{method}");
        assert!(answer.text() == page && answer.closes, "{method}: {}", answer.body.len());
        assert_eq!(upstream.last().target, "/a");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_becomes_no_request() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("max_body", "\"10B\"")).start().await;
    let visitor = Visitor::at(&gateway);
    let length = format!("Content-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len());
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let navigation = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
    let script = "Sec-Fetch-Mode: cors\r\n";
    for (path, fields, status) in
        [("/closed", navigation, 303), ("/closed", script, 401), ("/public/a", script, 413)]
    {
        for body in [&length, &chunked] {
            let request = format!("POST {path} HTTP/1.1\r\nHost: site.test\r\n{fields}{body}");
            let head = request.find("\r\n\r\n").expect("a head") + 4;
            // With the body in one piece with the head, behind it, and behind the answer.
            for late in [None, Some(false), Some(true)] {
                // A body of unknown length is too long when it has come, and not before.
                if late == Some(true) && status == 413 && *body == chunked {
                    continue;
                }
                let mut connection = visitor.connect().await;
                connection
                    .send(&request.as_bytes()[..if late.is_none() { request.len() } else { head }])
                    .await;
                if late == Some(false) {
                    settle().await;
                    connection.send(&request.as_bytes()[head..]).await;
                }
                let answer = connection.receive("POST").await.expect("an answer");
                assert_eq!(answer.status, status, "{request} {late:?}");
                if late == Some(true) {
                    connection.send(&request.as_bytes()[head..]).await;
                }
                // The connection may go on behind the body, or end; nothing else answers.
                connection
                    .send(b"GET /public/next HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
                    .await;
                let rest = String::from_utf8_lossy(&connection.rest().await).into_owned();
                assert!(rest.matches("HTTP/1.1 ").count() <= 1, "{request} {late:?}: {rest}");
                settle().await;
                for heard in upstream.requests() {
                    assert_eq!(heard.target, "/public/next", "{request} {late:?}");
                }
                upstream.forget().await;
            }
        }
    }
}

#[tokio::test]
async fn nobody_is_told_to_go_on_before_it_is_decided() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| site.with("max_body", "\"10B\"")).start().await;
    let visitor = Visitor::at(&gateway);
    for (path, fields, status) in [
        ("/closed", "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n", 303),
        ("/closed", "Sec-Fetch-Mode: cors\r\n", 401),
        ("/public/a", "", 413),
        ("/public/../a", "", 400),
    ] {
        for framing in ["Content-Length: 50", "Transfer-Encoding: chunked"] {
            // How long it is remains to be seen.
            if status == 413 && framing.starts_with('T') {
                continue;
            }
            let mut connection = visitor.connect().await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: site.test\r\n{fields}Expect: 100-continue\r\n{framing}\r\n\r\n"
            );
            connection.send(head.as_bytes()).await;
            let answer = connection.receive("POST").await.expect("an answer");
            assert_eq!((answer.status, answer.interim.as_slice()), (status, &[][..]), "{head}");
            // A client that goes on as if there had been no body is not taken at its word.
            connection.send(HIDDEN.as_bytes()).await;
            connection.finish().await;
            let rest = connection.rest().await;
            assert!(rest.is_empty(), "{head}: {}", String::from_utf8_lossy(&rest));
        }
    }
    upstream.assert_untouched("a body that was not asked for").await;
}

#[tokio::test]
async fn requests_that_come_all_at_once_are_answered_in_their_order() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut connection = Visitor::at(&gateway).connect().await;
    let requests = [
        "GET /public/1 HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "POST /public/2 HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello",
        "GET /closed HTTP/1.1\r\nHost: site.test\r\nSec-Fetch-Mode: cors\r\n\r\n",
        "POST /public/3 HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nbye\r\n0\r\nX: y\r\n\r\n",
        "\r\nHEAD /public/4 HTTP/1.1\r\nHost: site.test\r\n\r\n",
        "GET /public/5 HTTP/1.1\r\nHost: site.test\r\nContent-Length: 2\r\n\r\nok",
        "GET /public/6 HTTP/1.1\r\nHost: site.test\r\n\r\n",
    ];
    connection.send(requests.concat().as_bytes()).await;
    for (request, status) in requests.iter().zip([200, 200, 401, 200, 200, 200, 200]) {
        let method = request.trim_start().split(' ').next().expect("a method");
        let answer = connection.receive(method).await.expect("an answer");
        assert_eq!((answer.status, answer.closes), (status, false), "{request}");
    }
    let heard = upstream.requests();
    let heard: Vec<_> =
        heard.iter().map(|request| (request.target.as_str(), request.body.as_slice())).collect();
    assert_eq!(
        heard,
        [
            ("/public/1", &b""[..]),
            ("/public/2", b"hello"),
            ("/public/3", b"bye"),
            ("/public/4", b""),
            ("/public/5", b"ok"),
            ("/public/6", b""),
        ]
    );
}

#[tokio::test]
async fn an_old_client_keeps_its_connection_if_it_asks() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    let kept = b"GET /public/a HTTP/1.0\r\nHost: site.test\r\nConnection: keep-alive\r\n\r\n";
    let mut connection = visitor.connect().await;
    for _ in 0..3 {
        connection.send(kept).await;
        let answer = connection.receive("GET").await.expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello from upstream"));
    }
    connection.send(b"GET /public/a HTTP/1.0\r\nHost: site.test\r\n\r\n").await;
    assert_eq!(connection.receive("GET").await.expect("an answer").status, 200);
    assert!(connection.rest().await.is_empty(), "ends by itself");
    // What comes behind it is no request any more.
    let mut connection = visitor.connect().await;
    connection.send(format!("GET /public/a HTTP/1.0\r\nHost: site.test\r\n\r\n{HIDDEN}").as_bytes()).await;
    let rest = String::from_utf8_lossy(&connection.rest().await).into_owned();
    assert_eq!(rest.matches("hello from upstream").count(), 1, "{rest}");
    upstream.assert_never_saw("smuggled").await;
}

#[tokio::test]
async fn an_old_client_sees_where_an_answer_ends_by_the_end_of_the_connection() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let kept = b"GET /public/a HTTP/1.0\r\nHost: site.test\r\nConnection: keep-alive\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    ] {
        upstream.answers(Answer::Bytes(answer.into()));
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(&kept.repeat(2)).await;
        let rest = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert!(rest.contains("\r\nconnection: close\r\n") && rest.ends_with("\r\n\r\nhello"), "{rest}");
        assert_eq!(rest.matches("HTTP/1.1 200").count(), 1, "{rest}");
    }
}

#[tokio::test]
async fn an_asterisk_is_answered_here_and_the_connection_goes_on_or_ends() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut connection = Visitor::at(&gateway).connect().await;
    connection.send(b"OPTIONS * HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
    let answer = connection.receive("OPTIONS").await.expect("an answer");
    assert!(matches!(answer.status, 200 | 204 | 400 | 404), "{answer:?}");
    upstream.assert_untouched("an asterisk").await;
    if !answer.closes {
        connection.send(b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
        assert_eq!(connection.receive("GET").await.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn a_field_that_only_looks_like_a_length_frames_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let visitor = Visitor::at(&gateway);
    for fields in ["Content_Length: 5\r\n", "Transfer_Encoding: chunked\r\n", "Content-Lengt: 5\r\n"] {
        let mut connection = visitor.connect().await;
        let first = format!("GET /public/a HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n");
        connection.send(format!("{first}GET /public/b HTTP/1.1\r\nHost: site.test\r\n\r\n").as_bytes()).await;
        for _ in 0..2 {
            assert_eq!(connection.receive("GET").await.expect("an answer").status, 200, "{fields}");
        }
        let targets: Vec<String> = upstream.requests().into_iter().map(|heard| heard.target).collect();
        assert_eq!(targets, ["/public/a", "/public/b"], "{fields}");
        // An upstream that folds names must not take it for one.
        assert_eq!(upstream.requests()[0].header("content_length"), None);
        assert_eq!(upstream.requests()[0].header("transfer_encoding"), None);
        upstream.forget().await;
    }
}
