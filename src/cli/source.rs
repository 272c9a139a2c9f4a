//! The configuration file of a gateway that runs: when it is read again, and what comes of that.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::log::Manner;
use super::{check, serve};
use crate::app::Running;
use crate::config::{Environment, Faults, Settings};

/// How often the file is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

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
}

impl Source {
    /// The file at `path`, which is about to be read, with these variables in it.
    pub(super) fn new(path: &Path, environment: Environment, log: Manner) -> Self {
        let seen = print(path);
        Self { path: path.to_owned(), environment, log, seen, read: seen }
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
    /// may well make sense, and leave open what the second half closes.
    pub(super) fn is_to_be_read(&mut self) -> bool {
        let now = print(&self.path);
        let is_at_rest = std::mem::replace(&mut self.seen, now) == now;
        is_at_rest && now != self.read
    }

    /// Reads the file and has it applied. If that cannot be, the log says why, and what is in force stays
    /// so.
    pub(super) async fn apply(&mut self, running: &mut Running) {
        let before = print(&self.path);
        let settings = match self.read() {
            // It is written to just now: it is read when that is over.
            _ if print(&self.path) != before => return,
            Ok(Ok(settings)) => settings,
            Ok(Err(faults)) => return self.refuse(before, faults.to_string().lines()),
            Err(error) => return self.refuse(before, [format!("{error:#}").as_str()]),
        };
        if let Err(error) = running.reload(settings).await {
            return self.refuse(before, [error.to_string().as_str()]);
        }
        self.read = before;
        tracing::info!(target: "tollgate::config", file = %self.path.display(), "the configuration was applied");
        serve::announce(running);
    }

    fn refuse<'a>(&mut self, read: Print, faults: impl IntoIterator<Item = &'a str>) {
        self.read = read;
        for fault in faults {
            tracing::error!(target: "tollgate::config", fault);
        }
        tracing::error!(
            target: "tollgate::config", file = %self.path.display(),
            "the configuration was not applied: what was in force before stays so"
        );
    }
}

fn print(path: &Path) -> Print {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino(), metadata.size()))
}
