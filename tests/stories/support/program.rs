//! The real program in a process of its own: for what concerns all of a process, such as its
//! memory, its sockets and its file descriptors.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tempfile::TempDir;

use super::{ApiClient, HANG, LoginPage, MASTER_KEY, Plan, settle};

/// `tollgate serve`, which ends with the story.
pub(crate) struct Program {
    pub(crate) http: SocketAddr,
    pub(crate) control: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    is_unread: Arc<AtomicBool>,
    folder: TempDir,
}

impl Program {
    /// Starts it with `plan`, and waits until it listens.
    pub(crate) async fn start(plan: &Plan) -> Self {
        Self::start_by(plan, |program| program).await
    }

    /// The same as `wrap` wants it: with an environment or under another program.
    pub(crate) async fn start_by(plan: &Plan, wrap: impl FnOnce(Command) -> Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.toml");
        std::fs::write(&file, plan.to_toml()).expect("writes a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.arg("serve").arg("--config").arg(file);
        let mut command = wrap(command);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("starts");
        let stderr = BufReader::new(child.stderr.take().expect("is piped"));
        let log = Arc::<Mutex<Vec<String>>>::default();
        let is_unread = Arc::<AtomicBool>::default();
        let (lines, stops) = (Arc::clone(&log), Arc::clone(&is_unread));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
                while stops.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut program = Self { http: nowhere, control: nowhere, child, log, is_unread, folder };
        let line = program.line_with("listening").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("is JSON");
        let address = |name: &str| {
            let addresses = line[name].as_str().or(line["fields"][name].as_str()).expect("says where");
            addresses.split(' ').next().and_then(|first| first.parse().ok()).expect("an address")
        };
        (program.http, program.control) = (address("http"), address("control"));
        program
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    /// A client of its control API with all rights.
    pub(crate) fn api(&self) -> ApiClient {
        ApiClient::new(self.control, Some(MASTER_KEY))
    }

    /// The login page of the site `intranet`.
    pub(crate) fn login_page(&self) -> LoginPage {
        LoginPage::new(self.api(), "intranet")
    }

    /// What `tollgate store check` says of its store, if that is good.
    pub(crate) fn checked_store(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let output = command.args(["store", "check", "--config"]).arg(self.config()).output().expect("runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Leaves the log unread from now on, or reads it again.
    pub(crate) fn leave_unread(&self, is_unread: bool) {
        self.is_unread.store(is_unread, Ordering::Relaxed);
    }

    /// Every line of the log so far with these words.
    pub(crate) fn lines_with(&self, words: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// The first line of the log with these words.
    pub(crate) async fn line_with(&self, words: &str) -> String {
        let found = async {
            loop {
                if let Some(line) = self.lines_with(words).first() {
                    return line.clone();
                }
                settle().await;
            }
        };
        let found = tokio::time::timeout(HANG, found).await;
        found.unwrap_or_else(|_| panic!("no line with {words:?} in {:#?}", self.log.lock().unwrap()))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it holds in memory, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("is Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("has a line for it");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// As if it might have `most` files open and no more; with `None` as many as at its start. Those
    /// that it has stay open.
    pub(crate) fn limit_files(&self, most: Option<u64>) {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: most.or(maximum), maximum };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).expect("may be limited");
    }

    /// As if it might have no more files open than it has now: one that it closes it may open again.
    pub(crate) fn leave_no_files(&self) {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("is Linux");
        let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let open: HashSet<u64> = numbers.collect();
        // The limit is one of the numbers, of which the lowest that is free is taken.
        self.limit_files((0..u64::MAX).find(|number| !open.contains(number)));
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it has ended; whether it was content.
    pub(crate) async fn ends(mut self) -> bool {
        let ending = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("can be waited for") {
                    return status.success();
                }
                settle().await;
            }
        };
        tokio::time::timeout(HANG, ending).await.expect("ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _has_ended = self.child.kill();
        let _no_zombie = self.child.wait();
    }
}
