//! The life of a stream, and what may be said on it in each of its states (RFC 9113 §5.1).

use super::play::{
    Case, Expect, INITIAL_WINDOW_SIZE, OPEN, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, Sign, ask,
    begin_post, case,
};
use crate::support::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PRIORITY, RST_STREAM, WINDOW_UPDATE, block, frame,
    get,
};

const FATAL: Expect = Expect::Fatal(&[PROTOCOL_ERROR]);

/// Streams that may be open at a time, on either server.
const STREAMS: u32 = 100;

pub(super) fn cases() -> Vec<Case> {
    [idle(), half_closed(), closed(), identifiers()].concat()
}

fn data() -> Vec<u8> {
    frame(DATA, END_STREAM, 1, b"x")
}

fn cancel() -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())
}

fn window() -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())
}

fn priority() -> Vec<u8> {
    frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255])
}

fn continuation() -> Vec<u8> {
    frame(CONTINUATION, END_HEADERS, 1, &block(&[(b"x-more", b"1")]))
}

fn idle() -> Vec<Case> {
    vec![
        case("5.1 idle: DATA").say(&data()).then(FATAL),
        case("5.1 idle: RST_STREAM").say(&cancel()).then(FATAL),
        case("5.1 idle: WINDOW_UPDATE").say(&window()).then(FATAL),
        case("5.1 idle: CONTINUATION").say(&frame(CONTINUATION, END_HEADERS, 1, &get(OPEN))).then(FATAL),
        case("5.1 idle: PRIORITY").say(&priority()).then(Expect::Nothing),
    ]
}

fn half_closed() -> Vec<Case> {
    vec![
        case("5.1 half-closed: DATA")
            .holding()
            .say_all(&[ask(1), data()])
            .then(Expect::Reset(1, &[STREAM_CLOSED])),
        case("5.1 half-closed, and its answer begun: DATA")
            .holding()
            .say(&ask(1))
            .until(Sign::Head(1))
            .say(&data())
            .then(Expect::Reset(1, &[STREAM_CLOSED])),
        case("5.1 half-closed: HEADERS")
            .holding()
            .say_all(&[ask(1), ask(1)])
            .then(Expect::Reset(1, &[STREAM_CLOSED])),
        case("5.1 half-closed: CONTINUATION")
            .holding()
            .say_all(&[ask(1), continuation()])
            .then(Expect::Fatal(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        case("5.1 half-closed: WINDOW_UPDATE")
            .holding()
            .say_all(&[ask(1), window()])
            .until(Sign::Piece(1, 1))
            .then(Expect::Nothing),
        case("5.1 half-closed: PRIORITY")
            .holding()
            .say_all(&[ask(1), priority(), window()])
            .until(Sign::Piece(1, 1))
            .then(Expect::Nothing),
        case("5.1 half-closed: RST_STREAM").holding().say_all(&[ask(1), cancel()]).then(Expect::Nothing),
        case("5.1 half-closed, and its answer begun: RST_STREAM")
            .holding()
            .say(&ask(1))
            .until(Sign::Head(1))
            .say(&cancel())
            .then(Expect::Nothing),
    ]
}

fn closed() -> Vec<Case> {
    let answered = |name| case(name).say(&ask(1)).until(Sign::End(1));
    vec![
        case("5.1 closed by RST_STREAM: DATA")
            .say_all(&[begin_post(1), cancel(), data()])
            .then(Expect::Reset(1, &[STREAM_CLOSED])),
        case("5.1 closed by RST_STREAM: HEADERS")
            .say_all(&[begin_post(1), cancel(), ask(1)])
            .then(Expect::Reset(1, &[STREAM_CLOSED])),
        case("5.1 closed by RST_STREAM: CONTINUATION")
            .say_all(&[begin_post(1), cancel(), continuation()])
            .then(Expect::Fatal(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        case("5.1 closed by RST_STREAM: PRIORITY")
            .say_all(&[begin_post(1), cancel(), priority()])
            .then(Expect::Nothing),
        // §6.1 asks for no more than the stream.
        answered("5.1 closed: DATA").say(&data()).then(Expect::Reset(1, &[STREAM_CLOSED])),
        answered("5.1 closed: HEADERS").say(&ask(1)).then(Expect::Fatal(&[STREAM_CLOSED])),
        answered("5.1 closed: CONTINUATION")
            .say(&continuation())
            .then(Expect::Fatal(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        answered("5.1 closed: PRIORITY").say(&priority()).then(Expect::Nothing),
        // It may have been on its way when the stream came to its end.
        answered("5.1 closed: WINDOW_UPDATE").say(&window()).then(Expect::Nothing),
        answered("5.1 closed: RST_STREAM").say(&cancel()).then(Expect::Nothing),
    ]
}

fn identifiers() -> Vec<Case> {
    let many = (0..=STREAMS).flat_map(|n| ask(2 * n + 1)).collect::<Vec<u8>>();
    vec![
        case("5.1.1 a stream with an even number").say(&ask(2)).then(FATAL),
        case("5.1.1 a stream with a lower number than one before").say_all(&[ask(5), ask(3)]).then(FATAL),
        case("5.1.1 a stream that was passed over: DATA")
            .say_all(&[ask(5), frame(DATA, END_STREAM, 3, b"x")])
            .then(Expect::Reset(3, &[STREAM_CLOSED, PROTOCOL_ERROR])),
        case("5.1.1 numbers that are not all used").say_all(&[ask(5), ask(101)]).then(Expect::Answered(101)),
        case("5.1.1 the last number there is").say(&ask(0x7fff_ffff)).then(Expect::Answered(0x7fff_ffff)),
        case("5.1.2 more streams than may be open")
            .with(&[(INITIAL_WINDOW_SIZE, 0)])
            .say(&many)
            .then(Expect::Reset(2 * STREAMS + 1, &[PROTOCOL_ERROR, REFUSED_STREAM])),
        case("5.1.2 as many streams as may be open")
            .with(&[(INITIAL_WINDOW_SIZE, 0)])
            .say(&many[..many.len() / 101 * 100])
            .then(Expect::Nothing),
        case("8.1 a request on a stream that was reset is gone, and others are not")
            .say_all(&[begin_post(1), cancel(), frame(HEADERS, END_STREAM | END_HEADERS, 3, &get(OPEN))])
            .then(Expect::Answered(3)),
    ]
}
