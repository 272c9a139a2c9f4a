//! The sockets of the configuration: bound, with TLS where it belongs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use crate::acme::{Challenges, Unwritten};
use crate::config::{AcmeCertificate, Certificate, Settings, Site};
use crate::domain::host::{Authority, HostPattern, Origin, Scheme};
use crate::server::{Certificates, Inherited, Listener, Tls, bind};

/// What clients are offered over TLS, the best first.
const PROTOCOLS: &[&str] = &["h2", "http/1.1"];

/// The same where a connection has to be one visitor's for a site, which none in HTTP/2 can be. Browsers
/// use one in HTTP/2 for all hosts in a certificate, so there is no telling sites apart.
const PROTOCOLS_OF_ONE: &[&str] = &["http/1.1"];

/// Every listener there is.
pub(super) struct Listeners {
    /// Where visitors come in.
    pub(super) public: Vec<Listener<TcpListener>>,
    /// What the configuration calls each of these.
    named: Vec<SocketAddr>,
    /// Where operators and login pages do.
    pub(super) control: Listener<TcpListener>,
    public_tls: Option<Spoken>,
    control_tls: Option<Spoken>,
    /// What authorities are shown at the public ones.
    pub(super) challenges: Arc<Challenges>,
    /// What they show that is in no file yet.
    pub(super) unwritten: Arc<Unwritten>,
}

/// How TLS is spoken, and what is shown.
#[derive(Clone)]
struct Spoken {
    tls: Tls,
    protocols: &'static [&'static str],
    shown: Arc<Certificates>,
    /// What is to be shown, if that is something else.
    next: Option<(Vec<Certificate>, Vec<AcmeCertificate>)>,
}

impl Listeners {
    /// Opens what `settings` name, as far as it is not among `inherited`, all of which has to be
    /// named.
    pub(super) fn open(settings: &Settings, mut inherited: Inherited) -> io::Result<Self> {
        let (server, control) = (&settings.server, &settings.control);
        let mut listen = |purpose, addresses: &[SocketAddr]| {
            let found = inherited.take(purpose, addresses).into_iter().zip(addresses);
            found
                .map(|(found, address)| found.map_or_else(|| bind(*address), Ok))
                .collect::<io::Result<Vec<_>>>()
        };
        let (http, https) = (listen("http", &server.http)?, listen("https", &server.https)?);
        let operators = listen("control", &[control.listen])?;
        inherited.finish()?;
        let control = operators.into_iter().next().ok_or(io::ErrorKind::NotFound)?;
        Self::of(settings, http, https, control, None)
    }

    /// The same for other settings, with the sockets that there are already. Nothing that is open is
    /// closed by that.
    pub(super) fn in_place_of(before: &Self, settings: &Settings) -> io::Result<Self> {
        let mut known: Vec<_> = before.named.iter().zip(&before.public).collect();
        let mut listen = |scheme, addresses: &[SocketAddr]| {
            let listener = |address: &SocketAddr| {
                let index = |is_it: &dyn Fn(&Listener<TcpListener>) -> bool| {
                    known.iter().position(|(named, known)| *named == address && is_it(known))
                };
                // Where the system picks the port, several are named alike.
                match index(&|known| known.scheme() == scheme).or_else(|| index(&|_| true)) {
                    Some(index) => known.remove(index).1.socket.try_clone(),
                    None => bind(*address),
                }
            };
            addresses.iter().map(listener).collect::<io::Result<Vec<_>>>()
        };
        let http = listen(Scheme::Http, &settings.server.http)?;
        let https = listen(Scheme::Https, &settings.server.https)?;
        Self::of(settings, http, https, before.control.socket.try_clone()?, Some(before))
    }

    fn of(
        settings: &Settings,
        http: Vec<TcpListener>,
        https: Vec<TcpListener>,
        control: TcpListener,
        before: Option<&Self>,
    ) -> io::Result<Self> {
        let server = &settings.server;
        let is_pinned = settings.sites.iter().any(|site| site.connection_auth);
        let protocols = if is_pinned { PROTOCOLS_OF_ONE } else { PROTOCOLS };
        let spoken = before.and_then(|before| before.public_tls.as_ref());
        let challenges = before.map(|before| Arc::clone(&before.challenges)).unwrap_or_default();
        let unwritten = before.map(|before| Arc::clone(&before.unwritten)).unwrap_or_default();
        let awaited = settings.acme.as_ref().map_or(&[][..], |acme| &acme.certificates);
        let prove = |tls: Tls| tls.proving(Arc::clone(&challenges));
        let show = |shown: Certificates| shown.beside(Arc::clone(&unwritten));
        let public_tls = speak_tls(&server.certificates, awaited, protocols, (show, prove), spoken)?;
        let spoken = before.and_then(|before| before.control_tls.as_ref());
        let control_tls = speak_tls(
            settings.control.certificate.as_slice(),
            &[],
            PROTOCOLS,
            (|own| own, |tls| tls),
            spoken,
        )?;
        let proxies: Option<Arc<[_]>> =
            server.proxy_protocol.then(|| server.trusted_proxies.as_slice().into());
        let public = |tls: Option<&Spoken>| {
            let (proxies, h2c, tls) = (proxies.clone(), server.h2c, tls.map(|spoken| spoken.tls.clone()));
            move |socket| Listener { socket, proxies: proxies.clone(), tls: tls.clone(), h2c }
        };
        let public =
            http.into_iter().map(public(None)).chain(https.into_iter().map(public(public_tls.as_ref())));
        let tls = control_tls.as_ref().map(|spoken| spoken.tls.clone());
        Ok(Self {
            public: public.collect(),
            named: [server.http.as_slice(), &server.https].concat(),
            control: Listener { socket: control, proxies: None, tls, h2c: false },
            public_tls,
            control_tls,
            challenges,
            unwritten,
        })
    }

    /// What clients are shown, where TLS is spoken.
    pub(super) fn shown(&self) -> Vec<Arc<Certificates>> {
        self.shown_to_visitors().into_iter().chain(self.shown_to_operators()).collect()
    }

    /// What visitors are shown, if TLS is spoken to them.
    pub(super) fn shown_to_visitors(&self) -> Option<Arc<Certificates>> {
        self.public_tls.as_ref().map(|spoken| Arc::clone(&spoken.shown))
    }

    /// What operators and login pages are.
    pub(super) fn shown_to_operators(&self) -> Option<Arc<Certificates>> {
        self.control_tls.as_ref().map(|spoken| Arc::clone(&spoken.shown))
    }

    /// Shows what is to be shown from now on, where it is something else.
    pub(super) fn show_certificates(&mut self) {
        for spoken in self.public_tls.iter_mut().chain(&mut self.control_tls) {
            if let Some((certificates, awaited)) = spoken.next.take() {
                spoken.shown.expect(awaited);
                spoken.shown.replace(certificates);
            }
        }
    }

    /// The addresses of the public listeners over `scheme`, in the order of the configuration.
    pub(super) fn addresses(&self, scheme: Scheme) -> io::Result<Vec<SocketAddr>> {
        let listeners = self.public.iter().filter(|listener| listener.scheme() == scheme);
        listeners.map(|listener| listener.socket.local_addr()).collect()
    }
}

/// TLS with `certificates`, and those that are `awaited`, if there are any, for these `protocols`: as it is
/// spoken `before`, if it is, so that whoever was here can resume.
fn speak_tls(
    certificates: &[Certificate],
    awaited: &[AcmeCertificate],
    protocols: &'static [&'static str],
    (show, equip): (impl FnOnce(Certificates) -> Certificates, impl FnOnce(Tls) -> Tls),
    before: Option<&Spoken>,
) -> io::Result<Option<Spoken>> {
    if certificates.is_empty() && awaited.is_empty() {
        return Ok(None);
    }
    let (certificates, awaited) = (certificates.to_vec(), awaited.to_vec());
    if let Some(before) = before.filter(|before| before.protocols == protocols) {
        return Ok(Some(Spoken { next: Some((certificates, awaited)), ..before.clone() }));
    }
    let shown = Arc::new(show(Certificates::new(certificates, awaited)));
    let tls = equip(Tls::new(Arc::clone(&shown), protocols).map_err(io::Error::other)?);
    Ok(Some(Spoken { tls, protocols, shown, next: None }))
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
