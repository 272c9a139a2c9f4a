//! What login pages and operators call.

pub mod session;
