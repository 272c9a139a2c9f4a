//! TLS on the listeners that speak it: versions, session tickets, and the handshake.

mod certificates;
mod watch;

pub use certificates::Certificates;
pub use watch::CertificateWatch;

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::socket::Counted;
use crate::acme::{self, Challenges};

/// How TLS is spoken on a listener: the same for all connections and workers.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    /// What authorities are shown who look whose the names are.
    challenges: Option<Arc<Challenges>>,
}

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
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), challenges: None })
    }

    /// The same, with `challenges` for authorities.
    #[must_use]
    pub fn proving(self, challenges: Arc<Challenges>) -> Self {
        Self { challenges: Some(challenges), ..self }
    }

    /// Shakes hands. How long that may take is the caller's business. There is `None` left to talk with
    /// where it was an authority's handshake.
    pub(super) async fn accept(&self, stream: Counted) -> io::Result<Option<TlsStream<Counted>>> {
        match &self.challenges {
            Some(challenges) if challenges.has_handshakes() => self.look_closely(stream, challenges).await,
            _ => self.acceptor.accept(stream).await.map(Some),
        }
    }

    /// The same while a challenge is pending. Who asks for its protocol and nothing else (RFC 8737 §3) sees
    /// the certificate that is made for that, and the connection is over: nothing is ever said on it. To
    /// all others nobody here knows that protocol.
    async fn look_closely(
        &self,
        stream: Counted,
        challenges: &Challenges,
    ) -> io::Result<Option<TlsStream<Counted>>> {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let protocols = hello.alpn().map(|mut offered| (offered.next(), offered.next()));
        if protocols == Some((Some(acme::PROTOCOL), None))
            && let Some(config) = hello.server_name().and_then(|name| challenges.handshake(name))
        {
            start.into_stream(config).await?.shutdown().await?;
            return Ok(None);
        }
        start.into_stream(Arc::clone(self.acceptor.config())).await.map(Some)
    }
}
