//! `tollgate serve`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{check, service};
use crate::app::{self, Ambient, Running};
use crate::config::Environment;

/// Runs the gateway until SIGTERM or SIGINT. On SIGHUP the certificates are read again.
pub(super) fn run(file: &Path, environment: Environment) -> anyhow::Result<ExitCode> {
    let settings = match check::read(file, &environment)? {
        Ok(settings) => settings,
        Err(faults) => {
            check::print(&faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    let inherited = service::inherited(&environment)?;
    drop(environment);
    super::runtime()?.block_on(async {
        let mut signals = StopSignals::new().context("cannot wait for signals")?;
        let mut reload = signal(SignalKind::hangup()).context("cannot wait for signals")?;
        let running = app::start_on(settings, Ambient::system(), inherited).await?;
        announce(&running);
        service::say_ready();
        loop {
            tokio::select! {
                () = signals.next() => break,
                _ = reload.recv() => running.reload_certificates(),
            }
        }
        service::say_stopping();
        tracing::info!("draining");
        tokio::select! {
            () = running.stop() => {
                tracing::info!("stopped");
                Ok(ExitCode::SUCCESS)
            }
            () = signals.next() => {
                tracing::warn!("stopped at once on a second signal: what was running is cut");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

fn announce(running: &Running) {
    let http: Vec<String> = running.http.iter().map(ToString::to_string).collect();
    let https: Vec<String> = running.https.iter().map(ToString::to_string).collect();
    tracing::info!(http = http.join(" "), https = https.join(" "), control = %running.control, "listening");
}

/// SIGTERM and SIGINT. One that arrives while nobody waits is kept.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on the signals end the process only by what is done about them.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when the process is asked to stop.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
