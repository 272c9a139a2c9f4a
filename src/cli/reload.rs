//! `tollgate reload`: has the gateway of this service read its configuration again, and waits for what comes of it.
//!
//! A signal gets no answer, so that `systemctl reload` would say of a file with faults that all is well. To run
//! `tollgate check` before is no answer either: it sees other variables and credentials than the gateway, and
//! nothing of a listener that cannot be opened. So the gateway itself says what it made of the file, on a socket in
//! the folder that the service manager makes for the service (`RuntimeDirectory=`), where nobody else can come.

use std::fmt::Display;
use std::fs::{Permissions, remove_file, set_permissions};
use std::future::pending;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};

use super::{say, say_error};
use crate::config::Environment;

/// How long a change may take. It is prepared in a few seconds, or not at all.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long somebody may take to hear what came of it.
const HEARING: Duration = Duration::from_secs(1);

/// The first line of an answer, with the faults below if there are any.
const APPLIED: &str = "applied";
const REFUSED: &str = "refused";

/// What came of reading the configuration again.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is in force.
    Applied,
    /// It is not, for these reasons.
    Refused(Vec<String>),
}

/// Has the gateway of this service go by its configuration as it is now.
pub(super) fn run(environment: &Environment) -> anyhow::Result<ExitCode> {
    let place = place(environment).context(
        "RUNTIME_DIRECTORY names no folder: this is for the service's own ExecReload=; elsewhere send SIGHUP",
    )?;
    let unreached = || format!("no gateway listens at {}", place.display());
    let mut gateway = std::os::unix::net::UnixStream::connect(&place).with_context(unreached)?;
    gateway.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    gateway.read_to_string(&mut answer).context("the gateway does not say what came of it")?;
    let mut lines = answer.lines();
    match lines.next() {
        Some(APPLIED) => say(format_args!("the configuration was applied")).map(|()| ExitCode::SUCCESS),
        Some(REFUSED) => {
            lines.for_each(|fault| say_error(format_args!("{fault}")));
            bail!("the configuration was not applied: the previous one stays in force")
        }
        _ => bail!("the gateway went away over it"),
    }
}

/// Where the gateway listens, if its service has a folder for that.
fn place(environment: &Environment) -> Option<PathBuf> {
    // There may be several, parted by colons. The first is the service's own.
    let folder = environment.lookup("RUNTIME_DIRECTORY")?.split(':').next()?;
    (!folder.is_empty()).then(|| PathBuf::from(folder).join("reload"))
}

/// Where the gateway is asked to read its configuration again.
pub(super) struct Desk(Option<UnixListener>);

impl Desk {
    /// Opens it, if the service has a folder for that. Without it a gateway serves all the same.
    pub(super) fn open(environment: &Environment) -> Self {
        let opened = place(environment).map(|place| listen(&place));
        Self(opened.transpose().unwrap_or_else(|error| {
            tracing::warn!(target: "tollgate::config", %error, "cannot listen for `tollgate reload`");
            None
        }))
    }

    /// Returns when somebody asks.
    pub(super) async fn next(&self) -> Asker {
        let Some(listener) = &self.0 else { return pending().await };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Asker(stream),
                // For want of file descriptors: they come back.
                Err(_) => tokio::time::sleep(HEARING).await,
            }
        }
    }
}

fn listen(place: &Path) -> io::Result<UnixListener> {
    // Who answers there is asked to read its configuration again, which does no harm.
    if std::os::unix::net::UnixStream::connect(place).is_ok() {
        return Err(io::Error::new(ErrorKind::AddrInUse, "another gateway of this service is asked"));
    }
    // What an earlier process has left behind is answered by nobody.
    let _was_none = remove_file(place);
    let listener = UnixListener::bind(place)?;
    set_permissions(place, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Somebody who waits for what comes of it.
pub(super) struct Asker(UnixStream);

impl Asker {
    /// Tells what came of it. Who does not listen is not waited for.
    pub(super) async fn tell(mut self, outcome: &Outcome) {
        let answer = match outcome {
            Outcome::Applied => APPLIED.to_owned(),
            Outcome::Refused(faults) => format!("{REFUSED}\n{}", faults.join("\n")),
        };
        let telling = async {
            self.0.write_all(answer.as_bytes()).await?;
            self.0.shutdown().await
        };
        let _has_left = tokio::time::timeout(HEARING, telling).await;
    }
}

impl Outcome {
    /// It is not in force, for this reason alone.
    pub(super) fn refused(why: impl Display) -> Self {
        Self::Refused(vec![why.to_string()])
    }
}
