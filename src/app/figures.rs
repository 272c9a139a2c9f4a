//! Everybody who has figures to tell, and what is counted for as long as the program runs, whatever
//! settings are in force.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::listeners::Listeners;
use super::{CONTROL_CONNECTIONS, open_files};
use crate::acme::AcmeCounters;
use crate::api::Figures;
use crate::config::Server;
use crate::domain::clock::Timestamp;
use crate::gateway::{Front, RequestFigures, SitelessRequests};
use crate::journal::Journal;
use crate::proxy::UpstreamFigures;
use crate::server::{Certificates, Entrance, Traffic, TrafficFigures};
use crate::sso::Sso;
use crate::store::StoreTimes;
use crate::trace::{Exporter, SpanFigures};

/// What is counted for as long as the program runs.
pub(super) struct Counted {
    /// Since when.
    pub(super) since: Timestamp,
    pub(super) store: Arc<StoreTimes>,
    /// Requests for no site that there is.
    pub(super) siteless: SitelessRequests,
    /// How getting certificates goes.
    pub(super) acme: Arc<AcmeCounters>,
    pub(super) public: Crowd,
    pub(super) control: Crowd,
}

/// The connections to the listeners of one kind.
#[derive(Clone)]
pub(super) struct Crowd {
    /// The places for them, of which those are missing that are taken.
    pub(super) places: Arc<Semaphore>,
    pub(super) traffic: Arc<Traffic>,
}

impl Crowd {
    /// Nobody yet, and so many places.
    pub(super) fn of(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), traffic: Arc::default() }
    }

    fn entrance(&self, name: &'static str, most: usize, certificates: Option<Arc<Certificates>>) -> Entrance {
        Entrance { name, traffic: Arc::clone(&self.traffic), most, certificates }
    }
}

impl Counted {
    /// All figures under the settings of `server`: of these sites, in the order of the configuration, of
    /// these `listeners`, and of the logs and spans that are kept.
    pub(super) fn figures(
        &self,
        sso: Arc<Sso>,
        fronts: Vec<Arc<Front>>,
        listeners: &Listeners,
        server: &Server,
        (journal, exporter): (Journal, Option<Arc<Exporter>>),
    ) -> Figures {
        let fleets = fronts.iter().map(|front| Arc::clone(front.fleet())).collect();
        let entrances = vec![
            self.public.entrance(
                "public",
                open_files::for_visitors(server.max_connections),
                listeners.shown_to_visitors(),
            ),
            self.control.entrance("control", CONTROL_CONNECTIONS, listeners.shown_to_operators()),
        ];
        Figures::new(
            vec![
                Box::new(RequestFigures { fronts, siteless: self.siteless.clone() }),
                Box::new(UpstreamFigures(fleets)),
                Box::new(sso),
                Box::new(Arc::clone(&self.store)),
                Box::new(TrafficFigures(entrances)),
                Box::new(journal),
                Box::new(SpanFigures(exporter)),
                Box::new(Arc::clone(&self.acme)),
            ],
            self.since,
        )
    }
}
