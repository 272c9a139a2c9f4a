//! An ACME directory that does as a story wishes: it believes whoever says that a name is theirs, and issues what
//! it is told to. What is signed it does not look at.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use x509_cert::der::Decode as _;

use crate::acme::until;
use crate::support::secured::acceptor;
use crate::support::{Authority, FakeUpstream, Plan, SitePlan, TestGateway};

/// How it behaves.
#[derive(Clone)]
pub(crate) struct Manners {
    /// What it issues certificates for, whatever it is asked for.
    pub(crate) names: Vec<&'static str>,
    /// From when on and until when they are good, in seconds since 1970.
    pub(crate) life: (u64, u64),
    /// What becomes of orders.
    pub(crate) orders: Orders,
    /// What it says of when to renew, if it says anything.
    pub(crate) advice: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Orders {
    Taken,
    /// But no word of what they replace.
    TakenAsTheFirst,
    Refused,
    NeverAnswered,
}

/// One such directory, and what a gateway needs that asks it.
pub(crate) struct Double {
    url: String,
    authority: Authority,
    pub(crate) upstream: FakeUpstream,
    state: TempDir,
    manners: Arc<Mutex<Manners>>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Double {
    pub(crate) async fn start() -> Self {
        let authority = Authority::new();
        let files = authority.issue("directory", &["localhost"]);
        let acceptor = acceptor(&files, &[], None);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let manners = Manners { names: vec!["site.test"], life: (0, 0), orders: Orders::Taken, advice: None };
        let (manners, calls) = (Arc::new(Mutex::new(manners)), Arc::<Mutex<Vec<_>>>::default());
        let issuing = Arc::new(Issuing::new());
        let own = (url.clone(), Arc::clone(&manners), Arc::clone(&calls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let ((url, manners, calls), acceptor) = (own.clone(), acceptor.clone());
                let issuing = Arc::clone(&issuing);
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    serve(stream, &url, &manners, &calls, &issuing).await;
                });
            }
        });
        let (upstream, state) = (FakeUpstream::start().await, tempfile::tempdir().unwrap());
        Self { url, authority, upstream, state, manners, calls }
    }

    /// A gateway that asks for a certificate for `site.test`.
    pub(crate) fn plan(&self) -> Plan {
        self.plan_saying("")
    }

    /// The same with these lines in `[acme]`.
    pub(crate) fn plan_saying(&self, lines: &str) -> Plan {
        let (url, root, state) = (&self.url, self.authority.root_file(), self.state.path());
        let (root, state) = (root.display(), state.display());
        Plan::of(SitePlan::new("intranet", "site.test", self.upstream.address()))
            .starting_now()
            .server("https", "[\"127.0.0.1:0\"]")
            .tables(&format!(
                "[acme]\ndirectory = \"{url}/dir\"\nroot_ca = \"{root}\"\nstate_dir = \"{state}\"\n\
                 terms_of_service_agreed = true\n{lines}[[server.certificate]]\nacme = [\"site.test\"]\n"
            ))
    }

    /// Where its certificates are kept.
    pub(crate) fn folder(&self) -> std::path::PathBuf {
        let name = self.url.strip_prefix("https://").unwrap().replace(':', "%3a");
        self.state.path().join(format!("{name}_dir"))
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock().unwrap());
    }

    /// What was sent to `path`, each time it was called.
    pub(crate) fn calls(&self, path: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(called, _)| called == path).map(|(_, sent)| sent.clone()).collect()
    }

    /// The paths below `folder` that were called.
    pub(crate) fn below(&self, folder: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter_map(|(path, _)| path.strip_prefix(folder).map(str::to_owned)).collect()
    }

    /// Waits until it is asked for advice once more after `time`.
    pub(crate) async fn asked_again_after(&self, gateway: &TestGateway, time: Duration) {
        let before = self.below("/advice/").len();
        gateway.advance(time);
        until("it is asked", async || (self.below("/advice/").len() > before).then_some(())).await;
    }

    /// Waits until it was called so often at `path`.
    pub(crate) async fn called(&self, path: &str, times: usize) {
        until(path, async || (self.calls(path).len() >= times).then_some(())).await;
        assert_eq!(self.calls(path).len(), times, "{path}");
    }
}

/// Who signs, and what was signed last.
struct Issuing {
    issuer: Issuer<'static, KeyPair>,
    issued: Mutex<(u8, String)>,
}

/// The key that somebody asks a certificate for.
struct Applicant(Vec<u8>);

impl PublicKeyData for Applicant {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Issuing {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: Issuer::new(params, KeyPair::generate().unwrap()), issued: Mutex::default() }
    }

    /// Issues one more, with its count as the serial number.
    fn issue(&self, request: &Value, manners: &Manners) {
        let csr = URL_SAFE_NO_PAD.decode(request["csr"].as_str().unwrap()).unwrap();
        let csr = x509_cert::request::CertReq::from_der(&csr).unwrap();
        let applicant = Applicant(csr.info.public_key.subject_public_key.raw_bytes().to_vec());
        let names = manners.names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        let at = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        (params.not_before, params.not_after) = (at(manners.life.0), at(manners.life.1));
        params.use_authority_key_identifier_extension = true;
        let mut issued = self.issued.lock().unwrap();
        issued.0 += 1;
        params.serial_number = Some(SerialNumber::from_slice(&[issued.0]));
        issued.1 = params.signed_by(&applicant, &self.issuer).unwrap().pem();
    }
}

/// One call and its answer.
async fn serve(
    mut stream: tokio_rustls::server::TlsStream<TcpStream>,
    own: &str,
    manners: &Mutex<Manners>,
    calls: &Mutex<Vec<(String, Value)>>,
    issuing: &Issuing,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let payload = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload["payload"].as_str().unwrap_or_default()).unwrap();
    let sent = serde_json::from_slice::<Value>(&payload).unwrap_or_default();
    calls.lock().unwrap().push((path.clone(), sent.clone()));
    let manners = manners.lock().unwrap().clone();
    if path == "/order" && manners.orders == Orders::NeverAnswered {
        std::future::pending::<()>().await;
    }
    let (status, place, body) = answer(&path, &sent, own, &manners, issuing);
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nReplay-Nonce: bm9uY2U\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Location: {place}\r\n\r\n{body}"
    );
    let _was_heard = stream.write_all(answer.as_bytes()).await;
    let _is_over = stream.shutdown().await;
}

/// The status, the place of what was made, and the body.
fn answer(
    path: &str,
    sent: &Value,
    own: &str,
    manners: &Manners,
    issuing: &Issuing,
) -> (&'static str, String, String) {
    let order = |status: &str| {
        json!({
            "status": status, "authorizations": [format!("{own}/proof")], "finalize": format!("{own}/finalize"),
            "identifiers": [{ "type": "dns", "value": "site.test" }],
        })
    };
    let problem = |kind: &str| json!({ "type": format!("urn:ietf:params:acme:error:{kind}") }).to_string();
    let ok = |body: String| ("200 OK", own.to_owned(), body);
    match path {
        "/dir" => {
            let place = |path: &str| format!("{own}/{path}");
            let mut listed = json!({
                "newNonce": place("nonce"), "newAccount": place("account"), "newOrder": place("order"),
            });
            if manners.advice.is_some() {
                listed["renewalInfo"] = place("advice").into();
            }
            ok(listed.to_string())
        }
        "/account" => ("201 Created", format!("{own}/account/1"), json!({ "status": "valid" }).to_string()),
        "/account/1" => ok(json!({ "status": "valid" }).to_string()),
        "/order" if manners.orders == Orders::Refused => {
            ("403 Forbidden", own.to_owned(), problem("rejectedIdentifier"))
        }
        "/order" if manners.orders == Orders::TakenAsTheFirst && sent.get("replaces").is_some() => {
            ("409 Conflict", own.to_owned(), problem("alreadyReplaced"))
        }
        "/order" => {
            let mut order = order("ready");
            if let Some(replaced) = sent.get("replaces") {
                order["replaces"] = replaced.clone();
            }
            ("201 Created", format!("{own}/order/1"), order.to_string())
        }
        "/proof" => ok(json!({
            "status": "valid", "identifier": { "type": "dns", "value": "site.test" }, "challenges": [],
        })
        .to_string()),
        "/finalize" | "/order/1" => {
            if path == "/finalize" {
                issuing.issue(sent, manners);
            }
            let mut order = order("valid");
            order["certificate"] = format!("{own}/certificate").into();
            ok(order.to_string())
        }
        "/certificate" => ok(issuing.issued.lock().unwrap().1.clone()),
        _ if path.starts_with("/advice/") => ok(manners.advice.clone().unwrap_or_default()),
        _ => ok(String::new()),
    }
}
