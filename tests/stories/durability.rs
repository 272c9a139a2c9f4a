//! What was answered is there, however the process ends: killed, or by a restart that hands over.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::restart::with_socket;
use crate::support::{FakeUpstream, HANG, MASTER_KEY, Plan, Program, settle};

/// An answer as far as it came, which may be not at all: the other side may be killed at any moment.
/// Only a whole one counts.
async fn ask(to: SocketAddr, request: String) -> Option<String> {
    let mut stream = TcpStream::connect(to).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    tokio::time::timeout(HANG, stream.read_to_string(&mut answer)).await.expect("does not hang").ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    (body.len() >= length.unwrap_or(0)).then_some(answer)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The session cookie in an answer.
fn session(answer: &str) -> Option<String> {
    let cookie = answer.split("set-cookie: tollgate=").nth(1)?;
    cookie.split(';').next().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Asks for a token, and says it if there was an answer.
async fn issue(control: SocketAddr, email: &str) -> Option<Value> {
    let body =
        json!({ "email": email, "first_name": "Jane", "last_name": "Doe", "site": "intranet" }).to_string();
    let head =
        format!("Authorization: Bearer {MASTER_KEY}\r\nContent-Type: application/json\r\nConnection: close");
    let length = body.len();
    let request = format!(
        "POST /v1/sso_tokens HTTP/1.1\r\nHost: control\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let answer = ask(control, request).await?;
    assert_eq!(status(&answer), "201", "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// Brings a token to the site.
async fn redeem(site: SocketAddr, token: &str) -> Option<String> {
    let accept = "Accept: text/html\r\nConnection: close";
    ask(site, format!("GET /?sso={token} HTTP/1.1\r\nHost: site.test\r\n{accept}\r\n\r\n")).await
}

/// Opens a closed page with a session; the status.
async fn open(site: SocketAddr, cookie: &str) -> Option<String> {
    let head = format!("Host: site.test\r\nCookie: tollgate={cookie}\r\nConnection: close");
    let answer = ask(site, format!("GET /closed HTTP/1.1\r\n{head}\r\n\r\n")).await?;
    Some(status(&answer).to_owned())
}

/// What was answered.
#[derive(Default)]
struct Answered {
    /// Users, and whether they were said to be new.
    users: Vec<(String, bool)>,
    /// Tokens that were redeemed, with the session.
    redeemed: Vec<(String, String)>,
    /// Tokens that nobody brought yet.
    open: Vec<String>,
}

/// Signs people in until the program is gone.
async fn sign_in_as_many_as_possible(
    (site, control): (SocketAddr, SocketAddr),
    who: String,
    answered: Arc<Mutex<Answered>>,
) {
    for number in 0.. {
        // Some are known already.
        let email = format!("{who}-{}@example.com", number / 2);
        let Some(issued) = issue(control, &email).await else { return };
        let token = issued["token"].as_str().expect("a token").to_owned();
        answered.lock().unwrap().users.push((email, issued["user_created"] == true));
        if number % 4 == 3 {
            answered.lock().unwrap().open.push(token);
            continue;
        }
        let Some(answer) = redeem(site, &token).await else { return };
        assert_eq!(status(&answer), "302", "{answer}");
        let cookie = session(&answer).unwrap_or_else(|| panic!("no session in {answer}"));
        answered.lock().unwrap().redeemed.push((token, cookie));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_nothing_is_lost_and_nothing_happens_twice() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(&upstream).embedded(&folder.path().join("data")).server("workers", "2");
    let answered = Arc::<Mutex<Answered>>::default();
    let mut logins = 0;
    for round in 0..10_u64 {
        let program = Program::start(&plan).await;
        let visitors: Vec<_> = (0..8)
            .map(|visitor| {
                let (addresses, answered) = ((program.http, program.control), Arc::clone(&answered));
                tokio::spawn(sign_in_as_many_as_possible(addresses, format!("r{round}v{visitor}"), answered))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(60 + 37 * round)).await;
        program.signal("KILL");
        for visitor in visitors {
            visitor.await.expect("was answered well as long as there were answers");
        }
        drop(program);

        let program = Program::start(&plan).await;
        let Answered { users, redeemed, open: still_open } = std::mem::take(&mut *answered.lock().unwrap());
        logins += redeemed.len();
        for (token, cookie) in &redeemed {
            assert_eq!(open(program.http, cookie).await.as_deref(), Some("200"), "round {round}");
            let again = redeem(program.http, token).await.expect("an answer");
            assert_eq!(session(&again), None, "round {round}: {again}");
        }
        for token in &still_open {
            let answer = redeem(program.http, token).await.expect("an answer");
            assert!(session(&answer).is_some(), "round {round}: {answer}");
        }
        let present: Vec<Value> = program.api().all("/v1/users").await.0;
        let emails: HashSet<&str> = present.iter().filter_map(|user| user["email"].as_str()).collect();
        let ids: HashSet<String> = present.iter().map(|user| user["id"].to_string()).collect();
        assert_eq!((emails.len(), ids.len()), (present.len(), present.len()), "nobody is there twice");
        for (email, _) in &users {
            assert!(emails.contains(email.as_str()), "round {round}: {email} is lost");
        }
        let new: Vec<&String> = users.iter().filter(|(_, is_new)| *is_new).map(|(email, _)| email).collect();
        assert_eq!(new.iter().collect::<HashSet<_>>().len(), new.len(), "nobody is new twice");
        program.checked_store();
        program.signal("KILL");
    }
    println!("{logins} logins");
    assert!(logins > 10, "only {logins} logins in all rounds");
}

#[tokio::test]
async fn two_processes_over_one_file_are_as_good_as_one() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(&upstream).embedded(folder.path());
    let (one, other) = (Program::start(&plan).await, Program::start(&plan).await);
    for number in 0..20 {
        let token = one.login_page().token_for(&format!("user{number}@example.com")).await;
        let answer = redeem(other.http, &token).await.unwrap();
        let cookie = session(&answer).unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(open(one.http, &cookie).await.as_deref(), Some("200"), "at once");
        let (first, second) = {
            let token = one.login_page().token_for("raced@example.com").await;
            let (first, second) = tokio::join!(redeem(one.http, &token), redeem(other.http, &token));
            (first.unwrap(), second.unwrap())
        };
        let won = [&first, &second].into_iter().filter(|answer| session(answer).is_some()).count();
        assert_eq!(won, 1, "{first}\n{second}");
        if number % 5 == 0 {
            let revoked = one.api().delete(&format!("/v1/sessions?email=user{number}%40example.com")).await;
            assert_eq!(revoked.json()["revoked"], 1, "{revoked:?}");
            assert_ne!(open(one.http, &cookie).await.as_deref(), Some("200"));
            let refused = async {
                while open(other.http, &cookie).await.as_deref() == Some("200") {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(HANG, refused).await.expect("the other one hears of it");
        }
    }
    other.checked_store();
    other.signal("TERM");
    assert!(other.ends().await);
    let token = one.login_page().token_for("late@example.com").await;
    assert!(session(&redeem(one.http, &token).await.unwrap()).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_hands_over_its_sockets_loses_no_request_and_no_session() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = listener.local_addr().unwrap();
    let plan = Plan::new(&upstream).embedded(folder.path()).server("http", &format!("[\"{site}\"]"));
    let mut program = Program::start_by(&plan, with_socket(&listener, "")).await;
    let control = Arc::new(Mutex::new(program.control));
    let (stop, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visitors: Vec<_> = (0..6)
        .map(|visitor| {
            let (stop, opened, control) = (Arc::clone(&stop), Arc::clone(&opened), Arc::clone(&control));
            tokio::spawn(async move {
                let mut cookies = Vec::new();
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let control = *control.lock().unwrap();
                    // The control listener is not handed over.
                    let issued = issue(control, &format!("v{visitor}n{number}@example.com")).await;
                    if let Some(token) = issued.as_ref().and_then(|issued| issued["token"].as_str()) {
                        let answer = redeem(site, token).await.expect("an answer");
                        cookies.push(session(&answer).unwrap_or_else(|| panic!("{answer}")));
                    }
                    for cookie in cookies.iter().rev().take(5) {
                        assert_eq!(open(site, cookie).await.as_deref(), Some("200"));
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                    settle().await;
                }
                for cookie in &cookies {
                    assert_eq!(open(site, cookie).await.as_deref(), Some("200"));
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let before = opened.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let next = Program::start_by(&plan, with_socket(&listener, "")).await;
        *control.lock().unwrap() = next.control;
        program.signal("TERM");
        assert!(program.ends().await);
        program = next;
        assert!(opened.load(Ordering::Relaxed) > before);
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        tokio::time::timeout(HANG, visitor).await.expect("ends").expect("lost nothing");
    }
    program.checked_store();
}

#[tokio::test]
async fn a_short_session_that_is_used_outlives_a_restart() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(&upstream).embedded(folder.path()).site(|site| site.with("session_idle", "\"3s\""));
    let mut program = Program::start(&plan).await;
    let token = program.login_page().token_for("jane@example.com").await;
    let cookie = session(&redeem(program.http, &token).await.unwrap()).unwrap();
    for round in 0..8 {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        if round % 2 == 1 {
            program.signal(if round == 3 { "KILL" } else { "TERM" });
            program.ends().await;
            program = Program::start(&plan).await;
        }
        assert_eq!(open(program.http, &cookie).await.as_deref(), Some("200"), "round {round}");
    }
}
