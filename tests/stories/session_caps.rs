//! How many sessions a person may have on a site at a time, as the browsers see it: who has to make
//! room is told why, once, and who is turned away knows what to do.

use tokio::task::JoinSet;

use crate::support::{
    FakeUpstream, LOGIN_URL, LoginPage, Plan, SITE, SitePlan, TestGateway, Visitor, links_of, minutes,
    seconds,
};

async fn gateway(upstream: &FakeUpstream, most: u32, when_full: &str) -> TestGateway {
    let plan = Plan::new(upstream).site(|site| {
        let site = site.with("max_sessions_per_user", &most.to_string());
        site.with("on_session_limit", &format!("{when_full:?}"))
    });
    plan.start().await
}

/// Whether a closed page opens.
async fn opens(visitor: &mut Visitor, upstream: &FakeUpstream) -> bool {
    let before = upstream.count();
    visitor.get(&format!("{SITE}/closed")).await;
    upstream.count() > before
}

#[tokio::test]
async fn who_has_to_make_room_is_told_why_once() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream, 2, "evict_oldest").await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let mut browser = Visitor::at(&gateway);
        browser.sign_in(&gateway.login_page(), "jane@example.com").await;
        gateway.advance(seconds(1));
        browsers.push(browser);
    }
    let [mut oldest, mut middle, mut newest] = browsers.try_into().ok().expect("three of them");
    upstream.forget().await;

    let script = oldest.fetch(&format!("{SITE}/closed")).await;
    assert_eq!((script.status, script.error_code().as_str()), (401, "login_required"));
    assert!(oldest.session_cookie().is_some(), "a script does not use the word up");
    let told = oldest.get(&format!("{SITE}/reports?year=2025")).await;
    assert_eq!(told.status, 403);
    assert!(told.text().contains("You have been signed out here"), "{}", told.text());
    assert_eq!(links_of(&told.text()), ["/.tollgate/login?return_url=/reports%3Fyear%3D2025"]);
    assert_eq!(told.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(oldest.session_cookie(), None);
    upstream.assert_untouched("who had to make room").await;
    let again = oldest.get(&format!("{SITE}/reports?year=2025")).await;
    assert!(again.location().starts_with(LOGIN_URL), "{again:?}");
    assert!(opens(&mut middle, &upstream).await && opens(&mut newest, &upstream).await);

    // Who signs in again makes the next one go, and nobody but the person's own.
    oldest.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert!(opens(&mut oldest, &upstream).await && opens(&mut newest, &upstream).await);
    assert_eq!(middle.get(&format!("{SITE}/closed")).await.status, 403);
}

#[tokio::test]
async fn only_sessions_of_this_person_on_this_site_count_and_only_while_they_last() {
    let upstream = FakeUpstream::start().await;
    let shop = SitePlan::new("shop", "shop.test", upstream.address());
    let plan = Plan::new(&upstream).and_site(shop);
    let gateway = plan.site(|site| site.with("max_sessions_per_user", "1")).start().await;
    let login_page = gateway.login_page();
    let (mut jane, mut joe) = (Visitor::at(&gateway), Visitor::at(&gateway));
    jane.sign_in(&login_page, "jane@example.com").await;
    joe.sign_in(&login_page, "joe@example.com").await;
    let token = LoginPage::new(gateway.api(), "shop").token_for("jane@example.com").await;
    let mut at_shop = Visitor::at(&gateway);
    assert_eq!(at_shop.get(&format!("http://shop.test/?sso={token}")).await.status, 302);
    assert!(opens(&mut jane, &upstream).await && opens(&mut joe, &upstream).await);
    // In the same browser the old session ends in any case, and there is nothing to be told.
    jane.sign_in(&login_page, "JANE@example.com").await;
    assert!(opens(&mut jane, &upstream).await && opens(&mut joe, &upstream).await);
    // A session that has run out was not pushed out.
    gateway.advance(minutes(31));
    let mut elsewhere = Visitor::at(&gateway);
    elsewhere.sign_in(&login_page, "jane@example.com").await;
    let answer = jane.get(&format!("{SITE}/closed")).await;
    assert_eq!(answer.status, 302, "{answer:?}");
}

#[tokio::test]
async fn who_is_turned_away_is_told_and_may_come_again_after_a_logout() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream, 1, "reject").await;
    let login_page = gateway.login_page();
    let (mut first, mut second) = (Visitor::at(&gateway), Visitor::at(&gateway));
    first.sign_in(&login_page, "jane@example.com").await;
    let token = login_page.token_for("jane@example.com").await;
    let link = format!("{SITE}/closed?sso={token}");
    let told = second.get(&link).await;
    assert_eq!(told.status, 403);
    assert!(told.text().contains("You are signed in elsewhere"), "{}", told.text());
    assert!(!told.text().contains(&token));
    assert_eq!(second.session_cookie(), None);
    assert!(opens(&mut first, &upstream).await, "the session that there is goes on");

    assert_eq!(first.get(&format!("{SITE}/.tollgate/logout")).await.status, 302);
    upstream.forget().await;
    let used = second.get(&link).await;
    assert!(used.location().contains("error=token_invalid"), "a token is good for one attempt: {used:?}");
    upstream.assert_untouched("a token that is used up").await;
    second.sign_in(&login_page, "jane@example.com").await;
    assert!(opens(&mut second, &upstream).await);
    // The same browser is not turned away: its session makes room for itself.
    second.sign_in(&login_page, "jane@example.com").await;
    assert!(opens(&mut second, &upstream).await);
}

#[tokio::test]
async fn of_any_number_who_sign_in_at_once_no_more_get_in_than_may() {
    const BROWSERS: u8 = 40;
    const MOST: usize = 3;
    for when_full in ["evict_oldest", "reject"] {
        let upstream = FakeUpstream::start().await;
        let plan = Plan::new(&upstream).site(|site| {
            let site = site.with("max_sessions_per_user", &MOST.to_string());
            site.with("on_session_limit", &format!("{when_full:?}"))
        });
        let gateway = plan.server("workers", "4").start().await;
        let mut visits = JoinSet::new();
        for number in 1..=BROWSERS {
            let token = gateway.login_page().token_for("jane@example.com").await;
            let mut browser = Visitor::at(&gateway).at_address(3, number);
            visits.spawn(async move {
                let answer = browser.get(&format!("{SITE}/?sso={token}")).await;
                (answer.status, browser)
            });
        }
        let (mut admitted, mut present) = (0, 0);
        let mut browsers = Vec::new();
        while let Some(visit) = visits.join_next().await {
            let (status, browser) = visit.expect("comes back");
            admitted += usize::from(status == 302);
            browsers.push(browser);
        }
        for browser in &mut browsers {
            present += usize::from(opens(browser, &upstream).await);
        }
        assert_eq!(present, MOST, "{when_full}");
        assert_eq!(gateway.api().all("/v1/sessions").await.0.len(), MOST, "{when_full}");
        let expected = if when_full == "reject" { MOST } else { usize::from(BROWSERS) };
        assert_eq!(admitted, expected, "{when_full}");
    }
}
