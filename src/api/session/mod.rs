//! The pure parts of the 23-compatible API: who signed a request, what it asks, and how the
//! answer is written. Nothing here reads a socket, a store or a clock.

pub mod form;
pub mod oauth1;
pub mod parameters;
