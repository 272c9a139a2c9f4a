//! Whoever logs out at one site is logged out at all of the group, on that browser and on no other.

use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tollgate::domain::clock::Clock as _;

use super::{House, NAMES, places, sign_in, travel};
use crate::support::{Ask, ByHand, HANG, Visitor, minutes, read_until, seconds, settle};

async fn log_out(visitor: &mut Visitor, name: &str) {
    let answer = visitor.get(&format!("http://{name}.test/.tollgate/logout")).await;
    assert!(matches!(answer.status, 200 | 302), "{answer:?}");
}

/// Jane, signed in at art, and handed on to the others.
async fn everywhere(house: &House) -> Visitor {
    let mut jane = house.reader("art", "jane@example.com").await;
    for name in &NAMES[1..] {
        assert_eq!(travel(&mut jane, &format!("http://{name}.test/closed")).await.1.status, 200);
    }
    jane
}

/// The last step of a browser's way to a closed page of the site `name`: where it brings a token.
async fn last_step(visitor: &mut Visitor, name: &str) -> String {
    let mut url = visitor.get(&format!("http://{name}.test/closed")).await.location();
    while !url.contains("/redeem?") {
        url = visitor.get(&url).await.location();
    }
    url
}

#[tokio::test]
async fn a_logout_anywhere_is_one_everywhere() {
    for left_at in NAMES {
        let house = House::of(3, |_, site| site).await;
        let mut jane = everywhere(&house).await;
        let mut at_home = everywhere(&house).await;
        let mut joe = house.reader("books", "joe@example.com").await;
        log_out(&mut jane, left_at).await;
        for name in NAMES {
            house.upstream(name).forget().await;
            let (urls, _) = travel(&mut jane, &format!("http://{name}.test/closed")).await;
            assert!(urls.last().expect("some").starts_with("https://login.test/"), "{urls:?}");
            house.upstream(name).assert_untouched("who logged out").await;
            assert!(house.opens(&mut at_home, name).await, "another browser is another session");
        }
        assert!(house.opens(&mut joe, "books").await);
        assert_eq!(house.sessions().await, 4);
    }
}

#[tokio::test]
async fn what_runs_at_another_site_ends_with_it() {
    let behind = ByHand::start().await;
    let url = behind.url();
    let house = House::of(
        2,
        |name, site| {
            if name == "art" { site.upstreams(std::slice::from_ref(&url)) } else { site }
        },
    )
    .await;
    let mut jane = house.reader("art", "jane@example.com").await;
    travel(&mut jane, "http://books.test/closed").await;
    let cookie = jane.jar.cookie("art.test", "tollgate").expect("a cookie").value;
    let mut browser = TcpStream::connect(house.gateway.http).await.expect("connects");
    let head = format!(
        "GET /chat HTTP/1.1\r\nHost: art.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Origin: http://art.test\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: tollgate={cookie}\r\n\r\n"
    );
    browser.write_all(head.as_bytes()).await.expect("asks");
    let mut server = behind.accept().await;
    read_until(&mut server, "\r\n\r\n").await;
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    server.write_all(agreed.as_bytes()).await.expect("agrees");
    read_until(&mut browser, "\r\n\r\n").await;
    log_out(&mut jane, "books").await;
    let mut rest = Vec::new();
    timeout(HANG, browser.read_to_end(&mut rest)).await.expect("an end").expect("reads");
    assert_eq!(rest, b"\x88\x0f\x03\xf0session ended");
}

#[tokio::test]
async fn a_logout_where_nobody_is_known_any_more_is_one_all_the_same() {
    let house = House::of(3, |_, site| site).await;
    for (link, ends_at) in [
        ("/.tollgate/logout", "https://login.test/bye"),
        (
            "/.tollgate/logout?return_url=/a%26b?c%3Dd",
            "https://login.test/bye?return_url=http%3A%2F%2Fbooks.test%2Fa%26b%3Fc%3Dd&site=books",
        ),
    ] {
        let mut jane = everywhere(&house).await;
        let mut at_home = everywhere(&house).await;
        jane.jar.store("tollgate=; Path=/; Max-Age=0", "books.test", false, house.gateway.clock.now());
        let (urls, _) = travel(&mut jane, &format!("http://books.test{link}")).await;
        let round = ["books/.tollgate/logout", "cars/.tollgate/group/logout", "art/.tollgate/group/logout"];
        assert_eq!(places(&urls)[..3], round);
        assert_eq!((urls.len(), urls[4].as_str()), (5, ends_at), "{urls:#?}");
        for name in NAMES {
            house.upstream(name).forget().await;
            let (urls, _) = travel(&mut jane, &format!("http://{name}.test/closed")).await;
            assert!(urls.last().expect("some").starts_with("https://login.test/"), "{urls:?}");
            house.upstream(name).assert_untouched("who logged out").await;
        }
        assert!(house.opens(&mut at_home, "art").await, "another browser is another session");
    }
}

#[tokio::test]
async fn a_session_that_has_run_out_still_tells_whose_the_others_are() {
    let house = House::of(3, |name, site| match name {
        "books" => site.with("session_idle", "\"5m\""),
        _ => site,
    })
    .await;
    let mut jane = everywhere(&house).await;
    house.gateway.advance(minutes(6));
    travel(&mut jane, "http://books.test/.tollgate/logout").await;
    for name in NAMES {
        assert!(!house.opens(&mut jane, name).await, "{name}");
    }
    assert_eq!(house.sessions().await, 0);
}

#[tokio::test]
async fn only_a_page_that_somebody_goes_to_logs_out_by_way_of_another_site() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let link = "http://art.test/.tollgate/group/logout?site=books";
    for (ask, status) in [
        (Ask::navigate("HEAD", link), 204),
        (Ask::navigate("GET", link).with("Purpose", "prefetch"), 403),
        (Ask::navigate("GET", link).with("Sec-Fetch-Dest", "iframe"), 403),
        (Ask::script("GET", link), 403),
        (Ask::navigate("GET", &link.replace("books", "nowhere")), 404),
        (Ask::navigate("GET", &link.replace("books", "art")), 404),
        (Ask::script("POST", "http://books.test/.tollgate/logout"), 303),
    ] {
        let shown = format!("{ask:?}");
        let answer = jane.send(ask).await;
        assert_eq!(answer.status, status, "{shown}");
        assert!(!answer.header("location").unwrap_or_default().contains("art.test"), "{shown}");
        assert!(house.opens(&mut jane, "art").await, "{shown}");
    }
    let foreign = format!("{link}&return_url=https://evil.test/");
    let location = jane.get(&foreign).await.location();
    assert_eq!(location, "http://books.test/.tollgate/logout?return_url=/&asked=1");
    assert!(!house.opens(&mut jane, "art").await);
}

#[tokio::test]
async fn a_session_that_a_logout_did_not_see_ends_with_it() {
    let (frail, house) = House::over_frail_store(2).await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let answered = last_step(&mut jane, "books").await;
    let mut other_tab = jane.tab();
    // The logout has gone over the kin, of which there are none yet, and is about to end the source.
    let nothing_ends = frail.ending.write().await;
    let leaving = tokio::spawn(async move { other_tab.get("http://art.test/.tollgate/logout").await });
    settle().await;
    assert_eq!(jane.get(&answered).await.status, 302);
    assert!(house.opens(&mut jane, "books").await);
    drop(nothing_ends);
    leaving.await.expect("comes back");
    assert!(!house.opens(&mut jane, "books").await);
    assert_eq!(house.sessions().await, 0);
}

#[tokio::test]
async fn a_token_that_was_on_its_way_opens_nothing_after_a_logout() {
    for left_at in ["art", "cars"] {
        let house = House::of(3, |_, site| site).await;
        let mut jane = house.reader("art", "jane@example.com").await;
        travel(&mut jane, "http://cars.test/closed").await;
        let on_the_way = last_step(&mut jane, "books").await;
        log_out(&mut jane, left_at).await;
        let (urls, _) = travel(&mut jane, &on_the_way).await;
        assert!(urls.last().expect("some").contains("error=token_invalid"), "{urls:?}");
        assert!(jane.jar.cookie("books.test", "tollgate").is_none());
        house.upstream("books").assert_untouched("a token of who logged out").await;
        assert_eq!(house.sessions().await, 0);
    }
}

#[tokio::test]
async fn a_browser_that_comes_again_with_its_token_after_a_logout_gets_nothing() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let answered = last_step(&mut jane, "books").await;
    let (mut again, mut late) = (jane.tab(), jane.tab());
    assert_eq!(jane.get(&answered).await.status, 302);
    // Its answer was lost, and it asks again: the same session.
    again.get(&answered).await;
    assert!(house.opens(&mut again, "books").await);
    assert_eq!(house.sessions().await, 2);
    log_out(&mut jane, "art").await;
    late.get(&answered).await;
    assert!(!house.opens(&mut late, "books").await);
    assert_eq!(house.sessions().await, 0);
}

#[tokio::test]
async fn a_session_that_begins_behind_a_logout_is_none() {
    let (frail, house) = House::over_frail_store(2).await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let answered = last_step(&mut jane, "books").await;
    let mut other_tab = jane.tab();
    let nothing_begins = frail.beginning.write().await;
    let redeeming = tokio::spawn(async move {
        let answer = other_tab.get(&answered).await;
        (answer, other_tab)
    });
    settle().await;
    log_out(&mut jane, "art").await;
    drop(nothing_begins);
    let (answer, other_tab) = redeeming.await.expect("comes back");
    assert!(answer.location().contains("error=token_invalid"), "{answer:?}");
    assert!(other_tab.jar.cookie("books.test", "tollgate").is_none());
    assert_eq!(house.sessions().await, 0);
}

#[tokio::test]
async fn a_logout_that_failed_can_be_tried_again() {
    let (frail, house) = House::over_frail_store(3).await;
    let mut jane = everywhere(&house).await;
    frail.is_down.store(true, Ordering::SeqCst);
    let answer = jane.get("http://books.test/.tollgate/logout").await;
    assert_eq!(answer.status, 503);
    frail.is_down.store(false, Ordering::SeqCst);
    assert_eq!(house.sessions().await, 3);
    log_out(&mut jane, "books").await;
    assert_eq!(house.sessions().await, 0);
}

#[tokio::test]
async fn a_logout_and_a_login_elsewhere_at_once_leave_nothing_behind() {
    let house = House::of(3, |_, site| site).await;
    for round in 0..60 {
        let mut jane = house.reader("art", "jane@example.com").await;
        let cars = last_step(&mut jane, "cars").await;
        let books = last_step(&mut jane, "books").await;
        let mut tasks = JoinSet::new();
        for url in [books, cars, "http://art.test/.tollgate/logout".to_owned()] {
            let mut tab = jane.tab();
            tasks.spawn(async move { tab.get(&url).await });
        }
        while let Some(answer) = tasks.join_next().await {
            assert!(matches!(answer.expect("comes back").status, 200 | 302));
        }
        assert_eq!(house.sessions().await, 0, "round {round}");
        house.gateway.advance(seconds(4));
    }
}

#[tokio::test]
async fn only_a_logout_goes_round_and_nothing_else_that_ends_a_session() {
    let house = House::of(3, |_, site| site).await;
    let mut jane = everywhere(&house).await;
    let api = house.gateway.api();
    // Somebody else signs in at one of them.
    sign_in(&mut jane, &house.login_page("art"), "art", "joe@example.com").await;
    assert!(house.opens(&mut jane, "books").await && house.opens(&mut jane, "cars").await);
    // One session is ended by its name.
    let sessions = api.get("/v1/sessions?site=cars").await.json();
    let id = sessions["sessions"][0]["id"].as_str().expect("an id");
    assert_eq!(api.delete(&format!("/v1/sessions/{id}")).await.json(), json!({ "revoked": 1 }));
    assert!(house.opens(&mut jane, "books").await && !house.opens(&mut jane, "cars").await);
    // All of a person are ended by the person.
    let mut elsewhere = everywhere(&house).await;
    let answer = api.delete("/v1/sessions?email=jane@example.com").await;
    assert_eq!(answer.json(), json!({ "revoked": 4 }));
    for name in NAMES {
        assert!(!house.opens(&mut elsewhere, name).await);
    }
    // Joe logs out, and with him nobody else.
    let mut jane_again = everywhere(&house).await;
    log_out(&mut jane, "art").await;
    assert!(!house.opens(&mut jane, "art").await);
    assert!(house.opens(&mut jane_again, "books").await);
}

#[tokio::test]
async fn deleted_people_do_not_come_back_by_another_site() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let url = last_step(&mut jane, "books").await;
    let api = house.gateway.api();
    let user = api.get("/v1/users").await.json()["users"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(api.delete(&format!("/v1/users/{user}")).await.status, 200);
    for url in [url.as_str(), "http://books.test/closed"] {
        let (urls, _) = travel(&mut jane, url).await;
        assert!(urls.last().expect("some").starts_with("https://login.test/books"), "{urls:?}");
    }
    assert_eq!(api.get("/v1/users").await.json()["users"], json!([]));
    assert_eq!(house.sessions().await, 0);
}
