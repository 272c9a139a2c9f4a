//! Logs that are kept: lines in files of their own, or on stderr, written by threads of their own.
//!
//! Nobody who serves visitors waits for a disk, or for who reads on stderr. Lines go by a bounded queue
//! to the one thread that writes to a sink ([`Outlet`]); a worker gathers those of its requests on a
//! [`Sheet`] and hands it in whole, a few times a second, so that a request takes no lock and wakes
//! nobody. What cannot be written is counted.

mod follow;
mod messages;
mod outlet;
mod sheet;
mod writer;

pub use messages::{Messages, close_messages};
pub use outlet::{Destination, Full, Kept, Outlet};
pub use sheet::Sheet;

use outlet::Loss;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::config::{AccessLines, LogSettings};
use crate::domain::clock::Timestamp;
use crate::metrics::{Kind, Page, Source};

/// Sheets of requests that wait for their writer, at most. A sheet has some 64 KiB.
const SHEETS: usize = 64;

/// Audit lines that wait for theirs.
const AUDIT_LINES: usize = 4096;

/// The logs that one edition of the settings asks for.
#[derive(Clone)]
pub struct Journal {
    /// Of requests, if there is a line for each.
    pub access: Option<Arc<Outlet>>,
    /// How these look.
    pub lines: AccessLines,
    /// Of what changes who is let in, if that is kept apart.
    pub audit: Option<Arc<Outlet>>,
}

impl Journal {
    /// Opens what `settings` ask for. What is open already, in the journal `before`, stays so. A file that
    /// cannot be opened is an error: later it would be one that nobody sees.
    pub fn open(settings: &LogSettings, before: Option<&Self>) -> io::Result<Self> {
        // Lines on stderr are filtered like all others there.
        let is_wanted = || tracing::enabled!(target: "tollgate::access", tracing::Level::INFO);
        let access = match (settings.lines(), &settings.access_file) {
            (None, _) => None,
            (Some(_), Some(path)) => Some(Destination::File(path.clone())),
            (Some(_), None) => is_wanted().then_some(Destination::Stderr),
        };
        let audit = settings.audit_file.clone().map(Destination::File);
        let reuse = |own: Option<Destination>, kept: Kept, of: fn(&Self) -> &Option<Arc<Outlet>>| {
            let Some(own) = own else { return Ok(None) };
            let known = before.and_then(|before| of(before).as_ref());
            if let Some(known) = known.filter(|known| known.destination() == &own) {
                return Ok(Some(Arc::clone(known)));
            }
            let room = if kept == Kept::Access { SHEETS } else { AUDIT_LINES };
            Outlet::open(own, kept, room).map(|outlet| Some(Arc::new(outlet)))
        };
        Ok(Self {
            lines: settings.lines().unwrap_or(AccessLines::Json),
            access: reuse(access, Kept::Access, |journal| &journal.access)?,
            audit: reuse(audit, Kept::Audit, |journal| &journal.audit)?,
        })
    }

    fn outlets(&self) -> impl Iterator<Item = &Arc<Outlet>> {
        self.access.iter().chain(&self.audit)
    }

    /// Opens the files anew, wherever they have gone.
    pub fn reopen(&self) {
        self.outlets().for_each(|outlet| outlet.reopen());
    }

    /// Waits until all that was handed in is written, or cannot be, for a while.
    pub fn close(&self) {
        self.outlets().for_each(|outlet| outlet.close());
    }
}

impl Source for Journal {
    fn write(&self, page: &mut Page, _now: Timestamp) {
        let help = "Lines that were written to the access log, to an audit log that is kept apart, and of all else that is said on stderr (messages).";
        page.begin("tollgate_log_lines_total", Kind::Counter, help);
        let logs = [
            (Kept::Access, self.access.as_deref()),
            (Kept::Audit, self.audit.as_deref()),
            (Kept::Messages, messages::outlet()),
        ];
        for (kept, outlet) in logs {
            let written = outlet.map_or(0, |outlet| outlet.counts().written.value());
            page.figure(&[("log", kept.as_str())], written);
        }
        let help = "Lines that could not be written: those of the audit log go to the messages instead, all others are lost.";
        page.begin("tollgate_log_lines_dropped_total", Kind::Counter, help);
        for (kept, outlet) in logs {
            for reason in Loss::ALL {
                let count = outlet.map_or(0, |outlet| outlet.counts().dropped(reason).value());
                page.figure(&[("log", kept.as_str()), ("reason", reason.as_str())], count);
            }
        }
    }
}

/// Whether a log can be kept at `path`: what is there already is no folder, and no pipe, which would be
/// waited for.
fn check(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::Error::other("it is a folder")),
        Ok(found) if found.file_type().is_fifo() => Err(io::Error::other("it is a pipe")),
        _ => Ok(()),
    }
}
