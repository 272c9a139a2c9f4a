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

use crate::support::{FakeUpstream, Plan, serving, settle};
use play::Verdict;

/// Cases in which either does not do as demanded.
struct Known {
    why: &'static str,
    /// What to make of what is seen: of the library, and of the gateway.
    library: Fault,
    gateway: Option<Fault>,
    cases: &'static [&'static str],
}

/// From the mildest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Blunt,
    Vague,
    Wrong,
}

impl Fault {
    fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Right => None,
            Verdict::Blunt => Some(Self::Blunt),
            Verdict::Vague => Some(Self::Vague),
            Verdict::Wrong(_) => Some(Self::Wrong),
        }
    }
}

const KNOWN: &[Known] = &[
    Known {
        why: "the library finds it while it decodes, where it knows the connection alone",
        library: Fault::Blunt,
        gateway: Some(Fault::Blunt),
        cases: &[
            "4.2 DATA that is too long",
            "6.9 WINDOW_UPDATE of a stream by nothing",
            "8.2.1 a capital letter in a name",
            "8.2.1 a space in a name",
            "8.2.1 a colon in a name",
            "8.2.1 a control character in a name",
            "8.2.1 DEL in a name",
            "8.2.1 a name beyond ASCII",
            "8.2.1 no name",
            "8.2.1 NUL in a value",
            "8.2.1 LF in a value",
            "8.2.1 CR in a value",
            "8.2.1 a capital letter in a trailer",
            "8.2.1 NUL in a trailer",
            "8.3 a pseudo-field that nobody knows",
            "8.3 an unknown pseudo-field in the trailers",
            "8.3.1 an empty method",
            "8.3.1 a method with a space",
        ],
    },
    Known {
        why: "the library ends the connection, and has PROTOCOL_ERROR for what has a name of its own",
        library: Fault::Vague,
        gateway: Some(Fault::Vague),
        cases: &[
            "4.3 a header block that cannot be decoded",
            "4.3 trailers that cannot be decoded",
            "6.1 DATA on a stream that its client has ended",
            "6.3 PRIORITY that is too short",
            "6.3 PRIORITY that is too long",
            "6.4 RST_STREAM that is too short",
            "6.4 RST_STREAM that is too long",
            "6.7 PING that is too short",
            "6.7 PING that is too long",
            "6.8 GOAWAY that is too short",
            "5.1 half-closed: DATA",
            "5.1 half-closed, and its answer begun: DATA",
            "5.1 half-closed: HEADERS",
            "5.1 closed by RST_STREAM: HEADERS",
            "5.1 closed: HEADERS",
            "6.5 an acknowledgement that says something",
            "6.5 an acknowledgement with a value",
            "6.5 SETTINGS that are too short",
            "6.5 SETTINGS with a byte too many",
            "6.5.2 INITIAL_WINDOW_SIZE above the greatest",
            "6.9 WINDOW_UPDATE that is too short",
            "6.9 WINDOW_UPDATE that is too long",
            "6.9 WINDOW_UPDATE of a stream that is too short",
            "6.9.2 a change to more than may be",
            "8.1 DATA after the trailers",
            "HPACK 6.1 index 0",
            "HPACK 2.3.3 an index beyond both tables",
            "HPACK 2.3.3 the first index beyond both tables",
            "HPACK 2.3.3 a name's index beyond both tables",
            "HPACK 2.3.2 one entry, and the index of a second",
            "HPACK 4.3 an entry that a smaller table drove out",
            "HPACK 4.4 an entry that is larger than the table",
            "HPACK 6.3 a table that is too large",
            "HPACK 6.3 a table that is far too large",
            "HPACK 4.2 a table's size at the end of a head",
            "HPACK 4.2 a table's size within a head",
            "HPACK 5.2 padding longer than 7 bits",
            "HPACK 5.2 padding of zeros",
            "HPACK 5.2 the end of the string within the string",
            "HPACK 5.2 the end of the string after a letter",
            "HPACK 5.2 a string that is cut off",
            "HPACK 5.2 a field without a value",
            "HPACK 5.1 an integer without an end",
            "HPACK 5.1 an integer that is too large",
            "HPACK 5.1 a length that is too large",
        ],
    },
    Known {
        why: "the library takes SETTINGS whenever they come; until then the defaults hold",
        library: Fault::Wrong,
        gateway: None,
        cases: &[
            "3.4 a preface that is not followed by SETTINGS",
            "3.4 a preface that is followed by a request",
        ],
    },
    Known {
        why: "the library drops them before anybody sees them, and the upstream never does",
        library: Fault::Wrong,
        gateway: Some(Fault::Wrong),
        cases: &["8.3 a pseudo-field in the trailers"],
    },
    Known {
        why: "the library leaves it to the service what values may be",
        library: Fault::Wrong,
        gateway: None,
        cases: &[
            "8.2.1 a space before a value",
            "8.2.1 a space after a value",
            "8.2.1 a tab before a value",
            "8.2.1 a tab after a value",
            "8.2.1 a space before a trailer",
            "8.2.1 a tab after a trailer",
        ],
    },
    Known {
        why: "the library leaves it to the service what a target and a host may be",
        library: Fault::Wrong,
        gateway: None,
        cases: &[
            "8.3.1 an asterisk that is no OPTIONS",
            "8.3.1 an empty scheme",
            "8.3.1 a Host that is another than the authority",
            "8.3.1 two Host",
            "8.3.1 no authority and no Host",
            "8.3.1 no authority and two Host",
            "8.3.1 a user in the authority",
            "8.5 CONNECT without an authority",
        ],
    },
];

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
        let known = KNOWN.iter().find(|known| known.cases.contains(&case.name));
        let expected = known.map_or((None, None), |known| (Some(known.library), known.gateway));
        if (Fault::of(&by_library), Fault::of(&by_gateway)) != expected {
            let why = known.map_or("both are right", |known| known.why);
            let name = case.name;
            wrong.push(format!("{name}: library {by_library:?}, gateway {by_gateway:?}; known is: {why}"));
        }
    }
    assert!(KNOWN.iter().all(|known| known.gateway <= Some(known.library)));
    for name in KNOWN.iter().flat_map(|known| known.cases) {
        let found = cases.iter().filter(|case| case.name == *name).count();
        assert_eq!(found, 1, "there is one case called {name:?}");
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

    // What was refused was not passed on before.
    settle().await;
    let reached = upstream.requests().into_iter().find(|request| request.target.contains("malformed"));
    assert!(reached.is_none(), "{reached:?}");
}

/// The library alone, with a service that answers as the upstream does.
async fn library() -> SocketAddr {
    serving(|stream| {
        let _best_effort = stream.set_nodelay(true);
        http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(100)
            .serve_connection(TokioIo::new(stream), service_fn(say_hello))
    })
    .await
}

async fn say_hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_head = request.method() == Method::HEAD;
    let _whole_or_not = request.into_body().collect().await;
    Ok(Response::new(Full::from(if is_head { "" } else { "hello from upstream" })))
}
