//! What may stand in the file only once: names, hosts, keys. Each claim remembers its owner, so
//! that a fault can say who else has it.

use super::document::Place;

/// The values claimed so far.
pub(super) struct Claims<T>(Vec<(T, String)>);

impl<T: PartialEq> Claims<T> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Who has `value` already.
    pub(super) fn owner(&self, value: &T) -> Option<&str> {
        self.0.iter().find(|(claimed, _)| claimed == value).map(|(_, owner)| owner.as_str())
    }

    /// Gives `value` to the section at `owner`.
    pub(super) fn add(&mut self, value: T, owner: &Place<'_>) {
        self.0.push((value, format!("{} (line {})", owner.key, owner.line)));
    }
}
