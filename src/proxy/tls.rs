//! TLS with upstreams: whom we trust, and who we are to them.
//!
//! There is no switch that trusts everybody. What such switches are used for, a machine that made
//! its certificate itself, has a better way: a certificate that stands in the `ca` file is
//! accepted as it is, whatever name it has and however old it is. The handshake still proves that
//! the upstream has its key.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{Authorities, Upstream, UpstreamTls};

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How to speak TLS with one upstream.
pub(super) struct Tls {
    connector: TlsConnector,
    /// Whom to ask for, and whose name the certificate has to have.
    name: ServerName<'static>,
    http2: bool,
}

impl Tls {
    /// With `config`, which was made of `tls`. `None` if no certificate could name the upstream.
    pub(super) fn new(config: &Arc<ClientConfig>, upstream: &Upstream, tls: &UpstreamTls) -> Option<Self> {
        let connector = TlsConnector::from(Arc::clone(config));
        Some(Self { connector, name: upstream.tls_name(tls)?, http2: tls.http2 })
    }

    /// Shakes hands on `stream`, and sees to it that the upstream agrees to the version of HTTP that
    /// will be spoken.
    pub(super) async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        let (_, connection) = stream.get_ref();
        if self.http2 && connection.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("it does not offer HTTP/2 (ALPN)"));
        }
        Ok(stream)
    }
}

/// What speaks TLS with a server that is no upstream: trusted is whom an upstream with this `ca` would be.
///
/// # Errors
/// If there is no `ca`, and the system has no authorities.
pub fn trusting(ca: Option<Authorities>) -> io::Result<TlsConnector> {
    let tls = UpstreamTls { ca, ..UpstreamTls::default() };
    Trust::default().client_config(&tls).map(TlsConnector::from)
}

/// What all sites' clients have in common.
#[derive(Default)]
pub(super) struct Trust {
    /// The system's authorities, once somebody needed them.
    system: Option<Arc<RootCertStore>>,
}

impl Trust {
    /// What a site's connections with https have in common.
    pub(super) fn client_config(&mut self, tls: &UpstreamTls) -> io::Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = self.verifier(tls, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = CertifiedKey::clone(&own.key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        let protocol = if tls.http2 { HTTP2 } else { HTTP1 };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }

    fn verifier(
        &mut self,
        tls: &UpstreamTls,
        provider: &Arc<CryptoProvider>,
    ) -> io::Result<Arc<dyn ServerCertVerifier>> {
        let roots = tls.ca.as_ref().map_or_else(|| self.system(), |ca| Ok(Arc::clone(&ca.roots)))?;
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        let webpki = webpki.build().map_err(io::Error::other)?;
        Ok(match &tls.ca {
            None => webpki,
            Some(ca) => Arc::new(Named { accepted: ca.certificates.clone(), webpki }),
        })
    }

    fn system(&mut self) -> io::Result<Arc<RootCertStore>> {
        if let Some(system) = &self.system {
            return Ok(Arc::clone(system));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(io::Error::other(
                "there is https to be spoken, and this system has no certificate authorities to trust: install \
                 them (on Debian the package ca-certificates), or name your own with ca",
            ));
        }
        Ok(Arc::clone(self.system.insert(Arc::new(roots))))
    }
}

/// Accepts the very certificates that the operator named, and else judges as browsers do, with
/// them as authorities.
#[derive(Debug)]
struct Named {
    accepted: Vec<CertificateDer<'static>>,
    webpki: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.accepted.iter().any(|accepted| accepted == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
