//! Certificates from an ACME directory (RFC 8555): asked for, renewed in time, and put down in files that
//! the listeners read again when they change.
//!
//! A [`Keeper`] runs beside the control listener and does one thing after the other. What an authority comes to
//! look at meanwhile stands in [`Challenges`], which the listeners share. Nothing that goes wrong here ends
//! anything: the certificates that there are stay in force.

mod account;
mod agent;
mod challenges;
mod counters;
mod folder;
mod issued;
mod keeper;
mod memory;
mod news;
mod order;
mod revival;
mod schedule;
mod slot;
mod trouble;
mod unwritten;
mod validation;

pub use challenges::Challenges;
pub use counters::AcmeCounters;
pub use keeper::Keeper;
pub use unwritten::Unwritten;
pub use validation::PROTOCOL;

use std::io;

use crate::config::AcmeSettings;

/// Makes sure that what is got can be kept, so that a slip in the configuration shows at once and not
/// when the first certificate comes.
pub fn prepare(settings: &AcmeSettings) -> io::Result<()> {
    folder::prepare(&settings.folder).map_err(|error| {
        let folder = settings.folder.display();
        io::Error::new(
            error.kind(),
            format!("{folder} cannot be written to: {error}; name a folder of tollgate's own with [acme] state_dir"),
        )
    })
}
