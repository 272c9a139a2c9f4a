//! Whatever the program says on stderr, but for requests: what the operator has to know, and the audit log unless it
//! is kept apart.
//!
//! Who reads there may have stopped reading: a log collector that hangs, a terminal that was paused. A pipe takes
//! some 64 KiB then and nothing more, and whoever writes to it stands still. So nobody does but a thread of its own.
//! There is one stderr, as there is one subscriber of `tracing`, and so one way to it in a process.

use std::io::{self, Write};
use std::sync::OnceLock;

use tracing_subscriber::fmt::MakeWriter;

use super::outlet::{Destination, Kept, Outlet};

/// Lines that wait for stderr, at most.
const LINES: usize = 4096;

static OUTLET: OnceLock<Outlet> = OnceLock::new();

/// Where `tracing` writes its lines.
#[derive(Clone, Copy, Debug)]
pub struct Messages(());

impl Messages {
    /// Begins to write. From now on what this process has to say goes this way.
    pub fn start() -> io::Result<Self> {
        if OUTLET.get().is_none() {
            let outlet = Outlet::open(Destination::Stderr, Kept::Messages, LINES)?;
            let _another_was_first = OUTLET.set(outlet);
        }
        Ok(Self(()))
    }
}

impl MakeWriter<'_> for Messages {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl Write for Messages {
    /// Takes whole lines: `tracing` hands each event over at once. What there is no room for is counted, and is no
    /// error, which would be told on stderr.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        say(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has whole lines written to stderr.
pub(super) fn say(lines: &[u8]) {
    let count = memchr::memchr_iter(b'\n', lines).count() as u64;
    match OUTLET.get() {
        Some(outlet) => drop(outlet.put(lines.to_owned(), count)),
        // In a program that does not log in this way. Where stderr leads nowhere nobody can help.
        None => drop(io::stderr().lock().write_all(lines)),
    }
}

/// Waits until all has been written that was said so far, for a while: to be called at the end of the program.
pub fn close_messages() {
    if let Some(outlet) = OUTLET.get() {
        outlet.close();
    }
}

/// What counts the lines.
pub(super) fn outlet() -> Option<&'static Outlet> {
    OUTLET.get()
}
