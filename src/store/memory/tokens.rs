//! One-time tokens in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::expiry::ExpiryQueue;
use super::{ByHash, lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::opaque::TokenHash;
use crate::domain::site::SiteName;
use crate::domain::token::{Claim, Refusal, TokenGrant};
use crate::store::{SessionFilter, StoreFuture, TokenStore};

/// How long a token that is used or expired is still known, so that its bearer can be told what
/// happened, and a second click is not taken for guessing.
const AFTERLIFE: Duration = Duration::from_mins(10);

/// Tokens in memory.
#[derive(Default)]
pub struct Tokens {
    by_hash: ByHash<TokenHash, Entry>,
    index: Mutex<Index>,
}

struct Entry {
    grant: TokenGrant,
    /// Why it cannot be taken any more.
    over: Option<Refusal>,
}

#[derive(Default)]
struct Index {
    expiry: ExpiryQueue<TokenHash>,
    by_person: HashMap<Arc<str>, HashSet<TokenHash>>,
}

fn person(grant: &TokenGrant) -> Option<&Arc<str>> {
    grant.identity.email.as_ref().map(Email::key)
}

impl Tokens {
    fn try_take(&self, hash: TokenHash, claim: &Claim, now: Timestamp) -> Result<TokenGrant, Refusal> {
        // The entry's exclusive guard makes looking and marking one step.
        let mut entry = self.by_hash.get_mut(&hash).ok_or(Refusal::Unknown)?;
        let checked = entry.grant.check(claim, now);
        if checked == Err(Refusal::Unknown) {
            return Err(Refusal::Unknown);
        }
        if let Some(over) = entry.over {
            return Err(over);
        }
        checked?;
        entry.over = Some(Refusal::Used);
        Ok(entry.grant.clone())
    }

    fn forget(&self, index: &mut Index, hash: &TokenHash) {
        let Some((_, entry)) = self.by_hash.remove(hash) else { return };
        let Some(key) = person(&entry.grant) else { return };
        if let Some(hashes) = index.by_person.get_mut(key) {
            hashes.remove(hash);
            if hashes.is_empty() {
                index.by_person.remove(key);
            }
        }
    }
}

impl TokenStore for Tokens {
    fn insert(&self, hash: TokenHash, grant: TokenGrant) -> StoreFuture<'_, ()> {
        let mut index = lock(&self.index);
        index.expiry.push(grant.expires_at.after(AFTERLIFE), hash);
        if let Some(key) = person(&grant) {
            index.by_person.entry(key.clone()).or_default().insert(hash);
        }
        self.by_hash.insert(hash, Entry { grant, over: None });
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

    fn revoke(&self, filter: SessionFilter) -> StoreFuture<'_, ()> {
        let index = lock(&self.index);
        let hashes: Vec<TokenHash> = match &filter.email_key {
            Some(key) => index.by_person.get(key).into_iter().flatten().copied().collect(),
            None => self.by_hash.iter().map(|entry| *entry.key()).collect(),
        };
        for hash in hashes {
            let Some(mut entry) = self.by_hash.get_mut(&hash) else { continue };
            if filter.matches(&entry.grant.identity, &entry.grant.site) && entry.over.is_none() {
                entry.over = Some(Refusal::Revoked);
            }
        }
        ready(())
    }

    fn site_of(&self, hash: TokenHash) -> StoreFuture<'_, Option<SiteName>> {
        ready(self.by_hash.get(&hash).map(|entry| entry.grant.site.clone()))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        let mut index = lock(&self.index);
        let mut looked_at = 0;
        while looked_at < limit
            && let Some(hash) = index.expiry.pop(now)
        {
            self.forget(&mut index, &hash);
            looked_at += 1;
        }
        looked_at
    }
}
