//! What runs on the strength of a session ends with it: WebSockets, streams, downloads, uploads, and
//! requests that have no answer yet.
//!
//! Each of these is bound to its session by its deadline ([`Watch::tick`]), and with each sweep of a
//! worker's deadlines the sessions behind them are judged here. So nothing has to be told when a
//! session ends, nothing is registered for a request, and a session that runs out by itself is no
//! case of its own.
//!
//! [`Watch::tick`]: crate::http::watch::Watch::tick

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::domain::clock::Timestamp;
use crate::domain::session::{End, LiveSession, Standing};
use crate::http::watch::Verdict;
use crate::sso::Sso;
use crate::store::{Glance, StoreResult};

/// Rounds that what runs on a session is left when that is over: the request that ended or changed
/// it may be among them, and its answer is to arrive.
const GRACE: u64 = 3;

/// Rounds between two questions about one session.
const ASK_EVERY: u64 = 10;

/// Rounds for which what runs goes on though the store does not say whether it may: ten seconds. New
/// requests are refused at once; but a store that is restarted is not to tear down every WebSocket
/// there is, and all of them to come back to it at once.
const BREATH: u64 = 100;

/// The sessions of one worker that are not simply good. A round is one
/// [`TICK`](crate::http::watch::TICK).
#[derive(Default)]
pub(super) struct Revocation {
    round: Cell<u64>,
    cases: RefCell<HashMap<*const LiveSession, Case>>,
}

/// A session that is over, or may be.
struct Case {
    /// Held so that no other session comes to be at its address.
    live: Arc<LiveSession>,
    looked_at: u64,
    state: State,
}

enum State {
    /// It is over since this round, for this reason.
    Over(u64, &'static str),
    Unsure(Doubt),
}

/// What nobody knows without asking the store.
struct Doubt {
    /// When the last question was asked that was answered; at first, when the doubt began.
    sure_at: u64,
    asked_at: u64,
    answer: Answer,
}

enum Answer {
    Awaited(oneshot::Receiver<StoreResult<Option<Arc<LiveSession>>>>),
    None,
    /// The one that the store has.
    Found(Arc<LiveSession>),
}

/// How it stands with a session.
enum Finding {
    Good,
    /// Another one is in its place, and the upstream is told the same of it.
    Replaced(Arc<LiveSession>),
    Over(&'static str),
    Unsure,
}

impl Revocation {
    /// Whether what runs on the strength of `live` may go on. For nearly all this is one look at the
    /// session.
    pub(super) fn judge(&self, sso: &Arc<Sso>, live: &Arc<LiveSession>, now: Timestamp) -> Verdict {
        let finding = look(sso, live, now);
        if matches!(finding, Finding::Good) {
            return Verdict::GoesOn;
        }
        let (round, mut cases) = (self.round.get(), self.cases.borrow_mut());
        let case = match cases.entry(Arc::as_ptr(live)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(Case::of(live, round)),
        };
        case.looked_at = round;
        let finding = match (&mut case.state, finding) {
            (State::Over(_, why), _) => Finding::Over(why),
            (State::Unsure(doubt), Finding::Unsure) => doubt.resolve(sso, live, now, round),
            (State::Unsure(_), known) => known,
        };
        match finding {
            Finding::Good | Finding::Unsure => Verdict::GoesOn,
            Finding::Replaced(successor) => Verdict::GoesOnWith(successor),
            Finding::Over(why) => case.end(round, why),
        }
    }

    /// All that runs has been looked at: what was not, runs no longer or is good again.
    pub(super) fn next_round(&self) {
        let round = self.round.replace(self.round.get() + 1);
        self.cases.borrow_mut().retain(|_, case| case.looked_at == round);
    }
}

impl Case {
    fn of(live: &Arc<LiveSession>, round: u64) -> Self {
        let state = State::Unsure(Doubt { sure_at: round, asked_at: round, answer: Answer::None });
        Self { live: Arc::clone(live), looked_at: round, state }
    }

    fn end(&mut self, round: u64, why: &'static str) -> Verdict {
        let since = match self.state {
            State::Over(since, _) => since,
            State::Unsure(_) => {
                self.state = State::Over(round, why);
                round
            }
        };
        if round < since + GRACE {
            return Verdict::GoesOn;
        }
        let session = self.live.session.id;
        tracing::debug!(target: "tollgate::gateway", %session, reason = why, "ended what ran on a session");
        Verdict::Ends
    }
}

impl Doubt {
    /// What the store says when it is asked, now and then, in the background.
    fn resolve(&mut self, sso: &Arc<Sso>, live: &Arc<LiveSession>, now: Timestamp, round: u64) -> Finding {
        if let Answer::Awaited(answer) = &mut self.answer {
            match answer.try_recv() {
                Ok(Ok(Some(found))) => self.answer = Answer::Found(found),
                Ok(Ok(None)) => return Finding::Over("gone"),
                Ok(Err(_)) | Err(TryRecvError::Closed) => self.answer = Answer::None,
                Err(TryRecvError::Empty) => {}
            }
        }
        let finding = match &self.answer {
            Answer::Found(found) => compare_over_all(sso, live, found, now),
            Answer::Awaited(_) | Answer::None => Finding::Unsure,
        };
        if matches!(finding, Finding::Good) {
            self.sure_at = self.asked_at;
        } else if round >= self.sure_at + BREATH {
            return Finding::Over("store_unavailable");
        }
        let is_due = round == self.sure_at || round >= self.asked_at + ASK_EVERY;
        if is_due && !matches!(self.answer, Answer::Awaited(_)) {
            (self.asked_at, self.answer) = (round, Answer::Awaited(ask(sso, live)));
        }
        finding
    }
}

/// What can be known without asking anybody.
fn look(sso: &Sso, live: &Arc<LiveSession>, now: Timestamp) -> Finding {
    match sso.standing(live, now) {
        Some(Standing::Good) => Finding::Good,
        Some(Standing::Over(end)) => over(end),
        Some(Standing::Superseded) => match sso.glance_after(live) {
            Glance::Known(successor) => compare_over_all(sso, live, &successor, now),
            Glance::Nobody => Finding::Over("gone"),
            Glance::Unsure => Finding::Unsure,
        },
        None => Finding::Unsure,
    }
}

/// The same as [`compare`], where an assertion may tell the upstream more than headers do.
fn compare_over_all(sso: &Sso, live: &Arc<LiveSession>, found: &Arc<LiveSession>, now: Timestamp) -> Finding {
    match compare(live, found, now) {
        Finding::Replaced(successor)
            if sso.asserts(&live.session.site) && live.session.identity != successor.session.identity =>
        {
            Finding::Over("changed")
        }
        finding => finding,
    }
}

/// What it means for `live` that the store has `found` under its cookie.
fn compare(live: &Arc<LiveSession>, found: &Arc<LiveSession>, now: Timestamp) -> Finding {
    match found.standing(now) {
        Standing::Good if Arc::ptr_eq(live, found) => Finding::Good,
        Standing::Good if live.tells_the_same_as(found) => Finding::Replaced(Arc::clone(found)),
        Standing::Good => Finding::Over("changed"),
        Standing::Over(end) => over(end),
        // The store is about to put another one in its place.
        Standing::Superseded => Finding::Unsure,
    }
}

fn over(end: Option<End>) -> Finding {
    Finding::Over(end.map_or("expired", End::as_str))
}

fn ask(sso: &Arc<Sso>, live: &Arc<LiveSession>) -> oneshot::Receiver<StoreResult<Option<Arc<LiveSession>>>> {
    let (tell, answer) = oneshot::channel();
    let (sso, live) = (Arc::clone(sso), Arc::clone(live));
    tokio::spawn(async move {
        let _nobody_waits = tell.send(sso.ask_after(&live).await);
    });
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::identity::{Identity, ReadyHeaders};
    use crate::domain::opaque::SessionKey;
    use crate::domain::session::{Session, SessionId};
    use crate::domain::site::SiteName;
    use crate::domain::token::RolePolicy;

    fn anonymous() -> Arc<LiveSession> {
        let (entropy, now) = (SeededEntropy::new(1), Timestamp::from_millis(1_000_000));
        let session = Session {
            id: SessionId::mint(now, &entropy),
            site: SiteName::parse("s").unwrap(),
            identity: Identity::default(),
            role_policy: RolePolicy::Always,
            expires_at: Timestamp::from_millis(u64::MAX),
            idle: std::time::Duration::from_mins(30).into(),
            backend: false,
        };
        Arc::new(LiveSession::new(SessionKey::mint(&entropy).hash(), session, ReadyHeaders::default(), now))
    }

    #[test]
    fn the_answer_to_the_request_that_ends_the_session_has_time_to_arrive() {
        let mut case = Case::of(&anonymous(), 7);
        for round in 7..7 + GRACE {
            assert!(matches!(case.end(round, "revoked"), Verdict::GoesOn), "{round}");
        }
        assert!(matches!(case.end(7 + GRACE, "revoked"), Verdict::Ends));
    }

    #[test]
    fn only_one_of_which_the_upstream_is_told_the_same_takes_a_sessions_place() {
        let now = Timestamp::from_millis(1_000_001);
        let (old, same) = (anonymous(), anonymous());
        assert!(matches!(compare(&old, &old, now), Finding::Good));
        assert!(matches!(compare(&old, &same, now), Finding::Replaced(by) if Arc::ptr_eq(&by, &same)));
        same.supersede();
        assert!(matches!(compare(&old, &same, now), Finding::Unsure));
        let promoted = Session { backend: true, ..old.session.clone() };
        let promoted = Arc::new(LiveSession::new(old.hash, promoted, ReadyHeaders::default(), now));
        assert!(matches!(compare(&old, &promoted, now), Finding::Over("changed")));
        for end in End::ALL {
            let ended = anonymous();
            ended.end(end);
            assert!(matches!(compare(&old, &ended, now), Finding::Over(why) if why == end.as_str()));
        }
        let late = Timestamp::from_millis(1_000_000 + 30 * 60_000);
        assert!(matches!(compare(&old, &old, late), Finding::Over("expired")));
    }
}
