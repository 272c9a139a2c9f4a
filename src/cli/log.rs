//! Log lines on stderr.
//!
//! Never logged: tokens, cookies, keys, signatures, queries, bodies, headers.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// Under which the options of the log stand in the help of each command.
pub(super) const HEADING: &str = "Log";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

/// Takes a filter that can be read.
pub(super) fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Starts logging; `filter` is one that [`filter`] has taken.
pub(super) fn start(format: Format, filter: &str, colours: bool) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    // A second subscriber in one process cannot be: the first goes on then.
    let _first_wins = match format {
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
        Format::Text => lines.try_init(),
    };
}
