//! HTTP/1.1 on the wire, whichever side of the gateway it is on.

mod chunked;
mod fault;
mod field_cache;
mod fields;
mod line;
mod request;
mod sender;

pub use chunked::{Chunked, Piece};
pub use fault::FramingFault;
pub use field_cache::FieldCache;
pub use fields::{Fields, Framing, Lines, put};
pub use line::{end_of_head, fields_in, first_line, has_bare_line_end};
pub use request::{Head, HeadReader, Length};
pub use sender::{Sender, Unsent};

use bytes::BytesMut;
use http::StatusCode;

/// Whether an answer with `status` may have a body, if it is not one to HEAD (RFC 9112 §6.3).
pub fn may_have_body(status: StatusCode, to_head: bool) -> bool {
    let never = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !to_head && !never && !status.is_informational()
}

/// Makes room for what is read next: `room`, unless there is enough left for most that comes.
pub fn make_room(incoming: &mut BytesMut, room: usize) {
    const ENOUGH: usize = 1024;
    if incoming.capacity() - incoming.len() < ENOUGH.min(room) {
        incoming.reserve(room);
    }
}
