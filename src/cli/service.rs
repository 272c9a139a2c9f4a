//! What a service manager such as systemd hands to the program, and is told by it.

use anyhow::Context as _;
use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::config::Environment;
use crate::server::Inherited;

/// The sockets that were opened for this process (`sd_listen_fds(3)`). To be called before there is
/// a second thread.
pub(super) fn inherited(environment: &Environment) -> anyhow::Result<Inherited> {
    let own = std::process::id().to_string();
    // What was meant for another process has been left in the environment by mistake.
    if environment.lookup("LISTEN_PID") != Some(own.as_str()) {
        return Ok(Inherited::default());
    }
    let mut sockets = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..sockets.len() {
        let listener = sockets.take_tcp_listener(index).context("an inherited socket cannot be used")?;
        listeners.extend(listener);
    }
    let names = environment.lookup("LISTEN_FDNAMES").unwrap_or_default();
    Inherited::new(listeners, names.split(':')).context("an inherited socket cannot be used")
}

/// The program serves from now on.
pub(super) fn say_ready() {
    say(NotifyState::Ready);
}

/// The program serves nobody new, and finishes what runs.
pub(super) fn say_stopping() {
    say(NotifyState::Stopping);
}

/// What is wrong with the configuration as it is now, if anything is: it is shown beside the state of the
/// service.
pub(super) fn say_trouble(fault: Option<&str>) {
    let shown = fault.map(|fault| format!("The configuration was not applied: {fault}"));
    say(NotifyState::Status(&shown.unwrap_or_default()));
}

fn say(state: NotifyState<'_>) {
    // Where there is a manager that does not listen, the program runs all the same.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "could not notify the service manager");
    }
}
