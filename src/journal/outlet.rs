//! The way to a sink where lines are written.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::writer::{Sink, Writer};
use crate::metrics::Counter;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To stderr, among those of the program itself.
    Stderr,
    /// Into a file, at its end.
    File(PathBuf),
}

/// Which log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A line for each request. One that cannot be written is lost.
    Access,
    /// A line for whatever changes who is let in. One that cannot be written goes to stderr.
    Audit,
    /// Whatever else the program says. What cannot be written is lost.
    Messages,
}

impl Kept {
    /// The log, as figures and messages name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Audit => "audit",
            Self::Messages => "messages",
        }
    }
}

/// What has become of lines.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) written: Counter,
    pub(super) too_many: Counter,
    pub(super) unwritable: Counter,
}

impl Counts {
    /// How many were not written for this reason.
    pub(super) fn dropped(&self, reason: Loss) -> &Counter {
        match reason {
            Loss::QueueFull => &self.too_many,
            Loss::Unwritable => &self.unwritable,
        }
    }
}

/// Why a line was not written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// More came than could be written.
    QueueFull,
    /// The sink took none.
    Unwritable,
}

impl Loss {
    pub(super) const ALL: [Self; 2] = [Self::QueueFull, Self::Unwritable];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Unwritable => "unwritable",
        }
    }
}

/// Something for the writer to do.
pub(super) enum Job {
    /// To write these lines, of which there are so many.
    Lines(Vec<u8>, u64),
    /// To look whether it is to do something else.
    Look,
    /// To say when it has come as far as this.
    Tell(SyncSender<()>),
}

/// The queue to the thread that writes to one sink. The thread ends when nobody has the outlet any more.
pub struct Outlet {
    destination: Destination,
    kept: Kept,
    queue: SyncSender<Job>,
    counts: Arc<Counts>,
    is_to_reopen: Arc<AtomicBool>,
}

/// More comes than is written. What was to be written comes back.
#[derive(Debug)]
pub struct Full(pub Vec<u8>);

/// How long the end of the program waits for a disk.
const PATIENCE: Duration = Duration::from_secs(2);

impl Outlet {
    /// Opens `destination`, with room for so many things that wait for the writer.
    pub(super) fn open(destination: Destination, kept: Kept, room: usize) -> io::Result<Self> {
        let sink = Sink::open(&destination)?;
        let (queue, jobs) = sync_channel(room);
        let (counts, is_to_reopen) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let writer = Writer::new(sink, kept, Arc::clone(&counts), Arc::clone(&is_to_reopen));
        let run = move || work(writer, &jobs);
        thread::Builder::new().name(format!("{}-log", kept.as_str())).spawn(run)?;
        Ok(Self { destination, kept, queue, counts, is_to_reopen })
    }

    /// Where it leads.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Which log it keeps.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Hands in so many whole lines, at once or not at all.
    pub fn put(&self, lines: Vec<u8>, count: u64) -> Result<(), Full> {
        self.queue.try_send(Job::Lines(lines, count)).map_err(|refused| {
            self.counts.too_many.add(count);
            match refused {
                TrySendError::Full(Job::Lines(lines, _))
                | TrySendError::Disconnected(Job::Lines(lines, _)) => Full(lines),
                TrySendError::Full(_) | TrySendError::Disconnected(_) => Full(Vec::new()),
            }
        })
    }

    /// Opens the file anew before the next line, and soon if there is none.
    pub(super) fn reopen(&self) {
        self.is_to_reopen.store(true, Ordering::Release);
        let _looks_anyway = self.queue.try_send(Job::Look);
    }

    /// Waits until all is written that was handed in, but not for ever.
    pub(super) fn close(&self) {
        let (sender, done) = sync_channel(1);
        let queue = self.queue.clone();
        // Where the queue is full there is room again as soon as something is written, or never.
        let ask = move || drop(queue.send(Job::Tell(sender)));
        if thread::Builder::new().spawn(ask).is_ok() {
            let _has_had_its_time = done.recv_timeout(PATIENCE);
        }
    }
}

fn work(mut writer: Writer, jobs: &Receiver<Job>) {
    loop {
        let job = match jobs.try_recv() {
            Ok(job) => Ok(job),
            Err(TryRecvError::Empty) => {
                writer.catch_up();
                jobs.recv()
            }
            Err(TryRecvError::Disconnected) => return,
        };
        let Ok(job) = job else { return };
        match job {
            Job::Lines(lines, count) => writer.write(&lines, count),
            Job::Look => writer.look(),
            Job::Tell(waiting) => drop(waiting.try_send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_in_is_waited_for_where_the_queue_is_full_too() {
        let (queue, jobs) = sync_channel(1);
        let outlet = Outlet {
            destination: Destination::Stderr,
            kept: Kept::Messages,
            queue,
            counts: Arc::default(),
            is_to_reopen: Arc::default(),
        };
        outlet.put(b"one\n".to_vec(), 1).unwrap();
        assert!(outlet.put(b"two\n".to_vec(), 1).is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let sink = Sink::open(&Destination::File(path.clone())).unwrap();
        let writer = Writer::new(sink, Kept::Access, Arc::default(), Arc::default());
        // Whoever writes was held up.
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            work(writer, &jobs);
        });
        outlet.close();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
    }
}
