//! Other settings while the program runs, whole or not at all: everything that can fail is done before
//! anything changes.

use std::io;
use std::sync::Arc;

use super::generation::{Addresses, Premises, READY_WITHIN, limits};
use super::listeners::Listeners;
use super::{Running, control, open_files};
use crate::config::Settings;
use crate::domain::host::Scheme;
use crate::server::{Change, Listener};
use crate::sso::{Cause, Event};

/// Why other settings did not come into force. Everything is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Something was changed that stays what it was at the start.
    #[error("{} cannot change while the program runs: restart it, or take that back", .0.join(", "))]
    Fixed(Vec<&'static str>),
    /// A listener cannot be opened, or an upstream's TLS cannot be prepared.
    #[error(transparent)]
    Impossible(#[from] io::Error),
}

impl Running {
    /// Goes on with `settings`. Requests that are under way end with those with which they began;
    /// connections stay.
    pub async fn reload(&mut self, settings: Settings) -> Result<(), ReloadError> {
        let fixed = fixed(&self.generation.settings, &settings);
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        let listeners = Listeners::in_place_of(&self.listeners, &settings)?;
        let at = Addresses {
            http: listeners.addresses(Scheme::Http)?,
            https: listeners.addresses(Scheme::Https)?,
        };
        let warnings = settings.warnings(self.ambient.clock.now());
        let premises = Premises {
            ambient: &self.ambient,
            counted: &self.counted,
            keys: &self.keys,
            is_draining: &self.is_draining,
            listeners: &listeners,
            at: &at,
        };
        let (next, consequences) = self.generation.succeeded_by(settings, &premises)?;
        // So that nobody has to wait for the keys of a site that signs from now on.
        next.sso.look_after_keys().await;

        let server = &next.settings.server;
        let mut changes = Vec::new();
        for _ in 0..self.public_workers.size() {
            let shared = Arc::clone(&next.shared);
            changes.push(Change {
                listeners: Some(listeners.public.iter().map(Listener::try_clone).collect::<Result<_, _>>()?),
                limits: limits(server, &self.counted.public),
                apply: Box::new(move |gateway: &crate::gateway::CurrentGateway| gateway.replace(shared)),
            });
        }
        let scene = next.scene(&listeners, &self.applied, self.counted.since);
        let shown = listeners.shown();
        let control_change = Change {
            listeners: None,
            limits: limits(server, &self.counted.control),
            apply: control::hand_over(&next, scene, shown),
        };
        let readying = async {
            let public = self.public_workers.ready(changes).await?;
            Ok::<_, io::Error>((public, self.control_workers.ready(vec![control_change]).await?))
        };
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let (public, control) = tokio::time::timeout(READY_WITHIN, readying).await.map_err(late)??;

        // From here on nothing fails.
        self.keys.replace(&next.settings.api_keys);
        next.sso.come_into_force();
        next.sso.keep_audit_log_at(next.journal.audit.clone());
        let mut listeners = listeners;
        listeners.show_certificates();
        public.go().await;
        control.go().await;
        next.sso.supersede_others();
        // Those who listened until now may not be among those who may hear of it.
        next.sso.note(Event::SettingsChanged, &Cause::GATEWAY);
        let before = open_files::for_visitors(self.generation.settings.server.max_connections);
        resize(&self.counted.public.places, before, open_files::for_visitors(server.max_connections));
        self.public_workers.drain_within(server.drain_timeout);
        tokio::spawn(Arc::clone(&next.sso).follow_up(consequences));
        (self.http, self.https) = (at.http, at.https);
        (self.listeners, self.generation) = (listeners, next);
        self.applied.changed(self.ambient.clock.now());
        for warning in warnings {
            tracing::warn!(target: "tollgate::server", "{warning}");
        }
        Ok(())
    }
}

/// What differs between two settings, and stays what it was at the start for as long as a program runs.
pub fn fixed(now: &Settings, next: &Settings) -> Vec<&'static str> {
    let speaks_tls = |settings: &Settings| settings.control.certificate.is_some();
    let differs = [
        ("[store]", now.store != next.store),
        ("server.workers", now.server.workers != next.server.workers),
        ("control.listen", now.control.listen != next.control.listen),
        ("log.format", now.log.format != next.log.format),
        ("whether [control] has a certificate", speaks_tls(now) != speaks_tls(next)),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

/// Makes `places` as many as `after`. Those that are taken stay so until they are given back.
fn resize(places: &Arc<tokio::sync::Semaphore>, before: usize, after: usize) {
    if let Some(more) = after.checked_sub(before) {
        places.add_permits(more);
        return;
    }
    let places = Arc::clone(places);
    let fewer = u32::try_from(before.saturating_sub(after)).unwrap_or(u32::MAX);
    tokio::spawn(async move {
        if let Ok(taken) = places.acquire_many_owned(fewer).await {
            taken.forget();
        }
    });
}
