//! The signed word about the visitor, as the upstream gets it and as libraries verify it that are not
//! ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use tollgate::domain::assertion::KeyRing;
use tollgate::domain::site::SiteName;
use tollgate::store::{KeyStore, StoreFuture, Stores, Unavailable};

use crate::redis::{over, two};
use crate::servers::redis::Server;
use crate::support::{
    Ask, FakeUpstream, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, minutes, python, seconds, settle,
};

const HEADER: &str = "x-tollgate-assertion";

const JWKS: &str = "/.tollgate/jwks.json";

fn signing(site: SitePlan) -> SitePlan {
    site.identity("assertion", "true").with("public_url", "\"https://site.test\"")
}

/// A gateway that signs, by the real time: that is what verifiers go by.
fn plan(upstream: &FakeUpstream) -> Plan {
    Plan::new(upstream).site(signing).starting_now().server("trusted_proxies", "[\"127.0.0.0/8\"]")
}

/// Over https, as the site has its cookies there.
const HTTPS: &str = "https://site.test";

async fn member(gateway: &TestGateway) -> Visitor {
    let mut member = Visitor::at(gateway);
    let token = gateway.login_page().token_for("jane@example.com").await;
    assert_eq!(member.get(&format!("{HTTPS}/?sso={token}")).await.status, 302);
    member
}

/// What the upstream is told when `member` asks for a page.
async fn told(member: &mut Visitor, upstream: &FakeUpstream) -> String {
    let answer = member.get(&format!("{HTTPS}/closed")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    upstream.last().header(HEADER).expect("an assertion")
}

async fn key_set(gateway: &TestGateway) -> JwkSet {
    let answer = Visitor::at(gateway).fetch(&format!("{HTTPS}{JWKS}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.body).expect("a JWK set")
}

fn ids(set: &JwkSet) -> Vec<String> {
    set.keys.iter().map(|key| key.common.key_id.clone().expect("a kid")).collect()
}

/// What a library makes of `token`, for the audience `site`.
fn verified(token: &str, keys: &JwkSet, site: &str) -> Result<Value, ErrorKind> {
    let head = decode_header(token).expect("a head");
    assert_eq!((head.alg, head.typ.as_deref()), (Algorithm::ES256, Some("JWT")));
    let key = keys.find(&head.kid.expect("a kid")).expect("the key is published");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.leeway = 0;
    validation.set_audience(&[site]);
    validation.set_issuer(&[HTTPS]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let decoded = decode::<Value>(token, &DecodingKey::from_jwk(key).expect("a key"), &validation);
    decoded.map(|data| data.claims).map_err(jsonwebtoken::errors::Error::into_kind)
}

#[tokio::test]
async fn an_upstream_can_verify_who_is_there() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut member = Visitor::at(&gateway);
    let fields = json!({
        "email": "Jane@example.com", "full_name": "Jäne Doe", "external_id": "j-1",
        "groups": ["staff", "préss"], "plans": ["gold"],
    });
    let token = gateway.login_page().token(fields).await;
    member.get(&format!("{HTTPS}/?sso={token}")).await;
    let assertion = told(&mut member, &upstream).await;
    let mut claims = verified(&assertion, &key_set(&gateway).await, "intranet").expect("it is good");
    let session = &gateway.api().get("/v1/sessions").await.json()["sessions"][0];
    let claims = claims.as_object_mut().unwrap();
    let [iat, exp] = ["iat", "exp"].map(|name| claims.remove(name).unwrap().as_u64().unwrap());
    assert_eq!(exp - iat, 300);
    let expected = json!({
        "iss": HTTPS, "aud": "intranet", "sub": "j-1", "sid": session["id"], "email": "Jane@example.com",
        "name": "Jäne Doe", "role": "editor", "groups": ["staff", "préss"], "plans": ["gold"],
    });
    assert_eq!(Value::Object(claims.clone()), expected);
    assert_eq!(upstream.last().header("x-forwarded-user").as_deref(), Some("j-1"), "beside the headers");
}

#[tokio::test]
async fn what_is_not_meant_for_the_upstream_is_refused_there() {
    let upstream = FakeUpstream::start().await;
    let other = SitePlan::new("wiki", "wiki.test", upstream.address()).identity("assertion", "true");
    let gateway = plan(&upstream).and_site(other).start().await;
    let assertion = told(&mut member(&gateway).await, &upstream).await;
    let keys = key_set(&gateway).await;
    assert_eq!(verified(&assertion, &keys, "wiki"), Err(ErrorKind::InvalidAudience));
    let [head, claims, signature] = assertion.split('.').collect::<Vec<_>>().try_into().unwrap();
    for changed in [
        format!("{head}.{}.{signature}", claims.replacen('a', "b", 1)),
        format!("{head}.{claims}.{}", signature.chars().rev().collect::<String>()),
    ] {
        assert!(verified(&changed, &keys, "intranet").is_err(), "{changed}");
    }
    let others = Visitor::at(&gateway).fetch(&format!("http://wiki.test{JWKS}")).await;
    let others: JwkSet = serde_json::from_slice(&others.body).unwrap();
    assert!(ids(&others).iter().all(|id| !ids(&keys).contains(id)), "each site has keys of its own");

    // One whose clock is a year behind: what it signed is long over.
    let late =
        Plan::new(&upstream).site(signing).server("trusted_proxies", "[\"127.0.0.0/8\"]").start().await;
    let assertion = told(&mut member(&late).await, &upstream).await;
    let keys = key_set(&late).await;
    assert_eq!(verified(&assertion, &keys, "intranet"), Err(ErrorKind::ExpiredSignature));
}

#[tokio::test]
async fn pyjwt_verifies_it_with_the_keys_that_it_fetches_through_the_gateway() {
    let upstream = FakeUpstream::start().await;
    let site = |site: SitePlan| signing(site).with("hosts", "[\"site.test\", \"127.0.0.1\"]");
    let gateway = Plan::new(&upstream).site(site).starting_now();
    let gateway = gateway.server("trusted_proxies", "[\"127.0.0.0/8\"]").start().await;
    let assertion = told(&mut member(&gateway).await, &upstream).await;
    let keys = format!("http://{}{JWKS}", gateway.http);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/assertion.py");
    let run = move || std::process::Command::new(python()).args([script, &keys, HTTPS, &assertion]).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().expect("python is there");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("prints JSON");
    assert_eq!(found["claims"]["email"], "jane@example.com");
    let refusals =
        ["InvalidAudienceError", "InvalidIssuerError", "InvalidSignatureError", "ExpiredSignatureError"];
    assert_eq!(found["refusals"], json!(refusals));
}

#[tokio::test]
async fn it_is_signed_once_in_minutes_and_anew_when_the_session_changes() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut member = member(&gateway).await;
    let first = told(&mut member, &upstream).await;
    gateway.advance(seconds(149));
    for _ in 0..3 {
        let mut elsewhere = member.tab();
        assert_eq!(told(&mut elsewhere, &upstream).await, first, "not for each connection either");
    }
    gateway.advance(seconds(1));
    let second = told(&mut member, &upstream).await;
    assert_ne!(second, first);
    let keys = key_set(&gateway).await;
    let session = gateway.api().get("/v1/sessions").await.json()["sessions"][0]["id"].clone();
    let path = format!("/v1/sessions/{}", session.as_str().unwrap());
    let changed = gateway.api().patch(&path, &json!({ "groups": ["board"] })).await;
    assert_eq!(changed.status, 200);
    let third = verified(&told(&mut member, &upstream).await, &keys, "intranet").unwrap();
    assert_eq!(third["groups"], json!(["board"]));
    // Nobody else's session is told by it.
    let mut joe = Visitor::at(&gateway);
    let token = gateway.login_page().token_for("joe@example.com").await;
    joe.get(&format!("{HTTPS}/?sso={token}")).await;
    let of_joe = verified(&told(&mut joe, &upstream).await, &keys, "intranet").unwrap();
    assert_eq!(of_joe["email"], "joe@example.com");
}

#[tokio::test]
async fn what_an_assertion_told_ends_with_the_change_of_it() {
    let upstream = FakeUpstream::start().await;
    let plan = plan(&upstream).site(|site| site.identity_header("X-Forwarded-Groups", ""));
    let gateway = plan.start().await;
    let mut member = member(&gateway).await;
    upstream.answers(crate::support::Answer::Never);
    let path = {
        let session = gateway.api().get("/v1/sessions").await.json()["sessions"][0]["id"].clone();
        format!("/v1/sessions/{}", session.as_str().unwrap())
    };
    let waiting = tokio::spawn(async move { member.fetch(&format!("{HTTPS}/closed")).await });
    while upstream.count() == 0 {
        settle().await;
    }
    assert_eq!(gateway.api().patch(&path, &json!({ "groups": ["board"] })).await.status, 200);
    let answer = tokio::time::timeout(HANG, waiting).await.expect("it ends").unwrap();
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "session_ended"));
}

#[tokio::test]
async fn nobody_else_sends_one_and_nobody_gets_one_without_a_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let (mut member, mut stranger) = (member(&gateway).await, Visitor::at(&gateway));
    let own = told(&mut member, &upstream).await;
    for name in
        ["X-Tollgate-Assertion", "x_tollgate_assertion", "X.Tollgate.Assertion", "X-TOLLGATE_ASSERTION"]
    {
        for (has_session, path, expected) in [
            (true, "/closed", Some(&own)),
            (true, "/optional/a", Some(&own)),
            (true, "/public/a", None),
            (false, "/public/a", None),
            (false, "/optional/a", None),
        ] {
            let forged =
                Ask::navigate("GET", &format!("{HTTPS}{path}")).with(name, "eyJhbGciOiJub25lIn0.e30.");
            let visitor = if has_session { &mut member } else { &mut stranger };
            let answer = visitor.send(forged.and(name, &own)).await;
            assert_eq!(answer.status, 200, "{name} {path}");
            let received = upstream.last();
            let like_it = |name: &str| name.to_lowercase().replace(['_', '.'], "-") == HEADER;
            let all: Vec<_> = received.headers.0.iter().filter(|(name, _)| like_it(name)).collect();
            let expected: Vec<_> = expected.into_iter().map(|own| (HEADER.to_owned(), own.clone())).collect();
            let all: Vec<_> = all
                .into_iter()
                .map(|(name, value)| (name.to_lowercase(), String::from_utf8(value.clone()).unwrap()))
                .collect();
            assert_eq!(all, expected, "{name} {path}");
        }
    }
    let answer = member.get(&format!("{HTTPS}/closed")).await;
    assert!(answer.header(HEADER).is_none(), "nor does a visitor see it");
}

#[tokio::test]
async fn a_role_that_headers_do_not_tell_no_assertion_tells() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    // A member, who comes in by the API that tells roles with the back end only.
    gateway.login_page().token_for("jane@example.com").await;
    let body = [("email", "jane@example.com"), ("format", "json"), ("raw", "1")];
    let issued = gateway.api().form("/api/session/get-token", &body).await.json();
    let token =
        issued["sessiontoken"]["access_token"].as_str().unwrap_or_else(|| panic!("{issued}")).to_owned();
    let mut member = Visitor::at(&gateway);
    let redeem = format!("{HTTPS}/api/session/redeem-token?session_token={token}");
    assert_eq!(member.get(&redeem).await.status, 302);
    let claims = verified(&told(&mut member, &upstream).await, &key_set(&gateway).await, "intranet").unwrap();
    assert_eq!((&claims["sub"], claims.get("role")), (&json!("jane@example.com"), None));
    assert_eq!(upstream.last().header("x-forwarded-role"), None);
}

#[tokio::test]
async fn the_keys_are_for_everybody_to_read() {
    let upstream = FakeUpstream::start().await;
    let other = SitePlan::new("wiki", "wiki.test", upstream.address());
    let gateway = plan(&upstream).and_site(other).start().await;
    let mut anyone = Visitor::at(&gateway);
    let url = format!("{HTTPS}{JWKS}");
    let answer = anyone.send(Ask::script("GET", &url).with("Origin", "https://else.example")).await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("content-type", "application/jwk-set+json"),
        ("cache-control", "public, max-age=3600"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", ""),
        ("set-cookie", ""),
    ] {
        assert_eq!(answer.header(name).unwrap_or_default(), value, "{name}");
    }
    let [key] = answer.json()["keys"].as_array().unwrap().clone().try_into().unwrap();
    let mut members: Vec<_> = key.as_object().unwrap().keys().cloned().collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"], "and nothing that is private");
    let head = anyone.send(Ask::bare("HEAD", &url)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(anyone.send(Ask::bare("POST", &url)).await.status, 405);
    assert_eq!(anyone.get(&format!("http://wiki.test{JWKS}")).await.status, 404, "it does not sign");
    upstream.assert_untouched("these are the gateway's own").await;
}

/// Waits until the keys that are published are `is_so`.
async fn soon(gateway: &TestGateway, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
    let waiting = async {
        loop {
            let ids = ids(&key_set(gateway).await);
            if is_so(&ids) {
                return ids;
            }
            settle().await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.expect("the keys change")
}

#[tokio::test]
async fn a_key_is_published_a_day_before_it_signs_and_until_all_it_signed_is_over() {
    let upstream = FakeUpstream::start().await;
    let plan = plan(&upstream).site(|site| {
        site.with("session_idle", "\"60d\"")
            .with("session_max", "\"60d\"")
            .identity("assertion_key_age", "\"7d\"")
    });
    let gateway = plan.start().await;
    let mut member = member(&gateway).await;
    let signer = |token: &str| decode_header(token).unwrap().kid.unwrap();
    let first = signer(&told(&mut member, &upstream).await);
    assert_eq!(ids(&key_set(&gateway).await), [first.as_str()]);
    gateway.advance(minutes(6 * 24 * 60));
    let both = soon(&gateway, |ids| ids.len() == 2).await;
    assert_eq!((&both[0], signer(&told(&mut member, &upstream).await)), (&first, first.clone()));
    gateway.advance(minutes(24 * 60 - 1));
    assert_eq!(signer(&told(&mut member, &upstream).await), first, "not yet");
    gateway.advance(minutes(4));
    assert_eq!(signer(&told(&mut member, &upstream).await), both[1]);
    assert_eq!(ids(&key_set(&gateway).await), both, "what the first one signed is still around");
    gateway.advance(minutes(120));
    assert_eq!(soon(&gateway, |ids| ids.len() == 1).await, [both[1].as_str()]);
}

/// A store for keys that the story can take down.
struct Frail {
    sound: Arc<dyn KeyStore>,
    is_down: AtomicBool,
}

impl Frail {
    fn unless_down<'a, T: Send + 'a>(&self, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        if is_down { Box::pin(std::future::ready(Err(Unavailable))) } else { answer }
    }
}

impl KeyStore for Frail {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        self.unless_down(self.sound.load(site))
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        self.unless_down(self.sound.replace(site, ring))
    }
}

#[tokio::test]
async fn without_keys_nobody_passes_in_silence() {
    let upstream = FakeUpstream::start().await;
    let sound = Stores::in_memory();
    let frail = Arc::new(Frail { sound: Arc::clone(&sound.keys), is_down: AtomicBool::new(true) });
    let stores = Stores { keys: Arc::clone(&frail) as _, ..sound };
    let gateway = plan(&upstream).start_over(stores).await;
    let mut member = member(&gateway).await;
    for path in ["/closed", "/optional/a"] {
        let answer = member.fetch(&format!("{HTTPS}{path}")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (503, "store_unavailable"), "{path}");
    }
    assert_eq!(member.fetch(&format!("{HTTPS}{JWKS}")).await.status, 503);
    upstream.assert_untouched("it would have been told of nobody").await;
    assert_eq!(member.get(&format!("{HTTPS}/public/a")).await.status, 200);
    assert_eq!(Visitor::at(&gateway).get(&format!("{HTTPS}/optional/a")).await.status, 200);

    frail.is_down.store(false, Ordering::SeqCst);
    gateway.advance(seconds(1));
    let waiting = async {
        while member.fetch(&format!("{HTTPS}/closed")).await.status != 200 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.expect("it heals");
    // What is known goes on without the store.
    frail.is_down.store(true, Ordering::SeqCst);
    gateway.advance(minutes(10));
    let keys = key_set(&gateway).await;
    assert!(keys.find(&decode_header(told(&mut member, &upstream).await).unwrap().kid.unwrap()).is_some());
}

/// A store in which the records of some sites cannot be read.
struct Damaged(Arc<dyn KeyStore>);

impl KeyStore for Damaged {
    fn load(&self, site: SiteName) -> StoreFuture<'_, Option<KeyRing>> {
        if site.as_str().starts_with("bad") {
            return Box::pin(std::future::ready(Err(Unavailable)));
        }
        self.0.load(site)
    }

    fn replace(&self, site: SiteName, ring: KeyRing) -> StoreFuture<'_, bool> {
        self.0.replace(site, ring)
    }
}

#[tokio::test]
async fn a_site_whose_keys_are_damaged_keeps_no_other_from_its_own() {
    let upstream = FakeUpstream::start().await;
    let sound = Stores::in_memory();
    let stores = Stores { keys: Arc::new(Damaged(Arc::clone(&sound.keys))), ..sound };
    let names: Vec<_> =
        (0..4).flat_map(|number| ["bad", "good"].map(|kind| format!("{kind}-{number}"))).collect();
    let plan = names.iter().fold(plan(&upstream), |plan, name| {
        let site = SitePlan::new(name, &format!("{name}.test"), upstream.address());
        plan.and_site(site.identity("assertion", "true"))
    });
    let gateway = plan.start_over(stores).await;
    for name in &names {
        let answer = Visitor::at(&gateway).fetch(&format!("http://{name}.test{JWKS}")).await;
        assert_eq!(answer.status, if name.starts_with("bad") { 503 } else { 200 }, "{name}");
    }
}

#[tokio::test]
async fn nodes_and_restarts_agree_on_the_keys() {
    let (upstream, server) = (FakeUpstream::start().await, Server::start());
    let [here, there] = two(&upstream, &server.url(), |site| {
        site.identity("assertion", "true").with("public_url", "\"https://site.test\"")
    })
    .await;
    let waiting = async {
        while Visitor::at(&here).fetch(&format!("{SITE}{JWKS}")).await.status != 200
            || Visitor::at(&there).fetch(&format!("{SITE}{JWKS}")).await.status != 200
        {
            here.advance(seconds(1));
            settle().await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.expect("both have keys");
    let keys =
        async |gateway: &TestGateway| Visitor::at(gateway).fetch(&format!("{SITE}{JWKS}")).await.text();
    let shared = keys(&here).await;
    assert_eq!(keys(&there).await, shared);
    let next = over(Plan::new(&upstream).site(signing), &server.url()).beside(&here).start().await;
    let waiting = async {
        while keys(&next).await != shared {
            here.advance(seconds(1));
            settle().await;
        }
    };
    tokio::time::timeout(HANG, waiting).await.expect("it finds the same");

    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(&upstream).site(signing).embedded(folder.path());
    let old = plan.clone().start().await;
    let before = keys(&old).await;
    let new = plan.clone().start().await;
    assert_eq!(keys(&new).await, before, "two processes at once");
    old.stop().await;
    new.stop().await;
    assert_eq!(keys(&plan.start().await).await, before);
}

#[tokio::test]
async fn a_proxy_that_only_asks_gets_it_to_hand_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = plan(&upstream).start().await;
    let mut member = member(&gateway).await;
    let asked = |path: &str| Ask::navigate("GET", &format!("{HTTPS}/.tollgate/auth{path}"));
    let answer = member.send(asked("/closed").with("X-Forwarded-For", "192.0.2.7")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let assertion = answer.header(HEADER).expect("an assertion");
    let claims = verified(&assertion, &key_set(&gateway).await, "intranet").expect("it is good");
    assert_eq!(claims["email"], "jane@example.com");
    let answer = member.send(asked("/public/a").with("X-Forwarded-For", "192.0.2.7")).await;
    assert_eq!((answer.status, answer.header(HEADER)), (200, None));
    let removed = answer.header("x-envoy-auth-headers-to-remove").expect("a list");
    assert!(removed.split(',').any(|name| name == HEADER), "nobody else's stays: {removed}");
    upstream.assert_untouched("the proxy carries the requests").await;
}
