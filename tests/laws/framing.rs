//! What is taken for a request is one for another reader of the same bytes, with the same body, and
//! in whatever pieces the bytes came.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::BytesMut;
use http::{HeaderMap, Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tollgate::http::h1::{Chunked, FramingFault, Head, HeadReader, Length, Piece};

/// Bytes in a head, for these laws.
const ROOM: usize = 2000;

/// A request as somebody read it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: Uri,
    version: Version,
    /// Names and values, sorted.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: usize,
}

/// What the bytes come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    /// Requests that came whole.
    seen: Vec<Seen>,
    /// Where the last of them ends.
    end: usize,
    fault: Option<FramingFault>,
}

/// Reads what comes in `pieces` as the gateway does: nothing behind a request that ends the
/// connection, or that asks for another protocol.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
    let (mut read, mut incoming, mut came) = (Reading::default(), BytesMut::new(), 0);
    let (mut heads, mut current) = (HeadReader::default(), None::<(Seen, Receiving, bool)>);
    for piece in pieces {
        incoming.extend_from_slice(piece);
        came += piece.len();
        loop {
            let Some((seen, receiving, is_last)) = &mut current else {
                match heads.take(&mut incoming, ROOM) {
                    Ok(Some(head)) => current = Some(begun(head)),
                    Ok(None) => break,
                    Err(fault) => {
                        read.fault = Some(fault);
                        return read;
                    }
                }
                continue;
            };
            match receiving.take(&mut incoming) {
                Poll::Pending => break,
                Poll::Ready(Ok(Piece::Data(data))) => seen.body.extend_from_slice(&data),
                Poll::Ready(Ok(Piece::Trailers(trailers))) => seen.trailers = trailers.len(),
                Poll::Ready(Ok(Piece::End)) => {
                    read.seen.push(seen.clone());
                    read.end = came - incoming.len();
                    if *is_last {
                        return read;
                    }
                    current = None;
                }
                Poll::Ready(Err(fault)) => {
                    read.fault = Some(fault);
                    return read;
                }
            }
        }
    }
    read
}

enum Receiving {
    Length(usize),
    Chunked(Chunked),
}

impl Receiving {
    fn take(&mut self, incoming: &mut BytesMut) -> Poll<Result<Piece, FramingFault>> {
        match self {
            Self::Chunked(chunked) => chunked.take(incoming),
            Self::Length(0) => Poll::Ready(Ok(Piece::End)),
            Self::Length(_) if incoming.is_empty() => Poll::Pending,
            Self::Length(left) => {
                let data = incoming.split_to((*left).min(incoming.len())).freeze();
                *left -= data.len();
                Poll::Ready(Ok(Piece::Data(data)))
            }
        }
    }
}

fn begun(head: Head) -> (Seen, Receiving, bool) {
    let is_last = head.wants_upgrade || !head.persists;
    let receiving = match head.length {
        Length::Known(length) => Receiving::Length(usize::try_from(length).unwrap_or(usize::MAX)),
        Length::Chunked => Receiving::Chunked(Chunked::default()),
    };
    let seen = Seen {
        method: head.parts.method.to_string(),
        target: head.parts.uri,
        version: head.parts.version,
        fields: fields_of(&head.parts.headers),
        body: Vec::new(),
        trailers: 0,
    };
    (seen, receiving, is_last)
}

fn fields_of(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    fields.sort();
    fields
}

/// A connection's end that has no more than this to say, and then says nothing.
struct Wire(VecDeque<Vec<u8>>);

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.0.pop_front() else { return Poll::Pending };
        let fits = piece.len().min(buf.remaining());
        let rest = piece.split_off(fits);
        buf.put_slice(&piece);
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The requests that the server's own parser reads, as far as they are complete.
fn parsed(pieces: VecDeque<Vec<u8>>) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let record = Rc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        let record = Rc::clone(&record);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok();
            if let Some(body) = body {
                let fields = fields_of(&head.headers);
                record.borrow_mut().push(Seen {
                    method: head.method.to_string(),
                    target: head.uri,
                    version: head.version,
                    fields,
                    trailers: body.trailers().map_or(0, HeaderMap::len),
                    body: body.to_bytes().to_vec(),
                });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut connection =
        pin!(http1::Builder::new().max_buf_size(8192).serve_connection(Wire(pieces), service));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    // Nothing comes from outside: when it waits and nothing wakes it, all has been read.
    while connection.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        if !woken.0.swap(false, Ordering::Relaxed) {
            break;
        }
    }
    drop(waker);
    let seen = seen.borrow();
    seen.clone()
}

/// A request that is well-formed.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = (
        select(vec!["GET", "POST", "HEAD", "OPTIONS", "PROPFIND", "get"]),
        select(vec!["/", "/a/b?c=d", "*", "http://a/b", "/%00%0d%0a", "/\"{}|", "//", "a", "/#"]),
    );
    let fields = prop::collection::vec(
        select(vec![
            "Accept: */*",
            "X:",
            "X-Long: 0123456789 0123456789 0123456789 0123456789",
            "Content_Length: 3",
            "Transfer_Encoding: chunked",
            "Expect: 100-continue",
            "Connection: keep-alive, content-length",
            "Connection: close",
            "TE: trailers",
            "Upgrade: h2c",
            "X: \t a\tb \t",
            "x-utf8: \u{e4}\u{20ac}",
        ]),
        0..4,
    );
    let body = prop_oneof![
        Just(("1.1", String::from("\r\n"))),
        Just(("1.0", String::from("\r\n"))),
        Just(("1.0", String::from("Connection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"))),
        bytes_of_a_body().prop_map(|body| ("1.1", format!("Content-Length: {}\r\n\r\n{body}", body.len()))),
        (prop::collection::vec((bytes_of_a_body(), extension()), 0..3), trailers())
            .prop_map(|(chunks, trailers)| ("1.1", chunked(&chunks, &trailers))),
    ];
    (line, fields, body, any::<bool>()).prop_map(|((method, target), fields, (version, rest), empty_line)| {
        let fields = fields.iter().flat_map(|field| [*field, "\r\n"]).collect::<String>();
        let start = if empty_line { "\r\n" } else { "" };
        format!("{start}{method} {target} HTTP/{version}\r\nHost: a\r\n{fields}{rest}").into_bytes()
    })
}

/// Bodies that look like what comes behind them.
fn bytes_of_a_body() -> impl Strategy<Value = &'static str> {
    select(vec!["x", "hello", "\r\n", "0\r\n\r\n", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "\n\0\r"])
}

fn extension() -> impl Strategy<Value = &'static str> {
    select(vec!["", ";a", ";a=b", ";a=\"b;\\\"c\"", ";a;b=c"])
}

fn trailers() -> impl Strategy<Value = String> {
    prop::collection::vec(select(vec!["X-Sum: abc\r\n", "a:\r\n", "Content-Length: 5\r\n"]), 0..3)
        .prop_map(|lines| lines.concat())
}

fn chunked(chunks: &[(&str, &str)], trailers: &str) -> String {
    let chunk = |(data, extension): &(&str, &str)| format!("{:X}{extension}\r\n{data}\r\n", data.len());
    let data = chunks.iter().map(chunk).collect::<Vec<_>>().concat();
    format!("transfer-encoding: Chunked\r\n\r\n{data}0\r\n{trailers}\r\n")
}

/// What may make two readers disagree.
fn snippet() -> impl Strategy<Value = Vec<u8>> {
    let text = select(vec![
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        "\t",
        ":",
        ";",
        ",",
        "\"",
        "=",
        "0",
        "5",
        "\u{b}",
        "\u{e4}",
        "\r\n ",
        "\r\n\r\n",
        "chunked",
        "0\r\n\r\n",
        "5\r\n",
        "ffffffffffffffff",
        "00000000000000000",
        "HTTP/1.1",
        "HTTP/2.0",
        "HTTP/1.0",
        "\r\nContent-Length: 5",
        "\r\nContent-Length: 0",
        "\r\ncontent-length:5",
        "\r\nContent-Length : 5",
        "\r\nTransfer-Encoding: chunked",
        "\r\nTransfer-Encoding : chunked",
        "\r\nTransfer-Encoding: x, chunked",
        "\r\nHost: b",
        "\r\nUpgrade: x",
        "\r\nConnection: close",
        "CONNECT ",
        "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nX-Long: a value that is longer than what is looked at at once",
    ]);
    prop_oneof![9 => text.prop_map(|text| text.as_bytes().to_vec()), 1 => any::<u8>().prop_map(|byte| vec![byte])]
}

/// A place, whether it is to be at a line's end, how many bytes go there, and what comes instead.
fn mutation() -> impl Strategy<Value = (Index, bool, usize, Vec<u8>)> {
    (
        any::<Index>(),
        any::<bool>(),
        prop_oneof![2 => Just(0_usize), 1 => 1_usize..4],
        prop_oneof![1 => Just(Vec::new()), 3 => snippet()],
    )
}

fn pipeline() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(request(), 1..4).prop_map(|requests| requests.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn another_reader_finds_the_same_requests(
        pipeline in pipeline(),
        mutations in prop::collection::vec(mutation(), 0..4),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
    ) {
        let mut bytes = pipeline;
        for (at, at_line_end, removed, snippet) in mutations {
            let line_ends = (0..bytes.len()).filter(|at| at_line_end && bytes[*at..].starts_with(b"\r\n"));
            let line_ends: Vec<usize> = line_ends.collect();
            let at = if line_ends.is_empty() { at.index(bytes.len() + 1) } else { *at.get(&line_ends) };
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, snippet);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();

        let whole = read([&*bytes]);
        let cut = read(cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]));
        let bytewise = read(bytes.chunks(1));
        let text = bytes.escape_ascii();
        for other in [&whole, &cut] {
            prop_assert_eq!((&other.seen, other.end), (&bytewise.seen, bytewise.end), "{}", text);
            // Of two faults either may be met first.
            prop_assert_eq!(other.fault.is_some(), bytewise.fault.is_some(), "{}", text);
        }
        // Another reader of the same bytes finds the same requests in them.
        let passed = &bytes[..bytewise.end];
        prop_assert_eq!(&parsed([passed.to_vec()].into()), &bytewise.seen, "{}", text);
    }

    #[test]
    fn what_is_well_formed_passes(pipeline in pipeline()) {
        let read = read([&*pipeline]);
        prop_assert_eq!(read.fault, None, "{}", pipeline.escape_ascii());
        prop_assert!(!read.seen.is_empty());
    }
}
