//! HTTP/1.1 on the wire, whichever side of the gateway it is on.

mod chunked;
mod fault;
mod fields;
mod request;
mod sender;

pub use chunked::{Chunked, Piece};
pub use fault::FramingFault;
pub use fields::{Fields, Framing, put};
pub use request::{Head, HeadSoFar, Length};
pub use sender::{Sender, Unsent};
