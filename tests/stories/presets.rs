//! Each application learns who is there under its own names, and from nobody else.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::{Ask, FakeUpstream, Plan, SITE, SitePlan, Visitor};

#[tokio::test]
async fn each_application_reads_the_user_under_its_own_names() {
    let upstream = FakeUpstream::start().await;
    for (preset, told) in [
        (
            "oauth2-proxy",
            &[("x-forwarded-preferred-username", "jane"), ("x-forwarded-groups", "staff,press")][..],
        ),
        (
            "authelia",
            &[("remote-user", "jane"), ("remote-name", "Jane Doe"), ("remote-groups", "staff,press")],
        ),
        ("authentik", &[("x-authentik-username", "jane"), ("x-authentik-groups", "staff|press")]),
        ("grafana", &[("x-webauth-user", "jane"), ("x-webauth-role", "editor")]),
        ("forgejo", &[("x-webauth-user", "jane"), ("x-webauth-fullname", "Jane Doe")]),
        ("jenkins", &[("x-forwarded-displayname", "Jane Doe"), ("x-forwarded-groups", "staff|press")]),
        ("sonarqube", &[("x-forwarded-login", "jane")]),
        ("nexus", &[("x-sso-user", "jane")]),
        ("netbox", &[("remote-user-group", "staff|press"), ("remote-user-last-name", "Doe")]),
        ("rundeck", &[("x-forwarded-uuid", "jane"), ("x-forwarded-roles", "staff,press")]),
        ("guacamole", &[("remote_user", "jane")]),
        ("georchestra", &[("sec-proxy", "true"), ("sec-roles", "staff;press")]),
        ("cloudbeaver", &[("x-user", "jane"), ("x-team", "staff|press")]),
    ] {
        let plan = Plan::new(&upstream).site(|site| site.identity("preset", &format!("{preset:?}")));
        let gateway = plan.start().await;
        let mut visitor = Visitor::at(&gateway);
        let jane = json!({
            "email": "jane@example.com", "full_name": "Jane Doe", "external_id": "jane",
            "groups": ["staff", "press"],
        });
        let token = gateway.login_page().token(jane).await;
        assert_eq!(visitor.get(&format!("{SITE}/?sso={token}")).await.status, 302);
        // What the client says under such a name, however it is spelled, is not passed on.
        let mut ask = Ask::navigate("GET", &format!("{SITE}/"));
        for (name, _) in told {
            ask = ask.and(name, "root").and(&name.replace(['-', '_'], "."), "root");
            ask = ask.and(&name.to_uppercase().replace('-', "_"), "root");
        }
        assert_eq!(visitor.send(ask).await.status, 200, "{preset}");
        let received = upstream.last();
        for (name, value) in told {
            assert_eq!(received.header(name).as_deref(), Some(*value), "{preset}: {name}");
        }
        upstream.assert_never_saw("root").await;
    }
}

#[tokio::test]
async fn a_group_a_line_where_the_application_wants_it_so() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).site(|site| site.identity("preset", "\"kubernetes\""));
    let gateway = plan.start().await;
    let mut visitor = Visitor::at(&gateway);
    let groups = json!(["system:masters", "a|b"]);
    let jane = json!({ "email": "jane@example.com", "full_name": "Jane Doe", "groups": groups });
    let token = gateway.login_page().token(jane).await;
    assert_eq!(visitor.get(&format!("{SITE}/?sso={token}")).await.status, 302);
    assert_eq!(visitor.get(&format!("{SITE}/")).await.status, 200);
    let received = upstream.last();
    // In the very case in which it is documented.
    let lines = received.headers.0.iter().filter(|(name, _)| name.as_str() == "X-Remote-Group");
    let lines: Vec<String> =
        lines.map(|(_, value)| String::from_utf8_lossy(value.as_ref()).into_owned()).collect();
    assert_eq!(lines, ["system:masters", "a|b"]);
}

/// Each preset in each encoding, and what stands in the headers, byte for byte.
const TOLD: &str = include_str!("presets.txt");

#[tokio::test]
async fn every_preset_is_sent_byte_for_byte_as_the_table_has_it() {
    let upstream = FakeUpstream::start().await;
    let mut plan = Plan::new(&upstream);
    let pairs: Vec<(&str, &str)> =
        PRESETS.iter().flat_map(|preset| ENCODINGS.map(|encoding| (*preset, encoding))).collect();
    for (preset, encoding) in &pairs {
        let site =
            SitePlan::new(&format!("{preset}.{encoding}"), &host(preset, encoding), upstream.address());
        let site =
            site.identity("preset", &format!("{preset:?}")).identity("encoding", &format!("{encoding:?}"));
        plan = plan.and_site(site);
    }
    let gateway = plan.start().await;
    let mut told = String::new();
    for (preset, encoding) in pairs {
        let zoe = json!({
            "site": format!("{preset}.{encoding}"), "email": "zoë@exämple.com", "first_name": "Zoë \"Z\"",
            "last_name": "Čapek-王", "groups": ["press", "Größe|x", "a b"], "plans": ["plus"],
        });
        let answer = gateway.api().post("/v1/sso_tokens", &zoe).await.json();
        let token = answer["token"].as_str().expect("a token").to_owned();
        let site = format!("http://{}", host(preset, encoding));
        let mut visitor = Visitor::at(&gateway);
        assert_eq!(visitor.get(&format!("{site}/?sso={token}")).await.status, 302);
        assert_eq!(visitor.send(Ask::bare("GET", &format!("{site}/"))).await.status, 200);
        let _infallible = writeln!(told, "{preset} {encoding}");
        for (name, value) in &upstream.last().headers.0 {
            if !OTHERS.contains(&name.to_ascii_lowercase().as_str()) {
                let _infallible = writeln!(told, "  {name}: {}", value.escape_ascii());
            }
        }
    }
    assert!(told == TOLD, "presets.txt has something else than this:\n{told}");
}

const PRESETS: [&str; 16] = [
    "default",
    "oauth2-proxy",
    "authelia",
    "authentik",
    "grafana",
    "gitea",
    "forgejo",
    "jenkins",
    "sonarqube",
    "nexus",
    "netbox",
    "kubernetes",
    "rundeck",
    "guacamole",
    "georchestra",
    "cloudbeaver",
];

const ENCODINGS: [&str; 4] = ["utf8", "percent", "base64url", "rfc2047"];

/// What tells of the connection and not of the person.
const OTHERS: [&str; 9] = [
    "host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "x-access-class",
];

fn host(preset: &str, encoding: &str) -> String {
    format!("{preset}.{encoding}.test")
}
