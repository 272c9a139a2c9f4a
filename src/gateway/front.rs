//! A site with what is made of its settings once, not for every request.

use std::sync::Arc;

use http::HeaderValue;

use super::ancestors::FrameAncestors;
use super::cors::CorsOrigins;
use super::https::strict_transport_security;
use super::request_record::RequestCounters;
use crate::config::Site;
use crate::domain::host::Scheme;
use crate::http::cookies::CookieNames;
use crate::metrics::Muster;
use crate::proxy::Fleet;

/// A site, ready to be served.
pub struct Front {
    /// Its settings.
    pub site: Arc<Site>,
    /// Origins whose scripts may read the gateway's refusals.
    pub(super) cors: CorsOrigins,
    /// Whose pages may frame it, if any may.
    pub(super) ancestors: Option<FrameAncestors>,
    /// What the workers count of it.
    pub(super) counters: Arc<Muster<RequestCounters>>,
    /// Its upstreams.
    pub(super) fleet: Arc<Fleet>,
    /// What browsers are told who come over https.
    pub(super) hsts: Option<HeaderValue>,
    plain_names: CookieNames,
    secure_names: CookieNames,
}

impl Front {
    /// Prepares `site`, whose upstreams are `fleet`.
    pub fn new(site: Arc<Site>, fleet: Arc<Fleet>) -> Self {
        Self {
            cors: CorsOrigins::new(&site.cors_origins),
            ancestors: FrameAncestors::new(&site.embed_origins),
            counters: Arc::default(),
            fleet,
            hsts: site.hsts.and_then(strict_transport_security),
            plain_names: CookieNames::new(&site.cookie, Scheme::Http),
            secure_names: CookieNames::new(&site.cookie, Scheme::Https),
            site,
        }
    }

    /// Prepares `site`, whose upstreams are `fleet`, in the place of this one: what is counted goes on.
    #[must_use]
    pub fn succeeded_by(&self, site: Arc<Site>, fleet: Arc<Fleet>) -> Self {
        Self { counters: Arc::clone(&self.counters), ..Self::new(site, fleet) }
    }

    /// Its upstreams.
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// The names of its cookies for visitors who come over `scheme`.
    pub fn cookie_names(&self, scheme: Scheme) -> &CookieNames {
        match scheme {
            Scheme::Http => &self.plain_names,
            Scheme::Https => &self.secure_names,
        }
    }
}
