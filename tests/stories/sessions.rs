//! How long a session lasts, and where it is good: by the second, and on one site only.

use serde_json::json;

use crate::support::{
    Ask, FakeUpstream, LOGIN_URL, LoginPage, Plan, SITE, SitePlan, TestGateway, Visitor, minutes, seconds,
};

/// Whether a closed page opens: judged by what the upstream received.
async fn opens(visitor: &mut Visitor, upstream: &FakeUpstream) -> bool {
    let before = upstream.count();
    let answer = visitor.get(&format!("{SITE}/closed")).await;
    let passed = upstream.count() > before;
    let expected = if passed { 200 } else { 302 };
    assert_eq!(answer.status, expected, "{answer:?}");
    passed
}

#[tokio::test]
async fn a_session_that_is_used_goes_on_and_one_that_is_not_ends_after_half_an_hour() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    for round in 0..10 {
        gateway.advance(seconds(30 * 60 - 1));
        assert!(opens(&mut visitor, &upstream).await, "round {round}");
    }
    gateway.advance(minutes(30) + seconds(1));
    assert!(!opens(&mut visitor, &upstream).await);
}

#[tokio::test]
async fn a_session_ends_at_its_greatest_age_however_busy_it_is() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let day = 24 * 60 * 60;
    for _ in 0..day / 1200 - 1 {
        gateway.advance(minutes(20));
        assert!(opens(&mut visitor, &upstream).await);
    }
    gateway.advance(seconds(20 * 60 - 1));
    assert!(opens(&mut visitor, &upstream).await, "a second before");
    gateway.advance(seconds(2));
    assert!(!opens(&mut visitor, &upstream).await, "a second after");
}

#[tokio::test]
async fn a_site_may_have_times_of_its_own() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| {
        site.with("session_idle", "\"2m\"").with("session_max", "\"5m\"").with("token_ttl", "\"90s\"")
    });
    let gateway = plan.start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    gateway.advance(seconds(121));
    assert!(!opens(&mut visitor, &upstream).await, "idle");

    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    for (step, open) in [(119, true), (119, true), (61, true), (2, false)] {
        gateway.advance(seconds(step));
        assert_eq!(opens(&mut visitor, &upstream).await, open, "age");
    }

    for (age, redeemed) in [(89, true), (91, false)] {
        let token = gateway.login_page().token_for("jane@example.com").await;
        gateway.advance(seconds(age));
        let mut visitor = Visitor::at(&gateway);
        visitor.get(&format!("{SITE}/?sso={token}")).await;
        assert_eq!(visitor.session_cookie().is_some(), redeemed, "after {age} s");
    }
}

#[tokio::test]
async fn asking_who_one_is_does_not_bring_an_ended_session_back() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let cookie = format!("tollgate={}", visitor.session_cookie().expect("signed in"));
    gateway.advance(minutes(31));
    for _ in 0..2 {
        let ask = Ask::script("GET", &format!("{SITE}/.tollgate/session")).with("Cookie", &cookie);
        assert_eq!(Visitor::at(&gateway).send(ask).await.status, 401);
        let ask = Ask::navigate("GET", &format!("{SITE}/closed")).with("Cookie", &cookie);
        assert_eq!(Visitor::at(&gateway).send(ask).await.status, 302);
    }
    upstream.assert_untouched("an expired session").await;
}

#[tokio::test]
async fn an_expired_session_is_anonymous_where_a_session_is_optional() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let cookie = format!("tollgate={}", visitor.session_cookie().expect("signed in"));
    gateway.advance(minutes(31));
    let ask = Ask::navigate("GET", &format!("{SITE}/optional/a")).with("Cookie", &cookie);
    assert_eq!(visitor.send(ask).await.status, 200);
    assert_eq!(upstream.last().header("x-forwarded-user"), None);
    assert_eq!(upstream.last().header("cookie"), None);
}

#[tokio::test]
async fn a_session_and_a_token_are_good_on_one_site_only() {
    let (intranet, shop) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let plan = Plan::new(&intranet).and_site(SitePlan::new("shop", "shop.test", shop.address()));
    let gateway = plan.start().await;
    let (at_intranet, at_shop) = (gateway.login_page(), LoginPage::new(gateway.api(), "shop"));

    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&at_intranet, "jane@example.com").await;
    let cookie = format!("tollgate={}", visitor.session_cookie().expect("signed in"));
    let ask = Ask::navigate("GET", "http://shop.test/closed").with("Cookie", &cookie);
    let location = Visitor::at(&gateway).send(ask).await.location();
    assert!(location.starts_with(LOGIN_URL) && location.contains("site=shop"), "{location}");

    let token = at_intranet.token_for("jane@example.com").await;
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.get(&format!("http://shop.test/a?sso={token}")).await;
    assert!(answer.location().starts_with(LOGIN_URL), "{answer:?}");
    assert!(visitor.jar.cookie("shop.test", "tollgate").is_none());
    visitor.get(&format!("{SITE}/a?sso={token}")).await;
    assert!(visitor.session_cookie().is_some(), "the wrong site did not use the token up");

    let token = at_shop.token_for("jane@example.com").await;
    visitor.get(&format!("http://shop.test/a?sso={token}")).await;
    shop.assert_untouched("redeeming").await;
    assert_eq!(visitor.get("http://shop.test/closed").await.status, 200);
    assert_eq!(shop.last().header("x-forwarded-email").as_deref(), Some("jane@example.com"));
    assert!(opens(&mut visitor, &intranet).await, "signing in at one site leaves the other alone");
}

#[tokio::test]
async fn revoking_over_the_api_ends_a_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let (mut jane, mut joe) = (Visitor::at(&gateway), Visitor::at(&gateway));
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    joe.sign_in(&gateway.login_page(), "joe@example.com").await;
    let answer = gateway.api().delete("/v1/sessions?email=JANE%40example.com").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "revoked": 1 })));
    assert!(!opens(&mut jane, &upstream).await);
    assert!(opens(&mut joe, &upstream).await);
}
