//! Paused requests: each is handed out once, to whoever knows where it is.

use tollgate::domain::paused::ParkedId;
use tollgate::store::{SealedRequest, Stores};

use crate::{after, all};

fn id(browser: u8, page: u8) -> ParkedId {
    ParkedId { browser: [browser; 32], page: [page; 32] }
}

async fn park(stores: &Stores, id: ParkedId, sealed: &[u8]) {
    let request = SealedRequest { network: 7, until: after(900), sealed: sealed.to_vec() };
    stores.parked.park(id, request).await.unwrap();
}

#[tokio::test]
async fn what_is_parked_is_handed_out_once() {
    for kept in all() {
        let stores = &kept.stores;
        assert!(!stores.parked.holds(id(1, 1)).await.unwrap());
        assert_eq!(stores.parked.take(id(1, 1), after(0)).await.unwrap(), None);
        park(stores, id(1, 1), b"first").await;
        park(stores, id(1, 1), b"\x00second\r\n\xff").await;
        park(stores, id(1, 2), b"").await;
        assert!(stores.parked.holds(id(1, 1)).await.unwrap());
        assert!(!stores.parked.holds(id(2, 1)).await.unwrap());
        assert_eq!(stores.parked.take(id(2, 1), after(0)).await.unwrap(), None);
        assert_eq!(
            stores.parked.take(id(1, 1), after(0)).await.unwrap().as_deref(),
            Some(&b"\x00second\r\n\xff"[..])
        );
        assert_eq!(stores.parked.take(id(1, 1), after(0)).await.unwrap(), None);
        assert_eq!(stores.parked.take(id(1, 2), after(0)).await.unwrap().as_deref(), Some(&b""[..]));
    }
}

#[tokio::test]
async fn of_many_who_take_it_at_once_one_gets_it() {
    for kept in all() {
        for _ in 0..10 {
            park(&kept.stores, id(1, 1), b"x").await;
            let takers: Vec<_> = (0..8)
                .map(|_| {
                    let parked = kept.stores.parked.clone();
                    tokio::spawn(async move { parked.take(id(1, 1), after(0)).await.unwrap() })
                })
                .collect();
            let mut taken = 0;
            for taker in takers {
                taken += usize::from(taker.await.unwrap().is_some());
            }
            assert_eq!(taken, 1);
        }
    }
}

#[tokio::test]
async fn a_browser_is_forgotten_alone_and_time_ends_for_all() {
    for kept in all() {
        let stores = &kept.stores;
        for (browser, page) in [(1, 1), (1, 2), (2, 1), (3, 1)] {
            park(stores, id(browser, page), b"x").await;
        }
        stores.parked.clear([1; 32]).await.unwrap();
        for page in [1, 2] {
            assert_eq!(stores.parked.take(id(1, page), after(0)).await.unwrap(), None);
        }
        assert!(stores.parked.take(id(2, 1), after(899)).await.unwrap().is_some());
        assert_eq!(stores.parked.take(id(3, 1), after(900)).await.unwrap(), None);
        park(stores, id(4, 1), b"x").await;
        kept.wait_until(after(900));
        stores.sweep(after(900), 10);
        assert_eq!(stores.parked.take(id(4, 1), after(900)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_browser_has_room_for_a_few_and_the_oldest_goes() {
    for kept in all() {
        let stores = &kept.stores;
        park(stores, id(2, 0), b"x").await;
        for page in 0..20 {
            park(stores, id(1, page), b"x").await;
        }
        assert!(!stores.parked.holds(id(1, 11)).await.unwrap());
        assert!(stores.parked.holds(id(1, 12)).await.unwrap());
        assert!(stores.parked.holds(id(2, 0)).await.unwrap());
    }
}
