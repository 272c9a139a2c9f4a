//! What outlives the process: everything that was answered.

use std::num::NonZeroU32;
use std::sync::Arc;

use tollgate::domain::email::Email;
use tollgate::domain::entropy::{SeededEntropy, SystemEntropy};
use tollgate::domain::identity::{Identity, Particulars, ReadyHeaders};
use tollgate::domain::opaque::SessionHash;
use tollgate::domain::session::{End, LiveSession, SessionCap, WhenFull};
use tollgate::domain::state::{BrowserKey, Receipt};
use tollgate::domain::token::{Claim, Refusal, Taken, TokenGrant};
use tollgate::domain::user::{PersonName, User};
use tollgate::store::{Beginning, Glance, SessionFilter, Stores};

use crate::sessions::live;
use crate::tokens::{claim, grant, token};
use crate::{START, after, all, site};

pub(crate) async fn find(stores: &Stores, hash: SessionHash) -> Option<Arc<LiveSession>> {
    match stores.sessions.glance(&hash) {
        Glance::Known(live) => Some(live),
        Glance::Nobody => None,
        Glance::Unsure => stores.sessions.find(hash).await.unwrap(),
    }
}

async fn begin(stores: &Stores, seed: u64, on: &str, beginning: Beginning) -> SessionHash {
    let (hash, session) = live(seed, "Jane@example.com", on, after(seed));
    stores.sessions.insert(session, beginning).await.unwrap();
    hash
}

#[tokio::test]
async fn sessions_are_what_they_were() {
    for kept in all() {
        let freely = Beginning { cap: None, replaces: None, token: None, now: START };
        let stores = &kept.stores;
        let (used, unused) = (begin(stores, 1, "wiki", freely).await, begin(stores, 2, "wiki", freely).await);
        let (ended, changed) =
            (begin(stores, 3, "wiki", freely).await, begin(stores, 4, "shop", freely).await);
        let names: Vec<_> =
            stores.sessions.list(SessionFilter::default(), None, 9, START).await.unwrap().entries;
        stores.sessions.touch(&find(stores, used).await.unwrap(), after(1_000));
        stores.sessions.remove(ended, End::LoggedOut).await.unwrap();
        let mut session = find(stores, changed).await.unwrap().session.clone();
        let groups = vec!["staff".to_owned()];
        session.identity.details = Particulars { groups, ..Particulars::default() }.into();
        let next = LiveSession::new(changed, session, ReadyHeaders::default(), START);
        assert!(stores.sessions.replace(Arc::new(next)).await.unwrap());
        let cap = NonZeroU32::new(2).map(|most| SessionCap { most, when_full: WhenFull::EvictOldest });
        let newest =
            begin(stores, 5, "wiki", Beginning { cap, replaces: None, token: None, now: after(5) }).await;

        let Some(kept) = kept.reopened().await else { continue };
        let stores = &kept.stores;
        let [first, second, _, fourth] = names.as_slice() else { panic!("{names:?}") };
        assert!(find(stores, used).await.is_none(), "the oldest made room");
        assert_eq!(stores.sessions.fate(used, after(6)).await.unwrap(), Some(End::Evicted));
        let found = find(stores, unused).await.unwrap();
        assert_eq!(format!("{:?}", found.session), format!("{:?}", second.session));
        assert_eq!((found.last_seen(), first.last_seen()), (second.last_seen(), after(1_000)));
        assert!(find(stores, ended).await.is_none() && find(stores, newest).await.is_some());
        let found = find(stores, changed).await.unwrap();
        assert_eq!(found.session.identity.details.groups, ["staff"]);
        assert_eq!(found.session.id, fourth.session.id);
        let filter = SessionFilter { email_key: Some("jane@example.com".into()), sites: None };
        assert_eq!(stores.sessions.list(filter, None, 9, START).await.unwrap().entries.len(), 3);
    }
}

#[tokio::test]
async fn its_last_use_outlives_the_process_too() {
    for kept in all() {
        let freely = Beginning { cap: None, replaces: None, token: None, now: START };
        let hash = begin(&kept.stores, 1, "wiki", freely).await;
        kept.stores.sessions.touch(&find(&kept.stores, hash).await.unwrap(), after(1_000));
        let Some(kept) = kept.reopened().await else { continue };
        let stores = &kept.stores;
        assert_eq!(find(stores, hash).await.unwrap().last_seen(), after(1_000));
    }
}

#[tokio::test]
async fn upstreams_are_told_what_they_were_told() {
    for kept in all() {
        let freely = Beginning { cap: None, replaces: None, token: None, now: START };
        let hash = begin(&kept.stores, 1, "wiki", freely).await;
        let Some(kept) = kept.reopened().await else { continue };
        let stores = &kept.stores;
        let found = find(stores, hash).await.unwrap();
        let wiki = crate::SITES.iter().find(|site| site.name == found.session.site).unwrap();
        let told: Vec<_> = wiki.identity.read(&found.headers).collect();
        assert!(told.iter().any(|(_, value)| *value == b"Jane@example.com"), "{told:?}");
    }
}

#[tokio::test]
async fn tokens_are_open_or_spent_as_before() {
    for kept in all() {
        let [open, bound, used, expired, revoked] = [1, 2, 3, 4, 5].map(token);
        let tokens = &kept.stores.tokens;
        let full = TokenGrant {
            return_url: Some("/a?b".into()),
            identity: Identity { email: Email::parse("jane@example.com"), ..Identity::default() },
            ..grant(after(300), None)
        };
        let of_joe = Identity { email: Email::parse("joe@example.com"), ..Identity::default() };
        tokens.insert(open, full.clone()).await.unwrap();
        tokens.insert(bound, grant(after(300), Some("mine"))).await.unwrap();
        tokens.insert(used, full.clone()).await.unwrap();
        tokens.insert(expired, grant(after(20), None)).await.unwrap();
        tokens.insert(revoked, TokenGrant { identity: of_joe, ..full.clone() }).await.unwrap();
        let browser = BrowserKey::mint(&SeededEntropy::new(1));
        let claim_of =
            |browser| Claim { receipt: Some(Receipt::mint(browser, &SystemEntropy)), ..claim(None) };
        assert!(tokens.take(used, claim_of(&browser), after(19)).await.unwrap().is_ok());
        tokens
            .revoke(SessionFilter { email_key: Some("joe@example.com".into()), sites: None })
            .await
            .unwrap();

        let Some(kept) = kept.reopened().await else { continue };
        let stores = &kept.stores;
        let take = |hash, claim| stores.tokens.take(hash, claim, after(21));
        let again = take(used, claim_of(&browser)).await.unwrap();
        let Ok(Taken::Before(redeemed)) = again else { panic!("{again:?}") };
        assert_eq!(redeemed.return_url.as_deref(), Some("/a?b"));
        for (hash, refusal) in [
            (used, Refusal::Used),
            (bound, Refusal::OtherBrowser),
            (expired, Refusal::Expired),
            (revoked, Refusal::Revoked),
        ] {
            assert_eq!(take(hash, claim(None)).await.unwrap().map(drop), Err(refusal));
        }
        let taken = take(open, claim(None)).await.unwrap();
        let Ok(Taken::Now(found)) = taken else { panic!("{taken:?}") };
        assert_eq!(format!("{found:?}"), format!("{full:?}"));
    }
}

pub(crate) async fn provision(stores: &Stores, email: &str) -> User {
    let (email, name) = (Email::parse(email).unwrap(), PersonName::from_parts("Jane Q.", "Doe"));
    stores.directory.provision(email, name, site("wiki"), START).await.unwrap().user
}

#[tokio::test]
async fn users_and_nonces_are_not_forgotten_and_numbers_not_used_again() {
    for kept in all() {
        let jane = provision(&kept.stores, "Jane@Example.com").await;
        let joe = provision(&kept.stores, "joe@example.com").await;
        kept.stores.directory.remove(joe.id).await.unwrap();
        assert!(kept.stores.nonces.remember([7; 32], after(600)).await.unwrap());

        let Some(kept) = kept.reopened().await else { continue };
        let stores = &kept.stores;
        let found = stores.directory.find(jane.id).await.unwrap().unwrap();
        assert_eq!(format!("{found:?}"), format!("{jane:?}"));
        assert!(stores.directory.find_by_email("joe@example.com".into()).await.unwrap().is_none());
        assert!(provision(stores, "joe@example.com").await.id > joe.id);
        assert!(!stores.nonces.remember([7; 32], after(600)).await.unwrap());
    }
}
