//! Log lines on stderr.
//!
//! Never logged: tokens, cookies, keys, signatures, queries, bodies, headers.

use anyhow::Context as _;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::journal::Messages;

/// Under which the options of the log stand in the help of each command.
pub(super) const HEADING: &str = "Log";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object per line.
    Json,
    /// Text for reading.
    Text,
}

/// What the library for HTTP/2 has to say is of its clients, who could fill a disk with it: it is heard only
/// if a filter names it.
const UNHEARD: &str = "h2=off";

/// Takes a filter that can be read.
pub(super) fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// What is logged by `filter`, which was taken.
fn all_of(filter: &str) -> EnvFilter {
    EnvFilter::new(format!("{UNHEARD},{filter}"))
}

/// How the command line wants the log to be.
#[derive(Debug)]
pub(super) struct Manner {
    /// How lines are written, if it says so.
    pub(super) format: Option<Format>,
    /// A filter that [`filter`] has taken.
    pub(super) filter: String,
    /// Whether text has colours.
    pub(super) colours: bool,
}

impl Manner {
    /// How lines are written: as the command line says, or else as `configured`.
    pub(super) fn format(&self, configured: Option<LogFormat>) -> LogFormat {
        match self.format {
            Some(Format::Json) => LogFormat::Json,
            Some(Format::Text) => LogFormat::Text,
            None => configured.unwrap_or(LogFormat::Json),
        }
    }

    /// Starts logging. Nobody waits for who reads it: at the end of the program
    /// [`close_messages`](crate::journal::close_messages) does.
    pub(super) fn start(&self, configured: Option<LogFormat>) -> anyhow::Result<()> {
        let messages = Messages::start().context("cannot begin to log")?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(all_of(&self.filter))
            .with_ansi(self.colours)
            .with_writer(messages);
        // A second subscriber in one process cannot be: the first goes on then.
        let _first_wins = match self.format(configured) {
            LogFormat::Json => {
                lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
            }
            LogFormat::Text => lines.try_init(),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_make_a_library_say_is_heard_only_by_its_name() {
        for (filter, is_heard) in
            [("info", false), ("debug", false), ("h2=debug", true), ("info,h2=warn", true)]
        {
            let lines = tracing_subscriber::fmt().with_env_filter(all_of(filter)).finish();
            let heard = tracing::subscriber::with_default(
                lines,
                || tracing::enabled!(target: "h2", tracing::Level::WARN),
            );
            assert_eq!(heard, is_heard, "{filter}");
        }
    }
}
