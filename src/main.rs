//! The `tollgate` command: see [`tollgate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate::cli::run()
}
