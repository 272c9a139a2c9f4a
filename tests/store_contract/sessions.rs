//! Sessions: found by cookie and by name, listed in order, ended for good.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tollgate::domain::clock::Timestamp;
use tollgate::domain::email::Email;
use tollgate::domain::entropy::SeededEntropy;
use tollgate::domain::identity::{Identity, Particulars, ReadyHeaders};
use tollgate::domain::opaque::{SessionHash, SessionKey};
use tollgate::domain::session::{End, LiveSession, Session, SessionCap, SessionId, Standing, WhenFull};
use tollgate::domain::token::{RolePolicy, TokenGrant};
use tollgate::store::{Admission, Beginning, Glance, SessionFilter, Stores};

use crate::tokens::{claim, grant, token};
use crate::{Kept, START, after, all, site};

pub(crate) fn live(seed: u64, email: &str, on: &str, began: Timestamp) -> (SessionHash, Arc<LiveSession>) {
    let entropy = SeededEntropy::new(seed);
    let session = Session {
        id: SessionId::mint(began, &entropy),
        site: site(on),
        identity: Identity { email: Email::parse(email), ..Identity::default() },
        role_policy: RolePolicy::Always,
        expires_at: began.after(Duration::from_hours(24)),
        idle: Duration::from_mins(30).into(),
        backend: false,
    };
    let hash = SessionKey::mint(&entropy).hash();
    (hash, Arc::new(LiveSession::new(hash, session, ReadyHeaders::default(), began)))
}

async fn insert(
    stores: &Stores,
    seed: u64,
    email: &str,
    on: &str,
    began: Timestamp,
) -> (SessionHash, SessionId) {
    let (hash, live) = live(seed, email, on, began);
    let id = live.session.id;
    let admission = stores.sessions.insert(live, freely(began)).await.unwrap();
    assert_eq!(admission, Admission::Begun(Vec::new()));
    (hash, id)
}

/// Begins a session without any cap.
fn freely(now: Timestamp) -> Beginning {
    Beginning { cap: None, replaces: None, token: None, now }
}

/// The session behind a cookie, as a request finds it.
async fn find(stores: &Stores, hash: SessionHash) -> Option<Arc<LiveSession>> {
    match stores.sessions.glance(&hash) {
        Glance::Known(live) => Some(live),
        Glance::Nobody => None,
        Glance::Unsure => stores.sessions.find(hash).await.unwrap(),
    }
}

async fn find_alive(stores: &Stores, hash: SessionHash, now: Timestamp) -> Option<Arc<LiveSession>> {
    find(stores, hash).await.filter(|live| live.is_alive(now))
}

/// How `held` stands, for whoever has it.
async fn standing(stores: &Stores, held: &LiveSession, now: Timestamp) -> Standing {
    if let Some(standing) = stores.sessions.standing(held, now) {
        return standing;
    }
    stores.sessions.find(held.hash).await.unwrap();
    held.standing(now)
}

async fn listed(stores: &Stores, filter: SessionFilter, now: Timestamp) -> Vec<SessionId> {
    let page = stores.sessions.list(filter, None, 100, now).await.unwrap();
    page.entries.iter().map(|live| live.session.id).collect()
}

fn of(email: &str) -> SessionFilter {
    SessionFilter { email_key: Email::parse(email).map(|email| email.key().into()), sites: None }
}

#[tokio::test]
async fn a_session_is_there_until_it_is_ended() {
    for Kept { stores, .. } in all() {
        let (by_cookie, _) = insert(&stores, 1, "jane@example.com", "wiki", START).await;
        let (by_name, id) = insert(&stores, 2, "jane@example.com", "wiki", START).await;
        assert!(find(&stores, by_cookie).await.is_some());
        assert!(stores.sessions.find_by_id(id, START).await.unwrap().is_some());
        assert!(stores.sessions.remove(by_cookie, End::LoggedOut).await.unwrap().is_some());
        assert!(stores.sessions.remove_by_id(id, End::Revoked).await.unwrap().is_some());
        for hash in [by_cookie, by_name] {
            assert!(find(&stores, hash).await.is_none());
            assert!(stores.sessions.remove(hash, End::LoggedOut).await.unwrap().is_none());
        }
        assert!(stores.sessions.remove_by_id(id, End::Revoked).await.unwrap().is_none());
        assert!(listed(&stores, SessionFilter::default(), START).await.is_empty());
        assert!(listed(&stores, of("jane@example.com"), START).await.is_empty());
    }
}

#[tokio::test]
async fn lists_are_in_order_and_filtered() {
    for Kept { stores, .. } in all() {
        let mut ids = Vec::new();
        for (seed, email, on) in [
            (1, "jane@example.com", "wiki"),
            (2, "JANE@example.com", "intranet"),
            (3, "joe@example.com", "wiki"),
        ] {
            ids.push(insert(&stores, seed, email, on, after(seed)).await.1);
        }
        let now = after(10);
        assert_eq!(listed(&stores, SessionFilter::default(), now).await, ids);
        assert_eq!(listed(&stores, of("Jane@Example.com"), now).await, ids[..2]);
        let wiki = SessionFilter { sites: Some(vec![site("wiki")]), ..SessionFilter::default() };
        assert_eq!(listed(&stores, wiki, now).await, [ids[0], ids[2]]);
        let janes_wiki = SessionFilter { sites: Some(vec![site("wiki")]), ..of("jane@example.com") };
        assert_eq!(listed(&stores, janes_wiki, now).await, [ids[0]]);
    }
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_sessions_come_and_go() {
    for Kept { stores, .. } in all() {
        let mut ids = Vec::new();
        for seed in 0..10 {
            ids.push(insert(&stores, 100 + seed, "jane@example.com", "wiki", after(seed)).await.1);
        }
        let filter = SessionFilter::default;
        let first = stores.sessions.list(filter(), None, 4, after(20)).await.unwrap();
        assert_eq!(first.next, Some(ids[3]));
        // The cursor's own session ends, one ahead ends, and a new one begins.
        stores.sessions.remove_by_id(ids[3], End::Revoked).await.unwrap();
        stores.sessions.remove_by_id(ids[5], End::Revoked).await.unwrap();
        let new = insert(&stores, 999, "joe@example.com", "wiki", after(15)).await.1;
        let second = stores.sessions.list(filter(), first.next, 4, after(20)).await.unwrap();
        let seen: Vec<_> = second.entries.iter().map(|live| live.session.id).collect();
        assert_eq!(seen, [ids[4], ids[6], ids[7], ids[8]]);
        let third = stores.sessions.list(filter(), second.next, 4, after(20)).await.unwrap();
        let seen: Vec<_> = third.entries.iter().map(|live| live.session.id).collect();
        assert_eq!(seen, [ids[9], new]);
        assert_eq!(third.next, None);
    }
}

#[tokio::test]
async fn what_is_over_is_not_shown_and_is_forgotten_but_use_keeps_alive() {
    for Kept { stores, forgets_when_swept, .. } in all() {
        let (idle, idle_id) = insert(&stores, 1, "jane@example.com", "wiki", START).await;
        let (busy, busy_id) = insert(&stores, 2, "jane@example.com", "wiki", START).await;
        let seen = find(&stores, busy).await.unwrap();
        stores.sessions.touch(&seen, after(1700));
        let half_an_hour = after(1800);
        assert_eq!(listed(&stores, SessionFilter::default(), half_an_hour).await, [busy_id]);
        assert!(stores.sessions.find_by_id(idle_id, half_an_hour).await.unwrap().is_none());
        while stores.sweep(half_an_hour, 1) {}
        assert!(find_alive(&stores, idle, half_an_hour).await.is_none());
        assert!(find_alive(&stores, busy, half_an_hour).await.is_some());
        while stores.sweep(after(3600), 1) {}
        assert!(find_alive(&stores, busy, after(3600)).await.is_none());
        if forgets_when_swept {
            assert!(find(&stores, busy).await.is_none());
        }
    }
}

/// Waits until the store counts so many sessions on wiki and on intranet.
async fn are_counted(stores: &Stores, wiki: usize, intranet: usize) {
    let counted = async {
        loop {
            let by_site = stores.sessions.count().map(|count| count.by_site).unwrap_or_default();
            let on = |name| by_site.get(&site(name)).copied().unwrap_or_default();
            if (on("wiki"), on("intranet")) == (wiki, intranet) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), counted).await.is_ok();
    assert!(in_time, "not {wiki} and {intranet}, but {:?}", stores.sessions.count());
}

#[tokio::test]
async fn sessions_are_counted_by_their_site_for_as_long_as_they_last() {
    for kept in all() {
        let stores = &kept.stores;
        let (first, _) = insert(stores, 1, "jane@example.com", "wiki", START).await;
        let (_, second) = insert(stores, 2, "joe@example.com", "wiki", START).await;
        let (busy, _) = insert(stores, 3, "ann@example.com", "wiki", START).await;
        insert(stores, 4, "", "intranet", START).await;
        are_counted(stores, 3, 1).await;
        stores.sessions.remove(first, End::LoggedOut).await.unwrap();
        stores.sessions.remove_by_id(second, End::Revoked).await.unwrap();
        are_counted(stores, 1, 1).await;
        // A session that is used lasts longer; one that is changed is still one.
        let seen = find(stores, busy).await.unwrap();
        stores.sessions.touch(&seen, after(1700));
        let changed = LiveSession::new(busy, seen.session.clone(), ReadyHeaders::default(), after(1700));
        assert!(stores.sessions.replace(Arc::new(changed)).await.unwrap());
        kept.wait_until(after(1900));
        while stores.sweep(after(1900), 1) {}
        are_counted(stores, 1, 0).await;
        // Long after, when it has been forgotten.
        for seconds in [3600, 4000] {
            kept.wait_until(after(seconds));
            while stores.sweep(after(seconds), 1) {}
            are_counted(stores, 0, 0).await;
        }
    }
}

#[tokio::test]
async fn whoever_has_to_go_or_is_turned_away_is_not_counted() {
    for Kept { stores, .. } in all() {
        for seed in 1..=4 {
            begin(&stores, seed, "jane@example.com", "wiki", 2, WhenFull::EvictOldest).await;
            begin(&stores, seed + 10, "joe@example.com", "intranet", 1, WhenFull::Reject).await;
        }
        are_counted(&stores, 2, 1).await;
    }
}

#[tokio::test]
async fn a_list_that_looks_at_many_lets_others_have_their_turn() {
    // Another store looks in memory as well, or asks elsewhere.
    let stores = Stores::in_memory();
    for seed in 0..3000 {
        insert(&stores, seed, "jane@example.com", "wiki", after(seed)).await;
    }
    let (_, last) = insert(&stores, 5000, "joe@example.com", "shop", after(3000)).await;
    let shop = SessionFilter { sites: Some(vec![site("shop")]), ..SessionFilter::default() };
    let now = after(3000);
    let mut looking = stores.sessions.list(shop, None, 10, now);
    for _ in 0..2 {
        assert!((&mut looking).now_or_never().is_none());
        // The lock is free meanwhile: else this would wait for ever.
        let found = stores.sessions.find_by_id(last, now).now_or_never().unwrap();
        assert!(found.unwrap().is_some());
    }
    let page = looking.await.unwrap();
    assert_eq!(page.entries.iter().map(|live| live.session.id).collect::<Vec<_>>(), [last]);
}

#[tokio::test]
async fn a_change_does_not_bring_an_ended_session_back() {
    for Kept { stores, .. } in all() {
        let (hash, session) = live(1, "jane@example.com", "wiki", START);
        stores.sessions.insert(Arc::clone(&session), freely(START)).await.unwrap();
        let changed = |groups: &[&str]| {
            let mut next = session.session.clone();
            let groups = groups.iter().map(ToString::to_string).collect();
            next.identity.details = Particulars { groups, ..Particulars::default() }.into();
            Arc::new(LiveSession::new(hash, next, ReadyHeaders::default(), START))
        };
        assert!(stores.sessions.replace(changed(&["staff"])).await.unwrap());
        let found = find(&stores, hash).await.unwrap();
        assert_eq!(found.session.identity.details.groups, ["staff"]);
        stores.sessions.remove(hash, End::LoggedOut).await.unwrap();
        assert!(!stores.sessions.replace(changed(&["admins"])).await.unwrap());
        assert!(find(&stores, hash).await.is_none());
    }
}

#[tokio::test]
async fn a_persons_list_has_each_session_once_and_none_of_a_namesakes() {
    for Kept { stores, .. } in all() {
        let (_, first) = live(1, "jane@example.com", "wiki", after(1));
        for session in [
            Arc::clone(&first),
            live(2, "jane@example.com.au", "wiki", after(1)).1,
            live(3, "ane@example.com", "wiki", after(1)).1,
            live(4, "jane@example.co", "wiki", after(1)).1,
            live(5, "", "wiki", after(1)).1,
            live(6, "jane@example.com", "wiki", after(2)).1,
        ] {
            stores.sessions.insert(session, freely(START)).await.unwrap();
        }
        let again = LiveSession::new(first.hash, first.session.clone(), ReadyHeaders::default(), after(1));
        assert!(stores.sessions.replace(Arc::new(again)).await.unwrap());
        let page = stores.sessions.list(of("jane@example.com"), None, 1, after(3)).await.unwrap();
        assert_eq!(page.entries.iter().map(|live| live.session.id).collect::<Vec<_>>(), [first.session.id]);
        let rest = stores.sessions.list(of("jane@example.com"), page.next, 9, after(3)).await.unwrap();
        assert_eq!((rest.entries.len(), rest.next), (1, None));
        assert_eq!(listed(&stores, SessionFilter::default(), after(3)).await.len(), 6);
    }
}

#[tokio::test]
async fn whoever_holds_a_session_sees_how_it_stands() {
    for Kept { stores, .. } in all() {
        for end in [End::LoggedOut, End::Revoked] {
            let (hash, _) = insert(&stores, end as u64, "jane@example.com", "wiki", START).await;
            let held = find(&stores, hash).await.unwrap();
            assert_eq!(standing(&stores, &held, START).await, Standing::Good);
            stores.sessions.remove(hash, end).await.unwrap();
            assert_eq!(standing(&stores, &held, START).await, Standing::Over(Some(end)));
            assert_eq!(stores.sessions.fate(hash, START).await.unwrap(), None);
        }
        let (hash, session) = live(7, "jane@example.com", "wiki", START);
        stores.sessions.insert(Arc::clone(&session), freely(START)).await.unwrap();
        let held = find(&stores, hash).await.unwrap();
        stores.sessions.touch(&held, after(60));
        let other =
            LiveSession::new(hash, session.session.clone(), ReadyHeaders::default(), session.last_seen());
        assert!(stores.sessions.replace(Arc::new(other)).await.unwrap());
        assert_eq!(standing(&stores, &held, START).await, Standing::Superseded);
        let present = find(&stores, hash).await.unwrap();
        assert_eq!((present.standing(START), present.last_seen()), (Standing::Good, after(60)));
    }
}

/// Begins a session under a cap of `most`.
async fn begin(stores: &Stores, seed: u64, email: &str, on: &str, most: u32, full: WhenFull) -> Admission {
    let began = after(seed);
    let cap = NonZeroU32::new(most).map(|most| SessionCap { most, when_full: full });
    stores
        .sessions
        .insert(live(seed, email, on, began).1, Beginning { cap, replaces: None, token: None, now: began })
        .await
        .unwrap()
}

/// How many of the sessions that `logins` began were not ended by another one of them.
pub(crate) async fn left_of(logins: Vec<JoinHandle<Admission>>) -> usize {
    let (mut begun, mut evicted) = (0, 0);
    for login in logins {
        if let Admission::Begun(ended) = login.await.unwrap() {
            begun += 1;
            evicted += ended.len();
        }
    }
    begun - evicted
}

#[tokio::test]
async fn the_oldest_makes_room() {
    for Kept { stores, .. } in all() {
        let of = |seed: u64, email, on| live(seed, email, on, after(seed));
        let begin = |seed, email, on| begin(&stores, seed, email, on, 2, WhenFull::EvictOldest);
        for (seed, email, on) in
            [(1, "jane@example.com", "wiki"), (2, "joe@example.com", "wiki"), (3, "jane@example.com", "shop")]
        {
            assert_eq!(begin(seed, email, on).await, Admission::Begun(Vec::new()));
        }
        assert_eq!(begin(4, "JANE@example.com", "wiki").await, Admission::Begun(Vec::new()));
        let (oldest, first) = of(1, "jane@example.com", "wiki");
        let held = find(&stores, oldest).await.unwrap();
        let admitted = begin(5, "jane@example.com", "wiki").await;
        assert_eq!(admitted, Admission::Begun(vec![(first.session.id, End::Evicted)]));
        assert!(find(&stores, oldest).await.is_none());
        assert_eq!(standing(&stores, &held, after(5)).await, Standing::Over(Some(End::Evicted)));
        assert_eq!(stores.sessions.fate(oldest, after(6)).await.unwrap(), Some(End::Evicted));
        // Nobody knows how many anonymous visitors are one person.
        for seed in 10..14 {
            assert_eq!(begin(seed, "", "wiki").await, Admission::Begun(Vec::new()));
        }
    }
}

#[tokio::test]
async fn or_nobody_more_comes_in_until_one_is_over() {
    for Kept { stores, .. } in all() {
        let begin = |seed| begin(&stores, seed, "jane@example.com", "wiki", 2, WhenFull::Reject);
        assert_eq!(begin(1).await, Admission::Begun(Vec::new()));
        assert_eq!(begin(2).await, Admission::Begun(Vec::new()));
        assert_eq!(begin(3).await, Admission::Full);
        assert!(find(&stores, live(3, "jane@example.com", "wiki", after(3)).0).await.is_none());
        // A browser that signs in again makes room for itself.
        let (first, old) = live(1, "jane@example.com", "wiki", after(1));
        let cap = NonZeroU32::new(2).map(|most| SessionCap { most, when_full: WhenFull::Reject });
        let beginning = Beginning { cap, replaces: Some(first), token: None, now: after(4) };
        let admitted =
            stores.sessions.insert(live(4, "jane@example.com", "wiki", after(4)).1, beginning).await;
        assert_eq!(admitted.unwrap(), Admission::Begun(vec![(old.session.id, End::Replaced)]));
        // Those that were idle for too long do not count, be they forgotten or not.
        assert_eq!(begin(5).await, Admission::Full);
        assert_eq!(begin(3_000).await, Admission::Begun(Vec::new()));
        assert_eq!(begin(3_001).await, Admission::Begun(Vec::new()));
        assert_eq!(begin(3_002).await, Admission::Full);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_begin_at_once_no_more_stay_than_may() {
    for Kept { stores, .. } in all() {
        for full in [WhenFull::EvictOldest, WhenFull::Reject] {
            let is_strict = full == WhenFull::Reject;
            let email = if is_strict { "reject@example.com" } else { "evict@example.com" };
            let first = if is_strict { 101 } else { 1 };
            let logins: Vec<_> = (first..first + 39)
                .map(|seed| {
                    let stores = stores.clone();
                    tokio::spawn(async move { begin(&stores, seed, email, "wiki", 3, full).await })
                })
                .collect();
            assert_eq!(left_of(logins).await, 3);
            assert_eq!(listed(&stores, of(email), after(50)).await.len(), 3);
        }
        are_counted(&stores, 6, 0).await;
    }
}

/// In one process the use cases know of it by themselves.
#[tokio::test]
async fn where_others_share_the_store_no_session_begins_by_a_token_that_was_withdrawn() {
    let of_jane = SessionFilter { email_key: Some("jane@example.com".into()), sites: None };
    for kept in all().into_iter().skip(1) {
        let stores = &kept.stores;
        let jane = Identity { email: Email::parse("jane@example.com"), ..Identity::default() };
        let taken = async |seed| {
            let grant = TokenGrant { identity: jane.clone(), ..grant(after(1), None) };
            stores.tokens.insert(token(seed), grant).await.unwrap();
            assert!(stores.tokens.take(token(seed), claim(None), START).await.unwrap().is_ok());
            Beginning { token: Some(token(seed)), ..freely(START) }
        };
        let (hash, session) = live(1, "jane@example.com", "wiki", START);
        let beginning = taken(1).await;
        assert_eq!(stores.sessions.insert(session, beginning).await.unwrap(), Admission::Begun(Vec::new()));
        stores.sessions.remove(hash, End::LoggedOut).await.unwrap();

        let cap = NonZeroU32::new(3).map(|most| SessionCap { most, when_full: WhenFull::Reject });
        for (seed, cap) in [(2, None), (3, cap)] {
            let beginning = Beginning { cap, ..taken(seed).await };
            // Its time is over, and the next one is issued.
            kept.wait_until(after(2 * seed));
            taken(100 + seed).await;
            stores.tokens.revoke(of_jane.clone()).await.unwrap();
            let (hash, session) = live(seed, "jane@example.com", "wiki", START);
            let admission = stores.sessions.insert(session, beginning).await.unwrap();
            assert_eq!(admission, Admission::Withdrawn(Vec::new()));
            assert!(find(stores, hash).await.is_none());
        }
    }
}
