//! Several sites in one gateway have nothing in common but the process: what is one's is worth nothing at
//! another.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Ask, FakeUpstream, Plan, SitePlan, TestGateway, Visitor, parameter};

const KEYS: [(&str, &str); 2] = [
    ("paper", "the-login-page-of-the-paper-signs-with-this"),
    ("wiki", "the-login-page-of-the-wiki-signs-with-this"),
];

async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    let [paper, wiki] = KEYS.map(|(name, secret)| {
        let key = format!("[{{ algorithm = \"HS256\", secret = \"{secret}\" }}]");
        let site = SitePlan::new(name, &format!("{name}.test"), upstream.address());
        let login_url = format!("\"https://login.{name}.test/\"");
        site.with("login_key", &key).with("login_url", &login_url).identity("assertion", "true")
    });
    Plan::of(paper).and_site(wiki).start().await
}

/// A token for `audience`, signed with the key of `signer`.
fn signed(gateway: &TestGateway, signer: &str, audience: &str, id: &str) -> String {
    use tollgate::domain::clock::Clock as _;
    let now = gateway.clock.now().as_secs();
    let claims = json!({
        "aud": audience, "iat": now, "exp": now + 60, "jti": id, "email": "jane@example.com", "name": "Jane Doe",
    });
    let (_, secret) = KEYS.into_iter().find(|(name, _)| *name == signer).expect("is one of them");
    encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).expect("signs")
}

async fn key_names(gateway: &TestGateway, site: &str) -> Vec<Value> {
    let keys = Visitor::at(gateway).get(&format!("http://{site}.test/.tollgate/jwks.json")).await.json();
    let keys = keys["keys"].as_array().expect("a list").iter().map(|key| key["kid"].clone());
    keys.collect()
}

#[tokio::test]
async fn each_has_a_login_page_tokens_and_keys_of_its_own() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let mut jane = Visitor::at(&gateway);
    for (site, other) in [("paper", "wiki"), ("wiki", "paper")] {
        let page = format!("http://{site}.test/closed");
        let asked = jane.get(&page).await.location();
        assert!(asked.starts_with(&format!("https://login.{site}.test/?")), "{asked}");
        assert_eq!(parameter(&asked, "site"), site);

        // A token of the other's, in whatever way it is the other's.
        let issued = json!({ "email": "jane@example.com", "full_name": "Jane", "site": other });
        let issued = gateway.api().post("/v1/sso_tokens", &issued).await.json();
        for token in [
            issued["token"].as_str().expect("a token").to_owned(),
            signed(&gateway, other, other, &format!("1-{site}")),
            signed(&gateway, other, site, &format!("2-{site}")),
            signed(&gateway, site, other, &format!("3-{site}")),
        ] {
            let answer = Visitor::at(&gateway).get(&format!("{page}?sso={token}")).await;
            assert_eq!(parameter(&answer.location(), "error"), "token_invalid", "{token} at {site}");
        }
        upstream.assert_untouched("tokens of others").await;
        let token = signed(&gateway, site, site, "4");
        assert_eq!(jane.get(&format!("{page}?sso={token}")).await.location(), "/closed");
        assert_eq!(jane.get(&page).await.status, 200, "the same jti is another one with another key");
        upstream.forget().await;
    }
    let (paper, wiki) = (key_names(&gateway, "paper").await, key_names(&gateway, "wiki").await);
    assert!(!paper.is_empty() && !wiki.is_empty() && paper.iter().all(|key| !wiki.contains(key)));

    // Her session at the one opens nothing at the other, also if she brings it there by hand.
    let cookie = |site: &str| {
        let own = jane.jar.cookie(&format!("{site}.test"), "tollgate").expect("a session");
        Ask::navigate("GET", "http://wiki.test/closed").with("Cookie", &format!("tollgate={}", own.value))
    };
    let answer = Visitor::at(&gateway).send(cookie("paper")).await;
    assert!(answer.location().starts_with("https://login.wiki.test/"), "{answer:?}");
    assert_eq!(Visitor::at(&gateway).send(cookie("wiki")).await.status, 200);
}
