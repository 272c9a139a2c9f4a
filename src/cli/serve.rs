//! `tollgate serve`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::check;
use crate::app::{self, Ambient, Running};
use crate::config::Environment;

/// Runs the gateway until SIGTERM or SIGINT.
pub(super) fn run(file: &Path, environment: Environment) -> anyhow::Result<ExitCode> {
    let settings = match check::read(file, &environment)? {
        Ok(settings) => settings,
        Err(faults) => {
            check::print(&faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    drop(environment);
    super::runtime()?.block_on(async {
        let running = app::start(settings, Ambient::system()).await?;
        announce(&running);
        stop_signal().await.context("cannot wait for signals")?;
        tracing::info!("draining");
        running.stop().await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

fn announce(running: &Running) {
    let http: Vec<String> = running.http.iter().map(ToString::to_string).collect();
    tracing::info!(http = http.join(" "), control = %running.control, "listening");
}

/// Ends when the process is asked to.
pub(super) async fn stop_signal() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
