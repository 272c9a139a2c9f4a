//! How a head is compressed, and what is no compression (RFC 7541).

use super::play::{COMPRESSION_ERROR, Case, Expect, OPEN, case};
use crate::support::h2::{CONTINUATION, END_HEADERS, END_STREAM, HEADERS, frame, get};

const FATAL: Expect = Expect::Fatal(&[COMPRESSION_ERROR]);
const FINE: Expect = Expect::Answered(1);

/// `custom-key`, `custom-value` and `no-cache` in Huffman's code (RFC 7541 appendix C.4), each behind
/// its length.
const KEY: &[u8] = &[0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
const VALUE: &[u8] = &[0x89, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf];
const NO_CACHE: &[u8] = &[0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];

/// The same plainly.
const PLAIN_KEY: &[u8] = b"\x0acustom-key";
const PLAIN_VALUE: &[u8] = b"\x0ccustom-value";
const PLAIN_NO_CACHE: &[u8] = b"\x08no-cache";

/// `user-agent` without a value, entry 58 of the static table.
const USER_AGENT: u8 = 0x80 | 0x3a;

/// The first entry of the dynamic table (§2.3.3).
const NEWEST: u8 = 62;

pub(super) fn cases() -> Vec<Case> {
    [representations(), tables(), sizes(), primitives()].concat()
}

/// A request on `stream` whose head has `before` and `behind` around what is needed.
fn around(stream: u32, before: &[u8], behind: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &[before, &get(OPEN), behind].concat())
}

fn field(name: &'static str, field: &[&[u8]], expect: Expect) -> Case {
    case(name).say(&around(1, &[], &field.concat())).then(expect)
}

fn representations() -> Vec<Case> {
    // `cache-control` is entry 24 of the static table, and 15 is what four bits hold (§5.1).
    let (indexing, plain, never): (&[u8], &[u8], &[u8]) = (&[0x58], &[0x0f, 9], &[0x1f, 9]);
    // `:method: GET`, `:scheme: http`, and the others by the indices of their names.
    let compressed = [&[0x82, 0x86, 0x41][..], b"\x09site.test", &[0x44], b"\x09/public/a"].concat();
    vec![
        field("HPACK 6.1 an indexed field", &[&[USER_AGENT]], FINE),
        case("HPACK 6.1 a head as clients write it")
            .say(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &compressed))
            .then(FINE),
        field("HPACK 6.1 index 0", &[&[0x80]], FATAL),
        field("HPACK 6.2.1 with indexing, name by index", &[indexing, PLAIN_NO_CACHE], FINE),
        field("HPACK 6.2.1 with indexing, name by index, in Huffman's code", &[indexing, NO_CACHE], FINE),
        field("HPACK 6.2.1 with indexing, new name", &[&[0x40], PLAIN_KEY, PLAIN_VALUE], FINE),
        field("HPACK 6.2.1 with indexing, new name, in Huffman's code", &[&[0x40], KEY, VALUE], FINE),
        field("HPACK 6.2.2 without indexing, name by index", &[plain, PLAIN_NO_CACHE], FINE),
        field("HPACK 6.2.2 without indexing, name by index, in Huffman's code", &[plain, NO_CACHE], FINE),
        field("HPACK 6.2.2 without indexing, new name", &[&[0], PLAIN_KEY, PLAIN_VALUE], FINE),
        field("HPACK 6.2.2 without indexing, new name, in Huffman's code", &[&[0], KEY, VALUE], FINE),
        field("HPACK 6.2.3 never indexed, name by index", &[never, PLAIN_NO_CACHE], FINE),
        field("HPACK 6.2.3 never indexed, name by index, in Huffman's code", &[never, NO_CACHE], FINE),
        field("HPACK 6.2.3 never indexed, new name", &[&[0x10], PLAIN_KEY, PLAIN_VALUE], FINE),
        field("HPACK 6.2.3 never indexed, new name, in Huffman's code", &[&[0x10], KEY, VALUE], FINE),
    ]
}

fn tables() -> Vec<Case> {
    let indexed = [&[0x40][..], KEY, VALUE].concat();
    let second = |name| case(name).say(&around(1, &[], &indexed));
    vec![
        field("HPACK 2.3.3 an index beyond both tables", &[&[0xfe]], FATAL),
        field("HPACK 2.3.3 the first index beyond both tables", &[&[0x80 | NEWEST]], FATAL),
        field("HPACK 2.3.3 a name's index beyond both tables", &[&[0x7e], PLAIN_VALUE], FATAL),
        field("HPACK 2.3.3 an entry within the head that makes it", &[&indexed, &[0x80 | NEWEST]], FINE),
        second("HPACK 2.3.2 an entry of an earlier head")
            .say(&around(3, &[], &[0x80 | NEWEST]))
            .then(Expect::Answered(3)),
        second("HPACK 2.3.2 a name of an earlier head")
            .say(&around(3, &[], &[&[0x40 | NEWEST][..], PLAIN_VALUE].concat()))
            .then(Expect::Answered(3)),
        second("HPACK 2.3.2 one entry, and the index of a second")
            .say(&around(3, &[], &[0x81 | NEWEST]))
            .then(FATAL),
        case("HPACK 2.3.2 an entry of a head that was refused")
            .say(&around(1, &[], &[&indexed[..], b"\0\x0aconnection\x05close"].concat()))
            .say(&around(3, &[], &[0x80 | NEWEST]))
            .then(Expect::Answered(3)),
        second("HPACK 4.3 an entry that a smaller table drove out")
            .say(&around(3, &[0x20], &[0x80 | NEWEST]))
            .then(FATAL),
        case("HPACK 4.4 an entry that is larger than the table")
            .say(&around(1, &[0x3f, 0x01], &indexed))
            .say(&around(3, &[], &[0x80 | NEWEST]))
            .then(FATAL),
    ]
}

fn sizes() -> Vec<Case> {
    // 4096, and one more: what the server allows unless it says otherwise (RFC 9113 §6.5.2).
    let (most, too_much): (&[u8], &[u8]) = (&[0x3f, 0xe1, 0x1f], &[0x3f, 0xe2, 0x1f]);
    let before = |name, sizes: &[u8], expect| case(name).say(&around(1, sizes, &[])).then(expect);
    vec![
        before("HPACK 6.3 a table of nothing", &[0x20], FINE),
        before("HPACK 6.3 the largest table", most, FINE),
        before("HPACK 6.3 a table that is too large", too_much, FATAL),
        before("HPACK 6.3 a table that is far too large", &[0x3f, 0xff, 0xff, 0xff, 0x0f], FATAL),
        before("HPACK 4.2 a smaller table, and then the largest", &[&[0x20], most].concat(), FINE),
        field("HPACK 4.2 a table's size at the end of a head", &[&[0x21]], FATAL),
        field("HPACK 4.2 a table's size within a head", &[&[0x21, USER_AGENT]], FATAL),
    ]
}

fn primitives() -> Vec<Case> {
    let value = |bytes: &[u8]| {
        let length = 0x80 | u8::try_from(bytes.len()).expect("a short value");
        [&[0][..], KEY, &[length], bytes].concat()
    };
    let coded = |name, bytes: &[u8]| field(name, &[&value(bytes)], FATAL);
    let split = |name, at: usize| {
        let whole = [get(OPEN), value(&VALUE[1..])].concat();
        let (first, rest) = whole.split_at(whole.len() - at);
        case(name)
            .say(&frame(HEADERS, END_STREAM, 1, first))
            .say(&frame(CONTINUATION, END_HEADERS, 1, rest))
            .then(FINE)
    };
    vec![
        coded("HPACK 5.2 padding longer than 7 bits", &[&VALUE[1..], &[0xff]].concat()),
        coded("HPACK 5.2 padding of zeros", &[0x49, 0x50, 0x90]),
        coded("HPACK 5.2 the end of the string within the string", &[0xff, 0xff, 0xff, 0xff]),
        coded("HPACK 5.2 the end of the string after a letter", &[0x1f, 0xff, 0xff, 0xff, 0xff]),
        field("HPACK 5.2 an empty value", &[&[0], PLAIN_KEY, &[0]], FINE),
        field("HPACK 5.2 an empty value in Huffman's code", &[&[0], PLAIN_KEY, &[0x80]], FINE),
        field("HPACK 5.2 a string that is cut off", &[&[0], PLAIN_KEY, b"\x0ccustom"], FATAL),
        field("HPACK 5.2 a field without a value", &[&[0], PLAIN_KEY], FATAL),
        field("HPACK 5.1 an integer without an end", &[&[0xff, 0x80]], FATAL),
        field("HPACK 5.1 an integer that is too large", &[&[0xff], &[0xff; 10], &[0x7f]], FATAL),
        field(
            "HPACK 5.1 a length that is too large",
            &[&[0], PLAIN_KEY, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f]],
            FATAL,
        ),
        split("HPACK 4.1 a head that is split within a string in Huffman's code", 4),
        split("HPACK 4.1 a head that is split before a value", VALUE.len()),
    ]
}
