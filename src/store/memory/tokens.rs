//! One-time tokens in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use super::expiry::{Expiring, ExpiryQueue};
use super::spent::{Fate, Spent};
use super::{lock, ready};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::identity::Identity;
use crate::domain::opaque::TokenHash;
use crate::domain::site::SiteName;
use crate::domain::token::{Claim, Redeemed, Refusal, Taken, TokenGrant};
use crate::store::{SessionFilter, StoreFuture, TokenStore};

/// How long a token that is used or expired is still known, so that its bearer can be told what
/// happened, and a second click is not taken for guessing.
pub(in crate::store) const AFTERLIFE: Duration = Duration::from_mins(10);

/// Tokens in memory. Logins come here, requests do not: one lock is enough.
#[derive(Default)]
pub struct Tokens(Mutex<Table>);

/// Only open tokens keep what they stand for. They are few at a time, and trees give back the room
/// for those that were.
#[derive(Default)]
struct Table {
    open: BTreeMap<TokenHash, Box<TokenGrant>>,
    by_person: BTreeMap<Box<str>, BTreeSet<TokenHash>>,
    expiry: ExpiryQueue<TokenHash>,
    spent: Spent,
    /// Those that were handed out a moment ago, to browsers that might come again.
    redeemed: Expiring<TokenHash, Handed>,
}

/// A token that was handed out, and to whom on which site.
struct Handed {
    who: Identity,
    site: SiteName,
    redeemed: Redeemed,
}

fn person(grant: &TokenGrant) -> Option<&str> {
    grant.identity.email.as_ref().map(Email::key)
}

impl Table {
    fn add(&mut self, hash: TokenHash, grant: TokenGrant) {
        self.expiry.push(grant.expires_at, hash);
        if let Some(key) = person(&grant) {
            self.by_person.entry(key.into()).or_default().insert(hash);
        }
        self.open.insert(hash, Box::new(grant));
    }

    /// Closes an open token, from now on to be refused as told, and hands out what it stood for.
    fn close(&mut self, hash: TokenHash, refusal: Refusal) -> Option<TokenGrant> {
        let grant = *self.open.remove(&hash)?;
        self.expiry.remove(grant.expires_at, hash);
        if let Some(key) = person(&grant)
            && let Some(hashes) = self.by_person.get_mut(key)
        {
            hashes.remove(&hash);
            if hashes.is_empty() {
                self.by_person.remove(key);
            }
        }
        let fate = Fate { kind: grant.kind, site: grant.site.clone(), refusal };
        self.spent.add(&hash, fate, grant.expires_at.after(AFTERLIFE));
        Some(grant)
    }

    fn take(&mut self, hash: TokenHash, claim: &Claim, now: Timestamp) -> Result<Taken, Refusal> {
        let Some(grant) = self.open.get(&hash) else {
            let handed = self.redeemed.find(&hash).map(|handed| &handed.redeemed);
            if let Some(redeemed) = handed.filter(|redeemed| redeemed.is_for(claim, now)) {
                return Ok(Taken::Before(redeemed.clone()));
            }
            let told = self.spent.find(&hash).filter(|fate| claim.is_for(fate.kind, &fate.site));
            return Err(told.map_or(Refusal::Unknown, |fate| fate.refusal));
        };
        grant.check(claim, now)?;
        let grant = self.close(hash, Refusal::Used).ok_or(Refusal::Unknown)?;
        if let Some(redeemed) = grant.redeemed_by(claim, now) {
            let until = redeemed.expires_at();
            let (who, site) = (grant.identity.clone(), grant.site.clone());
            self.redeemed.insert(hash, Handed { who, site, redeemed }, until);
        }
        Ok(Taken::Now(grant))
    }

    /// The open tokens that `filter` means.
    fn meant(&self, filter: &SessionFilter) -> Vec<TokenHash> {
        let is_meant = |hash: &TokenHash| {
            self.open.get(hash).is_some_and(|grant| filter.matches(&grant.identity, &grant.site))
        };
        match &filter.email_key {
            Some(key) => self.by_person.get(&**key).into_iter().flatten().copied().filter(is_meant).collect(),
            None => self.open.keys().copied().filter(is_meant).collect(),
        }
    }
}

impl TokenStore for Tokens {
    fn insert(&self, hash: TokenHash, grant: TokenGrant) -> StoreFuture<'_, ()> {
        lock(&self.0).add(hash, grant);
        ready(())
    }

    fn take(&self, hash: TokenHash, claim: Claim, now: Timestamp) -> StoreFuture<'_, Result<Taken, Refusal>> {
        ready(lock(&self.0).take(hash, &claim, now))
    }

    fn revoke(&self, filter: SessionFilter) -> StoreFuture<'_, ()> {
        let mut table = lock(&self.0);
        for hash in table.meant(&filter) {
            table.close(hash, Refusal::Revoked);
        }
        table.redeemed.retain(|handed| !filter.matches(&handed.who, &handed.site));
        ready(())
    }

    fn site_of(&self, hash: TokenHash) -> StoreFuture<'_, Option<SiteName>> {
        let table = lock(&self.0);
        let open = table.open.get(&hash).map(|grant| &grant.site);
        ready(open.or_else(|| table.spent.find(&hash).map(|fate| &fate.site)).cloned())
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        let mut table = lock(&self.0);
        let mut looked_at = 0;
        while looked_at < limit
            && let Some(hash) = table.expiry.pop(now)
        {
            table.close(hash, Refusal::Expired);
            looked_at += 1;
        }
        table.redeemed.forget(now, usize::MAX);
        table.spent.forget(now);
        looked_at
    }
}
