//! Keys that sign: of several who make or change them at once one does, and all find the same.

use std::time::Duration;

use tollgate::domain::assertion::KeyRing;
use tollgate::store::Stores;

use crate::siblings::both;
use crate::{Kept, START, after, all, over, site};

const AGE: Duration = Duration::from_hours(48);

fn first() -> KeyRing {
    KeyRing::begin(START).unwrap()
}

async fn load(stores: &Stores, name: &str) -> Option<KeyRing> {
    stores.keys.load(site(name)).await.unwrap()
}

async fn replace(stores: &Stores, name: &str, ring: &KeyRing) -> bool {
    stores.keys.replace(site(name), ring.clone()).await.unwrap()
}

/// What can be compared of a ring.
fn shown(ring: Option<KeyRing>) -> Option<(u64, String)> {
    ring.map(|ring| (ring.revision, ring.to_jwks()))
}

#[tokio::test]
async fn a_ring_takes_the_place_of_the_one_before_it_alone() {
    for Kept { stores, .. } in all() {
        assert!(load(&stores, "wiki").await.is_none());
        let (ring, late) = (first(), first());
        let next = ring.advance(after(48 * 3600), AGE).unwrap();
        assert!(!replace(&stores, "wiki", &next).await, "there is nothing before it");
        assert!(replace(&stores, "wiki", &ring).await);
        assert!(!replace(&stores, "wiki", &late).await, "somebody was quicker");
        assert_eq!(shown(load(&stores, "wiki").await), shown(Some(ring.clone())));
        assert!(replace(&stores, "wiki", &next).await);
        assert!(!replace(&stores, "wiki", &ring).await, "there is no way back");
        assert_eq!(shown(load(&stores, "wiki").await), shown(Some(next)));
        assert!(load(&stores, "shop").await.is_none(), "each site has its own");
    }
}

#[tokio::test]
async fn keys_outlive_the_process_and_sign_as_before() {
    for kept in all() {
        let ring = first();
        assert!(replace(&kept.stores, "wiki", &ring).await);
        let Some(kept) = kept.reopened().await else { continue };
        let found = load(&kept.stores, "wiki").await.unwrap();
        assert_eq!(shown(Some(found.clone())), shown(Some(ring.clone())));
        let keys = |ring: &KeyRing| ring.keys().map(|key| key.to_pkcs8().unwrap()).collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&ring));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_make_keys_at_once_one_does() {
    let (file, sibling) = both();
    let redis = all().pop().unwrap();
    let other_node = over(&redis.server.as_ref().unwrap().url(), &redis.clock);
    for [one, other] in [[&file.stores, &sibling], [&redis.stores, &other_node]] {
        let makers: Vec<_> = [one, other, one, other, one, other]
            .map(Stores::clone)
            .map(|stores| tokio::spawn(async move { replace(&stores, "wiki", &first()).await }))
            .into();
        let mut made = 0;
        for maker in makers {
            made += usize::from(maker.await.unwrap());
        }
        assert_eq!(made, 1);
        let [here, there] = [load(one, "wiki").await, load(other, "wiki").await].map(shown);
        assert!(here.is_some() && here == there);
    }
}

#[tokio::test]
async fn whoever_reads_the_redis_does_not_read_the_keys() {
    let kept = all().pop().unwrap();
    let server = kept.server.as_ref().unwrap();
    let ring = first();
    assert!(replace(&kept.stores, "wiki", &ring).await);
    let kept_there = server.ask(&["HGET", "tollgate:keys:{wiki}", "r"]);
    assert!(kept_there.len() > 100 && !kept_there.contains("pkcs8") && !kept_there.contains("published_at"));
    // Nor does whoever writes there bring one of theirs in, or an old one back.
    let other = over(&server.url(), &kept.clock);
    server.ask(&["HSET", "tollgate:keys:{wiki}", "v", "7"]);
    assert!(other.keys.load(site("wiki")).await.is_err());
    server.ask(&["HSET", "tollgate:keys:{wiki}", "v", "1"]);
    assert_eq!(shown(load(&other, "wiki").await), shown(Some(ring)));
    server.ask(&["COPY", "tollgate:keys:{wiki}", "tollgate:keys:{shop}"]);
    assert!(other.keys.load(site("shop")).await.is_err());
    server.ask(&["HSET", "tollgate:keys:{wiki}", "r", "{}"]);
    assert!(other.keys.load(site("wiki")).await.is_err());
}
