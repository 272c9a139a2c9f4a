//! What happens between accepting a connection and the first request on it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connections::{Answer, Limits};
use super::door::Door;
use super::h1;
use crate::domain::host::Scheme;

/// Receives a connection that came from `peer` through `door`, and talks until it ends.
pub(super) async fn receive<A: Answer + 'static>(
    door: Rc<Door<TcpListener>>,
    stream: TcpStream,
    peer: SocketAddr,
    answer: Rc<A>,
    limits: Limits,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error>> {
    let Some(tls) = &door.tls else {
        let known = answer.connect(peer, Scheme::Http);
        return Ok(h1::converse(stream, known, answer, limits, shutdown).await?);
    };
    // Whoever only opens connections must not keep them: the handshake has to be over in the
    // time of a head.
    let shaken = tokio::time::timeout(limits.head_time, tls.accept(stream)).await;
    let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let known = answer.connect(peer, Scheme::Https);
    Ok(h1::converse(stream, known, answer, limits, shutdown).await?)
}
