//! Ending a connection in a way that nobody takes for the end of what was said on it.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection that can be broken.
pub(super) trait Sever {
    /// Has the other side told, once the connection is dropped, that it broke: by a reset in place of an
    /// end. What it has not taken yet is lost.
    fn sever(&self);
}

impl Sever for TcpStream {
    fn sever(&self) {
        let _best_effort = self.set_zero_linger();
    }
}

impl<S: Sever + AsyncRead + AsyncWrite + Unpin> Sever for Box<TlsStream<S>> {
    fn sever(&self) {
        self.get_ref().0.sever();
    }
}
