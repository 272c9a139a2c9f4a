//! Real proxies that carry the requests and ask the gateway about them, configured as
//! `docs/forward-auth.md` has it, word for word. All are gone when they are dropped.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::redis::{free_port, wait_until};

const DOCUMENT: &str = include_str!("../../docs/forward-auth.md");

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Traefik,
    Envoy,
    Haproxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Nginx, Self::Caddy, Self::Traefik, Self::Envoy, Self::Haproxy];
}

/// One proxy before a site whose host is `site.test`.
pub(crate) struct Carrier {
    pub(crate) address: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Carrier {
    /// Starts one that asks `gateway` and carries to `upstream`.
    pub(crate) fn start(kind: Kind, gateway: SocketAddr, upstream: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let setting = Setting { folder: folder.path(), own, gateway, upstream };
        let mut command = match kind {
            Kind::Nginx => setting.nginx(),
            Kind::Caddy => setting.caddy(),
            Kind::Traefik => setting.traefik(),
            Kind::Envoy => setting.envoy(),
            Kind::Haproxy => setting.haproxy(),
        };
        let log_file = folder.path().join("log");
        let log = std::fs::File::create(&log_file).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("{kind:?}: {error}; see tests/run"));
        let mut carrier = Self { address: own, process, _folder: folder };
        wait_until(&format!("{kind:?} listens"), || {
            let ended = carrier.process.try_wait().unwrap();
            let log = || std::fs::read_to_string(&log_file).unwrap_or_default();
            assert!(ended.is_none(), "{kind:?} ended: {}", log());
            TcpStream::connect(own).is_ok()
        });
        carrier
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where everything is.
struct Setting<'a> {
    folder: &'a Path,
    own: SocketAddr,
    gateway: SocketAddr,
    upstream: SocketAddr,
}

impl Setting<'_> {
    fn nginx(&self) -> Command {
        let site = adapted(
            "# /etc/nginx/",
            &[
                ("listen 80;", &format!("listen {};", self.own)),
                ("server_name intranet.example.com;", "server_name site.test;"),
                ("server 127.0.0.1:8080;", &format!("server {};", self.gateway)),
                ("server 127.0.0.1:9000;", &format!("server {};", self.upstream)),
            ],
        );
        let folder = self.folder.display();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|of| format!("{of}_temp_path {folder}/{of};\n"))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr warn;\nevents {{}}\n\
             http {{\naccess_log off;\n{paths}\n{site}\n}}\n"
        );
        let mut command = installed("nginx");
        command.arg("-p").arg(self.folder).arg("-c").arg(self.file("nginx.conf", &config));
        command
    }

    fn caddy(&self) -> Command {
        let site = adapted(
            "# Caddyfile",
            &[
                (
                    "intranet.example.com {",
                    &format!("http://site.test:{} {{\n\tbind 127.0.0.1", self.own.port()),
                ),
                ("127.0.0.1:8080", &self.gateway.to_string()),
                ("127.0.0.1:9000", &self.upstream.to_string()),
            ],
        );
        let options = "{\nadmin off\nauto_https off\npersist_config off\n}\n";
        let mut command = Command::new(program("caddy"));
        command.env("HOME", self.folder).args(["run", "--adapter", "caddyfile", "--config"]);
        command.arg(self.file("Caddyfile", &format!("{options}{site}")));
        command
    }

    fn traefik(&self) -> Command {
        let site = adapted(
            "# traefik",
            &[
                ("intranet.example.com", "site.test"),
                ("127.0.0.1:8080", &self.gateway.to_string()),
                ("127.0.0.1:9000", &self.upstream.to_string()),
            ],
        );
        let mut command = Command::new(program("traefik"));
        command.current_dir(self.folder).arg(format!("--entryPoints.web.address={}", self.own));
        command.arg(format!("--providers.file.filename={}", self.file("dynamic.yml", &site).display()));
        command.args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]);
        command
    }

    fn envoy(&self) -> Command {
        let port = |address: SocketAddr| format!("port_value: {}", address.port());
        let site = adapted(
            "# envoy.yaml",
            &[
                ("address: 0.0.0.0, port_value: 80 ", &format!("address: 127.0.0.1, {} ", port(self.own))),
                ("domains: [\"intranet.example.com\"]", "domains: [\"site.test\"]"),
                ("port_value: 8080", &port(self.gateway)),
                ("port_value: 9000", &port(self.upstream)),
            ],
        );
        let mut command = Command::new(program("envoy"));
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn", "--config-path"]);
        command.arg(self.file("envoy.yaml", &site));
        command
    }

    fn haproxy(&self) -> Command {
        let gateway = self.gateway.to_string();
        let script = self.file("tollgate.lua", &adapted("-- /etc/haproxy/", &[("127.0.0.1:8080", &gateway)]));
        let site = adapted(
            "# /etc/haproxy/",
            &[
                ("/etc/haproxy/tollgate.lua", &script.display().to_string()),
                ("bind :80", &format!("bind {}", self.own)),
                ("127.0.0.1:8080", &gateway),
                ("127.0.0.1:9000", &self.upstream.to_string()),
            ],
        );
        let mut command = installed("haproxy");
        command.arg("-db").arg("-f").arg(self.file("haproxy.cfg", &site));
        command
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }
}

/// The configuration whose first line begins like this, with these changes.
fn adapted(first: &str, changes: &[(&str, &str)]) -> String {
    let blocks = DOCUMENT.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let mut found: Vec<&str> = blocks.map(|(_, text)| text).filter(|text| text.starts_with(first)).collect();
    assert_eq!(found.len(), 1, "{first}");
    let mut text = found.remove(0).to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in {first}");
        text = text.replace(from, to);
    }
    assert!(!text.contains("example.com"), "{text}");
    text
}

/// A program of the system's; Debian has such where not every user looks.
#[expect(clippy::disallowed_methods, reason = "what is in the PATH comes first")]
fn installed(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    command
}

/// A program that `tests/run` brought along with the Python environment.
#[expect(clippy::disallowed_methods, reason = "tests/run says so where the environment is")]
fn program(name: &str) -> PathBuf {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-venv/bin/python");
    let python = std::env::var("TOLLGATE_TEST_PYTHON").unwrap_or_else(|_| own.to_owned());
    Path::new(&python).with_file_name(name)
}
