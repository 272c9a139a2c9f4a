//! Log lines on stderr.
//!
//! Never logged: tokens, cookies, keys, signatures, queries, bodies, headers.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

/// Starts logging. A filter that cannot be read is taken for `info`.
pub(super) fn start(format: Format, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process cannot be: the first goes on then.
    let _first_wins = match format {
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
        Format::Text => lines.try_init(),
    };
}
