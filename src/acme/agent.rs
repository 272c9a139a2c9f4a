//! How the directory is talked to: HTTP/1.1 over TLS with the roots that are trusted, one connection for
//! each of the few requests, and never without TLS (RFC 8555 §6.1).

use std::error::Error as StdError;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::schedule::MOST_PATIENCE;
use crate::config::Authorities;
use crate::domain::clock::{Clock, Timestamp};

/// For one request with its answer.
const LIMIT: Duration = Duration::from_secs(45);

/// For one of the addresses of a host.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Bytes in an answer. A certificate with its chain has some ten thousand.
const MAX_ANSWER: usize = 1 << 20;

const NAME: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

pub(super) type Failed = Box<dyn StdError + Send + Sync>;

/// What was read, and how long to wait until it is read again.
pub(super) struct Page {
    pub(super) text: Bytes,
    pub(super) retry_after: Option<Duration>,
}

/// What talks to a directory. Copies share what they have heard.
#[derive(Clone)]
pub(super) struct Agent {
    tls: TlsConnector,
    clock: Arc<dyn Clock>,
    /// For how long the authority wants to be left alone, in seconds; 0 if it has not said so.
    asked: Arc<AtomicU64>,
}

impl Agent {
    /// Trusts `roots`, or else the system's authorities.
    pub(super) fn new(roots: Option<&Authorities>, clock: &Arc<dyn Clock>) -> Result<Self, Failed> {
        let roots = roots.map_or_else(system_roots, |own| Ok(Arc::clone(&own.roots)))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(config).into(), clock: Arc::clone(clock), asked: Arc::default() })
    }

    /// For how long the authority asked to be left alone since this was asked the last time.
    pub(super) fn take_asked(&self) -> Option<Duration> {
        let seconds = self.asked.swap(0, Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// What stands at `url`.
    pub(super) async fn read(&self, url: &str) -> Result<Page, Failed> {
        let request = Request::builder().uri(url).body(BodyWrapper::default())?;
        let answer = timeout(LIMIT, self.clone().exchange(request)).await;
        let answer = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if answer.status() != StatusCode::OK {
            return Err(format!("{url} answers {}", answer.status()).into());
        }
        let retry_after = retry_after(answer.headers(), self.clock.now());
        Ok(Page { retry_after, text: answer.into_body().collect().await?.to_bytes() })
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, Failed> {
        let (mut head, body) = request.into_parts();
        let uri = std::mem::take(&mut head.uri);
        let stream = self.connect(&uri).await?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let authority = authority.rsplit('@').next().unwrap_or_default();
        head.headers.insert(HOST, HeaderValue::from_str(authority)?);
        head.headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        head.uri = uri.path_and_query().map_or("/", PathAndQuery::as_str).parse()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = pin!(async move {
            let answer = sender.send_request(Request::from_parts(head, body)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, Failed>(Response::from_parts(head, Full::new(body)))
        });
        let mut answer = match select(answer, pin!(connection)).await {
            Either::Left((answer, _)) => answer?,
            Either::Right((_, answer)) => answer.await?,
        };
        bound(answer.headers_mut(), self.clock.now());
        self.note(&answer);
        Ok(answer)
    }

    async fn connect(&self, uri: &Uri) -> Result<TlsStream<TcpStream>, Failed> {
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(format!("{uri} is not https").into());
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(443);
        let failed = |error: io::Error| format!("{host}:{port}: {error}");
        let name = ServerName::try_from(host.to_owned())?;
        let stream = reach(host, port).await.map_err(failed)?;
        Ok(self.tls.connect(name, stream).await.map_err(failed)?)
    }

    /// Notes down what an authority says that wants to be left alone (RFC 8555 §6.6, RFC 9110 §10.2.3).
    fn note<B>(&self, answer: &Response<B>) {
        if !matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        if let Some(asked) = retry_after(answer.headers(), self.clock.now()) {
            self.asked.fetch_max(asked.as_secs(), Ordering::Relaxed);
        }
    }
}

impl HttpClient for Agent {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let agent = self.clone();
        Box::pin(async move {
            let answer = timeout(LIMIT, agent.exchange(request)).await;
            let answer = answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
            answer.map(BytesResponse::from).map_err(Error::Other)
        })
    }
}

/// Bounds what a `Retry-After` asks for: the library counts with it, and who counts to the end of time panics.
fn bound(headers: &mut HeaderMap, now: Timestamp) {
    if retry_after(headers, now).is_some_and(|asked| asked > MOST_PATIENCE) {
        headers.insert(RETRY_AFTER, HeaderValue::from(MOST_PATIENCE.as_secs()));
    }
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds(text, now).map(Duration::from_secs)
}

/// What a `Retry-After` asks for: seconds, or a date.
fn seconds(text: &str, now: Timestamp) -> Option<u64> {
    text.trim().parse().ok().or_else(|| {
        let then = httpdate::parse_http_date(text.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let then = Timestamp::from_millis(u64::try_from(then.as_millis()).ok()?);
        Some(now.until(then).as_secs())
    })
}

/// Connects to the first address of `host` that answers.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host((host, port)).await? {
        match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

fn system_roots() -> Result<Arc<RootCertStore>, Failed> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this system has no certificate authorities to trust: install them (on Debian the package \
                    ca-certificates), or name your own with [acme] root_ca"
                .into(),
        );
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_asks_for_patience_in_seconds_or_by_a_date() {
        let now = Timestamp::from_millis(1_763_800_000_000);
        for (text, expected) in [
            ("120", Some(120)),
            ("Sat, 22 Nov 2025 08:27:40 GMT", Some(60)),
            ("Sat, 22 Nov 2025 08:20:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(seconds(text, now), expected, "{text}");
        }
    }
}
