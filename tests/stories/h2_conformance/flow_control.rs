//! How much may be sent, and what becomes of it when the client changes its mind (RFC 9113 §6.9).

use super::play::{
    Case, Expect, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, INITIAL_WINDOW_SIZE, PROTOCOL_ERROR, Sign, ask,
    begin_post, case, settings,
};
use crate::support::h2::{DATA, END_STREAM, SETTINGS, WINDOW_UPDATE, frame};

const MOST: u32 = (1 << 31) - 1;

/// As long as the upstream's answer is.
const ANSWER: usize = "hello from upstream".len();

pub(super) fn cases() -> Vec<Case> {
    [updates(), windows(), changes()].concat()
}

fn update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn window_of(size: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &settings(&[(INITIAL_WINDOW_SIZE, size)]))
}

fn updates() -> Vec<Case> {
    vec![
        case("6.9 WINDOW_UPDATE of the connection")
            .say_all(&[update(0, 1), ask(1)])
            .then(Expect::Answered(1)),
        case("6.9 WINDOW_UPDATE of a stream")
            .say_all(&[begin_post(1), update(1, 1), frame(DATA, END_STREAM, 1, b"x")])
            .then(Expect::Answered(1)),
        case("6.9 WINDOW_UPDATE of the connection by nothing")
            .say(&update(0, 0))
            .then(Expect::Fatal(&[PROTOCOL_ERROR])),
        case("6.9 WINDOW_UPDATE of a stream by nothing")
            .say_all(&[begin_post(1), update(1, 0)])
            .then(Expect::Reset(1, &[PROTOCOL_ERROR])),
        case("6.9 WINDOW_UPDATE that is too short")
            .say(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]))
            .then(Expect::Fatal(&[FRAME_SIZE_ERROR])),
        case("6.9 WINDOW_UPDATE that is too long")
            .say(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1, 0]))
            .then(Expect::Fatal(&[FRAME_SIZE_ERROR])),
        case("6.9 WINDOW_UPDATE of a stream that is too short")
            .say_all(&[begin_post(1), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1])])
            .then(Expect::Fatal(&[FRAME_SIZE_ERROR])),
        case("6.9 the reserved bit before an increment")
            .holding()
            .say_all(&[ask(1), update(1, 1 << 31 | 1)])
            .until(Sign::Piece(1, 1))
            .then(Expect::Nothing),
    ]
}

fn windows() -> Vec<Case> {
    vec![
        case("6.9.1 a window of one byte")
            .say(&window_of(1))
            .until(Sign::Acknowledged)
            .say(&ask(1))
            .until(Sign::Piece(1, 1))
            .then(Expect::Nothing),
        case("6.9.1 a window that is opened bit by bit")
            .holding()
            .say_all(&[ask(1), update(1, 2)])
            .until(Sign::Piece(1, 2))
            .say(&update(1, 5))
            .until(Sign::Piece(1, 5))
            .say(&update(1, 1000))
            .until(Sign::Piece(1, ANSWER - 7))
            .then(Expect::Nothing),
        case("6.9.1 a window of the connection above the greatest")
            .say_all(&[update(0, MOST), update(0, MOST)])
            .then(Expect::Fatal(&[FLOW_CONTROL_ERROR])),
        case("6.9.1 a window of a stream above the greatest")
            .say_all(&[begin_post(1), update(1, MOST), update(1, MOST)])
            .then(Expect::Reset(1, &[FLOW_CONTROL_ERROR])),
        case("6.9.1 a window of a stream at its greatest")
            .holding()
            .say_all(&[ask(1), update(1, MOST)])
            .then(Expect::Answered(1)),
    ]
}

fn changes() -> Vec<Case> {
    vec![
        case("6.9.2 a window that is changed while it is in use")
            .holding()
            .say(&ask(1))
            .until(Sign::Head(1))
            .say(&window_of(1))
            .until(Sign::Piece(1, 1))
            .then(Expect::Nothing),
        case("6.9.2 a window that becomes less than nothing")
            .with(&[(INITIAL_WINDOW_SIZE, 3)])
            .say(&ask(1))
            .until(Sign::Piece(1, 3))
            .say(&window_of(2))
            .until(Sign::Acknowledged)
            .say(&update(1, 2))
            .until(Sign::Piece(1, 1))
            .then(Expect::Nothing),
        case("6.9.2 a change that opens a window above the greatest")
            .holding()
            .say_all(&[begin_post(1), update(1, MOST), window_of(1)])
            .then(Expect::Fatal(&[FLOW_CONTROL_ERROR])),
        case("6.9.2 a change to more than may be")
            .say(&window_of(MOST + 1))
            .then(Expect::Fatal(&[FLOW_CONTROL_ERROR])),
    ]
}
