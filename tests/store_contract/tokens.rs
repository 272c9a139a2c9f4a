//! One-time tokens: taken once, by whom they are for, while they are good.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tollgate::domain::clock::Timestamp;
use tollgate::domain::email::Email;
use tollgate::domain::entropy::{SeededEntropy, SystemEntropy};
use tollgate::domain::identity::Identity;
use tollgate::domain::opaque::{LoginToken, TokenHash};
use tollgate::domain::state::{BrowserKey, LoginState, Receipt};
use tollgate::domain::token::{Claim, Refusal, RolePolicy, Taken, TokenGrant, TokenKind};
use tollgate::store::{SessionFilter, Stores};

use crate::{Kept, START, after, all, site};

pub(crate) fn grant(expires_at: Timestamp, state: Option<&str>) -> TokenGrant {
    TokenGrant {
        kind: TokenKind::Session,
        site: site("intranet"),
        identity: Identity::default(),
        role_policy: RolePolicy::Always,
        return_url: None,
        state: state.and_then(LoginState::parse),
        expires_at,
        session_idle: None,
        session_max: None,
        source: None,
    }
}

pub(crate) fn claim(state: Option<&str>) -> Claim {
    Claim {
        kind: None,
        site: site("intranet"),
        state: state.and_then(LoginState::parse),
        require_state: false,
        receipt: None,
    }
}

pub(crate) fn token(seed: u64) -> TokenHash {
    LoginToken::mint(&SeededEntropy::new(seed)).hash()
}

async fn take(stores: &Stores, hash: TokenHash, claim: Claim, now: Timestamp) -> Result<(), Refusal> {
    stores.tokens.take(hash, claim, now).await.unwrap().map(drop)
}

/// Of all who tried to take one token, one did, and the others came too late.
pub(crate) async fn assert_one_took_it(racers: Vec<JoinHandle<Result<(), Refusal>>>) {
    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(()) => won += 1,
            Err(refusal) => assert_eq!(refusal, Refusal::Used),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_token_is_taken_once_and_then_known_as_used() {
    for Kept { stores, .. } in all() {
        let hash = token(1);
        assert_eq!(take(&stores, hash, claim(None), START).await, Err(Refusal::Unknown));
        stores.tokens.insert(hash, grant(after(300), None)).await.unwrap();
        assert_eq!(stores.tokens.site_of(hash).await.unwrap(), Some(site("intranet")));
        assert_eq!(take(&stores, hash, claim(None), after(299)).await, Ok(()));
        assert_eq!(take(&stores, hash, claim(None), after(299)).await, Err(Refusal::Used));
        assert_eq!(take(&stores, hash, claim(None), after(400)).await, Err(Refusal::Used));
    }
}

/// A claim of the browser with this key.
fn claim_of(browser: &BrowserKey) -> Claim {
    Claim { receipt: Some(Receipt::mint(browser, &SystemEntropy)), ..claim(None) }
}

#[tokio::test]
async fn the_browser_that_took_a_token_may_come_once_more_within_ten_seconds() {
    for Kept { stores, forgets_when_swept, .. } in all() {
        let [own, other] = [1, 2].map(|seed| BrowserKey::mint(&SeededEntropy::new(seed)));
        let hash = token(3);
        let with_target = TokenGrant { return_url: Some("/a".into()), ..grant(after(300), None) };
        stores.tokens.insert(hash, with_target).await.unwrap();
        let first = claim_of(&own);
        let receipt = first.receipt.clone().unwrap();
        let taken = stores.tokens.take(hash, first, START).await.unwrap();
        assert!(matches!(taken, Ok(Taken::Now(_))), "{taken:?}");
        for seconds in [0, 9] {
            let again = stores.tokens.take(hash, claim_of(&own), after(seconds)).await.unwrap();
            let Ok(Taken::Before(redeemed)) = again else { panic!("{again:?}") };
            assert_eq!(redeemed.receipt.to_parts(), receipt.to_parts());
            assert_eq!((redeemed.return_url.as_deref(), redeemed.at), (Some("/a"), START));
        }
        for (who, at) in [(claim_of(&other), START), (claim(None), START), (claim_of(&own), after(10))] {
            assert_eq!(take(&stores, hash, who, at).await, Err(Refusal::Used));
        }
        while stores.sweep(after(11), 2) {}
        if forgets_when_swept {
            assert_eq!(take(&stores, hash, claim_of(&own), after(9)).await, Err(Refusal::Used));
        }
    }
}

#[tokio::test]
async fn a_refused_claim_leaves_the_token_as_it_was() {
    for Kept { stores, .. } in all() {
        let hash = token(2);
        stores.tokens.insert(hash, grant(after(300), Some("mine"))).await.unwrap();
        let other_site = Claim { site: site("wiki"), ..claim(Some("mine")) };
        let other_kind = Claim { kind: Some(TokenKind::Login), ..claim(Some("mine")) };
        for (wrong, refusal) in [
            (other_site, Refusal::Unknown),
            (other_kind, Refusal::Unknown),
            (claim(Some("theirs")), Refusal::OtherBrowser),
            (claim(None), Refusal::OtherBrowser),
        ] {
            assert_eq!(take(&stores, hash, wrong, START).await, Err(refusal));
        }
        assert_eq!(take(&stores, hash, claim(Some("mine")), START).await, Ok(()));
    }
}

#[tokio::test]
async fn a_site_may_insist_on_a_state() {
    for Kept { stores, .. } in all() {
        let hash = token(3);
        stores.tokens.insert(hash, grant(after(300), None)).await.unwrap();
        let strict = Claim { require_state: true, ..claim(Some("any")) };
        assert_eq!(take(&stores, hash, strict, START).await, Err(Refusal::Unbound));
        assert_eq!(take(&stores, hash, claim(Some("any")), START).await, Ok(()));
    }
}

#[tokio::test]
async fn a_token_expires_to_the_second_and_is_forgotten_later() {
    for Kept { stores, .. } in all() {
        let hash = token(4);
        stores.tokens.insert(hash, grant(after(300), None)).await.unwrap();
        assert_eq!(take(&stores, hash, claim(None), after(300)).await, Err(Refusal::Expired));
        while stores.sweep(after(300), 10) {}
        assert_eq!(take(&stores, hash, claim(None), after(301)).await, Err(Refusal::Expired));
        while stores.sweep(after(24 * 3600), 10) {}
        assert_eq!(take(&stores, hash, claim(None), after(24 * 3600)).await, Err(Refusal::Unknown));
    }
}

#[tokio::test]
async fn forgetting_goes_in_slices() {
    for Kept { stores, .. } in all().into_iter().filter(|kept| kept.forgets_when_swept) {
        for seed in 0..100 {
            stores.tokens.insert(token(1000 + seed), grant(after(1), None)).await.unwrap();
        }
        let much_later = after(24 * 3600);
        let last = || take(&stores, token(1099), claim(None), much_later);
        let mut slices = Vec::new();
        while last().await != Err(Refusal::Unknown) || slices.len() < 5 {
            slices.push(stores.tokens.sweep(much_later, 30));
        }
        assert!(slices.iter().all(|looked_at| *looked_at <= 30), "{slices:?}");
        assert_eq!(slices.last(), Some(&0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_take_a_token_at_once_one_gets_it() {
    const RACERS: usize = 8;
    for Kept { stores, .. } in all() {
        for seed in 0..500 {
            let hash = token(5000 + seed);
            stores.tokens.insert(hash, grant(after(300), None)).await.unwrap();
            let gate = Arc::new(tokio::sync::Barrier::new(RACERS));
            let racers: Vec<_> = (0..RACERS)
                .map(|_| {
                    let (stores, gate) = (stores.clone(), Arc::clone(&gate));
                    tokio::spawn(async move {
                        gate.wait().await;
                        take(&stores, hash, claim(None), START).await
                    })
                })
                .collect();
            assert_one_took_it(racers).await;
        }
    }
}

#[tokio::test]
async fn whoever_took_a_token_that_is_withdrawn_does_not_come_with_it_again() {
    let of_jane = SessionFilter { email_key: Some("jane@example.com".into()), sites: None };
    let elsewhere = SessionFilter { sites: Some(vec![site("wiki")]), ..of_jane.clone() };
    let on_the_site = SessionFilter { email_key: None, sites: Some(vec![site("intranet")]) };
    let of_joe = SessionFilter { email_key: Some("joe@example.com".into()), sites: None };
    for Kept { stores, .. } in all() {
        let jane = Identity { email: Email::parse("Jane@example.com"), ..Identity::default() };
        for (seed, withdrawn) in [of_jane.clone(), on_the_site.clone()].into_iter().enumerate() {
            let (hash, browser) = (token(40 + seed as u64), BrowserKey::mint(&SeededEntropy::new(1)));
            let grant = TokenGrant { identity: jane.clone(), ..grant(after(300), None) };
            stores.tokens.insert(hash, grant).await.unwrap();
            take(&stores, hash, claim_of(&browser), START).await.unwrap();
            for other in [&of_joe, &elsewhere] {
                stores.tokens.revoke(other.clone()).await.unwrap();
                assert_eq!(take(&stores, hash, claim_of(&browser), START).await, Ok(()));
            }
            stores.tokens.revoke(withdrawn).await.unwrap();
            let refused = take(&stores, hash, claim_of(&browser), START).await;
            assert!(matches!(refused, Err(Refusal::Used | Refusal::Revoked)), "{refused:?}");
        }
    }
}
