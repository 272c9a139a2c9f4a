//! What is written down: a line for each request, and one for whatever changes who is let in. Nothing gets
//! lost when files are moved away, and nothing stands still when they cannot be written.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate::domain::clock::{Clock as _, ManualClock, SystemClock};

use crate::support::{
    Ask, FakeUpstream, HANG, MASTER_KEY, Plan, Program, SITE, SitePlan, TestGateway, Visitor, settle,
};

/// A gateway that keeps both logs in files of their own.
struct Kept {
    folder: tempfile::TempDir,
    upstream: FakeUpstream,
    gateway: TestGateway,
}

impl Kept {
    async fn start(access: &str, change: impl FnOnce(Plan) -> Plan) -> Self {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
        let plan = Plan::new(&upstream).tables(&kept(folder.path(), access));
        let gateway = change(plan).start().await;
        Self { folder, upstream, gateway }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The lines of a file once there are so many.
    async fn lines(&self, file: &str, count: usize) -> Vec<String> {
        let path = self.path(file);
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        let there = async {
            while read().lines().count() < count {
                settle().await;
            }
        };
        let in_time = tokio::time::timeout(HANG, there).await;
        assert!(in_time.is_ok(), "{count} lines expected in {}", read());
        read().lines().map(str::to_owned).collect()
    }

    async fn objects(&self, file: &str, count: usize) -> Vec<Value> {
        objects(&self.lines(file, count).await)
    }

    async fn figure(&self, series: &str) -> u64 {
        figure(&self.gateway.api().get("/metrics").await.text(), series)
    }
}

fn kept(folder: &Path, access: &str) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    let (access_file, audit_file) = (file("access.log"), file("audit.log"));
    format!("[log]\naccess = {access:?}\naccess_file = {access_file:?}\naudit_file = {audit_file:?}")
}

fn objects(lines: &[String]) -> Vec<Value> {
    let object = |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?} is no JSON"));
    lines.iter().map(object).collect()
}

fn figure(page: &str, series: &str) -> u64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in {page}"))
}

#[tokio::test]
async fn each_request_leaves_a_line_that_says_what_became_of_it() {
    let kept = Kept::start("json", |plan| plan).await;
    let mut jane = Visitor::at(&kept.gateway);
    jane.get(&format!("{SITE}/closed?a=b")).await;
    jane.get(&format!("{SITE}/public/a")).await;
    let token = kept.gateway.login_page().token_for("jane@example.com").await;
    jane.get(&format!("{SITE}/?sso={token}")).await;
    jane.get(&format!("{SITE}/closed?a=b")).await;
    let seen = kept.upstream.last();
    jane.get(&format!("{SITE}/a%2fb")).await;
    jane.get("http://unknown.test/x").await;
    let lines = kept.objects("access.log", 7).await;
    let told: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!([
                line["method"],
                line["path"],
                line["status"],
                line["decision"],
                line["user"],
                line["site"]
            ])
        })
        .collect();
    let intranet = "intranet";
    assert_eq!(
        told.iter().filter(|line| line[1] != "/v1/sso_tokens").cloned().collect::<Vec<_>>(),
        [
            json!(["GET", "/closed", 302, "challenged", null, intranet]),
            json!(["GET", "/public/a", 200, "allowed", null, intranet]),
            json!(["GET", "/", 302, "redeemed", null, intranet]),
            json!(["GET", "/closed", 200, "allowed", 1, intranet]),
            json!(["GET", "/a%2fb", 400, "refused", null, intranet]),
            json!(["GET", "/x", 421, "refused", null, null]),
        ]
    );
    assert!(told.contains(&json!(["POST", "/v1/sso_tokens", 201, null, null, null])), "{told:?}");
    let line = lines.iter().find(|line| line["user"] == 1).unwrap();
    assert_eq!(line["request_id"].as_str(), seen.header("x-request-id").as_deref());
    assert_eq!(line["timestamp"], "2025-11-22T08:26:40.000Z");
    assert_eq!((&line["client"], &line["host"]), (&json!("127.0.0.1"), &json!("site.test")));
    assert_eq!((&line["bytes"], &line["protocol"]), (&json!(19), &json!("HTTP/1.1")));
    let session = kept.gateway.api().get("/v1/sessions").await.json()["sessions"][0]["id"].clone();
    assert_eq!(line["session"], session);
}

#[tokio::test]
async fn a_head_that_nobody_can_read_leaves_a_line_with_nothing_of_it() {
    let heads = [
        ("GET /hidden\r\n\r\n", 400, "the request line is malformed"),
        ("GET /hidden HTTP/3.0\r\nHost: hidden\r\n\r\n", 505, "the HTTP version is not supported"),
        ("GET / HTTP/1.1\r\nHost: site.test\r\nhidden \"x\r\n\r\n", 400, "a header field is malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: hidden\r\n\r\n", 400, "there has to be one Host field"),
    ];
    for access in ["json", "combined"] {
        let kept = Kept::start(access, |plan| plan).await;
        for port in [kept.gateway.http, kept.gateway.control] {
            for (head, status, _) in heads {
                let answer =
                    Visitor::of(port, kept.gateway.clock.clone()).send_raw(head.as_bytes()).await.unwrap();
                assert_eq!(answer.status, status, "{head}");
            }
        }
        let lines = kept.lines("access.log", 2 * heads.len()).await;
        assert_eq!(lines.len(), 2 * heads.len(), "{lines:?}");
        for (_, status, reason) in heads {
            let expected = json!({
                "timestamp": "2025-11-22T08:26:40.000Z", "level": "INFO", "target": "tollgate::access",
                "client": "127.0.0.1", "decision": "refused", "reason": reason, "status": status,
            });
            let is_it = |line: &&String| match access {
                "json" => serde_json::from_str::<Value>(line).unwrap() == expected,
                _ => combined(line).unwrap()[4..] == ["-", &status.to_string(), "-", "-", "-"],
            };
            assert!(lines.iter().filter(is_it).count() >= 2, "{status} {reason}: {lines:?}");
        }
        assert!(!lines.join("").contains("hidden"), "{lines:?}");
    }
}

/// The fields of a line in the combined format, as those who read them take it apart: by spaces, quotes and
/// brackets, and `\` before what would end a quoted one.
fn combined(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let (field, left) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut escaped = false;
                let end = quoted.find(|c: char| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => match rest.strip_prefix('[') {
                Some(bracketed) => bracketed.split_once(']')?,
                None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
            },
        };
        fields.push(field.to_owned());
        rest = left.strip_prefix(' ').unwrap_or_else(|| {
            assert!(left.is_empty(), "{line}");
            left
        });
    }
    (fields.len() == 9).then_some(fields)
}

#[tokio::test]
async fn a_combined_line_has_nine_fields_whatever_a_client_sends() {
    let kept = Kept::start("combined", |plan| plan).await;
    let mut jane = Visitor::at(&kept.gateway);
    jane.sign_in(&kept.gateway.login_page(), "jane@example.com").await;
    let hostile = [
        ("curl/8.0", "curl/8.0"),
        ("a \"b\" [c] \\ \\\" d", "a \\\"b\\\" [c] \\\\ \\\\\\\" d"),
        ("\" 200 1 \"-\" \"", "\\\" 200 1 \\\"-\\\" \\\""),
        ("tab\there \u{e9}", "tab\\there \\xc3\\xa9"),
    ];
    for (agent, _) in hostile {
        let ask = Ask::navigate("GET", &format!("{SITE}/a?token=hidden")).with("User-Agent", agent);
        assert_eq!(jane.send(ask.and("Referer", "https://l.test/in?t=hidden#hidden")).await.status, 200);
    }
    let lines = kept.lines("access.log", 2 + hostile.len()).await;
    // Each worker hands in its own lines: among those of the control listener they stand anywhere.
    let own: Vec<&String> = lines.iter().filter(|line| line.contains("\"GET /a ")).collect();
    assert_eq!(own.len(), hostile.len(), "{lines:?}");
    for (line, (_, written)) in own.into_iter().zip(&hostile) {
        let fields = combined(line).unwrap_or_else(|| panic!("{line}"));
        let rest = ["GET /a HTTP/1.1", "200", "19", "https://l.test/in", written];
        assert_eq!(fields[..4], ["127.0.0.1", "-", "1", "22/Nov/2025:08:26:40 +0000"], "{line}");
        assert_eq!(fields[4..], rest, "{line}");
    }
    assert!(!lines.join("\n").contains("hidden"));
    assert!(lines.iter().all(|line| combined(line).is_some()), "{lines:?}");
}

#[tokio::test]
async fn off_is_off_and_other_settings_take_effect_without_a_restart() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let plan = Plan::new(&upstream);
    let off = plan.clone().tables("[log]\naccess = \"off\"");
    let mut gateway = off.clone().start().await;
    Visitor::at(&gateway).get(&format!("{SITE}/public/1")).await;
    gateway.reload(&plan.clone().tables(&kept(folder.path(), "json"))).await.unwrap();
    Visitor::at(&gateway).get(&format!("{SITE}/public/2")).await;
    gateway.reload(&plan.clone().tables(&kept(folder.path(), "combined"))).await.unwrap();
    Visitor::at(&gateway).get(&format!("{SITE}/public/3")).await;
    gateway.reload(&off).await.unwrap();
    Visitor::at(&gateway).get(&format!("{SITE}/public/4")).await;
    let nowhere =
        format!("[log]\naccess_file = {:?}", folder.path().join("no/such/folder").display().to_string());
    assert!(gateway.reload(&plan.tables(&nowhere)).await.is_err(), "a file that cannot be there is refused");
    gateway.stop().await;
    let text = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    let paths: Vec<&str> = text.lines().filter_map(|line| line.split("/public/").nth(1)?.get(..1)).collect();
    assert_eq!(paths, ["2", "3"], "{text}");
    assert!(text.lines().nth(1).is_some_and(|line| combined(line).is_some()));
    let events: Vec<Value> = objects(
        &std::fs::read_to_string(folder.path().join("audit.log"))
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    );
    assert!(events.iter().all(|event| event["event"] == "settings_changed" && event["actor"] == "gateway"));
}

#[tokio::test]
async fn no_line_is_lost_or_torn_while_files_are_moved_away() {
    const VISITORS: u8 = 4;
    const TIMES: usize = 8;
    let kept = Kept::start("json", |plan| plan.server("workers", "2")).await;
    let (path, gateway) = (kept.path("access.log"), &kept.gateway);
    let (moved, visited) = (&Cell::new(0), &Cell::new(0));
    let rotate = async {
        while moved.get() < TIMES {
            settle().await;
            // As logrotate does it, with and without a signal.
            let old = path.with_extension(format!("log.{}", moved.get()));
            if std::fs::rename(&path, old).is_ok() {
                moved.set(moved.get() + 1);
                if moved.get() % 2 == 0 {
                    gateway.reopen_logs();
                }
            }
        }
    };
    let visits = (1..=VISITORS).map(|visitor| async move {
        let mut visitor = Visitor::at(gateway).at_address(1, visitor);
        while moved.get() < TIMES {
            assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.status, 200);
            visited.set(visited.get() + 1);
        }
    });
    tokio::join!(rotate, futures_util::future::join_all(visits));
    kept.gateway.stop().await;
    let mut names = BTreeSet::new();
    let mut files = 0;
    for file in std::fs::read_dir(kept.folder.path()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        files += 1;
        for line in objects(&text.lines().map(str::to_owned).collect::<Vec<_>>()) {
            assert!(
                names.insert(line["request_id"].as_str().unwrap().to_owned()),
                "{line} stands there twice"
            );
        }
    }
    assert_eq!(names.len(), visited.get());
    // The audit log is there as well.
    assert!(files > TIMES, "{files}");
}

#[tokio::test]
async fn a_full_disk_stops_nobody_and_is_counted() {
    let full = "[log]\naccess_file = \"/dev/full\"\naudit_file = \"/dev/../dev/full\"";
    let upstream = FakeUpstream::start().await;
    let program = Program::start(&Plan::new(&upstream).starting_now().tables(full)).await;
    let clock = std::sync::Arc::new(ManualClock::starting_at(SystemClock.now()));
    let mut jane = Visitor::of(program.http, clock);
    jane.sign_in(&program.login_page(), "jane@example.com").await;
    for _ in 0..3 {
        assert_eq!(jane.get(&format!("{SITE}/closed")).await.status, 200);
    }
    // What the audit log cannot take is on stderr.
    let started: Value = serde_json::from_str(&program.line_with("session_started").await).unwrap();
    assert_eq!((&started["target"], &started["actor"]), (&json!("tollgate::audit"), &json!("visitor")));
    program.line_with("lines are lost").await;
    let lost = "tollgate_log_lines_dropped_total{log=\"access\",reason=\"unwritable\"}";
    let counted = async {
        while figure(&program.api().get("/metrics").await.text(), lost) < 5 {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, counted).await.expect("is counted");
    assert_eq!(program.lines_with("cannot be written").len(), 2, "said once of each");
    program.signal("TERM");
    assert!(program.ends().await, "and it stops in good order");
}

#[tokio::test]
async fn who_stops_reading_the_log_holds_up_nobody_and_is_told_what_is_missing() {
    const MESSAGES: &str = "tollgate_log_lines_dropped_total{log=\"messages\",reason=\"queue_full\"}";
    let upstream = FakeUpstream::start().await;
    let program = Program::start(&Plan::new(&upstream).starting_now()).await;
    let missing = || async { figure(&program.api().get("/metrics").await.text(), MESSAGES) };
    let login_page = program.login_page();
    assert_eq!(missing().await, 0);
    program.leave_unread(true);
    let goes_on = async {
        let mut number = 0;
        while missing().await == 0 {
            for _ in 0..500 {
                // Each leaves a line, and a second one in the audit log: of a new user.
                login_page.token_for(&format!("{number}@example.com")).await;
                number += 1;
            }
        }
    };
    tokio::time::timeout(HANG, goes_on).await.expect("nobody waits for the log");
    program.leave_unread(false);
    program.line_with("lines are missing here").await;
    let dropped = missing().await;
    let told = |line: String| serde_json::from_str::<Value>(&line).unwrap()["missing"].as_u64().unwrap();
    assert_eq!(program.lines_with("lines are missing here").into_iter().map(told).sum::<u64>(), dropped);
    // Whoever never reads again does not keep it from ending.
    program.leave_unread(true);
    for number in 0..1000 {
        login_page.token_for(&format!("{number}@example.com")).await;
    }
    program.signal("TERM");
    assert!(program.ends().await);
}

#[tokio::test]
async fn requests_of_which_no_line_could_be_written_are_told_of_once_somebody_reads_again() {
    const REQUESTS: &str = "tollgate_log_lines_dropped_total{log=\"access\",reason=\"queue_full\"}";
    const TOLD: &str = "lines of a log are missing";
    let upstream = FakeUpstream::start().await;
    let program = Program::start(&Plan::new(&upstream).server("workers", "1")).await;
    let missing = || async { figure(&program.api().get("/metrics").await.text(), REQUESTS) };
    let mut visitor = Visitor::of(program.http, ManualClock::starting_at(SystemClock.now()).into());
    program.leave_unread(true);
    // A line tells the whole path.
    let long = format!("{SITE}/closed/{}", "a/".repeat(2_000));
    let goes_on = async {
        while missing().await == 0 {
            for _ in 0..500 {
                visitor.get(&long).await;
            }
        }
    };
    tokio::time::timeout(HANG, goes_on).await.expect("nobody waits for the log");
    program.leave_unread(false);
    program.line_with(TOLD).await;
    let all_told = async {
        loop {
            let told = objects(&program.lines_with(TOLD));
            assert!(told.iter().all(|line| line["log"] == "access"), "{told:?}");
            let told: u64 = told.iter().filter_map(|line| line["missing"].as_u64()).sum();
            if told == missing().await {
                return;
            }
            settle().await;
        }
    };
    tokio::time::timeout(HANG, all_told).await.expect("as many are told of as are missing");
}

#[tokio::test]
async fn who_did_what_from_where_stands_in_the_audit_log() {
    let kept = Kept::start("json", |plan| {
        plan.server("trusted_proxies", "[\"127.0.0.1\"]")
            .and_site(SitePlan::new("wiki", "wiki.test", ([127, 0, 0, 1], 9).into()))
            .key("name = \"desk\"\nsecret = \"the-key-of-the-help-desk-0123456789abcdef\"\nscopes = [\"admin\"]")
    })
    .await;
    let api = kept.gateway.api();
    let desk = api.with_key(Some("the-key-of-the-help-desk-0123456789abcdef"));
    let from =
        |ask: Ask, client: &str, name: &str| ask.and("X-Forwarded-For", client).and("X-Request-Id", name);
    let mut jane = Visitor::at(&kept.gateway);
    let login_page = kept.gateway.login_page();
    let token = login_page.token_for("jane@example.com").await;
    let redeem = Ask::navigate("GET", &format!("{SITE}/?sso={token}"));
    jane.send(from(redeem.clone(), "203.0.113.7, 192.0.2.7", "redeems")).await;
    // What a stranger says of an address counts for nothing.
    let mut stranger = Visitor::at(&kept.gateway).at_address(7, 7);
    stranger.send(from(redeem, "203.0.113.9", "forged")).await;
    let session = api.get("/v1/sessions").await.json()["sessions"][0]["id"].as_str().unwrap().to_owned();
    desk.patch(&format!("/v1/sessions/{session}"), &json!({ "groups": ["staff"] })).await;
    desk.patch("/v1/users/1", &json!({ "roles": { "intranet": "chief" } })).await;
    desk.delete("/v1/sessions?email=jane@example.com").await;
    api.with_key(Some("nobody's")).at_address(9, 9).get("/v1/users").await;
    jane.sign_in(&login_page, "jane@example.com").await;
    jane.send(from(Ask::navigate("GET", &format!("{SITE}/.tollgate/logout")), "192.0.2.8", "leaves")).await;
    desk.delete("/v1/users/1").await;
    let events = kept.objects("audit.log", 14).await;
    let told: Vec<Value> = events
        .iter()
        .map(|event| json!([event["event"], event["actor"], event["by"], event["client"]]))
        .collect();
    let (page, desk) = (json!("master"), json!("desk"));
    let by_desk = |event: &str| json!([event, "api_key", desk, "127.0.0.1"]);
    let by_page = |event: &str| json!([event, "api_key", page, "127.0.0.1"]);
    let by_visitor = |event: &str, from: &str| json!([event, "visitor", null, from]);
    assert_eq!(
        told,
        [
            by_page("user_created"),
            by_page("token_issued"),
            by_visitor("token_redeemed", "192.0.2.7"),
            by_visitor("session_started", "192.0.2.7"),
            by_visitor("token_refused", "127.0.7.7"),
            by_desk("session_changed"),
            by_desk("user_changed"),
            by_desk("session_ended"),
            json!(["wrong_key", "stranger", null, "127.0.9.9"]),
            by_page("token_issued"),
            by_visitor("token_redeemed", "127.0.0.1"),
            by_visitor("session_started", "127.0.0.1"),
            by_visitor("session_ended", "192.0.2.8"),
            by_desk("user_deleted"),
        ]
    );
    assert_eq!((&events[2]["request_id"], &events[12]["request_id"]), (&json!("redeems"), &json!("leaves")));
    assert_ne!(events[4]["request_id"], "forged");
    let names: BTreeMap<&str, usize> = events.iter().fold(BTreeMap::new(), |mut names, event| {
        *names.entry(event["request_id"].as_str().expect("each has a request")).or_default() += 1;
        names
    });
    let access = kept.objects("access.log", 12).await;
    for name in names.keys() {
        assert!(access.iter().any(|line| line["request_id"] == **name), "{name} is in the access log");
    }
    let all = format!("{events:?}");
    for secret in [token.as_str(), "jane@example.com", MASTER_KEY, "the-key-of-the-help-desk"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    assert_eq!(kept.figure("tollgate_log_lines_dropped_total{log=\"audit\",reason=\"queue_full\"}").await, 0);
}

#[tokio::test]
async fn a_signal_opens_the_files_anew_and_they_are_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let program = Program::start(&Plan::new(&upstream).tables(&kept(folder.path(), "json"))).await;
    let path = folder.path().join("access.log");
    std::fs::rename(&path, folder.path().join("old.log")).unwrap();
    program.signal("HUP");
    let there = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, there).await.expect("it is there without a request");
    for file in ["access.log", "audit.log"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{file}: {mode:o}");
    }
}

#[tokio::test]
async fn each_error_of_the_gateways_own_names_its_request() {
    let kept = Kept::start("json", |plan| {
        plan.site(|site| {
            site.with("apis", "[\"session\", \"sso_tokens\"]")
                .route_requiring("/chiefs/", "{ roles = [\"chief\"] }")
                .route_for(&["POST"], "/post/", "off")
        })
        .and_site(SitePlan::new("nowhere", "nowhere.test", ([127, 0, 0, 1], 9).into()))
    })
    .await;
    let mut jane = Visitor::at(&kept.gateway);
    jane.sign_in(&kept.gateway.login_page(), "jane@example.com").await;
    let mut stranger = Visitor::at(&kept.gateway);
    let page = |url: &str| Ask::navigate("GET", url);
    let mut errors = Vec::new();
    for ask in [
        page(&format!("{SITE}/a%2fb")),
        page("http://unknown.test/"),
        page("http://nowhere.test/public/a"),
        page(&format!("{SITE}/.tollgate/nothing")),
        page(&format!("{SITE}/api/session/redeem-token?session_token=x")),
        Ask::script("GET", &format!("{SITE}/closed")),
        Ask::script("POST", &format!("{SITE}/v1/sso_tokens")),
        Ask::script("GET", &format!("{SITE}/api/2/session/get-token")),
        Ask::navigate("TRACE", &format!("{SITE}/closed")),
        page(&format!("{SITE}/?sso=x")).with("Sec-Purpose", "prefetch"),
    ] {
        errors.push((format!("{ask:?}"), stranger.send(ask).await));
    }
    let chiefs = page(&format!("{SITE}/chiefs/"));
    errors.push((format!("{chiefs:?}"), jane.send(chiefs).await));
    for target in ["/v1/nothing", "/v1/users/x"] {
        errors.push((target.to_owned(), kept.gateway.api().get(target).await));
    }
    for (asked, answer) in &errors {
        assert!(answer.status >= 400, "{asked}: {}", answer.status);
        let name = answer.header("x-request-id").unwrap_or_else(|| panic!("{asked}: {:?}", answer.headers));
        let is_page = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        assert!(!is_page || answer.text().contains(&name), "{asked}: {}", answer.text());
    }
    let lines = kept.objects("access.log", errors.len()).await;
    for (asked, answer) in errors {
        let line = lines.iter().find(|line| line["request_id"] == answer.header("x-request-id").unwrap());
        assert!(line.is_some_and(|line| line["status"] == answer.status), "{asked}");
    }
    // What a site says itself is left as it is.
    kept.upstream.answers(crate::support::Answer::Page {
        status: 404,
        headers: Vec::new(),
        body: Vec::new(),
    });
    assert_eq!(jane.get(&format!("{SITE}/public/a")).await.header("x-request-id"), None);
}
