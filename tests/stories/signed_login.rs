//! Tokens that a login page signs itself: believed once, for a moment, for one site, and from then on
//! like any other. What is not exactly such a token lets nobody in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{
    Ask, Crowd, FakeUpstream, LOGIN_URL, Plan, Response, SITE, SitePlan, TestGateway, Visitor, local,
    parameter, query_of, seconds,
};

const SECRET: &str = "the-login-page-and-the-site-alone-know-this";

/// The pair of RFC 8037, appendix A: the private key with what stands before it in PKCS #8.
const ED25519_SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

fn keys(site: SitePlan) -> SitePlan {
    let hs256 = format!("{{ kid = \"h\", algorithm = \"HS256\", secret = \"{SECRET}\" }}");
    let ed25519 = format!("{{ kid = \"e\", algorithm = \"EdDSA\", public_key = \"{ED25519_PUBLIC}\" }}");
    site.with("login_key", &format!("[{hs256}, {ed25519}]"))
}

async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    Plan::new(upstream).site(keys).start().await
}

fn header(algorithm: Algorithm, id: &str) -> Header {
    Header { kid: Some(id.to_owned()), ..Header::new(algorithm) }
}

fn hs256(claims: &Value) -> String {
    encode(&header(Algorithm::HS256, "h"), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
        .expect("signs")
}

fn ed25519(claims: &Value) -> String {
    let seed = URL_SAFE_NO_PAD.decode(ED25519_SEED).expect("is base64");
    let der = [&PKCS8_PREFIX[..], &seed].concat();
    encode(&header(Algorithm::EdDSA, "e"), claims, &EncodingKey::from_ed_der(&der)).expect("signs")
}

/// Whatever header and claims, with a proper HMAC.
fn by_hand(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("takes any").chain_update(&signed).finalize();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()))
}

/// What a login page says of Jane at this moment.
fn jane(gateway: &TestGateway, id: &str) -> Value {
    let now = now(gateway);
    json!({
        "aud": "intranet", "iat": now, "exp": now + 60, "jti": id, "email": "jane@example.com",
        "name": "Jane Doe", "groups": ["press"],
    })
}

fn now(gateway: &TestGateway) -> u64 {
    use tollgate::domain::clock::Clock as _;
    gateway.clock.now().as_secs()
}

fn link(token: &str) -> String {
    format!("{SITE}/closed?a=1&sso={token}")
}

/// Whether a visitor was let in by an answer, and not sent to the login page.
fn is_in(answer: &Response, visitor: &Visitor) -> bool {
    let is_stranger = answer.location().starts_with(LOGIN_URL);
    assert_eq!((answer.status, visitor.session_cookie().is_none()), (302, is_stranger), "{answer:?}");
    assert!(is_stranger || local(&answer.location()) == "/closed?a=1", "{answer:?}");
    !is_stranger
}

#[tokio::test]
async fn who_brings_one_is_let_in_without_a_call() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    for (sign, id) in [(hs256 as fn(&Value) -> String, "1"), (ed25519, "2")] {
        let token = sign(&jane(&gateway, id));
        let mut visitor = Visitor::at(&gateway);
        assert!(is_in(&visitor.get(&link(&token)).await, &visitor), "{id}");
        assert_eq!(visitor.get(&format!("{SITE}/closed?a=1")).await.status, 200);
        let told = ["x-forwarded-email", "x-forwarded-name", "x-forwarded-groups", "x-forwarded-role"];
        let told = told.map(|name| upstream.last().header(name).unwrap_or_default());
        assert_eq!(told, ["jane@example.com", "Jane Doe", "press", "editor"]);
        upstream.assert_never_saw(&token).await;
    }
    // Glued on blindly, and at the gateway's own address, with where to go in the token itself.
    let mut visitor = Visitor::at(&gateway);
    let glued = format!("{SITE}/closed?x=1?sso={}", hs256(&jane(&gateway, "3")));
    assert_eq!(local(&visitor.get(&glued).await.location()), "/closed?x=1");
    let mut claims = jane(&gateway, "4");
    claims["return_url"] = json!("/reports?b=2");
    let token = hs256(&claims);
    let answer = visitor.get(&format!("{SITE}/.tollgate/redeem?token={token}")).await;
    assert_eq!((answer.status, local(&answer.location())), (302, "/reports?b=2"));
    claims["jti"] = json!("5");
    let form = Ask::navigate("POST", &format!("{SITE}/.tollgate/redeem")).form(&[("token", &hs256(&claims))]);
    let answer = visitor.send(form).await;
    assert_eq!((answer.status, local(&answer.location())), (303, "/reports?b=2"));
}

#[tokio::test]
async fn what_is_not_quite_one_lets_nobody_in() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let now = now(&gateway);
    let good = jane(&gateway, "good");
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(name);
        hs256(&claims)
    };
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        hs256(&claims)
    };
    let plain = good.to_string();
    let headed = |header: &str| by_hand(header, &plain, SECRET.as_bytes());
    let real = hs256(&good);
    let (signed, signature) = real.rsplit_once('.').expect("has three parts");
    let (start, body) = signed.split_once('.').expect("has three parts");
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"h"}"#);
    let doubled = plain.replacen('{', r#"{"email":"root@example.com","#, 1);
    let public = URL_SAFE_NO_PAD.decode(ED25519_PUBLIC).expect("is base64");
    let mut claims = good.clone();
    (claims["iat"], claims["exp"]) = (json!(now + 200), json!(now + 300));
    let of_the_future = hs256(&claims);
    let cases = [
        ("another site", with("aud", json!("wiki"))),
        ("several sites", with("aud", json!(["intranet", "wiki"]))),
        ("no site", without("aud")),
        ("a site by prefix", with("aud", json!("intranet2"))),
        ("no beginning", without("iat")),
        ("no end", without("exp")),
        ("a long life", with("exp", json!(now + 301))),
        ("an end before its beginning", with("iat", json!(now + 70))),
        ("over", with("exp", json!(now))),
        ("of the future", of_the_future),
        ("not yet", with("nbf", json!(now + 120))),
        ("times in words", with("exp", json!(format!("{}", now + 60)))),
        ("an endless time", with("exp", json!(1e300))),
        ("no name of its own", without("jti")),
        ("an empty one", with("jti", json!(""))),
        ("one that is a number", with("jti", json!(7))),
        ("no address", without("email")),
        ("an address that is none", with("email", json!("jane"))),
        ("an address with a line end", with("email", json!("jane@example.com\r\nX-Role: admin"))),
        ("no person", without("name")),
        ("groups with commas", with("groups", json!(["a,admins"]))),
        ("an empty state", with("state", json!(""))),
        ("an address twice", by_hand(r#"{"alg":"HS256","kid":"h"}"#, &doubled, SECRET.as_bytes())),
        ("no object", by_hand(r#"{"alg":"HS256","kid":"h"}"#, "[]", SECRET.as_bytes())),
        ("no signature", format!("{start}.{body}.")),
        ("no algorithm", format!("{unsigned}.{body}.{signature}")),
        ("another algorithm's name", headed(r#"{"alg":"HS512","kid":"h"}"#)),
        ("a public key's", headed(r#"{"alg":"RS256","kid":"h"}"#)),
        ("an unknown key", headed(r#"{"alg":"HS256","kid":"x"}"#)),
        ("no key named, of two", headed(r#"{"alg":"HS256"}"#)),
        ("two keys named", headed(r#"{"alg":"HS256","kid":"x","kid":"h"}"#)),
        ("the other's key", headed(r#"{"alg":"HS256","kid":"e"}"#)),
        ("the public key as a secret", by_hand(r#"{"alg":"HS256","kid":"e"}"#, &plain, &public)),
        ("what has to be understood", headed(r#"{"alg":"HS256","kid":"h","crit":["exp"]}"#)),
        ("another kind", headed(r#"{"alg":"HS256","kid":"h","typ":"at+jwt"}"#)),
        ("its own key", headed(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#)),
        ("changed", format!("{start}.{}.{signature}", URL_SAFE_NO_PAD.encode(plain.replace("jane", "root")))),
        (
            "another secret",
            by_hand(r#"{"alg":"HS256","kid":"h"}"#, &plain, b"another-secret-another-secret-ab"),
        ),
        ("cut off", real[..real.len() - 1].to_owned()),
        (
            "too long",
            with("attributes", json!({ "a": "x".repeat(900), "b": "x".repeat(900), "c": "x".repeat(9000) })),
        ),
    ];
    for (what, token) in &cases {
        // So that nobody is slowed down for guessing.
        gateway.advance(seconds(1));
        let mut visitor = Visitor::at(&gateway);
        let answer = visitor.get(&link(token)).await;
        assert_eq!((answer.status, visitor.session_cookie()), (302, None), "{what}: {answer:?}");
        assert_eq!(parameter(&answer.location(), "error"), "token_invalid", "{what}");
        assert!(!answer.location().contains(token.as_str()), "{what}");
    }
    upstream.assert_untouched("what is not believed").await;
    assert!(gateway.api().all("/v1/users").await.0.is_empty(), "nobody was made known by it");
    // All of them would have been good but for that one thing.
    let mut visitor = Visitor::at(&gateway);
    assert!(is_in(&visitor.get(&link(&real)).await, &visitor));
}

#[tokio::test]
async fn a_site_without_keys_believes_nobody() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let token = by_hand(r#"{"alg":"HS256"}"#, &jane(&gateway, "1").to_string(), b"");
    for token in [token, hs256(&jane(&gateway, "2")), ed25519(&jane(&gateway, "3"))] {
        let mut visitor = Visitor::at(&gateway);
        assert!(!is_in(&visitor.get(&link(&token)).await, &visitor));
    }
    upstream.assert_untouched("what is not believed").await;
}

#[tokio::test]
async fn it_counts_once_for_whoever_brings_it_and_in_whatever_form() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(keys).server("workers", "4").start().await;
    for number in 0..20 {
        gateway.advance(seconds(60));
        let token = hs256(&jane(&gateway, &format!("race-{number}")));
        let mut browsers = Crowd::at(&gateway, 30).await;
        let mut sessions = 0;
        for answer in browsers.follow(&format!("/closed?sso={token}")).await {
            let cookies = answer.headers.all("set-cookie");
            sessions += usize::from(cookies.iter().any(|cookie| cookie.starts_with("tollgate=")));
        }
        assert_eq!(sessions, 1, "token number {number}");
    }
    // Another token with the same name is the same token.
    let mut claims = jane(&gateway, "twice");
    let mut visitor = Visitor::at(&gateway);
    assert!(is_in(&visitor.get(&link(&hs256(&claims))).await, &visitor));
    claims["email"] = json!("root@example.com");
    let mut visitor = Visitor::at(&gateway);
    assert!(!is_in(&visitor.get(&link(&hs256(&claims))).await, &visitor));
    // Not so with another key: whoever has that names its own.
    let mut visitor = Visitor::at(&gateway);
    assert!(is_in(&visitor.get(&link(&ed25519(&claims))).await, &visitor));
}

#[tokio::test]
async fn it_is_bound_to_a_browser_as_others_are() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| keys(site).with("require_state", "true")).start().await;
    let mut browser = Visitor::at(&gateway);
    let login_url = browser.get(&format!("{SITE}/closed")).await.location();
    let mut claims = jane(&gateway, "1");
    let mut stranger = Visitor::at(&gateway);
    assert!(!is_in(&stranger.get(&link(&hs256(&claims))).await, &stranger), "it has no state");
    claims["state"] = json!(parameter(&login_url, "state"));
    claims["jti"] = json!("2");
    let token = hs256(&claims);
    assert!(!is_in(&stranger.get(&link(&token)).await, &stranger), "it is another browser's");
    let key = browser.cookie("tollgate_state").expect("a key").value;
    assert!(is_in(&browser.get(&link(&token)).await, &browser));
    // A lost answer: the same browser may come again for a moment, and nobody else.
    let again = Ask::navigate("GET", &link(&token)).with("Cookie", &format!("tollgate_state={key}"));
    let mut same = Visitor::at(&gateway);
    assert_eq!(local(&same.send(again.clone()).await.location()), "/closed?a=1");
    assert_eq!(same.session_cookie(), browser.session_cookie());
    gateway.advance(seconds(11));
    let mut late = Visitor::at(&gateway);
    assert!(late.send(again).await.location().starts_with(LOGIN_URL));
}

#[tokio::test]
async fn what_looks_ahead_leaves_it_alone_and_a_button_may_be_asked_for() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).site(|site| keys(site).with("redeem", "\"confirm\"")).start().await;
    let token = hs256(&jane(&gateway, "1"));
    let mut visitor = Visitor::at(&gateway);
    for ask in [
        Ask::navigate("HEAD", &link(&token)),
        Ask::navigate("GET", &link(&token)).with("Sec-Purpose", "prefetch"),
        Ask::script("GET", &link(&token)),
    ] {
        visitor.send(ask).await;
        assert_eq!(visitor.session_cookie(), None);
    }
    let page = visitor.get(&link(&token)).await;
    assert_eq!((page.status, visitor.session_cookie()), (200, None));
    assert!(page.text().contains(&format!("value=\"{token}\"")), "{}", page.text());
    assert!(gateway.api().all("/v1/users").await.0.is_empty(), "looking at it made nobody known");
    let form = [("token", token.as_str()), ("return_url", "/closed?a=1")];
    let answer = visitor.send(Ask::navigate("POST", &format!("{SITE}/.tollgate/redeem")).form(&form)).await;
    assert_eq!((answer.status, local(&answer.location())), (303, "/closed?a=1"));
    assert!(visitor.session_cookie().is_some());
    upstream.assert_never_saw(&token).await;
}

#[tokio::test]
async fn it_stays_used_over_a_restart_and_the_other_api_does_not_take_it() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::new(&upstream).site(keys).embedded(folder.path());
    let gateway = plan.clone().start().await;
    let claims = jane(&gateway, "1");
    let (used, fresh) = (hs256(&claims), ed25519(&claims));
    let compatible = format!("{SITE}/api/session/redeem-token?session_token={fresh}");
    assert_eq!(Visitor::at(&gateway).get(&compatible).await.status, 403);
    let mut visitor = Visitor::at(&gateway);
    assert!(is_in(&visitor.get(&link(&used)).await, &visitor));
    gateway.stop().await;
    let gateway = plan.start().await;
    let mut other = Visitor::at(&gateway);
    let answer = other.get(&link(&used)).await;
    assert!(!is_in(&answer, &other) && !query_of(&answer.location()).is_empty());
    assert!(is_in(&other.get(&link(&fresh)).await, &other), "one that was not used works");
}
