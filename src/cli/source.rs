//! The configuration file of a gateway that runs: when it is read again, and what comes of that.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::log::Manner;
use super::reload::Outcome;
use super::{check, serve, service};
use crate::app::Running;
use crate::config::{Environment, Faults, Settings};

/// How often the file is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After how many looks a file that could not be applied is tried again.
const TRY_AGAIN: u32 = 10;

/// What tells that a file has been written or replaced, without reading it.
type Print = Option<(i64, i64, u64, u64)>;

/// A configuration file.
pub(super) struct Source {
    path: PathBuf,
    pub(super) environment: Environment,
    /// How the command line wants the log to be, whatever the file says.
    pub(super) log: Manner,
    /// As it was when it was looked at last.
    seen: Print,
    /// As it was when it was read last, whatever came of it.
    read: Print,
    /// What was last said about one that could not be applied: it is said once.
    complaint: Option<String>,
    /// How often it was looked at since then.
    looks: u32,
}

impl Source {
    /// The file at `path`, which is about to be read, with these variables in it.
    pub(super) fn new(path: &Path, environment: Environment, log: Manner) -> Self {
        let seen = print(path);
        Self { path: path.to_owned(), environment, log, seen, read: seen, complaint: None, looks: 0 }
    }

    /// Reads the file, and what the command line says besides.
    pub(super) fn read(&self) -> anyhow::Result<Result<Settings, Faults>> {
        let mut read = check::read(&self.path, &self.environment)?;
        if let Ok(settings) = &mut read {
            settings.log.format = Some(self.log.format(settings.log.format));
        }
        Ok(read)
    }

    /// Whether the file is another one than was read, and nobody writes to it: the first half of a file
    /// may well make sense, and leave open what the second half closes. One that could not be applied is
    /// tried again now and then: the fault may be in a file that it names, which comes later.
    pub(super) fn is_to_be_read(&mut self) -> bool {
        let now = print(&self.path);
        let is_at_rest = std::mem::replace(&mut self.seen, now) == now;
        self.looks = self.looks.wrapping_add(1);
        let is_due_again = self.complaint.is_some() && self.looks.is_multiple_of(TRY_AGAIN);
        is_at_rest && (now != self.read || is_due_again)
    }

    /// Says once more what is wrong, if it is: somebody asks.
    pub(super) fn speak_up(&mut self) {
        self.complaint = None;
    }

    /// Reads the file and has it applied. If that cannot be, the log says why, and what is in force stays
    /// so.
    pub(super) async fn apply(&mut self, running: &mut Running) -> Outcome {
        let before = print(&self.path);
        let settings = match self.read() {
            // It is written to just now: it is read when that is over.
            _ if print(&self.path) != before => {
                return Outcome::refused("the file is being written: it is read when that is over");
            }
            Ok(Ok(settings)) => settings,
            Ok(Err(faults)) => {
                let faults = faults.to_string();
                return self.refuse(running, before, faults.lines().map(str::to_owned).collect());
            }
            Err(error) => return self.refuse(running, before, vec![format!("{error:#}")]),
        };
        if let Err(error) = running.reload(settings).await {
            return self.refuse(running, before, vec![error.to_string()]);
        }
        service::say_trouble(None);
        (self.read, self.complaint) = (before, None);
        tracing::info!(target: "tollgate::config", file = %self.path.display(), "the configuration was applied");
        serve::announce(running);
        Outcome::Applied
    }

    fn refuse(&mut self, running: &Running, read: Print, faults: Vec<String>) -> Outcome {
        let is_the_same = std::mem::replace(&mut self.read, read) == read;
        self.looks = 0;
        let complaint = faults.join("\n");
        if is_the_same && self.complaint.as_ref() == Some(&complaint) {
            return Outcome::Refused(faults);
        }
        self.complaint = Some(complaint);
        service::say_trouble(faults.first().map(String::as_str));
        running.note_refused(faults.iter().map(String::as_str));
        for fault in &faults {
            tracing::error!(target: "tollgate::config", fault);
        }
        tracing::error!(
            target: "tollgate::config", file = %self.path.display(),
            "the configuration was not applied: the previous one stays in force"
        );
        Outcome::Refused(faults)
    }
}

fn print(path: &Path) -> Print {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino(), metadata.size()))
}
