//! How a case is told, and how it is judged without ever waiting for a while: where nothing is to
//! come, the answers to pings show that everything before them was taken.

use std::net::SocketAddr;

use crate::support::h2::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM, Raw, SETTINGS, frame, get,
    post, status,
};

/// Error codes (RFC 9113 §7).
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const COMPRESSION_ERROR: u32 = 9;

/// Settings (RFC 9113 §6.5.2).
pub(super) const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Where there is an answer for everybody.
pub(super) const OPEN: &str = "/public/a";

/// What is sent to see whether a provocation was just taken.
const PINGS: u8 = 3;

/// What the client does next.
#[derive(Clone)]
enum Step {
    Say(Vec<u8>),
    Await(Sign),
}

/// What a client waits for before it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// The settings it sent are in force.
    Acknowledged,
    /// The head of the answer on this stream.
    Head(u32),
    /// The answer on this stream, to its end.
    End(u32),
    /// So many bytes of the answer on this stream, in a frame of their own.
    Piece(u32, usize),
    /// The answer to a ping that said this.
    Pong([u8; 8]),
    /// This reason to end the connection.
    Goodbye(u32),
}

/// What may come of a case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    /// The connection ends, and if a reason is given, it is one of these (RFC 9113 §5.4.1).
    Fatal(&'static [u32]),
    /// So does the stream at least (RFC 9113 §5.4.2).
    Reset(u32, &'static [u32]),
    /// The request on this stream is malformed: so is it called, or refused in an answer
    /// (RFC 9113 §8.1.1).
    Malformed(u32),
    /// The request on this stream is answered to the end.
    Answered(u32),
    /// Nothing: the connection lives on.
    Nothing,
    /// The connection ends, and nobody is blamed for it.
    Farewell,
}

/// How well a server did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// As the standard demands.
    Right,
    /// The connection ended where the stream would have done, as the standard allows (RFC 9113
    /// §5.4.2): the other requests on it are lost.
    Blunt,
    /// The connection ended in time, under a name that is too general: `PROTOCOL_ERROR`.
    Vague,
    /// Something else came.
    Wrong(String),
}

use Verdict::{Blunt, Right, Vague, Wrong};

/// One demand of the standard.
#[derive(Clone)]
pub(super) struct Case {
    /// The section and what happens.
    pub(super) name: &'static str,
    /// What the client says of itself; `None` if it does not even begin as clients do.
    settings: Option<Vec<u8>>,
    steps: Vec<Step>,
    expect: Expect,
}

/// A case that begins as an orderly connection without compression.
pub(super) fn case(name: &'static str) -> Case {
    let settings = Some(settings(&[(HEADER_TABLE_SIZE, 0)]));
    Case { name, settings, steps: Vec::new(), expect: Expect::Nothing }
}

/// The content of a SETTINGS frame.
pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

/// A whole GET on `stream`.
pub(super) fn ask(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get(OPEN))
}

/// A POST on `stream` whose body is still to come.
pub(super) fn begin_post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &post(OPEN, &[]))
}

impl Case {
    /// The client says only what the steps say, from the first byte.
    pub(super) fn without_greeting(mut self) -> Self {
        self.settings = None;
        self
    }

    /// The client takes no content, so that the streams on which it has asked stay half-closed.
    pub(super) fn holding(self) -> Self {
        self.with(&[(HEADER_TABLE_SIZE, 0), (INITIAL_WINDOW_SIZE, 0)])
    }

    /// The client begins with these settings.
    pub(super) fn with(mut self, values: &[(u16, u32)]) -> Self {
        self.settings = Some(settings(values));
        self
    }

    /// Then it says this.
    pub(super) fn say(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Say(bytes.to_vec()));
        self
    }

    /// Then it says these frames at once.
    pub(super) fn say_all(self, frames: &[Vec<u8>]) -> Self {
        self.say(&frames.concat())
    }

    /// Then it waits.
    pub(super) fn until(mut self, sign: Sign) -> Self {
        self.steps.push(Step::Await(sign));
        self
    }

    /// And this is what may come of it.
    pub(super) fn then(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    /// Plays the case to `server`.
    pub(super) async fn play(&self, server: SocketAddr) -> Verdict {
        self.play_through(server).await.unwrap_or_else(Wrong)
    }

    /// The same; what came too early, if it did not get to its end.
    async fn play_through(&self, server: SocketAddr) -> Result<Verdict, String> {
        let mut talk = match &self.settings {
            None => Talk { raw: Raw::dial(server).await },
            Some(settings) => {
                let mut talk = Talk { raw: Raw::begin_with(server, settings).await };
                talk.await_sign(Sign::Acknowledged).await?;
                talk.raw.send(&frame(SETTINGS, ACK, 0, &[])).await;
                talk
            }
        };
        for step in &self.steps {
            match step {
                // Whether it arrives shows in what comes of it.
                Step::Say(bytes) => drop(talk.raw.send(bytes).await),
                Step::Await(sign) => talk.await_sign(*sign).await?,
            }
        }
        Ok(talk.judge(self.expect).await)
    }
}

struct Talk {
    raw: Raw,
}

impl Talk {
    async fn await_sign(&mut self, sign: Sign) -> Result<(), String> {
        loop {
            let Some(frame) = self.raw.receive().await else {
                return Err(format!("the end instead of {sign:?}"));
            };
            let ends = frame.flags & END_STREAM != 0;
            match (sign, frame.kind) {
                (Sign::Goodbye(code), GOAWAY) if last_code(&frame) == code => return Ok(()),
                (_, GOAWAY) => return Err(format!("GOAWAY {} instead of {sign:?}", last_code(&frame))),
                (Sign::Acknowledged, SETTINGS) if frame.flags & ACK != 0 => return Ok(()),
                (Sign::Head(stream) | Sign::End(stream) | Sign::Piece(stream, _), RST_STREAM)
                    if frame.stream == stream =>
                {
                    return Err(format!("RST_STREAM {} instead of {sign:?}", last_code(&frame)));
                }
                (Sign::Pong(said), PING) if frame.flags & ACK != 0 && frame.payload == said => return Ok(()),
                (Sign::Head(stream), HEADERS) if frame.stream == stream => return Ok(()),
                (Sign::End(stream), HEADERS | DATA) if frame.stream == stream && ends => return Ok(()),
                (Sign::Piece(stream, length), DATA) if frame.stream == stream => {
                    let came = frame.payload.len();
                    return if came == length { Ok(()) } else { Err(format!("{came} bytes, not {length}")) };
                }
                _ => {}
            }
        }
    }

    async fn judge(&mut self, expect: Expect) -> Verdict {
        let (mut pings, mut answered) = (0, None);
        if !matches!(expect, Expect::Answered(_) | Expect::Malformed(_) | Expect::Farewell) {
            self.ping(&mut pings).await;
        }
        loop {
            let Some(frame) = self.raw.receive().await else {
                return match expect {
                    Expect::Answered(_) | Expect::Nothing => Wrong("the end".to_owned()),
                    Expect::Reset(..) | Expect::Malformed(_) => Blunt,
                    Expect::Fatal(_) | Expect::Farewell => Right,
                };
            };
            let is_answer = matches!(frame.kind, HEADERS | DATA);
            match (frame.kind, expect) {
                (GOAWAY, _) => return self.judge_goodbye(expect, last_code(&frame)).await,
                (PING, _) if frame.flags & ACK != 0 && pings < PINGS => self.ping(&mut pings).await,
                (PING, Expect::Nothing) => return Right,
                (PING, _) => return Wrong(format!("nothing, with the status {answered:?}")),
                (RST_STREAM, Expect::Reset(stream, codes))
                    if frame.stream == stream && codes.contains(&last_code(&frame)) =>
                {
                    return Right;
                }
                (RST_STREAM, Expect::Malformed(stream))
                    if frame.stream == stream && last_code(&frame) == PROTOCOL_ERROR =>
                {
                    return Right;
                }
                // That another request ends is another matter.
                (RST_STREAM, Expect::Answered(stream)) if frame.stream != stream => {}
                (RST_STREAM, _) => {
                    return Wrong(format!("RST_STREAM {} on stream {}", last_code(&frame), frame.stream));
                }
                (_, Expect::Answered(stream) | Expect::Malformed(stream))
                    if is_answer && frame.stream == stream =>
                {
                    let status = *answered.get_or_insert_with(|| status(&frame.payload));
                    let is_right = match expect {
                        Expect::Answered(_) => status == 200,
                        _ => (400..=499).contains(&status),
                    };
                    if frame.flags & END_STREAM != 0 {
                        return if is_right { Right } else { Wrong(format!("the status {status}")) };
                    }
                }
                _ => {}
            }
        }
    }

    /// After a reason was given, the connection has to end.
    async fn judge_goodbye(&mut self, expect: Expect, code: u32) -> Verdict {
        let may_come = match expect {
            Expect::Fatal(codes) | Expect::Reset(_, codes) => codes.contains(&code),
            Expect::Malformed(_) => code == PROTOCOL_ERROR,
            Expect::Farewell => code == 0,
            Expect::Answered(_) | Expect::Nothing => false,
        };
        let verdict = match (expect, code) {
            (Expect::Reset(..) | Expect::Malformed(_), _) if may_come => Blunt,
            _ if may_come => Right,
            (Expect::Fatal(_) | Expect::Reset(..), PROTOCOL_ERROR) => Vague,
            _ => return Wrong(format!("GOAWAY {code}")),
        };
        while self.raw.receive().await.is_some() {}
        verdict
    }

    async fn ping(&mut self, pings: &mut u8) {
        *pings += 1;
        self.raw.send(&frame(PING, 0, 0, &[*pings; 8])).await;
    }
}

/// The code at the end of `RST_STREAM`, or of GOAWAY before what it says besides.
fn last_code(frame: &Frame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    let code = frame.payload.get(at..at + 4).and_then(|code| code.try_into().ok());
    u32::from_be_bytes(code.expect("a code"))
}
