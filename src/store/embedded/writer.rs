//! The one thread that touches the file. It takes all orders that wait, carries them out in one
//! transaction, and answers when that is durable: under load one `fsync` serves many.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::chores::Chores;
use super::file::Presence;
use super::follow::Bookmark;
use super::handle::{Command, Look, Order, moment};
use super::ledger::{Ledger, millis, number};
use super::mirror::Mirror;
use crate::domain::session::LiveSession;

/// How often other processes' changes are looked for where nobody asks.
const POLL: Duration = Duration::from_millis(100);

/// How long one attempt waits for another process to finish writing. In between, what is only looked up
/// is answered.
pub(super) const ATTEMPT: Duration = Duration::from_millis(150);

/// Whoever has waited so long for an order is about to give up, and told so.
const STALE: Duration = Duration::from_millis(650);

/// The most orders, and the most last uses of sessions, in one transaction.
const GROUP: usize = 512;
const USES: usize = 4096;

/// How often a store that is lost is tried.
const RETRY: Duration = Duration::from_millis(400);

/// How long the last uses of sessions are written while the program waits to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How often there is housekeeping if nothing else is to be written.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Works on the file until told to close it, or until nobody is left who could say anything.
pub(super) fn work(db: Connection, mirror: &Mirror, commands: &Receiver<Command>, bookmark: Bookmark) {
    let closing = Writer::new(&db, mirror, commands, bookmark).run();
    // While another process has it open, this is its business.
    let _nothing_is_lost = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err((_db, error)) = db.close() {
        tracing::warn!(target: "tollgate::store", %error, "the store was not closed cleanly");
    }
    if let Some(answer) = closing {
        let _nobody_waits = answer.send(());
    }
}

struct Writer<'db> {
    db: &'db Connection,
    ledger: Ledger<'db>,
    presence: Presence,
    mirror: &'db Mirror,
    commands: &'db Receiver<Command>,
    bookmark: Bookmark,
    /// `PRAGMA data_version`, which changes when another process has written.
    version: i64,
    waiting: Vec<Order>,
    is_locked: bool,
    chores: Chores,
    cleaned: Instant,
    is_more_to_clean: bool,
    flushed: Instant,
    tried: Instant,
}

enum Failure {
    /// Another process is writing.
    Busy,
    /// What was to be written has come to nothing.
    Broken(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl<'db> Writer<'db> {
    fn new(
        db: &'db Connection,
        mirror: &'db Mirror,
        commands: &'db Receiver<Command>,
        bookmark: Bookmark,
    ) -> Self {
        let now = moment();
        Self {
            presence: Presence::of(&mirror.path),
            ledger: Ledger::new(db, mirror),
            db,
            mirror,
            commands,
            bookmark,
            version: 0,
            waiting: Vec::new(),
            is_locked: false,
            chores: Chores::default(),
            cleaned: now,
            is_more_to_clean: false,
            flushed: now,
            tried: now,
        }
    }

    /// Whom to tell when the file is closed, if it is to be.
    fn run(mut self) -> Option<oneshot::Sender<()>> {
        let closing = loop {
            match self.gather() {
                Ok(looks) => {
                    self.look(looks);
                    self.write();
                }
                Err(closing) => break closing,
            }
        };
        self.finish();
        closing
    }

    /// Takes what waits, or waits a moment; what is only to be looked up is handed back.
    fn gather(&mut self) -> Result<Vec<Look>, Option<oneshot::Sender<()>>> {
        let mut looks = Vec::new();
        let patience = if self.waiting.is_empty() { POLL } else { Duration::ZERO };
        let mut next = match self.commands.recv_timeout(patience) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Err(None),
        };
        while let Some(command) = next {
            match command {
                Command::Write(order) => self.waiting.push(order),
                Command::Look(look) => looks.push(look),
                Command::Close(answer) => return Err(Some(answer)),
            }
            let is_full = self.waiting.len() >= GROUP || looks.len() >= GROUP;
            next = if is_full { None } else { self.commands.try_recv().ok() };
        }
        Ok(looks)
    }

    /// Follows other processes, once for all who want to know something.
    fn look(&mut self, looks: Vec<Look>) {
        if let Err(error) = self.try_to_look(looks) {
            self.mirror.note_loss(&error);
        }
    }

    fn try_to_look(&mut self, looks: Vec<Look>) -> rusqlite::Result<()> {
        let ledger = &self.ledger;
        let version = ledger.row("PRAGMA data_version", [], |row| row.get(0))?.unwrap_or_default();
        if version == self.version && looks.is_empty() {
            return Ok(());
        }
        let _moment = self.db.unchecked_transaction()?;
        self.bookmark.catch_up(ledger)?;
        self.version = version;
        // Whoever is not answered is told by that.
        looks.into_iter().try_for_each(|look| look(ledger))
    }

    /// Carries out what waits, and what is due.
    fn write(&mut self) {
        let now = moment();
        let is_stale = |order: &Order| now.saturating_duration_since(order.since) > STALE;
        let (stale, orders): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(is_stale);
        if !stale.is_empty() {
            let why =
                if self.is_locked { "another process keeps it locked" } else { "writing takes too long" };
            self.mirror.note_loss(&why);
        }
        drop(stale);
        let since = |then: Instant| now.saturating_duration_since(then);
        let uses_are_due = since(self.flushed) >= self.mirror.seen_within();
        let is_tried = !self.mirror.is_well() && since(self.tried) >= RETRY;
        let is_cleaned = self.is_more_to_clean || since(self.cleaned) >= HOUSEKEEPING;
        let uses = if uses_are_due { self.mirror.take_unsaved(USES) } else { Vec::new() };
        if uses_are_due && uses.len() < USES {
            self.flushed = now;
        }
        if orders.is_empty() && uses.is_empty() && !is_tried && !is_cleaned {
            return;
        }
        if is_tried {
            self.tried = now;
        }
        self.cleaned = now;
        self.carry_out(orders, &uses, is_tried);
    }

    fn carry_out(&mut self, mut orders: Vec<Order>, uses: &[Arc<LiveSession>], is_trial: bool) {
        match self.transact(&mut orders, uses, is_trial) {
            Ok(has_written) => {
                self.is_locked = false;
                for order in orders {
                    order.work.conclude(self.mirror);
                }
                if has_written {
                    self.mirror.note_recovery();
                }
            }
            Err(failure) => {
                for live in uses {
                    live.take_unsaved();
                    self.mirror.note_use(live);
                }
                self.is_locked = matches!(failure, Failure::Busy);
                match failure {
                    Failure::Busy => self.waiting = orders,
                    Failure::Broken(error) => self.mirror.note_loss(&error),
                }
            }
        }
    }

    /// All of it or nothing; whether anything was written.
    fn transact(
        &mut self,
        orders: &mut [Order],
        uses: &[Arc<LiveSession>],
        is_trial: bool,
    ) -> Result<bool, Failure> {
        if !self.presence.is_undisturbed() {
            return Err(Failure::Broken("the file was moved or removed: put it back, or restart".to_owned()));
        }
        let transaction = Transaction::new_unchecked(self.db, TransactionBehavior::Immediate).map_err(
            |error| match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy) => Failure::Busy,
                _ => error.into(),
            },
        )?;
        let ledger = &self.ledger;
        ledger.take_noted();
        self.bookmark.catch_up(ledger)?;
        let before = transaction.total_changes();
        write_uses(ledger, uses)?;
        self.is_more_to_clean = self.chores.do_some(ledger)?;
        for order in orders {
            order.work.decide(ledger)?;
        }
        if is_trial {
            // Nobody's change: whether it can be written is the question.
            ledger.execute("INSERT INTO change (at) VALUES (?1)", [millis(self.mirror.now())])?;
        }
        let has_written = transaction.total_changes() > before;
        let noted = ledger.take_noted();
        transaction.commit()?;
        if let Some(noted) = noted {
            self.bookmark.0 = self.bookmark.0.max(noted);
        }
        Ok(has_written)
    }

    /// Writes what is still to be written.
    fn finish(&mut self) {
        let began = moment();
        loop {
            let orders = std::mem::take(&mut self.waiting);
            let uses = self.mirror.take_unsaved(USES);
            let is_late = moment().saturating_duration_since(began) > LAST_WORDS;
            if is_late || (orders.is_empty() && uses.is_empty()) {
                break;
            }
            self.carry_out(orders, &uses, false);
        }
    }
}

/// Writes down when sessions were last used.
fn write_uses(ledger: &Ledger<'_>, uses: &[Arc<LiveSession>]) -> rusqlite::Result<()> {
    let sql = "UPDATE session_time SET last_seen = max(last_seen, ?2) \
               WHERE number = (SELECT number FROM session WHERE hash = ?1)";
    for live in uses {
        let seen = number(live.take_unsaved().as_millis());
        ledger.execute(sql, (live.hash.as_bytes(), seen))?;
    }
    Ok(())
}
