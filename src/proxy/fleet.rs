//! A site's upstreams as the whole process knows them: made once at the start, shared by all
//! workers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use rustls::ClientConfig;

use super::tls::{Tls, Trust};
use crate::config::{Site, Upstream, UpstreamAddress, UpstreamScheme, UpstreamTls, Upstreams};
use crate::domain::site::SiteName;

/// A site's upstreams.
pub struct Fleet {
    pub(super) members: Vec<Arc<Member>>,
    pub(super) connect_timeout: Duration,
    pub(super) speaks_http2: bool,
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
}

impl Fleet {
    /// The fleets of all `sites`.
    pub fn prepare(sites: &[Arc<Site>]) -> io::Result<HashMap<SiteName, Arc<Self>>> {
        let mut trust = Trust::default();
        let fleet =
            |site: &Arc<Site>| Ok((site.name.clone(), Arc::new(Self::of(&site.upstreams, &mut trust)?)));
        sites.iter().map(fleet).collect()
    }

    fn of(upstreams: &Upstreams, trust: &mut Trust) -> io::Result<Self> {
        let has_https = upstreams.all.iter().any(|upstream| upstream.scheme == UpstreamScheme::Https);
        let config = has_https.then(|| trust.client_config(&upstreams.tls)).transpose()?;
        let member = |upstream| {
            let unfit = || io::Error::other(format!("{upstream} is no upstream"));
            Member::new(upstream, &upstreams.tls, config.as_ref()).map(Arc::new).ok_or_else(unfit)
        };
        Ok(Self {
            members: upstreams.all.iter().map(member).collect::<Result<_, _>>()?,
            connect_timeout: upstreams.connect_timeout,
            speaks_http2: upstreams.speak_http2(),
        })
    }
}

impl Member {
    /// `None` if the configuration should never have let it pass.
    fn new(upstream: &Upstream, tls: &UpstreamTls, config: Option<&Arc<ClientConfig>>) -> Option<Self> {
        let (scheme, tls) = match upstream.scheme {
            UpstreamScheme::Http | UpstreamScheme::H2c => (Scheme::HTTP, None),
            UpstreamScheme::Https => (Scheme::HTTPS, Some(Tls::new(config?, upstream, tls)?)),
        };
        Some(Self {
            upstream: upstream.clone(),
            fixed: fixed(upstream),
            tls,
            scheme,
            authority: upstream.authority.parse().ok()?,
            host: HeaderValue::from_str(&upstream.authority).ok()?,
        })
    }
}

fn fixed(upstream: &Upstream) -> Option<SocketAddr> {
    match &upstream.address {
        UpstreamAddress::Tcp { host, port } => Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, *port)),
        UpstreamAddress::Unix(_) => None,
    }
}
