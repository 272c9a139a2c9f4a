//! `/v1/events`: who listens hears what happens, of the sites that are its business, and no secret.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::outage::Frail;
use crate::support::{FakeUpstream, HANG, MASTER_KEY, Plan, SITE, SitePlan, TestGateway, Visitor, settle};

/// A key that comes when all places are taken.
const LAST: &str = "comes-too-late-0123456789abcdefghijk";

/// Somebody who listens.
struct Listener {
    stream: TcpStream,
    heard: String,
}

impl Listener {
    /// Listens with `key`, and is told at once that it does.
    async fn of(gateway: &TestGateway, key: &str, query: &str) -> Self {
        let mut listener = Self::ask(gateway, key, query).await;
        let greeting = listener.until("\n\n").await;
        assert!(greeting.starts_with("HTTP/1.1 200 "), "{greeting}");
        assert!(greeting.to_lowercase().contains("content-type: text/event-stream"), "{greeting}");
        listener
    }

    async fn ask(gateway: &TestGateway, key: &str, query: &str) -> Self {
        let mut stream = TcpStream::connect(gateway.control).await.unwrap();
        let request = format!(
            "GET /v1/events{query} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\r\n",
            gateway.control
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, heard: String::new() }
    }

    /// Everything until there is `word` among what has not been read yet.
    async fn until(&mut self, word: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = self.heard.find(word) {
                    let rest = self.heard.split_off(at + word.len());
                    return std::mem::replace(&mut self.heard, rest);
                }
                let mut piece = [0; 4096];
                let length = self.stream.read(&mut piece).await.unwrap();
                assert!(length > 0, "it ended with {:?}", self.heard);
                self.heard.push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        };
        tokio::time::timeout(HANG, reading).await.unwrap_or_else(|_| panic!("nobody said {word:?}"))
    }

    /// The next event, whose name has to be that of what it holds.
    async fn event(&mut self) -> Value {
        self.until("event: ").await;
        let name = self.until("\n").await;
        self.until("data: ").await;
        let event: Value = serde_json::from_str(&self.until("\n").await).expect("is JSON");
        assert_eq!(event["event"], name.trim());
        event
    }
}

#[tokio::test]
async fn who_listens_hears_of_a_login_from_the_token_to_the_end() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).start().await;
    let mut listener = Listener::of(&gateway, MASTER_KEY, "").await;
    let mut jane = Visitor::at(&gateway);
    let token = gateway.login_page().token_for("jane@example.com").await;
    jane.get(&format!("{SITE}/?sso={token}")).await;
    let cookie = jane.session_cookie().unwrap();
    Visitor::at(&gateway).get(&format!("{SITE}/?sso={token}")).await;
    jane.get(&format!("{SITE}/.tollgate/logout")).await;
    gateway.api().with_key(Some("no-key-that-anybody-has")).get("/v1/users").await;
    let mut heard = Vec::new();
    for _ in 0..7 {
        heard.push(listener.event().await);
    }
    let names: Vec<&str> = heard.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let expected = [
        "user_created",
        "token_issued",
        "token_redeemed",
        "session_started",
        "token_refused",
        "session_ended",
        "wrong_key",
    ];
    assert_eq!(names, expected);
    let session = heard[3]["session"].clone();
    assert_eq!(
        heard[1],
        json!({
            "event": "token_issued", "at": heard[1]["at"], "site": "intranet", "user": 1, "actor": "api_key",
            "by": "master", "client": "127.0.0.1", "request_id": heard[1]["request_id"],
        })
    );
    assert_eq!((&heard[4]["reason"], &heard[5]["reason"]), (&json!("used"), &json!("logout")));
    assert_eq!((&heard[2]["session"], &heard[5]["session"]), (&session, &session));
    assert_eq!(heard[0]["at"], "2025-11-22T08:26:40Z");
    let all = format!("{heard:?}");
    for secret in [&token, &cookie, "jane@example.com", MASTER_KEY, "no-key-that"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[tokio::test]
async fn a_session_that_is_withdrawn_while_it_begins_has_a_beginning_and_an_end() {
    let upstream = FakeUpstream::start().await;
    let (frail, stores) = Frail::stores();
    let gateway = Plan::new(&upstream).start_over(stores).await;
    let token = gateway.login_page().token_for("jane@example.com").await;
    let mut listener = Listener::of(&gateway, MASTER_KEY, "").await;
    let nothing_begins = frail.beginning.write().await;
    let mut jane = Visitor::at(&gateway);
    let redeeming = tokio::spawn(async move { jane.get(&format!("{SITE}/?sso={token}")).await });
    settle().await;
    gateway.api().delete("/v1/sessions?email=jane@example.com").await;
    drop(nothing_begins);
    let answer = redeeming.await.unwrap();
    assert!(answer.location().contains("error=token_invalid"), "{answer:?}");
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(listener.event().await);
    }
    let told: Vec<_> = heard.iter().map(|event| json!([event["event"], event["actor"]])).collect();
    assert_eq!(
        told,
        [
            json!(["token_redeemed", "visitor"]),
            json!(["session_started", "visitor"]),
            json!(["session_ended", "gateway"])
        ]
    );
    assert!(heard.iter().all(|event| event["session"] == heard[0]["session"]), "{heard:?}");
    assert_eq!(heard[2]["reason"], "revoked");
}

#[tokio::test]
async fn a_key_hears_what_it_may_see_and_no_more() {
    let upstream = FakeUpstream::start().await;
    let (watcher, issuer) = ("watches-the-wiki-0123456789abcdefgh", "issues-tokens-0123456789abcdefghijk");
    let gateway = Plan::new(&upstream)
        .and_site(SitePlan::new("wiki", "wiki.test", upstream.address()))
        .key(&format!(
            "name = \"watcher\"\nsecret = {watcher:?}\nscopes = [\"read:sessions\"]\nsites = [\"wiki\"]"
        ))
        .key(&format!("name = \"issuer\"\nsecret = {issuer:?}\nscopes = [\"write:sso\", \"read:users\"]"))
        .start()
        .await;
    let api = gateway.api();
    for (key, target, status, code) in [
        (None, "/v1/events", 401, "missing_token"),
        (Some("wrong-key-0123456789"), "/v1/events", 401, "missing_token"),
        (Some(issuer), "/v1/events", 403, "insufficient_scope"),
        (Some(watcher), "/v1/events?site=intranet", 403, "insufficient_scope"),
        (Some(MASTER_KEY), "/v1/events?site=nowhere", 422, "parameter_invalid"),
    ] {
        let answer = api.with_key(key).get(target).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (status, code),
            "{target}: {}",
            answer.text()
        );
    }
    assert_eq!(api.post("/v1/events", &json!({})).await.status, 405);
    // A site's own host has no such address.
    let on_site = api.on_site(gateway.http, "site.test").get("/v1/events").await;
    assert_ne!(on_site.status, 200);
    let mut narrow = Listener::of(&gateway, watcher, "").await;
    let mut chosen = Listener::of(&gateway, MASTER_KEY, "?site=wiki").await;
    for (site, email) in [("intranet", "jane@example.com"), ("wiki", "joe@example.com")] {
        let order = json!({ "email": email, "full_name": "A B", "site": site });
        assert_eq!(api.post("/v1/sso_tokens", &order).await.status, 201);
    }
    // Whoever is deleted is no single site's.
    assert_eq!(api.delete("/v1/users/1").await.status, 200);
    assert_eq!(
        api.post(
            "/v1/sso_tokens",
            &json!({ "email": "jim@example.com", "full_name": "A B", "site": "wiki" })
        )
        .await
        .status,
        201
    );
    for listener in [&mut narrow, &mut chosen] {
        let mut heard = Vec::new();
        for _ in 0..4 {
            let event = listener.event().await;
            assert_eq!(event["site"], "wiki", "{event}");
            heard.push((event["event"].as_str().unwrap().to_owned(), event["user"].as_u64().unwrap()));
        }
        let expected = [("user_created", 2), ("token_issued", 2), ("user_created", 3), ("token_issued", 3)];
        assert_eq!(heard, expected.map(|(name, user)| (name.to_owned(), user)));
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_who_listen_and_who_leaves_makes_room() {
    let upstream = FakeUpstream::start().await;
    let secrets = [1, 2, 3].map(|number| format!("watches-{number}-0123456789abcdefghijklm"));
    let plan = secrets.iter().enumerate().fold(Plan::new(&upstream), |plan, (number, secret)| {
        plan.key(&format!("name = \"k{number}\"\nsecret = {secret:?}\nscopes = [\"read:sessions\"]"))
    });
    let gateway =
        plan.key(&format!("name = \"last\"\nsecret = {LAST:?}\nscopes = [\"read:sessions\"]")).start().await;
    let full = async |key: &str| {
        let refused = gateway.api().with_key(Some(key)).get("/v1/events").await;
        assert_eq!((refused.status, refused.error_code().as_str()), (429, "too_many_requests"));
        assert_eq!(refused.header("retry-after").as_deref(), Some("30"));
    };
    let mut listeners = Vec::new();
    for key in secrets.iter().map(String::as_str).chain([MASTER_KEY]) {
        for _ in 0..16 {
            listeners.push(Listener::of(&gateway, key, "").await);
        }
        // With one key nobody takes the places of those who have another.
        full(key).await;
    }
    full(LAST).await;
    // Everything else goes on.
    assert_eq!(gateway.api().get("/v1/sessions").await.status, 200);
    drop(listeners);
    for key in [LAST, MASTER_KEY] {
        let again = async {
            loop {
                let mut next = Listener::ask(&gateway, key, "").await;
                if next.until("\r\n").await.starts_with("HTTP/1.1 200 ") {
                    return;
                }
            }
        };
        tokio::time::timeout(HANG, again).await.expect("who left has made room");
    }
}

#[tokio::test]
async fn who_listens_is_judged_anew_when_keys_may_be_others() {
    let upstream = FakeUpstream::start().await;
    let watcher = "watches-it-all-0123456789abcdefghijklm";
    let key = |name: &str| format!("name = {name:?}\nsecret = {watcher:?}\nscopes = [\"read:sessions\"]");
    let mut gateway = Plan::new(&upstream).key(&key("watcher")).start().await;
    let mut listener = Listener::of(&gateway, watcher, "").await;
    gateway.reload(&Plan::new(&upstream)).await.unwrap();
    let last = listener.event().await;
    assert_eq!(last, json!({ "event": "end", "reason": "reload" }));
    let again = gateway.api().with_key(Some(watcher)).get("/v1/events").await;
    assert_eq!(again.status, 401, "{}", again.text());
    // Others come again, and hear what happens under the new settings.
    let mut other = Listener::of(&gateway, MASTER_KEY, "").await;
    gateway.login_page().token_for("jane@example.com").await;
    assert_eq!(other.event().await["event"], "user_created");
}
