//! Real applications are signed in to by a header, as docs/applications.md has it: who somebody is says
//! the application itself.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::servers::redis::free_port;
use crate::support::{Ask, HANG, Plan, Response, SITE, SitePlan, TestGateway, Visitor};

const DOCUMENT: &str = include_str!("../../docs/applications.md");

/// The code block of the document that begins with `start`.
fn documented(language: &str, start: &str) -> &'static str {
    let mut blocks = DOCUMENT.split("```").skip(1).step_by(2);
    let block = blocks.find_map(|block| {
        block.strip_prefix(language)?.strip_prefix('\n')?.strip_prefix(start).map(|_| block)
    });
    block.unwrap_or_else(|| panic!("no {start}")).split_once('\n').expect("has lines").1
}

/// An application that runs until it is dropped.
struct Application {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Application {
    /// Starts Python with `arguments`, which says on its way where it listens.
    #[expect(clippy::disallowed_methods, reason = "tests/run says so which interpreter has the libraries")]
    async fn start(folder: TempDir, arguments: &[&str]) -> Self {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-venv/bin/python");
        let interpreter = std::env::var("TOLLGATE_TEST_PYTHON").unwrap_or_else(|_| own.to_owned());
        let mut command = Command::new(interpreter);
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let (out, err) = (child.stdout.take().expect("is piped"), child.stderr.take().expect("is piped"));
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
        for output in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let tell = std::sync::Arc::clone(&tell);
            // To the end: a pipe that nobody empties would stop the application.
            spawn_blocking(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let address = line.split_once("Listening on ").map(|(_, behind)| behind);
                    let address =
                        address.and_then(|text| text.trim_matches('\'').split('\'').next()?.parse().ok());
                    if let Some((address, tell)) =
                        address.zip(tell.lock().unwrap().take_if(|_| address.is_some()))
                    {
                        let _nobody_waits = tell.send(address);
                    }
                }
            });
        }
        let address = timeout(HANG, told).await.expect("in time").expect("listens");
        Self { child, address, _folder: folder }
    }

    /// What it says to somebody who goes around the gateway.
    async fn asked_directly(&self, ask: Ask) -> Response {
        let clock = std::sync::Arc::new(tollgate::domain::clock::ManualClock::starting_at(
            tollgate::domain::clock::Timestamp::from_millis(1_763_800_000_000),
        ));
        Visitor::of(self.address, clock).send(ask).await
    }

    fn site(&self) -> SitePlan {
        SitePlan::new("intranet", "site.test", self.address)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

async fn signs_in(visitor: &mut Visitor, gateway: &TestGateway, name: &str) {
    let order = json!({ "email": format!("{name}@example.com"), "full_name": name, "external_id": name });
    let token = gateway.login_page().token(order).await;
    assert_eq!(visitor.get(&format!("{SITE}/public/?sso={token}")).await.status, 302);
}

/// How somebody may try to be `name`.
fn forged(ask: Ask, header: &str, name: &str) -> Vec<Ask> {
    let spellings =
        [header.to_owned(), header.to_uppercase(), header.replace('-', "_"), header.replacen('-', "_", 1)];
    let mut asks: Vec<Ask> = spellings.iter().map(|spelled| ask.clone().and(spelled, name)).collect();
    asks.push(spellings.iter().fold(ask.clone(), |ask, spelled| ask.and(spelled, name)));
    asks.push(ask.and(header, name).and("Connection", header));
    asks
}

async fn radicale() -> Application {
    let folder = tempfile::tempdir().expect("a folder");
    let config = documented("ini", "[server]").replace(":5232", &format!(":{}", free_port()));
    let storage = folder.path().join("collections");
    let config = format!("{config}\n[storage]\nfilesystem_folder = {}\n", storage.display());
    std::fs::write(folder.path().join("config"), config).expect("writes a file");
    Application::start(folder, &["-m", "radicale", "--config", "config"]).await
}

/// Asks Radicale who it is that asks.
fn who_am_i(path: &str) -> Ask {
    let body = r#"<propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>"#;
    Ask::script("PROPFIND", &format!("{SITE}{path}")).with("Depth", "0").body("application/xml", body)
}

fn is_told(answer: &Response, name: &str) -> bool {
    answer.text().contains(&format!("<href>/{name}/</href>"))
}

#[tokio::test]
async fn radicale_knows_who_signed_in_and_believes_nobody_else() {
    assert!(
        documented("toml", "[[site]]\nname = \"calendars\"").contains("\n\"X-Remote-User\" = \"{id}\"\n")
    );
    let application = radicale().await;
    // Whoever goes around the gate is who they say: what is tried below is no idle question.
    let direct = application.asked_directly(who_am_i("/").with("X_Remote_User", "joe")).await;
    assert!(is_told(&direct, "joe"), "{}", direct.text());

    let site = application.site().identity_header("X-Remote-User", "{id}");
    let gateway = Plan::of(site).start().await;
    let mut jane = Visitor::at(&gateway);
    assert_eq!(jane.send(who_am_i("/")).await.status, 401);
    signs_in(&mut jane, &gateway, "jane").await;
    let answer = jane.send(who_am_i("/")).await;
    assert_eq!(answer.status, 207, "{}", answer.text());
    assert!(is_told(&answer, "jane"), "{}", answer.text());
    let calendar = format!("{SITE}/jane/work/");
    assert_eq!(jane.send(Ask::script("MKCALENDAR", &calendar)).await.status, 201);
    let event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20251122T090000Z\r\n\
                 DTSTART:20251122T090000Z\r\nSUMMARY:Secret\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let put = Ask::script("PUT", &format!("{calendar}1.ics")).body("text/calendar", event);
    assert_eq!(jane.send(put).await.status, 201);

    let mut joe = Visitor::at(&gateway);
    signs_in(&mut joe, &gateway, "joe").await;
    let read = Ask::script("GET", &format!("{calendar}1.ics"));
    for ask in forged(read.clone(), "X-Remote-User", "jane").into_iter().chain([read.clone()]) {
        let answer = joe.send(ask).await;
        assert!(answer.status == 403 && !answer.text().contains("Secret"), "{answer:?}");
    }
    for ask in forged(who_am_i("/"), "X-Remote-User", "jane") {
        let answer = joe.send(ask).await;
        assert!(is_told(&answer, "joe") && !answer.text().contains("jane"), "{}", answer.text());
    }
    // An open path is nobody's.
    for ask in forged(who_am_i("/public/"), "X-Remote-User", "jane") {
        assert!(!joe.send(ask).await.text().contains("jane"));
    }
    assert!(jane.send(read).await.text().contains("SUMMARY:Secret"));
}

async fn django() -> Application {
    let folder = tempfile::tempdir().expect("a folder");
    let (gate, more) = (documented("python", "from django"), documented("python", "MIDDLEWARE +="));
    for (name, lines) in [("gate.py", gate), ("settings_more.py", more)] {
        std::fs::write(folder.path().join(name), lines).expect("writes a file");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/django_site.py");
    let path = folder.path().display().to_string();
    Application::start(folder, &[script.to_str().expect("is text"), &path]).await
}

#[tokio::test]
async fn djangos_admin_knows_who_signed_in_and_believes_nobody_else() {
    let application = django().await;
    let admin = format!("{SITE}/admin/");
    let direct = Ask::navigate("GET", &admin).and("X_Forwarded_User", "joe").and("X_Forwarded_Role", "admin");
    let direct = application.asked_directly(direct).await;
    assert!(direct.text().contains("<strong>joe</strong>"), "{direct:?}");

    let gateway = Plan::of(application.site()).start().await;
    let mut browser = Visitor::at(&gateway);
    assert_eq!(browser.get(&admin).await.status, 302);
    signs_in(&mut browser, &gateway, "jane").await;
    // An editor is known, and has no business in the admin.
    let (_, page) = browser.follow(&admin).await;
    assert!(page.text().contains("You are authenticated as jane"), "{}", page.text());

    let (users, _) = gateway.api().all("/v1/users").await;
    let user = format!("/v1/users/{}", users[0]["id"].as_str().unwrap());
    gateway.api().patch(&user, &json!({ "roles": { "intranet": "admin" } })).await;
    let mut jane = Visitor::at(&gateway);
    signs_in(&mut jane, &gateway, "jane").await;
    let page = jane.get(&admin).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("<strong>jane</strong>") && page.text().contains("/admin/auth/user/"));
    // What was made for her is for nobody else.
    assert!(page.headers.lists("cache-control", "private"), "{page:?}");
    assert!(page.headers.lists("vary", "Cookie"), "{page:?}");

    // Somebody else in the same browser is not taken for her because of Django's own cookie.
    signs_in(&mut jane, &gateway, "joe").await;
    let (_, page) = jane.follow(&admin).await;
    assert!(page.text().contains("You are authenticated as joe"), "{}", page.text());
    for ask in forged(Ask::navigate("GET", &admin), "X-Forwarded-User", "jane") {
        let ask = ask.and("X-Forwarded-Role", "admin").and("X_Forwarded_Role", "admin");
        let answer = jane.send(ask).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert!(!answer.text().contains("jane"));
    }
    let open = Plan::of(application.site().route("/admin/", "off")).start().await;
    for ask in forged(Ask::navigate("GET", &admin), "X-Forwarded-User", "jane") {
        let answer = Visitor::at(&open).send(ask).await;
        assert!(answer.status == 302 && answer.location().starts_with("/admin/login/"), "{answer:?}");
    }
}
