//! Keys that sign: one hash for each site, with the revision in plain and everything else locked.

use std::sync::Arc;

use ::redis::cmd;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::trouble::Trouble;
use super::{Inner, Redis, keys, list, number, scripts, string, text};
use crate::domain::assertion::KeyRing;
use crate::domain::site::SiteName;
use crate::store::{KeyStore, StoreFuture, key_record};

impl Inner {
    async fn load_keys(&self, site: &SiteName) -> Result<Option<KeyRing>, Trouble> {
        let place = keys::key_ring(site);
        let mut get = cmd("HMGET");
        get.arg(&place).arg("v").arg("r");
        let mut fields = list(self.exchange.ask(&get).await?)?.into_iter().map(text);
        let (Some(revision), Some(locked)) = (fields.next(), fields.next()) else {
            return Err(Trouble::Damaged);
        };
        let (revision, locked) = match (revision?, locked?) {
            (None, None) => return Ok(None),
            (Some(revision), Some(locked)) => (string(revision)?, locked),
            _ => return Err(Trouble::Damaged),
        };
        let vault = self.vault.as_ref().ok_or(Trouble::Damaged)?;
        let locked = URL_SAFE_NO_PAD.decode(locked).map_err(|_| Trouble::Damaged)?;
        let record = vault.open(&place, locked)?;
        let ring = key_record::read(&record)?;
        // An old ring under a new number would be replaced by nobody.
        if ring.revision.to_string() == revision { Ok(Some(ring)) } else { Err(Trouble::Damaged) }
    }

    async fn replace_keys(&self, site: &SiteName, ring: &KeyRing) -> Result<bool, Trouble> {
        let place = keys::key_ring(site);
        let vault = self.vault.as_ref().ok_or(Trouble::Damaged)?;
        let record = key_record::write(ring)?;
        let locked = vault.close(&place, Zeroizing::new(record.as_bytes().to_vec()))?;
        let locked = URL_SAFE_NO_PAD.encode(locked);
        let [before, revision] =
            [ring.revision.saturating_sub(1), ring.revision].map(|number| number.to_string());
        let arguments = [before.as_bytes(), revision.as_bytes(), locked.as_bytes()];
        let answer = scripts::ROTATE.run(&self.exchange, &[&place], &arguments).await?;
        Ok(number(&answer)? == 1)
    }
}

impl KeyStore for Redis {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.load_keys(&site).await })
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.replace_keys(&site, &ring).await })
    }
}
