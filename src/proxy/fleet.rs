//! A site's upstreams as the whole process knows them: made once for each change of the settings, shared by
//! all workers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use rustls::ClientConfig;

use super::figures::UpstreamCounters;
use super::standing::{Standing, UpstreamState};
use super::tls::{Tls, Trust};
use crate::config::{HealthCheck, Site, Upstream, UpstreamAddress, UpstreamScheme, UpstreamTls};
use crate::domain::host::{HostPattern, Origin};
use crate::domain::site::SiteName;
use crate::metrics::Muster;

/// A site's upstreams.
pub struct Fleet {
    pub(super) members: Vec<Arc<Member>>,
    pub(super) connect_timeout: Duration,
    pub(super) speaks_http2: bool,
    tls: UpstreamTls,
    pub(super) health: Option<HealthCheck>,
    /// The Host of health checks, if it is not the upstream's own: visitors' requests have it too.
    pub(super) check_host: Option<HeaderValue>,
}

/// One upstream.
pub(super) struct Member {
    pub(super) upstream: Upstream,
    /// Its address, where no name server has to be asked for it.
    pub(super) fixed: Option<SocketAddr>,
    pub(super) tls: Option<Tls>,
    pub(super) scheme: Scheme,
    /// Its own Host, in both spellings.
    pub(super) authority: Authority,
    pub(super) host: HeaderValue,
    pub(super) standing: Standing,
    /// What the workers count of it.
    pub(super) counters: Arc<Muster<UpstreamCounters>>,
}

impl Fleet {
    /// The fleets of all `sites`, in the place of those that a site had `before`: what is known of an upstream
    /// that stays is not forgotten because of another one.
    pub fn prepare<'a>(
        sites: &[Arc<Site>],
        before: impl Fn(&Site) -> Option<&'a Arc<Self>>,
    ) -> io::Result<HashMap<SiteName, Arc<Self>>> {
        let mut trust = Trust::default();
        let mut fleet = |site: &Arc<Site>| {
            let fleet = Self::of(site, before(site).map(Arc::as_ref), &mut trust)?;
            Ok((site.name.clone(), Arc::new(fleet)))
        };
        sites.iter().map(&mut fleet).collect()
    }

    /// Whether requests are written to it line by line, in HTTP/1.1.
    pub fn takes_lines(&self) -> bool {
        !self.speaks_http2
    }

    fn of(site: &Site, before: Option<&Self>, trust: &mut Trust) -> io::Result<Self> {
        let upstreams = &site.upstreams;
        let has_https = upstreams.all.iter().any(|upstream| upstream.scheme == UpstreamScheme::Https);
        let config = has_https.then(|| trust.client_config(&upstreams.tls)).transpose()?;
        let check_host = visited_host(site);
        // How it is doing was found out in a certain way.
        let is_reached_alike = before.is_some_and(|before| {
            (&before.tls, &before.health, &before.check_host)
                == (&upstreams.tls, &upstreams.health, &check_host)
        });
        let member = |upstream: &Upstream| {
            let unfit = || io::Error::other(format!("{upstream} is not a valid upstream"));
            let known = before.and_then(|before| before.members.iter().find(|old| old.upstream == *upstream));
            match known {
                Some(known) if is_reached_alike => Ok(Arc::clone(known)),
                _ => {
                    let counters = known.map(|known| Arc::clone(&known.counters)).unwrap_or_default();
                    let member = Member::new(upstream, site, config.as_ref(), counters);
                    member.map(Arc::new).ok_or_else(unfit)
                }
            }
        };
        Ok(Self {
            members: upstreams.all.iter().map(member).collect::<Result<_, _>>()?,
            connect_timeout: upstreams.connect_timeout,
            speaks_http2: upstreams.speak_http2(),
            tls: upstreams.tls.clone(),
            health: upstreams.health.clone(),
            check_host,
        })
    }

    /// Whether what was made for the one site is just as good for the other: all that is read of a site here
    /// is the same.
    pub fn is_shared_by(one: &Site, other: &Site) -> bool {
        let of = |site: &Site| visited_host(site);
        (&one.name, &one.upstreams, of(one)) == (&other.name, &other.upstreams, of(other))
    }

    /// How each upstream is doing.
    pub fn states(&self) -> Vec<UpstreamState> {
        self.members.iter().map(|member| member.standing.state()).collect()
    }
}

/// A Host under which visitors ask for the site and the upstream gets to know it, if one can be
/// named.
fn visited_host(site: &Site) -> Option<HeaderValue> {
    let named = site.hosts.iter().find_map(|pattern| match pattern {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Any | HostPattern::OneLevel(_) => None,
    });
    let host = site.public_url.as_ref().map(Origin::authority).or(named);
    host.filter(|_| site.preserve_host).and_then(|host| HeaderValue::from_str(&host).ok())
}

impl Member {
    /// `None` if the configuration should never have let it pass.
    fn new(
        upstream: &Upstream,
        site: &Site,
        config: Option<&Arc<ClientConfig>>,
        counters: Arc<Muster<UpstreamCounters>>,
    ) -> Option<Self> {
        let (scheme, tls) = match upstream.scheme {
            UpstreamScheme::Http | UpstreamScheme::H2c => (Scheme::HTTP, None),
            UpstreamScheme::Https => (Scheme::HTTPS, Some(Tls::new(config?, upstream, &site.upstreams.tls)?)),
        };
        Some(Self {
            upstream: upstream.clone(),
            fixed: fixed(upstream),
            tls,
            scheme,
            authority: upstream.authority.parse().ok()?,
            host: HeaderValue::from_str(&upstream.authority).ok()?,
            standing: Standing::new(site.name.as_str(), &upstream.to_string()),
            counters,
        })
    }
}

fn fixed(upstream: &Upstream) -> Option<SocketAddr> {
    match &upstream.address {
        UpstreamAddress::Tcp { host, port } => Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, *port)),
        UpstreamAddress::Unix(_) => None,
    }
}
