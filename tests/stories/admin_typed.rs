//! What people are called, and what somebody typed, on the admin page: text, and nothing else.

use serde_json::json;

use crate::support::{FakeUpstream, MASTER_KEY, Operator, SITE, TestGateway, Visitor, links_of};

#[tokio::test]
async fn what_people_are_called_stays_text() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;";
    let mut visitor = Visitor::at(&gateway);
    let token = gateway
        .login_page()
        .token(json!({
            "email": "<script>alert(1)</script>@example.com", "full_name": evil, "external_id": evil,
            "groups": [evil], "plans": [evil], "attributes": {evil: evil}, "return_url": "javascript:alert(1)",
        }))
        .await;
    visitor.get(&format!("{SITE}/?sso={token}")).await;
    assert!(visitor.session_cookie().is_some());
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    let list = operator.page("sessions").await;
    let id =
        links_of(&list).into_iter().find_map(|link| Some(link.strip_prefix("/admin/sessions/")?.to_owned()));
    let id = id.expect("a session");
    let quoted = crate::support::encoded(evil);
    let mut pages = vec![list];
    for place in [
        "users".to_owned(),
        "users/1".to_owned(),
        "users/1/delete".to_owned(),
        "users/1/leave?site=intranet".to_owned(),
        "events".to_owned(),
        format!("sessions/{id}"),
        format!("sessions/{id}/end"),
        format!("sessions/end?email={}", crate::support::encoded("<script>alert(1)</script>@example.com")),
        format!("sessions?q={quoted}&site={quoted}&after={quoted}"),
        format!("users?q={quoted}&site={quoted}"),
        format!("links?site={quoted}"),
        format!("events?site={quoted}&event={quoted}"),
        format!(
            "sites?url=http://site.test/{quoted}&method={quoted}&as={quoted}&role={quoted}&groups={quoted}&from={quoted}"
        ),
        format!("sites?url={quoted}"),
    ] {
        pages.push(operator.page(&place).await);
    }
    let form = [("site", evil), ("email", evil), ("name", evil), ("return_url", "javascript:alert(1)")];
    pages.push(operator.press("links", &form).await.text());
    gateway.note_refused(evil);
    pages.push(operator.page("").await);
    pages.push(operator.send("sign-in", &[("key", "x"), ("next", &format!("/admin/{evil}"))]).await.text());
    pages.push(Operator::at(&gateway).get(&format!("{quoted}?{quoted}")).await.text());
    for page in pages {
        assert_eq!(page.matches("<script").count(), 1, "the page's own: {page}");
        assert!(page.contains("<script src=\"/admin/assets/"), "{page}");
        assert!(!page.contains("<img") && !page.contains("href=\"javascript:"), "{page}");
    }
}

#[tokio::test]
async fn no_header_is_made_of_what_somebody_typed() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let operator = Operator::with_key(&gateway, MASTER_KEY).await;
    for next in [
        "/admin/\r\nSet-Cookie: a=b",
        "//evil.example/admin/",
        "https://evil.example/",
        "/admin/../../v1",
        "/admin/\\\\evil",
    ] {
        let answer = operator.send("sign-in", &[("key", MASTER_KEY), ("next", next)]).await;
        assert_eq!((answer.status, answer.location().as_str()), (303, "/admin/"), "{next}");
        assert_eq!(answer.headers.all("set-cookie").len(), 1, "{next}");
    }
    for place in
        ["users?q=1%0d%0aSet-Cookie:%20a=b", "sessions?q=%0d%0aLocation:%20x", "events?site=%0d%0ax:y"]
    {
        let answer = operator.get(place).await;
        assert!(answer.header("set-cookie").is_none() && answer.header("location").is_none(), "{place}");
    }
}
