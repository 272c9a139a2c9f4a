//! What was withdrawn lately, for logins that are under way.
//!
//! Whoever ends all sessions of a person withdraws the open tokens and then goes over the sessions. A
//! login that has its token already, and has not begun its session yet, is met by neither: it looks
//! here when the session has begun. If that is another process, the store tells: what is noted here is known
//! at once, and whether the store can be written or not.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::identity::Identity;
use crate::domain::site::SiteName;
use crate::store::SessionFilter;

/// As many as are remembered. A login takes a moment: there are never so many within it.
const REMEMBERED: usize = 1024;

/// What was withdrawn, in order.
#[derive(Default)]
pub(super) struct Withdrawals(Mutex<Log>);

#[derive(Default)]
struct Log {
    forgotten: u64,
    last: VecDeque<SessionFilter>,
}

impl Withdrawals {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there were until now: to be asked before a token is taken.
    pub(super) fn count(&self) -> u64 {
        let log = self.log();
        log.forgotten + u64::try_from(log.last.len()).unwrap_or(u64::MAX)
    }

    /// Notes that what `filter` means is withdrawn: before anything else is done for it.
    pub(super) fn note(&self, filter: SessionFilter) {
        let mut log = self.log();
        if log.last.len() == REMEMBERED {
            log.last.pop_front();
            log.forgotten += 1;
        }
        log.last.push_back(filter);
    }

    /// Whether a session of `who` on `site` was meant by any since there were `count`.
    pub(super) fn meant(&self, who: &Identity, site: &SiteName, count: u64) -> bool {
        let log = self.log();
        let Some(known) = count.checked_sub(log.forgotten) else { return true };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        log.last.iter().skip(known).any(|filter| filter.matches(who, site))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::Email;

    #[test]
    fn a_login_sees_what_was_withdrawn_since_it_began_and_nothing_else() {
        let site = SiteName::parse("wiki").unwrap();
        let jane = Identity { email: Email::parse("jane@example.com"), ..Identity::default() };
        let of = |key: &str| SessionFilter { email_key: Some(key.into()), sites: None };
        let withdrawals = Withdrawals::default();
        withdrawals.note(of("jane@example.com"));
        let began = withdrawals.count();
        withdrawals.note(of("joe@example.com"));
        assert!(!withdrawals.meant(&jane, &site, began));
        withdrawals.note(of("jane@example.com"));
        assert!(withdrawals.meant(&jane, &site, began));
        assert!(!withdrawals.meant(&jane, &site, withdrawals.count()));
        // Of what is forgotten the worst is believed.
        for _ in 0..REMEMBERED {
            withdrawals.note(of("joe@example.com"));
        }
        assert!(withdrawals.meant(&jane, &site, began));
    }
}
