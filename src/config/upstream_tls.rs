//! `[site.upstream_tls]`: what is asked of upstreams with https.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

use super::certificate::{self, Certificate};
use super::document::Read;
use super::section::Section;
use super::text::Text;

/// `[site.upstream_tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Who is trusted, in place of the system's authorities.
    pub ca: Option<Authorities>,
    /// The certificate with which the gateway proves who it is.
    pub identity: Option<Certificate>,
    /// The name that the upstream's certificate has to have, in place of its host.
    pub server_name: Option<ServerName<'static>>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
}

/// Certificates that are trusted.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// The certificates themselves.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The same as authorities for others.
    pub roots: Arc<RootCertStore>,
}

impl Authorities {
    /// Those of a PEM file: at least one, and none that cannot be understood.
    pub fn of_pem(pem: &[u8]) -> Result<Self, &'static str> {
        const BROKEN: &str = "has a certificate in it that cannot be understood";
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates: Vec<CertificateDer<'static>> = certificates.map_err(|_| BROKEN)?;
        if certificates.is_empty() {
            return Err("has no certificate in it");
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|_| BROKEN)?;
        }
        Ok(Self { certificates, roots: Arc::new(roots) })
    }
}

/// The roots follow from the certificates.
impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for Authorities {}

pub(super) fn read(mut section: Section<'_>) -> Read<UpstreamTls> {
    let ca = section.text("ca").and_then(|text| text.map(|text| authorities(&text)).transpose());
    let identity = certificate::read_optional(&mut section);
    let server_name = section.text("server_name").and_then(|text| {
        let name = |text: &str| ServerName::try_from(text.to_owned()).ok();
        let remedy = "write a host name or an address, without scheme and port";
        text.map(|text| text.parse(name, "is not a name that a certificate can have", remedy)).transpose()
    });
    let http2 = section.flag("http2", false);
    section.finish();
    Ok(UpstreamTls { ca: ca?, identity: identity?, server_name: server_name?, http2: http2? })
}

/// Reads the PEM file at `text`.
pub(super) fn authorities(text: &Text<'_>) -> Read<Authorities> {
    const REMEDY: &str = "name a PEM file with \"BEGIN CERTIFICATE\" in it; a path begins where the \
                          configuration file lies";
    let pem = std::fs::read(text.to_path());
    let pem = pem.map_err(|error| text.refuse(&format!("cannot be read: {error}"), REMEDY))?;
    Authorities::of_pem(&pem).map_err(|problem| text.refuse(problem, REMEDY))
}
