//! Sites whose session comes along with whatever other sites' pages send: what those can do with it.

use crate::support::{Ask, FakeUpstream, LOGOUT_URL, Plan, TestGateway, Visitor};

const SITE: &str = "https://site.test";

/// Sites to which browsers send the session from anywhere: one whose operator wants it so, and one that
/// may be framed.
fn exposed(upstream: &FakeUpstream) -> [Plan; 2] {
    let plan = Plan::new(upstream).server("trusted_proxies", "[\"127.0.0.1\"]").site(|site| {
        site.with("public_url", &format!("{SITE:?}")).with("cors_origins", "[\"https://app.test\"]")
    });
    [
        plan.clone().site(|site| site.cookie("same_site", "\"none\"")),
        plan.site(|site| site.with("embed_origins", "[\"https://partner.test\"]")),
    ]
}

async fn jane(gateway: &TestGateway) -> Visitor {
    let mut jane = Visitor::at(gateway);
    let token = gateway.login_page().token_for("jane@example.com").await;
    assert_eq!(jane.get(&format!("{SITE}/?sso={token}")).await.status, 302);
    jane
}

/// A form that a page sends which says of itself what is given: `Sec-Fetch-Site` and `Origin`.
fn form(method: &str, path: &str, site: Option<&str>, origins: &[&str]) -> Ask {
    let ask = Ask::navigate(method, &format!("{SITE}{path}")).without("Sec-Fetch-Site").form(&[("a", "b")]);
    let ask = site.map_or(ask.clone(), |site| ask.with("Sec-Fetch-Site", site));
    origins.iter().fold(ask, |ask, origin| ask.and("Origin", origin))
}

#[tokio::test]
async fn nothing_that_changes_anything_is_taken_from_another_sites_page() {
    let upstream = FakeUpstream::start().await;
    for plan in exposed(&upstream) {
        let gateway = plan.start().await;
        let mut jane = jane(&gateway).await;
        for (site, origins, may) in [
            (Some("same-origin"), &[][..], true),
            (Some("same-origin"), &["null"], true),
            (Some("none"), &[], true),
            (None, &["https://site.test"], true),
            (None, &["https://app.test"], true),
            (Some("cross-site"), &["https://app.test"], true),
            (Some("cross-site"), &["https://partner.test"], false),
            (Some("cross-site"), &["https://evil.test"], false),
            (Some("cross-site"), &["null"], false),
            (Some("cross-site"), &[], false),
            (Some("same-site"), &["https://sibling.site.test"], false),
            (Some("same-site"), &[], false),
            (Some(""), &[], false),
            (None, &["http://site.test"], false),
            (None, &["https://site.test:8443"], false),
            (None, &["https://site.test.evil.test"], false),
            (None, &["https://site.test", "https://site.test"], false),
            (None, &["null"], false),
            (None, &[], false),
        ] {
            for path in ["/closed", "/optional/a"] {
                for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "X-WHATEVER"] {
                    upstream.forget().await;
                    let answer = jane.send(form(method, path, site, origins)).await;
                    let case = format!("{method} {path} {site:?} {origins:?}");
                    assert_eq!((answer.status == 200, upstream.count()), (may, usize::from(may)), "{case}");
                    assert!(may || answer.status == 403, "{case}: {answer:?}");
                }
            }
        }
        // A program is told in its own words.
        let answer =
            jane.send(form("POST", "/closed", Some("cross-site"), &[]).with("Accept", "*/json")).await;
        assert_eq!(answer.json()["error"]["code"], "cross_site");
    }
}

#[tokio::test]
async fn where_no_session_is_at_stake_anybody_may_send_anything() {
    let upstream = FakeUpstream::start().await;
    for plan in exposed(&upstream) {
        let gateway = plan.start().await;
        let mut jane = jane(&gateway).await;
        let mut stranger = Visitor::at(&gateway);
        for (visitor, path) in [(&mut jane, "/public/a"), (&mut stranger, "/public/a")] {
            assert_eq!(
                visitor.send(form("POST", path, Some("cross-site"), &["https://evil.test"])).await.status,
                200
            );
            assert_eq!(upstream.last().header("x-forwarded-email"), None);
        }
        let answer =
            stranger.send(form("POST", "/optional/a", Some("cross-site"), &["https://evil.test"])).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_site_whose_cookie_stays_away_by_itself_is_asked_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    let ask = form("POST", "/closed", None, &[]);
    let ask = Ask { url: ask.url.replace("https", "http"), ..ask };
    assert_eq!(jane.send(ask).await.status, 200);
}

#[tokio::test]
async fn links_from_elsewhere_arrive_and_parts_of_other_pages_do_not() {
    let upstream = FakeUpstream::start().await;
    let [by_hand, framed] = exposed(&upstream);
    for (plan, is_framed) in [(by_hand, false), (framed, true)] {
        let gateway = plan.start().await;
        let mut jane = jane(&gateway).await;
        let get = |mode: &str, dest: &str, site: &str| {
            Ask::navigate("GET", &format!("{SITE}/closed"))
                .with("Sec-Fetch-Mode", mode)
                .with("Sec-Fetch-Dest", dest)
                .with("Sec-Fetch-Site", site)
        };
        for (ask, may) in [
            (get("navigate", "document", "cross-site"), true),
            (get("navigate", "iframe", "cross-site"), true),
            (get("cors", "empty", "cross-site"), true),
            (get("no-cors", "script", "same-origin"), true),
            (get("no-cors", "image", "same-site"), true),
            (get("no-cors", "script", "cross-site"), !is_framed),
            (get("no-cors", "image", "cross-site"), !is_framed),
        ] {
            upstream.forget().await;
            let case = format!("{is_framed} {ask:?}");
            let status = jane.send(ask).await.status;
            assert_eq!((status, upstream.count()), if may { (200, 1) } else { (403, 0) }, "{case}");
        }
    }
}

#[tokio::test]
async fn a_websocket_is_for_the_sites_own_pages_as_everywhere() {
    let upstream = FakeUpstream::start().await;
    for plan in exposed(&upstream) {
        let gateway = plan.start().await;
        let mut jane = jane(&gateway).await;
        for (origin, may) in [
            ("https://site.test", true),
            ("https://app.test", true),
            ("https://partner.test", false),
            ("https://evil.test", false),
            ("null", false),
        ] {
            upstream.forget().await;
            let handshake = Ask::bare("GET", &format!("{SITE}/closed"))
                .with("Connection", "Upgrade")
                .with("Upgrade", "websocket")
                .with("Sec-WebSocket-Version", "13")
                .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
                .with("Sec-Fetch-Site", "cross-site")
                .with("Sec-Fetch-Mode", "websocket")
                .with("Origin", origin);
            // The upstream of this story speaks no WebSocket, and says hello.
            let status = jane.send(handshake).await.status;
            assert_eq!((status, upstream.count()), if may { (200, 1) } else { (403, 0) }, "{origin}");
        }
    }
}

#[tokio::test]
async fn nobody_is_signed_out_or_in_again_by_another_sites_form() {
    let upstream = FakeUpstream::start().await;
    for plan in exposed(&upstream) {
        let gateway = plan.start().await;
        let mut jane = jane(&gateway).await;
        let cookie = jane.cookie("__Host-tollgate").expect("a session").value;
        let token = gateway.login_page().token_for("mallory@example.com").await;
        for origin in ["https://evil.test", "https://partner.test", "null"] {
            let post = |path: &str| form("POST", path, Some("cross-site"), &[origin]);
            assert_eq!(jane.send(post("/.tollgate/logout")).await.status, 403, "{origin}");
            let redeem = post("/.tollgate/redeem").form(&[("token", &token)]);
            assert_eq!(jane.send(redeem).await.status, 403, "{origin}");
        }
        assert_eq!(jane.get(&format!("{SITE}/closed")).await.status, 200);
        assert_eq!(jane.cookie("__Host-tollgate").expect("a session").value, cookie);

        // The login page may, and so may anybody's where there is nobody to harm.
        let redeem = |origin: &str, token: &str| {
            form("POST", "/.tollgate/redeem", Some("cross-site"), &[origin]).form(&[("token", token)])
        };
        assert_eq!(jane.send(redeem("https://login.test", &token)).await.status, 303);
        assert_ne!(jane.cookie("__Host-tollgate").expect("a session").value, cookie);
        let token = gateway.login_page().token_for("joe@example.com").await;
        assert_eq!(
            Visitor::at(&gateway).send(redeem("https://another-login.test", &token)).await.status,
            303
        );

        let out = jane.send(form("POST", "/.tollgate/logout", Some("same-origin"), &[SITE])).await;
        assert_eq!((out.status, out.location().as_str()), (303, LOGOUT_URL));
        assert_eq!(jane.get(&format!("{SITE}/closed")).await.status, 302);
    }
}
