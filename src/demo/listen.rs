//! The accept loop that both demo servers share.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer::Answer;

/// One failure to accept passes (a peer that hung up, a moment without free descriptors); this
/// many in a row do not.
const MAX_FAILURES: u32 = 50;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Answers every request on `listener` with `handler` until `shutdown`, then cuts what is still
/// open: nobody depends on a demo.
pub(super) async fn serve<H, F>(
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    handler: H,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    let mut failures = 0;
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            // Takes ended connections out of the set, which would grow for ever otherwise.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    failures = 0;
                    connections.spawn(converse(stream, handler.clone()));
                }
                Err(error) if failures == MAX_FAILURES => return Err(error),
                Err(_) => {
                    failures += 1;
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            },
        }
    }
}

async fn converse<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let conversation =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    // A peer that hangs up or speaks something else is its own affair.
    drop(conversation.await);
}
