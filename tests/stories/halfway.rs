//! What takes several steps, and what may come between them: a client that hangs up, a store that fails
//! after the first, a login that is under way. Whoever was to be shut out is out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::RwLock;
use tollgate::domain::assertion::KeyRing;
use tollgate::domain::clock::Timestamp;
use tollgate::domain::email::Email;
use tollgate::domain::site::SiteName;
use tollgate::domain::user::{PersonName, User, UserId};
use tollgate::store::{
    Directory, KeyStore, Page, Provisioned, StoreFuture, Stores, Unavailable, UserChange, UserFilter,
};

use crate::outage::Frail;
use crate::support::{
    Connection, FakeUpstream, HANG, LOGIN_URL, MASTER_KEY, Plan, SITE, SitePlan, TestGateway, Visitor,
    seconds, settle,
};

/// A directory of which the story says when it does what.
struct Shaky {
    sound: Arc<dyn Directory>,
    /// Whether the answers to changes get lost.
    is_mute: AtomicBool,
    /// Whether it finds nobody by a number.
    is_blind: AtomicBool,
    /// How often somebody was to be changed or deleted.
    asked: AtomicUsize,
    /// While the story holds it alone, nobody is.
    changing: RwLock<()>,
}

impl Shaky {
    fn changed<'a, T: Send + 'a>(
        &'a self,
        change: impl FnOnce() -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let _may_change = self.changing.read().await;
            let answer = change().await;
            if self.is_mute.load(Ordering::SeqCst) { Err(Unavailable) } else { answer }
        })
    }
}

impl Directory for Shaky {
    fn provision(
        &self,
        email: Email,
        name: PersonName,
        site: SiteName,
        now: Timestamp,
    ) -> StoreFuture<'_, Provisioned> {
        self.sound.provision(email, name, site, now)
    }

    fn find_by_email(&self, email_key: Arc<str>) -> StoreFuture<'_, Option<User>> {
        self.sound.find_by_email(email_key)
    }

    fn find(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        if self.is_blind.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(Unavailable)));
        }
        self.sound.find(id)
    }

    fn list(
        &self,
        filter: UserFilter,
        after: Option<UserId>,
        limit: usize,
    ) -> StoreFuture<'_, Page<User, UserId>> {
        self.sound.list(filter, after, limit)
    }

    fn update(&self, id: UserId, change: UserChange) -> StoreFuture<'_, Option<User>> {
        self.changed(move || self.sound.update(id, change))
    }

    fn remove(&self, id: UserId) -> StoreFuture<'_, Option<User>> {
        self.changed(move || self.sound.remove(id))
    }
}

/// A store for keys that waits for the story before it changes any.
struct HeldKeys {
    sound: Arc<dyn KeyStore>,
    asked: AtomicUsize,
    changing: RwLock<()>,
}

impl KeyStore for HeldKeys {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        self.sound.load(site)
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let _may_change = self.changing.read().await;
            self.sound.replace(site, ring).await
        })
    }
}

/// A gateway before `upstream`, and the stores that may fail it.
struct Scene {
    sessions: Arc<Frail>,
    directory: Arc<Shaky>,
    gateway: TestGateway,
}

/// A key that may do everything on one of the sites.
const WIKI_KEY: &str = "wiki-key-of-this-story-0123456789-abcdefghijklmnop";

impl Scene {
    async fn before(upstream: &FakeUpstream) -> Self {
        let (sessions, stores) = Frail::stores();
        let directory = Arc::new(Shaky {
            sound: Arc::clone(&stores.directory),
            is_mute: AtomicBool::new(false),
            is_blind: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            changing: RwLock::default(),
        });
        let stores = Stores { directory: Arc::clone(&directory) as _, ..stores };
        let plan = Plan::new(upstream).and_site(SitePlan::new("wiki", "wiki.test", upstream.address())).key(
            &format!("name = \"wiki\"\nsecret = {WIKI_KEY:?}\nscopes = [\"admin\"]\nsites = [\"wiki\"]"),
        );
        Self { sessions, directory, gateway: plan.start_over(stores).await }
    }

    async fn member(&self, email: &str) -> Visitor {
        let mut member = Visitor::at(&self.gateway);
        member.sign_in(&self.gateway.login_page(), email).await;
        member
    }

    async fn user_id(&self, email: &str) -> String {
        let found = self.gateway.api().get(&format!("/v1/users?email={email}")).await.json();
        found["users"][0]["id"].as_str().expect("is known").to_owned()
    }

    async fn sessions_of(&self, email: &str) -> usize {
        let found = self.gateway.api().get(&format!("/v1/sessions?email={email}")).await.json();
        found["sessions"].as_array().expect("a list").len()
    }
}

async fn soon(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            settle().await;
        }
    };
    assert!(tokio::time::timeout(seconds(10), waiting).await.is_ok(), "{what}");
}

/// Asks the control API and hangs up as soon as `has_begun`.
async fn ask_and_leave(gateway: &TestGateway, order: &str, body: &str, has_begun: impl Future<Output = ()>) {
    let mut client = Connection::open("127.0.0.1".parse().unwrap(), gateway.control).await;
    let head = format!(
        "{order} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {MASTER_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        gateway.control,
        body.len()
    );
    assert!(client.send(head.as_bytes()).await);
    has_begun.await;
    drop(client);
    for _ in 0..4 {
        settle().await;
    }
}

#[tokio::test]
async fn what_a_client_asks_for_that_hangs_up_at_once_is_done_to_the_end() {
    let upstream = FakeUpstream::start().await;
    for what in ["sessions revoked", "membership ended", "user deleted"] {
        let scene = Scene::before(&upstream).await;
        let mut browsers = Vec::new();
        for _ in 0..3 {
            browsers.push(scene.member("jane@example.com").await);
        }
        let id = scene.user_id("jane@example.com").await;
        let (order, body) = match what {
            "sessions revoked" => ("DELETE /v1/sessions?email=jane@example.com".to_owned(), Value::Null),
            "membership ended" => (format!("PATCH /v1/users/{id}"), json!({ "roles": { "intranet": null } })),
            _ => (format!("DELETE /v1/users/{id}"), Value::Null),
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let slow = scene.sessions.ending.write().await;
        let begun = scene.sessions.moves.load(Ordering::SeqCst) + 1;
        ask_and_leave(&scene.gateway, &order, &body, scene.sessions.is_asked_to_move(begun)).await;
        drop(slow);
        soon(what, async || scene.sessions_of("jane@example.com").await == 0).await;
        for mut browser in browsers {
            assert!(browser.get(&format!("{SITE}/a")).await.location().starts_with(LOGIN_URL), "{what}");
        }
        let (users, _) = scene.gateway.api().all("/v1/users").await;
        assert_eq!(users.len(), usize::from(what != "user deleted"), "{what}");
    }
}

#[tokio::test]
async fn a_role_that_a_client_takes_away_who_hangs_up_is_gone_from_every_session() {
    let upstream = FakeUpstream::start().await;
    let scene = Scene::before(&upstream).await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(scene.member("jane@example.com").await);
    }
    let id = scene.user_id("jane@example.com").await;
    let slow = scene.sessions.ending.write().await;
    let begun = scene.sessions.moves.load(Ordering::SeqCst) + 1;
    let body = json!({ "roles": { "intranet": "reader" } }).to_string();
    let order = format!("PATCH /v1/users/{id}");
    ask_and_leave(&scene.gateway, &order, &body, scene.sessions.is_asked_to_move(begun)).await;
    drop(slow);
    soon("all have the other role", async || {
        let found = scene.gateway.api().get("/v1/sessions?email=jane@example.com").await.json();
        found["sessions"].as_array().expect("a list").iter().all(|session| session["role"] == "reader")
    })
    .await;
    for mut browser in browsers {
        assert_eq!(browser.get(&format!("{SITE}/a")).await.status, 200);
        assert_eq!(upstream.last().header("x-forwarded-role").as_deref(), Some("reader"));
    }
}

#[tokio::test]
async fn signing_keys_that_were_stolen_go_on_every_site_even_if_the_client_leaves() {
    let upstream = FakeUpstream::start().await;
    let sound = Stores::in_memory();
    let keys = Arc::new(HeldKeys {
        sound: Arc::clone(&sound.keys),
        asked: AtomicUsize::new(0),
        changing: RwLock::default(),
    });
    let stores = Stores { keys: Arc::clone(&keys) as _, ..sound };
    let signing = |site: SitePlan| site.identity("assertion", "true");
    let plan = Plan::new(&upstream).site(signing).and_site(signing(SitePlan::new(
        "wiki",
        "wiki.test",
        upstream.address(),
    )));
    let gateway = plan.start_over(stores).await;
    let ids = async || {
        let listed = gateway.api().get("/v1/signing_keys").await;
        let listed = if listed.status == 200 { listed.json() } else { json!({ "signing_keys": [] }) };
        let keys = listed["signing_keys"].as_array().expect("a list").clone();
        keys.iter().map(|key| key["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    soon("both sites have keys", async || ids().await.len() == 2).await;
    let stolen = ids().await;
    let slow = keys.changing.write().await;
    let before = keys.asked.load(Ordering::SeqCst);
    let begun = async {
        while keys.asked.load(Ordering::SeqCst) == before {
            settle().await;
        }
    };
    ask_and_leave(&gateway, "POST /v1/signing_keys", "{\"compromised\":true}", begun).await;
    drop(slow);
    soon("none of the stolen ones is left", async || {
        let left = ids().await;
        left.len() == 2 && left.iter().all(|id| !stolen.contains(id))
    })
    .await;
}

#[tokio::test]
async fn a_deletion_whose_answer_the_store_lost_has_ended_the_sessions() {
    let upstream = FakeUpstream::start().await;
    let scene = Scene::before(&upstream).await;
    let mut jane = scene.member("jane@example.com").await;
    let id = scene.user_id("jane@example.com").await;
    scene.directory.is_mute.store(true, Ordering::SeqCst);
    assert_eq!(scene.gateway.api().delete(&format!("/v1/users/{id}")).await.status, 503);
    scene.directory.is_mute.store(false, Ordering::SeqCst);
    // It was done all the same, so that it cannot be asked for again.
    assert_eq!(scene.gateway.api().delete(&format!("/v1/users/{id}")).await.status, 404);
    assert!(jane.get(&format!("{SITE}/a")).await.location().starts_with(LOGIN_URL));
    upstream.assert_untouched("a session of nobody").await;
}

#[tokio::test]
async fn what_the_store_could_not_end_can_be_asked_for_again() {
    let upstream = FakeUpstream::start().await;
    let scene = Scene::before(&upstream).await;
    let mut jane = scene.member("jane@example.com").await;
    let id = scene.user_id("jane@example.com").await;
    scene.sessions.ends_none.store(true, Ordering::SeqCst);
    assert_eq!(scene.gateway.api().delete(&format!("/v1/users/{id}")).await.status, 503);
    scene.sessions.ends_none.store(false, Ordering::SeqCst);
    assert_eq!(scene.gateway.api().delete(&format!("/v1/users/{id}")).await.json(), json!({ "deleted": 1 }));
    assert!(jane.get(&format!("{SITE}/a")).await.location().starts_with(LOGIN_URL));
    assert_eq!(scene.gateway.api().delete(&format!("/v1/users/{id}")).await.status, 404);
}

/// Somebody signs in while being deleted, or taken off a site, and the store fails right behind that. Whoever
/// asked is told so, but cannot repeat it: the user is not there for them any more.
#[tokio::test]
async fn what_nobody_can_ask_for_again_goes_on_by_itself() {
    let upstream = FakeUpstream::start().await;
    for (site, host, key) in [("intranet", SITE, MASTER_KEY), ("wiki", "http://wiki.test", WIKI_KEY)] {
        let scene = Scene::before(&upstream).await;
        let login_page = crate::support::LoginPage::new(scene.gateway.api(), site);
        scene.member("jane@example.com").await;
        let api = scene.gateway.api().with_key(Some(key));
        login_page.token_for("jane@example.com").await;
        let path = format!("/v1/users/{}", scene.user_id("jane@example.com").await);
        let slow = scene.directory.changing.write().await;
        let deletion = {
            let (api, path) = (api.clone(), path.clone());
            tokio::spawn(async move { api.delete(&path).await.status })
        };
        let asked = async {
            while scene.directory.asked.load(Ordering::SeqCst) == 0 {
                settle().await;
            }
        };
        tokio::time::timeout(HANG, asked).await.expect("the user is to go");
        let token = login_page.token_for("jane@example.com").await;
        let mut late = Visitor::at(&scene.gateway);
        late.get(&format!("{host}/a?sso={token}")).await;
        assert_eq!(late.get(&format!("{host}/a")).await.status, 200);
        scene.sessions.is_down.store(true, Ordering::SeqCst);
        drop(slow);
        assert_eq!(deletion.await.unwrap(), 503);
        scene.sessions.is_down.store(false, Ordering::SeqCst);
        assert_eq!(api.delete(&path).await.status, 404, "{site}");
        let over = async {
            while late.get(&format!("{host}/a")).await.status == 200 {
                settle().await;
            }
        };
        assert!(tokio::time::timeout(seconds(10), over).await.is_ok(), "a session stays on {site}");
        // It is no ban.
        let mut again = Visitor::at(&scene.gateway);
        let token = login_page.token_for("jane@example.com").await;
        again.get(&format!("{host}/a?sso={token}")).await;
        scene.gateway.advance(seconds(5));
        for _ in 0..30 {
            settle().await;
        }
        assert_eq!(again.get(&format!("{host}/a")).await.status, 200, "{site}");
    }
}

/// The first attempt begins a session and is told 503, as the store fails while it is looked over once more.
/// The browser has ten seconds to come again.
#[tokio::test]
async fn who_is_shut_out_during_a_login_that_fails_does_not_get_in_by_trying_again() {
    let upstream = FakeUpstream::start().await;
    for what in ["user deleted", "membership ended", "sessions revoked"] {
        let scene = Scene::before(&upstream).await;
        let mut jane = Visitor::at(&scene.gateway);
        jane.get(&format!("{SITE}/a")).await;
        assert!(jane.cookie("tollgate_state").is_some(), "the browser can be recognised");
        let token = scene.gateway.login_page().token_for("jane@example.com").await;
        let id = scene.user_id("jane@example.com").await;
        let link = format!("{SITE}/a?sso={token}");
        let slow = scene.sessions.beginning.write().await;
        let begun = scene.sessions.moves.load(Ordering::SeqCst) + 1;
        let login = {
            let link = link.clone();
            tokio::spawn(async move {
                let answer = jane.get(&link).await;
                (jane, answer)
            })
        };
        scene.sessions.is_asked_to_move(begun).await;
        let api = scene.gateway.api();
        let done = match what {
            "user deleted" => api.delete(&format!("/v1/users/{id}")).await,
            "membership ended" => {
                api.patch(&format!("/v1/users/{id}"), &json!({ "roles": { "intranet": null } })).await
            }
            _ => api.delete("/v1/sessions?email=jane@example.com").await,
        };
        assert_eq!(done.status, 200, "{what}");
        scene.sessions.ends_none.store(true, Ordering::SeqCst);
        scene.directory.is_blind.store(true, Ordering::SeqCst);
        drop(slow);
        let (mut jane, answer) = login.await.unwrap();
        assert_eq!((answer.status, jane.session_cookie()), (503, None), "{what}: {answer:?}");
        scene.sessions.ends_none.store(false, Ordering::SeqCst);
        scene.directory.is_blind.store(false, Ordering::SeqCst);
        let answer = jane.get(&link).await;
        assert!(answer.location().starts_with(LOGIN_URL), "{what}: {answer:?}");
        assert_eq!(jane.session_cookie(), None, "{what}");
    }
    upstream.assert_untouched("shut out").await;
}
