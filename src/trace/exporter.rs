//! Spans on their way to a collector: OTLP over HTTP, in protobuf, from a thread of its own.
//!
//! Nobody waits for it. What comes while the collector does not answer waits in a bounded queue; what does not
//! fit, or is refused, is dropped and counted.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::otlp::{Export, Exported, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span};
use super::span::Finished;
use crate::config::{Endpoint, SpanExport};
use crate::domain::clock::Timestamp;
use crate::http::body::read_up_to;
use crate::metrics::{Counter, Kind, Page, Source};

/// Batches of workers that wait to be sent.
const WAITING: usize = 256;

/// Spans in one call, about.
const MOST: usize = 512;

/// How long spans are gathered for one call.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// For one call, connecting included.
const CALL_TIME: Duration = Duration::from_secs(10);

/// What is waited before a call is tried again, as long as it makes sense to.
const RETRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How long the end of the program waits for a collector.
const PATIENCE: Duration = Duration::from_secs(2);

/// More than any collector has to say.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Counts {
    sent: Counter,
    too_many: Counter,
    undelivered: Counter,
    rejected: Counter,
}

enum Job {
    Spans(Vec<Finished>),
    Tell(mpsc::SyncSender<()>),
}

/// The way to a collector. It ends when nobody has it any more.
pub struct Exporter {
    settings: SpanExport,
    queue: Sender<Job>,
    counts: Arc<Counts>,
}

impl Exporter {
    /// Prepares what `settings` say, and starts the thread that does it.
    pub fn start(settings: SpanExport) -> io::Result<Self> {
        let tls = settings.endpoint.is_https.then(|| tls(&settings)).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (queue, jobs) = channel(WAITING);
        let counts = Arc::<Counts>::default();
        let collector = Collector {
            settings: settings.clone(),
            tls,
            counts: Arc::clone(&counts),
            connection: None,
            is_in_trouble: false,
        };
        thread::Builder::new()
            .name("spans".to_owned())
            .spawn(move || runtime.block_on(run(collector, jobs)))?;
        Ok(Self { settings, queue, counts })
    }

    /// What it was started with.
    pub fn settings(&self) -> &SpanExport {
        &self.settings
    }

    /// Which part of the traces is recorded.
    pub(super) fn sample(&self) -> f64 {
        self.settings.sample
    }

    /// Hands in what is over, at once or not at all.
    pub(super) fn put(&self, finished: Vec<Finished>) {
        let count = finished.len() as u64;
        if self.queue.try_send(Job::Spans(finished)).is_err() {
            self.counts.too_many.add(count);
        }
    }

    /// Waits until what was handed in is sent, but not for long.
    pub fn close(&self) {
        let (sender, done) = mpsc::sync_channel(1);
        if self.queue.try_send(Job::Tell(sender)).is_ok() {
            let _has_had_its_time = done.recv_timeout(PATIENCE);
        }
    }
}

/// What became of spans, if there are any.
pub struct SpanFigures(pub Option<Arc<Exporter>>);

impl Source for SpanFigures {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let counts = self.0.as_ref().map(|exporter| Arc::clone(&exporter.counts)).unwrap_or_default();
        let Counts { sent, too_many, undelivered, rejected } = &*counts;
        page.begin("tollgate_trace_spans_sent_total", Kind::Counter, "Spans that a collector has taken.");
        page.figure(&[], sent.value());
        let help = "Recorded requests or spans that were dropped, by reason.";
        page.begin("tollgate_trace_spans_dropped_total", Kind::Counter, help);
        for (reason, counter) in
            [("queue_full", too_many), ("undelivered", undelivered), ("rejected", rejected)]
        {
            page.figure(&[("reason", reason)], counter.value());
        }
    }
}

fn tls(settings: &SpanExport) -> io::Result<TlsConnector> {
    let roots = if let Some(ca) = &settings.ca {
        Arc::clone(&ca.roots)
    } else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let what = "[trace] endpoint has https, and this system has no certificate authorities to trust: \
                        install them (on Debian the package ca-certificates), or name your own with ca";
            return Err(io::Error::other(what));
        }
        Arc::new(roots)
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
}

async fn run(mut collector: Collector, mut jobs: Receiver<Job>) {
    let mut jobs_to_come = true;
    while jobs_to_come {
        let (mut spans, mut waiting) = (Vec::new(), Vec::new());
        let Some(first) = jobs.recv().await else { return };
        let mut next = Some(first);
        let gathering = sleep(GATHERED_FOR);
        tokio::pin!(gathering);
        loop {
            match next.take() {
                Some(Job::Spans(finished)) => {
                    spans.extend(finished.into_iter().flat_map(Finished::into_spans));
                }
                Some(Job::Tell(sender)) => waiting.push(sender),
                None => jobs_to_come = false,
            }
            if spans.len() >= MOST || !waiting.is_empty() || !jobs_to_come {
                break;
            }
            tokio::select! {
                () = &mut gathering => break,
                job = jobs.recv() => next = job,
            }
        }
        if !spans.is_empty() {
            // Who waits for the end of it does so for the first try.
            collector.deliver(spans, waiting.is_empty() && jobs_to_come).await;
        }
        for sender in waiting {
            let _has_gone = sender.try_send(());
        }
    }
}

/// A collector, and the connection to it.
struct Collector {
    settings: SpanExport,
    tls: Option<TlsConnector>,
    counts: Arc<Counts>,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// Whether it was said that there is something wrong.
    is_in_trouble: bool,
}

/// Why spans were not taken.
enum Failure {
    /// It may help to try again.
    ForNow(String),
    /// It does not.
    ForGood(String),
}

impl Collector {
    async fn deliver(&mut self, spans: Vec<Span>, may_retry: bool) {
        let count = spans.len() as u64;
        let body = Bytes::from(self.export(spans).encode_to_vec());
        let mut waits = RETRIES.iter().filter(|_| may_retry);
        let why = loop {
            let outcome = timeout(CALL_TIME, self.call(body.clone())).await;
            match outcome.unwrap_or_else(|_| Err(Failure::ForNow("no answer in time".to_owned()))) {
                Ok(rejected) => {
                    self.counts.sent.add(count.saturating_sub(rejected));
                    self.counts.rejected.add(rejected.min(count));
                    if std::mem::take(&mut self.is_in_trouble) {
                        tracing::info!(target: "tollgate::trace", "the collector takes spans again");
                    }
                    return;
                }
                Err(Failure::ForGood(why)) => break why,
                Err(Failure::ForNow(why)) => {
                    // Whatever is left on it is nothing that could be waited for.
                    self.connection = None;
                    let Some(wait) = waits.next() else { break why };
                    sleep(*wait).await;
                }
            }
        };
        self.counts.undelivered.add(count);
        if !std::mem::replace(&mut self.is_in_trouble, true) {
            let collector = self.settings.endpoint.authority.as_str();
            tracing::warn!(target: "tollgate::trace", collector, why, "the collector does not take spans");
        }
    }

    fn export(&self, spans: Vec<Span>) -> Export {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let resource = Resource {
            attributes: vec![
                KeyValue::text("service.name", self.settings.service.as_str()),
                KeyValue::text("service.version", version.as_str()),
            ],
        };
        let scope = Some(Scope { name: "tollgate".to_owned(), version });
        let scope_spans = vec![ScopeSpans { scope, spans }];
        Export { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] }
    }

    /// Sends the spans; how many of them were rejected.
    async fn call(&mut self, body: Bytes) -> Result<u64, Failure> {
        let for_now = |error: &dyn std::fmt::Display| Failure::ForNow(error.to_string());
        let mut sender = match self.connection.take().filter(SendRequest::is_ready) {
            Some(sender) => sender,
            None => self.connect().await.map_err(|error| for_now(&error))?,
        };
        let Endpoint { authority, path, .. } = &self.settings.endpoint;
        let request = Request::post(path.as_str()).header(HOST, authority.as_str());
        let mut request =
            request.body(Full::new(body)).map_err(|error| Failure::ForGood(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &self.settings.headers {
            headers.insert(name, value.clone());
        }
        let answer = sender.send_request(request).await.map_err(|error| for_now(&error))?;
        let status = answer.status();
        let answer = read_up_to(answer.into_body(), MAX_ANSWER).await.map_err(|error| for_now(&error))?;
        self.connection = Some(sender);
        match status {
            StatusCode::OK => {
                let rejected = Exported::decode(answer).ok().and_then(|said| said.partial_success);
                Ok(rejected.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0)))
            }
            // Those for which OTLP has it that one tries again.
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Failure::ForNow(status.to_string())),
            other => Err(Failure::ForGood(other.to_string())),
        }
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let Endpoint { host, port, .. } = &self.settings.endpoint;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        let Some(tls) = &self.tls else { return begin(stream).await };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        begin(tls.connect(name, stream).await?).await
    }
}

async fn begin<S>(stream: S) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}
