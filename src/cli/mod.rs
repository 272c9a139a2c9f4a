//! The command line.

mod call;
mod check;
mod completions;
mod demo;
mod difference;
mod explain;
mod key;
mod log;
mod manual;
mod reload;
mod rotate;
mod serve;
mod service;
mod session;
mod source;
mod store;
mod token;
mod user;

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::Environment;
use crate::journal;

/// Exit status for a command line that makes no sense (`EX_USAGE` of BSD's sysexits).
const USAGE: u8 = 64;

/// What stands below the help of the program itself.
const FIRST_STEPS: &str = "\
`tollgate demo` shows what it does and needs no set-up. `tollgate COMMAND --help` explains a command.

Exit status: 0 if all went well, 1 if not, 64 for invalid usage.";

/// A reverse proxy that admits visitors who return from a login page with a one-time token.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, after_help = FIRST_STEPS, max_term_width = 100)]
struct Cli {
    /// The format of log lines on stderr [default: json, unless the configuration says otherwise].
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    #[arg(help_heading = log::HEADING)]
    log_format: Option<log::Format>,
    /// What is logged: error, warn, info, debug, or a filter such as `info,tollgate::access=off`.
    #[arg(long, global = true, value_name = "FILTER", default_value = "info", value_parser = log::filter)]
    #[arg(help_heading = log::HEADING)]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    ///
    /// SIGTERM and SIGINT stop it: it accepts no more connections and lets open requests finish, for
    /// `drain_timeout` at most. A second signal stops it at once. On SIGHUP, and when the file has changed, it
    /// is read again and applied, whole or not at all; certificates are read again as well.
    Serve(ConfigFile),
    /// Validate a configuration and print all its faults, or explain what it does.
    ///
    /// The exit status is 1 if there is a fault. Each is printed with its line, its key and what to do.
    Check {
        /// The configuration.
        #[command(flatten)]
        file: ConfigFile,
        /// Show what would change if the configuration replaced this one, which is in force, and what of
        /// that needs a restart.
        #[arg(long, value_name = "FILE", conflicts_with = "explain")]
        diff: Option<PathBuf>,
        /// What to explain.
        #[command(flatten)]
        explain: explain::Explain,
    },
    /// Make the running service reload its configuration, and wait until it has.
    ///
    /// This is for the service's own `ExecReload=`: it uses the folder that `RUNTIME_DIRECTORY` names. The
    /// exit status is 1 if the configuration was not applied, and each fault is printed. Elsewhere send SIGHUP.
    Reload,
    /// Run the gateway with a small closed site and a login page, all on this machine.
    ///
    /// It prints the addresses and what to click, and saves nothing. Ctrl-C stops it.
    Demo(demo::Demo),
    /// Issue login tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// List and end sessions.
    #[command(subcommand)]
    Session(session::Session),
    /// List users and set their roles.
    #[command(subcommand)]
    User(user::User),
    /// Check and back up the file of the embedded store.
    #[command(subcommand)]
    Store(store::Store),
    /// Make, rotate and list keys.
    #[command(subcommand)]
    Key(key::Key),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Print the manual page, or write the pages of all commands to a folder.
    Man(manual::Manual),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let _nobody_reads = error.print();
            return USAGE.into();
        }
        Err(help) => return status(written(help.print()).map(|()| ExitCode::SUCCESS)),
    };
    let environment = environment();
    let plain = environment.lookup("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = log::Manner {
        format: cli.log_format,
        filter: cli.log,
        colours: !plain && io::stderr().is_terminal(),
    };
    let outcome = cli.command.run(log, environment);
    // What went wrong stands behind what was logged before.
    journal::close_messages();
    status(outcome)
}

impl Command {
    fn run(self, log: log::Manner, environment: Environment) -> anyhow::Result<ExitCode> {
        // What the gateway is to do with its log it says itself.
        if !matches!(self, Self::Serve(_)) {
            log.start(None)?;
        }
        match self {
            Self::Serve(file) => serve::run(&file.config, environment, log),
            Self::Check { file, diff, explain } => {
                check::run(&file.config, diff.as_deref(), &explain, &environment)
            }
            Self::Reload => reload::run(&environment),
            Self::Demo(demo) => demo.run(environment),
            Self::Token(token) => token.run(&environment),
            Self::Session(session) => session.run(&environment),
            Self::User(user) => user.run(&environment),
            Self::Store(store) => store.run(&environment),
            Self::Key(key) => key.run(&environment),
            Self::Completions(completions) => completions.run(Cli::command()),
            Self::Man(manual) => manual.run(Cli::command()),
        }
    }
}

/// The exit status for what became of a command; what went wrong goes to stderr.
fn status(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        say_error(format_args!("{error:#}"));
        if error.is::<Usage>() { USAGE.into() } else { ExitCode::FAILURE }
    })
}

/// A command line that cannot be carried out as it is written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(&'static str);

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> Environment {
    // A variable that is not text cannot be named in the configuration, and is no reason to stop.
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment::new(texts)
}

/// Prints a line to stdout.
fn say(line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    written(writeln!(stdout, "{line}").and_then(|()| stdout.flush()))
}

/// Prints what is complete as it is to stdout.
fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout();
    written(stdout.write_all(text).and_then(|()| stdout.flush()))
}

/// A reader that has gone away is no error; output that is lost in any other way is.
fn written(outcome: io::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the output"),
    }
}

/// Prints a line to stderr.
fn say_error(line: std::fmt::Arguments<'_>) {
    let _nobody_reads = writeln!(io::stderr(), "tollgate: {line}");
}

/// A runtime for commands: their work is one thing at a time.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
