//! What became of tokens that cannot be redeemed any more.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Hashed;
use crate::domain::clock::Timestamp;
use crate::domain::opaque::TokenHash;
use crate::domain::site::SiteName;
use crate::domain::token::{Refusal, TokenKind};

/// What is still told of a token: why it is refused, to whom it could have been of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) kind: TokenKind,
    pub(super) site: SiteName,
    pub(super) refusal: Refusal,
}

/// How exactly the time of forgetting is kept.
const SPAN: Duration = Duration::from_mins(1);

/// The fates of tokens, for a time. Every login leaves one, so they are kept small: half a hash,
/// which nobody can find a second token for either, and which of the few fates it is. They are
/// forgotten by the span, without looking at each.
#[derive(Default)]
pub(super) struct Spent {
    fates: Vec<Fate>,
    by_end: BTreeMap<Timestamp, HashMap<[u8; 16], u32, Hashed>>,
}

impl Spent {
    /// Keeps the fate of a token until `end`, or a little longer.
    pub(super) fn add(&mut self, hash: &TokenHash, fate: Fate, end: Timestamp) {
        let number = self.fates.iter().position(|known| *known == fate).unwrap_or_else(|| {
            self.fates.push(fate);
            self.fates.len() - 1
        });
        let Ok(number) = u32::try_from(number) else { return };
        self.by_end.entry(end.rounded_up(SPAN)).or_default().insert(hash.half(), number);
    }

    pub(super) fn find(&self, hash: &TokenHash) -> Option<&Fate> {
        let half = hash.half();
        let number = self.by_end.values().find_map(|fates| fates.get(&half))?;
        self.fates.get(*number as usize)
    }

    /// Forgets whose end has come.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some(span) = self.by_end.first_entry()
            && *span.key() <= now
        {
            span.remove();
        }
    }
}
