//! The sites of a group on two gateways over one Redis, and over one file.

use super::{House, opens, sign_in, travel};
use crate::redis::{moved, over, two_of};
use crate::servers::redis::Server;
use crate::support::{FakeUpstream, LoginPage, TestGateway, Visitor, seconds, settle};

/// Goes to `url`, each step at the other gateway.
async fn zigzag(visitor: &mut Visitor, gateways: &[TestGateway; 2], url: &str) -> String {
    let mut url = url.to_owned();
    for step in 0..10 {
        let mut there = moved(visitor, &gateways[step % 2]);
        let answer = there.get(&url).await;
        visitor.jar = there.jar;
        let Some(location) = answer.header("location") else { return url };
        url = crate::support::resolved(&url, &location).to_string();
        if url.starts_with("https://login.test/") {
            return url;
        }
    }
    panic!("goes in circles: {url}");
}

async fn story(gateways: [TestGateway; 2], upstreams: Vec<FakeUpstream>) {
    let [here, there] = &gateways;
    let mut jane = Visitor::at(here);
    sign_in(&mut jane, &LoginPage::new(there.api(), "art"), "art", "jane@example.com").await;
    assert_eq!(zigzag(&mut jane, &gateways, "http://books.test/a").await, "http://books.test/a");
    let mut moved_jane = moved(&jane, there);
    for visitor in [&mut jane, &mut moved_jane] {
        assert!(opens(visitor, &upstreams[0], "art").await && opens(visitor, &upstreams[1], "books").await);
    }
    moved_jane.get("http://books.test/.tollgate/logout").await;
    let gone = async {
        while opens(&mut jane, &upstreams[0], "art").await {
            settle().await;
        }
    };
    assert!(tokio::time::timeout(seconds(1), gone).await.is_ok(), "art never heard of it");
    let end = zigzag(&mut jane, &gateways, "http://books.test/a").await;
    assert!(end.starts_with("https://login.test/books"), "{end}");

    // A token on its way at the one, a logout at the other.
    for round in 0..20 {
        let mut jane = Visitor::at(here);
        sign_in(&mut jane, &LoginPage::new(here.api(), "art"), "art", "jane@example.com").await;
        let asked = jane.get("http://books.test/a").await.location();
        let answered = jane.get(&asked).await.location();
        let mut other_tab = moved(&jane, there);
        tokio::join!(jane.get(&answered), other_tab.get("http://art.test/.tollgate/logout"));
        // A list may be a moment behind.
        for gateway in &gateways {
            let empty = async {
                while !gateway.api().all("/v1/sessions").await.0.is_empty() {
                    settle().await;
                }
            };
            assert!(tokio::time::timeout(seconds(1), empty).await.is_ok(), "round {round}");
        }
        let (urls, _) = travel(&mut jane, "http://books.test/a").await;
        assert!(urls.last().expect("some").starts_with("https://login.test/books"), "{urls:?}");
        here.advance(seconds(4));
    }
}

#[tokio::test]
async fn two_gateways_over_one_redis_are_one_house() {
    let server = Server::start();
    let (plan, upstreams) = House::plan(2, |_, site| site).await;
    story(two_of(over(plan, &server.url())).await, upstreams).await;
}

#[tokio::test]
async fn two_gateways_over_one_file_are_one_house() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, upstreams) = House::plan(2, |_, site| site).await;
    story(two_of(plan.embedded(folder.path())).await, upstreams).await;
}
