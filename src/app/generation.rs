//! Everything that follows from one edition of the settings. When others come into force, it is made anew
//! beside what there is; what did not change is taken over as it is, with all that was learned meanwhile.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Ambient;
use super::figures::{Counted, Crowd};
use super::listeners::{Listeners, home_of};
use crate::acme::{self, AcmeCounters, Keeper, Unwritten};
use crate::admin::{Applied, Scene};
use crate::api::{Api, Keys};
use crate::config::{Server, Settings, Site};
use crate::domain::clock::Timestamp;
use crate::domain::entropy::Entropy;
use crate::domain::identity::Edition;
use crate::domain::site::SiteName;
use crate::gateway::{Front, RequestFigures, Shared, Traces};
use crate::journal::Journal;
use crate::proxy::Fleet;
use crate::server::Limits;
use crate::sso::sites::Sites;
use crate::sso::{Consequences, Sso};
use crate::store::Stores;
use crate::trace::Exporter;

/// One edition of the settings, and what was made of it.
pub(super) struct Generation {
    pub(super) settings: Settings,
    pub(super) sso: Arc<Sso>,
    pub(super) api: Arc<Api>,
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    pub(super) exporter: Option<Arc<Exporter>>,
    unwritten: Arc<Unwritten>,
    acme_counters: Arc<AcmeCounters>,
    entropy: Arc<dyn Entropy>,
}

/// Where visitors come in, over plain HTTP and over TLS.
pub(super) struct Addresses {
    pub(super) http: Vec<SocketAddr>,
    pub(super) https: Vec<SocketAddr>,
}

/// What every generation finds.
pub(super) struct Premises<'a> {
    pub(super) ambient: &'a Ambient,
    pub(super) counted: &'a Counted,
    /// The API keys that are good when they are asked for.
    pub(super) keys: &'a Arc<Keys>,
    pub(super) is_draining: &'a Arc<AtomicBool>,
    /// Those under its settings, and where they are.
    pub(super) listeners: &'a Listeners,
    pub(super) at: &'a Addresses,
}

impl Generation {
    /// The first one.
    pub(super) fn first(settings: Settings, stores: Stores, premises: &Premises<'_>) -> io::Result<Self> {
        let Ambient { clock, entropy } = premises.ambient.clone();
        let sso = Sso::new(Sites::new(settings.sites.clone()), stores, clock, entropy);
        Self::of(settings, sso, 0, None, premises)
    }

    /// The next one, and what it means for the sessions that there are.
    pub(super) fn succeeded_by(
        &self,
        mut settings: Settings,
        premises: &Premises<'_>,
    ) -> io::Result<(Self, Consequences)> {
        let edition = self.shared.edition.wrapping_add(1);
        let mut consequences = Consequences::default();
        for site in &mut settings.sites {
            if let Some(before) = self.sso.sites.by_name(&site.name) {
                if site.allow_backend_login != before.allow_backend_login || !tells_the_same(site, before) {
                    consequences.retold.push(site.name.clone());
                }
                // Nobody will present their cookies any more, which are the upstream's from now on to see.
                if site.cookie.name != before.cookie.name {
                    consequences.removed.push(site.name.clone());
                }
                *site = in_place_of(before, site, edition);
            } else {
                consequences.added.push(site.name.clone());
                *site = of_edition(site, edition);
            }
        }
        let sites = Sites::new(settings.sites.clone());
        let gone = self.sso.sites.all().iter().filter(|site| sites.by_name(&site.name).is_none());
        consequences.removed.extend(gone.map(|site| site.name.clone()));
        let sso = self.sso.succeeded_by(sites);
        let next = Self::of(settings, sso, edition, Some(self), premises)?;
        Ok((next, consequences))
    }

    fn of(
        settings: Settings,
        sso: Sso,
        edition: Edition,
        before: Option<&Self>,
        premises: &Premises<'_>,
    ) -> io::Result<Self> {
        let Premises { ambient, counted, keys, is_draining, listeners, at } = premises;
        let (sso, server) = (Arc::new(sso), &settings.server);
        settings.acme.as_ref().map(acme::prepare).transpose()?;
        let homes = settings.sites.iter();
        let homes = homes.filter_map(|site| Some((site.name.clone(), home_of(site, &at.http, &at.https)?)));
        let fronts = fronts(&settings.sites, before)?;
        let in_order = settings.sites.iter().filter_map(|site| fronts.get(&site.name).cloned()).collect();
        let journal = Journal::open(&settings.log, before.map(|before| &before.journal))?;
        let exporter = exporter(&settings, before)?;
        let kept = (journal.clone(), exporter.clone());
        let figures = counted.figures(Arc::clone(&sso), in_order, listeners, server, kept);
        let keys = Arc::clone(keys);
        let api = Api::new(Arc::clone(&sso), keys, homes.collect(), figures, Arc::clone(is_draining));
        let api = Arc::new(api);
        let shared = Shared {
            edition,
            sso: Arc::clone(&sso),
            api: Arc::clone(&api),
            https_port: at.https.first().map(SocketAddr::port),
            body_time: server.body_idle_timeout,
            trusted_proxies: server.trusted_proxies.clone(),
            fronts,
            journal: journal.clone(),
            traces: Traces { trust: settings.trace.trust, exporter: exporter.clone() },
            siteless: counted.siteless.clone(),
            challenges: Arc::clone(&listeners.challenges),
            clock: Arc::clone(&ambient.clock),
        };
        let (unwritten, acme_counters) = (Arc::clone(&listeners.unwritten), Arc::clone(&counted.acme));
        let (shared, entropy) = (Arc::new(shared), Arc::clone(&ambient.entropy));
        Ok(Self { settings, sso, api, shared, journal, exporter, unwritten, acme_counters, entropy })
    }

    /// What looks after certificates that are asked for, if any are.
    pub(super) fn keeper(&self) -> Option<Keeper> {
        let settings = self.settings.acme.clone()?;
        let challenges = Arc::clone(&self.shared.challenges);
        let (clock, entropy) = (Arc::clone(&self.shared.clock), Arc::clone(&self.entropy));
        let (unwritten, acme_counters) = (Arc::clone(&self.unwritten), Arc::clone(&self.acme_counters));
        Some(Keeper { settings, challenges, unwritten, counters: acme_counters, clock, entropy })
    }

    /// All of it, as the admin page shows it.
    pub(super) fn scene(&self, listeners: &Listeners, applied: &Arc<Applied>, began: Timestamp) -> Scene {
        let fronts = self.settings.sites.iter();
        let fronts = fronts.filter_map(|site| self.shared.fronts.get(&site.name).cloned()).collect();
        Scene {
            api: Arc::clone(&self.api),
            sso: Arc::clone(&self.sso),
            requests: RequestFigures { fronts, siteless: self.shared.siteless.clone() },
            hosts: self.settings.control.hosts.clone(),
            public_certificates: listeners.shown_to_visitors(),
            control_certificates: listeners.shown_to_operators(),
            applied: Arc::clone(applied),
            began,
        }
    }

    /// The upstreams of all sites.
    pub(super) fn fleets(&self) -> Vec<Arc<Fleet>> {
        self.shared.fronts.values().map(|front| Arc::clone(front.fleet())).collect()
    }
}

/// Where spans go. If the settings before said the same, it is there already.
fn exporter(settings: &Settings, before: Option<&Generation>) -> io::Result<Option<Arc<Exporter>>> {
    let Some(export) = &settings.trace.export else { return Ok(None) };
    let known = before.and_then(|before| before.exporter.as_ref());
    if let Some(known) = known.filter(|known| known.settings() == export) {
        return Ok(Some(Arc::clone(known)));
    }
    Exporter::start(export.clone()).map(Arc::new).map(Some)
}

/// What a connection of this `crowd` may take.
pub(super) fn limits(server: &Server, crowd: &Crowd) -> Limits {
    let Crowd { places, traffic } = crowd.clone();
    Limits {
        connections: places,
        head_bytes: server.max_header_bytes,
        head_time: server.header_timeout,
        body_time: server.body_idle_timeout,
        idle_time: server.keep_alive_timeout,
        traffic,
    }
}

/// How long workers may take to make themselves ready for a change: they only open sockets.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(10);

/// Whether the upstreams of both are told the same of a session.
fn tells_the_same(site: &Site, other: &Site) -> bool {
    (&site.identity, site.access_class) == (&other.identity, other.access_class)
}

/// The site `after` in the place of `before`, which is taken over if it is the same.
fn in_place_of(before: &Arc<Site>, after: &Arc<Site>, edition: Edition) -> Arc<Site> {
    if before == after {
        return Arc::clone(before);
    }
    let is_same = tells_the_same(after, before);
    of_edition(after, if is_same { before.identity.edition() } else { edition })
}

fn of_edition(site: &Arc<Site>, edition: Edition) -> Arc<Site> {
    let site = Site::clone(site);
    let identity = site.identity.of_edition(edition);
    Arc::new(Site { identity, ..site })
}

/// The sites as they are served.
fn fronts(sites: &[Arc<Site>], before: Option<&Generation>) -> io::Result<HashMap<SiteName, Arc<Front>>> {
    let before = |site: &Site| before.and_then(|before| before.shared.fronts.get(&site.name));
    let known = |site: &Site| before(site).filter(|front| Fleet::is_shared_by(&front.site, site));
    let new: Vec<_> = sites.iter().filter(|site| known(site).is_none()).cloned().collect();
    let fleets = Fleet::prepare(&new, |site| before(site).map(|front| front.fleet()))?;
    let fronts = sites.iter().filter_map(|site| {
        let same = before(site).filter(|front| Arc::ptr_eq(&front.site, site));
        let front = if let Some(front) = same {
            Arc::clone(front)
        } else {
            let fleet = known(site).map(|front| front.fleet()).or_else(|| fleets.get(&site.name))?;
            let (own, fleet) = (Arc::clone(site), Arc::clone(fleet));
            let front = match before(site) {
                Some(before) => before.succeeded_by(own, fleet),
                None => Front::new(own, fleet),
            };
            Arc::new(front)
        };
        Some((site.name.clone(), front))
    });
    Ok(fronts.collect())
}
