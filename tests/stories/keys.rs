//! Secrets that change while the gateway runs: an API key's old one beside its new one, and keys to sign with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::decode_header;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha1::Sha1;
use tokio::sync::Notify;
use tollgate::domain::assertion::KeyRing;
use tollgate::domain::clock::{Clock as _, Timestamp};
use tollgate::domain::site::SiteName;
use tollgate::store::{KeyStore, StoreFuture, Stores};

use crate::redis::two;
use crate::servers::redis::Server;
use crate::support::{
    ApiClient, FakeUpstream, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, minutes, seconds, settle,
};

/// The clock of every story shows this first.
const START: Timestamp = Timestamp::from_millis(1_763_800_000_000);

const OLD: &str = "the-old-key-of-the-login-page-0123456789";
const NEW: &str = "the-new-key-of-the-login-page-0123456789";

/// A key that was changed, whose old secret counts for an hour more.
fn changed_key() -> String {
    let end = START.after(minutes(60)).to_rfc3339();
    format!(
        "name = \"login-page\"\nsecret = {NEW:?}\nscopes = [\"write:sso\"]\nsites = [\"intranet\"]\n\
         [[api_key.previous]]\nsecret = {OLD:?}\nexpires_at = {end}"
    )
}

fn holder(gateway: &TestGateway, secret: &str) -> ApiClient {
    gateway.api().with_key(Some(secret))
}

fn order() -> Value {
    json!({ "email": "jane@example.com", "full_name": "Jane Doe" })
}

#[tokio::test]
async fn an_old_secret_counts_until_its_end_and_is_then_refused_by_name() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).key(&changed_key()).start().await;
    for secret in [OLD, NEW] {
        assert_eq!(holder(&gateway, secret).post("/v1/sso_tokens", &order()).await.status, 201, "{secret}");
        let beyond = holder(&gateway, secret).get("/v1/sessions").await;
        assert_eq!((beyond.status, beyond.error_code().as_str()), (403, "insufficient_scope"), "{secret}");
    }
    gateway.advance(minutes(60));
    let refused = holder(&gateway, OLD).post("/v1/sso_tokens", &order()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (401, "key_expired"));
    assert_eq!(refused.header("www-authenticate").as_deref(), Some("Bearer"));
    assert_eq!(refused.json()["error"]["details"]["expired_at"], START.after(minutes(60)).to_rfc3339());
    assert!(!refused.text().contains("the-old-key"));
    assert_eq!(holder(&gateway, NEW).post("/v1/sso_tokens", &order()).await.status, 201);
}

#[tokio::test]
async fn whoever_has_an_old_secret_is_no_guesser() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).key(&changed_key()).start().await;
    gateway.advance(minutes(61));
    for _ in 0..40 {
        assert_eq!(holder(&gateway, OLD).post("/v1/sso_tokens", &order()).await.status, 401);
    }
    let guess = holder(&gateway, "some-wrong-key-0123456789").get("/v1/sessions").await;
    assert_eq!((guess.status, guess.error_code().as_str()), (401, "missing_token"));
}

#[tokio::test]
async fn a_key_that_has_ended_opens_nothing_in_either_api() {
    let upstream = FakeUpstream::start().await;
    let end = START.after(minutes(1)).to_rfc3339();
    let key = format!(
        "name = \"old\"\nsecret = {OLD:?}\nscopes = [\"admin\"]\npermission = \"super\"\nexpires_at = {end:?}"
    );
    let gateway = Plan::new(&upstream).key(&key).start().await;
    let old = holder(&gateway, OLD);
    assert_eq!(old.get("/v1/keys").await.status, 200);
    gateway.advance(minutes(1));
    assert_eq!(old.get("/v1/keys").await.error_code(), "key_expired");
    let answer = old.form("/api/session/get-token", &[("email", "jane@example.com")]).await;
    assert!(answer.text().contains("code=\"key_expired\"") && !answer.text().contains("access_token"));
    let answer = old.get("/api/2/session/get-token").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (401, json!("key_expired")));
}

#[tokio::test]
async fn whoever_listens_is_shown_out_when_the_key_ends() {
    let upstream = FakeUpstream::start().await;
    let end = START.after(seconds(60)).to_rfc3339();
    let key = format!("name = \"ear\"\nsecret = {OLD:?}\nscopes = [\"read:sessions\"]\nexpires_at = {end}");
    let gateway = Plan::new(&upstream).key(&key).start().await;
    // The time that is left is taken from the clock that the story moves, and passes by the real one.
    gateway.advance(Duration::from_millis(59_900));
    let answer = tokio::time::timeout(HANG, holder(&gateway, OLD).get("/v1/events")).await.expect("it ends");
    assert!(answer.text().contains("\"reason\":\"time\""), "{}", answer.text());
    gateway.advance(Duration::from_millis(100));
    assert_eq!(holder(&gateway, OLD).get("/v1/events").await.error_code(), "key_expired");
}

/// What RFC 5849 §3.6 encodes.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A GET of `/api/echo` that is signed with these secrets, at `now`.
async fn echo(gateway: &TestGateway, consumer_secret: &str, access_secret: &str, nonce: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let seconds = gateway.clock.now().as_secs().to_string();
    let parameters = [
        ("oauth_consumer_key", "ck"),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", &seconds),
        ("oauth_token", "at"),
    ];
    let joined = parameters.map(|(name, value)| format!("{name}={}", encode(value))).join("&");
    let url = format!("http://{}/api/echo", gateway.control);
    let text = format!("GET&{}&{}", encode(&url), encode(&joined));
    let key = format!("{}&{}", encode(consumer_secret), encode(access_secret));
    let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("any key").chain_update(text).finalize();
    let signature = encode(&STANDARD.encode(mac.into_bytes()));
    let fields = parameters.map(|(name, value)| format!("{name}=\"{}\"", encode(value))).join(", ");
    let header = format!("OAuth {fields}, oauth_signature=\"{signature}\"");
    let anyone = gateway.api().with_key(None);
    anyone.send("GET", "/api/echo", &[("Authorization", &header)], b"").await.text()
}

#[tokio::test]
async fn a_client_that_signs_goes_over_to_new_secrets_in_its_own_time() {
    let upstream = FakeUpstream::start().await;
    let end = START.after(minutes(60)).to_rfc3339();
    let key = format!(
        "name = \"old-client\"\npermission = \"super\"\nconsumer_key = \"ck\"\naccess_token = \"at\"\n\
         consumer_secret = \"new-consumer-secret\"\naccess_secret = \"new-access-secret\"\n\
         [[api_key.previous]]\nconsumer_key = \"ck\"\naccess_token = \"at\"\n\
         consumer_secret = \"old-consumer-secret\"\naccess_secret = \"old-access-secret\"\nexpires_at = {end}"
    );
    let gateway = Plan::new(&upstream).key(&key).start().await;
    let believed = "permission_level=\"super\"";
    let new = echo(&gateway, "new-consumer-secret", "new-access-secret", "n1").await;
    let old = echo(&gateway, "old-consumer-secret", "old-access-secret", "n2").await;
    assert!(new.contains(believed) && old.contains(believed), "{new}\n{old}");
    // The halves of two pairs make no third.
    let mixed = echo(&gateway, "old-consumer-secret", "new-access-secret", "n3").await;
    assert!(mixed.contains("invalid_signature"), "{mixed}");
    let again = echo(&gateway, "old-consumer-secret", "old-access-secret", "n2").await;
    assert!(again.contains("invalid_signature"), "a nonce counts once, whichever secret signed it: {again}");
    gateway.advance(minutes(60));
    let old = echo(&gateway, "old-consumer-secret", "old-access-secret", "n4").await;
    assert!(old.contains("key_expired"), "{old}");
    let new = echo(&gateway, "new-consumer-secret", "new-access-secret", "n5").await;
    assert!(new.contains(believed), "{new}");
    let secrets = &gateway.api().get("/v1/keys").await.json()["keys"][1]["secrets"];
    assert_eq!((&secrets[0]["kind"], &secrets[0]["consumer_key"]), (&json!("oauth1"), &json!("ck")));
    assert_eq!(secrets[0]["last_used_at"], START.after(minutes(60)).to_rfc3339());
    assert_eq!(secrets[1]["last_used_at"], START.to_rfc3339(), "a refusal is no use");
}

#[tokio::test]
async fn an_operator_sees_which_secret_is_still_in_use_and_no_secret() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).key(&changed_key()).start().await;
    gateway.advance(minutes(10));
    holder(&gateway, OLD).post("/v1/sso_tokens", &order()).await;
    let answer = gateway.api().get("/v1/keys").await;
    let document = answer.json();
    assert_eq!(document["counted_since"], START.to_rfc3339());
    let [master, login_page] = document["keys"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(
        master["secrets"][0]["last_used_at"],
        START.after(minutes(10)).to_rfc3339(),
        "by this very call"
    );
    let mut login_page = login_page;
    let hashes = login_page["secrets"].as_array_mut().unwrap().iter_mut();
    let hashes: Vec<Value> = hashes.map(|secret| secret["sha256_begins"].take()).collect();
    assert!(hashes.iter().all(|hash| hash.as_str().unwrap().len() == 8) && hashes[0] != hashes[1]);
    let secret = |is_previous: bool, end: Value, last: Value| {
        json!({
            "kind": "bearer", "sha256_begins": null, "consumer_key": null, "is_previous": is_previous,
            "expires_at": end, "last_used_at": last,
        })
    };
    let expected = json!({
        "name": "login-page", "scopes": ["write:sso"], "permission": "none", "sites": ["intranet"],
        "secrets": [
            secret(false, Value::Null, Value::Null),
            secret(true, json!(START.after(minutes(60)).to_rfc3339()), json!(START.after(minutes(10)).to_rfc3339())),
        ],
    });
    assert_eq!(login_page, expected);
    for secret in [OLD, NEW, "master-key"] {
        assert!(!answer.text().contains(secret));
    }
}

#[tokio::test]
async fn who_administers_one_site_learns_of_no_others_keys_and_signs_for_no_other() {
    let upstream = FakeUpstream::start().await;
    let wiki = signing(SitePlan::new("wiki", "wiki.test", upstream.address()));
    let key = |name: &str, sites: &str, scope: &str| {
        format!("name = {name:?}\nsecret = \"key-of-{name}-0123456789\"\nscopes = [{scope:?}]{sites}")
    };
    let plan = Plan::new(&upstream).site(signing).and_site(wiki);
    let plan = plan.key(&key("of-wiki", "\nsites = [\"wiki\"]", "admin"));
    let plan = plan.key(&key("also-of-wiki", "\nsites = [\"wiki\"]", "write:sso"));
    let plan = plan.key(&key("of-both", "\nsites = [\"wiki\", \"intranet\"]", "write:sso"));
    let plan = plan.key(&key("of-users", "", "write:users"));
    let gateway = plan.start().await;
    let wiki = holder(&gateway, "key-of-of-wiki-0123456789");
    let named = |document: &Value, list: &str, member: &str| {
        let all = document[list].as_array().expect("a list").iter();
        all.map(|one| one[member].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named(&wiki.get("/v1/keys").await.json(), "keys", "name"), ["of-wiki", "also-of-wiki"]);
    assert_eq!(named(&wiki.get("/v1/signing_keys").await.json(), "signing_keys", "site"), ["wiki"]);
    let rotated = wiki.post("/v1/signing_keys", &json!({})).await.json();
    assert_eq!(named(&rotated, "signing_keys", "site"), ["wiki", "wiki"]);
    let refused = wiki.post("/v1/signing_keys", &json!({ "site": "intranet" })).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "insufficient_scope"));
    let all = gateway.api().get("/v1/signing_keys").await.json();
    assert_eq!(named(&all, "signing_keys", "site"), ["intranet", "wiki", "wiki"]);
    let of_users = holder(&gateway, "key-of-of-users-0123456789");
    for answer in [
        of_users.get("/v1/keys").await,
        of_users.get("/v1/signing_keys").await,
        of_users.post("/v1/signing_keys", &json!({})).await,
    ] {
        assert_eq!((answer.status, answer.error_code().as_str()), (403, "insufficient_scope"));
    }
    for (order, field) in [
        (json!({ "site": "nope" }), "site"),
        (json!({ "compromised": "yes" }), "compromised"),
        (json!({ "compromise": true }), "compromise"),
    ] {
        let refused = gateway.api().post("/v1/signing_keys", &order).await;
        assert_eq!(
            (refused.status, refused.json()["error"]["details"]["field"].clone()),
            (422, json!(field))
        );
    }
    assert_eq!(named(&gateway.api().get("/v1/signing_keys").await.json(), "signing_keys", "site").len(), 3);
}

#[tokio::test]
async fn a_secret_is_changed_in_a_running_gateway_with_no_moment_in_which_none_counts() {
    let upstream = FakeUpstream::start().await;
    let only = |secret: &str| {
        let key = format!("name = \"login-page\"\nsecret = {secret:?}\nscopes = [\"write:sso\"]");
        Plan::new(&upstream).key(&key)
    };
    let mut gateway = only(OLD).start().await;
    let counts = async |gateway: &TestGateway, secret: &str| {
        holder(gateway, secret).post("/v1/sso_tokens", &order()).await.status == 201
    };
    assert!(counts(&gateway, OLD).await && !counts(&gateway, NEW).await);
    gateway.advance(minutes(5));
    gateway.reload(&Plan::new(&upstream).key(&changed_key())).await.expect("is applied");
    let secrets = gateway.api().get("/v1/keys").await.json()["keys"][1]["secrets"].clone();
    assert_eq!(secrets[0]["last_used_at"], Value::Null);
    assert_eq!(secrets[1]["last_used_at"], START.to_rfc3339(), "it is not forgotten which one was in use");
    assert!(counts(&gateway, OLD).await && counts(&gateway, NEW).await);
    gateway.reload(&only(NEW)).await.expect("is applied");
    assert!(!counts(&gateway, OLD).await && counts(&gateway, NEW).await);
}

#[tokio::test]
async fn a_key_that_leaked_stays_withdrawn_over_a_reload() {
    let upstream = FakeUpstream::start().await;
    let plan = || Plan::new(&upstream).site(signing);
    let mut gateway = plan().start().await;
    let mut member = Visitor::at(&gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    let first = signer(&mut member, &upstream).await;
    gateway.api().post("/v1/signing_keys", &json!({ "compromised": true })).await;
    gateway.reload(&plan().server("max_header_bytes", "\"16KiB\"")).await.expect("is applied");
    let second = signer(&mut member, &upstream).await;
    assert_ne!(second, first);
    assert_eq!(published(&gateway).await, [second]);
}

fn signing(site: SitePlan) -> SitePlan {
    site.identity("assertion", "true").with("session_idle", "\"7d\"").with("session_max", "\"7d\"")
}

/// The key that signed what the upstream is told of `member`.
async fn signer(member: &mut Visitor, upstream: &FakeUpstream) -> String {
    assert_eq!(member.get(&format!("{SITE}/closed")).await.status, 200);
    let assertion = upstream.last().header("x-tollgate-assertion").expect("an assertion");
    decode_header(&assertion).expect("a head").kid.expect("a kid")
}

/// The keys that are published.
async fn published(gateway: &TestGateway) -> Vec<String> {
    let answer = Visitor::at(gateway).fetch(&format!("{SITE}/.tollgate/jwks.json")).await;
    let keys = answer.json()["keys"].as_array().expect("a key set").clone();
    keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

#[tokio::test]
async fn a_new_signing_key_is_known_to_all_before_it_signs() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(signing).start().await;
    let mut member = Visitor::at(&gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    let first = signer(&mut member, &upstream).await;
    let answer = gateway.api().post("/v1/signing_keys", &json!({ "site": "intranet" })).await;
    let keys = answer.json()["signing_keys"].clone();
    assert_eq!((answer.status, &keys[0]["id"], &keys[0]["is_signing"]), (200, &json!(first), &json!(true)));
    assert_eq!(keys[1]["signs_from"], START.after(minutes(24 * 60)).to_rfc3339());
    assert!(!answer.text().contains("pkcs8") && keys[0].as_object().unwrap().len() == 5);
    let both = published(&gateway).await;
    assert_eq!((both.len(), &both[0]), (2, &first));
    // Whoever asks twice gets what there is.
    assert_eq!(gateway.api().post("/v1/signing_keys", &json!({})).await.json()["signing_keys"], keys);
    gateway.advance(minutes(24 * 60 - 1));
    assert_eq!(signer(&mut member, &upstream).await, first);
    gateway.advance(minutes(4));
    assert_eq!(signer(&mut member, &upstream).await, both[1]);
    assert_eq!(published(&gateway).await, both, "what the first one signed is still around");
}

#[tokio::test]
async fn a_signing_key_that_leaked_signs_nothing_more_and_is_believed_no_more() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(signing).start().await;
    let mut member = Visitor::at(&gateway);
    member.sign_in(&gateway.login_page(), "jane@example.com").await;
    let first = signer(&mut member, &upstream).await;
    gateway.api().post("/v1/signing_keys", &json!({})).await;
    let answer = gateway.api().post("/v1/signing_keys", &json!({ "compromised": true })).await;
    assert_eq!(answer.status, 200);
    let [second] = published(&gateway).await.try_into().expect("one key");
    assert_ne!(second, first);
    // Nor is what was signed minutes ago sent again.
    assert_eq!(signer(&mut member, &upstream).await, second);
    gateway.advance(seconds(60));
    assert_eq!(signer(&mut member, &upstream).await, second);
}

#[tokio::test]
async fn every_node_signs_with_the_new_key_within_a_minute() {
    let (server, upstream) = (Server::start(), FakeUpstream::start().await);
    let [one, other] = two(&upstream, &server.url(), signing).await;
    let mut member = Visitor::at(&other);
    member.sign_in(&one.login_page(), "jane@example.com").await;
    let first = signer(&mut member, &upstream).await;
    one.api().post("/v1/signing_keys", &json!({ "compromised": true })).await;
    let new = published(&one).await;
    assert!(!new.contains(&first));
    one.advance(seconds(61));
    let waiting = async {
        while published(&other).await != new {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.expect("the other node has read it");
    assert_eq!(signer(&mut member, &upstream).await, new[0]);
}

/// Keys of which somebody reads so slowly that they are others when they are there.
struct Slow {
    inner: Arc<dyn KeyStore>,
    waits: AtomicBool,
    was_read: Notify,
    goes_on: Notify,
}

impl KeyStore for Slow {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        Box::pin(async move {
            let found = self.inner.load(site).await;
            if self.waits.swap(false, Ordering::Relaxed) {
                self.was_read.notify_one();
                self.goes_on.notified().await;
            }
            found
        })
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        self.inner.replace(site, ring)
    }
}

#[tokio::test]
async fn a_signing_key_that_leaked_is_not_brought_back_by_who_read_it_before() {
    let upstream = FakeUpstream::start().await;
    let sound = Stores::in_memory();
    let (inner, waits) = (Arc::clone(&sound.keys), AtomicBool::new(false));
    let slow = Arc::new(Slow { inner, waits, was_read: Notify::new(), goes_on: Notify::new() });
    let stores = Stores { keys: Arc::clone(&slow) as _, ..sound };
    let gateway = Plan::new(&upstream).site(signing).start_over(stores).await;
    let first = published(&gateway).await;
    slow.waits.store(true, Ordering::Relaxed);
    gateway.advance(seconds(61));
    tokio::time::timeout(HANG, slow.was_read.notified()).await.expect("the keys are looked at");
    let api = gateway.api();
    let withdrawn =
        tokio::spawn(async move { api.post("/v1/signing_keys", &json!({ "compromised": true })).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    slow.goes_on.notify_one();
    let answer = withdrawn.await.expect("an answer");
    assert_eq!(answer.status, 200);
    settle().await;
    let new = published(&gateway).await;
    assert!(new.len() == 1 && new != first);
    assert_eq!(answer.json()["signing_keys"][0]["id"].as_str(), Some(new[0].as_str()));
}
