//! The preface and the frames as such: their form, their size, and where each kind may stand
//! (RFC 9113 §3.4, §4, §5.5, §6 and §7).

use super::play::{
    COMPRESSION_ERROR, Case, Expect, FRAME_SIZE_ERROR, OPEN, PROTOCOL_ERROR, STREAM_CLOSED, Sign, ask,
    begin_post, case,
};
use crate::support::h2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITISED,
    PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get, post,
};

const FATAL: Expect = Expect::Fatal(&[PROTOCOL_ERROR]);
const FATAL_SIZE: Expect = Expect::Fatal(&[FRAME_SIZE_ERROR]);

/// A kind of frame that no standard defines.
const UNKNOWN: u8 = 0x42;

/// As many bytes as every frame may have (RFC 9113 §4.2).
const FULL: usize = 1 << 14;

pub(super) fn cases() -> Vec<Case> {
    [preface(), format(), blocks(), data_and_headers(), priority_and_reset(), control(), continuation()]
        .concat()
}

fn preface() -> Vec<Case> {
    let settings = frame(SETTINGS, 0, 0, &[]);
    vec![
        case("3.4 a client's preface")
            .without_greeting()
            .say_all(&[PREFACE.to_vec(), settings.clone()])
            .then(Expect::Nothing),
        case("3.4 something else than the preface")
            .without_greeting()
            .say(b"INVALID CONNECTION PREFACE\r\n\r\n")
            .then(FATAL),
        case("3.4 a preface with another ending")
            .without_greeting()
            .say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n\n")
            .say(&settings)
            .then(FATAL),
        case("3.4 a preface that is not followed by SETTINGS")
            .without_greeting()
            .say_all(&[PREFACE.to_vec(), frame(PING, 0, 0, &[0; 8])])
            .then(FATAL),
        case("3.4 a preface that is followed by a request")
            .without_greeting()
            .say_all(&[PREFACE.to_vec(), ask(1)])
            .then(FATAL),
        case("3.4 a request at once after SETTINGS")
            .without_greeting()
            .say_all(&[PREFACE.to_vec(), settings, ask(1)])
            .then(Expect::Answered(1)),
    ]
}

fn format() -> Vec<Case> {
    let headers_beyond = block(&[(b"x-long", &[b'x'; FULL])]);
    vec![
        case("4.1 a frame of a kind that nobody knows")
            .say(&frame(UNKNOWN, 0xff, 0, &[0; 8]))
            .then(Expect::Nothing),
        case("4.1 flags that a PING does not have")
            .say(&frame(PING, !ACK, 0, b"flagged!"))
            .until(Sign::Pong(*b"flagged!"))
            .then(Expect::Nothing),
        case("4.1 the reserved bit before the stream")
            .say(&frame(PING, 0, 1 << 31, b"reserved"))
            .until(Sign::Pong(*b"reserved"))
            .then(Expect::Nothing),
        case("4.2 DATA as long as may be")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM, 1, &[b'x'; FULL])])
            .then(Expect::Answered(1)),
        case("4.2 DATA that is too long")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM, 1, &[b'x'; FULL + 1])])
            .then(Expect::Reset(1, &[FRAME_SIZE_ERROR])),
        case("4.2 HEADERS that are too long")
            .say(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &[get(OPEN), headers_beyond].concat()))
            .then(FATAL_SIZE),
        case("4.2 a frame of an unknown kind that is too long")
            .say(&frame(UNKNOWN, 0, 0, &[0; FULL + 1]))
            .then(FATAL_SIZE),
        case("5.4.1 an error ends the connection").say(&frame(PING, 0, 3, &[0; 8])).then(FATAL),
        case("5.4.1 the reason is said before")
            .say(&frame(PING, 0, 3, &[0; 8]))
            .until(Sign::Goodbye(PROTOCOL_ERROR))
            .then(FATAL),
        case("5.5 a frame of an unknown kind on a stream")
            .say_all(&[begin_post(1), frame(UNKNOWN, 0, 1, b"x"), frame(DATA, END_STREAM, 1, b"x")])
            .then(Expect::Answered(1)),
        case("5.5 a frame of an unknown kind within a header block")
            .say_all(&[
                frame(HEADERS, END_STREAM, 1, &get(OPEN)),
                frame(UNKNOWN, 0, 0, b"x"),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ])
            .then(FATAL),
        case("7 a reason to leave that nobody knows")
            .say(&frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]))
            .then(Expect::Farewell),
        case("7 a reason to reset that nobody knows")
            .say_all(&[begin_post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])])
            .then(Expect::Nothing),
    ]
}

fn blocks() -> Vec<Case> {
    let begun = frame(HEADERS, END_STREAM, 1, &get(OPEN));
    let rest = frame(CONTINUATION, END_HEADERS, 1, &[]);
    let intruders: [(&'static str, Vec<u8>); 9] = [
        ("4.3 PRIORITY within a header block", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 7])),
        ("4.3 the HEADERS of another stream within a header block", ask(3)),
        ("4.3 HEADERS of the same stream within a header block", ask(1)),
        ("4.3 DATA within a header block", frame(DATA, 0, 1, b"x")),
        ("4.3 RST_STREAM within a header block", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        ("4.3 SETTINGS within a header block", frame(SETTINGS, 0, 0, &[])),
        ("4.3 PING within a header block", frame(PING, 0, 0, &[0; 8])),
        ("4.3 WINDOW_UPDATE within a header block", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("4.3 the CONTINUATION of another stream within a header block", frame(CONTINUATION, 0, 3, &[])),
    ];
    let mut cases = vec![
        case("4.3 a header block that cannot be decoded")
            .say(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &[get(OPEN), vec![0x40]].concat()))
            .then(Expect::Fatal(&[COMPRESSION_ERROR])),
        case("4.3 trailers that cannot be decoded")
            .say_all(&[begin_post(1), frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x40])])
            .then(Expect::Fatal(&[COMPRESSION_ERROR])),
    ];
    cases.extend(
        intruders
            .into_iter()
            .map(|(name, intruder)| case(name).say_all(&[begun.clone(), intruder, rest.clone()]).then(FATAL)),
    );
    cases
}

fn data_and_headers() -> Vec<Case> {
    let padded = |block: &[u8], padding: u8| [&[padding][..], block, &vec![0; usize::from(padding)]].concat();
    let whole = END_STREAM | END_HEADERS;
    let prioritised = |dependency: u32| [&dependency.to_be_bytes()[..], &[255], &get(OPEN)].concat();
    vec![
        case("6.1 DATA")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM, 1, b"x")])
            .then(Expect::Answered(1)),
        case("6.1 several DATA")
            .say_all(&[begin_post(1), frame(DATA, 0, 1, b"x"), frame(DATA, END_STREAM, 1, b"y")])
            .then(Expect::Answered(1)),
        case("6.1 DATA with padding")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM | PADDED, 1, &padded(b"x", 8))])
            .then(Expect::Answered(1)),
        case("6.1 DATA on no stream").say(&frame(DATA, END_STREAM, 0, b"x")).then(FATAL),
        case("6.1 DATA on a stream that its client has ended")
            .holding()
            .say_all(&[ask(1), frame(DATA, END_STREAM, 1, b"x")])
            .then(Expect::Reset(1, &[STREAM_CLOSED])),
        case("6.1 DATA with more padding than there is")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM | PADDED, 1, &[6, 1, 2, 3, 4])])
            .then(FATAL),
        case("6.1 DATA with as much padding as there is content")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM | PADDED, 1, &[5, 1, 2, 3, 4])])
            .then(FATAL),
        case("6.1 DATA without the length of its padding")
            .say_all(&[begin_post(1), frame(DATA, END_STREAM | PADDED, 1, &[])])
            .then(Expect::Fatal(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR])),
        case("6.2 HEADERS").say(&ask(1)).then(Expect::Answered(1)),
        case("6.2 HEADERS with padding")
            .say(&frame(HEADERS, whole | PADDED, 1, &padded(&get(OPEN), 8)))
            .then(Expect::Answered(1)),
        case("6.2 HEADERS with a priority")
            .say(&frame(HEADERS, whole | PRIORITISED, 1, &prioritised(0)))
            .then(Expect::Answered(1)),
        case("6.2 HEADERS with padding and a priority")
            .say(&frame(HEADERS, whole | PADDED | PRIORITISED, 1, &padded(&prioritised(0), 8)))
            .then(Expect::Answered(1)),
        case("6.2 HEADERS on no stream").say(&frame(HEADERS, whole, 0, &get(OPEN))).then(FATAL),
        case("6.2 HEADERS with more padding than there is")
            .say(&frame(HEADERS, whole | PADDED, 1, &[&[255][..], &get(OPEN)].concat()))
            .then(FATAL),
        case("6.2 HEADERS with half a priority")
            .say(&frame(HEADERS, whole | PRIORITISED, 1, &[0, 0, 0]))
            .then(Expect::Fatal(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR])),
        case("5.3.1 HEADERS that depend on themselves")
            .say(&frame(HEADERS, whole | PRIORITISED, 1, &prioritised(1)))
            .then(Expect::Reset(1, &[PROTOCOL_ERROR])),
    ]
}

fn priority_and_reset() -> Vec<Case> {
    let cancel = 8_u32.to_be_bytes();
    let lonely = [0, 0, 0, 0, 255];
    vec![
        case("5.3.1 PRIORITY that depends on itself")
            .say(&frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 255]))
            .then(Expect::Reset(1, &[PROTOCOL_ERROR])),
        case("6.3 PRIORITY with the least weight")
            .say_all(&[frame(PRIORITY, 0, 1, &[0; 5]), ask(1)])
            .then(Expect::Answered(1)),
        case("6.3 PRIORITY with the greatest weight")
            .say_all(&[frame(PRIORITY, 0, 1, &lonely), ask(1)])
            .then(Expect::Answered(1)),
        case("6.3 PRIORITY that depends on another stream")
            .say_all(&[frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 0]), ask(1)])
            .then(Expect::Answered(1)),
        case("6.3 PRIORITY that is exclusive")
            .say_all(&[frame(PRIORITY, 0, 1, &[0x80, 0, 0, 0, 0]), ask(1)])
            .then(Expect::Answered(1)),
        case("6.3 PRIORITY for a stream that comes later")
            .say_all(&[frame(PRIORITY, 0, 3, &lonely), ask(1)])
            .then(Expect::Answered(1)),
        case("6.3 PRIORITY on no stream").say(&frame(PRIORITY, 0, 0, &lonely)).then(FATAL),
        case("6.3 PRIORITY that is too short")
            .holding()
            .say_all(&[ask(1), frame(PRIORITY, 0, 1, &lonely[..4])])
            .then(Expect::Reset(1, &[FRAME_SIZE_ERROR])),
        case("6.3 PRIORITY that is too long")
            .holding()
            .say_all(&[ask(1), frame(PRIORITY, 0, 1, &[0; 6])])
            .then(Expect::Reset(1, &[FRAME_SIZE_ERROR])),
        case("6.4 RST_STREAM")
            .say_all(&[begin_post(1), frame(RST_STREAM, 0, 1, &cancel)])
            .then(Expect::Nothing),
        case("6.4 RST_STREAM on no stream").say(&frame(RST_STREAM, 0, 0, &cancel)).then(FATAL),
        case("6.4 RST_STREAM on an idle stream").say(&frame(RST_STREAM, 0, 1, &cancel)).then(FATAL),
        case("6.4 RST_STREAM that is too short")
            .holding()
            .say_all(&[ask(1), frame(RST_STREAM, 0, 1, &cancel[..3])])
            .then(FATAL_SIZE),
        case("6.4 RST_STREAM that is too long")
            .holding()
            .say_all(&[ask(1), frame(RST_STREAM, 0, 1, &[0; 5])])
            .then(FATAL_SIZE),
    ]
}

fn control() -> Vec<Case> {
    let promise = [&2_u32.to_be_bytes()[..], &get(OPEN)].concat();
    vec![
        case("6.6 PUSH_PROMISE from a client")
            .say(&frame(PUSH_PROMISE, END_HEADERS, 1, &promise))
            .then(FATAL),
        case("6.6 PUSH_PROMISE on a stream that is open")
            .holding()
            .say_all(&[ask(1), frame(PUSH_PROMISE, END_HEADERS, 1, &promise)])
            .then(FATAL),
        case("6.7 PING")
            .say(&frame(PING, 0, 0, b"tollgate"))
            .until(Sign::Pong(*b"tollgate"))
            .then(Expect::Nothing),
        case("6.7 the answer to a PING that nobody sent")
            .say(&frame(PING, ACK, 0, b"nonsense"))
            .then(Expect::Nothing),
        case("6.7 PING on a stream").say(&frame(PING, 0, 1, &[0; 8])).then(FATAL),
        case("6.7 PING that is too short").say(&frame(PING, 0, 0, &[0; 6])).then(FATAL_SIZE),
        case("6.7 PING that is too long").say(&frame(PING, 0, 0, &[0; 9])).then(FATAL_SIZE),
        case("6.8 GOAWAY").say(&frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0farewell")).then(Expect::Farewell),
        case("6.8 GOAWAY while a request is under way")
            .say_all(&[begin_post(1), frame(GOAWAY, 0, 0, &[0; 8]), frame(DATA, END_STREAM, 1, b"x")])
            .then(Expect::Answered(1)),
        case("6.8 GOAWAY on a stream").say(&frame(GOAWAY, 0, 1, &[0; 8])).then(FATAL),
        case("6.8 GOAWAY that is too short").say(&frame(GOAWAY, 0, 0, &[0; 7])).then(FATAL_SIZE),
    ]
}

fn continuation() -> Vec<Case> {
    let more = block(&[(b"x-more", b"1")]);
    let begun = frame(HEADERS, END_STREAM, 1, &get(OPEN));
    let ending = |stream| frame(CONTINUATION, END_HEADERS, stream, &more);
    vec![
        case("6.10 CONTINUATION").say_all(&[begun.clone(), ending(1)]).then(Expect::Answered(1)),
        case("6.10 several CONTINUATION")
            .say_all(&[begun.clone(), frame(CONTINUATION, 0, 1, &more), ending(1)])
            .then(Expect::Answered(1)),
        case("6.10 a head that is split within a field")
            .say_all(&[
                frame(HEADERS, END_STREAM, 1, &get(OPEN)[..9]),
                frame(CONTINUATION, 0, 1, &get(OPEN)[9..10]),
                frame(CONTINUATION, END_HEADERS, 1, &get(OPEN)[10..]),
            ])
            .then(Expect::Answered(1)),
        case("6.10 CONTINUATION that is followed by another frame")
            .say_all(&[
                frame(HEADERS, 0, 1, &post(OPEN, &[])),
                frame(CONTINUATION, 0, 1, &more),
                frame(DATA, END_STREAM, 1, b"x"),
                ending(1),
            ])
            .then(FATAL),
        case("6.10 CONTINUATION on no stream").say_all(&[begun.clone(), ending(0)]).then(FATAL),
        case("6.10 CONTINUATION after the end of a head").holding().say_all(&[ask(1), ending(1)]).then(FATAL),
        case("6.10 CONTINUATION after the last CONTINUATION")
            .holding()
            .say_all(&[begun, ending(1), ending(1)])
            .then(FATAL),
        case("6.10 CONTINUATION after DATA")
            .say_all(&[begin_post(1), frame(DATA, 0, 1, b"x"), ending(1)])
            .then(FATAL),
    ]
}
