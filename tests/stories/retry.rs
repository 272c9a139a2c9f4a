//! An answer that gets lost: the browser that redeemed a token may come again with it for a moment,
//! and lands on the session that it has opened. Nobody else does.

use serde_json::json;

use crate::support::{
    Ask, FakeUpstream, LOGIN_URL, Response, SITE, TestGateway, Visitor, local, parameter, seconds,
};

/// A browser that has been sent to the login page, and so has a key by which it is known.
async fn known(gateway: &TestGateway) -> (Visitor, String) {
    let mut browser = Visitor::at(gateway);
    let answer = browser.get(&format!("{SITE}/closed")).await;
    assert!(answer.location().starts_with(LOGIN_URL));
    let key = browser.cookie("tollgate_state").expect("a key").value;
    (browser, format!("tollgate_state={key}"))
}

/// Opens `link` as a browser that has just this `Cookie`; what it gets, and the session that it has
/// then.
async fn open(gateway: &TestGateway, link: &str, cookie: Option<&str>) -> (Response, Option<String>) {
    let mut browser = Visitor::at(gateway);
    let ask = Ask::navigate("GET", link);
    let answer = browser.send(cookie.map_or(ask.clone(), |cookie| ask.with("Cookie", cookie))).await;
    (answer, browser.session_cookie())
}

#[tokio::test]
async fn a_browser_whose_answer_was_lost_lands_on_its_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (_, key) = known(&gateway).await;
    for path in ["/closed?sso=", "/.tollgate/redeem?sso=", "/.tollgate/redeem?token="] {
        let person = json!({ "email": "jane@example.com", "full_name": "Jane", "return_url": "/reports" });
        let token = gateway.login_page().token(person).await;
        let link = format!("{SITE}{path}{token}");
        let target = if path.starts_with("/closed") { "/closed" } else { "/reports" };
        let (lost, session) = open(&gateway, &link, Some(&key)).await;
        assert_eq!((lost.status, local(&lost.location())), (302, target));
        let session = session.expect("a session");
        for wait in [0, 4, 5] {
            gateway.advance(seconds(wait));
            let (answer, again) = open(&gateway, &link, Some(&key)).await;
            assert_eq!((answer.status, local(&answer.location())), (302, target), "{path}");
            assert_eq!(again.as_ref(), Some(&session), "{path}");
        }
        let (sessions, _) = gateway.api().all("/v1/sessions").await;
        assert_eq!(sessions.len(), 1, "it is the same one: {sessions:?}");
        upstream.assert_untouched("redeeming").await;
        let ask =
            Ask::navigate("GET", &format!("{SITE}/closed")).with("Cookie", &format!("tollgate={session}"));
        assert_eq!(Visitor::at(&gateway).send(ask).await.status, 200);
        upstream.forget().await;
        assert_eq!(gateway.api().delete("/v1/sessions?email=jane%40example.com").await.status, 200);
    }
}

#[tokio::test]
async fn nobody_else_does_nor_anybody_later_or_after_a_logout() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (mut jane, key) = known(&gateway).await;
    let (_, other_key) = known(&gateway).await;
    let refused = async |link: &str, cookie: Option<&str>, why: &str| {
        let (answer, session) = open(&gateway, link, cookie).await;
        assert_eq!(parameter(&answer.location(), "error"), "token_invalid", "{why}");
        assert_eq!(session, None, "{why}");
    };

    let token = gateway.login_page().token_for("jane@example.com").await;
    let link = format!("{SITE}/closed?sso={token}");
    jane.get(&link).await;
    assert!(jane.session_cookie().is_some());
    refused(&link, Some(&other_key), "another browser").await;
    refused(&link, None, "a browser that is not known").await;
    let doubled = format!("{key}; {other_key}");
    refused(&link, Some(&doubled), "it cannot be told which browser it is").await;
    assert_eq!(jane.get(&format!("{SITE}/.tollgate/logout")).await.status, 302);
    refused(&link, Some(&key), "after the logout").await;

    gateway.advance(seconds(120));
    let token = gateway.login_page().token_for("jane@example.com").await;
    let link = format!("{SITE}/closed?sso={token}");
    jane.get(&link).await;
    gateway.advance(seconds(11));
    refused(&link, Some(&key), "too late").await;

    // Whoever was not known when it redeemed the token has nothing to be recognised by.
    gateway.advance(seconds(120));
    let token = gateway.login_page().token_for("joe@example.com").await;
    let link = format!("{SITE}/closed?sso={token}");
    let (first, session) = open(&gateway, &link, None).await;
    assert_eq!((first.status, session.is_some()), (302, true));
    refused(&link, None, "not known").await;
    refused(&link, Some(&other_key), "known since").await;
    upstream.assert_untouched("redeeming").await;
}
