//! The command line's calls to a control listener that speaks TLS: from wherever the operator is, and to nobody
//! who cannot prove to be it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::secured::self_made;
use crate::support::{Authority, FakeUpstream, MASTER_KEY, Plan, TestGateway};

/// `tollgate session list`, with the control listener at `control` and these `more` arguments.
async fn list(control: String, more: Vec<String>) -> Output {
    let listed = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["session", "list", "--control", &control]).args(more);
        command.env("TOLLGATE_KEY", MASTER_KEY).stdin(Stdio::null()).output().expect("runs")
    });
    listed.await.expect("no panic")
}

fn trusting(file: &Path) -> Vec<String> {
    vec!["--ca".to_owned(), file.display().to_string()]
}

async fn gateway_with(cert: &Path, key: &Path) -> TestGateway {
    let upstream = FakeUpstream::start().await;
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    Plan::new(&upstream).control("cert", &quoted(cert)).control("key", &quoted(key)).start().await
}

#[tokio::test]
async fn a_control_listener_with_tls_is_called_over_tls() {
    let authority = Authority::new();
    let files = authority.issue("control", &["127.0.0.1"]);
    let gateway = gateway_with(&files.cert, &files.key).await;
    let port = gateway.control.port();
    let output = list(format!("https://127.0.0.1:{port}"), trusting(&authority.root_file())).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    // Nobody else's word for it: the system's authorities, another one, another name.
    let other = Authority::new();
    for (host, more) in [
        ("127.0.0.1", Vec::new()),
        ("127.0.0.1", trusting(&other.root_file())),
        ("localhost", trusting(&authority.root_file())),
    ] {
        let output = list(format!("https://{host}:{port}"), more).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("certificate"), "{host}: {said}");
        assert!(!said.contains(MASTER_KEY));
    }
    // Without TLS no key goes there.
    let output = list(format!("http://127.0.0.1:{port}"), trusting(&authority.root_file())).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && said.contains("--ca"), "{said}");
}

#[tokio::test]
async fn a_certificate_that_the_listener_made_itself_is_enough_to_know_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = self_made(folder.path(), "localhost");
    let gateway = gateway_with(&files.cert, &files.key).await;
    let control = format!("https://localhost:{}", gateway.control.port());
    let output = list(control.clone(), trusting(&files.cert)).await;
    assert!(output.status.success(), "{output:?}");
    let output = list(control, trusting(&files.key)).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("has no certificate in it"), "{said}");
}
