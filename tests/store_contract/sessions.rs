//! Sessions: found by cookie and by name, listed in order, ended for good.

use std::sync::Arc;
use std::time::Duration;

use tollgate::domain::clock::Timestamp;
use tollgate::domain::email::Email;
use tollgate::domain::entropy::SeededEntropy;
use tollgate::domain::identity::{Identity, Particulars, ReadyHeaders};
use tollgate::domain::opaque::{SessionHash, SessionKey};
use tollgate::domain::session::{LiveSession, Session, SessionId};
use tollgate::domain::token::RolePolicy;
use tollgate::store::{SessionFilter, Stores};

use crate::{START, after, all, site};

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
    stores.sessions.insert(live).await.unwrap();
    (hash, id)
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
    for stores in all() {
        let (by_cookie, _) = insert(&stores, 1, "jane@example.com", "wiki", START).await;
        let (by_name, id) = insert(&stores, 2, "jane@example.com", "wiki", START).await;
        assert!(stores.sessions.find(&by_cookie).unwrap().is_some());
        assert!(stores.sessions.find_by_id(id, START).await.unwrap().is_some());
        assert!(stores.sessions.remove(by_cookie).await.unwrap().is_some());
        assert!(stores.sessions.remove_by_id(id).await.unwrap().is_some());
        for hash in [by_cookie, by_name] {
            assert!(stores.sessions.find(&hash).unwrap().is_none());
            assert!(stores.sessions.remove(hash).await.unwrap().is_none());
        }
        assert!(stores.sessions.remove_by_id(id).await.unwrap().is_none());
        assert!(listed(&stores, SessionFilter::default(), START).await.is_empty());
        assert!(listed(&stores, of("jane@example.com"), START).await.is_empty());
    }
}

#[tokio::test]
async fn lists_are_in_order_and_filtered() {
    for stores in all() {
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
    for stores in all() {
        let mut ids = Vec::new();
        for seed in 0..10 {
            ids.push(insert(&stores, 100 + seed, "jane@example.com", "wiki", after(seed)).await.1);
        }
        let filter = SessionFilter::default;
        let first = stores.sessions.list(filter(), None, 4, after(20)).await.unwrap();
        assert_eq!(first.next, Some(ids[3]));
        // The cursor's own session ends, one ahead ends, and a new one begins.
        stores.sessions.remove_by_id(ids[3]).await.unwrap();
        stores.sessions.remove_by_id(ids[5]).await.unwrap();
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
    for stores in all() {
        let (idle, idle_id) = insert(&stores, 1, "jane@example.com", "wiki", START).await;
        let (busy, busy_id) = insert(&stores, 2, "jane@example.com", "wiki", START).await;
        stores.sessions.find(&busy).unwrap().unwrap().touch(after(1700));
        let half_an_hour = after(1800);
        assert_eq!(listed(&stores, SessionFilter::default(), half_an_hour).await, [busy_id]);
        assert!(stores.sessions.find_by_id(idle_id, half_an_hour).await.unwrap().is_none());
        while stores.sweep(half_an_hour, 1) {}
        assert!(stores.sessions.find(&idle).unwrap().is_none());
        assert!(stores.sessions.find(&busy).unwrap().is_some());
        while stores.sweep(after(3600), 1) {}
        assert!(stores.sessions.find(&busy).unwrap().is_none());
    }
}

#[tokio::test]
async fn a_change_does_not_bring_an_ended_session_back() {
    for stores in all() {
        let (hash, session) = live(1, "jane@example.com", "wiki", START);
        stores.sessions.insert(Arc::clone(&session)).await.unwrap();
        let changed = |groups: &[&str]| {
            let mut next = session.session.clone();
            let groups = groups.iter().map(ToString::to_string).collect();
            next.identity.details = Particulars { groups, ..Particulars::default() }.into();
            Arc::new(LiveSession::new(hash, next, ReadyHeaders::default(), START))
        };
        assert!(stores.sessions.replace(changed(&["staff"])).await.unwrap());
        let found = stores.sessions.find(&hash).unwrap().unwrap();
        assert_eq!(found.session.identity.details.groups, ["staff"]);
        stores.sessions.remove(hash).await.unwrap();
        assert!(!stores.sessions.replace(changed(&["admins"])).await.unwrap());
        assert!(stores.sessions.find(&hash).unwrap().is_none());
    }
}

#[tokio::test]
async fn a_persons_list_has_each_session_once_and_none_of_a_namesakes() {
    for stores in all() {
        let (_, first) = live(1, "jane@example.com", "wiki", after(1));
        for session in [
            Arc::clone(&first),
            live(2, "jane@example.com.au", "wiki", after(1)).1,
            live(3, "ane@example.com", "wiki", after(1)).1,
            live(4, "jane@example.co", "wiki", after(1)).1,
            live(5, "", "wiki", after(1)).1,
            live(6, "jane@example.com", "wiki", after(2)).1,
        ] {
            stores.sessions.insert(session).await.unwrap();
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
