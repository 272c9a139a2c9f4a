//! TLS on the listeners that speak it: versions, session tickets, and the handshake.

mod certificates;
mod watch;

pub use certificates::Certificates;
pub use watch::CertificateWatch;

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How TLS is spoken on a listener: the same for all connections and workers.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// TLS 1.2 and 1.3 with `certificates`, offering `protocols` (ALPN, the best first).
    ///
    /// Whoever comes back may resume with a ticket, under keys that change every six hours and
    /// are forgotten after twelve. Early data is not taken: it could be replayed.
    pub fn new(certificates: Arc<Certificates>, protocols: &[&str]) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.ticketer = Ticketer::new()?;
        // All suites are good, and the order is this side's.
        config.ignore_client_order = true;
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands. How long that may take is the caller's business.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}
