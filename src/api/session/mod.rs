//! The 23-compatible API: who signed a request, what it asks, and how the answer is written. The
//! calls themselves are in `endpoints` and `v2`; the rest is pure.

mod endpoints;
pub mod form;
pub mod format;
pub mod oauth1;
pub mod parameters;
pub mod reply;
mod v2;

mod script;
mod xml;

pub use endpoints::is_endpoint;
