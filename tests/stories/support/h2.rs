//! HTTP/2 by hand and by a library: the hand says what no library would.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::HANG;
use super::wire::{Connection, Headers, Response};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// On HEADERS and DATA.
pub(crate) const END_STREAM: u8 = 1;
/// On HEADERS and CONTINUATION.
pub(crate) const END_HEADERS: u8 = 4;
/// On HEADERS and DATA.
pub(crate) const PADDED: u8 = 8;
/// On HEADERS.
pub(crate) const PRIORITISED: u8 = 0x20;
/// On SETTINGS and PING.
pub(crate) const ACK: u8 = 1;

/// What a well-behaved client speaks.
pub(crate) struct Honest(SendRequest<Full<Bytes>>);

impl Honest {
    /// Speaks HTTP/2 on `stream`.
    pub(crate) async fn on(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("begins");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Speaks it on the plain listener.
    pub(crate) async fn plainly(gateway: SocketAddr) -> Self {
        Self::on(Connection::dial([127, 0, 0, 1].into(), gateway).await).await
    }

    /// Sends a request; `None` if the connection or the stream ends without an answer.
    pub(crate) async fn send(&self, request: http::Request<Full<Bytes>>) -> Option<Response> {
        let mut sender = self.0.clone();
        timeout(HANG, sender.ready()).await.expect("has room for a request").ok()?;
        let (head, body) =
            timeout(HANG, sender.send_request(request)).await.expect("an answer").ok()?.into_parts();
        let body = timeout(HANG, body.collect()).await.expect("a body").ok()?;
        let fields = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        let headers = Headers(fields.collect());
        let body = body.to_bytes().to_vec();
        Some(Response { status: head.status.as_u16(), headers, body, interim: Vec::new(), closes: false })
    }

    /// Sends a GET without a body for `url`.
    pub(crate) async fn get(&self, url: &str) -> Response {
        let request = http::Request::get(url).body(Full::default()).expect("a request");
        self.send(request).await.expect("an answer")
    }
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Status(u16),
    /// The stream was reset, with this reason.
    Reset(u32),
    /// The connection ended.
    Gone,
}

/// A client that says whatever it is told to.
pub(crate) struct Raw {
    stream: TcpStream,
    next: u32,
    /// The streams that were reset so far.
    pub(crate) resets: Vec<u32>,
}

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block in which each field is said in full (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(short) if short < 127 => block.push(short),
                _ => {
                    block.push(127);
                    let mut rest = text.len() - 127;
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).expect("fits") | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).expect("fits"));
                }
            }
            block.extend_from_slice(text);
        }
    }
    block
}

/// The header block of a plain GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    block(&[
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"site.test"),
        (b":path", path.as_bytes()),
    ])
}

/// The header block of a POST with these fields besides.
pub(crate) fn post(path: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let head: [(&[u8], &[u8]); 4] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"site.test"),
        (b":path", path.as_bytes()),
    ];
    block(&[&head, more].concat())
}

impl Raw {
    /// A connection on which the client has begun to speak HTTP/2, without compression.
    pub(crate) async fn begin(gateway: SocketAddr) -> Self {
        Self::begin_with(gateway, &[0, 1, 0, 0, 0, 0]).await
    }

    /// The same with these settings.
    pub(crate) async fn begin_with(gateway: SocketAddr, settings: &[u8]) -> Self {
        let mut raw = Self::dial(gateway).await;
        assert!(raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await);
        raw
    }

    /// A connection on which nothing has been said.
    pub(crate) async fn dial(gateway: SocketAddr) -> Self {
        let stream = Connection::dial([127, 0, 0, 1].into(), gateway).await;
        Self { stream, next: 1, resets: Vec::new() }
    }

    /// Sends bytes; `false` once the other side has closed.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(HANG, self.stream.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }

    /// The number of the next stream.
    pub(crate) fn next_stream(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// Sends a request without a body.
    pub(crate) async fn ask(&mut self, block: &[u8]) -> u32 {
        let stream = self.next_stream();
        self.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, block)).await;
        stream
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn receive(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("fits")];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], flags: head[4], stream, payload })
        };
        let frame = timeout(HANG, reading).await.expect("a frame, or the end");
        self.resets.extend(frame.iter().filter(|frame| frame.kind == RST_STREAM).map(|frame| frame.stream));
        frame
    }

    /// What becomes of the request on `stream`.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Outcome {
        while let Some(frame) = self.receive().await {
            match frame.kind {
                HEADERS if frame.stream == stream => return Outcome::Status(status(&frame.payload)),
                RST_STREAM if frame.stream == stream => {
                    let reason = frame.payload.try_into().expect("four bytes");
                    return Outcome::Reset(u32::from_be_bytes(reason));
                }
                _ => {}
            }
        }
        Outcome::Gone
    }

    /// The answer on `stream`, its body read to the end.
    pub(crate) async fn whole_answer(&mut self, stream: u32) -> (u16, Vec<u8>) {
        let (mut answered, mut body) = (0, Vec::new());
        while let Some(frame) = self.receive().await {
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS if answered == 0 => answered = status(&frame.payload),
                DATA => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return (answered, body);
            }
        }
        panic!("the connection ended within an answer: {answered} {body:?}");
    }

    /// Sends `bytes` over and over; how often, until the other side had enough. Gives up after
    /// `most` times.
    pub(crate) async fn flood(&mut self, bytes: &[u8], most: usize) -> Option<usize> {
        let (mut reader, mut writer) = self.stream.split();
        let drain = async {
            let mut room = vec![0; 1 << 16];
            while reader.read(&mut room).await.is_ok_and(|length| length > 0) {}
        };
        let send = async {
            for sent in 0..most {
                if writer.write_all(bytes).await.is_err() {
                    return Some(sent);
                }
            }
            None
        };
        let flooding = async {
            tokio::select! {
                floods = send => floods,
                () = drain => Some(0),
            }
        };
        timeout(HANG, flooding).await.expect("an end")
    }
}

/// The status in a header block of ours, in which it comes first (RFC 7541 §6, and its appendix B
/// for the digits).
pub(crate) fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let start = block.iter().position(|byte| byte >> 5 != 1).expect("something behind table sizes");
    match block[start] {
        indexed @ 0x88..=0x8e => INDEXED[usize::from(indexed - 0x88)],
        0x48 | 0x08 | 0x18 => {
            let (length, text) = (usize::from(block[start + 1] & 0x7f), &block[start + 2..]);
            let digits = if block[start + 1] & 0x80 == 0 {
                text[..length].to_vec()
            } else {
                huffman_digits(&text[..length])
            };
            String::from_utf8(digits).expect("digits").parse().expect("a status")
        }
        other => panic!("no status: {other:#x} in {block:?}"),
    }
}

fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut digits = Vec::new();
    while digits.len() < 3 {
        let five = (0..5).fold(0, |code, _| code << 1 | bits.next().expect("five bits"));
        digits.push(match five {
            0..=2 => b'0' + five,
            _ => b'0' + (five << 1 | bits.next().expect("six bits")) - 22,
        });
    }
    digits
}
