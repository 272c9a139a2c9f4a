//! The configuration file of the real program, changed while it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::support::{Authority, Connection, FakeUpstream, HANG, Plan, Program, SitePlan, settle};

/// Replaces the file as an editor does: another one takes its place.
fn write(program: &Program, text: &str) {
    let next = program.config().with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, program.config()).unwrap();
}

/// How often each thing was said.
fn said(program: &Program) -> (usize, usize) {
    let applied = program.lines_with("the configuration was applied").len();
    (applied, program.lines_with("the configuration was not applied").len())
}

async fn has_said(program: &Program, expected: (usize, usize)) {
    let waiting = async {
        while said(program) != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(HANG, waiting).await;
    waited.unwrap_or_else(|_| panic!("{:?} and not {expected:?}", said(program)));
}

#[tokio::test]
async fn a_hundred_times_under_load_ten_of_them_bad_and_no_request_fails() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let http = "[\"127.0.0.1:0\"]";
    let plan = Plan::new(&upstream).embedded(folder.path()).server("workers", "2").server("http", http);
    let program = Program::start(&plan).await;
    let (email, token) = ("jane@example.com", program.login_page().token_for("jane@example.com").await);
    let mut connection = Connection::open([127, 0, 0, 1].into(), program.http).await;
    let redeem = format!("GET /?sso={token} HTTP/1.1\r\nHost: site.test\r\nAccept: text/html\r\n\r\n");
    let answer = connection.exchange(redeem.as_bytes(), "GET").await.unwrap();
    let cookie = answer.headers.all("set-cookie").into_iter().find(|line| line.starts_with("tollgate="));
    let cookie = cookie.unwrap().split(';').next().unwrap().to_owned();

    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visitors: Vec<_> = (0..8)
        .map(|number| {
            let (stop, served, address) = (Arc::clone(&stop), Arc::clone(&served), program.http);
            let closed = format!("GET /closed HTTP/1.1\r\nHost: site.test\r\nCookie: {cookie}\r\n\r\n");
            tokio::spawn(async move {
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut connection = match kept.take() {
                        Some(connection) => connection,
                        None => Connection::open([127, 0, 0, 1].into(), address).await,
                    };
                    let answer = connection.exchange(closed.as_bytes(), "GET").await;
                    assert_eq!(answer.expect("is answered").status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                    // Half of them stay on one connection from the beginning to the end.
                    kept = (number % 2 == 0).then_some(connection);
                }
            })
        })
        .collect();

    let (mut good, mut bad) = (0, 0);
    for round in 0..100 {
        let name = ["X-App-Mail", "X-App-User", "X-App-Role"][round % 3];
        let template = if name == "X-App-Role" { "{role}" } else { "{email}" };
        let changed = plan.clone().site(|site| {
            let site = site.identity_header(name, template);
            if round % 4 == 0 { site.with("upstream_timeout", "\"20s\"") } else { site }
        });
        let other = SitePlan::new(&format!("other-{round}"), "other.test", upstream.address());
        let changed = if round % 2 == 0 { changed.and_site(other) } else { changed };
        let toml = changed.to_toml();
        if round % 10 == 7 {
            let broken = if round % 20 == 7 { toml.replace("hosts", "hots") } else { format!("{toml}\n[[[") };
            write(&program, &broken);
            bad += 1;
        } else {
            write(&program, &toml);
            good += 1;
        }
        program.signal("HUP");
        has_said(&program, (good, bad)).await;
        // Whatever was under way then is answered when as many as there are have been served twice.
        let before = served.load(Ordering::Relaxed);
        while served.load(Ordering::Relaxed) < before + 16 && !visitors.iter().any(JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if round % 10 == 7 {
            assert_eq!(program.api().get("/readyz").await.status, 200);
            continue;
        }
        // Whoever asks now is told of by the new names.
        let told = upstream.last();
        assert_eq!(told.header(name).as_deref(), Some(if name == "X-App-Role" { "editor" } else { email }));
    }
    assert_eq!((good, bad), (90, 10));
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        tokio::time::timeout(HANG, visitor).await.expect("ends").expect("every request was answered");
    }
    program.signal("TERM");
    assert!(program.ends().await);
}

#[tokio::test]
async fn a_changed_file_is_applied_by_itself_and_a_bad_one_is_complained_of_once() {
    let (upstream, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let program = Program::start(&Plan::new(&upstream)).await;
    let get = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
    let mut connection = Connection::open([127, 0, 0, 1].into(), program.http).await;
    assert_eq!(connection.exchange(get, "GET").await.unwrap().status, 200);

    let secret = "a-secret-that-nobody-is-to-read-in-a-log";
    let bad = Plan::new(&other).key(&format!("name = \"bad\"\nsecret = {secret:?}\nscops = []"));
    write(&program, &bad.to_toml());
    has_said(&program, (0, 1)).await;
    assert_eq!(program.lines_with("api_key.bad.scops").len(), 1);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(said(&program), (0, 1), "it is said once");
    assert_eq!(connection.exchange(get, "GET").await.unwrap().status, 200);
    assert_eq!((upstream.count(), other.count()), (2, 0));
    assert_eq!(program.api().get("/readyz").await.status, 200);

    let fixed = Plan::new(&other).server("workers", "2");
    write(&program, &fixed.to_toml());
    has_said(&program, (0, 2)).await;
    assert_eq!(program.lines_with("server.workers cannot change while the program runs").len(), 1);
    std::fs::remove_file(program.config()).unwrap();
    has_said(&program, (0, 3)).await;

    write(&program, &Plan::new(&other).to_toml());
    has_said(&program, (1, 3)).await;
    assert_eq!(connection.exchange(get, "GET").await.unwrap().status, 200);
    assert_eq!((upstream.count(), other.count()), (2, 1));
    assert!(program.lines_with(secret).is_empty());
}

#[tokio::test]
async fn a_file_that_is_being_written_is_not_read() {
    let upstream = FakeUpstream::start().await;
    let program = Program::start(&Plan::new(&upstream)).await;
    let whole =
        Plan::new(&upstream).site(|site| site.route_requiring("/public/a", "{ roles = [\"admin\"] }"));
    let toml = whole.to_toml();
    // All that stands before the route is a whole configuration as well, in which the path is open.
    let end = toml.find("path = \"/public/a\"").unwrap();
    let end = toml[..end].rfind("[[site.route]]").unwrap();
    for more in 0..40 {
        let text = format!("{}{}", &toml[..end], "#".repeat(more));
        std::fs::write(program.config(), text).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::write(program.config(), &toml).unwrap();
    has_said(&program, (1, 0)).await;
    settle().await;
    let mut connection = Connection::open([127, 0, 0, 1].into(), program.http).await;
    let get = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
    assert_eq!(connection.exchange(get, "GET").await.unwrap().status, 302);
    assert_eq!(said(&program), (1, 0));
}

#[tokio::test]
async fn a_file_that_names_another_which_comes_later_is_applied_when_that_is_there() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let plan = Plan::new(&upstream).server("http", "[\"127.0.0.1:0\"]");
    let program = Program::start(&plan).await;
    let files = authority.issue("site", &["site.test"]);
    let away = files.key.with_extension("away");
    std::fs::rename(&files.key, &away).unwrap();
    write(&program, &plan.certificate(files.clone()).to_toml());
    has_said(&program, (0, 1)).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(said(&program), (0, 1), "it is said once");
    std::fs::rename(&away, &files.key).unwrap();
    has_said(&program, (1, 1)).await;
}
