//! The command line as people and scripts meet it: the real program, what it prints, and how it
//! ends.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

mod keys;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const USAGE: i32 = 64;

/// Every command that calls the control API.
const CALLS: [&[&str]; 8] = [
    &["token", "issue", "--site=demo", "--email=j@example.com", "--first-name=J", "--last-name=D"],
    &["session", "list"],
    &["session", "revoke", "1"],
    &["session", "revoke", "--email=j@example.com"],
    &["user", "list"],
    &["user", "set-role", "--email=j@example.com", "--site=demo", "--role=admin"],
    &["key", "list", "--used"],
    &["key", "rotate", "--signing"],
];

/// The program with nothing of this process's own environment that it reads.
fn tollgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments).env_remove("TOLLGATE_KEY").env_remove("LOGIN_PAGE_KEY").env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A command of the control API's clients with a key.
fn call(arguments: &[&str], control: &str) -> Command {
    let mut command = tollgate(arguments);
    command.args(["--control", control]).env("TOLLGATE_KEY", "kd94hf93k423kf44");
    command
}

/// The exit status, and what was said on stderr.
fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program runs")
}

/// A process that ends with the test, whatever becomes of it.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.spawn().expect("the program runs"))
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// The exit status, if there is one within `seconds`.
    fn status_within(&mut self, seconds: u32) -> Option<i32> {
        for _ in 0..seconds * 20 {
            if let Some(status) = self.0.try_wait().expect("a child can be waited for") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _has_ended = self.0.kill();
        let _no_zombie = self.0.wait();
    }
}

/// Answers each connection with `body`, or never if there is none.
fn fake_api(body: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let Some(body) = body else {
                silent.push(stream);
                continue;
            };
            let _head = stream.read(&mut [0; 8192]);
            let length = body.len();
            let _client_left = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    });
    address
}

#[test]
fn help_names_the_variable_that_holds_the_key_and_no_flag_takes_it() {
    for arguments in CALLS {
        let output = run(tollgate(arguments).arg("--help"));
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && help.contains("TOLLGATE_KEY"), "{help}");
        let (status, said) = said(&run(tollgate(arguments).args(["--key", "kd94hf93k423kf44"])));
        assert!(status == Some(USAGE) && said.contains("--key"), "{said}");
    }
    let output = run(&mut tollgate(&["session", "revoke", "--help"]));
    assert!(output.stdout.starts_with(b"End one session"), "{output:?}");
}

#[test]
fn output_that_is_lost_is_an_error_unless_nobody_wants_it() {
    for arguments in [&["key", "new"][..], &["--help"], &["check"]] {
        let full = File::options().write(true).open("/dev/full").expect("the device is there");
        let mut command = tollgate(arguments);
        command.env("LOGIN_PAGE_KEY", "kd94hf93k423kf44").current_dir(env!("CARGO_MANIFEST_DIR"));
        let (status, said) = said(&run(command.stdout(full)));
        assert!(status == Some(1) && said.contains("cannot write the output"), "{arguments:?}: {said}");

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert!(run(command.stdout(writer)).status.success(), "{arguments:?}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_64() {
    for (arguments, about) in [
        (&["--log", "[[[", "key", "new"][..], "--log"),
        (&["session", "revoke"], "<ID|--email <EMAIL>>"),
        (&["session", "revoke", "1", "--email=j@example.com"], "--email"),
        (&["session", "revoke", "../users/1"], "not a valid session id"),
        (&["key"], "new"),
        (&["key", "rotate"], "--signing"),
        (&["key", "rotate", "a", "--signing"], "--signing"),
        (&["key", "rotate", "a", "--compromised"], "--compromised"),
        (&["key", "rotate", "--signing", "--write"], "--write"),
        (&["key", "rotate", "a", "--overlap=1"], "24h"),
        (&["key", "rotate", "a", "--overlap=1000d"], "a year at most"),
        (&["sevre"], "serve"),
    ] {
        let (status, said) = said(&run(tollgate(arguments).env("TOLLGATE_KEY", "kd94hf93k423kf44")));
        assert!(status == Some(USAGE) && said.contains(about), "{arguments:?}: {said}");
    }
}

#[test]
fn the_key_goes_nowhere_but_to_this_machine() {
    for control in [
        "nonsense",
        "ftp://127.0.0.1:1",
        "https://jane:hunter2@127.0.0.1:1",
        "http://jane:hunter2@127.0.0.1:1",
        "http://jane@127.0.0.1:1",
        "http://127.0.0.1:1/v1",
        "http://127.0.0.1:1/?key=hunter2",
        "http://127.0.0.1:1/#hunter2",
        "http://192.0.2.1:1",
        "http://[2001:db8::1]:1",
        "http://0.0.0.0:1",
    ] {
        let (status, said) = said(&run(&mut call(&["session", "list"], control)));
        assert!(status == Some(USAGE) && said.contains("--control"), "{control}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let port = fake_api(Some(r#"{"sessions":[{"id":"s1"}],"next_cursor":null}"#)).port();
    for control in [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}/")] {
        let output = run(&mut call(&["session", "list"], &control));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "s1\t-\t-\t-\t-\n", "{control}: {output:?}");
    }
    let (status, said) = said(&run(&mut tollgate(&["session", "list"])));
    assert!(status == Some(1) && said.contains("set TOLLGATE_KEY"), "{said}");
}

#[test]
fn a_server_that_is_something_else_is_not_believed() {
    for body in ["{}", "[]", "true", "hello", "", r#"{"sessions":{},"users":1,"token":1,"revoked":"1"}"#] {
        let control = format!("http://{}", fake_api(Some(body)));
        for arguments in CALLS {
            let output = run(&mut call(arguments, &control));
            let (status, said) = said(&output);
            assert_eq!(status, Some(1), "{arguments:?} on {body:?}: {output:?}");
            assert!(said.contains("this is not tollgate's control API"), "{said}");
        }
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let control = format!("http://{}", fake_api(None));
    let mut running = Running::start(call(&["session", "list"], &control));
    assert_eq!(running.status_within(20), Some(1));
    let mut said = String::new();
    running.0.stderr.take().expect("is piped").read_to_string(&mut said).expect("is text");
    assert!(said.contains("did not answer within 10 s"), "{said}");
}

#[test]
fn check_prints_every_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[store\nkind = 1\n[a]\nx = 1\nx = 2\n").expect("the file is written");
    let (status, said) = said(&run(tollgate(&["check", "--config"]).arg(&file)));
    assert_eq!(status, Some(1));
    assert!(said.contains("config.toml:1: this is not TOML") && said.contains("config.toml:5: "), "{said}");
}

#[test]
fn check_tells_what_would_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("config.toml"), folder.path().join("next.toml"));
    let key = |secret: &str| {
        format!(
            "[[api_key]]\nname = \"page\"\nsecret = \"{secret}-key-of-256-bits-0123456789-abcdefgh\"\nscopes = [\"admin\"]\n"
        )
    };
    let site = |name: &str, rest: &str| {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\nupstream = [\"http://127.0.0.1:9000\"]\n\
             login_url = \"https://login.example.com/\"\n{rest}"
        )
    };
    let write = |file, text: String| std::fs::write(file, text).expect("written");
    let diff = || {
        let mut command = tollgate(&["check", "--config"]);
        run(command.arg(&new).arg("--diff").arg(&old))
    };
    write(&old, key("one") + &site("paper", "") + &site("wiki", ""));
    write(
        &new,
        key("two")
            + &site("paper", "access = \"off\"\n[site.cookie]\nname = \"paper\"\n")
            + "[server]\nworkers = 2\n",
    );
    let output = diff();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}", said(&output));
    for line in [
        "- api_key.page.secret = …",
        "+ api_key.page.secret = …",
        "+ site.paper.access = \"off\"",
        "- site.wiki.name = \"wiki\"",
        "the sessions of paper end",
        "the sessions of wiki end",
        "needs a restart: server.workers",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    assert!(!told.contains("key-of-256") && !told.contains("site.paper.hosts"), "{told}");
    write(&new, site("wiki", "") + &site("paper", "") + &key("one"));
    assert_eq!(String::from_utf8_lossy(&diff().stdout), "nothing changes\n");
    write(&old, "[server]\nhtp = 1\n".to_owned());
    let (status, said) = said(&diff());
    assert!(status == Some(1) && said.contains("server.htp"), "{said}");
}

#[test]
fn a_second_signal_ends_what_still_runs() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    let text = format!(
        "[server]\nhttp = [\"127.0.0.1:0\"]\nworkers = 1\ndrain_timeout = \"1h\"\n\
         [control]\nlisten = \"127.0.0.1:0\"\n\
         [[site]]\nname = \"demo\"\nhosts = [\"*\"]\nupstream = [\"http://{}\"]\n\
         login_url = \"https://login.example.com/\"\naccess = \"off\"\n",
        upstream.local_addr().expect("an address")
    );
    std::fs::write(&file, text).expect("the file is written");
    let mut command = tollgate(&["serve", "--log-format", "text", "--config"]);
    command.arg(&file);
    let mut gateway = Running::start(command);
    let mut log = BufReader::new(gateway.0.stderr.take().expect("is piped"));
    let mut line_with = |words: &str| loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).expect("is text"), 0, "no line with {words}");
        assert!(!line.contains('\u{1b}'), "no colours but on a terminal: {line:?}");
        if line.contains(words) {
            return line;
        }
    };
    let listening = line_with("listening");
    let address = listening.split("http=\"").nth(1).and_then(|rest| rest.split('"').next());
    let mut visitor = TcpStream::connect(address.expect(&listening)).expect("the gateway listens");
    visitor.write_all(b"GET / HTTP/1.1\r\nhost: demo\r\n\r\n").expect("the request is sent");
    let _never_answered = upstream.accept().expect("the request arrives");

    gateway.signal("TERM");
    line_with("draining");
    assert_eq!(gateway.status_within(1), None, "the request has its time");
    let control = listening.split("control=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let mut probe = TcpStream::connect(control.expect(&listening)).expect("control answers to the end");
    probe.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("is sent");
    let mut answer = String::new();
    probe.read_to_string(&mut answer).expect("is text");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("draining"), "{answer}");
    gateway.signal("INT");
    line_with("stopped at once");
    assert_eq!(gateway.status_within(10), Some(1));
}

#[test]
fn the_demo_says_what_to_do_about_a_port_that_is_taken() {
    // If somebody else has it, that serves as well.
    let _held = TcpListener::bind("127.0.0.1:8080");
    let mut demo = Running::start(tollgate(&["demo"]));
    assert_eq!(demo.status_within(20), Some(1));
    let mut said = String::new();
    demo.0.stderr.take().expect("is piped").read_to_string(&mut said).expect("is text");
    assert!(said.contains("cannot listen on") && said.contains("--any-port"), "{said}");
}

#[test]
fn the_demo_takes_an_empty_key_for_none() {
    let mut command = tollgate(&["demo", "--any-port"]);
    command.env("LOGIN_PAGE_KEY", "");
    let mut demo = Running::start(command);
    let mut said = BufReader::new(demo.0.stdout.take().expect("is piped")).lines();
    let first = said.next().expect("the demo starts").expect("is text");
    assert!(first.starts_with("tollgate demo"), "{first}");
    demo.signal("TERM");
    let _rest = said.count();
    assert_eq!(demo.status_within(40), Some(0));
}

#[test]
fn a_rule_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    let text = r#"
[[site]]
name = "intranet"
hosts = ["intranet.example.com"]
upstream = ["http://127.0.0.1:9000"]
login_url = "https://login.example.com/"
[[site.route]]
path = "/public/"
access = "off"
[[site.route]]
path = "/admin/"
require = { roles = ["admin"], networks = ["10.0.0.0/8"] }
[[site]]
name = "wiki"
hosts = ["wiki.example.com"]
upstream = ["http://127.0.0.1:9001"]
login_url = "https://login.example.com/"
access = "off"
apis = []
https_redirect = true
public_url = "https://wiki.example.com"
[[site.route]]
path = "/office"
require = { backend = true }
"#;
    std::fs::write(&file, text).expect("written");
    for (words, expected) in [
        (&["https://intranet.example.com/a"][..], "a session is needed"),
        (&["https://intranet.example.com/a", "--as", "jane@example.com"], "told of jane@example.com"),
        (&["https://intranet.example.com/public/a", "--as", "jane@example.com"], "told of nobody"),
        (
            &["https://intranet.example.com/admin"],
            "missing: a role of [\"admin\"] and a client in 10.0.0.0/8",
        ),
        (&["https://intranet.example.com/admin"], "route[1] of the site, path = \"/admin/\""),
        (&["https://intranet.example.com/admin", "--from", "10.1.1.1"], "a session is needed"),
        (
            &["https://intranet.example.com/admin", "--as=j@example.com", "--role=admin", "--from=10.1.1.1"],
            "forwarded",
        ),
        (&["https://intranet.example.com/public//../admin"], "the path has a dot segment: 400"),
        (&["https://intranet.example.com/public;/a"], "as an upstream may read it"),
        (&["https://intranet.example.com/.tollgate/login"], "answers by itself"),
        (&["https://intranet.example.com/api/session/get-token"], "answers by itself"),
        (&["https://wiki.example.com/api/session/get-token"], "forwarded"),
        (&["http://wiki.example.com/"], "308"),
        (&["https://wiki.example.com/office", "--as=j@example.com", "--backend"], "missing: the back end"),
        (&["https://elsewhere.example.com/"], "421"),
    ] {
        let output = run(tollgate(&["check", "--config"]).arg(&file).arg("--explain").args(words));
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains(expected), "{words:?}: {told}{:?}", said(&output));
    }
    for words in [
        &["--explain", "/admin"][..],
        &["--as", "jane@example.com"],
        &["--explain", "https://intranet.example.com/", "--role=a"],
    ] {
        let output = run(tollgate(&["check", "--config"]).arg(&file).args(words));
        assert_eq!(output.status.code(), Some(USAGE), "{words:?}");
    }
}
