//! Nonces of signed requests, in the file alone: a restart must not make an old request new.

use super::handle::WriterHandle;
use super::ledger::millis;
use crate::domain::clock::Timestamp;
use crate::store::{NonceKey, NonceStore, StoreFuture};

/// Nonces that outlive the process.
pub(super) struct Nonces(pub(super) WriterHandle);

impl NonceStore for Nonces {
    fn remember(&self, key: NonceKey, until: Timestamp) -> StoreFuture<'_, bool> {
        self.0.write(
            move |ledger| {
                let sql = "INSERT OR IGNORE INTO nonce (key, until) VALUES (?1, ?2)";
                Ok(ledger.execute(sql, (key, millis(until)))? == 1)
            },
            |_, is_new| is_new,
        )
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        self.0.mirror.note_time(now);
        self.0.mirror.agenda.nonces.ask(now).min(limit)
    }
}
