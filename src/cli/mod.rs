//! The command line.

mod call;
mod check;
mod demo;
mod key;
mod log;
mod serve;
mod session;
mod token;
mod user;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Environment;

/// Exit status for a command line that makes no sense (`EX_USAGE` of BSD's sysexits).
const USAGE: u8 = 64;

/// Opens a closed site to whoever comes back from its login page with a one-time token.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, max_term_width = 100)]
struct Cli {
    /// How log lines are written to stderr.
    #[arg(long, global = true, value_enum, default_value_t = log::Format::Json)]
    log_format: log::Format,
    /// What is logged: error, warn, info, debug, or a filter such as `info,tollgate::access=off`.
    #[arg(long, global = true, value_name = "FILTER", default_value = "info")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(ConfigFile),
    /// Validate a configuration and print every fault at once.
    Check(ConfigFile),
    /// Run the gateway with a small closed site and a login page, all on this machine.
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
    /// Make API keys.
    #[command(subcommand)]
    Key(key::Key),
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
        Err(error) => {
            let _nobody_reads = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    log::start(cli.log_format, &cli.log);
    let outcome = match cli.command {
        Command::Serve(file) => serve::run(&file.config, environment()),
        Command::Check(file) => check::run(&file.config, &environment()),
        Command::Demo(demo) => demo.run(environment()),
        Command::Token(token) => token.run(),
        Command::Session(session) => session.run(),
        Command::User(user) => user.run(),
        Command::Key(key) => key.run(),
    };
    outcome.unwrap_or_else(|error| {
        say_error(format_args!("{error:#}"));
        ExitCode::FAILURE
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> Environment {
    // A variable that is not text cannot be named in the configuration, and is no reason to stop.
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment::new(texts)
}

/// Prints a line to stdout. A reader that has gone away is no error.
fn say(line: std::fmt::Arguments<'_>) {
    let _nobody_reads = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line to stderr.
fn say_error(line: std::fmt::Arguments<'_>) {
    let _nobody_reads = writeln!(std::io::stderr(), "tollgate: {line}");
}

/// A runtime for commands: their work is one thing at a time.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
