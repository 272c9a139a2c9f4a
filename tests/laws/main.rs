//! Laws that hold for whatever a client sends: told by random input, not by examples.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "all of this is a test, which fails by panicking"
)]

mod client;
mod cookies;
mod framing;
mod identity;
mod paths;
#[path = "../reference/mod.rs"]
mod reference;
mod relocation;
mod return_to;
mod rules;
mod token_parameter;

use proptest::prelude::*;

/// Text in which what matters to URL parsers is frequent.
fn hostile_text(max_pieces: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "/", "//", "\\", "/\\", ":", "@", "?", "#", "&", "=", ";", ".", "..", "%", "%2f", "%2F", "%5c", "%2e",
            "%00", "%0d%0a", "%09", "\t", "\n", "\r", " ", "\0", "http://", "https://", "HTTPS://", "https:/",
            "https:", "javascript:", "data:", "site.example", "evil.example", "a.pages.example", "localhost",
            "127.0.0.1", "[::1]", ":443", ":80", ":8443", "user", "sso", "sso=", "é", "。", "\u{2215}", "\u{200b}",
            "xn--", "ﬀ", "admin", "public", "x", "1", ",", "\"", "for=",
        ]).prop_map(ToOwned::to_owned),
        1 => "\\PC{0,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..max_pieces).prop_map(|pieces| pieces.concat())
}
