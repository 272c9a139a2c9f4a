//! Paused requests: for each browser one key, with a field for each page.
//!
//! Each node remembers what it brought here, and so how much that is: beyond its bounds the oldest goes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ::redis::cmd;

use super::{Redis, keys, number, random_name, scripts, text};
use crate::domain::clock::Timestamp;
use crate::domain::paused::ParkedId;
use crate::store::{ParkedStore, SealedRequest, StoreFuture};

/// How long whoever took something may ask for it again: its connection may have been lost.
const AGAIN: Duration = Duration::from_secs(2);

/// The time stands before what is sealed.
const HEAD: usize = 8;

impl ParkedStore for Redis {
    fn park(&self, id: ParkedId, request: SealedRequest) -> StoreFuture<'_, ()> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move {
            let SealedRequest { network, until, sealed } = request;
            let gone = {
                let mut brought = inner.brought.lock().unwrap_or_else(PoisonError::into_inner);
                brought.add(id, network, sealed.len(), (), until)
            };
            let value = [until.as_millis().to_be_bytes().as_slice(), &sealed].concat();
            let keep = inner.keep_until(until).to_string();
            let arguments = [keys::encode(&id.page).into_bytes(), value, keep.into_bytes()];
            let place = keys::parked(&id.browser);
            scripts::PARK.run(&inner.exchange, &[&place], &arguments).await?;
            for id in gone {
                let mut forget = cmd("HDEL");
                forget.arg(keys::parked(&id.browser)).arg(keys::encode(&id.page));
                inner.exchange.ask(&forget).await?;
            }
            Ok(())
        })
    }

    fn holds(&self, id: ParkedId) -> StoreFuture<'_, bool> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move {
            let mut look = cmd("HEXISTS");
            look.arg(keys::parked(&id.browser)).arg(keys::encode(&id.page));
            Ok(number(&inner.exchange.ask(&look).await?)? == 1)
        })
    }

    fn take(&self, id: ParkedId, now: Timestamp) -> StoreFuture<'_, Option<Vec<u8>>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move {
            let attempt = random_name();
            let places = [keys::parked(&id.browser), keys::unparked(&id.browser, &attempt)];
            let arguments = [keys::encode(&id.page), AGAIN.as_millis().to_string()];
            let [place, again] = &places;
            let answer = scripts::UNPARK.run(&inner.exchange, &[place, again], &arguments).await?;
            inner.brought.lock().unwrap_or_else(PoisonError::into_inner).take(&id, now);
            let Some(value) = text(answer)? else { return Ok(None) };
            let Some((until, sealed)) = value.split_first_chunk::<HEAD>() else { return Ok(None) };
            let until = Timestamp::from_millis(u64::from_be_bytes(*until));
            Ok((now < until).then(|| sealed.to_vec()))
        })
    }

    fn clear(&self, browser: [u8; 32]) -> StoreFuture<'_, ()> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move {
            let mut forget = cmd("DEL");
            forget.arg(keys::parked(&browser));
            inner.exchange.ask(&forget).await?;
            inner.brought.lock().unwrap_or_else(PoisonError::into_inner).clear(&browser);
            Ok(())
        })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        // The Redis forgets by itself.
        self.inner.brought.lock().unwrap_or_else(PoisonError::into_inner).forget(now, limit)
    }
}
