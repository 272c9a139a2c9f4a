//! `tollgate store`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;

use super::{ConfigFile, check, say, say_error};
use crate::config::{Environment, StoreSettings};
use crate::store::embedded;

#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Read the whole file of the embedded store and report what is in it.
    ///
    /// The exit status is 1 if something is wrong. The gateway may be running meanwhile.
    Check(ConfigFile),
    /// Copy the file of the embedded store.
    ///
    /// The copy is a consistent snapshot. The gateway may be running; other ways of copying are not safe then.
    Backup(Backup),
}

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Where to write the copy. The file must not exist yet.
    #[arg(value_name = "FILE")]
    target: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

impl Store {
    pub(super) fn run(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        let (Self::Check(file) | Self::Backup(Backup { file, .. })) = &self;
        let folder = match check::read(&file.config, environment)? {
            Ok(settings) => match settings.store {
                StoreSettings::Embedded { path } => path,
                StoreSettings::Memory | StoreSettings::Redis(_) => {
                    bail!("{} does not configure an embedded store", file.config.display())
                }
            },
            Err(faults) => {
                check::print(&faults);
                return Ok(ExitCode::FAILURE);
            }
        };
        match self {
            Self::Check(_) => look_over(&folder),
            Self::Backup(Backup { target, .. }) => {
                embedded::back_up(&folder, &target)?;
                say(format_args!("{} is a copy of the store", target.display()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// What is wrong goes to stderr, one fault a line.
fn look_over(folder: &Path) -> anyhow::Result<ExitCode> {
    let found = embedded::inspect(folder)?;
    for fault in &found.faults {
        say_error(format_args!("{fault}"));
    }
    let verdict = if found.faults.is_empty() { "is sound" } else { "is damaged" };
    say(format_args!(
        "{} {verdict}: version {}, {} user(s), {} session(s), {} open token(s), {} spent token(s), {} nonce(s), keys of {} site(s)",
        found.path.display(),
        found.version,
        found.users,
        found.sessions,
        found.open_tokens,
        found.spent_tokens,
        found.nonces,
        found.key_rings
    ))?;
    Ok(if found.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
