//! A listening socket with what is spoken on it.

use std::io;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::net::TcpListener;

use super::tls::Tls;
use crate::domain::host::Scheme;

/// A listening socket, and what has to happen before requests can be read from its connections.
pub struct Listener<S> {
    /// The socket.
    pub socket: S,
    /// How TLS is spoken, if it is.
    pub tls: Option<Tls>,
    /// Who has to say whose connection it passes on, by the PROXY protocol; nobody else may
    /// connect then.
    pub proxies: Option<Arc<[IpNet]>>,
    /// Whether HTTP/2 is spoken without TLS to those who begin with it.
    pub h2c: bool,
}

impl<S> Listener<S> {
    /// What visitors speak here.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}

impl Listener<std::net::TcpListener> {
    /// The same listener for another worker.
    pub fn try_clone(&self) -> io::Result<Self> {
        let Self { socket, proxies, tls, h2c } = self;
        Ok(Self { socket: socket.try_clone()?, proxies: proxies.clone(), tls: tls.clone(), h2c: *h2c })
    }

    /// Lets the current thread's runtime accept at it. The socket comes by itself: it is closed
    /// when nobody accepts any more, while connections that were accepted go on.
    pub(super) fn open(self) -> io::Result<(TcpListener, Arc<Listener<()>>)> {
        let Self { socket, proxies, tls, h2c } = self;
        Ok((TcpListener::from_std(socket)?, Arc::new(Listener { socket: (), proxies, tls, h2c })))
    }
}
