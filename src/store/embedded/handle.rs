//! Where the writer takes orders: the one way from the rest of the program to the file.
//!
//! What becomes of an order is the writer's business, but how long anybody waits for it is not: whether
//! the disk is full, slow or gone, there is an answer in time.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::ledger::Ledger;
use super::mirror::Mirror;
use crate::store::{StoreFuture, Unavailable};

/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_millis(850);

/// How long the end of the program waits for the file to be closed.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(5);

/// Orders that wait at one time. There is no end to what could be asked of a disk that hangs.
pub(super) const QUEUE: usize = 8192;

/// A change to the file.
pub(super) trait Work: Send {
    /// Decides, and writes down what was decided. If this or anything else in the same transaction fails,
    /// nothing has happened.
    fn decide(&mut self, ledger: &Ledger<'_>) -> rusqlite::Result<()>;

    /// Shows and answers what is durable now.
    fn conclude(self: Box<Self>, mirror: &Mirror);
}

/// A look at the file that changes nothing.
pub(super) type Look = Box<dyn FnOnce(&Ledger<'_>) -> rusqlite::Result<()> + Send>;

/// Something to write, and since when it waits.
pub(super) struct Order {
    pub(super) since: Instant,
    pub(super) work: Box<dyn Work>,
}

/// What the writer is asked for.
pub(super) enum Command {
    Write(Order),
    Look(Look),
    /// To write what is left, and close the file.
    Close(oneshot::Sender<()>),
}

struct Deed<W, D, C, T> {
    write: Option<W>,
    decided: Option<D>,
    conclude: C,
    answer: oneshot::Sender<T>,
}

impl<W, D, C, T> Work for Deed<W, D, C, T>
where
    W: FnOnce(&Ledger<'_>) -> rusqlite::Result<D> + Send,
    D: Send,
    C: FnOnce(&Mirror, D) -> T + Send,
    T: Send,
{
    fn decide(&mut self, ledger: &Ledger<'_>) -> rusqlite::Result<()> {
        if let Some(write) = self.write.take() {
            self.decided = Some(write(ledger)?);
        }
        Ok(())
    }

    fn conclude(self: Box<Self>, mirror: &Mirror) {
        let Self { decided, conclude, answer, .. } = *self;
        if let Some(decided) = decided {
            let _nobody_waits = answer.send(conclude(mirror, decided));
        }
    }
}

/// Takes orders for the writer, which ends when all of these are gone.
#[derive(Clone)]
pub(super) struct WriterHandle {
    pub(super) mirror: Arc<Mirror>,
    pub(super) commands: SyncSender<Command>,
}

/// The time for the writer's own pace. When anything expires is another clock's business.
#[expect(clippy::disallowed_methods, reason = "how long an order waits has nothing to do with what it says")]
pub(super) fn moment() -> Instant {
    Instant::now()
}

impl WriterHandle {
    /// Has `write` carried out in a transaction. Once that is durable `conclude` shows it, and the answer
    /// is what that makes of it.
    pub(super) fn write<D, T>(
        &self,
        write: impl FnOnce(&Ledger<'_>) -> rusqlite::Result<D> + Send + 'static,
        conclude: impl FnOnce(&Mirror, D) -> T + Send + 'static,
    ) -> StoreFuture<'static, T>
    where
        D: Send + 'static,
        T: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(Deed { write: Some(write), decided: None, conclude, answer });
        self.ask(Command::Write(Order { since: moment(), work }), answered)
    }

    /// Has `look` look at the file, after the mirror has caught up with other processes.
    pub(super) fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Ledger<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(|ledger| {
            let _nobody_waits = answer.send(look(ledger)?);
            Ok(())
        });
        self.ask(Command::Look(look), answered)
    }

    /// Has everything written that is still to be, and the file closed.
    pub(super) fn close(&self) -> StoreFuture<'static, ()> {
        let (answer, closed) = oneshot::channel();
        let asked = self.commands.try_send(Command::Close(answer));
        Box::pin(async move {
            asked.map_err(|_| Unavailable)?;
            let closed = tokio::time::timeout(PATIENCE_AT_THE_END, closed).await;
            closed.map_err(|_| Unavailable)?.map_err(|_| Unavailable)
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        command: Command,
        answered: oneshot::Receiver<T>,
    ) -> StoreFuture<'static, T> {
        // What is asked for is done even if nobody waits for the answer.
        let asked = self.commands.try_send(command);
        if let Err(TrySendError::Full(_)) = &asked {
            self.mirror.note_loss(&"there are too many orders for its writer");
        }
        let mirror = Arc::clone(&self.mirror);
        Box::pin(async move {
            asked.map_err(|_| Unavailable)?;
            match tokio::time::timeout(PATIENCE, answered).await {
                Ok(answer) => answer.map_err(|_| Unavailable),
                Err(_late) => {
                    mirror.note_loss(&"its writer does not answer");
                    Err(Unavailable)
                }
            }
        })
    }
}
