//! What becomes of questions that nobody asked: URLs that somebody made up, other browsers' states,
//! tokens on the wrong way.

use super::{House, travel};
use crate::support::{Ask, Visitor, encoded, parameter, query_of, seconds};

/// The URL at which `asked` is asked about a stranger of `site`.
fn question(asked: &str, site: &str, return_url: &str, state: &str) -> String {
    let (site, return_url, state) = (encoded(site), encoded(return_url), encoded(state));
    format!("http://{asked}.test/.tollgate/group?site={site}&return_url={return_url}&state={state}")
}

/// A browser that came to books without a session, and the state that it has there.
async fn stranger(house: &House) -> (Visitor, String) {
    let mut visitor = Visitor::at(&house.gateway);
    let answer = visitor.get("http://books.test/closed").await;
    let state = parameter(&answer.location(), "state");
    (visitor, state)
}

#[tokio::test]
async fn a_link_with_the_attackers_state_signs_nobody_in() {
    let house = House::of_two().await;
    let mut victim = house.reader("art", "jane@example.com").await;
    let (mut attacker, state) = stranger(&house).await;
    // The victim follows the attacker's link; what comes of it is an address at books, and nothing else.
    let (urls, _) = travel(&mut victim, &question("art", "books", "/closed", &state)).await;
    assert!(urls[1].starts_with("http://books.test/.tollgate/redeem?"), "{urls:#?}");
    assert!(urls[2].starts_with("https://login.test/books?"), "{urls:#?}");
    assert!(!urls[2].contains(&parameter(&urls[1], "sso")), "the token is told to nobody: {urls:#?}");
    assert!(victim.jar.cookie("books.test", "tollgate").is_none());
    house.upstream("books").assert_untouched("a state of another browser").await;
    // It stays the attacker's link for half a minute, had the attacker seen it.
    house.gateway.advance(seconds(30));
    attacker.get(&urls[1]).await;
    assert!(attacker.jar.cookie("books.test", "tollgate").is_none());
    assert!(house.opens(&mut victim, "art").await);
    // The victim's own way is open.
    assert_eq!(travel(&mut victim, "http://books.test/closed").await.1.status, 200);
}

#[tokio::test]
async fn a_token_for_one_browser_is_nothing_to_another_and_nothing_at_other_sites() {
    let house = House::of(3, |_, site| site).await;
    let mut jane = house.reader("art", "jane@example.com").await;
    // Cars is asked first, and does not know.
    let mut answered = jane.get("http://books.test/closed").await.location();
    while !answered.contains("/redeem?") {
        answered = jane.get(&answered).await.location();
    }
    let token = parameter(&answered, "sso");
    let mut thief = Visitor::at(&house.gateway);
    thief.get("http://books.test/closed").await;
    for site in ["books", "cars", "art"] {
        for way in [format!("closed?sso={token}"), format!(".tollgate/redeem?sso={token}")] {
            let answer = thief.get(&format!("http://{site}.test/{way}")).await;
            assert_eq!(answer.status, 302, "{site} {way}: {answer:?}");
            assert!(thief.jar.cookie(&format!("{site}.test"), "tollgate").is_none(), "{site} {way}");
        }
    }
    // None of that used it up.
    assert_eq!(travel(&mut jane, &answered).await.1.status, 200);
    assert!(house.opens(&mut jane, "books").await);
    let mut again = Visitor::at(&house.gateway);
    again.get(&answered).await;
    assert!(again.jar.cookie("books.test", "tollgate").is_none(), "once only");
}

#[tokio::test]
async fn nobody_is_sent_anywhere_but_to_the_site() {
    let house = House::of_two().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    for (named, becomes) in [
        ("https://evil.test/", "/"),
        ("//evil.test/", "/"),
        ("/\\evil.test", "/"),
        ("http://books.test.evil.test/a", "/"),
        ("http://books.test@evil.test/a", "/"),
        ("http://art.test/a", "/"),
        ("https://books.test/a", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/a/../b", "/"),
        ("http://books.test/a?b#c", "/a?b#c"),
        ("/a?sso=AAAA&b", "/a?sso=AAAA&b"),
        ("/a&state=x", "/a&state=x"),
    ] {
        let (mut stranger, state) = stranger(&house).await;
        for (visitor, ends_at) in [(&mut jane, "redeem"), (&mut stranger, "login")] {
            let location = visitor.get(&question("art", "books", named, &state)).await.location();
            let prefix = format!("http://books.test/.tollgate/{ends_at}?");
            assert!(location.starts_with(&prefix), "{named}: {location}");
            assert_eq!(parameter(&location, "return_url"), becomes, "{location}");
            assert_eq!(query_of(&location).len(), 2, "{location}");
        }
        house.gateway.advance(seconds(10));
        assert!(house.opens(&mut jane, "art").await);
    }
}

#[tokio::test]
async fn a_question_that_no_site_would_ask_has_no_answer() {
    let (house, _others) = House::beside_others().await;
    let mut jane = house.reader("art", "jane@example.com").await;
    let (_, state) = stranger(&house).await;
    for (site, state) in [
        ("art", state.as_str()),
        ("alone", &state),
        ("nowhere", &state),
        ("", &state),
        ("books\r\n", &state),
        ("books", ""),
        ("books", "short"),
        ("books", &format!("{state}A")),
        ("books", &format!("{}&", &state[1..])),
        ("books", &format!("{}\n", &state[1..])),
    ] {
        let answer = jane.get(&question("art", site, "/", state)).await;
        assert_eq!(answer.status, 404, "{site} {state}: {answer:?}");
        assert_eq!(answer.header("location"), None);
    }
    let good = question("art", "books", "/", &state);
    for (ask, status) in [
        (Ask::navigate("HEAD", &good), 204),
        (Ask::navigate("POST", &good).form(&[("a", "b")]), 405),
        (Ask::navigate("GET", &good).with("Sec-Purpose", "prefetch;prerender"), 403),
        (Ask::navigate("GET", &good).with("Sec-Fetch-Dest", "iframe"), 403),
        (Ask::navigate("GET", &good).with("Sec-Fetch-Mode", "no-cors").with("Sec-Fetch-Dest", "image"), 403),
        (Ask::script("GET", &good), 403),
        (Ask::script("GET", &good).with("Origin", "http://books.test"), 403),
        (Ask::script("OPTIONS", &good).with("Access-Control-Request-Method", "GET"), 405),
    ] {
        let shown = format!("{ask:?}");
        let answer = jane.send(ask).await;
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.header("location"), None, "{shown}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{shown}");
    }
    for path in ["/.tollgate//group", "/.tollgate/group/", "/.tollgate/%67roup", "/.tollgate/group;x"] {
        let answer = jane.get(&good.replace("/.tollgate/group", path)).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    house.upstream("art").assert_untouched("a path of the gateway").await;
}

#[tokio::test]
async fn a_session_that_came_twice_is_handed_on_by_neither() {
    let house = House::of_two().await;
    let jane = house.reader("art", "jane@example.com").await;
    let joe = house.reader("art", "joe@example.com").await;
    let (_, state) = stranger(&house).await;
    let [jane, joe] = [jane, joe].map(|v| v.jar.cookie("art.test", "tollgate").expect("a cookie").value);
    let ask = Ask::navigate("GET", &question("art", "books", "/", &state))
        .with("Cookie", &format!("tollgate={jane}; tollgate={joe}"));
    let location = Visitor::at(&house.gateway).send(ask).await.location();
    assert!(location.starts_with("http://books.test/.tollgate/login?"), "{location}");
}
