//! Accepting connections and speaking HTTP/1.1 on them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::pace::{Pace, PacedBody, PacedStream};
use crate::http::{Response, reply};

/// What answers requests: whatever a worker was made for.
pub trait Answer {
    /// What is known of a connection.
    type Connection;

    /// A new connection from `peer`.
    fn connect(&self, peer: SocketAddr) -> Self::Connection;

    /// Answers one request on a connection.
    fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Self::Connection,
    ) -> impl Future<Output = Response>;
}

/// What a connection may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at one time, over all who share it.
    pub connections: Arc<Semaphore>,
    /// Bytes in a request's head.
    pub head_bytes: usize,
    /// Time for a whole request head.
    pub head_time: Duration,
    /// Time for which a connection may wait for another request.
    pub idle_time: Duration,
}

/// hyper cannot make its buffer smaller than this.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// After running out of file descriptors, how long to wait before trying again.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `shutdown` says so, then lets what runs come to an end.
pub(super) async fn serve<A: Answer + 'static>(
    listener: TcpListener,
    answer: Rc<A>,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            accepted = accept(&listener, &limits.connections) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                let talk = converse(stream, peer, Rc::clone(&answer), limits.clone(), shutdown.clone());
                tokio::task::spawn_local(async move {
                    talk.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(target: "tollgate::server", %error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Accepts one, then waits for a place: whoever has to wait further waits in the kernel's queue. A
/// listener on which nothing happens holds no place.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let (stream, peer) = listener.accept().await?;
    let permit = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((stream, peer, permit))
}

/// The length of a request's head, from the request line to the empty line.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const VERSION_AND_ENDS: usize = "  HTTP/1.1\r\n\r\n".len();
    const FIELD_ENDS: usize = ": \r\n".len();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_ENDS);
    request.method().as_str().len() + target + VERSION_AND_ENDS + fields.sum::<usize>()
}

async fn converse<A: Answer + 'static>(
    stream: TcpStream,
    peer: SocketAddr,
    answer: Rc<A>,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) {
    // Failing to set an option is no reason to turn a visitor away.
    let _latency_only = stream.set_nodelay(true);
    let pace = Pace::new(limits.head_time, limits.idle_time);
    let stream = PacedStream::new(stream, Rc::clone(&pace));
    let known = Rc::new(answer.connect(peer));
    let serving = Rc::clone(&pace);
    let service = service_fn(move |request| {
        let (answer, known, pace) = (Rc::clone(&answer), Rc::clone(&known), Rc::clone(&serving));
        async move {
            pace.answering();
            // hyper counts only while it waits for more, so a head that comes all at once may be
            // longer than it should.
            let response = if head_bytes(&request) > limits.head_bytes {
                reply::empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            } else {
                answer.answer(request, &known).await
            };
            Ok::<_, Infallible>(response.map(|body| PacedBody::new(body, pace)))
        }
    });
    let connection = http1::Builder::new()
        // One write of a short head and body is cheaper than gathering them.
        .writev(false)
        .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = pace.run_out() => return,
        _ = shutdown.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "tollgate::server", %peer, %error, "a connection ended badly");
    }
}
