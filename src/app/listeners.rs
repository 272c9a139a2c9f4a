//! The sockets of the configuration: bound, with TLS where it belongs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use crate::acme::Challenges;
use crate::config::{AcmeCertificate, Certificate, Settings, Site};
use crate::domain::host::{Authority, HostPattern, Origin, Scheme};
use crate::server::{CertificateWatch, Certificates, Door, Inherited, Tls, bind};

/// What clients are offered over TLS, the best first.
const PROTOCOLS: &[&str] = &["h2", "http/1.1"];

/// The same where a connection has to be one visitor's for a site, which none in HTTP/2 can be. Browsers
/// use one in HTTP/2 for all hosts in a certificate, so there is no telling sites apart.
const PROTOCOLS_OF_ONE: &[&str] = &["http/1.1"];

/// Every listener there is.
pub(super) struct Listeners {
    /// Where visitors come in.
    pub(super) public: Vec<Door<TcpListener>>,
    /// Where operators and login pages do.
    pub(super) control: Door<TcpListener>,
    /// What looks after the certificates.
    pub(super) watches: Vec<CertificateWatch>,
}

impl Listeners {
    /// Opens what `settings` name, as far as it is not among `inherited`, all of which has to be
    /// named.
    pub(super) fn open(
        settings: &Settings,
        challenges: Option<&Arc<Challenges>>,
        mut inherited: Inherited,
    ) -> io::Result<Self> {
        let (server, control) = (&settings.server, &settings.control);
        let mut watches = Vec::new();
        let is_pinned = settings.sites.iter().any(|site| site.connection_auth);
        let protocols = if is_pinned { PROTOCOLS_OF_ONE } else { PROTOCOLS };
        let awaited = settings.acme.as_ref().map_or(&[][..], |acme| &acme.certificates);
        let public_tls = speak_tls(&server.certificates, awaited, protocols, &mut watches)?;
        let public_tls = public_tls.map(|tls| tls.proving(challenges.cloned()));
        let control_tls = speak_tls(control.certificate.as_slice(), &[], PROTOCOLS, &mut watches)?;
        let proxies: Option<Arc<[_]>> =
            server.proxy_protocol.then(|| server.trusted_proxies.as_slice().into());
        let mut listen = |purpose, addresses: &[SocketAddr]| {
            let found = inherited.take(purpose, addresses).into_iter().zip(addresses);
            found
                .map(|(found, address)| found.map_or_else(|| bind(*address), Ok))
                .collect::<io::Result<Vec<_>>>()
        };
        let (http, https) = (listen("http", &server.http)?, listen("https", &server.https)?);
        let operators = listen("control", &[control.listen])?;
        inherited.finish()?;
        let public = |tls: Option<Tls>| {
            let (proxies, h2c) = (proxies.clone(), server.h2c);
            move |listener| Door { listener, proxies: proxies.clone(), tls: tls.clone(), h2c }
        };
        let public = http.into_iter().map(public(None)).chain(https.into_iter().map(public(public_tls)));
        let control = operators.into_iter().next().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            public: public.collect(),
            control: Door { listener: control, proxies: None, tls: control_tls, h2c: false },
            watches,
        })
    }

    /// The addresses of the public listeners over `scheme`, in the order of the configuration.
    pub(super) fn addresses(&self, scheme: Scheme) -> io::Result<Vec<SocketAddr>> {
        let doors = self.public.iter().filter(|door| door.scheme() == scheme);
        doors.map(|door| door.listener.local_addr()).collect()
    }
}

/// TLS with `certificates`, and those that are `awaited`, if there are any, for these `protocols`; their files are in `watches` from now
/// on.
fn speak_tls(
    certificates: &[Certificate],
    awaited: &[AcmeCertificate],
    protocols: &[&str],
    watches: &mut Vec<CertificateWatch>,
) -> io::Result<Option<Tls>> {
    if certificates.is_empty() && awaited.is_empty() {
        return Ok(None);
    }
    let certificates = Arc::new(Certificates::new(certificates.to_vec(), awaited.to_vec()));
    watches.push(CertificateWatch::new(Arc::clone(&certificates)));
    Tls::new(certificates, protocols).map(Some).map_err(io::Error::other)
}

/// Where visitors find a site, as far as that can be told without asking one: its `public_url`, or
/// its first plain host at the first listener's port; over TLS where that is spoken.
pub(super) fn home_of(site: &Site, http: &[SocketAddr], https: &[SocketAddr]) -> Option<Origin> {
    if let Some(origin) = &site.public_url {
        return Some(origin.clone());
    }
    let secure = https.first().map(|listener| (Scheme::Https, listener));
    let (scheme, listener) = secure.or_else(|| http.first().map(|listener| (Scheme::Http, listener)))?;
    let named = site.hosts.iter().find_map(|pattern| match pattern {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Any | HostPattern::OneLevel(_) => None,
    });
    let host = named.unwrap_or_else(|| match reachable(listener.ip()) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    Some(Origin::new(scheme, &Authority::parse(&format!("{host}:{}", listener.port()))?))
}

/// An address that a client on this machine can connect to, for a listener on all of them.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}
