//! Certificates made for one story, and clients that trust whoever issued them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate::config::CertificateFiles;

use super::TestGateway;
use super::wire::Connection;

/// Who issues the certificates of a story, and the folder where they lie.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: rcgen::Certificate,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a root");
        let folder = tempfile::tempdir().expect("a folder");
        Self { issuer: Issuer::new(params, key), root, folder }
    }

    /// Issues a certificate for `names`, and keeps it and its key as `label`.
    pub(crate) fn issue(&self, label: &str, names: &[&str]) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.issue_with(label, &CertificateParams::new(names).expect("parameters"))
    }

    /// The same with all that may be said in a certificate.
    pub(crate) fn issue_with(&self, label: &str, params: &CertificateParams) -> CertificateFiles {
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = CertificateFiles { cert: self.path(label, "pem"), key: self.path(label, "key") };
        // In place of the old ones all at once, as whoever renews certificates does it.
        let write = |path: &Path, text: String| {
            let new = path.with_extension("new");
            std::fs::write(&new, text).expect("writes a file");
            std::fs::rename(new, path).expect("renames a file");
        };
        write(&files.cert, cert.pem());
        write(&files.key, key.serialize_pem());
        files
    }

    /// A file with the certificate of the authority itself.
    pub(crate) fn root_file(&self) -> PathBuf {
        let file = self.path("root", "pem");
        std::fs::write(&file, self.root.pem()).expect("writes a file");
        file
    }

    fn path(&self, label: &str, extension: &str) -> PathBuf {
        self.folder.path().join(label).with_extension(extension)
    }

    /// A client that trusts this authority.
    pub(crate) fn client(&self) -> Client {
        self.client_of(rustls::ALL_VERSIONS)
    }

    /// A client of these versions of TLS.
    pub(crate) fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> Client {
        Client::trusting(self.root.der().clone(), versions)
    }
}

/// What opens TLS connections. It remembers the tickets that it gets.
#[derive(Clone)]
pub(crate) struct Client(ClientConfig);

impl Client {
    /// Trusts whoever has a certificate that leads to `root`.
    pub(crate) fn trusting(
        root: CertificateDer<'static>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(config)
    }

    /// Trusts everybody.
    pub(crate) fn blind() -> Self {
        let provider = Arc::new(default_provider());
        let verifier = Arc::new(Blind(provider.signature_verification_algorithms.supported_schemes()));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Self(config)
    }

    /// Offers these protocols.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Does not say whom it wants to talk to.
    pub(crate) fn anonymous(mut self) -> Self {
        self.0.enable_sni = false;
        self
    }

    /// Shakes hands with the gateway as with `name`.
    pub(crate) async fn shake(
        &self,
        gateway: &TestGateway,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = Connection::dial([127, 0, 0, 1].into(), gateway.https()).await;
        self.shake_over(stream, name).await
    }

    /// Shakes hands on `stream` as with `name`.
    pub(crate) async fn shake_over(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        TlsConnector::from(Arc::new(self.0.clone())).connect(name, stream).await
    }

    /// A connection in HTTP/1.1 to the gateway as to `name`.
    pub(crate) async fn connect(&self, gateway: &TestGateway, name: &str) -> Connection {
        Connection::over(self.shake(gateway, name).await.expect("shakes hands"))
    }
}

/// What a connection was agreed on.
pub(crate) fn session(stream: &TlsStream<TcpStream>) -> &ClientConnection {
    stream.get_ref().1
}

/// Whether a connection went on where another ended.
pub(crate) fn is_resumed(stream: &TlsStream<TcpStream>) -> bool {
    session(stream).handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Finds every certificate good. It knows these kinds of signatures.
#[derive(Debug)]
struct Blind(Vec<SignatureScheme>);

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
