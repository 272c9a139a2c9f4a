//! What is said of heads that could not be read: a line in the access log, as no request comes of them.

use super::Gateway;
use super::address::Connection;
use crate::http::h1::FramingFault;

impl Gateway {
    /// A head on `connection` was refused unread. Who sent it is the other end itself: whom a proxy speaks for
    /// would have stood in the head.
    pub fn note_unreadable(&self, fault: FramingFault, connection: &Connection) {
        let Some(log) = &self.telemetry.log else { return };
        connection.go_by(&self.shared);
        let client = connection.peer().address;
        log.note_unreadable(client, fault, self.shared.clock.now());
    }
}
