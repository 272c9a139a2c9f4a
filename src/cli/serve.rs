//! `tollgate serve`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::log::Manner;
use super::reload::{Desk, Outcome};
use super::source::{LOOK_EVERY, Source};
use super::{check, service};
use crate::app::{self, Ambient, Running};
use crate::config::Environment;

/// Runs the gateway until SIGTERM or SIGINT. On SIGHUP, and when the file has changed, it is read again.
pub(super) fn run(file: &Path, environment: Environment, log: Manner) -> anyhow::Result<ExitCode> {
    let mut source = Source::new(file, environment, log);
    let settings = match source.read()? {
        Ok(settings) => settings,
        Err(faults) => {
            check::print(&faults);
            return Ok(ExitCode::FAILURE);
        }
    };
    // Before there is a second thread, as that of the log.
    let inherited = service::inherited(&source.environment)?;
    source.log.start(settings.log.format)?;
    app::raise_limit_of_open_files();
    super::runtime()?.block_on(async {
        let mut signals = StopSignals::new().context("cannot wait for signals")?;
        let mut reload = signal(SignalKind::hangup()).context("cannot wait for signals")?;
        let desk = Desk::open(&source.environment);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running = app::start_on(settings, Ambient::system(), inherited).await?;
        announce(&running);
        service::say_ready();
        loop {
            tokio::select! {
                () = signals.next() => break,
                _ = reload.recv() => {
                    reread(&mut source, &mut running).await;
                }
                asker = desk.next() => {
                    let outcome = reread(&mut source, &mut running).await;
                    asker.tell(&outcome).await;
                }
                _ = looks.tick() => {
                    if source.is_to_be_read() {
                        source.apply(&mut running).await;
                    }
                }
            }
        }
        // Who asks from now on is told at once that nobody listens.
        drop(desk);
        service::say_stopping();
        tracing::info!("draining");
        tokio::select! {
            () = running.stop() => {
                tracing::info!("stopped");
                Ok(ExitCode::SUCCESS)
            }
            () = signals.next() => {
                tracing::warn!("stopped at once on a second signal: what was still running was cut off");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

/// Reads everything again, as somebody asks for it.
async fn reread(source: &mut Source, running: &mut Running) -> Outcome {
    running.reopen_logs();
    running.reload_certificates();
    source.speak_up();
    source.apply(running).await
}

pub(super) fn announce(running: &Running) {
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
