use std::net::SocketAddr;

use super::*;
use crate::demo::testing::{exchange, field, free_port, status};

async fn running_site() -> SocketAddr {
    let (listener, address) = free_port().await;
    tokio::spawn(serve(listener, std::future::pending()));
    address
}

async fn page(head: &str) -> String {
    exchange(running_site().await, head, "").await
}

#[tokio::test]
async fn a_visitor_is_greeted_by_the_name_that_the_gateway_told() {
    let told = "GET /members/ HTTP/1.1\r\nX-Forwarded-User: emilie@example.com\r\nX-Forwarded-Email: \
                emilie@example.com\r\nX-Forwarded-Name: Émilie du Châtelet\r\nX-Forwarded-Role: editor";
    let html = page(told).await;
    assert_eq!(status(&html), "200 OK");
    assert_eq!(field(&html, "cache-control"), Some("no-store"));
    for part in [
        "Good morning, <strong>Émilie du Châtelet</strong>. You are emilie@example.com.",
        "Your chair is free, Émilie du Châtelet.",
        "<tr class=\"who\"><th scope=\"row\">x-forwarded-role</th><td>editor</td></tr>",
        "<a href=\"/.tollgate/logout\">Log out</a>",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[tokio::test]
async fn the_editors_desk_shows_the_role() {
    let html = page("GET /admin/ HTTP/1.1\r\nX-Forwarded-Role: editor").await;
    assert!(html.contains("your role here is <strong>editor</strong>"), "{html}");
    let html = page("GET /admin/ HTTP/1.1").await;
    assert!(html.contains("The gateway names no role for you."), "{html}");
}

#[tokio::test]
async fn an_article_echoes_its_query_and_a_stranger_can_sign_in_to_come_back() {
    let html = page("GET /articles/on-tolls?page=2&from=d%26mo+1 HTTP/1.1").await;
    for part in [
        "<h1>On tolls</h1>",
        "<dt>page</dt><dd>2</dd>",
        "<dt>from</dt><dd>d&#38;mo 1</dd>",
        "<code>GET /articles/on-tolls?page=2&#38;from=d%26mo+1</code>",
        "/.tollgate/login?return_url=%2Farticles%2Fon-tolls%3Fpage%3D2%26from%3Dd%2526mo%2B1\"",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[tokio::test]
async fn headers_are_shown_as_they_came_and_none_is_markup() {
    let html =
        page("GET / HTTP/1.1\r\nX-One: 1\r\nX-Forwarded-Name: <script>alert(1)</script>\r\nX-Two: \"&").await;
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} in {html}"));
    assert!(place("x-one") < place(">x-forwarded-name") && place(">x-forwarded-name") < place("x-two"));
    assert!(html.contains("<td>&#34;&#38;</td>"), "{html}");
    assert!(!html.contains("<script"), "{html}");
}

#[tokio::test]
async fn each_page_stands_on_its_own() {
    for (target, expected) in [
        ("/", "200 OK"),
        ("/articles/", "200 OK"),
        ("/articles/%ff%00%3Cb%3E", "200 OK"),
        ("/members", "200 OK"),
        ("/public/a?b", "200 OK"),
        ("/admin/x", "200 OK"),
        ("/publicity", "404 Not Found"),
        ("/articles", "404 Not Found"),
    ] {
        let html = page(&format!("GET {target} HTTP/1.1")).await;
        assert_eq!(status(&html), expected, "{target}");
        for once in ["<h1>", "<main>", "<title>", "name=\"viewport\"", "lang=\"en\""] {
            assert_eq!(html.matches(once).count(), 1, "{once} in {html}");
        }
        for foreign in ["<script", "://", "url(", " src=", "<b>"] {
            assert!(!html.contains(foreign), "{foreign} in {html}");
        }
    }
}

#[tokio::test]
async fn echo_tells_a_program_what_arrived() {
    let site = running_site().await;
    let answer = exchange(site, "POST /echo?a=b HTTP/1.1\r\nX-Forwarded-User: ada", "twelve bytes").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let echo: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(field(&answer, "content-type"), Some("application/json"));
    assert_eq!((&echo["method"], &echo["target"]), (&json!("POST"), &json!("/echo?a=b")));
    assert_eq!(echo["headers"][0], json!(["x-forwarded-user", "ada"]));
    assert_eq!(echo["body_bytes"], 12);
}

#[tokio::test]
async fn pages_take_no_other_method() {
    let answer = page("DELETE /members/ HTTP/1.1").await;
    assert_eq!((status(&answer), field(&answer, "allow")), ("405 Method Not Allowed", Some("GET, HEAD")));
}

#[tokio::test]
async fn the_site_closes_when_it_is_told_to() {
    let (listener, address) = free_port().await;
    serve(listener, std::future::ready(())).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
