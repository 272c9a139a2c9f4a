//! Nonces: keys that are there as long as they are remembered.

use std::sync::Arc;

use super::{Redis, keys, number, scripts};
use crate::domain::clock::Timestamp;
use crate::store::{NonceKey, NonceStore, StoreFuture};

impl NonceStore for Redis {
    fn remember(&self, key: NonceKey, until: Timestamp) -> StoreFuture<'_, bool> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move {
            let times = [inner.clock.now().as_millis(), until.as_millis(), inner.keep_until(until)];
            let answer = scripts::REMEMBER.run(&inner.exchange, &[&keys::nonce(&key)], &times).await?;
            Ok(number(&answer)? == 1)
        })
    }

    fn sweep(&self, _: Timestamp, _: usize) -> usize {
        // The Redis forgets by itself.
        0
    }
}
