//! A store that does not answer: nobody is let in on the strength of that, and what is open stays
//! open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate::domain::clock::Timestamp;
use tollgate::domain::opaque::SessionHash;
use tollgate::domain::session::{End, LiveSession, SessionId, Standing};
use tollgate::store::{
    Admission, Beginning, Glance, Page, SessionFilter, SessionStore, StoreFuture, Stores, Unavailable,
};

use crate::support::{Ask, FakeUpstream, HANG, Plan, SITE, Visitor, settle};

/// A session store that the story can take down.
pub(crate) struct Frail {
    sound: Arc<dyn SessionStore>,
    pub(crate) is_down: AtomicBool,
    /// Whether it is sure of nothing until it is asked.
    pub(crate) is_vague: AtomicBool,
    /// How often it was asked.
    pub(crate) asked: AtomicUsize,
    /// While the story holds it alone, no session begins.
    pub(crate) beginning: tokio::sync::RwLock<()>,
    /// How often a session wanted to begin, to end by its name, or to be changed.
    pub(crate) moves: AtomicUsize,
    /// While the story holds it alone, no session ends by its name or is changed.
    pub(crate) ending: tokio::sync::RwLock<()>,
    /// Whether none can be ended by its name.
    pub(crate) ends_none: AtomicBool,
}

impl Frail {
    /// Stores whose sessions are all right so far.
    pub(crate) fn stores() -> (Arc<Self>, Stores) {
        Self::around(Stores::in_memory())
    }

    /// The same around stores that keep them elsewhere.
    pub(crate) fn around(sound: Stores) -> (Arc<Self>, Stores) {
        let frail = Arc::new(Self {
            sound: Arc::clone(&sound.sessions),
            is_down: AtomicBool::new(false),
            is_vague: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            beginning: tokio::sync::RwLock::default(),
            moves: AtomicUsize::new(0),
            ending: tokio::sync::RwLock::default(),
            ends_none: AtomicBool::new(false),
        });
        (Arc::clone(&frail), Stores { sessions: frail, ..sound })
    }

    /// Waits until somebody wants to move a session, `times` in all.
    pub(crate) async fn is_asked_to_move(&self, times: usize) {
        let asked = async {
            while self.moves.load(Ordering::SeqCst) < times {
                settle().await;
            }
        };
        tokio::time::timeout(HANG, asked).await.expect("it is asked");
    }

    fn unless_down<'a, T: Send + 'a>(&self, ask: impl FnOnce() -> StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.is_down.load(Ordering::SeqCst) {
            Box::pin(std::future::ready(Err(Unavailable)))
        } else {
            ask()
        }
    }
}

impl SessionStore for Frail {
    fn glance(&self, hash: &SessionHash) -> Glance {
        if self.is_down.load(Ordering::SeqCst) { Glance::Unsure } else { self.sound.glance(hash) }
    }

    fn find(&self, hash: SessionHash) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.unless_down(|| self.sound.find(hash))
    }

    fn standing(&self, live: &LiveSession, now: Timestamp) -> Option<Standing> {
        let is_unsure = self.is_down.load(Ordering::SeqCst) || self.is_vague.load(Ordering::SeqCst);
        if is_unsure { None } else { self.sound.standing(live, now) }
    }

    fn insert(&self, live: Arc<LiveSession>, beginning: Beginning) -> StoreFuture<'_, Admission> {
        Box::pin(async move {
            self.moves.fetch_add(1, Ordering::SeqCst);
            let _may_begin = self.beginning.read().await;
            self.unless_down(|| self.sound.insert(live, beginning)).await
        })
    }

    fn remove(&self, hash: SessionHash, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.unless_down(|| self.sound.remove(hash, end))
    }

    fn fate(&self, hash: SessionHash, now: Timestamp) -> StoreFuture<'_, Option<End>> {
        self.unless_down(|| self.sound.fate(hash, now))
    }

    fn find_by_id(&self, id: SessionId, now: Timestamp) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        self.unless_down(|| self.sound.find_by_id(id, now))
    }

    fn remove_by_id(&self, id: SessionId, end: End) -> StoreFuture<'_, Option<Arc<LiveSession>>> {
        Box::pin(async move {
            self.moves.fetch_add(1, Ordering::SeqCst);
            let _may_end = self.ending.read().await;
            if self.ends_none.load(Ordering::SeqCst) {
                return Err(Unavailable);
            }
            self.unless_down(|| self.sound.remove_by_id(id, end)).await
        })
    }

    fn replace(&self, live: Arc<LiveSession>) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.moves.fetch_add(1, Ordering::SeqCst);
            let _may_change = self.ending.read().await;
            self.unless_down(|| self.sound.replace(live)).await
        })
    }

    fn refit(&self, old: &Arc<LiveSession>, new: LiveSession) -> Option<Arc<LiveSession>> {
        self.sound.refit(old, new)
    }

    fn list(
        &self,
        filter: SessionFilter,
        after: Option<SessionId>,
        limit: usize,
        now: Timestamp,
    ) -> StoreFuture<'_, Page<Arc<LiveSession>, SessionId>> {
        self.unless_down(|| self.sound.list(filter, after, limit, now))
    }

    fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        self.sound.sweep(now, limit)
    }
}

#[tokio::test]
async fn a_closed_path_stays_closed_while_the_store_is_down_and_opens_again_by_itself() {
    let upstream = FakeUpstream::start().await;
    let (frail, stores) = Frail::stores();
    let plan = Plan::new(&upstream).site(|site| site.route("/public/", "off"));
    let gateway = plan.start_over(stores).await;
    let mut member = Visitor::at(&gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    let token = gateway.login_page().token_for("joe@example.com").await;
    upstream.forget().await;

    frail.is_down.store(true, Ordering::SeqCst);
    assert_eq!(member.get(&format!("{SITE}/closed")).await.status, 503);
    let script = member.send(Ask::script("GET", &format!("{SITE}/closed"))).await;
    assert_eq!((script.status, script.error_code().as_str()), (503, "store_unavailable"));
    let stranger = Visitor::at(&gateway).get(&format!("{SITE}/closed?sso={token}")).await;
    assert_eq!(stranger.status, 503, "no session without a store: {stranger:?}");
    upstream.assert_untouched("a closed path").await;
    let calls = gateway.api();
    assert_eq!(calls.get("/v1/sessions").await.status, 503);
    assert_eq!(member.get(&format!("{SITE}/public/a")).await.status, 200, "what is open does not ask");

    frail.is_down.store(false, Ordering::SeqCst);
    assert_eq!(member.get(&format!("{SITE}/closed")).await.status, 200);
}
