//! Who is signed in at one site opens the others, as the same person and with no more rights than
//! there.

use serde_json::json;
use tollgate::domain::clock::Clock as _;

use super::{House, places, sign_in, travel};
use crate::support::{Ask, FakeUpstream, LoginPage, Plan, Visitor, form_of, minutes, parameter, seconds};

#[tokio::test]
async fn who_is_signed_in_at_one_site_opens_the_other_without_a_login_page() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let page = "http://books.test/shelf/a%20b//c;x=1?page=2&q=%26%3D+x&return_url=/y#";
    let (urls, answer) = travel(&mut jane, page.trim_end_matches('#')).await;
    let expected = [
        "books/shelf/a%20b//c;x=1",
        "art/.tollgate/group",
        "books/.tollgate/redeem",
        "books/shelf/a%20b//c;x=1",
    ];
    assert_eq!(places(&urls), expected);
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello from upstream"));
    let received = house.upstream("books").last();
    assert_eq!(received.target, "/shelf/a%20b//c;x=1?page=2&q=%26%3D+x&return_url=/y");
    for (name, value) in [("email", "jane@example.com"), ("name", "Jane Doe"), ("role", "editor")] {
        assert_eq!(received.header(&format!("x-forwarded-{name}")).as_deref(), Some(value));
    }
    let token = parameter(&urls[2], "sso");
    for upstream in &house.upstreams {
        upstream.assert_never_saw(&token).await;
        upstream.assert_never_saw(".tollgate").await;
    }
    // Sessions of their own, which open nothing at the other site.
    let [art, books] =
        ["art.test", "books.test"].map(|host| jane.jar.cookie(host, "tollgate").expect("a cookie").value);
    assert_ne!(art, books);
    for (site, cookie) in [("books", art), ("art", books)] {
        let ask = Ask::navigate("GET", &format!("http://{site}.test/closed"));
        let answer =
            Visitor::at(&house.gateway).send(ask.with("Cookie", &format!("tollgate={cookie}"))).await;
        assert_eq!(answer.status, 302, "{answer:?}");
    }
    assert!(house.opens(&mut jane, "art").await && house.opens(&mut jane, "books").await);
    assert_eq!(house.sessions().await, 2);
}

#[tokio::test]
async fn what_is_said_on_the_way_is_kept_by_nobody() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let (urls, _) = travel(&mut jane, "http://books.test/closed").await;
    let mut again = jane.tab();
    for url in &urls[1..3] {
        let answer = again.get(url).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{url}");
        assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"), "{url}");
    }
}

#[tokio::test]
async fn groups_and_plans_go_along_as_they_are_now() {
    let house = House::of_two().await;
    let login_page = house.login_page("art");
    let person = json!({
        "email": "jane@example.com", "full_name": "Jane Doe", "external_id": "j1", "groups": ["press"],
        "plans": ["plus"],
    });
    let token = login_page.token(person).await;
    let mut jane = Visitor::at(&house.gateway);
    jane.get(&format!("http://art.test/?sso={token}")).await;
    let api = house.gateway.api();
    let sessions = api.get("/v1/sessions").await.json();
    let id = sessions["sessions"][0]["id"].as_str().expect("an id").to_owned();
    let change = json!({ "groups": ["press", "board"] });
    assert_eq!(api.patch(&format!("/v1/sessions/{id}"), &change).await.status, 200);
    travel(&mut jane, "http://books.test/closed").await;
    let received = house.upstream("books").last();
    assert_eq!(received.header("x-forwarded-groups").as_deref(), Some("press,board"));
    assert_eq!(received.header("x-forwarded-user").as_deref(), Some("j1"));
    let sessions = api.get("/v1/sessions?site=books").await.json();
    assert_eq!(sessions["sessions"][0]["plans"], json!(["plus"]), "{sessions}");
}

#[tokio::test]
async fn what_is_taken_away_at_one_site_is_not_had_back_from_another() {
    let house = House::of_two().await;
    let person = json!({
        "email": "jane@example.com", "full_name": "Jane Doe", "groups": ["press"], "plans": ["gold"],
    });
    let token = house.login_page("art").token(person).await;
    let mut jane = Visitor::at(&house.gateway);
    jane.get(&format!("http://art.test/?sso={token}")).await;
    travel(&mut jane, "http://books.test/closed").await;
    let api = house.gateway.api();
    let at_art = api.get("/v1/sessions?site=art").await.json();
    let id = at_art["sessions"][0]["id"].as_str().expect("an id").to_owned();
    let change = json!({ "groups": ["guests"], "plans": [], "max": 900, "idle": 600 });
    assert_eq!(api.patch(&format!("/v1/sessions/{id}"), &change).await.status, 200);

    // She forgets the session that was changed, and comes back by the other.
    jane.jar.store("tollgate=; Path=/; Max-Age=0", "art.test", false, house.gateway.clock.now());
    travel(&mut jane, "http://art.test/closed").await;
    assert_eq!(house.upstream("art").last().header("x-forwarded-groups").as_deref(), Some("guests"));
    let (sessions, _) = api.all("/v1/sessions").await;
    assert_eq!(sessions.len(), 3, "{sessions:?}");
    for session in &sessions {
        assert_eq!((&session["plans"], &session["groups"]), (&json!([]), &json!(["guests"])), "{session}");
        assert_eq!(session["expires_at"], sessions[0]["expires_at"], "{session}");
        assert!(session["idle"].as_u64().is_some_and(|idle| idle <= 600), "{session}");
    }
}

#[tokio::test]
async fn rights_at_one_site_are_none_at_another() {
    for allowed in [false, true] {
        let house = House::of(2, |name, site| {
            let allowed = name == "art" || allowed;
            site.with("allow_backend_login", &allowed.to_string())
                .route_requiring("/desk/", "{ backend = true }")
                .route_requiring("/chief/", "{ roles = [\"chief\"] }")
        })
        .await;
        let mut jane = house.reader("art", "jane@example.com").await;
        let api = house.gateway.api();
        let user = api.get("/v1/users").await.json()["users"][0]["id"].to_string().replace('"', "");
        let change = json!({ "account": "full", "roles": { "art": "chief" } });
        assert_eq!(api.patch(&format!("/v1/users/{user}"), &change).await.status, 200);
        for page in ["desk", "chief"] {
            assert_eq!(jane.get(&format!("http://art.test/{page}/")).await.status, 200);
        }
        let (_, answer) = travel(&mut jane, "http://books.test/closed").await;
        assert_eq!(answer.status, 200);
        assert_eq!(house.upstream("books").last().header("x-forwarded-role").as_deref(), Some("editor"));
        assert_eq!(jane.get("http://books.test/chief/").await.status, 403);
        // Whether an account reaches the back end is for the site to say.
        assert_eq!(jane.get("http://books.test/desk/").await.status, if allowed { 200 } else { 403 });
    }
}

#[tokio::test]
async fn a_session_of_the_23_compatible_api_makes_nobody_a_member() {
    let house = House::of_two().await;
    let api = house.gateway.api();
    let target =
        "/api/session/get-token?format=json&raw&email=jane%40example.com&full_name=Jane+Doe&site=art";
    let answer = api.get(target).await;
    let token = answer.json()["sessiontoken"]["access_token"].as_str().expect("a token").to_owned();
    let mut jane = Visitor::at(&house.gateway);
    jane.get(&format!("http://art.test/?sso={token}")).await;
    assert!(house.opens(&mut jane, "art").await);
    let (_, answer) = travel(&mut jane, "http://books.test/closed").await;
    assert_eq!(answer.status, 200);
    let received = house.upstream("books").last();
    assert_eq!(received.header("x-forwarded-email").as_deref(), Some("jane@example.com"));
    assert_eq!(received.header("x-forwarded-role"), None);
    assert_eq!(api.get("/v1/users").await.json()["users"], json!([]));
}

#[tokio::test]
async fn no_session_outlasts_the_one_that_it_came_from() {
    let house = House::of(2, |name, site| match name {
        "art" => site.with("session_max", "\"1h\""),
        _ => site.with("session_max", "\"10h\""),
    })
    .await;
    let mut jane = house.reader("art", "jane@example.com").await;
    for _ in 0..2 {
        house.gateway.advance(minutes(29));
        assert!(house.opens(&mut jane, "art").await);
    }
    assert_eq!(travel(&mut jane, "http://books.test/closed").await.1.status, 200);
    house.gateway.advance(seconds(119));
    assert!(house.opens(&mut jane, "books").await);
    // Neither goes on by the other.
    let (urls, _) = travel(&mut jane, "http://art.test/closed").await;
    assert_eq!(urls.len(), 1, "still signed in: {urls:?}");
    house.gateway.advance(seconds(1));
    for site in ["books", "art"] {
        let (urls, _) = travel(&mut jane, &format!("http://{site}.test/closed")).await;
        assert!(urls.last().expect("some").starts_with("https://login.test/"), "{urls:?}");
    }
}

#[tokio::test]
async fn a_session_in_its_last_moments_is_not_handed_on() {
    let house = House::of(2, |_, site| site.with("session_max", "\"30m\"")).await;
    let mut jane = house.reader("art", "jane@example.com").await;
    house.gateway.advance(minutes(29) + seconds(30));
    let (urls, _) = travel(&mut jane, "http://books.test/closed").await;
    assert!(urls.last().expect("some").starts_with("https://login.test/books"), "{urls:?}");
    assert!(house.opens(&mut jane, "art").await, "it goes on where it is");
}

#[tokio::test]
async fn who_got_less_time_gets_no_more_elsewhere() {
    let house = House::of(2, |name, site| match name {
        "art" => site.with("session_idle", "\"10m\""),
        _ => site.with("session_idle", "\"20m\""),
    })
    .await;
    for (idle, lasts) in [(60, 60), (600, 1200)] {
        let token = house
            .login_page("art")
            .token(json!({ "email": "jane@example.com", "full_name": "Jane", "session_idle": idle }))
            .await;
        let mut jane = Visitor::at(&house.gateway);
        jane.get(&format!("http://art.test/?sso={token}")).await;
        travel(&mut jane, "http://books.test/closed").await;
        house.gateway.advance(seconds(lasts - 1));
        assert!(house.opens(&mut jane, "books").await);
        house.gateway.advance(seconds(lasts));
        assert!(!house.opens(&mut jane, "books").await);
    }
}

#[tokio::test]
async fn a_site_that_wants_a_state_or_a_button_gets_them() {
    let house = House::of(3, |name, site| match name {
        "books" => site.with("require_state", "true").with("token_param", "\"ticket\""),
        "cars" => site.with("redeem", "\"confirm\""),
        _ => site,
    })
    .await;
    let mut jane = house.reader("art", "jane@example.com").await;
    assert_eq!(travel(&mut jane, "http://books.test/closed").await.1.status, 200);
    let (urls, page) = travel(&mut jane, "http://cars.test/deep?x=1").await;
    assert_eq!((page.status, house.upstream("cars").count()), (200, 0), "{urls:?}");
    // Somebody reads it first.
    house.gateway.advance(minutes(4));
    let (action, fields) = form_of(&page.text());
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ask = Ask::navigate("POST", &format!("http://cars.test{action}"))
        .with("Origin", "http://cars.test")
        .with("Sec-Fetch-Site", "same-origin")
        .form(&fields);
    let answer = jane.send(ask).await;
    assert_eq!((answer.status, answer.location().as_str()), (303, "/deep?x=1"), "{answer:?}");
    assert!(house.opens(&mut jane, "cars").await);
}

#[tokio::test]
async fn a_cap_is_a_cap_however_one_came() {
    let house = House::of(2, |name, site| match name {
        "books" => site.with("max_sessions_per_user", "1").with("on_session_limit", "\"reject\""),
        _ => site,
    })
    .await;
    let mut first = house.reader("books", "jane@example.com").await;
    let mut second = house.reader("art", "jane@example.com").await;
    let (_, told) = travel(&mut second, "http://books.test/closed").await;
    assert_eq!(told.status, 403);
    assert!(told.text().contains("You are signed in elsewhere"), "{}", told.text());
    assert!(house.opens(&mut first, "books").await && !house.opens(&mut second, "books").await);
}

#[tokio::test]
async fn sites_outside_of_the_group_are_as_they_were() {
    let (house, upstream) = House::beside_others().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let (urls, _) = travel(&mut jane, "http://alone.test/closed").await;
    let expected = ["alone/closed", "other/.tollgate/group", "alone/.tollgate/login", "login/alone"];
    assert_eq!(places(&urls), expected.map(str::to_owned));
    upstream.assert_untouched("a stranger").await;
    let mut joe = Visitor::at(&house.gateway);
    sign_in(&mut joe, &LoginPage::new(house.gateway.api(), "alone"), "alone", "joe@example.com").await;
    let (urls, _) = travel(&mut joe, "http://art.test/closed").await;
    assert!(urls.last().expect("some").starts_with("https://login.test/art"), "{urls:?}");
}

#[tokio::test]
async fn a_site_without_a_group_asks_nobody() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).start().await;
    let mut visitor = Visitor::at(&gateway);
    let answer = visitor.get("http://site.test/closed").await;
    assert!(answer.location().starts_with("https://login.test/signin?"), "{answer:?}");
    let answer = visitor.get("http://site.test/.tollgate/group?site=intranet&return_url=/&state=x").await;
    assert_eq!(answer.status, 404);
    upstream.assert_untouched("a path of the gateway").await;
}
