//! One connection to an upstream, driven by whoever uses it.

use std::pin::Pin;
use std::task::{Context, Waker};

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::ProxyError;
use super::request_body::RequestBody;
use crate::config::Upstream;

/// A connection and the handle to send on it. Nothing happens on it unless it is polled.
pub(super) struct Link {
    sender: SendRequest<RequestBody>,
    driver: Pin<Box<Connection<TokioIo<TcpStream>, RequestBody>>>,
    ended: bool,
}

impl Link {
    /// Connects. How long that may take is the caller's business.
    pub(super) async fn connect(upstream: &Upstream) -> Result<Self, ProxyError> {
        let stream =
            TcpStream::connect((upstream.host.as_str(), upstream.port)).await.map_err(ProxyError::Connect)?;
        // Requests are written whole: waiting for more would only add latency.
        stream.set_nodelay(true).map_err(ProxyError::Connect)?;
        let (sender, driver) = http1::Builder::new()
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ProxyError::Broken)?;
        Ok(Self { sender, driver: Box::pin(driver), ended: false })
    }

    /// Sends a request and waits for the head of its answer. A request that was certainly not
    /// sent comes back in the error.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Lets the connection read and write what it can.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = self.driver.as_mut().poll(cx).is_ready();
        }
    }

    /// Whether the connection can carry another request now: both sides are through with the last
    /// one and the upstream has not hung up.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }
}
