//! A throwaway machine for the commands of one document: a folder in which they may do as they like, ports
//! of its own behind those that the document names, a site to protect, and an authority that vouches for
//! all of the document's hosts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::page::repository;

/// The ports that documents name, and what listens there.
const PORTS: [(u16, &str); 7] = [
    (8080, "gate"),
    (443, "tls"),
    (8081, "control"),
    (9001, "login"),
    (3000, "app"),
    (8090, "nobody"),
    (9000, "site"),
];

/// Hosts of the documents.
const HOSTS: [&str; 8] = [
    "*.example.com",
    "*.paper.example",
    "*.corp.example",
    "intranet.example.com",
    "www.paper.example",
    "wiki.corp.example",
    "localhost",
    "127.0.0.1",
];

/// More than any document takes, in seconds.
const PATIENCE: u32 = 60;

pub(crate) struct Stage {
    folder: TempDir,
    ports: Vec<(u16, &'static str, u16)>,
}

/// What became of a document's commands.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    /// What the shell itself said at the end.
    pub(crate) said: String,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = site();
        let ports = PORTS.iter().map(|(named, what)| match *what {
            "site" => (*named, *what, site),
            _ => (*named, *what, free_port()),
        });
        let stage = Self { ports: ports.collect(), folder };
        stage.furnish();
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The port behind one that documents name.
    pub(crate) fn port(&self, named: u16) -> u16 {
        self.ports.iter().find(|(port, ..)| *port == named).map_or(named, |(_, _, real)| *real)
    }

    /// What was printed, with the ports as the document has them.
    pub(crate) fn as_documented(&self, printed: &str) -> String {
        self.ports.iter().filter(|(named, ..)| *named != 443).fold(
            printed.to_owned(),
            |text, (named, _, real)| {
                text.replace(&format!(":{real}"), &format!(":{named}"))
                    .replace(&format!("%3A{real}"), &format!("%3A{named}"))
            },
        )
    }

    /// A configuration of the document's with these ports. Where a proxy in front would see to https, the
    /// gateway does.
    pub(crate) fn configuration(&self, text: &str) -> String {
        let mut parts = vec![self.ports.iter().fold(text.to_owned(), |text, (named, _, real)| {
            text.replace(&format!("127.0.0.1:{named}\""), &format!("127.0.0.1:{real}\""))
        })];
        if !text.contains("[control]") {
            parts.push(format!("\n[control]\nlisten = \"127.0.0.1:{}\"\n", self.port(8081)));
        }
        if text.contains("public_url = \"https") && !text.contains("https = [") {
            let tls = format!("[server]\nhttps = [\"127.0.0.1:{}\"]\n", self.port(443));
            parts[0] = parts[0].replacen("[server]\n", &tls, 1);
            let [certificate, key] = ["tls/site.pem", "tls/site.key"].map(|file| self.path(file));
            let (certificate, key) = (certificate.display(), key.display());
            parts.push(format!("\n[[server.certificate]]\ncert = \"{certificate}\"\nkey = \"{key}\"\n"));
        }
        parts.concat()
    }

    /// Runs a script to its end.
    pub(crate) fn run(&self, script: &str) -> Outcome {
        let file = self.path("script.sh");
        fs::write(&file, script).expect("writes a file");
        let said = fs::File::create(self.path("said")).expect("a file");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.path("bin").display());
        let mut command = Command::new("bash");
        command.arg(&file).current_dir(self.path("here")).env_clear();
        command.env("PATH", path).env("HOME", self.path("home")).env("CURL_HOME", self.path("home"));
        command.env("LANG", "C.UTF-8").env("PORT", self.port(9001).to_string());
        let control = self.port(8081);
        command.env("CONTROL_PORT", control.to_string()).env("program", env!("CARGO_BIN_EXE_tollgate"));
        command.env("TOLLGATE_CONTROL", format!("http://127.0.0.1:{control}"));
        for (_, what, real) in &self.ports {
            command.env(format!("{what}_port"), real.to_string());
        }
        for (name, of) in [
            ("root", "root"),
            ("bin", "bin"),
            ("logs", "logs"),
            ("made_keys", "logs/keys"),
            ("certificate", "tls/site.pem"),
            ("certificate_key", "tls/site.key"),
        ] {
            command.env(name, self.path(of));
        }
        command.stdin(Stdio::null()).stdout(said.try_clone().expect("a file")).stderr(said);
        let mut shell = command.process_group(0).spawn().expect("bash runs");
        let mut status = None;
        for _ in 0..PATIENCE * 20 {
            status = shell.try_wait().expect("a child can be waited for");
            if status.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        if status.is_none() {
            // With all that it has started.
            let _ = Command::new("kill").args(["-s", "KILL", "--", &format!("-{}", shell.id())]).status();
            let _ = shell.wait();
        }
        let said = fs::read_to_string(self.path("said")).unwrap_or_default();
        Outcome { success: status.is_some_and(|status| status.success()), said }
    }

    /// The folders and programs.
    fn furnish(&self) {
        for folder in [
            "bin",
            "home",
            "here",
            "logs",
            "tls",
            "root/etc",
            "root/var/lib",
            "root/var/backups",
            "root/usr/share/bash-completion/completions",
        ] {
            fs::create_dir_all(self.path(folder)).expect("a folder");
        }
        fs::write(self.path("logs/keys"), "").expect("writes a file");
        for part in ["docs", "packaging"] {
            symlink(repository().join(part), self.path("here").join(part)).expect("a link");
        }
        certificate(&self.path("tls"));
        let ports =
            self.ports.iter().map(|(named, _, real)| format!("connect-to = \":{named}:127.0.0.1:{real}\"\n"));
        let ports = ports.collect::<Vec<_>>().concat();
        let authority = self.path("tls/site.pem");
        let settings = format!("{ports}cacert = \"{}\"\nmax-time = 30\n", authority.display());
        fs::write(self.path("home/.curlrc"), settings).expect("writes a file");
    }
}

/// Leaves a certificate for all hosts of the documents and its key in `folder`.
pub(crate) fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("site.pem"), folder.join("site.key"));
    let pair = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(HOSTS.map(str::to_owned)).expect("names of hosts");
    let signed = params.self_signed(&pair).expect("a certificate");
    fs::write(&certificate, signed.pem()).expect("writes a file");
    fs::write(&key, pair.serialize_pem()).expect("writes a file");
    (certificate, key)
}

/// A port that is free and stays so: the system gives none of these to whoever connects somewhere, and
/// processes begin their search at different places.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(89).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 61_000 + u16::try_from(number % 4_500).expect("is small");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A site that answers with what it was asked; it goes on until the process ends.
fn site() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || repeat(stream));
        }
    });
    port
}

fn repeat(mut stream: TcpStream) {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => head.extend_from_slice(&piece[..length]),
            _ => return,
        }
    }
    let start = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        head.len()
    );
    let _client_left = stream.write_all(start.as_bytes()).and_then(|()| stream.write_all(&head));
}
