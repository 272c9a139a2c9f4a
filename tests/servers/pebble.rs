//! A real ACME server for one story: Pebble, which Let's Encrypt tests with, and the name server that leads
//! it to this machine. Both are gone when they are dropped.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::redis::{free_port, wait_until};

/// Where Pebble looks whose a name is.
#[derive(Clone, Copy)]
pub(crate) struct Looks {
    pub(crate) http: u16,
    pub(crate) tls: u16,
}

/// A key of an external account, as Pebble shows it.
pub(crate) const EXTERNAL_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// Pebble with its name server.
pub(crate) struct Pebble {
    /// Where the directory is.
    pub(crate) port: u16,
    /// Where it tells of itself.
    pub(crate) management: u16,
    dns: u16,
    folder: TempDir,
    _names: Process,
    server: Option<Process>,
}

impl Pebble {
    /// Makes one ready that looks where `looks` says, at whatever name. What it shows itself is in `cert`
    /// and `key`.
    pub(crate) fn prepare(looks: Looks, cert: &Path, key: &Path, asks_for_account: bool) -> Self {
        let (port, management, dns) = (free_port(), free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let keys = if asks_for_account { json!({ "kid-1": EXTERNAL_KEY }) } else { json!({}) };
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": cert,
            "privateKey": key,
            "httpPort": looks.http,
            "tlsPort": looks.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": asks_for_account,
            "externalAccountMACKeys": keys,
            "certificateValidityPeriod": 90 * 24 * 60 * 60,
        } });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", ""]);
        command.args(["-tlsalpn01", "", "-management", &format!("127.0.0.1:{}", free_port())]);
        command.args(["-dns01", &format!("127.0.0.1:{dns}")]);
        let names = Process::start(command, &folder.path().join("names.log"), dns);
        Self { port, management, dns, folder, _names: names, server: None }
    }

    /// Starts it, again perhaps: it forgets everything between.
    pub(crate) fn run(&mut self) {
        let dns = format!("127.0.0.1:{}", self.dns);
        let mut command = Command::new("pebble");
        command.arg("-config").arg(self.folder.path().join("config.json")).args(["-dnsserver", &dns]);
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        self.server = Some(Process::start(command, &self.log_file(), self.port));
        wait_until("Pebble tells of itself", || TcpStream::connect(("127.0.0.1", self.management)).is_ok());
    }

    /// Ends it.
    pub(crate) fn kill(&mut self) {
        self.server = None;
    }

    /// The URL of the directory.
    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// How many certificates it has issued since it was started.
    pub(crate) fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    /// How many orders it was given.
    pub(crate) fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("pebble.log")
    }
}

/// A process that ends with this.
struct Process(Child);

impl Process {
    fn start(mut command: Command, log: &Path, port: u16) -> Self {
        let out = std::fs::File::create(log).unwrap();
        let errors = out.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().unwrap();
        let process = Self(child);
        wait_until("a server of Pebble answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _has_ended = self.0.kill();
        let _no_zombie = self.0.wait();
    }
}
