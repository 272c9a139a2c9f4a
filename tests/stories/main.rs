//! What people and programs meet at a running gateway, told over real sockets with a clock that
//! only the story moves. Whether a request passed is judged by what the upstream received.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod login_flow;
mod navigation;
mod redeem_race;
mod sessions;
mod support;
mod tokens;
