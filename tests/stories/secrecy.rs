//! Tokens, cookies and keys are in no log line and no error page: told of the real program, with
//! everything that can go wrong going wrong.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use tollgate::domain::clock::{Clock, ManualClock, SystemClock};

use crate::support::{
    Answer, ApiClient, Ask, FakeUpstream, HANG, LoginPage, MASTER_KEY, Plan, Response, SITE, SitePlan,
    TestGateway, Visitor, settle,
};

const KEY: &str = "the-key-of-the-login-page-0123456789-abcdefgh";
const OAUTH: [&str; 2] =
    ["consumer-secret-0123456789-abcdefghijkl", "access-secret-0123456789-abcdefghijklmn"];

/// `tollgate serve` as a process of its own, and what it wrote to stderr.
struct Process {
    child: Child,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
    http: SocketAddr,
    control: SocketAddr,
    folder: Arc<tempfile::TempDir>,
}

impl Process {
    fn start(toml: &str, log_options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, toml).expect("writes");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--config"])
            .arg(&config)
            .args(log_options)
            .env("LOGIN_PAGE_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let log = Arc::<(Mutex<Vec<String>>, Condvar)>::default();
        let lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                copy.0.lock().unwrap().push(line);
                copy.1.notify_all();
            }
        });
        let listening = wait_for(&log, "listening");
        let listening: Value = serde_json::from_str(&listening).expect("a line of JSON");
        let address = |key: &str| {
            let text = listening[key].as_str().unwrap_or_else(|| panic!("{key} in {listening}"));
            text.parse().expect("an address")
        };
        Self { http: address("http"), control: address("control"), child, log, folder: Arc::new(folder) }
    }

    /// A stranger at the public listener.
    fn visitor(&self) -> Visitor {
        Visitor::of(self.http, Arc::new(ManualClock::starting_at(SystemClock.now())))
    }

    /// Stops it as an operator would, and returns everything it logged.
    fn stop(mut self) -> Vec<String> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(told.success());
        assert!(self.child.wait().expect("ends").success(), "it stops in good order");
        std::mem::take(&mut *self.log.0.lock().unwrap())
    }
}

/// The first line that contains `needle`, once it is there.
fn wait_for(log: &(Mutex<Vec<String>>, Condvar), needle: &str) -> String {
    let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(needle)).cloned();
    let lines = log.0.lock().unwrap();
    let (lines, _) = log.1.wait_timeout_while(lines, HANG, |lines| found(lines).is_none()).unwrap();
    found(&lines).unwrap_or_else(|| panic!("no {needle:?} in {lines:?}"))
}

/// Everything that nobody else may ever read.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn add(&mut self, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 16, "{secret:?} is too short to be looked for");
        self.0.push(secret);
    }

    fn add_cookies(&mut self, visitor: &Visitor) {
        for cookie in visitor.jar.cookies() {
            self.add(cookie.value.clone());
        }
    }

    /// Fails if `text` gives one of them away, as it is or percent-encoded.
    fn not_in(&self, what: &str, text: &str) {
        for secret in &self.0 {
            assert!(!text.contains(secret.as_str()), "{what} has {secret:?}: {text}");
        }
    }

    /// Judges an answer that is no success: its body, and every header but the cookies' own.
    fn not_told_by(&self, answer: &Response) {
        if answer.status >= 400 {
            self.not_in("an error page", &answer.text());
        }
        for (name, value) in &answer.headers.0 {
            if !name.eq_ignore_ascii_case("set-cookie") {
                self.not_in(name, &String::from_utf8_lossy(value));
            }
        }
    }
}

#[tokio::test]
async fn nothing_secret_is_ever_logged_or_shown() {
    let upstream = FakeUpstream::start().await;
    let dead = FakeUpstream::start().await;
    let nowhere = SitePlan::new("nowhere", "nowhere.test", dead.address());
    drop(dead);
    let signing = format!(
        "name = \"signing\"\nscopes = []\npermission = \"super\"\nconsumer_key = \"consumer-key\"\n\
         consumer_secret = {:?}\naccess_token = \"access-token\"\naccess_secret = {:?}",
        OAUTH[0], OAUTH[1]
    );
    let key =
        "name = \"login-page\"\nsecret = \"${LOGIN_PAGE_KEY}\"\nscopes = [\"admin\"]\npermission = \"super\"";
    let confirm = SitePlan::new("confirm", "confirm.test", upstream.address()).with("redeem", "\"confirm\"");
    let toml = Plan::new(&upstream).and_site(nowhere).and_site(confirm).key(key).key(&signing).to_toml();
    // Spans go nowhere, and what is said of that may hold no secret either.
    let kept = "[log]\naccess = \"combined\"\naccess_file = \"access.log\"\naudit_file = \"audit.log\"\n\
                [trace]\nendpoint = \"http://127.0.0.1:9\"\nsample = 1.0\n";
    for (log_options, more) in [(&[][..], ""), (&["--log", "trace"], ""), (&["--log", "trace"], kept)] {
        let process = Process::start(&format!("{more}{toml}"), log_options);
        let secrets = everything_goes_wrong(&process, &upstream).await;
        let folder = Arc::clone(&process.folder);
        let lines = tokio::task::spawn_blocking(|| process.stop()).await.expect("stops");
        for (file, has) in [("access.log", "\"GET /closed HTTP/1.1\""), ("audit.log", "\"session_started\"")]
        {
            if !more.is_empty() {
                let text = std::fs::read_to_string(folder.path().join(file)).expect("is kept");
                assert!(text.lines().count() > 20 && text.contains(has), "{text}");
                secrets.not_in(file, &text);
            }
        }
        assert!(lines.len() > if more.is_empty() { 50 } else { 5 }, "it did log: {lines:?}");
        for line in lines {
            secrets.not_in("a log line", &line);
            assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
        }
    }
}

/// A day in the life of the gateway; comes back with what was secret in it.
async fn everything_goes_wrong(process: &Process, upstream: &FakeUpstream) -> Secrets {
    let api = ApiClient::new(process.control, Some(KEY));
    let login_page = LoginPage::new(api.clone(), "intranet");
    let mut secrets = Secrets::default();
    for secret in [KEY, MASTER_KEY, OAUTH[0], OAUTH[1]] {
        secrets.add(secret);
    }
    let mut member = process.visitor();
    secrets.not_told_by(&member.get(&format!("{SITE}/closed?a=b")).await);
    secrets.add_cookies(&member);
    member.sign_in(&login_page, "jane@example.com").await;
    secrets.add_cookies(&member);

    tokens_go_wrong(process, &login_page, &mut member, &mut secrets).await;
    session_tokens_go_wrong(process, &api, &mut secrets).await;
    keys_go_wrong(&api, &mut secrets).await;
    cookies_go_wrong(process, &mut member, &mut secrets, upstream).await;
    secrets.not_in("the list of sessions", &api.get("/v1/sessions").await.text());
    secrets
}

async fn tokens_go_wrong(
    process: &Process,
    login_page: &LoginPage,
    member: &mut Visitor,
    secrets: &mut Secrets,
) {
    let used = login_page.token_for("jane@example.com").await;
    secrets.add(used.clone());
    let url = format!("{SITE}/closed?a=b&sso={used}&c");
    let mut bouncing = process.visitor();
    for _ in 0..6 {
        secrets.not_told_by(&process.visitor().get(&url).await);
        secrets.not_told_by(&bouncing.get(&url).await);
        secrets.not_told_by(&member.get(&url).await);
        secrets.add_cookies(member);
    }
    let fresh = login_page.token_for("jane@example.com").await;
    secrets.add(fresh.clone());
    for ask in [
        Ask::navigate("HEAD", &format!("{SITE}/closed?sso={fresh}")),
        Ask::script("GET", &format!("{SITE}/closed?sso={fresh}")),
        Ask::navigate("POST", &format!("{SITE}/closed?x=1?sso={fresh}")),
        Ask::navigate("GET", &format!("{SITE}/closed?sso={fresh}")).with("Sec-Purpose", "prefetch"),
        Ask::navigate("GET", &format!("{SITE}/a%2fb?sso={fresh}")),
        Ask::navigate("GET", &format!("{SITE}/../b?sso={fresh}")),
        Ask::navigate("GET", &format!("{SITE}/.tollgate/nothing?sso={fresh}")),
        Ask::navigate("POST", &format!("{SITE}/.tollgate/redeem"))
            .body("text/plain", &format!("token={fresh}")),
        Ask::navigate("GET", &format!("http://unknown.test/closed?sso={fresh}")),
        Ask::navigate("GET", &format!("http://nowhere.test/public/a?sso={fresh}")),
        Ask::navigate("GET", &format!("http://nowhere.test/closed?sso={fresh}")),
        Ask::navigate("TRACE", &format!("{SITE}/closed?sso={fresh}")),
        Ask::script("GET", &format!("{SITE}/public/a?x"))
            .with("Referer", &format!("{SITE}/closed?sso={fresh}")),
    ] {
        secrets.not_told_by(&process.visitor().send(ask.clone()).await);
        secrets.not_told_by(&member.send(ask).await);
    }
    // Appended in the wrong way it stands in the path, and comes back in the `return_url`; but that is all.
    for (path, page) in [
        ("/closed;sso=", "/public/a;sso="),
        ("/public/a&sso=", "/public/a&sso="),
        ("/public/a%3Fsso%3D", "/public/a?b;sso="),
    ] {
        let ask = Ask::navigate("GET", &format!("{SITE}{path}{fresh}"));
        process.visitor().send(ask.with("Referer", &format!("{SITE}{page}{fresh}"))).await;
    }
    let raw = format!("GET /closed?sso={fresh} HTTP/1.1\r\nHost: site.test\r\nBroken {fresh}\r\n\r\n");
    for broken in [raw.clone(), raw.replace("GET /", "GET "), raw.replace("HTTP/1.1", "HTTP/9")] {
        if let Some(answer) = process.visitor().send_raw(broken.as_bytes()).await {
            secrets.not_told_by(&answer);
        }
    }
}

async fn session_tokens_go_wrong(process: &Process, api: &ApiClient, secrets: &mut Secrets) {
    let on_site = api.on_site(process.http, "site.test");
    let issued = on_site.form("/api/session/get-token", &[("format", "json"), ("raw", "1")]).await.json();
    let token =
        issued["sessiontoken"]["access_token"].as_str().unwrap_or_else(|| panic!("a token in {issued}"));
    secrets.add(token);
    for _ in 0..2 {
        for name in ["session_token", "access_token", "login_token"] {
            for door in ["/api/session/redeem-token", "/api/user/redeem-login-token"] {
                secrets.not_told_by(&process.visitor().get(&format!("{SITE}{door}?{name}={token}")).await);
            }
        }
    }
}

async fn keys_go_wrong(api: &ApiClient, secrets: &mut Secrets) {
    let (wrong, signature) = ("a-guessed-key-0123456789-abcdefghijklmnopqrst", "U2lnbmF0dXJlU2lnbmF0dXJl");
    secrets.add(wrong);
    secrets.add(signature);
    let guesser = api.with_key(Some(wrong)).at_address(9, 1);
    for _ in 0..30 {
        secrets.not_told_by(&guesser.post("/v1/sso_tokens", &json!({ "email": "jane@example.com" })).await);
    }
    for authorization in [
        format!("OAuth oauth_consumer_key=\"consumer-key\",oauth_signature=\"{signature}\""),
        format!("Basic {KEY}"),
        format!("Bearer {KEY}x"),
        format!("bearer{KEY}"),
    ] {
        let nobody = api.with_key(None).at_address(9, 2);
        let headers = [("Authorization", authorization.as_str())];
        secrets.not_told_by(&nobody.send("GET", "/api/session/get-token", &headers, b"").await);
        secrets.not_told_by(&nobody.send("GET", "/v1/users", &headers, b"").await);
    }
    for target in ["/v1/users?cursor=", "/nothing?key=", "/api/echo?format=nonsense&key="] {
        secrets.not_told_by(&api.get(&format!("{target}{KEY}")).await);
    }
    let broken = format!("{{\"email\": \"{KEY}");
    let headers = [("Content-Type", "application/json")];
    secrets.not_told_by(&api.send("POST", "/v1/sso_tokens", &headers, broken.as_bytes()).await);
}

async fn cookies_go_wrong(
    process: &Process,
    member: &mut Visitor,
    secrets: &mut Secrets,
    upstream: &FakeUpstream,
) {
    let cookie = member.session_cookie().expect("signed in");
    let big = "x".repeat(60_000);
    for cookies in [format!("tollgate={cookie}; tollgate=x"), format!("tollgate={cookie}; big={big}")] {
        let ask = Ask::navigate("GET", &format!("{SITE}/closed")).with("Cookie", &cookies);
        secrets.not_told_by(&process.visitor().send(ask).await);
    }
    for bytes in [&b""[..], b"HTTP/1.1 nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
    {
        upstream.answers(Answer::Bytes(bytes.to_vec()));
        let mut connection = member.connect().await;
        let head = format!("GET /closed HTTP/1.1\r\nHost: site.test\r\nCookie: tollgate={cookie}\r\n\r\n");
        connection.send(head.as_bytes()).await;
        settle().await;
    }
    upstream.answers(Answer::page("hello from upstream"));
    secrets.not_told_by(&member.get(&format!("{SITE}/.tollgate/session")).await);
    secrets.not_told_by(&member.get(&format!("{SITE}/.tollgate/logout")).await);
}

#[tokio::test]
async fn a_configuration_that_is_refused_does_not_show_its_secrets() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    let good = Plan::new(&upstream).to_toml();
    let master = MASTER_KEY;
    for broken in [
        good.replace("scopes =", "scoops ="),
        good.replace("[\"admin\"]", "[\"everything\"]"),
        good.replace(&format!("secret = {master:?}"), &format!("secret = [{master:?}]")),
        good.replace(&format!("secret = {master:?}"), &format!("secret_sha256 = {master:?}")),
        good.replace(&format!("secret = {master:?}"), &format!("secret = {master:?} {master:?}")),
        good.replace(&format!("secret = {master:?}"), &format!("sekret = {master:?}")),
        format!("{good}\n[[api_key]]\nname = \"again\"\nsecret = {master:?}\nscopes = [\"admin\"]\n"),
    ] {
        assert_ne!(broken, good);
        std::fs::write(&config, &broken).expect("writes");
        for command in ["check", "serve"] {
            let run = Command::new(env!("CARGO_BIN_EXE_tollgate"))
                .args([command, "--config"])
                .arg(&config)
                .output();
            let output = run.expect("runs");
            assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
            for shown in [&output.stdout, &output.stderr] {
                let shown = String::from_utf8_lossy(shown);
                assert!(!shown.contains(master), "{command}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_in_the_address_of_the_page_that_asks_goes_no_further() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    for page in [format!("/page?a=1&sso={token}"), format!("/page?a=1?sso={token}")] {
        let page = format!("{SITE}{page}");
        let answer = Visitor::at(&gateway)
            .send(Ask::script("GET", &format!("{SITE}/closed")).with("Referer", &page))
            .await;
        assert_eq!(answer.status, 401);
        assert!(!answer.text().contains(&token), "{}", answer.text());
        let login_url = answer.json()["error"]["details"]["login_url"].as_str().expect("a URL").to_owned();
        assert!(login_url.contains("%2Fpage%3Fa%3D1&"), "the page all the same: {login_url}");
    }
}
