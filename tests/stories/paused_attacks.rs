//! Ways to misuse what is kept for a visitor: none of them makes the upstream receive anything that the
//! visitor did not write and send.

use tollgate::domain::clock::Clock;

use crate::paused::{attribute, come_back, fields, goes_by_itself, own_form, resumed};
use crate::support::{
    Ask, FakeUpstream, Plan, SITE, SitePlan, TestGateway, Visitor, encoded, local, parameter, seconds,
};

#[tokio::test]
async fn a_form_of_another_site_is_not_kept_for_the_visitors_login() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let url = format!("{SITE}/transfer");
    let own = || own_form(&url, "to=mallory");
    for (what, ask) in [
        ("another origin", own().with("Origin", "https://evil.test").with("Sec-Fetch-Site", "cross-site")),
        ("another origin that says it is this one", own().with("Origin", "https://evil.test")),
        ("a sibling", own().with("Origin", "http://other.site.test").with("Sec-Fetch-Site", "same-site")),
        ("another scheme", own().with("Origin", "https://site.test")),
        ("another port", own().with("Origin", "http://site.test:81")),
        ("a longer host", own().with("Origin", "http://site.test.evil.test")),
        ("this origin from elsewhere", own().with("Sec-Fetch-Site", "cross-site")),
        ("nobody's origin", own().with("Origin", "null")),
        ("two origins", own().and("Origin", "https://evil.test")),
        ("the same twice", own().and("Origin", SITE)),
        ("an old browser that says nothing", own().without("Origin").without("Sec-Fetch-Site")),
        ("an address bar", own().without("Origin").with("Sec-Fetch-Site", "none")),
    ] {
        let mut victim = Visitor::at(&gateway);
        let challenged = victim.send(ask).await;
        assert_eq!(challenged.status, 303, "{what}");
        let back = come_back(&gateway, &mut victim, &challenged.location(), "jane@example.com").await;
        assert_eq!(local(&back.location()), "/transfer", "{what}");
        victim.get(&url).await;
        assert_eq!(upstream.last().method, "GET", "{what}");
    }
    assert!(upstream.requests().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn a_host_that_an_attacker_leads_here_gets_nothing_of_another() {
    let upstream = FakeUpstream::start().await;
    let site = SitePlan::new("intranet", "*", upstream.address());
    let gateway = Plan::of(site).start().await;
    // DNS rebinding: the attacker's page is of the same origin with itself, and sends its own cookies.
    let mut victim = Visitor::at(&gateway);
    let evil = own_form("http://evil.test/save", "to=mallory").with("Origin", "http://evil.test");
    victim.send(evil.clone()).await;
    let to_login = victim.get(&format!("{SITE}/save")).await.location();
    let back = come_back(&gateway, &mut victim, &to_login, "jane@example.com").await;
    assert_eq!(local(&back.location()), "/save");
    // Even with the very same browser key.
    let key = victim.jar.cookie("evil.test", "tollgate_state").expect("has one").value;
    let mut mixed = Visitor::at(&gateway);
    let now = gateway.clock.now();
    mixed.jar.store(&format!("tollgate_state={key}"), "site.test", false, now);
    let to_login = mixed.get(&format!("{SITE}/save")).await.location();
    let back = come_back(&gateway, &mut mixed, &to_login, "jane@example.com").await;
    assert_eq!(local(&back.location()), "/save");
    // Where the site says what it is called, nothing is kept under another name.
    let site = SitePlan::new("intranet", "*", upstream.address()).with("public_url", &format!("{SITE:?}"));
    let gateway = Plan::of(site).start().await;
    let mut victim = Visitor::at(&gateway);
    victim.send(evil).await;
    let to_login = victim.get(&format!("{SITE}/save")).await.location();
    let back = come_back(&gateway, &mut victim, &to_login, "jane@example.com").await;
    assert_eq!(local(&back.location()), "/save");
    upstream.assert_untouched("nothing was sent again").await;
}

#[tokio::test]
async fn what_one_browser_left_is_not_another_browsers_whoever_has_the_address() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let url = format!("{SITE}/save");
    let mut attacker = Visitor::at(&gateway);
    let to_login = attacker.send(own_form(&url, "to=mallory")).await.location();
    let back = come_back(&gateway, &mut attacker, &to_login, "mallory@example.com").await;
    let address = format!("{SITE}{}", local(&back.location()));

    // The address in the browser of a victim: a stranger, one who has signed in, one with the same page.
    let mut victim = Visitor::at(&gateway);
    assert_eq!(victim.get(&address).await.location(), "/save");
    victim.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert_eq!(victim.get(&address).await.location(), "/save");
    let mut other = Visitor::at(&gateway);
    let to_login = other.send(own_form(&url, "mine=1")).await.location();
    let own = come_back(&gateway, &mut other, &to_login, "john@example.com").await;
    assert_eq!(other.get(&address).await.location(), "/save");
    // No other site can bring a visitor to what is the visitor's own: nobody has the ticket.
    for ticket in ["", "A", &"A".repeat(22), &parameter(&address, "ticket")] {
        let guess = format!("{SITE}/.tollgate/resume?ticket={ticket}&return_url={}", encoded(&url));
        assert_eq!(other.get(&guess).await.location(), "/save", "{ticket}");
    }
    assert_eq!(fields(&resumed(&mut other, &own).await.text()), [("mine".to_owned(), "1".to_owned())]);
    upstream.assert_untouched("nothing was sent again").await;
}

#[tokio::test]
async fn the_address_is_good_for_a_person_who_opens_it_in_the_session_that_it_is_for() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/save");
    let to_login = visitor.send(own_form(&url, "a=1")).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let address = format!("{SITE}{}", local(&back.location()));
    // A look ahead, a HEAD, a script: none of them takes it.
    let ahead = Ask::navigate("GET", &address).with("Sec-Purpose", "prefetch");
    assert_eq!(visitor.send(ahead).await.status, 403);
    assert_eq!(visitor.send(Ask::navigate("HEAD", &address)).await.status, 204);
    assert_eq!(visitor.fetch(&address).await.status, 403);
    assert_eq!(visitor.send(Ask::navigate("POST", &address).form(&[])).await.status, 405);
    // Nor does somebody without the session, though the browser is the same.
    let session = visitor.session_cookie().expect("has one");
    visitor.jar.store("tollgate=; Max-Age=0", "site.test", false, gateway.clock.now());
    assert_eq!(visitor.get(&address).await.location(), "/save");
    visitor.jar.store(&format!("tollgate={session}"), "site.test", false, gateway.clock.now());
    // Where it leads to without anything is the site itself, whatever it says.
    let elsewhere = format!("{SITE}/.tollgate/resume?return_url={}", encoded("https://evil.test/"));
    assert_eq!(visitor.get(&elsewhere).await.location(), "/");
    assert_eq!(fields(&resumed(&mut visitor, &back).await.text()), [("a".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn of_two_logins_at_once_one_sends_it_again() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/save");
    let to_login = visitor.send(own_form(&url, "a=1")).await.location();
    let first = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let second = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    // The first session has ended with the second login, and its ticket with it.
    assert_eq!(visitor.get(&format!("{SITE}{}", local(&first.location()))).await.location(), "/save");
    let address = format!("{SITE}{}", local(&second.location()));
    let mut tabs = Vec::new();
    for _ in 0..8 {
        let mut tab = visitor.tab();
        let address = address.clone();
        tabs.push(tokio::spawn(async move { tab.get(&address).await.status }));
    }
    let mut answers = Vec::new();
    for tab in tabs {
        answers.push(tab.await.expect("runs"));
    }
    answers.sort_unstable();
    assert_eq!(answers, [200, 302, 302, 302, 302, 302, 302, 302]);
}

#[tokio::test]
async fn hostile_text_in_a_form_stays_text() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let value = "\"'></form></script><script>alert(1)</script><img src=//evil.test>&quot;\u{1}\u{fffe}";
    let names = ["submit", "dataset", "action", "__proto__", "id", "\"><b>"];
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(names.iter().map(|name| (name, value)))
        .finish();
    let mut visitor = Visitor::at(&gateway);
    let url = format!("{SITE}/save?q='%3Cscript%3E&amp;");
    let to_login = visitor.send(own_form(&url, &body)).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let page = resumed(&mut visitor, &back).await;
    let html = page.text();
    assert_eq!(fields(&html), names.map(|name| (name.to_owned(), value.to_owned())));
    assert_eq!((html.matches("<script>").count(), html.matches("<img").count()), (1, 0), "{html}");
    assert_eq!(attribute(&html, "form", "action").as_deref(), Some("/save?q='%3Cscript%3E&amp;"));
    // A NUL cannot stand in a page: such a body is sent by the script, as it is.
    let mut visitor = Visitor::at(&gateway);
    let to_login = visitor.send(own_form(&format!("{SITE}/save"), "a=%00")).await.location();
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    let html = resumed(&mut visitor, &back).await.text();
    assert_eq!(attribute(&html, "div", "data-body").as_deref(), Some("YT0lMDA="));
    upstream.assert_untouched("nothing was sent again").await;
}

#[tokio::test]
async fn who_floods_the_gateway_with_forms_loses_only_his_own() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let url = format!("{SITE}/save");
    let mut visitor = Visitor::at(&gateway);
    let to_login = visitor.send(own_form(&url, "mine=1")).await.location();
    let mut first = Visitor::at(&gateway).at_address(6, 6);
    let to_login_first = first.send(own_form(&url, "first=1")).await.location();
    let large = format!("a={}", "x".repeat(250 << 10));
    for _ in 0..40 {
        let mut flooding = Visitor::at(&gateway).at_address(6, 6);
        assert_eq!(flooding.send(own_form(&url, &large)).await.status, 303);
    }
    let back = come_back(&gateway, &mut first, &to_login_first, "mallory@example.com").await;
    assert_eq!(local(&back.location()), "/save", "the oldest of this address had to go");
    let back = come_back(&gateway, &mut visitor, &to_login, "jane@example.com").await;
    assert!(goes_by_itself(&resumed(&mut visitor, &back).await));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_forever() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::before(&upstream).await;
    let head = |framing: &str| {
        format!(
            "POST /save HTTP/1.1\r\nHost: site.test\r\nOrigin: {SITE}\r\nAccept: text/html\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{framing}\r\n\r\n"
        )
    };
    let visitor = Visitor::at(&gateway);
    // Too much, in chunks: what it will be nobody knows before.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let many = [head("Transfer-Encoding: chunked"), chunk.repeat(5), "0\r\n\r\n".to_owned()].concat();
    assert_eq!(visitor.send_raw(many.as_bytes()).await.expect("answers").status, 303);
    // Whoever asks first is told at once.
    let asking = head("Content-Length: 100\r\nExpect: 100-continue");
    assert_eq!(visitor.send_raw(asking.as_bytes()).await.expect("answers").status, 303);
    // The rest never comes.
    let slow = [head("Content-Length: 100"), "a=1".to_owned()].concat();
    let answer = tokio::time::timeout(seconds(60), visitor.send_raw(slow.as_bytes())).await;
    assert_eq!(answer.expect("is not waited for").expect("answers").status, 303);
    upstream.assert_untouched("nobody signed in").await;
}
