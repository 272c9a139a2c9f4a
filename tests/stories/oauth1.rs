//! OAuth 1.0a as client libraries that are not ours sign it.

use std::process::{Command, Output};

use crate::support::{FakeUpstream, Plan, SITE, TestGateway, Visitor, python};

const KEY: &str = "name = \"signing\"\nscopes = []\npermission = \"super\"\nconsumer_key = \"consumer-key\"\n\
    consumer_secret = \"consumer-secret-0123456789-abcdefghijkl\"\naccess_token = \"access-token\"\n\
    access_secret = \"access-secret-0123456789-abcdefghijklmn\"";

/// A gateway whose clock shows the real time, as the clients read theirs.
async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    Plan::new(upstream).key(KEY).starting_now().start().await
}

/// Runs the client `script` of `tests/clients` against `base`; every case it prints.
async fn run(interpreter: String, script: &str, base: String) -> Vec<serde_json::Value> {
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let what = format!("{interpreter} {script}");
    let run = move || {
        Command::new(interpreter)
            .args([script.as_str(), &base, "consumer-key", "consumer-secret-0123456789-abcdefghijkl"])
            .args(["access-token", "access-secret-0123456789-abcdefghijklmn"])
            .output()
    };
    let output: Output = tokio::task::spawn_blocking(run).await.expect("runs").expect("starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    let lines = String::from_utf8(output.stdout).expect("prints UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("a case is a line of JSON")).collect()
}

/// Every case is judged as it says, and what was believed was also understood.
async fn judged(gateway: &TestGateway, upstream: &FakeUpstream, cases: &[serde_json::Value]) {
    let (mut believed, mut refused) = (0, 0);
    for case in cases {
        let body = case["body"].as_str().expect("a body");
        assert_eq!(case["status"], 200, "{case}");
        if case["believed"] == false {
            assert!(body.contains("error") && !body.contains("access_token"), "{case}");
            refused += 1;
            continue;
        }
        let json = serde_json::from_str::<serde_json::Value>(body).ok();
        let token = if let Some(json) = &json {
            assert_eq!(json["sessiontoken"]["return_url"], "/über uns?a=b&c=d+e%20f~#g", "{case}");
            json["sessiontoken"]["access_token"].as_str().expect("a token")
        } else {
            let (_, rest) = body.split_once("<access_token>").unwrap_or_else(|| panic!("{case}"));
            rest.split('<').next().expect("a token")
        };
        let mut visitor = Visitor::at(gateway);
        let answer = visitor.get(&format!("{SITE}/api/session/redeem-token?session_token={token}")).await;
        assert_eq!(answer.status, 302, "{case}");
        assert_eq!(visitor.get(&format!("{SITE}/a")).await.status, 200, "{case}");
        let (email, name) = ("jörg+a~b@example.com", "Jörg O'Neil & Söhne ~ 100% +1");
        for (header, value) in [("x-forwarded-email", email), ("x-forwarded-name", name)] {
            let told = upstream.last().header(header);
            assert_eq!(told.as_deref(), json.is_some().then_some(value), "{case}");
        }
        believed += 1;
    }
    assert!(believed >= 4 && refused >= 1, "{cases:?}");
}

#[tokio::test]
async fn requests_oauthlib_is_understood() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let cases = run(python(), "oauth1.py", format!("http://{}", gateway.control)).await;
    judged(&gateway, &upstream, &cases).await;
}

#[tokio::test]
async fn the_php_client_of_the_23_api_is_understood() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    let cases = run("php".to_owned(), "visualvideo.php", format!("http://{}", gateway.control)).await;
    judged(&gateway, &upstream, &cases).await;
}
