//! An upstream that the story plays itself, word by word: what each side has heard when the other has
//! not yet said all is then for the story to tell.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::HANG;
use super::gateway::{Plan, SitePlan, TestGateway};

/// Where the gateway finds the story itself.
pub(crate) struct ByHand(TcpListener);

impl ByHand {
    /// An upstream that takes no connection yet.
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("binds"))
    }

    /// The same behind a gateway with one site, changed.
    pub(crate) async fn behind(change: impl FnOnce(SitePlan) -> SitePlan) -> (TestGateway, Self) {
        let upstream = Self::start().await;
        let site = SitePlan::new("intranet", "site.test", upstream.address());
        (Plan::of(change(site)).start().await, upstream)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("has an address")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> TcpStream {
        timeout(HANG, self.0.accept()).await.expect("a connection").expect("accepts").0
    }
}

/// An upstream that does `serve` with each connection, and where it is found.
pub(crate) async fn serving<F>(mut serve: impl FnMut(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads until what was read contains `needle`; returns all of it.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin + ?Sized), needle: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(needle) {
        let read = timeout(HANG, stream.read_buf(&mut text)).await.expect("more bytes").expect("reads");
        assert!(read > 0, "ended without {needle:?}: {:?}", String::from_utf8_lossy(&text));
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// All that comes until the connection ends.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _reset_is_an_end = timeout(HANG, stream.read_to_end(&mut bytes)).await.expect("an end");
    bytes
}
