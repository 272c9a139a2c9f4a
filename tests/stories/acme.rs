//! Certificates that the gateway asks for itself, from a real ACME server that looks for itself whose the
//! names are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use crate::servers::pebble::{EXTERNAL_KEY, Looks, Pebble};
use crate::servers::redis::free_port;
use crate::support::tls::session;
use crate::support::{
    Authority, Client, Connection, FakeUpstream, HANG, Plan, Program, SitePlan, TestGateway, minutes, seconds,
};

const GET: &[u8] = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
const DAY: Duration = Duration::from_hours(24);

/// What a story about certificates needs.
pub(crate) struct Stage {
    pub(crate) pebble: Pebble,
    pub(crate) upstream: FakeUpstream,
    authority: Authority,
    /// Where the gateway listens.
    pub(crate) own: Looks,
    state: TempDir,
}

impl Stage {
    /// A Pebble that is not running yet, and looks where the gateway is to listen.
    pub(crate) async fn new() -> Self {
        let own = Looks { http: free_port(), tls: free_port() };
        Self::looking_at(own, own, false).await
    }

    /// One that looks elsewhere, and may want to know whose customer it has.
    pub(crate) async fn looking_at(looks: Looks, own: Looks, asks_for_account: bool) -> Self {
        let authority = Authority::new();
        let files = authority.issue("pebble", &["localhost"]);
        let pebble = Pebble::prepare(looks, &files.cert, &files.key, asks_for_account);
        let upstream = FakeUpstream::start().await;
        Self { pebble, upstream, authority, own, state: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn running() -> Self {
        let mut stage = Self::new().await;
        stage.pebble.run();
        stage
    }

    /// A gateway that asks for a certificate with these names, and proves them by this challenge.
    pub(crate) fn plan(&self, names: &[&str], challenge: &str) -> Plan {
        self.plan_saying(names, &format!("challenge = \"{challenge}\"\n"))
    }

    /// The same with these lines in `[acme]`.
    fn plan_saying(&self, names: &[&str], lines: &str) -> Plan {
        let site = SitePlan::new("intranet", "site.test", self.upstream.address())
            .with("hosts", "[\"site.test\", \"www.site.test\"]");
        let (directory, root) = (self.pebble.directory(), self.authority.root_file());
        let (state, root) = (self.state.path().join("acme"), root.display());
        let state = state.display();
        Plan::of(site)
            .starting_now()
            .server("http", &format!("[\"127.0.0.1:{}\"]", self.own.http))
            .server("https", &format!("[\"127.0.0.1:{}\"]", self.own.tls))
            .tables(&format!(
                "[acme]\ndirectory = \"{directory}\"\nroot_ca = \"{root}\"\nstate_dir = \"{state}\"\n\
                 terms_of_service_agreed = true\n{lines}[[server.certificate]]\nacme = {names:?}\n"
            ))
    }

    /// The folder of the directory's account and certificates.
    fn folder(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.state.path().join("acme")).expect("is there");
        folders.next().expect("has a folder").expect("can be read").path()
    }

    /// A client that trusts what Pebble issues, as it is running now.
    pub(crate) async fn client(&self) -> Client {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.pebble.management)).await.unwrap();
        let stream = self.authority.client().shake_over(stream, "localhost").await.expect("shakes hands");
        let request = b"GET /roots/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = Connection::over(stream).exchange(request, "GET").await.expect("answers");
        let root = CertificateDer::from_pem_slice(&answer.body).expect("a certificate");
        Client::trusting(root, rustls::ALL_VERSIONS)
    }
}

/// The serial number of the certificate that `name` is shown, if it can be trusted.
pub(crate) async fn serial(gateway: &TestGateway, client: &Client, name: &str) -> Option<Vec<u8>> {
    use x509_cert::der::Decode as _;
    let stream = client.shake(gateway, name).await.ok()?;
    let own = session(&stream).peer_certificates()?.first()?;
    let own = x509_cert::Certificate::from_der(own).expect("is a certificate");
    Some(own.tbs_certificate().serial_number().as_bytes().to_vec())
}

/// The same, when there is one.
pub(crate) async fn serial_soon(gateway: &TestGateway, client: &Client, name: &str) -> Vec<u8> {
    until("there is a certificate", async || serial(gateway, client, name).await).await
}

/// Waits until `there_is` something.
pub(crate) async fn until<T>(what: &str, mut there_is: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = there_is().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_first_certificate_comes_by_either_challenge() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let stage = Stage::running().await;
        // Whoever comes over plain http is sent to https, but for the authority.
        let plan = stage.plan(&["site.test", "www.site.test"], challenge);
        let gateway = plan.site(|site| site.with("https_redirect", "true")).start().await;
        let client = stage.client().await;
        let first = serial_soon(&gateway, &client, "site.test").await;
        assert_eq!(serial(&gateway, &client, "www.site.test").await, Some(first), "{challenge}");
        stage.upstream.assert_untouched("what the authority read is not the site's").await;
        let mut connection = client.connect(&gateway, "site.test").await;
        assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);

        let figures = gateway.api().get("/metrics").await.text();
        let expiry = "tollgate_certificate_expiry_timestamp_seconds{listener=\"public\",file=\"";
        let line = figures.lines().find(|line| line.starts_with(expiry)).expect(&figures);
        assert!(line.contains("site.test.pem"), "{line}");

        let folder = stage.folder();
        assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
        for file in ["account.json", "site.test.pem"] {
            assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
        }
        assert_eq!(stage.pebble.issued(), 1, "{}", stage.pebble.log());
    }
}

#[tokio::test]
async fn a_directory_that_is_down_keeps_nobody_out_of_the_rest() {
    let mut stage = Stage::new().await;
    let own = Authority::new();
    let plan = stage.plan(&["www.site.test"], "http-01").certificate(own.issue("site", &["site.test"]));
    let gateway = plan.server("https", &format!("[\"127.0.0.1:{}\"]", stage.own.tls)).start().await;
    let client = own.client();
    let mut connection = client.connect(&gateway, "site.test").await;
    assert_eq!(connection.exchange(GET, "GET").await.unwrap().status, 200);
    // Another name's certificate would be no help to anybody.
    let refused = client.shake(&gateway, "www.site.test").await.unwrap_err().to_string();
    assert!(refused.contains("alert"), "{refused}");

    stage.pebble.run();
    gateway.advance(minutes(2));
    let new = stage.client().await;
    serial_soon(&gateway, &new, "www.site.test").await;
    assert!(client.shake(&gateway, "site.test").await.is_ok());
}

#[tokio::test]
async fn a_certificate_is_renewed_in_time_and_nobody_is_cut_off() {
    let stage = Stage::running().await;
    let gateway = stage.plan(&["site.test"], "tls-alpn-01").start().await;
    let client = stage.client().await;
    let first = serial_soon(&gateway, &client, "site.test").await;
    let mut early = client.connect(&gateway, "site.test").await;
    assert_eq!(early.exchange(GET, "GET").await.unwrap().status, 200);
    gateway.advance(DAY * 59);
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(stage.pebble.orders(), 1, "{}", stage.pebble.log());

    gateway.advance(DAY * 2);
    let renewed =
        async || serial(&gateway, &stage.client().await, "site.test").await.filter(|new| *new != first);
    until("it is renewed", renewed).await;
    assert_eq!(early.exchange(GET, "GET").await.unwrap().status, 200);
    // The clock of this story is ahead of the authority's, so that the new one is due as well.
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(stage.pebble.orders(), 2, "{}", stage.pebble.log());
}

#[tokio::test]
async fn what_was_got_outlives_a_restart() {
    let mut stage = Stage::running().await;
    let plan = stage.plan(&["site.test"], "http-01");
    let gateway = plan.clone().start().await;
    let client = stage.client().await;
    let first = serial_soon(&gateway, &client, "site.test").await;
    gateway.stop().await;
    stage.pebble.kill();
    let gateway = plan.start().await;
    assert_eq!(serial(&gateway, &client, "site.test").await, Some(first));
    gateway.stop().await;

    // A name more is another certificate, from the same account; and till it is there the old one is shown.
    let gateway = stage.plan(&["site.test", "www.site.test"], "http-01").start().await;
    assert!(serial(&gateway, &client, "site.test").await.is_some());
    assert!(serial(&gateway, &client, "www.site.test").await.is_none());
    // This Pebble knows nothing of what was, and so not of the account: there is a new one then.
    stage.pebble.run();
    gateway.advance(minutes(2));
    let client = stage.client().await;
    let known = async || {
        gateway.advance(seconds(10));
        serial(&gateway, &client, "www.site.test").await
    };
    until("there is a new account and a certificate", known).await;
}

#[tokio::test]
async fn a_reload_asks_for_what_is_new() {
    let stage = Stage::running().await;
    let own = Authority::new();
    let listeners = |plan: Plan| {
        plan.certificate(own.issue("site", &["site.test"]))
            .server("http", &format!("[\"127.0.0.1:{}\"]", stage.own.http))
            .server("https", &format!("[\"127.0.0.1:{}\"]", stage.own.tls))
    };
    let before = SitePlan::new("intranet", "site.test", stage.upstream.address());
    let mut gateway = listeners(Plan::of(before).starting_now()).start().await;
    let mut early = own.client().connect(&gateway, "site.test").await;
    assert_eq!(early.exchange(GET, "GET").await.unwrap().status, 200);
    let plan = listeners(stage.plan(&["www.site.test"], "tls-alpn-01"));
    gateway.reload(&plan).await.expect("comes into force");
    let client = stage.client().await;
    let first = serial_soon(&gateway, &client, "www.site.test").await;
    // Once more, with nothing new: what there is stays.
    gateway.reload(&plan).await.expect("comes into force");
    assert_eq!(serial(&gateway, &client, "www.site.test").await, Some(first));
    assert_eq!(early.exchange(GET, "GET").await.unwrap().status, 200);
    assert_eq!(stage.pebble.orders(), 1, "{}", stage.pebble.log());
}

#[tokio::test]
async fn an_authority_that_refuses_is_left_alone_for_a_while() {
    // It looks where nobody is.
    let (nowhere, own) = ([free_port(), free_port()], [free_port(), free_port()]);
    let [nowhere, own] = [nowhere, own].map(|[http, tls]| Looks { http, tls });
    let mut stage = Stage::looking_at(nowhere, own, false).await;
    stage.pebble.run();
    let gateway = stage.plan(&["site.test"], "http-01").start().await;
    let orders = |count| {
        let pebble = &stage.pebble;
        async move || (pebble.orders() == count).then_some(())
    };
    until("it was asked", orders(1)).await;
    // Until it has refused.
    tokio::time::sleep(seconds(4)).await;
    gateway.advance(minutes(9));
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(stage.pebble.orders(), 1, "{}", stage.pebble.log());
    gateway.advance(minutes(4));
    until("it is asked again", orders(2)).await;
}

#[tokio::test]
async fn a_customer_of_the_authority_is_known_by_a_key() {
    let own = Looks { http: free_port(), tls: free_port() };
    let mut stage = Stage::looking_at(own, own, true).await;
    stage.pebble.run();
    let lines = format!("eab_key_id = \"kid-1\"\neab_key = \"{EXTERNAL_KEY}\"\n");
    let gateway = stage.plan_saying(&["site.test"], &lines).start().await;
    serial_soon(&gateway, &stage.client().await, "site.test").await;
}

#[tokio::test]
async fn no_key_is_ever_in_the_log_and_what_is_wrong_is() {
    let own = Looks { http: free_port(), tls: free_port() };
    let mut stage = Stage::looking_at(own, own, true).await;
    stage.pebble.run();
    let verbose = |mut command: std::process::Command| {
        command.args(["--log", "trace"]);
        command
    };
    // Without the key of its account the authority refuses.
    let program = Program::start_by(&stage.plan(&["site.test"], "http-01"), verbose).await;
    let line = program.line_with("could not obtain a certificate").await;
    assert!(line.contains("externalAccountRequired") && line.contains("eab_key_id"), "{line}");
    drop(program);

    let lines =
        format!("contact = [\"mailto:a@site.test\"]\neab_key_id = \"kid-1\"\neab_key = \"{EXTERNAL_KEY}\"\n");
    let program = Program::start_by(&stage.plan_saying(&["site.test"], &lines), verbose).await;
    program.line_with("obtained a certificate").await;
    let account = std::fs::read_to_string(stage.folder().join("account.json")).unwrap();
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();
    let key = account["credentials"]["key_pkcs8"].as_str().expect("has a key");
    let pem = std::fs::read_to_string(stage.folder().join("site.test.pem")).unwrap();
    let (_, own_key) = pem.split_once("PRIVATE KEY-----\n").expect("has a key");
    for secret in [key, own_key.lines().next().unwrap(), EXTERNAL_KEY] {
        assert!(secret.len() > 40);
        assert_eq!(program.lines_with(&secret[8..40]), Vec::<String>::new());
    }
    assert!(program.lines_with("tollgate::acme").len() > 1);
}
