//! The server behind the gateway: it keeps every byte that reaches it, so that a story can say
//! what the upstream was told rather than what the gateway claims.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::settle;
use super::wire::{Headers, Reader};

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// The request target, byte for byte.
    pub(crate) target: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
}

impl Received {
    /// The value of the header `name`, which may be there once at most.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.one(name)
    }
}

/// What the upstream is to answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A well-formed answer; `Content-Length` is added.
    Page { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// Nothing, with the connection kept open.
    Never,
}

impl Answer {
    pub(crate) fn page(body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
        Self::Page { status: 200, headers, body: body.as_bytes().to_vec() }
    }

    /// This page with one more header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        match &mut self {
            Self::Page { headers, .. } => headers.push((name.to_owned(), value.to_owned())),
            other => panic!("{other:?} has no headers"),
        }
        self
    }
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Received>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    connections: AtomicUsize,
}

/// An upstream on a port of its own.
pub(crate) struct FakeUpstream {
    address: SocketAddr,
    seen: Arc<Seen>,
    answer: Arc<Mutex<Answer>>,
    task: tokio::task::JoinHandle<()>,
}

impl FakeUpstream {
    /// An upstream that says hello to everyone.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        let seen = Arc::<Seen>::default();
        let answer = Arc::new(Mutex::new(Answer::page("hello from upstream")));
        let task = tokio::spawn(accept(listener, Arc::clone(&seen), Arc::clone(&answer)));
        Self { address, seen, answer, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what is answered from now on.
    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Every whole request so far.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// How many whole requests there were so far.
    pub(crate) fn count(&self) -> usize {
        self.seen.requests.lock().unwrap().len()
    }

    /// The latest request.
    pub(crate) fn last(&self) -> Received {
        self.seen.requests.lock().unwrap().last().expect("the upstream received a request").clone()
    }

    /// How many bytes there were so far, over all connections.
    pub(crate) fn byte_count(&self) -> usize {
        self.seen.bytes.lock().unwrap().len()
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Forgets what it received.
    pub(crate) async fn forget(&self) {
        settle().await;
        self.seen.requests.lock().unwrap().clear();
        self.seen.bytes.lock().unwrap().clear();
    }

    /// Fails if one byte arrived.
    pub(crate) async fn assert_untouched(&self, why: &str) {
        settle().await;
        let bytes = self.seen.bytes.lock().unwrap();
        assert!(bytes.is_empty(), "{why}: the upstream received {:?}", String::from_utf8_lossy(&bytes));
    }

    /// Fails if `needle` arrived, in a head or in a body.
    pub(crate) async fn assert_never_saw(&self, needle: &str) {
        settle().await;
        let bytes = self.seen.bytes.lock().unwrap();
        let found = bytes.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()));
        assert!(!found, "the upstream received {needle:?} in {:?}", String::from_utf8_lossy(&bytes));
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, seen: Arc<Seen>, answer: Arc<Mutex<Answer>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        seen.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answer)));
    }
}

async fn serve(stream: TcpStream, seen: Arc<Seen>, answer: Arc<Mutex<Answer>>) {
    let _best_effort = stream.set_nodelay(true);
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::logging(reader, Arc::clone(&seen.bytes));
    while let Some((first, headers)) = reader.head().await {
        let mut parts = first.splitn(3, ' ').map(str::to_owned);
        let method = parts.next().unwrap_or_default();
        let target = parts.next().unwrap_or_default();
        // A request without framing has no body (RFC 9112 §6.3). One cut off midway is no request.
        let Some((body, trailers)) =
            reader.framed(&headers).await.unwrap_or_else(|| Some(Default::default()))
        else {
            return;
        };
        let head_only = method == "HEAD";
        let closes = headers.lists("connection", "close");
        seen.requests.lock().unwrap().push(Received { method, target, headers, body, trailers });
        let answer = answer.lock().unwrap().clone();
        let (bytes, ends) = match answer {
            Answer::Page { status, headers, body } => (page(status, &headers, &body, head_only), closes),
            Answer::Bytes(bytes) => (bytes, true),
            Answer::Never => return std::future::pending().await,
        };
        if writer.write_all(&bytes).await.is_err() || ends {
            let _closed_already = writer.shutdown().await;
            return;
        }
    }
}

fn page(status: u16, headers: &[(String, String)], body: &[u8], head_only: bool) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !matches!(status, 204 | 304) {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    if !head_only && !matches!(status, 204 | 304) {
        bytes.extend_from_slice(body);
    }
    bytes
}
