//! Authorities that are not what they should be, and folders that nothing can be put into.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::acme::until;
use crate::support::secured::acceptor;
use crate::support::{Authority, FakeUpstream, Plan, SitePlan, TestGateway, minutes, seconds};

/// An authority that takes every order, and never decides.
struct Undecided {
    directory: String,
    authority: Authority,
    upstream: FakeUpstream,
    state: TempDir,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Undecided {
    /// One that asks for patience in these words.
    async fn saying(retry_after: &'static str) -> Self {
        let authority = Authority::new();
        let files = authority.issue("directory", &["localhost"]);
        let acceptor = acceptor(&files, &[], None);
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (seen, base) = (Arc::clone(&calls), own.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, base) = (acceptor.clone(), Arc::clone(&seen), base.clone());
                tokio::spawn(async move { answer(stream, acceptor, &seen, &base, retry_after).await });
            }
        });
        let (upstream, state) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
        Self { directory: format!("{own}/dir"), authority, upstream, state, calls }
    }

    fn plan(&self, renew_before: &str) -> Plan {
        let (directory, root) = (&self.directory, self.authority.root_file());
        let (state, root) = (self.state.path().display(), root.display());
        Plan::of(SitePlan::new("intranet", "site.test", self.upstream.address()))
            .server("https", "[\"127.0.0.1:0\"]")
            .tables(&format!(
                "[acme]\ndirectory = \"{directory}\"\nroot_ca = \"{root}\"\nstate_dir = \"{state}\"\n\
                 renew_before = {renew_before:?}\nterms_of_service_agreed = true\n\
                 [[server.certificate]]\nacme = [\"site.test\"]\n"
            ))
    }

    async fn gateway(&self) -> TestGateway {
        self.plan("10d").start().await
    }

    /// Waits until it was called so often at `path`.
    async fn called(&self, path: &str, times: usize) {
        let count = || self.calls.lock().unwrap().iter().filter(|call| *call == path).count();
        until(path, async || (count() >= times).then_some(())).await;
        assert_eq!(count(), times, "{path}");
    }
}

/// One call and its answer. What is signed is not looked at.
async fn answer(stream: TcpStream, tls: TlsAcceptor, calls: &Mutex<Vec<String>>, own: &str, patience: &str) {
    let Ok(mut stream) = tls.accept(stream).await else { return };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let path = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
    calls.lock().unwrap().push(path.clone());
    let order = format!(
        "{{\"status\":\"pending\",\"identifiers\":[{{\"type\":\"dns\",\"value\":\"site.test\"}}],\
         \"authorizations\":[\"{own}/proof\"],\"finalize\":\"{own}/finalize\"}}"
    );
    let (lines, body) = match path.as_str() {
        "/dir" => (
            String::new(),
            format!(
                "{{\"newNonce\":\"{own}/nonce\",\"newAccount\":\"{own}/account\",\"newOrder\":\"{own}/order\"}}"
            ),
        ),
        "/account" => (format!("Location: {own}/account/1\r\n"), "{\"status\":\"valid\"}".to_owned()),
        "/order" => (format!("Location: {own}/order/1\r\n"), order),
        "/order/1" => (format!("Retry-After: {patience}\r\n"), order),
        "/proof" => (
            format!("Retry-After: {patience}\r\n"),
            "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\",\"value\":\"site.test\"},\"challenges\":[]}"
                .to_owned(),
        ),
        _ => (String::new(), String::new()),
    };
    let status = if ["/account", "/order"].contains(&path.as_str()) { "201 Created" } else { "200 OK" };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nReplay-Nonce: bm9uY2U\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    );
    let _was_heard = stream.write_all(answer.as_bytes()).await;
    let _is_over = stream.shutdown().await;
    let _what_was_signed = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn an_authority_that_asks_for_patience_to_the_end_of_time_is_asked_again() {
    let stage = Undecided::saying("18446744073709551615").await;
    let gateway = stage.gateway().await;
    stage.called("/order", 1).await;
    stage.called("/order/1", 1).await;
    // Until it is noted down that it does not decide.
    tokio::time::sleep(seconds(2)).await;
    gateway.advance(minutes(13));
    stage.called("/order", 2).await;
}

#[tokio::test]
async fn other_settings_do_not_wait_for_what_is_under_way() {
    let stage = Undecided::saying("100").await;
    let mut gateway = stage.gateway().await;
    stage.called("/order/1", 1).await;
    gateway.reload(&stage.plan("20d")).await.expect("comes into force");
    stage.called("/order", 2).await;
}

#[tokio::test]
async fn nothing_is_ordered_that_could_not_be_kept() {
    let stage = Undecided::saying("1").await;
    let folder =
        stage.state.path().join(stage.directory.strip_prefix("https://").unwrap().replace([':', '/'], "_"));
    std::fs::create_dir_all(folder.join("site.test.pem.new")).unwrap();
    let gateway = stage.gateway().await;
    stage.called("/account", 1).await;
    tokio::time::sleep(seconds(2)).await;
    stage.called("/order", 0).await;
    std::fs::remove_dir(folder.join("site.test.pem.new")).unwrap();
    gateway.advance(minutes(1));
    stage.called("/order", 1).await;
}
