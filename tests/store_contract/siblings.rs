//! Two who have the same file open, as the old and the new process do during a restart.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tollgate::domain::session::{End, LiveSession, SessionCap, Standing, WhenFull};
use tollgate::domain::user::Account;
use tollgate::store::{Beginning, SessionFilter, Stores, UserChange};

use crate::restart::{find, provision};
use crate::sessions::{left_of, live};
use crate::tokens::{assert_one_took_it, claim, grant, token};
use crate::{Kept, START, after, open};

/// Two stores over one file.
pub(crate) fn both() -> (Kept, Stores) {
    let kept = Kept::in_file(tempfile::tempdir().unwrap());
    let sibling = open(kept.folder.as_ref().unwrap());
    (kept, sibling)
}

const FREELY: Beginning = Beginning { cap: None, replaces: None, token: None, now: START };

/// Waits until `is_so`, which the other one has to notice by itself.
async fn soon(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn a_session_that_began_on_one_is_found_on_the_other_at_once() {
    let (Kept { stores: one, folder: _folder, .. }, other) = both();
    for seed in 0..20 {
        let (hash, session) = live(seed, "jane@example.com", "wiki", START);
        one.sessions.insert(Arc::clone(&session), FREELY).await.unwrap();
        assert_eq!(find(&other, hash).await.map(|found| found.session.id), Some(session.session.id));
        let (hash, session) = live(100 + seed, "jane@example.com", "wiki", START);
        other.sessions.insert(Arc::clone(&session), FREELY).await.unwrap();
        assert!(one.sessions.find_by_id(session.session.id, START).await.unwrap().is_some());
        assert!(find(&one, hash).await.is_some());
    }
}

#[tokio::test]
async fn whoever_holds_a_session_learns_that_it_was_ended_elsewhere() {
    let (Kept { stores: one, folder: _folder, .. }, other) = both();
    let (hash, session) = live(1, "jane@example.com", "wiki", START);
    one.sessions.insert(Arc::clone(&session), FREELY).await.unwrap();
    let held = find(&other, hash).await.unwrap();
    let mut changed = session.session.clone();
    changed.backend = true;
    let next = LiveSession::new(hash, changed, session.headers.clone(), START);
    assert!(one.sessions.replace(Arc::new(next)).await.unwrap());
    soon("it was changed", async || held.standing(START) == Standing::Superseded).await;
    let held = find(&other, hash).await.unwrap();
    assert!(held.session.backend);
    one.sessions.remove(hash, End::LoggedOut).await.unwrap();
    soon("it ended", async || held.standing(START) == Standing::Over(Some(End::LoggedOut))).await;
    assert!(find(&other, hash).await.is_none());
    assert!(other.sessions.remove(hash, End::Revoked).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_is_taken_once_by_whomever() {
    let (Kept { stores: one, folder: _folder, .. }, other) = both();
    for seed in 0..100 {
        let hash = token(9_000 + seed);
        one.tokens.insert(hash, grant(after(300), None)).await.unwrap();
        let racers: Vec<_> = [&one, &other, &one, &other]
            .map(Stores::clone)
            .map(|stores| {
                tokio::spawn(
                    async move { stores.tokens.take(hash, claim(None), START).await.unwrap().map(drop) },
                )
            })
            .into();
        assert_one_took_it(racers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_user_is_created_once_and_no_number_is_given_twice() {
    let (Kept { stores: one, folder: _folder, .. }, other) = both();
    let logins: Vec<_> = (0..64)
        .map(|number| {
            let stores = if number % 2 == 0 { one.clone() } else { other.clone() };
            let email = format!("user{}@example.com", number / 4);
            tokio::spawn(async move { provision(&stores, &email).await })
        })
        .collect();
    let mut users = std::collections::BTreeMap::new();
    for login in logins {
        let user = login.await.unwrap();
        let email = users.entry(user.id).or_insert_with(|| user.email.clone());
        assert_eq!(*email, user.email, "{:?} is two people's", user.id);
    }
    assert_eq!(users.len(), 16);
    let id = *users.keys().next().unwrap();
    let change = UserChange { account: Some(Account::Full), ..UserChange::default() };
    one.directory.update(id, change).await.unwrap();
    soon("the change is known", async || {
        other.directory.find(id).await.unwrap().is_some_and(|user| user.account == Account::Full)
    })
    .await;
    one.directory.remove(id).await.unwrap();
    soon("the user is gone", async || other.directory.find(id).await.unwrap().is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cap_holds_for_both_together() {
    for when_full in [WhenFull::EvictOldest, WhenFull::Reject] {
        let (Kept { stores: one, folder: _folder, .. }, other) = both();
        let cap = NonZeroU32::new(3).map(|most| SessionCap { most, when_full });
        let logins: Vec<_> = (1..40)
            .map(|seed| {
                let stores = if seed % 2 == 0 { one.clone() } else { other.clone() };
                let beginning = Beginning { cap, replaces: None, token: None, now: after(seed) };
                let session = live(seed, "jane@example.com", "wiki", after(seed)).1;
                tokio::spawn(async move { stores.sessions.insert(session, beginning).await.unwrap() })
            })
            .collect();
        assert_eq!(left_of(logins).await, 3);
        for stores in [&one, &other] {
            soon("both have the same three", async || {
                let page =
                    stores.sessions.list(SessionFilter::default(), None, 100, after(50)).await.unwrap();
                page.entries.len() == 3
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_session_that_is_in_use_on_one_is_not_over_on_the_other() {
    let (Kept { stores: one, folder: _folder, .. }, other) = both();
    let (hash, session) = live(1, "jane@example.com", "wiki", START);
    one.sessions.insert(session, FREELY).await.unwrap();
    let held = find(&other, hash).await.unwrap();
    one.sessions.touch(&find(&one, hash).await.unwrap(), after(1_700));
    one.sessions.close().await.unwrap();
    // For half an hour nobody has seen it here.
    let later = after(1_900);
    other.sessions.sweep(later, 0);
    assert_eq!(other.sessions.standing(&held, later), None);
    let found = find(&other, hash).await.unwrap();
    assert!(Arc::ptr_eq(&found, &held) && found.is_alive(later));
    // Even if it was forgotten.
    other.sessions.sweep(after(1_800 + 1_699), 100);
    assert!(find(&other, hash).await.is_some_and(|found| found.last_seen() == after(1_700)));
    other.sessions.sweep(after(1_800 + 1_701), 100);
    assert!(find(&other, hash).await.is_none());
}

#[test]
fn two_may_find_a_new_file_at_the_same_moment() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..4).map(|_| scope.spawn(|| open(&folder))).collect();
            for opened in opening {
                drop(opened.join().unwrap());
            }
        });
    }
}
