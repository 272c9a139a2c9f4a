//! An upstream that speaks HTTP/2 and leaves it to the story what it says on each stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::HANG;

/// A request on a stream, and the way to answer it.
pub(crate) struct Stream {
    pub(crate) request: Request<RecvStream>,
    pub(crate) answer: SendResponse<Bytes>,
}

impl Stream {
    /// The next piece of the request's body; `None` at its end.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let body = self.request.body_mut();
        let piece = timeout(HANG, body.data()).await.expect("a piece of the body, or its end")?;
        if let Ok(piece) = &piece {
            body.flow_control().release_capacity(piece.len()).expect("has the capacity");
        }
        Some(piece)
    }

    /// The rest of the request's body, and its trailers.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await {
            whole.extend_from_slice(&piece.expect("a whole body"));
        }
        let trailers = timeout(HANG, self.request.body_mut().trailers()).await.expect("an end");
        (whole, trailers.expect("a whole body"))
    }

    /// Answers with this head, and with a body to follow.
    pub(crate) fn begin(&mut self, head: Response<()>) -> h2::SendStream<Bytes> {
        self.answer.send_response(head, false).expect("the stream is open")
    }

    /// Answers with 200 and `body`.
    pub(crate) fn say(&mut self, body: &str) {
        let mut stream = self.begin(Response::new(()));
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).expect("the stream is open");
    }
}

/// An upstream on a port of its own.
pub(crate) struct H2Upstream {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    leaving: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// How an [`H2Upstream`] is to be.
#[derive(Clone, Default)]
pub(crate) struct H2Plan {
    /// Streams that it allows at a time.
    pub(crate) max_streams: Option<u32>,
    /// How it speaks TLS, if it does.
    pub(crate) tls: Option<TlsAcceptor>,
}

impl H2Upstream {
    /// An upstream that does `serve` with each request.
    pub(crate) async fn start<F>(serve: impl Fn(Stream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::planned(H2Plan::default(), serve).await
    }

    /// The same with a plan.
    pub(crate) async fn planned<F>(plan: H2Plan, serve: impl Fn(Stream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        let connections = Arc::<AtomicUsize>::default();
        let (leaving, left) = watch::channel(false);
        let serve = Arc::new(serve);
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let _best_effort = stream.set_nodelay(true);
                let (plan, serve, left) = (plan.clone(), Arc::clone(&serve), left.clone());
                tokio::spawn(async move {
                    match plan.tls.clone() {
                        None => converse(stream, plan, serve, left).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, plan, serve, left).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, connections, leaving, task }
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Says on each connection that it takes no more requests there, and ends it when those that
    /// are running are through.
    pub(crate) fn leave(&self) {
        self.leaving.send_replace(true);
    }
}

impl Drop for H2Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse<S, F>(
    stream: S,
    plan: H2Plan,
    serve: Arc<impl Fn(Stream) -> F + Send + Sync + 'static>,
    mut left: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = h2::server::Builder::new();
    if let Some(max) = plan.max_streams {
        builder.max_concurrent_streams(max);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    left.mark_unchanged();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, answer))) => drop(tokio::spawn(serve(Stream { request, answer }))),
                Some(Err(_)) | None => return,
            },
            Ok(()) = left.changed() => connection.graceful_shutdown(),
        }
    }
}
