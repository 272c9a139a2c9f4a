//! Which of several upstreams a request goes to: not to those that fail, and not to those that say
//! that they are not well, as long as there are others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::http2::{H2Upstream, Stream};
use crate::support::{
    Answer, FakeUpstream, HANG, Plan, Program, SITE, SitePlan, TestGateway, Visitor, seconds, serving,
};

fn site(upstreams: &[String]) -> SitePlan {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    SitePlan::new("intranet", "site.test", nowhere).upstreams(upstreams).with("access", "\"off\"")
}

/// An upstream that can be made to slam the door behind each request.
struct Moody {
    address: SocketAddr,
    slams: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
}

impl Moody {
    async fn start() -> Self {
        let (slams, requests) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicUsize>::default());
        let (does_slam, count) = (Arc::clone(&slams), Arc::clone(&requests));
        let address = serving(move |mut stream| {
            let (slams, requests) = (Arc::clone(&does_slam), Arc::clone(&count));
            async move {
                let mut request = vec![0; 8192];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    requests.fetch_add(1, Ordering::SeqCst);
                    if slams.load(Ordering::SeqCst) {
                        return;
                    }
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmoody";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        Self { address, slams, requests }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn slams(&self, slams: bool) {
        self.slams.store(slams, Ordering::SeqCst);
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// The statuses of so many requests.
async fn ask(gateway: &TestGateway, times: usize) -> Vec<u16> {
    let mut visitor = Visitor::at(gateway);
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(visitor.get(&format!("{SITE}/a")).await.status);
    }
    statuses
}

fn failures(statuses: &[u16]) -> usize {
    assert!(statuses.iter().all(|status| [200, 502].contains(status)), "{statuses:?}");
    statuses.iter().filter(|status| **status == 502).count()
}

#[tokio::test]
async fn who_fails_is_left_out_for_longer_and_longer_and_comes_back() {
    let (moody, steady) = (Moody::start().await, FakeUpstream::start().await);
    let gateway = Plan::of(site(&[moody.url(), format!("http://{}", steady.address())])).start().await;
    // Three times it may fail.
    assert_eq!(failures(&ask(&gateway, 60).await), 3);
    assert_eq!(moody.count(), 3);
    // Then it is left alone for five seconds or a little more, and for ten after the next time.
    gateway.advance(seconds(4));
    assert_eq!(failures(&ask(&gateway, 20).await), 0);
    gateway.advance(seconds(3));
    assert_eq!(failures(&ask(&gateway, 40).await), 1);
    gateway.advance(seconds(9));
    assert_eq!(failures(&ask(&gateway, 20).await), 0);
    assert_eq!(moody.count(), 4);
    moody.slams(false);
    gateway.advance(seconds(4));
    assert_eq!(failures(&ask(&gateway, 60).await), 0);
    assert!(moody.count() > 20, "{}", moody.count());
}

#[tokio::test]
async fn if_all_have_failed_all_are_tried() {
    let (one, other) = (Moody::start().await, Moody::start().await);
    let gateway = Plan::of(site(&[one.url(), other.url()])).start().await;
    assert_eq!(failures(&ask(&gateway, 20).await), 20);
    assert_eq!(one.count() + other.count(), 20);
    // No time has to pass.
    other.slams(false);
    assert!(failures(&ask(&gateway, 40).await) < 20);
    assert_eq!(failures(&ask(&gateway, 20).await), 0);
}

#[tokio::test]
async fn an_upstream_alone_is_always_tried() {
    let moody = Moody::start().await;
    let gateway = Plan::of(site(&[moody.url()])).start().await;
    assert_eq!(failures(&ask(&gateway, 10).await), 10);
    moody.slams(false);
    assert_eq!(failures(&ask(&gateway, 10).await), 0);
}

#[tokio::test]
async fn what_a_visitor_does_is_not_held_against_an_upstream() {
    let upstreams = [FakeUpstream::start().await, FakeUpstream::start().await];
    let addresses = upstreams.each_ref().map(|upstream| format!("http://{}", upstream.address()));
    let gateway = Plan::of(site(&addresses)).start().await;
    for _ in 0..20 {
        let broken = b"POST /a HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        let answer = Visitor::at(&gateway).send_raw(broken).await.expect("an answer");
        assert_eq!(answer.status, 400);
    }
    assert_eq!(failures(&ask(&gateway, 40).await), 0);
    assert!(upstreams.iter().all(|upstream| upstream.count() > 5));
}

/// Asks until so many answers in a row came from `which`.
async fn until_all_come_from(gateway: &TestGateway, which: &str) {
    let mut in_a_row = 0;
    let search = async {
        while in_a_row < 20 {
            let told = Visitor::at(gateway).get(&format!("{SITE}/a")).await.text();
            in_a_row = if told == which { in_a_row + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, search).await.expect(which);
}

#[tokio::test]
async fn who_says_that_it_is_not_well_gets_no_visitors() {
    let upstreams = [FakeUpstream::start().await, FakeUpstream::start().await];
    let addresses = upstreams.each_ref().map(|upstream| format!("http://{}", upstream.address()));
    let unwell = || Answer::Page { status: 503, headers: Vec::new(), body: b"unwell".to_vec() };
    for (upstream, name) in upstreams.iter().zip(["one", "other"]) {
        upstream.answers(Answer::page(name));
    }
    let plan = site(&addresses)
        .health("path", "\"/healthz?full\"")
        .health("interval", "\"100ms\"")
        .health("healthy_after", "1")
        .health("unhealthy_after", "2");
    let gateway = Plan::of(plan).start().await;
    let [one, other] = &upstreams;
    one.answers(unwell());
    until_all_come_from(&gateway, "other").await;
    let asked = one.requests().into_iter().find(|request| request.target == "/healthz?full");
    let asked = asked.expect("was asked");
    assert_eq!((asked.method.as_str(), asked.header("host").as_deref()), ("GET", Some("site.test")));
    assert!(asked.header("user-agent").is_some_and(|name| name.starts_with("tollgate/")));
    // Who is moved elsewhere is well.
    one.answers(Answer::Page { status: 302, headers: Vec::new(), body: b"one".to_vec() });
    other.answers(unwell());
    until_all_come_from(&gateway, "one").await;
    // If nobody is well, all are asked nonetheless.
    one.answers(unwell());
    until_all_come_from(&gateway, "unwell").await;
}

#[tokio::test]
async fn the_process_asks_once_however_many_workers_there_are() {
    let upstream = FakeUpstream::start().await;
    let plan = site(&[format!("http://{}", upstream.address())]).health("path", "\"/healthz\"");
    let gateway = Plan::of(plan.health("interval", "\"1h\"").with("preserve_host", "false"));
    let _gateway = gateway.server("workers", "3").start().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(upstream.count(), 1);
    assert_eq!(upstream.last().header("host"), Some(upstream.address().to_string()));
}

#[tokio::test]
async fn upstreams_in_http2_are_asked_in_http2() {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let serve = move |mut stream: Stream| {
        let is_check = stream.request.uri() == "http://site.test/healthz";
        count.fetch_add(usize::from(is_check), Ordering::SeqCst);
        async move { stream.say("hello") }
    };
    let upstream = H2Upstream::start(serve).await;
    let plan = site(&[format!("h2c://{}", upstream.address)]).health("path", "\"/healthz\"");
    let _gateway = Plan::of(plan.health("interval", "\"1h\"")).start().await;
    let search = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, search).await.expect("is asked");
}

#[tokio::test]
async fn a_gateway_that_asks_and_is_told_to_stop_stops_in_order() {
    // It takes the question, and says nothing.
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let silent = serving(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let mut question = vec![0; 8192];
            while stream.read(&mut question).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let urls = [format!("http://{silent}"), "http://127.0.0.1:9".to_owned()];
    let plan = site(&urls).health("path", "\"/healthz\"").health("interval", "\"100ms\"");
    let gateway = Program::start(&Plan::of(plan)).await;
    let search = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, search).await.expect("is asked");
    gateway.signal("TERM");
    gateway.line_with("\"stopped\"").await;
    assert_eq!(gateway.lines_with("panicked"), [""; 0]);
    assert!(gateway.ends().await);
}
