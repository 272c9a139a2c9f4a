//! What RFC 9113 and RFC 7541 demand of a server, demand by demand.
//!
//! Each case is a script of frames and what may come of it. It is played to the gateway and to the
//! library below it, bare: whatever the library does right, the gateway has to do right too. What
//! either does wrong is listed here with its reason, and the list may not be wrong either way.

mod flow_control;
mod frames;
mod hpack;
mod messages;
mod play;
mod settings;
mod streams;

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::support::{FakeUpstream, Plan, settle};
use play::Case;

/// A case that somebody does not pass, and why.
struct Known {
    name: &'static str,
    whose: Whose,
    why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The gateway makes good what the library lets through.
    Library,
    Both,
}

const KNOWN: &[Known] = &[];

#[tokio::test]
async fn the_gateway_does_right_whatever_the_library_below_it_does_right() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("h2c", "true").start().await;
    let library = library().await;
    let cases = [
        frames::cases(),
        streams::cases(),
        settings::cases(),
        flow_control::cases(),
        messages::cases(),
        hpack::cases(),
    ]
    .concat();
    let mut wrong = Vec::new();
    for case in &cases {
        let (by_library, by_gateway) = (case.play(library).await, case.play(gateway.http).await);
        let known = KNOWN.iter().find(|known| known.name == case.name);
        let found = match (&by_library, &by_gateway) {
            (Ok(()), Ok(())) => None,
            (Err(_), Ok(())) => Some(Whose::Library),
            (Err(_), Err(_)) => Some(Whose::Both),
            (Ok(()), Err(came)) => {
                wrong.push(format!("{}: the gateway alone is wrong: {came}", case.name));
                continue;
            }
        };
        if found != known.map(|known| known.whose) {
            let why = known.map_or("nothing", |known| known.why);
            wrong.push(format!(
                "{}: library {by_library:?}, gateway {by_gateway:?}, but known is: {why}",
                case.name
            ));
        }
    }
    for known in KNOWN {
        if !cases.iter().any(|case| case.name == known.name) {
            wrong.push(format!("{}: there is no such case", known.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

    // What was refused was not passed on before.
    settle().await;
    let reached = upstream.requests().into_iter().find(|request| request.target.contains("malformed"));
    assert!(reached.is_none(), "{reached:?}");
}

/// The library alone, with a service that answers as the upstream does.
async fn library() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _best_effort = stream.set_nodelay(true);
            let connection = http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(100)
                .serve_connection(TokioIo::new(stream), service_fn(say_hello));
            tokio::spawn(connection);
        }
    });
    address
}

async fn say_hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_head = request.method() == Method::HEAD;
    let _whole_or_not = request.into_body().collect().await;
    Ok(Response::new(Full::from(if is_head { "" } else { "hello from upstream" })))
}
