//! One-time tokens in memory.

use std::sync::Mutex;
use std::time::Duration;

use super::expiry::ExpiryQueue;
use super::{ByHash, lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::opaque::TokenHash;
use crate::domain::site::SiteName;
use crate::domain::token::{Claim, Refusal, TokenGrant};
use crate::store::{StoreFuture, TokenStore};

/// How long a token that is used or expired is still known, so that its bearer can be told what
/// happened, and a second click is not taken for guessing.
const AFTERLIFE: Duration = Duration::from_mins(10);

/// Tokens in memory.
#[derive(Default)]
pub struct Tokens {
    by_hash: ByHash<TokenHash, Entry>,
    expiry: Mutex<ExpiryQueue<TokenHash>>,
}

struct Entry {
    grant: TokenGrant,
    used: bool,
}

impl Tokens {
    fn try_take(&self, hash: TokenHash, claim: &Claim, now: Timestamp) -> Result<TokenGrant, Refusal> {
        // The entry's exclusive guard makes looking and marking one step.
        let mut entry = self.by_hash.get_mut(&hash).ok_or(Refusal::Unknown)?;
        match entry.grant.check(claim, now) {
            Err(Refusal::Unknown) => Err(Refusal::Unknown),
            _ if entry.used => Err(Refusal::Used),
            Err(refusal) => Err(refusal),
            Ok(()) => {
                entry.used = true;
                Ok(entry.grant.clone())
            }
        }
    }
}

impl TokenStore for Tokens {
    fn insert(&self, hash: TokenHash, grant: TokenGrant) -> StoreFuture<'_, ()> {
        lock(&self.expiry).push(grant.expires_at.after(AFTERLIFE), hash);
        self.by_hash.insert(hash, Entry { grant, used: false });
        ready(())
    }

    fn take(
        &self,
        hash: TokenHash,
        claim: Claim,
        now: Timestamp,
    ) -> StoreFuture<'_, Result<TokenGrant, Refusal>> {
        ready(self.try_take(hash, &claim, now))
    }

    fn site_of(&self, hash: TokenHash) -> StoreFuture<'_, Option<SiteName>> {
        ready(self.by_hash.get(&hash).map(|entry| entry.grant.site.clone()))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        let mut expiry = lock(&self.expiry);
        let mut looked_at = 0;
        while looked_at < limit
            && let Some(hash) = expiry.pop(now)
        {
            self.by_hash.remove(&hash);
            looked_at += 1;
        }
        looked_at
    }
}
