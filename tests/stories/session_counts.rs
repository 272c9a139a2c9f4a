//! How many sessions there are, told by gateways that share a Redis: each of them knows of all, and no scrape
//! waits for a Redis that does not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::redis::{asks, over, two};
use crate::servers::redis::{Cluster, Server, Watched, wait_until};
use crate::support::{FakeUpstream, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, seconds, settle};

/// What `gateway` says of `tollgate_shared_sessions`, by site.
async fn told(gateway: &TestGateway) -> BTreeMap<String, u64> {
    let figures = gateway.api().get("/metrics").await;
    assert_eq!(figures.status, 200);
    // What is added up over nodes must not be there.
    assert!(!figures.text().contains("\ntollgate_sessions{"));
    let text = figures.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("tollgate_shared_sessions{site=\""));
    lines
        .map(|line| {
            let (site, figure) = line.split_once("\"} ").unwrap();
            (site.to_owned(), figure.parse().unwrap())
        })
        .collect()
}

/// Waits until each of `gateways` says that there are so many on the site `intranet`.
async fn all_tell(gateways: &[TestGateway; 2], count: u64) {
    for gateway in gateways {
        let telling = async {
            while told(gateway).await.get("intranet") != Some(&count) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(HANG, telling).await.is_ok();
        assert!(in_time, "not {count}, but {:?}", told(gateway).await);
    }
}

/// Signs so many people in at one of the gateways after the other, as people who try again if it has to be.
async fn sign_in(gateways: &[TestGateway; 2], count: usize) -> Vec<Visitor> {
    let mut visitors = Vec::new();
    for number in 0..count {
        let gateway = &gateways[number % 2];
        let signing_in = async {
            loop {
                let mut visitor = Visitor::at(gateway);
                let person = serde_json::json!({
                    "email": format!("user{number}@example.com"), "full_name": "Jane Doe", "site": "intranet",
                });
                let issued = gateway.api().post("/v1/sso_tokens", &person).await;
                if issued.status == 201 {
                    let token = issued.json()["token"].as_str().unwrap().to_owned();
                    visitor.get(&format!("{SITE}/?sso={token}")).await;
                    if visitor.session_cookie().is_some() {
                        return visitor;
                    }
                }
                settle().await;
            }
        };
        visitors.push(tokio::time::timeout(HANG, signing_in).await.expect("is signed in"));
    }
    visitors
}

#[tokio::test]
async fn every_gateway_tells_those_of_all() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let gateways = two(&upstream, &server.url(), |site| site.with("session_idle", "\"60s\"")).await;
    all_tell(&gateways, 0).await;
    let mut visitors = sign_in(&gateways, 5).await;
    all_tell(&gateways, 5).await;
    visitors[0].get(&format!("{SITE}/.tollgate/logout")).await;
    gateways[1].api().delete("/v1/sessions?email=user1@example.com").await;
    all_tell(&gateways, 3).await;
    // One of them is used, and the others run out.
    gateways[0].advance(seconds(50));
    assert_eq!(asks(&mut visitors[2]).await, 200);
    tokio::time::sleep(seconds(60) / 20 + Duration::from_millis(500)).await;
    gateways[0].advance(seconds(20));
    all_tell(&gateways, 1).await;
    gateways[0].advance(seconds(50));
    all_tell(&gateways, 0).await;
}

#[tokio::test]
async fn with_sentinels_as_well() {
    let (upstream, mut watched) = (FakeUpstream::start().await, Watched::start());
    let gateways = two(&upstream, &watched.url(), |site| site).await;
    let _visitors = sign_in(&gateways, 3).await;
    all_tell(&gateways, 3).await;
    let first = watched.master();
    watched.servers[0].kill();
    wait_until("there is another master", || watched.master() != first);
    // Those that the replica did not hear of are gone there, too.
    let gone = async {
        while gateways[0].api().delete("/v1/sessions?email=user0@example.com").await.status != 200 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, gone).await.expect("is ended");
    all_tell(&gateways, 2).await;
}

#[tokio::test]
async fn and_in_a_cluster() {
    let (upstream, cluster) = (FakeUpstream::start().await, Cluster::start(0));
    let gateways = two(&upstream, &cluster.url(), |site| site).await;
    let _visitors = sign_in(&gateways, 12).await;
    all_tell(&gateways, 12).await;
    gateways[0].api().delete("/v1/sessions?email=user7@example.com").await;
    all_tell(&gateways, 11).await;
}

#[tokio::test]
async fn no_scrape_waits_for_a_redis_that_hangs_and_none_gets_a_figure_that_is_old() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let gateways = two(&upstream, &server.url(), |site| site).await;
    let _visitors = sign_in(&gateways, 2).await;
    all_tell(&gateways, 2).await;
    server.freeze();
    // For a while what was heard last is told.
    let told_meanwhile = tokio::time::timeout(Duration::from_millis(1_500), told(&gateways[0])).await;
    assert_eq!(told_meanwhile.unwrap().get("intranet"), Some(&2));
    let silent = async {
        while !told(&gateways[0]).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(HANG, silent).await.expect("nothing is told");
    server.thaw();
    all_tell(&gateways, 2).await;
}

#[tokio::test]
async fn what_somebody_wrote_there_costs_a_figure_and_no_session() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    for shard in 0..16 {
        server.ask(&["SET", &format!("tollgate:sessions:{{{shard}}}:of:wiki"), "7"]);
    }
    let wiki = SitePlan::new("wiki", "wiki.example.com", upstream.address());
    let plan = over(Plan::new(&upstream).and_site(wiki), &server.url());
    let gateway = plan.start().await;
    crate::redis::is_ready(&gateway).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert_eq!(asks(&mut visitor).await, 200);
    tokio::time::sleep(seconds(3)).await;
    assert_eq!(told(&gateway).await, BTreeMap::new());
}
