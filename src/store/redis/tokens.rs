//! One-time tokens: one key each, at which the open token stands and then the spent one.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Value, cmd};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::trouble::Trouble;
use super::{Inner, Redis, keys, list, number, random_name, scripts, text, texts};
use crate::domain::clock::Timestamp;
use crate::domain::opaque::TokenHash;
use crate::domain::site::SiteName;
use crate::domain::token::{Claim, Redeemed, Refusal, Taken, TokenGrant, TokenKind};
use crate::store::record::{Damaged, Recorded};
use crate::store::{SessionFilter, StoreFuture, TokenStore};

/// How long a token that is used or expired is still known, so that its bearer can be told what
/// happened, and a second click is not taken for guessing.
const AFTERLIFE: Duration = Duration::from_mins(10);

/// How long to wait for a replica to have what was taken, in milliseconds.
const REPLICATION: u64 = 300;

/// How often a token that others change meanwhile is looked at again.
const ATTEMPTS: usize = 4;

/// What stands at a token's key.
enum Token {
    Open(TokenGrant),
    Spent(Spent),
}

/// What is known of a token that is not to be had any more.
struct Spent {
    kind: TokenKind,
    site: SiteName,
    refusal: Refusal,
    until: Timestamp,
    redeemed: Option<Redeemed>,
}

#[derive(Serialize, Deserialize)]
struct SpentRecord {
    /// Who spent it: no two records are the same.
    attempt: String,
    kind: String,
    site: String,
    refusal: String,
    until: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    redeemed: Option<String>,
}

impl Spent {
    fn of(grant: &TokenGrant, refusal: Refusal, redeemed: Option<Redeemed>) -> Self {
        let until = grant.expires_at.after(AFTERLIFE);
        Self { kind: grant.kind, site: grant.site.clone(), refusal, until, redeemed }
    }

    fn to_record(&self, attempt: String) -> String {
        let record = SpentRecord {
            attempt,
            kind: self.kind.as_str().to_owned(),
            site: self.site.to_string(),
            refusal: self.refusal.as_str().to_owned(),
            until: self.until.as_millis(),
            redeemed: self.redeemed.as_ref().map(Recorded::to_record),
        };
        // Nothing in it can fail to be JSON.
        serde_json::to_string(&record).unwrap_or_default()
    }

    fn from_record(record: &[u8]) -> Result<Self, Damaged> {
        let record: SpentRecord = serde_json::from_slice(record).map_err(|_| Damaged)?;
        let refusal = [Refusal::Used, Refusal::Revoked].into_iter();
        let redeemed = record.redeemed.map(|record| Redeemed::from_record(record.as_bytes()));
        Ok(Self {
            kind: TokenKind::parse(&record.kind).ok_or(Damaged)?,
            site: SiteName::parse(&record.site).ok_or(Damaged)?,
            refusal: refusal.into_iter().find(|one| one.as_str() == record.refusal).ok_or(Damaged)?,
            until: Timestamp::from_millis(record.until),
            redeemed: redeemed.transpose()?,
        })
    }

    /// Whether it is to be withdrawn with the open ones that `filter` shows: those of a person, in whose list it
    /// stands; of a whole site, where there is no end to them, those that can be brought again.
    fn is_meant(&self, filter: &SessionFilter, now: Timestamp) -> bool {
        let is_brought_again = || self.redeemed.as_ref().is_some_and(|redeemed| now < redeemed.expires_at());
        self.refusal == Refusal::Used
            && filter.covers(&self.site)
            && (filter.email_key.is_some() || is_brought_again())
    }

    /// What whoever comes too late is told.
    fn answer(self, claim: &Claim, now: Timestamp) -> Result<Taken, Refusal> {
        match self.redeemed {
            Some(redeemed) if redeemed.is_for(claim, now) => Ok(Taken::Before(redeemed)),
            _ if now < self.until && claim.is_for(self.kind, &self.site) => Err(self.refusal),
            _ => Err(Refusal::Unknown),
        }
    }
}

impl Inner {
    fn write_open(&self, place: &str, grant: &TokenGrant) -> Vec<u8> {
        self.seal.close(place, &format!("o{}", grant.to_record()))
    }

    fn write_spent(&self, place: &str, spent: &Spent) -> Vec<u8> {
        self.seal.close(place, &format!("s{}", spent.to_record(random_name())))
    }

    fn read_token(&self, place: &str, sealed: &[u8]) -> Result<Token, Damaged> {
        let (_, content) = self.seal.open(place, sealed)?;
        match content.split_first() {
            Some((b'o', record)) => TokenGrant::from_record(record).map(Token::Open),
            Some((b's', record)) => Spent::from_record(record).map(Token::Spent),
            _ => Err(Damaged),
        }
    }

    async fn token_at(&self, place: &str) -> Result<Option<(Token, Vec<u8>)>, Trouble> {
        let Some(sealed) = text(self.exchange.ask(cmd("GET").arg(place)).await?)? else { return Ok(None) };
        Ok(Some((self.read_token(place, &sealed)?, sealed)))
    }

    async fn insert_token(&self, hash: TokenHash, grant: TokenGrant) -> Result<(), Trouble> {
        // Filed first: whoever withdraws a person's tokens finds each that can be used.
        let mut files = vec![keys::token_shard_of(&hash)];
        files.extend(grant.identity.email.as_ref().map(|email| keys::tokens_of(email.key(), &self.seal)));
        // Taken at the last moment, it is still to be found while its session begins.
        let until = grant.expires_at.after(super::SLACK);
        let times = [until.as_millis(), self.clock.now().as_millis(), self.keep_until(until)];
        let [until, now, keep] = times.map(|time| time.to_string());
        let arguments = [keys::encode(hash.as_bytes()), until, now, keep];
        let filing =
            files.iter().map(async |file| scripts::FILE.run(&self.exchange, &[file], &arguments).await);
        try_join_all(filing).await?;
        let place = keys::token(&hash);
        let keep = self.keep_until(grant.expires_at.after(AFTERLIFE));
        let sealed = self.write_open(&place, &grant);
        let mut set = cmd("SET");
        set.arg(&place).arg(sealed).arg("PX").arg(keep);
        self.exchange.ask(&set).await?;
        Ok(())
    }

    async fn take_token(
        &self,
        hash: TokenHash,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<Result<Taken, Refusal>, Trouble> {
        let place = keys::token(&hash);
        let Some((mut token, mut sealed)) = self.token_at(&place).await? else {
            return Ok(Err(Refusal::Unknown));
        };
        for _ in 0..ATTEMPTS {
            let grant = match token {
                Token::Spent(spent) => return Ok(spent.answer(claim, now)),
                Token::Open(grant) => grant,
            };
            if let Err(refusal) = grant.check(claim, now) {
                let forgotten = now >= grant.expires_at.after(AFTERLIFE);
                return Ok(Err(if forgotten { Refusal::Unknown } else { refusal }));
            }
            // From here on this attempt has a name. Asked twice, the server knows it again.
            let spent = Spent::of(&grant, Refusal::Used, grant.redeemed_by(claim, now));
            let present = self.spend(&place, &sealed, &spent).await?;
            match present {
                None => return Ok(Ok(Taken::Now(grant))),
                Some(present) if present.is_empty() => return Ok(Err(Refusal::Unknown)),
                Some(present) => {
                    token = self.read_token(&place, &present)?;
                    sealed = present;
                }
            }
        }
        Err(Trouble::Lost)
    }

    /// Puts `spent` in the place of the open token; what stood there instead, if anything did.
    async fn spend(&self, place: &str, open: &[u8], spent: &Spent) -> Result<Option<Vec<u8>>, Trouble> {
        let value = self.write_spent(place, spent);
        let keep = self.keep_until(spent.until).to_string();
        let answer =
            scripts::TAKE.run(&self.exchange, &[place], &[open, value.as_slice(), keep.as_bytes()]).await?;
        let Ok([taken, present, replicas]) = <[Value; 3]>::try_from(list(answer)?) else {
            return Err(Trouble::Damaged);
        };
        if number(&taken)? != 1 {
            return Ok(Some(text(present)?.unwrap_or_default()));
        }
        if number(&replicas)? > 0 {
            // A replica that becomes the master has to know. If none says so, nobody has the token.
            let arguments = [value.as_slice(), keep.as_bytes()];
            let (is_taken, replicas) =
                scripts::CONFIRM.run_and_wait(&self.exchange, &[place], &arguments, REPLICATION).await?;
            if number(&is_taken)? != 1 || replicas < 1 {
                return Err(Trouble::Unreplicated);
            }
        }
        Ok(None)
    }

    async fn revoke_tokens(&self, filter: &SessionFilter) -> Result<(), Trouble> {
        let files = match &filter.email_key {
            Some(key) => vec![keys::tokens_of(key, &self.seal)],
            None => (0..keys::SHARDS).map(keys::token_shard).collect(),
        };
        for file in files {
            let mut range = cmd("ZRANGE");
            range.arg(&file).arg(0).arg(-1);
            let hashes = texts(self.exchange.ask(&range).await?)?;
            let withdrawing = hashes.iter().map(async |hash| {
                let hash = keys::decode(hash).map(TokenHash::from_bytes).ok_or(Trouble::Damaged)?;
                self.revoke_token(&keys::token(&hash), filter).await
            });
            try_join_all(withdrawing).await?;
        }
        Ok(())
    }

    /// Whether a token was taken, and not withdrawn since.
    pub(super) async fn stands(&self, hash: TokenHash) -> Result<bool, Trouble> {
        let found = self.token_at(&keys::token(&hash)).await?;
        Ok(matches!(found, Some((Token::Spent(spent), _)) if spent.refusal == Refusal::Used))
    }

    /// Withdraws a token, even one that was taken: the session may be about to begin, be it on another node,
    /// and the browser may come again.
    async fn revoke_token(&self, place: &str, filter: &SessionFilter) -> Result<(), Trouble> {
        let Some((mut token, mut sealed)) = self.token_at(place).await? else { return Ok(()) };
        for _ in 0..ATTEMPTS {
            let spent = match token {
                Token::Open(grant) if filter.matches(&grant.identity, &grant.site) => {
                    Spent::of(&grant, Refusal::Revoked, None)
                }
                Token::Spent(spent) if spent.is_meant(filter, self.clock.now()) => {
                    Spent { refusal: Refusal::Revoked, redeemed: None, ..spent }
                }
                Token::Open(_) | Token::Spent(_) => return Ok(()),
            };
            match self.spend(place, &sealed, &spent).await? {
                None => return Ok(()),
                Some(present) if present.is_empty() => return Ok(()),
                Some(present) => {
                    token = self.read_token(place, &present)?;
                    sealed = present;
                }
            }
        }
        Err(Trouble::Lost)
    }
}

impl TokenStore for Redis {
    fn insert(&self, hash: TokenHash, grant: TokenGrant) -> StoreFuture<'_, ()> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.insert_token(hash, grant).await })
    }

    fn take(&self, hash: TokenHash, claim: Claim, now: Timestamp) -> StoreFuture<'_, Result<Taken, Refusal>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.take_token(hash, &claim, now).await })
    }

    fn revoke(&self, filter: SessionFilter) -> StoreFuture<'_, ()> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move { inner.revoke_tokens(&filter).await })
    }

    fn site_of(&self, hash: TokenHash) -> StoreFuture<'_, Option<SiteName>> {
        let inner = Arc::clone(&self.inner);
        self.driver.run(async move {
            let token = inner.token_at(&keys::token(&hash)).await?;
            Ok(token.map(|(token, _)| match token {
                Token::Open(grant) => grant.site,
                Token::Spent(spent) => spent.site,
            }))
        })
    }

    fn sweep(&self, _: Timestamp, _: usize) -> usize {
        // The Redis forgets by itself.
        0
    }
}
