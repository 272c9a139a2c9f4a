//! The pure parts of the 23-compatible API: who signed a request, what it asks, and how the
//! answer is written. Nothing here reads a socket, a store or a clock.

pub mod form;
pub mod format;
pub mod oauth1;
pub mod parameters;
pub mod reply;
pub mod v2;

mod script;
mod xml;
