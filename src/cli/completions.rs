//! `tollgate completions`.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::print;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints what makes the shell complete the command line of `program`.
    pub(super) fn run(&self, mut program: Command) -> anyhow::Result<ExitCode> {
        let name = program.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, name, &mut script);
        print(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
