//! What is done besides: forgetting what is over, a slice at a time, so that nobody waits for long.
//!
//! The stores are asked to forget by whoever knows the time. They only take note of it; the writer
//! works it off.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::ledger::{Ledger, millis};
use crate::domain::clock::Timestamp;
use crate::store::memory::AFTERLIFE;

/// Rows that are looked at in one transaction, of each kind.
const SLICE: u16 = 1024;

/// How long a session that is over stays in the file. Its last use may have been in another process,
/// which has not written that yet.
const SESSION_AFTERLIFE: Duration = Duration::from_mins(1);

/// How often all sessions in the file are looked through.
const ROUND: Duration = Duration::from_mins(1);

/// How long the log of changes reaches back.
const LOG: Duration = Duration::from_mins(5);

/// A kind of entries that are forgotten.
#[derive(Default)]
pub(super) struct Item {
    /// The time at which it was asked for last; 0 if it is done.
    asked: AtomicU64,
    looked_at: AtomicUsize,
}

impl Item {
    /// Asks that what is over at `now` be forgotten, and says how much was looked at since it was asked
    /// last.
    pub(super) fn ask(&self, now: Timestamp) -> usize {
        self.asked.store(now.as_millis(), Ordering::Release);
        self.looked_at.swap(0, Ordering::Relaxed)
    }

    fn take(&self) -> Option<Timestamp> {
        let asked = self.asked.swap(0, Ordering::AcqRel);
        (asked > 0).then(|| Timestamp::from_millis(asked))
    }
}

/// What is to be forgotten.
#[derive(Default)]
pub(super) struct Agenda {
    pub(super) tokens: Item,
    pub(super) sessions: Item,
    pub(super) nonces: Item,
}

/// How far the work has come.
#[derive(Default)]
pub(super) struct Chores {
    /// All sessions up to this one have been looked at in this round.
    session: i64,
    next_round: Option<Timestamp>,
}

impl Chores {
    /// Does what is asked for; whether there is more of it.
    pub(super) fn do_some(&mut self, ledger: &Ledger<'_>) -> rusqlite::Result<bool> {
        let agenda = &ledger.mirror.agenda;
        let mut is_left = false;
        if let Some(now) = agenda.tokens.take() {
            is_left |= settle(&agenda.tokens, forget_tokens(ledger, now)?);
        }
        if let Some(now) = agenda.nonces.take() {
            let sql = "DELETE FROM nonce WHERE key IN (SELECT key FROM nonce WHERE until <= ?1 LIMIT ?2)";
            is_left |= settle(&agenda.nonces, ledger.execute(sql, (millis(now), SLICE))?);
        }
        if let Some(now) = agenda.sessions.take() {
            is_left |= settle(&agenda.sessions, self.forget_sessions(ledger, now)?);
        }
        Ok(is_left)
    }

    fn forget_sessions(&mut self, ledger: &Ledger<'_>, now: Timestamp) -> rusqlite::Result<usize> {
        let evicted =
            "DELETE FROM evicted WHERE hash IN (SELECT hash FROM evicted WHERE until <= ?1 LIMIT ?2)";
        let evicted = ledger.execute(evicted, (millis(now), SLICE))?;
        if self.next_round.is_some_and(|time| now < time) {
            return Ok(evicted);
        }
        let log = millis(now).saturating_sub(i64::try_from(LOG.as_millis()).unwrap_or_default());
        ledger.execute("DELETE FROM change WHERE at < ?1", [log])?;
        let next = "SELECT number, min(last_seen + idle, expires_at) FROM session_time \
                    WHERE number > ?1 ORDER BY number LIMIT ?2";
        let rows: Vec<(i64, i64)> =
            ledger.rows(next, (self.session, SLICE), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let over =
            millis(now).saturating_sub(i64::try_from(SESSION_AFTERLIFE.as_millis()).unwrap_or_default());
        for (number, _) in rows.iter().filter(|(_, end)| *end <= over) {
            ledger.execute("DELETE FROM session WHERE number = ?1", [number])?;
            ledger.execute("DELETE FROM session_time WHERE number = ?1", [number])?;
        }
        if let Some((last, _)) = rows.last().filter(|_| rows.len() == usize::from(SLICE)) {
            (self.session, self.next_round) = (*last, None);
        } else {
            (self.session, self.next_round) = (0, Some(now.after(ROUND)));
        }
        Ok(evicted.max(rows.len()))
    }
}

/// Takes note of how many were looked at; whether there are more.
fn settle(item: &Item, looked_at: usize) -> bool {
    item.looked_at.store(looked_at, Ordering::Relaxed);
    looked_at >= usize::from(SLICE)
}

/// Closes tokens whose time is over, and forgets those that were closed long ago.
fn forget_tokens(ledger: &Ledger<'_>, now: Timestamp) -> rusqlite::Result<usize> {
    let until = (millis(now), SLICE);
    let redeemed =
        "DELETE FROM redeemed WHERE hash IN (SELECT hash FROM redeemed WHERE until <= ?1 LIMIT ?2)";
    let redeemed = ledger.execute(redeemed, until)?;
    let afterlife = i64::try_from(AFTERLIFE.as_millis()).unwrap_or(i64::MAX);
    let expired = "UPDATE token SET fate = 'expired', record = NULL, email_key = NULL, due = due + ?3 \
                   WHERE hash IN (SELECT hash FROM token WHERE due <= ?1 AND fate IS NULL LIMIT ?2)";
    let expired = ledger.execute(expired, (until.0, until.1, afterlife))?;
    let over = "DELETE FROM token WHERE hash IN \
                (SELECT hash FROM token WHERE due <= ?1 AND fate IS NOT NULL LIMIT ?2)";
    let over = ledger.execute(over, until)?;
    Ok(redeemed.max(expired).max(over))
}
