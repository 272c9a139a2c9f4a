//! Traces: what the upstream is told of them, whose word is taken, and what a collector hears.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::secured::acceptor;
use crate::support::{Answer, Ask, Authority, FakeUpstream, HANG, Plan, SITE, TestGateway, Visitor, settle};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// What the upstream is told of a request with these headers.
async fn told(gateway: &TestGateway, upstream: &FakeUpstream, headers: &[(&str, &str)]) -> [Vec<String>; 2] {
    let ask = Ask::navigate("GET", &format!("{SITE}/public/a"));
    let ask = headers.iter().fold(ask, |ask, (name, value)| ask.and(name, value));
    assert_eq!(Visitor::at(gateway).send(ask).await.status, 200);
    ["traceparent", "tracestate"].map(|name| upstream.last().headers.all(name))
}

#[tokio::test]
async fn only_those_are_believed_whom_the_operator_names() {
    let upstream = FakeUpstream::start().await;
    let both = [("traceparent", PARENT), ("tracestate", "a=1,b=2")];
    let passed = [vec![PARENT.to_owned()], vec!["a=1,b=2".to_owned()]];
    let nothing = [vec![], vec![]];
    let proxied = |plan: Plan| plan.server("trusted_proxies", "[\"127.0.0.1\"]");
    for (trust, by_stranger, by_proxy) in [
        ("", &nothing, &passed),
        ("[trace]\ntrust = \"proxies\"", &nothing, &passed),
        ("[trace]\ntrust = \"any\"", &passed, &passed),
        ("[trace]\ntrust = \"none\"", &nothing, &nothing),
    ] {
        let plan = Plan::new(&upstream).tables(trust);
        let gateway = plan.clone().start().await;
        assert_eq!(&told(&gateway, &upstream, &both).await, by_stranger, "{trust}");
        assert_eq!(told(&gateway, &upstream, &[]).await, nothing, "{trust}: none is made up");
        let gateway = proxied(plan).start().await;
        assert_eq!(&told(&gateway, &upstream, &both).await, by_proxy, "{trust}");
    }
}

#[tokio::test]
async fn what_is_malformed_or_there_twice_goes_no_further() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).tables("[trace]\ntrust = \"any\"").start().await;
    let many = (0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let state = ("tracestate", "a=1");
    let nothing = [vec![], vec![]];
    let alone = [vec![PARENT.to_owned()], vec![]];
    let lines = [vec![PARENT.to_owned()], vec!["a=1".to_owned(), "b=2".to_owned()]];
    for (headers, expected) in [
        (vec![state], &nothing),
        (vec![("traceparent", "00-0-0-00"), state], &nothing),
        (vec![("traceparent", PARENT), ("traceparent", PARENT), state], &nothing),
        (vec![("traceparent", &PARENT.to_uppercase()), state], &nothing),
        (vec![("traceparent", PARENT), ("tracestate", &many)], &alone),
        (vec![("traceparent", PARENT), ("tracestate", "A=\u{e9}")], &alone),
        (vec![("traceparent", PARENT), state, ("tracestate", "b=2")], &lines),
    ] {
        assert_eq!(&told(&gateway, &upstream, &headers).await, expected, "{headers:?}");
    }
}

/// A collector, and the gateway that sends it spans.
struct Observed {
    collector: FakeUpstream,
    upstream: FakeUpstream,
    gateway: TestGateway,
}

impl Observed {
    async fn start(more: &str, change: impl FnOnce(Plan) -> Plan) -> Self {
        let (collector, upstream) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let plan = Plan::new(&upstream)
            .tables(&format!("[trace]\nendpoint = \"http://{}/otlp/\"\n{more}", collector.address()));
        collector.answers(Answer::Page { status: 200, headers: Vec::new(), body: Vec::new() });
        Self { collector, upstream, gateway: change(plan).start().await }
    }

    /// Every span that the collector has been told of, once there are so many.
    async fn spans(&self, count: usize) -> Vec<Span> {
        spans(&self.collector, count).await
    }
}

async fn spans(collector: &FakeUpstream, count: usize) -> Vec<Span> {
    let read = || -> Vec<Span> {
        let calls = collector.requests().into_iter();
        let calls =
            calls.map(|call| ExportTraceServiceRequest::decode(&*call.body).expect("is what it should be"));
        let scopes = calls.flat_map(|call| call.resource_spans).flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    };
    let there = async {
        while read().len() < count {
            settle().await;
        }
    };
    let in_time = tokio::time::timeout(HANG, there).await;
    assert!(in_time.is_ok(), "{count} spans expected: {:#?}", read());
    read()
}

fn about(span: &Span) -> BTreeMap<String, String> {
    let shown = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let attributes = span.attributes.iter().cloned();
    attributes.map(|own| (own.key, shown(own.value.and_then(|value| value.value)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test]
async fn a_request_is_told_of_in_two_spans_that_hang_together() {
    let observed = Observed::start(
        "sample = 1\nservice = \"gate\"\n[trace.headers]\nAuthorization = \"Bearer collectors-own-secret\"",
        |plan| plan.server("trusted_proxies", "[\"127.0.0.1\"]"),
    )
    .await;
    let before = [("traceparent", PARENT), ("tracestate", "a=1"), ("X-Forwarded-For", "192.0.2.7")];
    let [parent, state] = told(&observed.gateway, &observed.upstream, &before).await;
    let spans = observed.spans(2).await;
    let (server, client) = (&spans[0], &spans[1]);
    assert_eq!((server.kind, client.kind), (2, 3));
    assert_eq!((server.name.as_str(), client.name.as_str()), ("GET", "GET"));
    for span in [server, client] {
        assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.start_time_unix_nano, 1_763_800_000_000_000_000);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    assert_eq!(hex(&server.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(parent, [format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", hex(&client.span_id))]);
    assert_eq!(state, ["a=1"]);
    let upstream = observed.upstream.address();
    let expected = [
        ("client.address", "192.0.2.7"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("server.address", "site.test"),
        ("server.port", "80"),
        ("tollgate.decision", "allowed"),
        ("tollgate.site", "intranet"),
        ("url.path", "/public/a"),
        ("url.scheme", "http"),
    ];
    let mut own = about(server);
    assert_eq!(own.remove("tollgate.request_id"), observed.upstream.last().header("x-request-id"));
    assert_eq!(own, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(about(client)["server.port"], upstream.port().to_string());
    let call = observed.collector.last();
    assert_eq!((call.method.as_str(), call.target.as_str()), ("POST", "/otlp/v1/traces"));
    assert_eq!(call.header("content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(call.header("authorization").as_deref(), Some("Bearer collectors-own-secret"));
    let resource =
        ExportTraceServiceRequest::decode(&*call.body).unwrap().resource_spans.remove(0).resource.unwrap();
    assert_eq!(
        resource.attributes[0].value.clone().unwrap().value,
        Some(Value::StringValue("gate".to_owned()))
    );
}

#[tokio::test]
async fn nothing_that_opens_anything_is_told_to_a_collector() {
    let observed = Observed::start("sample = 1", |plan| plan).await;
    let mut jane = Visitor::at(&observed.gateway);
    let token = observed.gateway.login_page().token_for("jane@example.com").await;
    jane.get(&format!("{SITE}/closed?a=hidden")).await;
    jane.get(&format!("{SITE}/closed?a=hidden&sso={token}")).await;
    jane.get(&format!("{SITE}/closed?a=hidden")).await;
    jane.get(&format!("{SITE}/?sso={token}")).await;
    jane.get("http://any-host-at-all.test/").await;
    let spans = observed.spans(6).await;
    let cookie = jane.session_cookie().unwrap();
    let all: String = observed
        .collector
        .requests()
        .iter()
        .map(|call| String::from_utf8_lossy(&call.body).into_owned())
        .collect();
    for secret in [token.as_str(), cookie.as_str(), "hidden", "jane@example.com", "any-host"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let decisions: Vec<String> =
        spans.iter().filter_map(|span| about(span).remove("tollgate.decision")).collect();
    assert_eq!(decisions, ["challenged", "redeemed", "allowed", "redeemed", "refused"]);
}

#[tokio::test]
async fn nobody_fills_the_queue_to_a_collector_with_long_paths() {
    let observed = Observed::start("sample = 1", |plan| plan).await;
    let path = format!("/public/{}", "a".repeat(8_000));
    let answer = Visitor::at(&observed.gateway).get(&format!("{SITE}{path}")).await;
    assert_eq!((answer.status, observed.upstream.last().target), (200, path.clone()));
    for span in observed.spans(2).await {
        assert_eq!(about(&span)["url.path"], path[..1024]);
    }
}

#[tokio::test]
async fn what_is_not_sampled_costs_a_collector_nothing_and_the_upstream_still_hears_of_it() {
    let observed = Observed::start("sample = 0\ntrust = \"any\"", |plan| plan).await;
    let (gateway, upstream) = (&observed.gateway, &observed.upstream);
    let mut traces = Vec::new();
    for _ in 0..20 {
        let [parent, _] = told(gateway, upstream, &[]).await;
        let fields: Vec<String> = parent[0].split('-').map(str::to_owned).collect();
        assert_eq!((fields[0].as_str(), fields[3].as_str()), ("00", "00"), "{parent:?}");
        traces.push(fields[1].clone());
    }
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 20, "each is another");
    let [parent, _] = told(gateway, upstream, &[("traceparent", UNSAMPLED)]).await;
    assert!(parent[0].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent[0].ends_with("-00"));
    assert_ne!(parent[0], UNSAMPLED, "the gateway stands between them");
    // Whoever is believed decides for the rest of the trace.
    told(gateway, upstream, &[("traceparent", PARENT)]).await;
    assert_eq!(observed.spans(2).await.len(), 2);
}

#[tokio::test]
async fn a_stranger_cannot_have_anything_recorded() {
    let observed = Observed::start("sample = 0", |plan| plan).await;
    let [parent, state] =
        told(&observed.gateway, &observed.upstream, &[("traceparent", PARENT), ("tracestate", "a=1")]).await;
    assert!(!parent[0].contains("4bf92f3577b34da6") && parent[0].ends_with("-00"), "{parent:?}");
    assert!(state.is_empty());
    observed.gateway.stop().await;
    assert_eq!(observed.collector.count(), 0);
}

#[tokio::test]
async fn a_trace_is_named_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let log = format!("[log]\naccess_file = {:?}\n", file.display().to_string());
    let observed = Observed::start("sample = 0", |plan| plan.tables(&log)).await;
    let [parent, _] = told(&observed.gateway, &observed.upstream, &[]).await;
    observed.gateway.stop().await;
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(line["trace_id"], parent[0].split('-').nth(1).unwrap());
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_an_error_in_both_spans() {
    let observed = Observed::start("sample = 1", |plan| {
        plan.site(|site| site.with("upstream", "[\"http://127.0.0.1:9\"]"))
    })
    .await;
    assert_eq!(Visitor::at(&observed.gateway).get(&format!("{SITE}/public/a")).await.status, 502);
    let spans = observed.spans(2).await;
    let kinds: Vec<_> = spans.iter().map(|span| (span.kind, about(span)["error.type"].clone())).collect();
    assert_eq!(kinds, [(2, "502".to_owned()), (3, "no_answer".to_owned())]);
    assert!(spans.iter().all(|span| span.status.as_ref().is_some_and(|status| status.code == 2)));
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up_and_what_is_lost_is_counted() {
    let observed = Observed::start("sample = 1", |plan| plan).await;
    let dropped = "tollgate_trace_spans_dropped_total{reason=\"undelivered\"}";
    observed.collector.answers(Answer::Page { status: 400, headers: Vec::new(), body: Vec::new() });
    told(&observed.gateway, &observed.upstream, &[]).await;
    let figure = async |series: &str| {
        let page = observed.gateway.api().get("/metrics").await.text();
        let line =
            page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {series} in {page}"))
    };
    let counted = async {
        while figure(dropped).await != "2" {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, counted).await.expect("is counted");
    // One that has too much to do for a moment is asked again.
    observed.collector.answers(Answer::Page { status: 503, headers: Vec::new(), body: Vec::new() });
    let before = observed.collector.count();
    told(&observed.gateway, &observed.upstream, &[]).await;
    let asked = async {
        while observed.collector.count() == before {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, asked).await.expect("is asked");
    observed.collector.answers(Answer::Page { status: 200, headers: Vec::new(), body: Vec::new() });
    let taken = async {
        while figure("tollgate_trace_spans_sent_total").await != "2" {
            settle().await;
        }
    };
    tokio::time::timeout(HANG, taken).await.expect("is taken in the end");
    assert_eq!(figure(dropped).await, "2");
}

#[tokio::test]
async fn a_collector_over_tls_has_to_be_the_one_that_is_meant() {
    let (authority, impostor) = (Authority::new(), Authority::new());
    for (issuer, is_trusted) in [(&authority, true), (&impostor, false)] {
        let files = issuer.issue("collector", &["127.0.0.1"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let acceptor = acceptor(&files, &[], None);
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { return String::new() };
            let mut bytes = vec![0; 64];
            let count = stream.read(&mut bytes).await.unwrap_or(0);
            let _answered = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            String::from_utf8_lossy(&bytes[..count]).into_owned()
        });
        let upstream = FakeUpstream::start().await;
        let trace = format!(
            "[trace]\nendpoint = \"https://127.0.0.1:{port}\"\nsample = 1\nca = {:?}",
            authority.root_file().display().to_string()
        );
        let gateway = Plan::new(&upstream).tables(&trace).start().await;
        told(&gateway, &upstream, &[]).await;
        let heard = tokio::time::timeout(HANG, heard).await.unwrap().unwrap();
        assert_eq!(heard.starts_with("POST /v1/traces HTTP/1.1\r\n"), is_trusted, "{heard:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
