//! `tollgate demo` as a user starts it, found by what it prints.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running demo. It is killed when it is dropped.
pub(crate) struct Demo {
    process: Child,
    addresses: HashMap<String, String>,
}

impl Demo {
    /// Starts a demo on free ports; what it logs goes to `tests/artifacts/NAME.log`.
    pub(crate) fn start(name: &str) -> Self {
        let log = File::create(artifact(&format!("{name}.log"))).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["demo", "--any-port"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        // Read elsewhere, so that silence cannot stop the test, and to the end, so that the demo
        // never waits for a reader.
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                drop(tell.send(line));
            }
        });
        let mut demo = Self { process, addresses: HashMap::new() };
        while !["gateway", "site", "login", "control"].iter().all(|who| demo.addresses.contains_key(*who)) {
            let line = told.recv_timeout(PATIENCE).expect("the demo prints its four addresses");
            if let [who, url, ..] = line.split_whitespace().collect::<Vec<_>>()[..]
                && url.starts_with("http://")
            {
                demo.addresses.insert(who.to_owned(), url.to_owned());
            }
        }
        demo
    }

    /// The URL of `target`, which begins with a `/`, at one of the demo's four addresses.
    pub(crate) fn url(&self, who: &str, target: &str) -> String {
        format!("{}{target}", self.addresses[who].trim_end_matches('/'))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A file in the folder that keeps what tests leave for people to look at.
pub(crate) fn artifact(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifacts");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}
