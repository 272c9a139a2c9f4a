//! The OpenAPI document is true: a program that is not ours makes calls of it, good ones and bad ones,
//! and compares the answers with what the document says of them.

use std::fs;
use std::process::{Command, Output};

use crate::support::{FakeUpstream, MASTER_KEY, Plan, SitePlan, Visitor, python};

/// Calls of each kind that are made up.
const EXAMPLES: &str = "20";

#[tokio::test]
async fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let upstream = FakeUpstream::start().await;
    let gateway = Plan::new(&upstream).start().await;
    let mut sessions = Vec::new();
    for person in 0..3 {
        let mut visitor = Visitor::at(&gateway);
        visitor.sign_in(&gateway.login_page(), &format!("person{person}@example.com")).await;
        let listed =
            gateway.api().get(&format!("/v1/sessions?email=person{person}@example.com")).await.json();
        sessions.push(listed["sessions"][0]["id"].as_str().expect("a session").to_owned());
    }
    let output = drive(&format!("http://{}", gateway.control), &sessions).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Selected: 17/18") && told.contains("Tested: 17"), "{told}");
}

#[tokio::test]
async fn of_several_sites_one_has_to_be_named() {
    let upstream = FakeUpstream::start().await;
    let plan = Plan::new(&upstream).and_site(SitePlan::new("wiki", "wiki.test", upstream.address()));
    let gateway = plan.start().await;
    let output = drive(&format!("http://{}", gateway.control), &[]).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Has schemathesis make calls, some of them to `sessions`.
async fn drive(base: &str, sessions: &[String]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("schemathesis.toml");
    let known = sessions.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(", ");
    let parameters = match sessions {
        [] => String::new(),
        _ => format!(
            "[[operations]]\ninclude-path = \"/v1/sessions/{{id}}\"\nparameters = {{ \"path.id\" = [{known}] }}\n"
        ),
    };
    fs::write(&config, parameters).expect("writes a file");
    let mut command = Command::new(python());
    command.args(["-m", "schemathesis.cli", "--config-file"]).arg(&config).arg("run");
    command.arg(format!("{base}/v1/openapi.json"));
    // Events go on for ever, and schemathesis waits for the end of an answer.
    command.args(["--exclude-path", "/v1/events"]);
    command.args(["--header", &format!("Authorization: Bearer {MASTER_KEY}"), "--max-examples", EXAMPLES]);
    command.args(["--seed", "1", "--no-color", "--generation-database", "none"]).current_dir(folder.path());
    tokio::task::spawn_blocking(move || command.output()).await.expect("runs").expect("starts")
}
