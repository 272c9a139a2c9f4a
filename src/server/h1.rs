//! A conversation in HTTP/1.1 on one connection.

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use http::{Request, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::connections::{Answer, Limits};
use super::pace::{Pace, PacedBody, PacedStream};
use crate::http::body::Incoming;
use crate::http::reply;

/// hyper cannot make its buffer smaller than this.
const SMALLEST_BUFFER: usize = 8 * 1024;

/// Answers requests on `stream` until either side ends it, its time runs out, or `shutdown` says
/// so and what runs is finished.
pub(super) async fn converse<S, A>(
    stream: S,
    known: A::Connection,
    answer: Rc<A>,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Answer + 'static,
{
    let pace = Pace::new(limits.head_time, limits.idle_time);
    let stream = PacedStream::new(stream, Rc::clone(&pace));
    let known = Rc::new(known);
    let serving = Rc::clone(&pace);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (answer, known, pace) = (Rc::clone(&answer), Rc::clone(&known), Rc::clone(&serving));
        async move {
            pace.answering();
            // hyper counts only while it waits for more, so a head that comes all at once may be
            // longer than it should.
            let response = if head_bytes(&request) > limits.head_bytes {
                reply::empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            } else {
                answer.answer(request.map(Incoming::Http2), &known).await
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
        () = pace.run_out() => return Ok(()),
        _ = shutdown.wait_for(|stop| *stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended
}

/// The length of a request's head, from the request line to the empty line.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const VERSION_AND_ENDS: usize = "  HTTP/1.1\r\n\r\n".len();
    const FIELD_ENDS: usize = ": \r\n".len();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_ENDS);
    request.method().as_str().len() + target + VERSION_AND_ENDS + fields.sum::<usize>()
}
