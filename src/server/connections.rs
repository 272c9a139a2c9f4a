//! Accepting connections, and what is asked of whoever answers on them.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::door::Door;
use super::reception::receive;
use crate::domain::clock::Timestamp;
use crate::domain::host::Scheme;
use crate::http::watch::Watch;
use crate::http::{Request, Response};

/// What answers requests: whatever a worker was made for.
pub trait Answer {
    /// What is known of a connection.
    type Connection;

    /// A new connection from `peer` over `scheme`.
    fn connect(&self, peer: SocketAddr, scheme: Scheme) -> Self::Connection;

    /// Nothing is said on a connection for the time being.
    fn rest(&self, connection: &Self::Connection);

    /// The worker's deadlines.
    fn watch(&self) -> &Rc<Watch>;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Answers one request on a connection.
    fn answer(&self, request: Request, connection: &Self::Connection) -> impl Future<Output = Response>;
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
    /// Time between two pieces of a body, in either direction.
    pub body_time: Duration,
    /// Time for which a connection may wait for another request.
    pub idle_time: Duration,
}

/// A connection that was accepted.
pub(super) struct Guest {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Its place among all connections.
    pub(super) permit: OwnedSemaphorePermit,
}

/// After running out of file descriptors, how long to wait before trying again.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `shutdown` says so, then lets what runs come to an end.
pub(super) async fn serve<A: Answer + 'static>(
    door: Door<TcpListener>,
    answer: Rc<A>,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) {
    let (door, limits) = (Rc::new(door), Rc::new(limits));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            accepted = accept(&door.listener, &limits.connections) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                // Failing to set an option is no reason to turn a visitor away.
                let _latency_only = stream.set_nodelay(true);
                let guest = Guest { stream, peer, permit };
                tokio::task::spawn_local(receive(
                    Rc::clone(&door),
                    guest,
                    Rc::clone(&answer),
                    Rc::clone(&limits),
                ));
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
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let (stream, peer) = listener.accept().await?;
    let permit = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((stream, peer, permit))
}
