//! HTTP/1.1 on bare sockets, for client and upstream alike: what a well-behaved library would
//! refuse to send, or would hide when it arrives, is what many stories are about.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::HANG;

/// Header fields in the order in which they came, values as bytes.
#[derive(Clone, Default)]
pub(crate) struct Headers(pub(crate) Vec<(String, Vec<u8>)>);

impl Headers {
    /// The values of every field called `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The value of the field called `name`, which may be there once at most.
    pub(crate) fn one(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        assert!(values.len() <= 1, "`{name}` occurs {} times: {self:?}", values.len());
        values.pop()
    }

    /// Whether the list-valued field `name` has `element`.
    pub(crate) fn lists(&self, name: &str, element: &str) -> bool {
        let has = |value: &String| value.split(',').any(|own| own.trim().eq_ignore_ascii_case(element));
        self.all(name).iter().any(has)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            write!(f, "\n    {name}: {}", String::from_utf8_lossy(value))?;
        }
        Ok(())
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    /// Every 1xx status that came before.
    pub(crate) interim: Vec<u16>,
    /// Whether the server is done with the connection.
    pub(crate) closes: bool,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("no JSON ({fault}) in {self:?}\n{}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.one(name)
    }

    /// The `Location`, which must be there.
    pub(crate) fn location(&self) -> String {
        self.header("location").unwrap_or_else(|| panic!("no Location in {self:?}\n{}", self.text()))
    }

    /// `error.code` of a JSON error.
    pub(crate) fn error_code(&self) -> String {
        let json = self.json();
        let code = json["error"]["code"].as_str();
        code.unwrap_or_else(|| panic!("no error.code in {json}")).to_owned()
    }
}

/// A client's connection.
pub(crate) struct Connection {
    reader: Reader<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
}

impl Connection {
    /// Connects to `to`. On Linux all of 127.0.0.0/8 is the loopback: `from` chooses who to be.
    pub(crate) async fn open(from: IpAddr, to: SocketAddr) -> Self {
        Self::over(Self::dial(from, to).await)
    }

    /// A connection over something else than a bare socket.
    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { reader: Reader::new(Box::new(reader)), writer: Box::new(writer) }
    }

    /// A bare socket.
    pub(crate) async fn dial(from: IpAddr, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("makes a socket");
        // Binding takes a port from everyone else, so only who is somebody special does it.
        if from != Ipv4Addr::LOCALHOST {
            socket.bind(SocketAddr::new(from, 0)).expect("binds to a loopback address");
        }
        let stream = timeout(HANG, socket.connect(to)).await.expect("connects in time").expect("connects");
        stream.set_nodelay(true).expect("sets an option");
        stream
    }

    /// Sends `bytes`; `false` if the other side did not take them all.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).await.is_ok()
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        let _closed_already = self.writer.shutdown().await;
    }

    /// Reads the answer to a request with `method`; `None` if the connection ends without one.
    pub(crate) async fn receive(&mut self, method: &str) -> Option<Response> {
        timeout(HANG, self.reader.response(method)).await.expect("an answer, or the connection's end")
    }

    /// Sends `request` and reads the answer at the same time: a server may well answer, and stop
    /// reading, before it has seen all.
    pub(crate) async fn exchange(&mut self, request: &[u8], method: &str) -> Option<Response> {
        let mut all_sent = false;
        let (reader, writer) = (&mut self.reader, &mut self.writer);
        let send = async {
            all_sent = writer.write_all(request).await.is_ok();
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            () = send => unreachable!("never ends"),
            answer = timeout(HANG, reader.response(method)) => answer.expect("an answer, or the connection's end"),
        };
        answer.map(|answer| Response { closes: answer.closes || !all_sent, ..answer })
    }

    /// Reads what comes next, whatever it is; `None` at the connection's end.
    pub(crate) async fn some(&mut self) -> Option<Vec<u8>> {
        let more = !self.reader.buffer.is_empty() || timeout(HANG, self.reader.fill()).await.expect("more");
        more.then(|| std::mem::take(&mut self.reader.buffer))
    }

    /// Reads up to the connection's end.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        timeout(HANG, self.reader.until_end()).await.expect("the connection ends")
    }
}

/// Takes messages from a byte stream and keeps a copy of every byte.
pub(crate) struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
    log: Arc<Mutex<Vec<u8>>>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self::logging(from, Arc::default())
    }

    /// A reader that copies every byte to `log`.
    pub(crate) fn logging(from: R, log: Arc<Mutex<Vec<u8>>>) -> Self {
        Self { from, buffer: Vec::new(), log }
    }

    /// Waits for more bytes; `false` at the end. A reset is an end like any other.
    async fn fill(&mut self) -> bool {
        let before = self.buffer.len();
        let more = self.from.read_buf(&mut self.buffer).await.is_ok_and(|read| read > 0);
        self.log.lock().unwrap().extend_from_slice(&self.buffer[before..]);
        more
    }

    /// A whole head: its first line, and its fields.
    pub(crate) async fn head(&mut self) -> Option<(String, Headers)> {
        let length = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if !self.fill().await {
                assert!(self.buffer.is_empty(), "half a head: {:?}", String::from_utf8_lossy(&self.buffer));
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..length + 4).collect();
        let (first, fields) = split_line(&head[..length]);
        Some((String::from_utf8_lossy(first).into_owned(), fields_of(fields)))
    }

    async fn response(&mut self, method: &str) -> Option<Response> {
        let mut interim = Vec::new();
        loop {
            let (first, headers) = self.head().await?;
            let status: u16 = first
                .strip_prefix("HTTP/1.")
                .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
                .unwrap_or_else(|| panic!("no status line: {first:?}"));
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let mut closes = headers.lists("connection", "close");
            let bodiless = method == "HEAD" || matches!(status, 101 | 204 | 304);
            let body = if bodiless {
                Vec::new()
            } else if let Some(message) = self.framed(&headers).await {
                message.expect("a whole body").0
            } else {
                closes = true;
                self.until_end().await
            };
            return Some(Response { status, headers, body, interim, closes });
        }
    }

    /// Body and trailers as `headers` frame them. `None` if they do not say where the body ends;
    /// `Some(None)` if it ends too soon.
    pub(crate) async fn framed(&mut self, headers: &Headers) -> Option<Option<(Vec<u8>, Headers)>> {
        if headers.lists("transfer-encoding", "chunked") {
            return Some(self.chunked().await);
        }
        let length = headers.one("content-length")?.parse().expect("a length");
        Some(self.exactly(length).await.map(|body| (body, Headers::default())))
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.drain(..at + 2).take(at).collect();
                return Some(line);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn chunked(&mut self) -> Option<(Vec<u8>, Headers)> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&self.line().await?).into_owned();
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length =
                usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
            if length == 0 {
                break;
            }
            body.extend(self.exactly(length).await?);
            assert_eq!(self.exactly(2).await?, b"\r\n", "behind a chunk");
        }
        let mut trailers = Vec::new();
        loop {
            match self.line().await? {
                line if line.is_empty() => break,
                line => trailers.extend_from_slice(&[&line[..], b"\r\n"].concat()),
            }
        }
        Some((body, fields_of(&trailers)))
    }

    async fn until_end(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }
}

fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let at = text.windows(2).position(|window| window == b"\r\n");
    at.map_or((text, &[][..]), |at| (&text[..at], &text[at + 2..]))
}

fn fields_of(mut text: &[u8]) -> Headers {
    let mut fields = Vec::new();
    while !text.is_empty() {
        let (line, rest) = split_line(text);
        text = rest;
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.unwrap_or_else(|| panic!("no field: {:?}", String::from_utf8_lossy(line)));
        let name = String::from_utf8_lossy(&line[..colon]).into_owned();
        fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    Headers(fields)
}
