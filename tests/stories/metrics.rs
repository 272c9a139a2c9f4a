//! What `/metrics` tells: true figures, with nothing in their labels that a client could choose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{
    ApiClient, Ask, Authority, FakeUpstream, HANG, Plan, SITE, SitePlan, TestGateway, Visitor, settle,
};

/// Figures by name and labels, as they stand on the page.
struct Figures(BTreeMap<String, String>);

impl Figures {
    async fn of(api: &ApiClient) -> Self {
        let answer = api.get("/metrics").await;
        assert_eq!(answer.status, 200);
        let text = answer.text();
        let mut figures = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            assert!(value.parse::<f64>().is_ok(), "{line:?}");
            let before = figures.insert(series.to_owned(), value.to_owned());
            assert!(before.is_none(), "{series} stands there twice");
        }
        Self(figures)
    }

    /// The figure `series`, which is 0 as long as it is not there.
    fn get(&self, series: &str) -> &str {
        self.0.get(series).map_or("0", String::as_str)
    }

    fn requests(&self, site: &str, code: &str, decision: &str) -> &str {
        self.get(&format!(
            "tollgate_requests_total{{site=\"{site}\",code=\"{code}\",decision=\"{decision}\"}}"
        ))
    }

    fn all_requests(&self) -> u64 {
        let all = self.0.iter().filter(|(series, _)| series.starts_with("tollgate_requests_total{"));
        all.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
    }

    /// The names of all there are, as queries know them.
    fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(|series| series.split('{').next().unwrap()).collect()
    }
}

#[tokio::test]
async fn every_request_is_counted_with_what_was_made_of_it() {
    let upstream = FakeUpstream::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silent_at, gone_at) = (silent.local_addr().unwrap(), gone.local_addr().unwrap());
    drop(gone);
    let gateway = Plan::new(&upstream)
        .site(|site| site.route_requiring("/admin/", "{ roles = [\"admin\"] }"))
        .and_site(SitePlan::new("gone", "gone.test", gone_at).with("access", "\"off\""))
        .and_site(SitePlan::new("silent", "silent.test", silent_at).with("access", "\"off\""))
        .start()
        .await;
    let (mut jane, mut stranger) = (Visitor::at(&gateway), Visitor::at(&gateway));
    let token = gateway.login_page().token_for("jane@example.com").await;
    jane.get(&format!("{SITE}/?sso={token}")).await;
    for url in ["/a", "/b", "/public/c", "/admin/d", "/.tollgate/session", "/.tollgate/nothing", "/e/..%2f"] {
        jane.get(&format!("{SITE}{url}")).await;
    }
    stranger.get(&format!("{SITE}/a")).await;
    stranger.fetch(&format!("{SITE}/a")).await;
    stranger.get(&format!("{SITE}/?sso={token}")).await;
    stranger.get("http://nobody.test/").await;
    stranger.get("http://gone.test/").await;
    let mut leaving = stranger.connect().await;
    leaving.send(b"GET / HTTP/1.1\r\nHost: silent.test\r\n\r\n").await;
    let _has_it = tokio::time::timeout(HANG, silent.accept()).await.unwrap().unwrap();
    drop(leaving);
    let api = gateway.api();
    let told = async {
        loop {
            let figures = Figures::of(&api).await;
            if figures.requests("silent", "4xx", "abandoned") != "0" {
                return figures;
            }
            settle().await;
        }
    };
    let figures = tokio::time::timeout(HANG, told).await.expect("the one that left is counted");
    for (site, code, decision, times) in [
        ("intranet", "3xx", "redeemed", 1),
        ("intranet", "2xx", "allowed", 3),
        ("intranet", "4xx", "denied", 1),
        ("intranet", "2xx", "own", 1),
        ("intranet", "4xx", "refused", 2),
        ("intranet", "3xx", "challenged", 1),
        ("intranet", "4xx", "challenged", 1),
        // A token that is not good leads back to the login page.
        ("intranet", "3xx", "own", 1),
        ("", "4xx", "refused", 1),
        ("gone", "5xx", "error", 1),
        ("silent", "4xx", "abandoned", 1),
    ] {
        let told = figures.requests(site, code, decision);
        assert!(told == times.to_string(), "{site} {code} {decision}: {told}, not {times}");
    }
    assert!(figures.all_requests() == 14, "{}", figures.all_requests());
    let failures = format!("tollgate_upstream_failures_total{{site=\"gone\",upstream=\"http://{gone_at}\"}}");
    assert_eq!(figures.get(&failures), "1");
}

#[tokio::test]
async fn a_login_is_counted_from_the_token_to_the_end_of_the_session() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).start().await;
    let (page, api) = (gateway.login_page(), gateway.api());
    let (mut jane, mut joe) = (Visitor::at(&gateway), Visitor::at(&gateway));
    jane.sign_in(&page, "jane@example.com").await;
    joe.sign_in(&page, "joe@example.com").await;
    let late = page.token_for("jim@example.com").await;
    gateway.advance(Duration::from_mins(6));
    let mut jim = Visitor::at(&gateway);
    jim.get(&format!("{SITE}/?sso={late}")).await;
    jim.get(&format!("{SITE}/?sso={}", "A".repeat(43))).await;
    let figures = Figures::of(&api).await;
    assert_eq!(figures.get("tollgate_sessions{site=\"intranet\"}"), "2");
    jane.get(&format!("{SITE}/.tollgate/logout")).await;
    api.delete("/v1/sessions?email=joe@example.com").await;
    api.with_key(Some("no-key-that-anybody-has")).get("/v1/sessions").await;
    let figures = Figures::of(&api).await;
    for (series, value) in [
        ("tollgate_tokens_issued_total{site=\"intranet\"}", 3),
        ("tollgate_tokens_redeemed_total{site=\"intranet\"}", 2),
        ("tollgate_tokens_refused_total{site=\"intranet\",reason=\"expired\"}", 1),
        ("tollgate_tokens_refused_total{site=\"intranet\",reason=\"unknown\"}", 1),
        ("tollgate_tokens_refused_total{site=\"intranet\",reason=\"used\"}", 0),
        ("tollgate_sessions_started_total{site=\"intranet\"}", 2),
        ("tollgate_sessions_ended_total{site=\"intranet\",reason=\"logout\"}", 1),
        ("tollgate_sessions_ended_total{site=\"intranet\",reason=\"revoked\"}", 1),
        ("tollgate_sessions{site=\"intranet\"}", 0),
        ("tollgate_users_created_total", 3),
        ("tollgate_api_keys_refused_total", 1),
        ("tollgate_store_duration_seconds_count{operation=\"take_token\"}", 4),
        ("tollgate_store_errors_total{operation=\"take_token\"}", 0),
    ] {
        assert!(figures.0.get(series) == Some(&value.to_string()), "{series}: {:?}", figures.0.get(series));
    }
}

#[tokio::test]
async fn nothing_that_a_client_says_stands_in_a_label() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).start().await;
    let (mut stranger, api) = (Visitor::at(&gateway), gateway.api());
    let asks = |word: &str| {
        [
            Ask::bare("GET", &format!("http://{word}.test/")),
            Ask::bare("GET", &format!("{SITE}/{word}?{word}={word}")).with("X-Forwarded-Host", word),
            Ask::bare(word, &format!("{SITE}/public/")).with("X-Request-Id", word),
            Ask::bare("GET", &format!("{SITE}/?sso={}", word.repeat(7))).with("Cookie", word),
            Ask::navigate("GET", &format!("{SITE}/?sso={}", "B".repeat(43))).with("User-Agent", word),
            Ask::bare("GET", &format!("{SITE}/.tollgate/{word}")),
        ]
    };
    // Often enough to be held back.
    for ask in (0..20).flat_map(|_| asks("hostile")) {
        stranger.send(ask).await;
    }
    let before = Figures::of(&api).await;
    for number in 0..20 {
        for ask in asks(&format!("zq{number}zq")) {
            stranger.send(ask).await;
        }
    }
    let after = Figures::of(&api).await;
    let new: Vec<&String> = after.0.keys().filter(|series| !before.0.contains_key(*series)).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(!after.0.keys().any(|series| series.contains("zq") || series.contains("hostile")));
}

#[tokio::test]
async fn it_is_told_apart_what_the_upstream_takes_and_what_the_gateway_does() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    let plan = Plan::of(SitePlan::new("intranet", "site.test", address).with("access", "\"off\""));
    let gateway = plan.start().await;
    let mut visitor = Visitor::at(&gateway);
    let answered = async {
        let (mut stream, _) = upstream.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let _length = stream.read(&mut head).await.unwrap();
        gateway.advance(Duration::from_millis(70));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
        stream
    };
    let url = format!("{SITE}/");
    let (_kept, answer) = tokio::join!(answered, visitor.get(&url));
    assert_eq!(answer.status, 200);
    // How connections are doing is told ten times a second.
    let api = gateway.api();
    let upstream = format!("{{site=\"intranet\",upstream=\"http://{address}\"}}");
    let idle = format!("tollgate_upstream_connections_idle{upstream}");
    let told = async {
        while Figures::of(&api).await.get(&idle) == "0" {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, told).await.expect("the connection is kept");
    let figures = Figures::of(&api).await;
    let labels = upstream.trim_matches(['{', '}']);
    let within = |bound: &str| {
        figures.get(&format!("tollgate_upstream_response_seconds_bucket{{{labels},le=\"{bound}\"}}"))
    };
    assert!((within("0.05"), within("0.1"), within("+Inf")) == ("0", "1", "1"));
    assert_eq!(figures.get(&format!("tollgate_upstream_response_seconds_sum{upstream}")), "0.07");
    for name in ["tollgate_request_delay_seconds", "tollgate_request_overhead_seconds"] {
        assert_eq!(figures.get(&format!("{name}_count{{site=\"intranet\"}}")), "1");
        assert_eq!(figures.get(&format!("{name}_sum{{site=\"intranet\"}}")), "0");
    }
    assert_eq!(figures.get(&format!("tollgate_upstream_up{upstream}")), "1");
    assert_eq!(figures.get(&format!("tollgate_upstream_requests_in_flight{upstream}")), "0");
}

#[tokio::test]
async fn what_all_workers_do_is_told_as_one() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).server("workers", "4").start().await;
    let mut visitors: Vec<Visitor> = (0..8).map(|_| Visitor::at(&gateway)).collect();
    for visitor in &mut visitors {
        assert_eq!(visitor.get(&format!("{SITE}/public/a")).await.status, 200);
    }
    let figures = Figures::of(&gateway.api()).await;
    assert_eq!(figures.requests("intranet", "2xx", "allowed"), "8");
    assert_eq!(figures.get("tollgate_request_overhead_seconds_count{site=\"intranet\"}"), "8");
    assert_eq!(figures.get("tollgate_connections{listener=\"public\"}"), "8");
    assert_eq!(figures.get("tollgate_connections_accepted_total{listener=\"public\"}"), "8");
    assert_eq!(figures.get("tollgate_connections{listener=\"control\"}"), "1");
}

#[tokio::test]
async fn handshakes_are_counted_and_certificates_have_an_end() {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let files = authority.issue("site", &["site.test"]);
    let gateway = Plan::new(&upstream).certificate(files.clone()).start().await;
    let mut connection = authority.client().connect(&gateway, "site.test").await;
    let get = b"GET /public/a HTTP/1.1\r\nHost: site.test\r\n\r\n";
    assert_eq!(connection.exchange(get, "GET").await.unwrap().status, 200);
    let mut nonsense = tokio::net::TcpStream::connect(gateway.https()).await.unwrap();
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _reset = nonsense.read_to_end(&mut rest).await;
    let handshakes =
        |outcome: &str| format!("tollgate_tls_handshakes_total{{listener=\"public\",outcome=\"{outcome}\"}}");
    let api = gateway.api();
    let told = async {
        loop {
            let figures = Figures::of(&api).await;
            if figures.get(&handshakes("failed")) != "0" {
                return figures;
            }
            settle().await;
        }
    };
    let figures = tokio::time::timeout(HANG, told).await.expect("the failure is counted");
    assert_eq!(figures.get(&handshakes("ok")), "1");
    let file = files.cert.display();
    let series =
        format!("tollgate_certificate_expiry_timestamp_seconds{{listener=\"public\",file=\"{file}\"}}");
    assert!(figures.get(&series).parse::<u64>().unwrap() > 1_763_800_000, "{:?}", figures.0);
}

#[tokio::test]
async fn other_settings_leave_what_was_counted_as_it_is() {
    let (upstream, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let mut gateway = Plan::new(&upstream).start().await;
    let mut visitor = Visitor::at(&gateway);
    visitor.sign_in(&gateway.login_page(), "jane@example.com").await;
    visitor.get(&format!("{SITE}/a")).await;
    Visitor::at(&gateway).get("http://nowhere.test/").await;
    let before = Figures::of(&gateway.api()).await;
    let connections = "tollgate_connections_accepted_total{listener=\"public\"}";
    let accepted = before.get(connections).to_owned();
    assert_eq!(
        (before.requests("intranet", "2xx", "allowed"), before.requests("", "4xx", "refused")),
        ("1", "1")
    );

    // What changed and what did not: counters are the site's, not the settings'.
    let with_wiki = || SitePlan::new("wiki", "wiki.test", upstream.address());
    for plan in [Plan::new(&upstream).and_site(with_wiki()), Plan::new(&other).and_site(with_wiki())] {
        gateway.reload(&plan).await.unwrap();
        visitor.get(&format!("{SITE}/a")).await;
    }
    Visitor::at(&gateway).get("http://nowhere.test/").await;
    let after = Figures::of(&gateway.api()).await;
    assert_eq!(
        (after.requests("intranet", "2xx", "allowed"), after.requests("", "4xx", "refused")),
        ("3", "2")
    );
    assert_eq!(after.get("tollgate_tokens_redeemed_total{site=\"intranet\"}"), "1");
    assert_eq!(after.get("process_start_time_seconds"), before.get("process_start_time_seconds"));
    let more = |series: &str| after.get(series).parse::<u64>().unwrap();
    assert!(more(connections) > accepted.parse().unwrap());
    let told = |upstream: &FakeUpstream| {
        let address = upstream.address();
        more(&format!(
            "tollgate_upstream_response_seconds_count{{site=\"intranet\",upstream=\"http://{address}\"}}"
        ))
    };
    assert_eq!(told(&other), 1);
    // One upstream more, or the others reached in another way, is none that is new.
    let both = [&other, &upstream].map(|one| format!("http://{}", one.address()));
    let with_both = |patience: &str| {
        let site =
            |site: SitePlan| site.with("upstream", &format!("{both:?}")).with("connect_timeout", patience);
        Plan::new(&other).and_site(with_wiki()).site(site)
    };
    for patience in ["\"3s\"", "\"4s\""] {
        gateway.reload(&with_both(patience)).await.unwrap();
    }
    let after = Figures::of(&gateway.api()).await;
    let labels = format!("{{site=\"intranet\",upstream=\"http://{}\"}}", other.address());
    assert_eq!(after.get(&format!("tollgate_upstream_response_seconds_count{labels}")), "1");
    assert_eq!(after.get(&format!("tollgate_upstream_requests_in_flight{labels}")), "0");
    // A site that is no more has no figures.
    gateway.reload(&Plan::new(&other)).await.unwrap();
    assert_eq!(Figures::of(&gateway.api()).await.get("tollgate_sessions_started_total{site=\"wiki\"}"), "0");
}

/// Everything that a gateway may tell, where there is something to tell of everything.
async fn everything() -> (TestGateway, Figures) {
    let (upstream, authority) = (FakeUpstream::start().await, Authority::new());
    let plan = Plan::new(&upstream).certificate(authority.issue("site", &["site.test"]));
    let gateway = plan.start().await;
    Visitor::at(&gateway).sign_in(&gateway.login_page(), "jane@example.com").await;
    let figures = Figures::of(&gateway.api()).await;
    (gateway, figures)
}

fn packaged(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The figures that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let words = words.filter(|word| word.starts_with("tollgate_") || word.starts_with("process_"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn dashboard_rules_and_documentation_name_figures_that_there_are() {
    let (_gateway, figures) = everything().await;
    let mut told: BTreeSet<String> = figures.names().into_iter().map(str::to_owned).collect();
    // These appear with the first fault of a store.
    told.insert("tollgate_store_faults_total".to_owned());
    // And this is told in the place of another one over a Redis.
    told.insert("tollgate_shared_sessions".to_owned());
    let family = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"].into_iter();
        ends.filter_map(|end| name.strip_suffix(end))
            .find(|own| told.contains(&format!("{own}_bucket")))
            .unwrap_or(name)
            .to_owned()
    };
    let families: BTreeSet<String> = told.iter().map(|name| family(name)).collect();
    let dashboard = packaged("grafana/tollgate.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("is JSON");
    for (file, text) in [
        ("grafana/tollgate.json", dashboard),
        ("prometheus/tollgate.rules.yml", packaged("prometheus/tollgate.rules.yml")),
    ] {
        let named = named(&text);
        let unknown: Vec<&String> =
            named.iter().filter(|name| !told.contains(*name) && !families.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    let documented = named(&packaged("../docs/metrics.md"));
    let missing: Vec<&String> = families.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/metrics.md does not explain {missing:?}");
    let unknown: Vec<&String> =
        documented.iter().filter(|name| !told.contains(*name) && !families.contains(*name)).collect();
    assert!(unknown.is_empty(), "docs/metrics.md explains {unknown:?}");
}

#[tokio::test]
async fn promtool_has_nothing_to_say_against_it() {
    let Ok(version) = Command::new("promtool").arg("--version").output() else { return };
    assert!(version.status.success());
    let (gateway, _) = everything().await;
    let page = gateway.api().get("/metrics").await.text();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page");
    fs::write(&file, page).unwrap();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/prometheus/tollgate.rules.yml");
    for arguments in [&["check", "metrics"][..], &["check", "rules", rules]] {
        let page = fs::File::open(&file).unwrap();
        let output = Command::new("promtool").args(arguments).stdin(page).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
