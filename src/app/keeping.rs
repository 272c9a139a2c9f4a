//! Keeping certificates while the settings may change.

use tokio::task::JoinHandle;

use crate::acme::Keeper;
use crate::config::AcmeSettings;

/// A [`Keeper`] at work, on the thread of the control listener. It stops when this is dropped; what it was
/// about is asked for again by the next.
pub(super) struct Keeping {
    settings: AcmeSettings,
    task: JoinHandle<()>,
}

impl Keeping {
    /// Lets `keeper` begin, unless one that was there `before` does the same: that one remembers what
    /// failed, and how long the authority is to be left alone.
    pub(super) fn in_place_of(before: Option<Self>, keeper: Keeper) -> Self {
        match before {
            Some(before) if before.settings == keeper.settings => before,
            before => {
                // First of all: what it was about lets go of the folder before the next one needs it.
                drop(before);
                Self { settings: keeper.settings.clone(), task: tokio::spawn(keeper.keep()) }
            }
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}
