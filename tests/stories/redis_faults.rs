//! A Redis that fails in every way that servers know: closed paths are answered with 503 within the
//! second, open ones go on, and all is well again soon after.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::redis::{asks, is_told, over};
use crate::servers::redis::{Server, free_port, wait_until};
use crate::servers::relay::Relay;
use crate::support::{
    Authority, FakeUpstream, HANG, Plan, Program, Response, SITE, TestGateway, Visitor, seconds,
};

/// What the log says once when the store is lost, and once when it is back.
const LOST: &str = "the store does not answer; closed paths";
const HELD: &str = "the store cannot be written to";
const BACK: &str = "the store answers again";

/// What a login page is told that wants a token.
async fn issue(gateway: &TestGateway, email: &str) -> Response {
    let person = json!({ "site": "intranet", "email": email, "first_name": "J", "last_name": "D" });
    gateway.api().post("/v1/sso_tokens", &person).await
}

struct Scene {
    gateway: TestGateway,
    visitor: Visitor,
    stranger: Visitor,
    upstream: FakeUpstream,
}

async fn scene(url: &str) -> Scene {
    let upstream = FakeUpstream::start().await;
    let gateway = over(Plan::new(&upstream), url).start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let stranger = Visitor::at(&gateway);
    Scene { gateway, visitor, stranger, upstream }
}

impl Scene {
    /// Nobody gets in, and open paths are open.
    async fn is_shut(&mut self) {
        // What was heard a moment ago is good for a second.
        is_told(&mut self.visitor, 503, seconds(3)).await;
        for _ in 0..3 {
            let count = self.upstream.count();
            // Measured generously: the claim is a second.
            let told = tokio::time::timeout(Duration::from_millis(1_500), asks(&mut self.visitor)).await;
            assert_eq!(told, Ok(503));
            assert_eq!(self.upstream.count(), count);
            assert_eq!(self.stranger.get(&format!("{SITE}/public/a")).await.status, 200);
            assert_eq!(self.stranger.get(&format!("{SITE}/closed")).await.status, 302);
        }
    }

    async fn is_well_again(&mut self) {
        is_told(&mut self.visitor, 200, HANG).await;
        let mut other = Visitor::at(&self.gateway);
        other.sign_in(&self.gateway.login_page(), "joe@example.com").await;
        assert_eq!(asks(&mut other).await, 200);
    }
}

#[tokio::test]
async fn frozen() {
    let server = Server::start();
    let mut scene = scene(&server.url()).await;
    server.freeze();
    scene.is_shut().await;
    server.thaw();
    scene.is_well_again().await;
}

#[tokio::test]
async fn killed_and_started_anew() {
    let mut server = Server::start();
    let mut scene = scene(&server.url()).await;
    server.kill();
    scene.is_shut().await;
    server.run();
    scene.is_well_again().await;
}

#[tokio::test]
async fn not_there_at_the_start() {
    let mut server = Server::start();
    server.kill();
    let upstream = FakeUpstream::start().await;
    let gateway = over(Plan::new(&upstream), &server.url()).start().await;
    let mut stranger = Visitor::at(&gateway);
    assert_eq!(stranger.get(&format!("{SITE}/public/a")).await.status, 200);
    assert_eq!(gateway.api().get("/readyz").await.status, 503);
    let figures = gateway.api().get("/metrics").await.text();
    assert!(figures.contains("\ntollgate_store_up 0\n"), "{figures}");
    assert!(figures.contains("\ntollgate_store_faults_total{reason=\"lost\"} "), "{figures}");
    server.run();
    tokio::time::sleep(seconds(2)).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert_eq!(asks(&mut visitor).await, 200);
}

#[tokio::test]
async fn silent_behind_a_cable_that_is_blocked_or_cut() {
    let server = Server::start();
    let cable = Relay::to(server.port);
    let mut scene = scene(&format!("redis://127.0.0.1:{}", cable.port)).await;
    cable.mute(true);
    scene.is_shut().await;
    cable.mute(false);
    scene.is_well_again().await;
    // A cable that is cut for a moment is not even noticed.
    for _ in 0..5 {
        cable.cut();
        is_told(&mut scene.visitor, 200, HANG).await;
    }
}

#[tokio::test]
async fn a_replica_of_something_else() {
    let (server, master) = (Server::start(), Server::start());
    let mut scene = scene(&server.url()).await;
    server.ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    scene.is_shut().await;
    // It becomes a copy of the other one, which is empty.
    wait_until("it is a copy", || server.ask(&["INFO", "replication"]).contains("master_link_status:up"));
    server.ask(&["REPLICAOF", "NO", "ONE"]);
    is_told(&mut scene.visitor, 302, HANG).await;
}

#[tokio::test]
async fn held_back_from_whatever_may_write() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let program = Program::start(&over(Plan::new(&upstream), &server.url())).await;
    let login_page = program.login_page();
    login_page.token_for("jane@example.com").await;
    server.ask(&["CLIENT", "PAUSE", "5000", "WRITE"]);
    let person =
        json!({ "site": "intranet", "email": "joe@example.com", "first_name": "J", "last_name": "D" });
    let readable = async || program.api().get("/metrics").await.text();
    while program.lines_with(HELD).is_empty() {
        program.api().post("/v1/sso_tokens", &person).await;
    }
    let line: Value = serde_json::from_str(&program.line_with(HELD).await).unwrap();
    assert_eq!((&line["level"], &line["target"]), (&json!("ERROR"), &json!("tollgate::store")));
    assert_eq!(
        (&line["reason"], &line["address"]),
        (&json!("lost"), &json!(format!("127.0.0.1:{}", server.port)))
    );
    assert_eq!(line["cause"], "it answers, but not to what may write");
    for _ in 0..2 {
        assert_eq!(program.api().post("/v1/sso_tokens", &person).await.status, 503);
        assert!(readable().await.contains("\ntollgate_store_up 0\n"));
    }
    program.line_with(BACK).await;
    login_page.token_for("joe@example.com").await;
    assert!(readable().await.contains("\ntollgate_store_up 1\n"));
    assert_eq!((program.lines_with(HELD).len(), program.lines_with(BACK).len()), (1, 1), "each once");
    assert!(program.lines_with(LOST).is_empty());
}

#[tokio::test]
async fn out_of_reach_for_one_reason_or_another_which_the_log_tells() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let files = authority.issue("redis", &["localhost", "127.0.0.1"]);
    let server = Server::start_tls(&files.cert.display().to_string(), &files.key.display().to_string());
    let (plain, secured, closed) = (server.port, server.tls_port(), free_port());
    let login = "jane:hunter2hunter2";
    let reasons = [
        (format!("redis://{login}@127.0.0.1:{closed}/"), format!("127.0.0.1:{closed}"), "Connection refused"),
        (
            format!("redis-cluster://{login}@127.0.0.1:{closed}"),
            format!("127.0.0.1:{closed}"),
            "Connection refused",
        ),
        (
            format!("redis-sentinel://{login}@127.0.0.1:{closed}/main"),
            format!("127.0.0.1:{closed}"),
            "Connection refused",
        ),
        (format!("rediss://{login}@localhost:{secured}/"), format!("localhost:{secured}"), "UnknownIssuer"),
        (format!("redis://{login}@127.0.0.1:{secured}/"), format!("127.0.0.1:{secured}"), ""),
        (format!("redis://127.0.0.1:{secured}/"), format!("127.0.0.1:{secured}"), ""),
        (
            format!("redis://{login}@127.0.0.1:{plain}/"),
            format!("127.0.0.1:{plain}"),
            "authentication failed",
        ),
        (format!("redis://{login}@no-such-name.invalid:6379/"), "no-such-name.invalid:6379".to_owned(), ""),
    ];
    let mut causes = BTreeSet::new();
    for (url, address, cause) in reasons {
        let program = Program::start(&over(Plan::new(&upstream), &url)).await;
        let line: Value = serde_json::from_str(&program.line_with(LOST).await).unwrap();
        assert_eq!(line["address"], address, "{line}");
        let told = line["cause"].as_str().unwrap();
        assert!(!told.is_empty() && told.contains(cause), "{url}: {line}");
        causes.insert(told.to_owned());
        assert!(program.lines_with("hunter2").is_empty(), "{line}");
    }
    assert_eq!(causes.len(), 5, "{causes:?}");
}

#[tokio::test]
async fn full() {
    let server = Server::start();
    let mut scene = scene(&server.url()).await;
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    // Nothing new can be written. What is there can be read, and ended.
    let refused = issue(&scene.gateway, "joe@example.com").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(asks(&mut scene.visitor).await, 200);
    scene.visitor.get(&format!("{SITE}/.tollgate/logout")).await;
    assert_eq!(asks(&mut scene.visitor).await, 302);
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let mut other = Visitor::at(&scene.gateway);
    other.sign_in(&scene.gateway.login_page(), "joe@example.com").await;
    assert_eq!(asks(&mut other).await, 200);
}

#[tokio::test]
async fn something_else_at_every_key() {
    let server = Server::start();
    let mut scene = scene(&server.url()).await;
    let keys = server.keys("tollgate:*");
    assert!(keys.len() >= 6, "{keys:?}");
    let spent = server.keys("tollgate:token:*");
    let token = scene.gateway.login_page().token_for("jane@example.com").await;
    for key in server.keys("tollgate:*") {
        server.ask(&["RENAME", &key, "aside"]);
        let kind = server.ask(&["TYPE", "aside"]);
        if kind.contains("list") {
            server.ask(&["SET", &key, "x"])
        } else {
            server.ask(&["RPUSH", &key, "x"])
        };
        // A gateway that has not seen it before.
        let fresh = over(Plan::new(&scene.upstream), &server.url()).beside(&scene.gateway).start().await;
        let mut visitor = crate::redis::moved(&scene.visitor, &fresh);
        let told = asks(&mut visitor).await;
        if key.starts_with("tollgate:session:") {
            assert_eq!(told, 503, "{key}");
        } else {
            assert_eq!(told, 200, "{key}");
        }
        if key.starts_with("tollgate:token:") && !spent.contains(&key) {
            let mut stranger = Visitor::at(&fresh);
            let answer = stranger.get(&format!("{SITE}/.tollgate/redeem?sso={token}")).await;
            assert!(answer.status == 503 || answer.status == 302, "{key}: {}", answer.status);
            assert_eq!(asks(&mut stranger).await, 302, "{key}");
        }
        let issued = issue(&fresh, "jane@example.com").await.status;
        assert!([201, 503].contains(&issued), "{key}: {issued}");
        let listed = fresh.api().get("/v1/sessions?email=jane@example.com").await.status;
        assert!([200, 503].contains(&listed), "{key}: {listed}");
        assert!([200, 503].contains(&fresh.api().get("/v1/users").await.status), "{key}");
        server.ask(&["RENAME", "aside", &key]);
        fresh.stop().await;
    }
    assert_eq!(asks(&mut scene.visitor).await, 200);
}

#[tokio::test]
async fn somebody_who_writes_in_it() {
    let server = Server::start();
    let mut scene = scene(&server.url()).await;
    let mut joe = Visitor::at(&scene.gateway);
    joe.sign_in(&scene.gateway.login_page(), "joe@example.com").await;
    let [first, second] = <[String; 2]>::try_from(server.keys("tollgate:session:*")).unwrap();
    let copy = |from: &str, to: &str, field: &str| {
        let script = "redis.call('HSET', KEYS[2], ARGV[1], redis.call('HGET', KEYS[1], ARGV[1]))";
        server.ask(&["EVAL", script, "2", from, to, field]);
    };
    let change = |key: &str, field: &str, from: &str, to: &str| {
        let script = "local v = redis.call('HGET', KEYS[1], ARGV[1])
                      local n, c = string.gsub(v, ARGV[2], ARGV[3])
                      assert(c > 0); redis.call('HSET', KEYS[1], ARGV[1], n)";
        let answer = server.ask(&["EVAL", script, "1", key, field, from, to]);
        assert!(!answer.contains("ERR"), "{answer}");
    };
    let keep = |key: &str| drop(server.ask(&["COPY", key, "aside", "REPLACE"]));
    let restore = |key: &str| drop(server.ask(&["COPY", "aside", key, "REPLACE"]));
    let attacks: [(&str, &dyn Fn()); 5] = [
        ("another's session in the place of one's own", &|| copy(&first, &second, "r")),
        ("another's last use", &|| copy(&first, &second, "s")),
        ("another role", &|| change(&second, "r", "editor", "admin")),
        ("a longer life", &|| change(&second, "s", "1763800000000", "1999999999999")),
        ("half of it", &|| change(&second, "r", "^(.+)......$", "%1")),
    ];
    for (attack, make) in attacks {
        keep(&second);
        make();
        let fresh = over(Plan::new(&scene.upstream), &server.url()).beside(&scene.gateway).start().await;
        let mut told = Vec::new();
        for visitor in [&scene.visitor, &joe] {
            told.push(asks(&mut crate::redis::moved(visitor, &fresh)).await);
        }
        told.sort_unstable();
        assert_eq!(told, [200, 503], "{attack}");
        restore(&second);
        fresh.stop().await;
    }
    // With another secret, nothing of it is believed.
    let other = over(Plan::new(&scene.upstream), &server.url()).store("secret", "\"quite another secret\"");
    let other = other.beside(&scene.gateway).start().await;
    assert_eq!(asks(&mut crate::redis::moved(&scene.visitor, &other)).await, 503);
    assert_eq!(asks(&mut scene.visitor).await, 200);
}
