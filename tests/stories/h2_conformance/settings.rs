//! What a client may say of itself, and when the server has to have heard (RFC 9113 §6.5).

use super::play::{
    Case, ENABLE_PUSH, Expect, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, PROTOCOL_ERROR, Sign, ask, case, settings,
};
use crate::support::h2::{ACK, SETTINGS, frame};

const FATAL: Expect = Expect::Fatal(&[PROTOCOL_ERROR]);
const FATAL_SIZE: Expect = Expect::Fatal(&[FRAME_SIZE_ERROR]);

pub(super) fn cases() -> Vec<Case> {
    let say = |values: &[(u16, u32)]| frame(SETTINGS, 0, 0, &settings(values));
    let accepted = |name, values: &[(u16, u32)]| {
        case(name).say(&say(values)).until(Sign::Acknowledged).then(Expect::Nothing)
    };
    let rejected = |name, id, value, expect| case(name).say(&say(&[(id, value)])).then(expect);
    let every = [
        (HEADER_TABLE_SIZE, 4096),
        (ENABLE_PUSH, 1),
        (MAX_CONCURRENT_STREAMS, 100),
        (INITIAL_WINDOW_SIZE, 65_535),
        (MAX_FRAME_SIZE, 16_384),
        (MAX_HEADER_LIST_SIZE, 100),
    ];
    vec![
        accepted("6.5 SETTINGS with every value that is defined", &every),
        accepted("6.5 SETTINGS with nothing", &[]),
        case("6.5 an acknowledgement that says something")
            .say(&frame(SETTINGS, ACK, 0, &[0]))
            .then(FATAL_SIZE),
        case("6.5 an acknowledgement with a value")
            .say(&frame(SETTINGS, ACK, 0, &settings(&[(ENABLE_PUSH, 0)])))
            .then(FATAL_SIZE),
        case("6.5 SETTINGS on a stream").say(&frame(SETTINGS, 0, 1, &settings(&every))).then(FATAL),
        case("6.5 SETTINGS that are too short").say(&frame(SETTINGS, 0, 0, &[0, 3, 0])).then(FATAL_SIZE),
        case("6.5 SETTINGS with a byte too many").say(&frame(SETTINGS, 0, 0, &[0; 7])).then(FATAL_SIZE),
        rejected("6.5.2 ENABLE_PUSH of 2", ENABLE_PUSH, 2, FATAL),
        rejected(
            "6.5.2 INITIAL_WINDOW_SIZE above the greatest",
            INITIAL_WINDOW_SIZE,
            1 << 31,
            Expect::Fatal(&[FLOW_CONTROL_ERROR]),
        ),
        rejected("6.5.2 MAX_FRAME_SIZE below the least", MAX_FRAME_SIZE, (1 << 14) - 1, FATAL),
        rejected("6.5.2 MAX_FRAME_SIZE above the greatest", MAX_FRAME_SIZE, 1 << 24, FATAL),
        accepted("6.5.2 INITIAL_WINDOW_SIZE at its greatest", &[(INITIAL_WINDOW_SIZE, (1 << 31) - 1)]),
        accepted("6.5.2 MAX_FRAME_SIZE at its greatest", &[(MAX_FRAME_SIZE, (1 << 24) - 1)]),
        accepted("6.5.2 MAX_CONCURRENT_STREAMS of nothing", &[(MAX_CONCURRENT_STREAMS, 0)]),
        accepted("6.5.2 a value that nobody knows", &[(0xff, 1)]),
        accepted("6.5.2 no value at all has the number 0", &[(0, 1)]),
        case("6.5.3 values in the order in which they are said")
            .say(&say(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]))
            .until(Sign::Acknowledged)
            .say(&ask(1))
            .until(Sign::Piece(1, 1))
            .then(Expect::Nothing),
        accepted("6.5.3 SETTINGS are acknowledged", &[(ENABLE_PUSH, 0)]),
        case("6.5.3 each SETTINGS is acknowledged")
            .say_all(&[say(&[(ENABLE_PUSH, 0)]), say(&[(INITIAL_WINDOW_SIZE, 9)])])
            .until(Sign::Acknowledged)
            .until(Sign::Acknowledged)
            .then(Expect::Nothing),
    ]
}
