//! Whatever an upstream does wrong, the next visitor on the same worker gets the answer to their own
//! question, and what broke off never looks complete.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Plan, SITE, SitePlan, TestGateway, Visitor, serving, settle};

/// What must never be read by anybody who did not ask for `/bad`.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/// What an upstream says to `GET /bad`, a pause for each step.
#[derive(Clone, Debug, Default)]
struct Script {
    steps: Vec<Vec<u8>>,
    /// Whether it hangs up then.
    hangs_up: bool,
}

impl Script {
    fn of(steps: &[&str]) -> Self {
        Self { steps: steps.iter().map(|step| step.as_bytes().to_vec()).collect(), hangs_up: false }
    }

    fn and_hangs_up(self) -> Self {
        Self { hangs_up: true, ..self }
    }
}

/// An upstream that follows a script for `/bad`, and repeats the path of everything else.
struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    async fn start(script: Script) -> Self {
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        let address = serving(move |stream| {
            count.fetch_add(1, Ordering::SeqCst);
            let _best_effort = stream.set_nodelay(true);
            serve(stream, script.clone())
        })
        .await;
        Self { address, connections }
    }

    async fn gateway(&self) -> TestGateway {
        let site = SitePlan::new("intranet", "site.test", self.address).with("access", "\"off\"");
        Plan::of(site.with("upstream_timeout", "\"2s\"")).start().await
    }
}

async fn serve(mut stream: TcpStream, script: Script) -> Option<()> {
    let mut came = Vec::new();
    loop {
        while !came.windows(4).any(|window| window == b"\r\n\r\n") {
            stream.read_buf(&mut came).await.ok().filter(|read| *read > 0)?;
        }
        let head = String::from_utf8_lossy(&came).into_owned();
        let path = head.split(' ').nth(1)?.to_owned();
        came.clear();
        if path != "/bad" {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            stream.write_all(answer.as_bytes()).await.ok()?;
            continue;
        }
        for step in &script.steps {
            stream.write_all(step).await.ok()?;
            settle().await;
        }
        if script.hangs_up {
            return None;
        }
    }
}

/// What the visitor who asks for `/bad` gets, byte for byte; and that nobody else gets any of it, once
/// all of the script has been said.
async fn suffers(script: Script, method: &str) -> String {
    let time = 2 * u32::try_from(script.steps.len()).expect("a few");
    suffers_after(time, script, method).await
}

/// The same for visitors who come that many moments later.
async fn suffers_after(moments: u32, script: Script, method: &str) -> String {
    let upstream = Upstream::start(script.clone()).await;
    let gateway = upstream.gateway().await;
    // So that there is a connection that has been good.
    let mut bystander = Visitor::at(&gateway);
    assert_eq!(bystander.get(&format!("{SITE}/before")).await.text(), "/before");
    let mut connection = Visitor::at(&gateway).connect().await;
    let request = format!("{method} /bad HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n");
    connection.send(request.as_bytes()).await;
    let all = String::from_utf8_lossy(&connection.rest().await).into_owned();
    for _ in 0..moments {
        settle().await;
    }
    for round in 0..4 {
        let path = format!("/after/{round}");
        assert_eq!(bystander.get(&format!("{SITE}{path}")).await.text(), path, "{script:?}");
        assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}{path}")).await.text(), path, "{script:?}");
    }
    assert!(upstream.connections.load(Ordering::SeqCst) < 12);
    all
}

fn status(all: &str) -> &str {
    all.split(' ').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn an_answer_that_breaks_off_arrives_broken() {
    for (framing, body) in [
        ("Content-Length: 100\r\n", "some"),
        ("Content-Length: 100\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\n"),
        ("Transfer-Encoding: chunked\r\n", "40\r\nsome"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\n0\r\n"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\nzz\r\n"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\n-1\r\n"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nsomething\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\n0\r\nbad trailer\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
        for script in [Script::of(&[&head, body]), Script::of(&[&format!("{head}{body}")])] {
            let all = suffers(script.and_hangs_up(), "GET").await;
            let (head, rest) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
            let is_whole =
                status(head) == "200" && (rest.ends_with("0\r\n\r\n") || head.contains("content-length: 4"));
            assert!(!is_whole, "{framing}{body:?}: {all}");
        }
    }
}

/// Browsers take a connection that was used before and closes without a word for one that had been idle
/// for too long, and send the request once more, whatever its method.
#[tokio::test]
async fn an_answer_that_breaks_off_at_once_is_not_passed_over_in_silence() {
    for (framing, body, arrives) in [
        ("Content-Length: 100\r\n", "some", "\r\n\r\nsome"),
        ("Transfer-Encoding: chunked\r\n", "4\r\nsome\r\nzz\r\n", "\r\n\r\n4\r\nsome\r\n"),
        ("Transfer-Encoding: chunked\r\n", "no chunk", "\r\n\r\n"),
    ] {
        let all = format!("HTTP/1.1 200 OK\r\n{framing}\r\n{body}");
        let address = serving(move |mut stream| {
            let all = all.clone();
            async move {
                let _head = stream.read(&mut [0; 4096]).await.ok()?;
                stream.write_all(all.as_bytes()).await.ok()
            }
        })
        .await;
        let site = SitePlan::new("intranet", "site.test", address).with("access", "\"off\"");
        let gateway = Plan::of(site).start().await;
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"POST /bad HTTP/1.1\r\nHost: site.test\r\nContent-Length: 0\r\n\r\n").await;
        let heard = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert_eq!(status(&heard), "200", "{framing}{body:?}: {heard:?}");
        assert!(heard.ends_with(arrives), "{framing}{body:?}: {heard:?}");
        // To whom only the end says that it is over, it is not passed off as over.
        let mut connection = Visitor::at(&gateway).connect().await;
        connection.send(b"GET /bad HTTP/1.0\r\nHost: site.test\r\n\r\n").await;
        let heard = String::from_utf8_lossy(&connection.rest().await).into_owned();
        assert!(heard.is_empty() || heard.contains("content-length: 100"), "{framing}{body:?}: {heard:?}");
    }
}

/// A proxy in front that speaks HTTP/1.0 would keep what looks whole, and show it to others.
#[tokio::test]
async fn to_whom_only_the_end_says_that_it_is_over_it_does_not_say_so_of_what_broke_off() {
    for (body, is_whole) in [("4\r\nsome\r\n", false), ("4\r\nsome\r\n0\r\n\r\n", true)] {
        let begins = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n";
        let upstream = Upstream::start(Script::of(&[begins, body]).and_hangs_up()).await;
        let gateway = upstream.gateway().await;
        let mut client = TcpStream::connect(gateway.http).await.expect("connects");
        client.write_all(b"GET /bad HTTP/1.0\r\nHost: site.test\r\n\r\n").await.expect("asks");
        let mut heard = Vec::new();
        let end = client.read_to_end(&mut heard).await;
        let heard = String::from_utf8_lossy(&heard);
        assert_eq!(end.is_ok(), is_whole, "{heard}");
        assert!(!is_whole || heard.ends_with("\r\n\r\nmoresome"), "{heard}");
    }
}

#[tokio::test]
async fn what_comes_behind_an_answer_is_nobodys() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for answer in [ok, chunked] {
        for script in [
            Script::of(&[&format!("{answer}{POISON}")]),
            Script::of(&[answer, POISON]),
            Script::of(&[answer, "H"]),
            Script::of(&[&format!("{answer}\r\n")]),
            Script::of(&[&answer.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), POISON]),
        ] {
            let all = suffers(script, "GET").await;
            assert_eq!(status(&all), "200", "{all}");
            assert!(all.contains("ok") && !all.contains("poison"), "{all}");
        }
    }
}

#[tokio::test]
async fn a_body_where_there_can_be_none_is_nobodys() {
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 51\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 51\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n"),
    ] {
        let announces = head.contains("Content-Length") || head.contains("Transfer-Encoding");
        // Where a body was announced it may come at any time: not even the next moment is safe.
        let moments = if announces { 0 } else { 4 };
        for script in [Script::of(&[&format!("{head}{POISON}")]), Script::of(&[head, POISON])] {
            let all = suffers_after(moments, script, method).await;
            assert!(["200", "204", "304"].contains(&status(&all)), "{head}: {all}");
            assert!(all.ends_with("\r\n\r\n") && !all.contains("poison"), "{head}: {all}");
        }
    }
}

#[tokio::test]
async fn interim_answers_are_passed_on_but_not_without_end() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let all = suffers(Script::of(&[interim, ok]), "GET").await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 ";
    assert!(all.starts_with(hints) && all.ends_with("ok"), "{all}");
    let storm = "HTTP/1.1 102 Processing\r\n\r\n".repeat(10_000);
    let all = suffers(Script::of(&[&storm, ok]), "GET").await;
    assert_eq!(status(all.trim_start_matches("HTTP/1.1 102 Processing\r\n\r\n")), "502", "{all}");
    // One that pretends to have a body has none (RFC 9110 §15.2): that would be the next answer.
    let with_body = format!("HTTP/1.1 103 Early Hints\r\nContent-Length: {}\r\n\r\n{POISON}", POISON.len());
    let all = suffers(Script::of(&[&format!("{with_body}{ok}")]), "GET").await;
    assert!(!all.contains("poison") || !all.contains("ok"), "{all}");
    // Nobody asked for another protocol.
    let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let all = suffers(Script::of(&[&format!("{switched}{POISON}")]), "GET").await;
    assert_eq!(status(&all), "502", "{all}");
}

#[tokio::test]
async fn what_is_no_proper_answer_is_none() {
    let long =
        format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 2\r\n\r\nok", "x".repeat(300 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X-Many: 1\r\n".repeat(5000));
    let endless = format!("HTTP/1.1 200 OK\r\nX-Endless: {}", "x".repeat(1024 * 1024));
    let mut heads: Vec<String> = [
        // Answers within answers.
        "X-Split: a\rHTTP/1.1 200 OK\r\n",
        "X-Split: a\nSet-Cookie: b\r\n",
        "X-Split: a\0b\r\n",
        "X-Fold: a\r\n b\r\n",
        "X-Space : a\r\n",
        " X-Indented: a\r\n",
        ": nameless\r\n",
        "no colon\r\n",
        // Lengths that can be read in more than one way, or in none.
        "Content-Length: 3\r\n",
        "Content-Length: 2, 2\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 2 \u{b}\r\n",
        "Content-Length: 18446744073709551618\r\n",
        "Content-Length:\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \r\n",
    ]
    .map(|line| format!("HTTP/1.1 200 OK\r\n{line}Content-Length: 2\r\n\r\nok"))
    .to_vec();
    heads.extend(
        [
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
            // Two lengths, whichever comes first, and where there can be no body as well.
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.x 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nok",
            "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "SSH-2.0-OpenSSH_9.9\r\n",
            "\x16\x03\x01\r\n\r\n",
            "ok",
        ]
        .map(str::to_owned),
    );
    heads.extend([long, many, endless]);
    for head in heads {
        let all = suffers(Script::of(&[&head]).and_hangs_up(), "GET").await;
        let shown = &head[..head.len().min(120)];
        assert_eq!(status(&all), "502", "{shown:?}: {}", &all[..all.len().min(200)]);
    }
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_nobodys() {
    // To a connection that is only just there, and to one that has been idle.
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let all = suffers(Script::of(&[ok, "", POISON, POISON]), "GET").await;
    assert!(all.ends_with("ok"), "{all}");
    let all = suffers(Script::of(&[ok, "", POISON]).and_hangs_up(), "GET").await;
    assert!(all.ends_with("ok"), "{all}");
}

#[tokio::test]
async fn an_answer_before_the_whole_question_is_passed_on_and_the_connection_ends() {
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        for connection in ["keep-alive", "close"] {
            let no = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n";
            let script = Script::of(&[&format!("{no}Connection: {connection}\r\n\r\ntoo much")]);
            let upstream = Upstream::start(script).await;
            let gateway = upstream.gateway().await;
            let mut visitor = Visitor::at(&gateway).connect().await;
            let head = format!("POST /bad HTTP/1.1\r\nHost: site.test\r\n{framing}\r\n\r\n");
            visitor.send(head.as_bytes()).await;
            visitor.send(b"10\r\nsome of the body\r\n").await;
            let answer = visitor.receive("POST").await.expect("an answer");
            assert_eq!((answer.status, answer.text().as_str()), (413, "too much"));
            // What is left of the question is nobody's answer and nobody's question.
            visitor.send(b"GET /poison HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
            for round in 0..4 {
                let path = format!("/after/{round}");
                assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}{path}")).await.text(), path);
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_that_answers_without_end_holds_nobody_up() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(4 * 1024 * 1024));
    let upstream = Upstream::start(Script::of(&[&endless])).await;
    let gateway = upstream.gateway().await;
    let mut silent = Visitor::at(&gateway).connect().await;
    silent.send(b"GET /bad HTTP/1.1\r\nHost: site.test\r\n\r\n").await;
    settle().await;
    for round in 0..4 {
        let path = format!("/after/{round}");
        assert_eq!(Visitor::at(&gateway).get(&format!("{SITE}{path}")).await.text(), path);
    }
}
