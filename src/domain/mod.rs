//! What tollgate is about, with no I/O at all: no sockets, no environment, no clock of its own.
//!
//! Everything here is a value or a pure decision. Time and randomness come in as arguments.

pub mod access;
pub mod assertion;
pub mod clock;
pub mod email;
pub mod entropy;
pub mod host;
pub mod identity;
pub mod network;
pub mod opaque;
pub mod path;
pub mod paused;
pub mod query;
pub mod relocation;
pub mod return_to;
pub mod secret;
pub mod session;
pub mod signed_login;
pub mod site;
pub mod state;
pub mod token;
pub mod user;
mod word;
