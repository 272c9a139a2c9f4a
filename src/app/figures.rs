//! Everybody who has figures to tell.

use std::collections::HashMap;
use std::sync::Arc;

use crate::api::Figures;
use crate::domain::site::SiteName;
use crate::gateway::{Front, Homeless, RequestFigures};
use crate::proxy::{Fleet, UpstreamFigures};
use crate::server::{Certificates, Entrance, Limits, TrafficFigures};
use crate::sso::Sso;
use crate::store::StoreTimes;

/// What is made for the figures before anything serves.
pub(super) struct Watched<'a> {
    pub(super) sso: &'a Arc<Sso>,
    pub(super) store_times: Arc<StoreTimes>,
    pub(super) fronts: &'a HashMap<SiteName, Arc<Front>>,
    pub(super) fleets: &'a HashMap<SiteName, Arc<Fleet>>,
    pub(super) homeless: &'a Homeless,
    pub(super) entrances: Vec<Entrance>,
}

impl Watched<'_> {
    /// The figures of all of it, sites in the order of the configuration.
    pub(super) fn figures(self) -> Figures {
        let Self { sso, store_times, fronts, fleets, homeless, entrances } = self;
        let names = || sso.sites.all().iter().map(|site| &site.name);
        let fronts = names().filter_map(|name| fronts.get(name).cloned()).collect();
        let fleets = names().filter_map(|name| fleets.get(name).cloned()).collect();
        Figures::new(
            vec![
                Box::new(RequestFigures { fronts, homeless: homeless.clone() }),
                Box::new(UpstreamFigures(fleets)),
                Box::new(Arc::clone(sso)),
                Box::new(store_times),
                Box::new(TrafficFigures(entrances)),
            ],
            sso.now(),
        )
    }
}

/// What there is to tell of listeners with these `limits`, of which `most` connections is one.
pub(super) fn entrance(
    name: &'static str,
    limits: &Limits,
    most: usize,
    certificates: Option<Arc<Certificates>>,
) -> Entrance {
    let (traffic, places) = (Arc::clone(&limits.traffic), Arc::clone(&limits.connections));
    Entrance { name, traffic, places, most, certificates }
}
