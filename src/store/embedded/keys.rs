//! Keys that sign, in the file, which nobody else may read. They are asked for once a minute and at a
//! start.

use super::handle::WriterHandle;
use super::ledger::number;
use crate::domain::assertion::KeyRing;
use crate::domain::site::SiteName;
use crate::store::{KeyStore, StoreFuture, Unavailable, key_record};

/// Keys that outlive the process.
pub(super) struct Keys(pub(super) WriterHandle);

impl KeyStore for Keys {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        let found = self.0.look(move |ledger| {
            let sql = "SELECT record FROM key_ring WHERE site = ?1";
            ledger.row(sql, [site.as_str()], |row| Ok(key_record::read(row.get_ref(0)?.as_bytes()?)))
        });
        Box::pin(async { found.await?.transpose().map_err(|_| Unavailable) })
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        let Ok(record) = key_record::write(&ring) else {
            return Box::pin(std::future::ready(Err(Unavailable)));
        };
        let (revision, before) = (number(ring.revision), number(ring.revision.saturating_sub(1)));
        self.0.write(
            move |ledger| {
                let written = if before == 0 {
                    let sql = "INSERT OR IGNORE INTO key_ring (site, revision, record) VALUES (?1, ?2, ?3)";
                    ledger.execute(sql, (site.as_str(), revision, record.as_str()))?
                } else {
                    let sql =
                        "UPDATE key_ring SET revision = ?2, record = ?3 WHERE site = ?1 AND revision = ?4";
                    ledger.execute(sql, (site.as_str(), revision, record.as_str(), before))?
                };
                Ok(written == 1)
            },
            |_, is_next| is_next,
        )
    }
}
