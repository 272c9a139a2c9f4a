//! The `tollgate` command: see [`tollgate::cli`].

use std::process::ExitCode;

/// Requests are many small allocations that live and die on one thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tollgate::cli::run()
}
