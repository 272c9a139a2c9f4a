//! The lines of one worker's requests, until they are handed in.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::outlet::Outlet;

/// A sheet with as much as this on it is handed in at once.
const FULL: usize = 64 << 10;

/// Where a worker writes its lines down. Nobody else does, so that it takes no lock.
pub struct Sheet {
    lines: RefCell<Vec<u8>>,
    count: Cell<u64>,
    outlet: Arc<Outlet>,
}

impl Sheet {
    /// An empty sheet, to be handed in at `outlet`.
    pub fn new(outlet: Arc<Outlet>) -> Self {
        Self { lines: RefCell::default(), count: Cell::new(0), outlet }
    }

    /// Adds the line that `write` appends, with its line feed.
    pub fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut lines = self.lines.borrow_mut();
        write(&mut lines);
        self.count.set(self.count.get() + 1);
        let is_full = lines.len() >= FULL;
        drop(lines);
        if is_full {
            self.hand_in();
        }
    }

    /// Hands in what there is. If the writer has more to do than it can, it is lost, and counted.
    pub fn hand_in(&self) {
        let count = self.count.take();
        if count == 0 {
            return;
        }
        let lines = self.lines.take();
        // As much is likely to come again.
        self.lines.borrow_mut().reserve(lines.len().min(FULL));
        let _counted = self.outlet.put(lines, count);
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        self.hand_in();
    }
}
