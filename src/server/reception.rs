//! What happens between accepting a connection and the first request on it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::connections::{AcceptedConnection, Answer, Limits};
use super::listener::Listener;
use super::preface::announces_h2;
use super::proxy_protocol::introduce;
use super::socket::Counted;
use super::traffic::Traffic;
use super::{h1, h2};
use crate::domain::host::Scheme;

/// Receives a connection that came in at `listener`, and talks until it ends.
pub(super) async fn receive<A: Answer + 'static>(
    listener: Arc<Listener<()>>,
    accepted: AcceptedConnection,
    answer: Rc<A>,
    limits: Rc<Limits>,
) {
    let AcceptedConnection { stream, peer, slot, seat } = accepted;
    if let Err(error) = welcome(&listener, stream, peer, answer, limits).await {
        tracing::debug!(target: "tollgate::server", %peer, %error, "a connection ended badly");
    }
    drop((slot, seat));
}

async fn welcome<A: Answer + 'static>(
    listener: &Listener<()>,
    mut stream: TcpStream,
    peer: SocketAddr,
    answer: Rc<A>,
    limits: Rc<Limits>,
) -> Result<(), Box<dyn Error>> {
    let mut source = None;
    if let Some(proxies) = &listener.proxies {
        // Nobody else's word would count, and without one it is not known who is there.
        if !proxies.iter().any(|proxy| proxy.contains(&peer.ip().to_canonical())) {
            return Err("the peer is not a trusted proxy".into());
        }
        source = Box::pin(in_time(limits.head_time, introduce(&mut stream))).await?;
    }
    // What most connections are not takes no room in those that are not.
    let Some(tls) = &listener.tls else {
        let is_h2 = listener.h2c && Box::pin(in_time(limits.head_time, announces_h2(&stream))).await?;
        let known = answer.connect(peer, source, Scheme::Http);
        if is_h2 {
            Box::pin(h2::converse(stream, known, answer, limits)).await?;
        } else {
            h1::converse(Counted::new(stream), known, answer, limits).await;
        }
        return Ok(());
    };
    // What comes of it is put into a box there: a place for it here would be every connection's.
    let shake_hands = async { Ok(tls.accept(Counted::new(stream)).await?.map(Box::new)) };
    let shaken = Box::pin(in_time(limits.head_time, shake_hands)).await;
    let Traffic { shaken_hands, failed_handshakes, .. } = &*limits.traffic;
    if shaken.is_ok() {
        shaken_hands.increment();
    } else {
        failed_handshakes.increment();
    }
    let Some(stream) = shaken? else { return Ok(()) };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let known = answer.connect(peer, source, Scheme::Https);
    if is_h2 {
        Box::pin(h2::converse(stream, known, answer, limits)).await?;
    } else {
        h1::converse(stream, known, answer, limits).await;
    }
    Ok(())
}

/// Whoever only opens connections must not keep them: what comes before a request has to be over
/// in the time of a head.
async fn in_time<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, step).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
