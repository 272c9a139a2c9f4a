//! Redis with sentinels, as a cluster, and over TLS.

use serde_json::json;

use crate::redis::{asks, is_told, moved, over, two};
use crate::servers::redis::{Cluster, Server, Watched, wait_until};
use crate::support::{Authority, FakeUpstream, HANG, Plan, SITE, TestGateway, Visitor, seconds, settle};

/// Signs somebody in at `at` with a token from `from`, who tries again like a person where a replica
/// was too slow to confirm: then nobody has the token. Returns the one that did it.
async fn signs_in(at: &TestGateway, from: &TestGateway, email: &str) -> (Visitor, String) {
    let signing_in = async {
        loop {
            let person = json!({ "email": email, "full_name": "Jane Doe", "site": "intranet" });
            let issued = from.api().post("/v1/sso_tokens", &person).await;
            if issued.status == 201 {
                let token = issued.json()["token"].as_str().unwrap().to_owned();
                let mut visitor = Visitor::at(at);
                let answer = visitor.get(&format!("{SITE}/?sso={token}")).await;
                if answer.status == 302 && visitor.session_cookie().is_some() {
                    return (visitor, token);
                }
                assert_eq!(answer.status, 503, "{answer:?}");
            }
            settle().await;
        }
    };
    tokio::time::timeout(HANG, signing_in).await.expect("is signed in")
}

#[tokio::test]
async fn when_the_master_dies_the_next_one_is_found() {
    let (upstream, mut watched) = (FakeUpstream::start().await, Watched::start());
    let [here, there] = two(&upstream, &watched.url(), |site| site).await;
    let (visitor, _) = signs_in(&here, &here, "jane@example.com").await;
    let (mut joe, token) = signs_in(&there, &here, "joe@example.com").await;
    assert_eq!(asks(&mut joe).await, 200);
    let first = watched.master();
    watched.servers[0].kill();
    wait_until("there is another master", || watched.master() != first);
    for (visitor, gateway) in [(&visitor, &here), (&visitor, &there), (&joe, &here), (&joe, &there)] {
        is_told(&mut moved(visitor, gateway), 200, seconds(20)).await;
    }
    // That it was taken is known to the replica, too.
    let mut thief = Visitor::at(&here);
    thief.get(&format!("{SITE}/.tollgate/redeem?sso={token}")).await;
    assert_eq!(asks(&mut thief).await, 302);
    let (mut other, _) = signs_in(&there, &here, "ann@example.com").await;
    assert_eq!(asks(&mut other).await, 200);
}

#[tokio::test]
async fn in_a_cluster_all_is_as_with_one_server() {
    let (upstream, mut cluster) = (FakeUpstream::start().await, Cluster::start(1));
    let [here, there] = two(&upstream, &cluster.url(), |site| site.with("max_sessions_per_user", "1")).await;
    let mut visitors = Vec::new();
    for number in 0..12 {
        let (visitor, _) = signs_in(&here, &there, &format!("user{number}@example.com")).await;
        is_told(&mut moved(&visitor, &there), 200, seconds(30)).await;
        visitors.push(visitor);
    }
    let listed = there.api().get("/v1/sessions").await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 12);
    let mut last = visitors.pop().unwrap();
    here.advance(seconds(1));
    signs_in(&there, &here, "user11@example.com").await;
    is_told(&mut last, 302, seconds(2)).await;
    // A node is lost, and its replica takes over.
    cluster.servers[0].kill();
    wait_until("its replica has taken over", || {
        let nodes = cluster.servers[1].ask(&["CLUSTER", "NODES"]);
        let has_failed = |node: &&str| node.contains(",fail ");
        let serve = nodes.lines().filter(|node| node.contains("master") && !has_failed(node)).count();
        nodes.lines().any(|node| has_failed(&node))
            && serve == 3
            && cluster.servers[1].ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    });
    for visitor in &visitors {
        is_told(&mut moved(visitor, &here), 200, seconds(30)).await;
        is_told(&mut moved(visitor, &there), 200, seconds(30)).await;
    }
    let gone = async {
        while here.api().delete("/v1/sessions?email=user3@example.com").await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(seconds(5), gone).await.is_ok(), "the session never ended");
    is_told(&mut moved(&visitors[3], &there), 302, seconds(2)).await;
}

#[tokio::test]
async fn over_tls_with_no_more_rights_than_the_documents_ask_for() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let files = authority.issue("redis", &["localhost", "127.0.0.1"]);
    let (cert, key) = (files.cert.display().to_string(), files.key.display().to_string());
    let server = Server::start_tls(&cert, &key);
    let documents = include_str!("../../docs/redis.md").replace("PASSWORD", "hunter2hunter2");
    let (_, rule) = documents.split_once("ACL SETUSER").unwrap();
    let (rule, _) = rule.split_once("```").unwrap();
    let rule: Vec<_> = rule.split_whitespace().filter(|word| *word != "\\").collect();
    assert_eq!(server.ask(&[&["ACL", "SETUSER"], &rule[..]].concat()), "+OK\r\n");
    let url = format!("rediss://tollgate:hunter2hunter2@localhost:{}/3", server.tls_port());
    let plan = over(Plan::new(&upstream), &url).store("ca", &format!("{:?}", authority.root_file()));
    let gateway = plan.start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert_eq!(asks(&mut visitor).await, 200);
    assert_eq!(gateway.api().get("/v1/users").await.status, 200);
    assert_eq!(gateway.api().delete("/v1/sessions?email=jane@example.com").await.status, 200);
    is_told(&mut visitor, 302, seconds(1)).await;
    assert!(!server.ask(&["ACL", "LOG"]).contains("tollgate"), "something was not allowed");
    // An authority that nobody named vouches for nothing.
    let stranger = over(Plan::new(&upstream), &url).start().await;
    assert_eq!(asks(&mut moved(&visitor, &stranger)).await, 503);
}
