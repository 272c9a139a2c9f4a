//! One-time tokens, in the file alone: they are few, and no request but a login asks for them.

use super::handle::WriterHandle;
use super::ledger::{Ledger, millis};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::opaque::TokenHash;
use crate::domain::site::SiteName;
use crate::domain::token::{Claim, Redeemed, Refusal, Taken, TokenGrant, TokenKind};
use crate::store::memory::AFTERLIFE;
use crate::store::record::Recorded as _;
use crate::store::{SessionFilter, StoreFuture, TokenStore};

/// Tokens that outlive the process.
pub(super) struct Tokens(pub(super) WriterHandle);

impl TokenStore for Tokens {
    fn insert(&self, hash: TokenHash, grant: TokenGrant) -> StoreFuture<'_, ()> {
        self.0.write(move |ledger| add(ledger, &hash, &grant), |_, ()| ())
    }

    fn take(&self, hash: TokenHash, claim: Claim, now: Timestamp) -> StoreFuture<'_, Result<Taken, Refusal>> {
        self.0.write(move |ledger| take(ledger, &hash, &claim, now), |_, taken| taken)
    }

    fn revoke(&self, filter: SessionFilter) -> StoreFuture<'_, ()> {
        self.0.write(move |ledger| revoke(ledger, &filter), |_, ()| ())
    }

    fn site_of(&self, hash: TokenHash) -> StoreFuture<'_, Option<SiteName>> {
        self.0.look(move |ledger| {
            let sql = "SELECT site FROM token WHERE hash = ?1";
            let name: Option<String> = ledger.row(sql, [hash.as_bytes()], |row| row.get(0))?;
            Ok(name.as_deref().and_then(SiteName::parse))
        })
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        self.0.mirror.note_time(now);
        self.0.mirror.agenda.tokens.ask(now).min(limit)
    }
}

fn add(ledger: &Ledger<'_>, hash: &TokenHash, grant: &TokenGrant) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO token (hash, kind, site, email_key, due, record) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let email_key = grant.identity.email.as_ref().map(Email::key);
    let (kind, site) = (grant.kind.as_str(), grant.site.as_str());
    ledger.execute(
        sql,
        (hash.as_bytes(), kind, site, email_key, millis(grant.expires_at), grant.to_record()),
    )?;
    Ok(())
}

/// What there is of a token.
struct Row {
    kind: Option<TokenKind>,
    site: Option<SiteName>,
    fate: Option<String>,
    grant: Option<TokenGrant>,
}

fn take(
    ledger: &Ledger<'_>,
    hash: &TokenHash,
    claim: &Claim,
    now: Timestamp,
) -> rusqlite::Result<Result<Taken, Refusal>> {
    let sql = "SELECT kind, site, fate, record FROM token WHERE hash = ?1";
    let found = ledger.row(sql, [hash.as_bytes()], |row| {
        let [kind, site]: [String; 2] = [row.get(0)?, row.get(1)?];
        let record: Option<String> = row.get(3)?;
        let grant = record.and_then(|record| TokenGrant::from_record(record.as_bytes()).ok());
        Ok(Row { kind: TokenKind::parse(&kind), site: SiteName::parse(&site), fate: row.get(2)?, grant })
    })?;
    let Some(Row { kind, site, fate, grant }) = found else { return Ok(Err(Refusal::Unknown)) };
    if let Some(fate) = fate {
        if let Some(redeemed) = redeemed(ledger, hash)?.filter(|redeemed| redeemed.is_for(claim, now)) {
            return Ok(Ok(Taken::Before(redeemed)));
        }
        let is_for = kind.zip(site).is_some_and(|(kind, site)| claim.is_for(kind, &site));
        return Ok(Err(if is_for { refusal(&fate) } else { Refusal::Unknown }));
    }
    // A record that cannot be read stands for nothing.
    let Some(grant) = grant else { return Ok(Err(Refusal::Unknown)) };
    if let Err(refusal) = grant.check(claim, now) {
        return Ok(Err(refusal));
    }
    close(ledger, hash, Refusal::Used, millis(grant.expires_at.after(AFTERLIFE)))?;
    if let Some(redeemed) = grant.redeemed_by(claim, now) {
        let sql = "INSERT OR REPLACE INTO redeemed (hash, until, record) VALUES (?1, ?2, ?3)";
        ledger.execute(sql, (hash.as_bytes(), millis(redeemed.expires_at()), redeemed.to_record()))?;
    }
    Ok(Ok(Taken::Now(grant)))
}

fn redeemed(ledger: &Ledger<'_>, hash: &TokenHash) -> rusqlite::Result<Option<Redeemed>> {
    let sql = "SELECT record FROM redeemed WHERE hash = ?1";
    let record: Option<String> = ledger.row(sql, [hash.as_bytes()], |row| row.get(0))?;
    Ok(record.and_then(|record| Redeemed::from_record(record.as_bytes()).ok()))
}

/// What is told of a token with this fate; whatever cannot be read was used.
fn refusal(fate: &str) -> Refusal {
    let known = [Refusal::Expired, Refusal::Revoked].into_iter().find(|refusal| refusal.as_str() == fate);
    known.unwrap_or(Refusal::Used)
}

/// Closes an open token. What it stood for is forgotten, but whose it was; what became of it is known until
/// `until`.
fn close(ledger: &Ledger<'_>, hash: &TokenHash, fate: Refusal, until: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE token SET fate = ?2, record = NULL, due = ?3 WHERE hash = ?1";
    ledger.execute(sql, (hash.as_bytes(), fate.as_str(), until))?;
    Ok(())
}

/// Whether a token was taken, and not withdrawn since.
pub(super) fn stands(ledger: &Ledger<'_>, hash: &TokenHash) -> rusqlite::Result<bool> {
    let sql = "SELECT fate FROM token WHERE hash = ?1";
    let fate: Option<Option<String>> = ledger.row(sql, [hash.as_bytes()], |row| row.get(0))?;
    Ok(fate.flatten().is_some_and(|fate| fate == Refusal::Used.as_str()))
}

/// Withdraws open tokens, and those of a person that were taken: the session may be about to begin, be it in
/// another process, and the browser may come again.
fn revoke(ledger: &Ledger<'_>, filter: &SessionFilter) -> rusqlite::Result<()> {
    let read = |row: &rusqlite::Row<'_>| {
        let (site, is_open): (String, bool) = (row.get(1)?, row.get(3)?);
        Ok((TokenHash::from_bytes(row.get(0)?), SiteName::parse(&site), row.get::<_, i64>(2)?, is_open))
    };
    let rows = if let Some(key) = &filter.email_key {
        let sql = "SELECT hash, site, due, record IS NOT NULL FROM token \
                   WHERE email_key = ?1 AND (fate IS NULL OR fate = 'used')";
        ledger.rows(sql, [key], read)?
    } else {
        // Of a whole site those that can be brought again: of the others there is no end.
        let sql = "SELECT hash, site, due, record IS NOT NULL FROM token \
                   WHERE record IS NOT NULL OR hash IN (SELECT hash FROM redeemed)";
        ledger.rows(sql, [], read)?
    };
    let afterlife = i64::try_from(AFTERLIFE.as_millis()).unwrap_or(i64::MAX);
    for (hash, site, due, is_open) in rows {
        if site.is_none_or(|site| filter.covers(&site)) {
            let until = if is_open { due.saturating_add(afterlife) } else { due };
            close(ledger, &hash, Refusal::Revoked, until)?;
            ledger.execute("DELETE FROM redeemed WHERE hash = ?1", [hash.as_bytes()])?;
        }
    }
    Ok(())
}
