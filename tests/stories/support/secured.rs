//! Upstreams behind TLS: how they show who they are, and whom they let in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tollgate::config::CertificateFiles;

/// A certificate for `name` as machines make them for themselves, in files in `folder`: by the word
/// of nobody else, an authority by its own, and long over.
pub(crate) fn self_made(folder: &Path, name: &str) -> CertificateFiles {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let cert = params.self_signed(&key).expect("a certificate");
    let path = |extension: &str| -> PathBuf { folder.join(name).with_extension(extension) };
    let files = CertificateFiles { cert: path("pem"), key: path("key") };
    std::fs::write(&files.cert, cert.pem()).expect("writes");
    std::fs::write(&files.key, key.serialize_pem()).expect("writes");
    files
}

/// A server with the certificate in `files` that offers `protocols`, and lets in only whom the
/// authority in the file `clients` has signed, if there is one.
pub(crate) fn acceptor(files: &CertificateFiles, protocols: &[&str], clients: Option<&Path>) -> TlsAcceptor {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.expect("has roots"))
        }
    };
    let chain = CertificateDer::pem_file_iter(&files.cert).expect("reads").collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
    let mut config =
        builder.with_single_cert(chain.expect("certificates"), key).expect("they belong together");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
