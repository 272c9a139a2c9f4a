//! Real Redis servers for one story: on ports and in folders of their own, to be killed, frozen and
//! started anew. All are gone when they are dropped.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// How long a server may take to do what it is told.
const HANG: Duration = Duration::from_secs(30);

/// Waits until `is_so`.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    const STEP: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while !is_so() {
        assert!(waited < HANG, "waited in vain until {what}");
        std::thread::sleep(STEP);
        waited += STEP;
    }
}

/// A port on which nobody listens, and nobody will while a server that is to come back is down: below
/// those that the system gives out. The bus of a cluster is 10000 above.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 11_000 + u16::try_from(number % 10_000).unwrap();
        if [port, port + 10_000].into_iter().all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return port;
        }
    }
}

/// One server.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    is_sentinel: bool,
    process: Option<Child>,
}

impl Server {
    /// A server that writes everything down.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"])
    }

    /// A server with these settings.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { port: free_port(), folder, arguments, is_sentinel: false, process: None };
        server.run();
        server
    }

    /// A server that speaks TLS on another port.
    pub(crate) fn start_tls(cert: &str, key: &str) -> Self {
        let port = free_port().to_string();
        let tls = ["--tls-port", &port, "--tls-cert-file", cert, "--tls-key-file", key];
        let rest = ["--tls-ca-cert-file", cert, "--tls-auth-clients", "no"];
        Self::start_with(&[&tls[..], &rest[..]].concat())
    }

    /// Where it speaks TLS.
    pub(crate) fn tls_port(&self) -> u16 {
        self.arguments[1].parse().unwrap()
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("sentinel.conf")
    }

    /// Starts it, again perhaps.
    pub(crate) fn run(&mut self) {
        let port = self.port.to_string();
        let mut command = if self.is_sentinel {
            let mut command = Command::new("redis-server");
            command.arg(self.config()).arg("--sentinel");
            command
        } else {
            let mut command = Command::new("redis-server");
            command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]);
            command.args(["--repl-diskless-sync-delay", "0"]);
            command.arg("--dir").arg(self.folder.path()).args(&self.arguments);
            command
        };
        let log_file = self.folder.path().join("log");
        let log = std::fs::File::create(&log_file).unwrap();
        self.process = Some(command.stdout(log).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap());
        wait_until("a Redis answers", || {
            self.try_ask(&["PING"]).is_some_and(|answer| answer.contains("PONG"))
        });
    }

    /// Ends it at once, as a power failure would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    /// Lets it hang.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// What it answers, as `redis-cli` would show it.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        self.try_ask(command).unwrap()
    }

    /// The same, if it answers.
    pub(crate) fn try_ask(&self, command: &[&str]) -> Option<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let mut words = format!("*{}\r\n", command.len());
        for word in command {
            let _infallible = write!(words, "${}\r\n{word}\r\n", word.len());
        }
        connection.write_all(words.as_bytes()).ok()?;
        // The server hangs up behind the answer.
        connection.shutdown(Shutdown::Write).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// All keys that begin like this.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let answer = self.ask(&["KEYS", pattern]);
        answer.lines().filter(|line| line.starts_with("tollgate:")).map(str::to_owned).collect()
    }

    /// The `url` of `[store]` that leads to it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A master with a replica, and three sentinels that watch over them.
pub(crate) struct Watched {
    pub(crate) servers: Vec<Server>,
    pub(crate) sentinels: Vec<Server>,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let master = Server::start();
        let port = master.port.to_string();
        let replica = Server::start_with(&["--appendonly", "yes", "--replicaof", "127.0.0.1", &port]);
        wait_until("the replica has caught up", || {
            master.ask(&["INFO", "replication"]).contains("state=online")
        });
        let sentinels = (0..3)
            .map(|_| {
                let folder = tempfile::tempdir().unwrap();
                let mut sentinel = Server {
                    port: free_port(),
                    folder,
                    arguments: Vec::new(),
                    is_sentinel: true,
                    process: None,
                };
                let config = format!(
                    "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {port} 2\n\
                     sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n\
                     sentinel parallel-syncs main 1\n",
                    sentinel.port,
                    sentinel.folder.path().display()
                );
                std::fs::write(sentinel.config(), config).unwrap();
                sentinel.run();
                sentinel
            })
            .collect();
        let watched = Self { servers: vec![master, replica], sentinels };
        wait_until("the sentinels know each other and the replica", || {
            watched.sentinels.iter().all(|sentinel| {
                let known = sentinel.ask(&["SENTINEL", "master", "main"]);
                let known: Vec<_> = known.lines().collect();
                let has = |name: &str, number: &str| {
                    known
                        .iter()
                        .position(|line| *line == name)
                        .is_some_and(|at| known.get(at + 2) == Some(&number))
                };
                has("num-other-sentinels", "2") && has("num-slaves", "1")
            })
        });
        watched
    }

    /// The server that serves now.
    pub(crate) fn master(&self) -> Option<u16> {
        let answer = self.sentinels.first()?.try_ask(&["SENTINEL", "get-master-addr-by-name", "main"])?;
        answer.lines().last()?.parse().ok()
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis-sentinel://{}/main", hosts.join(","))
    }
}

/// A cluster: three masters, and perhaps a replica for each.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start(replicas: usize) -> Self {
        let count = 3 * (1 + replicas);
        let settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--appendonly", "yes"];
        let servers: Vec<_> = (0..count).map(|_| Server::start_with(&settings)).collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(servers.iter().map(|server| format!("127.0.0.1:{}", server.port)));
        create.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        let output = create.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        wait_until("the cluster stands", || {
            servers.iter().all(|server| {
                server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && server.ask(&["CLUSTER", "NODES"]).matches("connected").count() >= count
            }) && (0..3).all(|master| {
                let replication = servers[master].ask(&["INFO", "replication"]);
                replication.matches("state=online").count() == replicas
            })
        });
        Self { servers }
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.servers.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }
}
