//! The embedded store's file in trouble: nobody gets in on the strength of that, whoever is in stays in,
//! and it heals by itself. A file that is not right is refused and left alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection as Database;
use serde_json::json;
use tempfile::TempDir;
use tollgate::domain::clock::{Clock as _, ManualClock, SystemClock};

use crate::support::{FakeUpstream, HANG, Plan, Program, Response, SITE, SitePlan, Visitor, settle};

/// A program with one member, who is signed in, over a file in `folder`.
async fn with_member(plan: &Plan) -> (Program, Visitor) {
    let program = Program::start(plan).await;
    let mut member = visitor_of(&program);
    member.sign_in(&program.login_page(), "jane@example.com").await;
    (program, member)
}

fn visitor_of(program: &Program) -> Visitor {
    Visitor::of(program.http, Arc::new(ManualClock::starting_at(SystemClock.now())))
}

async fn issue(program: &Program) -> Response {
    let body = json!({ "email": "joe@example.com", "full_name": "Joe Doe", "site": "intranet" });
    program.api().post("/v1/sso_tokens", &body).await
}

/// What everybody meets while the file cannot be written.
async fn assert_closed_to_strangers_and_open_to(member: &mut Visitor, program: &Program, token: &str) {
    // It is a promise that this takes less than one second; the rest is for the machine of the tests.
    let refused = tokio::time::timeout(Duration::from_secs(3), issue(program)).await.expect("in time");
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "store_unavailable"));
    let stranger = visitor_of(program).get(&format!("{SITE}/closed?sso={token}")).await;
    assert_eq!(stranger.status, 503, "{stranger:?}");
    assert!(!stranger.headers.all("set-cookie").iter().any(|cookie| cookie.starts_with("tollgate=")));
    assert_eq!(member.get(&format!("{SITE}/closed")).await.status, 200, "a session that is known goes on");
    assert_eq!(visitor_of(program).get(&format!("{SITE}/public/a")).await.status, 200);
    assert_eq!(program.api().get("/readyz").await.status, 503);
    assert_eq!(metric(program, "tollgate_store_up").await, 0);
    assert!(metric(program, "tollgate_store_faults_total{reason=\"lost\"}").await > 0);
}

/// A figure that Prometheus would read.
async fn metric(program: &Program, name: &str) -> u64 {
    let text = program.api().get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

/// Everything goes on without a restart, and each event left one line.
async fn assert_heals(member: &mut Visitor, program: &Program, token: &str) {
    let back = async {
        while program.api().get("/readyz").await.status != 200 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, back).await.expect("the store is back");
    assert_eq!(issue(program).await.status, 201);
    assert_eq!(metric(program, "tollgate_store_up").await, 1);
    let mut stranger = visitor_of(program);
    let answer = stranger.get(&format!("{SITE}/closed?sso={token}")).await;
    assert_eq!((answer.status, answer.location().as_str()), (302, "/closed"), "{answer:?}");
    assert_eq!(stranger.get(&format!("{SITE}/closed")).await.status, 200);
    assert_eq!(member.get(&format!("{SITE}/closed")).await.status, 200);
    assert_eq!(program.lines_with("the store is lost").len(), 1, "{:?}", program.lines_with("store"));
    assert_eq!(program.lines_with("the store is back").len(), 1, "{:?}", program.lines_with("store"));
    program.checked_store();
}

#[tokio::test]
async fn a_file_that_another_program_keeps_locked() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (program, mut member) = with_member(&Plan::new(&upstream).embedded(folder.path())).await;
    let token = program.login_page().token_for("joe@example.com").await;
    let other = Database::open(folder.path().join("tollgate.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        assert_closed_to_strangers_and_open_to(&mut member, &program, &token).await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    assert_heals(&mut member, &program, &token).await;
}

#[tokio::test]
async fn a_file_that_is_moved_away() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (program, mut member) = with_member(&Plan::new(&upstream).embedded(folder.path())).await;
    let token = program.login_page().token_for("joe@example.com").await;
    let (here, away) = (folder.path().join("tollgate.db"), folder.path().join("elsewhere"));
    std::fs::rename(&here, &away).unwrap();
    assert_closed_to_strangers_and_open_to(&mut member, &program, &token).await;
    std::fs::rename(&away, &here).unwrap();
    assert_heals(&mut member, &program, &token).await;
}

#[tokio::test]
async fn a_site_that_went_and_came_back_while_the_file_was_locked_has_forgotten_its_visitors() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(&upstream).embedded(folder.path());
    let elsewhere = SitePlan::new("other", "other.test", upstream.address());
    let other_site = plan.clone().without_sites().and_site(elsewhere);
    let mut gateway = plan.clone().start().await;
    let mut jane = Visitor::at(&gateway);
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    let file = Database::open(folder.path().join("tollgate.db")).unwrap();
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    gateway.reload(&other_site).await.unwrap();
    gateway.reload(&plan).await.unwrap();
    upstream.forget().await;
    assert_eq!(jane.get(&format!("{SITE}/closed")).await.status, 302);
    // Whoever sweeps up sessions that are over leaves it to be taken out of the file.
    settle().await;
    assert_eq!(jane.get(&format!("{SITE}/closed")).await.status, 302);
    file.execute_batch("ROLLBACK").unwrap();
    let count = || file.query_row("SELECT count(*) FROM session", (), |row| row.get::<_, i64>(0)).unwrap();
    let forgotten = async {
        while count() > 0 {
            assert_eq!(jane.get(&format!("{SITE}/closed")).await.status, 302);
            settle().await;
        }
    };
    tokio::time::timeout(HANG, forgotten).await.expect("it is taken out of the file as well");
    upstream.assert_untouched("a site that has forgotten its visitors").await;
    jane.sign_in(&gateway.login_page(), "jane@example.com").await;
    assert_eq!(jane.get(&format!("{SITE}/closed")).await.status, 200);
}

/// A small file system, if this machine lets us have one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let full = std::fs::write(self.path().join("filler"), vec![0; 4 << 20]);
        assert_eq!(full.map_err(|error| error.kind()), Err(std::io::ErrorKind::StorageFull));
    }

    fn empty(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _is_gone_with_the_machine = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test]
async fn a_disk_that_is_full() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: a_disk_that_is_full needs the right to mount a tmpfs");
        return;
    };
    let upstream = FakeUpstream::start().await;
    let (program, mut member) = with_member(&Plan::new(&upstream).embedded(disk.path())).await;
    let token = program.login_page().token_for("joe@example.com").await;
    disk.fill();
    // What the log has room for still goes well.
    let full = async { while issue(&program).await.status != 503 {} };
    tokio::time::timeout(HANG, full).await.expect("the disk is full");
    assert_closed_to_strangers_and_open_to(&mut member, &program, &token).await;
    disk.empty();
    assert_heals(&mut member, &program, &token).await;
    program.signal("TERM");
    assert!(program.ends().await);
}

/// The exit status of `tollgate serve` over `folder`, which cannot serve, and what it says.
fn refused(plan: &Plan, command: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, plan.to_toml()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = program.args(command).arg("--config").arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[tokio::test]
async fn a_file_that_is_not_right_is_refused_and_left_as_it_is() {
    let upstream = FakeUpstream::start().await;
    let good = tempfile::tempdir().unwrap();
    let (program, _member) = with_member(&Plan::new(&upstream).embedded(good.path())).await;
    for number in 0..100 {
        program.login_page().token_for(&format!("user{number}@example.com")).await;
    }
    program.signal("TERM");
    assert!(program.ends().await);
    let good = std::fs::read(good.path().join("tollgate.db")).unwrap();
    assert!(good.len() > 40_000, "{}", good.len());

    let of_another_program = tempfile::NamedTempFile::new().unwrap();
    let other = Database::open(of_another_program.path()).unwrap();
    other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let of_another_program = std::fs::read(of_another_program.path()).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    for (file, told) in [
        (b"no database at all".repeat(300), "was not made by tollgate"),
        (b"x".to_vec(), "was not made by tollgate"),
        (of_another_program, "was not made by tollgate"),
        (with(68, &7_u32.to_be_bytes()), "was not made by tollgate"),
        (
            with(60, &999_u32.to_be_bytes()),
            "a newer tollgate (its tables have version 999, this program knows 2)",
        ),
        (with(8_192, &[0xa5; 4_096]), "is damaged"),
        (good[..good.len() / 2].to_vec(), "is damaged"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tollgate.db");
        std::fs::write(&path, &file).unwrap();
        let plan = Plan::new(&upstream).embedded(folder.path());
        for command in [&["serve"][..], &["store", "check"], &["store", "backup", "/nowhere/backup.db"]] {
            let said = refused(&plan, command);
            assert!(said.contains(told) && said.contains(path.to_str().unwrap()), "{command:?}: {said}");
            assert!(std::fs::read(&path).unwrap() == file, "{told}: the file was changed by {command:?}");
        }
    }
}

#[tokio::test]
async fn nobody_else_may_read_it_whatever_the_umask() {
    let upstream = FakeUpstream::start().await;
    for umask in ["000", "077", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/data");
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let plan = Plan::new(&upstream).embedded(&data);
        let program = Program::start_by(&plan, |program| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
            shell.arg(program.get_program()).args(program.get_args());
            shell
        })
        .await;
        let _token = program.login_page().token_for("jane@example.com").await;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700, "{umask}");
        for name in ["tollgate.db", "tollgate.db-wal", "tollgate.db-shm"] {
            assert_eq!(mode(&data.join(name)), 0o600, "{name} under {umask}");
        }
    }
}

#[tokio::test]
async fn a_copy_of_a_running_store_is_a_store() {
    let upstream = FakeUpstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (program, mut member) = with_member(&Plan::new(&upstream).embedded(&folder.path().join("one"))).await;
    let token = program.login_page().token_for("joe@example.com").await;
    let copy = folder.path().join("two/tollgate.db");
    std::fs::create_dir(folder.path().join("two")).unwrap();
    let back_up = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["store", "backup"]).arg(&copy).arg("--config").arg(program.config()).output().unwrap()
    };
    let output = back_up();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&copy).unwrap();
    let output = back_up();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(std::fs::read(&copy).unwrap() == before, "what is there is not written over");
    assert!(program.checked_store().contains("1 session(s), 1 open token(s), 1 spent token(s)"));

    let second = Program::start(&Plan::new(&upstream).embedded(&folder.path().join("two"))).await;
    let mut again = visitor_of(&second);
    std::mem::swap(&mut again.jar, &mut member.jar);
    assert_eq!(again.get(&format!("{SITE}/closed")).await.status, 200);
    let mut joe = visitor_of(&second);
    assert_eq!(joe.get(&format!("{SITE}/?sso={token}")).await.location(), "/");
}
