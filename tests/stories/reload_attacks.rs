//! Who makes ready for a change of the settings, so as to go on with what it takes away.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tollgate::domain::clock::Clock as _;

use crate::support::{
    Ask, Connection, FakeUpstream, HANG, MASTER_KEY, Plan, SITE, TestGateway, Visitor, settle,
};

/// The key of an operator, with which those of others are taken away.
const OTHER: &str = "other-key-of-the-stories-0123456789-abcdefghijkl";

fn with_another_key(plan: Plan) -> Plan {
    plan.key(&format!("name = \"other\"\nsecret = {OTHER:?}\nscopes = [\"read:sessions\"]"))
}

#[tokio::test]
async fn a_call_that_was_begun_with_a_key_is_not_done_after_the_key_is_taken_away() {
    let upstream = FakeUpstream::start().await;
    let member = r#"{"email":"jane@example.com","site":"intranet","first_name":"Jane","last_name":"Doe"}"#;
    for (target, content_type, body) in [
        ("POST /v1/sso_tokens", "application/json", member),
        ("PATCH /v1/users/1", "application/json", r#"{"account":"full"}"#),
        ("POST /api/session/get-token", "application/x-www-form-urlencoded", "email=jane@example.com"),
    ] {
        let mut gateway = with_another_key(Plan::new(&upstream)).start().await;
        assert!(!gateway.login_page().token_for("jane@example.com").await.is_empty());
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut call = Connection::open([127, 0, 0, 1].into(), gateway.control).await;
            let opening = format!(
                "{target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {MASTER_KEY}\r\n\
                 Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
                gateway.control,
                body.len(),
            );
            assert!(call.send(opening.as_bytes()).await);
            assert!(call.send(&body.as_bytes()[..1]).await);
            held.push(call);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        // A change of something else is none for a call that is under way.
        let (mut early, mut late) = (held.remove(0), held.remove(0));
        let other = with_another_key(Plan::new(&upstream).site(|site| site.with("max_body", "\"1MiB\"")));
        gateway.reload(&other).await.unwrap();
        assert!(early.send(&body.as_bytes()[1..]).await);
        let status = early.receive("POST").await.unwrap().status;
        assert!((200..300).contains(&status), "{target}: {status}");
        gateway.reload(&with_another_key(Plan::new(&upstream).without_keys())).await.unwrap();
        assert!(late.send(&body.as_bytes()[1..]).await);
        let answer = late.receive("POST").await.unwrap();
        // The older of the APIs says so in the body.
        let is_refused = answer.status == 401 || answer.text().contains("invalid_signature");
        assert!(is_refused, "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn who_comes_again_at_once_to_listen_does_not_slip_in_with_a_key_that_is_taken_away() {
    let upstream = FakeUpstream::start().await;
    let (mine, others) =
        (with_another_key(Plan::new(&upstream)), with_another_key(Plan::new(&upstream).without_keys()));
    let mut gateway = mine.clone().start().await;
    let control = gateway.control;
    let insistent: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn(async move {
                loop {
                    let _is_over = listen(control).await;
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let all = async {
            while listeners(&gateway).await < 6 {
                settle().await;
            }
        };
        timeout(HANG, all).await.expect("all of them listen");
        gateway.reload(&others).await.unwrap();
        let nobody = async {
            while listeners(&gateway).await > 0 {
                settle().await;
            }
        };
        timeout(HANG, nobody).await.expect("nobody listens without a key");
        gateway.reload(&mine).await.unwrap();
    }
    insistent.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Listens until that is over.
async fn listen(control: std::net::SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(control).await?;
    let opening = format!(
        "GET /v1/events HTTP/1.1\r\nHost: {control}\r\nAuthorization: Bearer {MASTER_KEY}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(opening.as_bytes()).await?;
    let mut heard = [0; 1024];
    loop {
        let length = stream.read(&mut heard).await?;
        let text = String::from_utf8_lossy(&heard[..length]);
        if length == 0 || text.contains("event: end") || text.contains(" 401 ") {
            return Ok(());
        }
    }
}

async fn listeners(gateway: &TestGateway) -> u64 {
    let page = gateway.api().with_key(Some(OTHER)).get("/metrics").await;
    let text = page.text();
    let line =
        text.lines().find_map(|line| line.strip_prefix("tollgate_event_listeners ")).expect("a figure");
    line.parse().unwrap()
}

#[tokio::test]
async fn a_proxy_that_is_trusted_no_more_does_not_vouch_for_the_connections_that_it_introduced() {
    const PROXY: [u8; 4] = [127, 0, 9, 1];
    let upstream = FakeUpstream::start().await;
    let plan = |proxy: &str| {
        Plan::new(&upstream)
            .server("proxy_protocol", "true")
            .server("trusted_proxies", &format!("[{proxy:?}]"))
            .site(|site| {
                site.route_with(&[
                    ("path", "\"/public/inside/\"".to_owned()),
                    ("access", "\"off\"".to_owned()),
                    ("require", "{ networks = [\"10.0.0.0/8\"] }".to_owned()),
                ])
            })
    };
    let mut gateway = plan("127.0.9.1").start().await;
    let mut kept = Connection::open(PROXY.into(), gateway.http).await;
    assert!(kept.send(b"PROXY TCP4 10.0.0.7 127.0.0.1 1 2\r\n").await);
    let ask = b"GET /public/inside/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
    assert_eq!(kept.exchange(ask, "GET").await.unwrap().status, 200);
    assert_eq!(upstream.last().header("x-real-ip").as_deref(), Some("10.0.0.7"));
    gateway.reload(&plan("127.0.9.9")).await.unwrap();
    let before = upstream.count();
    assert_eq!(kept.exchange(ask, "GET").await.map(|answer| answer.status), Some(403));
    assert_eq!(upstream.count(), before);
    gateway.reload(&plan("127.0.9.1")).await.unwrap();
    assert_eq!(kept.exchange(ask, "GET").await.unwrap().status, 200);
}

#[tokio::test]
async fn the_key_in_a_cookie_of_another_name_opens_nothing_for_the_upstream_that_sees_it() {
    let upstream = FakeUpstream::start().await;
    let plan = |cookie: &str| Plan::new(&upstream).site(|site| site.cookie("name", &format!("{cookie:?}")));
    let mut gateway = plan("tollgate").start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    let key = visitor.cookie("tollgate").expect("is signed in").value;
    gateway.reload(&plan("second")).await.unwrap();
    let nobody = async {
        while gateway.api().get("/v1/sessions").await.json().to_string().contains("jane") {
            settle().await;
        }
    };
    timeout(HANG, nobody).await.expect("nobody is signed in");
    assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.status, 200);
    assert_eq!(upstream.last().header("cookie"), Some(format!("tollgate={key}")));
    let stolen = Ask::navigate("GET", &format!("{SITE}/closed")).with("Cookie", &format!("second={key}"));
    assert_eq!(Visitor::at(&gateway).send(stolen).await.status, 302);
    // Who signs in now stays so.
    let token = gateway.login_page().token_for("jane@example.com").await;
    assert_eq!(visitor.get(&format!("{SITE}/?sso={token}")).await.status, 302);
    gateway.reload(&plan("second").server("max_connections", "100")).await.unwrap();
    assert_eq!(visitor.get(&format!("{SITE}/closed")).await.status, 200);
}

#[tokio::test]
async fn a_form_that_was_held_back_is_judged_by_the_login_keys_that_there_are_now() {
    const LOST: &str = "a-key-of-the-login-page-that-somebody-has-found";
    let upstream = FakeUpstream::start().await;
    let plan = |secret: &str| {
        let key = format!("[{{ algorithm = \"HS256\", secret = {secret:?} }}]");
        Plan::new(&upstream).site(|site| site.with("login_key", &key))
    };
    for (next, lets_in) in [("another-key-of-the-login-page-that-nobody-has", false), (LOST, true)] {
        let mut gateway = plan(LOST).start().await;
        let now = gateway.clock.now().as_secs();
        let claims = json!({
            "aud": "intranet", "iat": now, "exp": now + 60, "jti": "1", "email": "jane@example.com", "name": "Jane",
        });
        let token = jsonwebtoken::encode(
            &jsonwebtoken::Header::default(),
            &claims,
            &jsonwebtoken::EncodingKey::from_secret(LOST.as_bytes()),
        );
        let form = format!("token={}", token.unwrap());
        let opening = format!(
            "POST /.tollgate/redeem HTTP/1.1\r\nHost: site.test\r\nOrigin: {SITE}\r\nSec-Fetch-Site: same-origin\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            form.len()
        );
        let mut held = Connection::open([127, 0, 0, 1].into(), gateway.http).await;
        assert!(held.send(opening.as_bytes()).await);
        assert!(held.send(&form.as_bytes()[..1]).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        gateway.reload(&plan(next).server("max_connections", "100")).await.unwrap();
        assert!(held.send(&form.as_bytes()[1..]).await);
        let answer = held.receive("POST").await.unwrap();
        assert_eq!((answer.status, answer.location().as_str()), (307, "/.tollgate/redeem"), "{answer:?}");
        let again = [opening.as_bytes(), form.as_bytes()].concat();
        let answer = held.exchange(&again, "POST").await.unwrap();
        assert_eq!(
            answer.headers.one("set-cookie").is_some_and(|line| line.starts_with("tollgate=")),
            lets_in
        );
        assert_eq!(
            (answer.status, answer.location().contains("token_invalid")),
            (303, !lets_in),
            "{answer:?}"
        );
    }
}
