//! Sites on domains of their own over plain http, in a real browser: some share a login, and whether its cookies,
//! with their `SameSite`, come along is for the browser to say; one wants a button pressed, and where that form
//! comes from is for the browser to say as well.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::demo::artifact;
use crate::webdriver::Browser;

const KEY: &str = "the-key-of-the-house-0123456789-abcdefghijk";

/// A gateway before three magazines of a house, and a journal by itself.
struct House {
    process: Child,
    port: u16,
    control: u16,
    _folder: tempfile::TempDir,
}

impl House {
    fn start() -> Self {
        let [port, control] = [free_port(), free_port()];
        let folder = tempfile::tempdir().unwrap();
        let login = serve("sign in here");
        let mut toml = format!(
            "[server]\nhttp = [\"127.0.0.1:{port}\"]\n[control]\nlisten = \"127.0.0.1:{control}\"\n\
             [store]\nkind = \"memory\"\n\
             [[api_key]]\nname = \"house\"\nsecret = {KEY:?}\nscopes = [\"admin\"]\n"
        );
        let shared = "sso_group = \"house\"";
        for (name, more) in
            [("art", shared), ("books", shared), ("cars", shared), ("journal", "redeem = \"confirm\"")]
        {
            let upstream = serve(name);
            let _infallible = write!(
                toml,
                "[[site]]\nname = {name:?}\nhosts = [\"{name}.test\"]\n{more}\n\
                 public_url = \"http://{name}.test:{port}\"\nupstream = [\"http://127.0.0.1:{upstream}\"]\n\
                 login_url = \"http://login.test:{login}/\"\n"
            );
        }
        let config = folder.path().join("config.toml");
        std::fs::write(&config, toml).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--config", config.to_str().unwrap()])
            .stderr(File::create(artifact("group.log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let is_up = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            TcpStream::connect(("127.0.0.1", control)).is_ok() || process.try_wait().unwrap().is_some()
        });
        assert!(is_up && process.try_wait().unwrap().is_none(), "the gateway starts");
        Self { process, port, control, _folder: folder }
    }

    fn url(&self, site: &str, target: &str) -> String {
        format!("http://{site}.test:{}{target}", self.port)
    }

    /// A token for Jane at `site`.
    fn token(&self, site: &str) -> String {
        let body = format!("{{\"site\":{site:?},\"email\":\"jane@example.com\",\"full_name\":\"Jane\"}}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.control)).unwrap();
        write!(
            stream,
            "POST /v1/sso_tokens HTTP/1.1\r\nHost: control\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, rest) = answer.split_once("\"token\":\"").expect(&answer);
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server whose pages show their title, and the target that was asked for; its port.
fn serve(title: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream, title));
        }
    });
    port
}

fn answer(mut stream: TcpStream, title: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let email = lines.by_ref().take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-forwarded-email").then(|| value.to_owned())
    });
    let (target, email) = (first.split(' ').nth(1).unwrap_or_default(), email.unwrap_or_default());
    let body = format!(
        "<!doctype html><title>{title}</title><h1>{title}</h1><p id=target>{target}</p><p id=email>{email}</p>"
    );
    drop(write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
}

#[test]
fn a_login_and_a_logout_at_one_site_count_at_all_of_the_group() {
    let house = House::start();
    let browser =
        Browser::start_with(&["--host-resolver-rules=MAP *.test 127.0.0.1"], &serde_json::json!({}));
    let page = house.url("books", "/shelf?page=2&from=x#chapter");

    browser.open(&page);
    assert_eq!((browser.url().host_str(), browser.text("h1").as_str()), (Some("login.test"), "sign in here"));

    browser.open(&house.url("art", &format!("/?sso={}", house.token("art"))));
    assert_eq!(browser.text("h1"), "art");

    // A link from another site, as browsers look at it with the most suspicion.
    browser.evaluate(&format!(
        "document.body.insertAdjacentHTML('beforeend', '<a href=\"{page}\">To the books</a>')"
    ));
    browser.follow("To the books");
    assert_eq!(browser.url().as_str(), page, "the very page, its fragment included");
    assert_eq!([browser.text("h1"), browser.text("#email")], ["books", "jane@example.com"]);
    assert_eq!(browser.text("#target"), "/shelf?page=2&from=x");
    // Art is asked behind cars, and the way is longer.
    browser.open(&house.url("cars", "/"));
    assert_eq!([browser.text("h1"), browser.text("#email")], ["cars", "jane@example.com"]);

    browser.open(&house.url("books", "/.tollgate/logout"));
    for site in ["art", "books", "cars"] {
        browser.open(&house.url(site, "/closed"));
        assert_eq!(browser.url().host_str(), Some("login.test"), "{site}");
    }
}

#[test]
fn the_button_of_a_confirmation_works_over_plain_http() {
    let house = House::start();
    let browser =
        Browser::start_with(&["--host-resolver-rules=MAP *.test 127.0.0.1"], &serde_json::json!({}));
    let token = house.token("journal");

    // Another site's page says `null`, as the gateway's own would if it told nobody where it is.
    browser.open(&house.url("art", &format!("/?sso={}", house.token("art"))));
    browser.evaluate(&format!(
        "document.body.insertAdjacentHTML('beforeend', '<meta name=referrer content=no-referrer>\
         <form method=post action=\"{}\"><input name=token value={token}><button>Win</button></form>')",
        house.url("journal", "/.tollgate/redeem"),
    ));
    browser.click("button");
    assert_eq!(browser.text("button"), "Continue to journal", "it is not pressed for the visitor");

    browser.click("button");
    assert_eq!(browser.url().as_str(), house.url("journal", "/"));
    assert_eq!([browser.text("h1"), browser.text("#email")], ["journal", "jane@example.com"]);
}
