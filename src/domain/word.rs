//! A short text that many hold at once.

use std::sync::Arc;

/// A text that is cheap to clone and takes its holders eight bytes each: a million sessions name
/// their site, and each other holder of an `Arc<str>` would keep the length as well. What shares
/// its text is found equal without looking at it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Word(Arc<Box<str>>);

impl Word {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self(Arc::new(text.into()))
    }
}
