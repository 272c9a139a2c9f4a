//! Which frames of HTTP/2 come in, and whether too many of them lead nowhere.
//!
//! The library below bounds what a client can make it remember. It does not bound how often a
//! client can make it work for nothing: requests that are taken back before their answer
//! (CVE-2023-44487), pings, settings, window updates and priorities, each of a few bytes. So every
//! such frame costs something here, and what moves a request on pays for it. A browser or a
//! client of gRPC does not come near the limit; a flood is over it within a moment.

use std::cell::Cell;

use tokio::time::Instant;

/// What a connection may spend at once.
const PURSE: u32 = 10_000;

/// What it gets for each second that passes.
const INCOME: u32 = 1_000;

/// What a request costs that is taken back, and what comes back once one is answered.
const RESET: u32 = 10;

/// Changed settings are cheap to say, and mean a walk over all streams.
const SETTINGS: u32 = 10;

/// What a frame pays that moves a request on, whichever way it goes: a client may open its windows
/// and measure the line as often as something comes of it.
const MOVED: u32 = 3;

/// And for how many bytes of content it pays one more.
const CONTENT: usize = 256;

/// What a client begins with.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEAD: usize = 9;

/// Why no more is read from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// More frames than it can pay for.
    #[error("a flood of HTTP/2 frames that lead nowhere")]
    Flood,
    /// What follows the preface is not SETTINGS, which are a part of it (RFC 9113 §3.4). That may
    /// end without a GOAWAY.
    #[error("an HTTP/2 preface without SETTINGS")]
    Preface,
}

/// What a connection can still spend, and where it is in what it says.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<u32>,
    counted_at: Cell<Instant>,
    has_begun: Cell<bool>,
    head_since: Cell<Option<Instant>>,
}

impl Budget {
    /// A full purse.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: Cell::new(PURSE),
            counted_at: Cell::new(now),
            has_begun: Cell::new(false),
            head_since: Cell::new(None),
        }
    }

    /// A request was answered: it may be taken back for nothing.
    pub(super) fn answered(&self) {
        self.earn(RESET);
    }

    /// Whether the client has said that it speaks HTTP/2.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Since when the client has been saying a head that has not come to its end.
    pub(super) fn head_since(&self) -> Option<Instant> {
        self.head_since.get()
    }

    fn earn(&self, amount: u32) {
        self.left.set(self.left.get().saturating_add(amount).min(PURSE));
    }

    fn spend(&self, amount: u32) -> Result<(), Refused> {
        if let Some(left) = self.left.get().checked_sub(amount) {
            self.left.set(left);
            return Ok(());
        }
        // Only who has spent everything has the time looked at.
        let now = Instant::now();
        let passed = now.duration_since(self.counted_at.replace(now));
        let income = passed.as_millis().saturating_mul(u128::from(INCOME)) / 1000;
        self.earn(u32::try_from(income).unwrap_or(PURSE));
        let left = self.left.get().checked_sub(amount).ok_or(Refused::Flood)?;
        self.left.set(left);
        Ok(())
    }
}

/// Reads the heads of the frames in a stream of bytes, in whatever pieces it comes.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface, or of a frame's content, that are still to come.
    skip: usize,
    head: [u8; FRAME_HEAD],
    /// How much of `head` is there.
    filled: usize,
    fields: Fields,
}

/// Where a client is with the fields of a request or with its trailers: HEADERS, and as many
/// CONTINUATION as it takes (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fields {
    /// None are being said.
    Outside,
    /// In a frame that is not their last.
    Open,
    /// In their last frame, whose content may still be to come.
    Last,
}

impl Frames {
    /// What a client says, from the beginning of its connection.
    pub(super) fn incoming() -> Self {
        Self { skip: PREFACE.len(), ..Self::outgoing() }
    }

    /// What it is told.
    pub(super) fn outgoing() -> Self {
        Self { skip: 0, head: [0; FRAME_HEAD], filled: 0, fields: Fields::Outside }
    }

    /// Takes what came in, and has `budget` pay for it.
    pub(super) fn came(&mut self, bytes: &[u8], budget: &Budget) -> Result<(), Refused> {
        let mut fields = self.fields;
        self.each(bytes, |frame| {
            if !budget.has_begun.replace(true) && frame.kind != Frame::SETTINGS {
                return Err(Refused::Preface);
            }
            fields = match frame.kind {
                Frame::HEADERS | Frame::CONTINUATION if frame.has(Frame::END_HEADERS) => Fields::Last,
                Frame::HEADERS | Frame::CONTINUATION => Fields::Open,
                _ => Fields::Outside,
            };
            // Those before have come to their end.
            if frame.kind == Frame::HEADERS {
                budget.head_since.set(None);
            }
            frame.spend(budget)
        })?;
        let is_whole = fields == Fields::Last && self.skip == 0;
        self.fields = if is_whole { Fields::Outside } else { fields };
        // Most come in one piece, and have no time looked at.
        let since = || budget.head_since.get().unwrap_or_else(Instant::now);
        budget.head_since.set((self.fields != Fields::Outside).then(since));
        Ok(())
    }

    /// Takes what was sent, which pays.
    pub(super) fn went(&mut self, bytes: &[u8], budget: &Budget) {
        let _never_a_flood = self.each(bytes, |frame| {
            frame.earn(budget);
            Ok(())
        });
    }

    fn each(
        &mut self,
        mut bytes: &[u8],
        mut see: impl FnMut(Frame) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        loop {
            let (_, rest) = bytes.split_at(self.skip.min(bytes.len()));
            self.skip -= bytes.len() - rest.len();
            let wanted = FRAME_HEAD - self.filled;
            let (part, rest) = rest.split_at(wanted.min(rest.len()));
            if let Some(room) = self.head.get_mut(self.filled..self.filled + part.len()) {
                room.copy_from_slice(part);
            }
            self.filled += part.len();
            if self.filled < FRAME_HEAD {
                return Ok(());
            }
            self.filled = 0;
            let frame = Frame::of(self.head);
            self.skip = frame.length;
            see(frame)?;
            bytes = rest;
        }
    }
}

/// The head of a frame (RFC 9113 §4.1).
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
}

impl Frame {
    const HEADERS: u8 = 0x1;
    const SETTINGS: u8 = 0x4;
    const CONTINUATION: u8 = 0x9;

    const END_STREAM: u8 = 0x1;
    const END_HEADERS: u8 = 0x4;

    fn of(head: [u8; FRAME_HEAD]) -> Self {
        let [a, b, c, kind, flags, ..] = head;
        Self { length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c), kind, flags }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// DATA and HEADERS pay, if there is something in them.
    fn earn(&self, budget: &Budget) {
        if self.kind <= 0x1 && self.length > 0 {
            budget.earn(MOVED.saturating_add(u32::try_from(self.length / CONTENT).unwrap_or(PURSE)));
        }
    }

    fn spend(&self, budget: &Budget) -> Result<(), Refused> {
        match self.kind {
            // DATA
            0x0 if self.length == 0 && !self.has(Self::END_STREAM) => budget.spend(1),
            0x0 => {
                self.earn(budget);
                Ok(())
            }
            // What it asks for is counted by what becomes of it.
            Self::HEADERS => Ok(()),
            // RST_STREAM
            0x3 => budget.spend(RESET),
            Self::SETTINGS => budget.spend(SETTINGS),
            // PRIORITY, PING, WINDOW_UPDATE, CONTINUATION, and what is not known.
            _ => budget.spend(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., a, b, c] = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + length, 0xff);
        frame
    }

    /// A full purse of a client that has said its preface and its first SETTINGS.
    fn begun() -> Budget {
        let budget = Budget::new(Instant::now());
        budget.has_begun.set(true);
        budget
    }

    /// How many of `frame` are taken before it is a flood, in pieces of `piece` bytes.
    fn taken(frame: &[u8], piece: usize, budget: &Budget) -> usize {
        let mut frames = Frames::incoming();
        frames.came(PREFACE, budget).unwrap();
        let flood = |_: &usize| frame.chunks(piece).any(|bytes| frames.came(bytes, budget).is_err());
        (0..100_000).find(flood).unwrap_or(usize::MAX)
    }

    #[tokio::test(start_paused = true)]
    async fn what_leads_nowhere_has_an_end() {
        for (name, frame, most) in [
            ("empty DATA", frame(0x0, 0, 0), 10_000),
            ("PRIORITY", frame(0x2, 0, 5), 10_000),
            ("RST_STREAM", frame(0x3, 0, 4), 1_000),
            ("SETTINGS", frame(0x4, 0, 6), 1_000),
            ("PING", frame(0x6, 0, 8), 10_000),
            ("WINDOW_UPDATE", frame(0x8, 0, 4), 10_000),
            ("CONTINUATION", frame(0x9, 0, 0), 10_000),
            ("what nobody knows", frame(0x77, 0, 3), 10_000),
            ("DATA", frame(0x0, 0, 100), usize::MAX),
            ("HEADERS", frame(0x1, 0x5, 100), usize::MAX),
        ] {
            for piece in [1, 4, 9, 1000] {
                assert_eq!(taken(&frame, piece, &begun()), most, "{name} {piece}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_and_work_pay() {
        let budget = begun();
        let ping = frame(0x6, 0, 8);
        assert_eq!(taken(&ping, 9, &budget), 10_000);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(taken(&ping, 9, &budget), 500);
        budget.answered();
        assert_eq!(taken(&ping, 9, &budget), 10);
        // Content, in either direction.
        let mut frames = Frames::incoming();
        frames.came(PREFACE, &budget).unwrap();
        frames.came(&frame(0x0, 0, 16_384), &budget).unwrap();
        assert_eq!(taken(&ping, 9, &budget), 67);
        let told = [frame(0x1, 0x4, 20), frame(0x0, 0, 16_384), frame(0x6, 1, 8), frame(0x4, 1, 0)].concat();
        for piece in [1, 10, 100_000] {
            let mut frames = Frames::outgoing();
            told.chunks(piece).for_each(|bytes| frames.went(bytes, &budget));
            assert_eq!(taken(&ping, 9, &budget), 70, "{piece}");
        }
        // Nobody saves up more than a purse holds.
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(taken(&ping, 9, &budget), 10_000);
    }

    #[tokio::test]
    async fn settings_come_first() {
        for (kind, expected) in [(0x4, Ok(())), (0x1, Err(Refused::Preface)), (0x6, Err(Refused::Preface))] {
            let mut frames = Frames::incoming();
            let said = [&PREFACE[..], &frame(kind, 0, 6), &frame(0x1, 0x5, 10)].concat();
            assert_eq!(frames.came(&said, &Budget::new(Instant::now())), expected, "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_begun_until_its_last_byte() {
        let budget = Budget::new(Instant::now());
        let mut frames = Frames::incoming();
        frames.came(&PREFACE[..10], &budget).unwrap();
        frames.came(&PREFACE[10..], &budget).unwrap();
        assert!(!budget.has_begun());
        frames.came(&frame(0x4, 0, 0), &budget).unwrap();
        assert!(budget.has_begun() && budget.head_since().is_none());
        let (first, last) = (frame(0x1, 0, 10), frame(0x9, Frame::END_HEADERS, 3));
        let continued = [&first[..], &frame(0x9, 0, 3), &last].concat();
        for head in [frame(0x1, Frame::END_HEADERS, 10), [&first[..], &last].concat(), continued] {
            for piece in [1, 2, 5, 9, 11] {
                let began = Instant::now();
                for (number, bytes) in head.chunks(piece).enumerate() {
                    frames.came(bytes, &budget).unwrap();
                    let sent = head.len().min((number + 1) * piece);
                    assert_eq!(
                        budget.head_since().is_some(),
                        (9..head.len()).contains(&sent),
                        "{piece} {sent}"
                    );
                    // It is the same head, however long it takes.
                    assert!(budget.head_since().is_none_or(|since| since - began <= Duration::from_secs(9)));
                    tokio::time::advance(Duration::from_secs(1)).await;
                }
            }
            frames.came(&[&head[..], &frame(0x0, 1, 5)].concat(), &budget).unwrap();
            assert!(budget.head_since().is_none());
        }
        // One that is whole gives its time to none that follows.
        let head = frame(0x1, Frame::END_HEADERS, 10);
        frames.came(&head[..12], &budget).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        frames.came(&[&head[12..], &head[..12]].concat(), &budget).unwrap();
        assert_eq!(budget.head_since(), Some(Instant::now()));
    }
}
