//! WebSockets (RFC 6455), as far as somebody in between has to know them: the handshake, and where
//! one frame ends and another begins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method};
use sha1::{Digest as _, Sha1};

use super::lines::{listed, only};

/// The one protocol to which a connection may be changed: behind others, `h2c` above all, there
/// could be requests that nobody judges.
pub const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request in HTTP/1.1 asks for a WebSocket (RFC 6455 §4.2.1). Whatever else it may ask for is ignored,
/// as RFC 9110 §7.8 allows.
pub fn is_handshake(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && names(headers, &UPGRADE, b"websocket")
        && names(headers, &CONNECTION, b"upgrade")
}

/// Whether a request is about a WebSocket, though somebody in between may have kept to himself that it
/// asks for one: no other has fields that begin like these (RFC 6455 §11.3), and no page can add them.
pub fn is_about_websocket(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) || headers.keys().any(|name| name.as_str().starts_with("sec-websocket-"))
}

/// Whether an `answer` agrees to a handshake that `asked` with `key`: to a WebSocket and nothing else, once,
/// and without a subprotocol or an extension that nobody offered (RFC 6455 §4.1). Whether `Connection` names
/// `Upgrade` is for whoever reads that field.
pub fn agrees(key: &HeaderValue, asked: &HeaderMap, answer: &HeaderMap) -> bool {
    let says = |name, is_it: &dyn Fn(&[u8]) -> bool| {
        only(answer, name).is_ok_and(|line| line.is_some_and(|line| is_it(line.as_bytes())))
    };
    let chosen = only(answer, SEC_WEBSOCKET_PROTOCOL);
    let offered = |protocol: &HeaderValue| listed(asked, &SEC_WEBSOCKET_PROTOCOL).any(|own| own == protocol);
    let mut extensions = listed(answer, &SEC_WEBSOCKET_EXTENSIONS).map(token);
    says(&UPGRADE, &|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && says(&SEC_WEBSOCKET_ACCEPT, &|accept| accept == acceptance(key).as_bytes())
        && chosen.is_ok_and(|chosen| chosen.is_none_or(offered))
        && extensions.all(|used| listed(asked, &SEC_WEBSOCKET_EXTENSIONS).map(token).any(|own| own == used))
}

/// What an extension is called, without its parameters.
fn token(extension: &[u8]) -> &[u8] {
    extension.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// What proves that the other side read the key (RFC 6455 §4.2.2).
pub fn acceptance(key: &HeaderValue) -> String {
    const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(MAGIC).finalize())
}

fn names(headers: &HeaderMap, name: &HeaderName, option: &[u8]) -> bool {
    listed(headers, name).any(|named| named.eq_ignore_ascii_case(option))
}

/// Why a WebSocket is ended by somebody in between (RFC 6455 §7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The server goes away.
    GoingAway,
    /// Whoever asked for it may have it no longer.
    SessionEnded,
}

impl Close {
    /// The frame that says so, for a browser or for a server.
    pub fn frame(self, to: Side) -> Bytes {
        let (code, reason) = match self {
            Self::GoingAway => (1001_u16, &b"going away"[..]),
            Self::SessionEnded => (1008, &b"session ended"[..]),
        };
        let [high, low] = code.to_be_bytes();
        let length = u8::try_from(reason.len() + 2).unwrap_or_default();
        let head: &[u8] = match to {
            Side::Browser => &[0x88, length],
            // Masked with zeros: what it says is no secret, and nothing is made of it.
            Side::Server => &[0x88, 0x80 | length, 0, 0, 0, 0],
        };
        [head, &[high, low], reason].concat().into()
    }
}

/// An end of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that asked for it.
    Browser,
    /// The one that agreed.
    Server,
}

/// Follows frames without reading them, to know where another may be put between.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    head: [u8; 10],
    have: usize,
    /// How much is to come of a frame whose length is known.
    left: u64,
}

impl Frames {
    /// These bytes passed.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = bytes.get(self.pass_one(bytes)..).unwrap_or_default();
        }
    }

    /// Of these bytes those passed that end the present frame, or make up the next one. How many
    /// that were.
    pub fn pass_one(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while let Some((byte, rest)) = bytes.get(passed..).and_then(<[u8]>::split_first) {
            if self.left > 0 {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len() + 1);
                self.left -= here as u64;
                passed += here;
            } else {
                passed += 1;
                if let Some(slot) = self.head.get_mut(self.have) {
                    *slot = *byte;
                    self.have += 1;
                }
                if let Some(left) = self.length() {
                    self.left = left;
                    self.have = 0;
                }
            }
            if self.is_between() {
                break;
            }
        }
        passed
    }

    /// Whether a frame has just ended.
    pub fn is_between(&self) -> bool {
        self.left == 0 && self.have == 0
    }

    /// How much follows the beginning of a head that is known so far: the mask, and the data.
    fn length(&self) -> Option<u64> {
        let head = self.head.get(..self.have)?;
        let [_, second, extended @ ..] = head else { return None };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let data = match (second & 0x7f, extended) {
            (126, [high, low]) => u64::from(u16::from_be_bytes([*high, *low])),
            (127, extended) => u64::from_be_bytes(extended.try_into().ok()?),
            (126, _) => return None,
            (length, _) => u64::from(length),
        };
        Some(data.saturating_add(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_agreed_to() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let asked = HeaderMap::new();
        let answer = |accept: &'static str| {
            let accept = (SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static(accept));
            HeaderMap::from_iter([(UPGRADE, WEBSOCKET), accept])
        };
        assert!(agrees(&key, &asked, &answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        assert!(!agrees(&key, &asked, &answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOO=")));
        assert!(!agrees(&key, &asked, &HeaderMap::new()));
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let frames: [Vec<u8>; 5] = [
            vec![0x81, 0x00],
            [&[0x82, 0x05][..], b"hello"].concat(),
            [&[0x82, 0x85, 1, 2, 3, 4][..], b"hello"].concat(),
            [&[0x82, 126, 1, 0][..], &[7; 256]].concat(),
            [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 9, 9, 9, 9][..], &vec![7; 65_536]].concat(),
        ];
        for step in [1, 3, 7, 1000, 100_000] {
            let mut follower = Frames::default();
            for frame in &frames {
                for (index, piece) in frame.chunks(step).enumerate() {
                    assert!(follower.is_between() == (index == 0), "{step} {index}");
                    follower.pass(piece);
                }
                assert!(follower.is_between());
            }
            follower.pass(&frames.concat());
            assert!(follower.is_between());
            for frame in &frames {
                let (begun, rest) = frame.split_at(step.min(frame.len() - 1));
                follower.pass(begun);
                let behind = [rest, &frames.concat()].concat();
                assert_eq!(follower.pass_one(&behind), rest.len());
                assert!(follower.is_between());
            }
        }
    }

    #[test]
    fn a_close_is_a_frame() {
        for side in [Side::Browser, Side::Server] {
            for close in [Close::GoingAway, Close::SessionEnded] {
                let mut follower = Frames::default();
                follower.pass(&close.frame(side));
                assert!(follower.is_between());
            }
        }
    }
}
