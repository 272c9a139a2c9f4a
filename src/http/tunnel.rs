//! A connection that has become another protocol's.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// What is done with a visitor's connection once it is told that it may have another protocol on
/// it.
pub struct Tunnel(Box<dyn FnOnce(Box<dyn Duplex>, Bytes) -> Running>);

type Running = Pin<Box<dyn Future<Output = ()>>>;

impl Tunnel {
    /// `carry` gets the visitor's connection and what has been read from it already.
    pub fn new<F: Future<Output = ()> + 'static>(
        carry: impl FnOnce(Box<dyn Duplex>, Bytes) -> F + 'static,
    ) -> Self {
        Self(Box::new(move |visitor, early| Box::pin(carry(visitor, early))))
    }

    /// Carries until either side ends it.
    pub async fn carry(self, visitor: impl Duplex + 'static, early: Bytes) {
        (self.0)(Box::new(visitor), early).await;
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}
