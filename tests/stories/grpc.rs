//! gRPC, as its own library speaks it on both sides of the gateway.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::support::{HANG, Plan, SitePlan, TestGateway, python};

fn calls(arguments: &[&str]) -> Command {
    let mut command = Command::new(python());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/grpc_calls.py")).args(arguments);
    command
}

/// An upstream that runs until it is dropped.
struct Upstream(Child);

impl Upstream {
    async fn start() -> (Self, SocketAddr) {
        let child = calls(&["serve"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut upstream = Self(child.expect("starts"));
        let mut output = BufReader::new(upstream.0.stdout.take().expect("has an output"));
        let line = spawn_blocking(move || {
            let mut line = String::new();
            output.read_line(&mut line).map(|_| line)
        });
        let line = timeout(HANG, line).await.expect("in time").expect("runs").expect("prints UTF-8");
        let port: u16 = line.trim().parse().expect("a port");
        (upstream, SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

/// A gateway that speaks HTTP/2 on both sides, with open paths but for `/closed`.
async fn gateway(upstream: SocketAddr) -> TestGateway {
    let site = SitePlan::new("intranet", "site.test", upstream).with("access", "\"off\"");
    let site = site.upstreams(&[format!("h2c://{upstream}")]).route("/closed/", "required");
    Plan::of(site).server("h2c", "true").start().await
}

#[tokio::test]
async fn all_kinds_of_calls_pass() {
    let (_upstream, address) = Upstream::start().await;
    let gateway = gateway(address).await;
    let mut calls = calls(&["call", &gateway.http.to_string()]);
    let output = timeout(2 * HANG, spawn_blocking(move || calls.output())).await.expect("in time");
    let output = output.expect("runs").expect("starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    let told = String::from_utf8(output.stdout).expect("prints UTF-8");
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(
        told,
        [
            "unary-unary",
            "unary-stream",
            "stream-unary",
            "stream-stream",
            "many at once",
            "large messages",
            "error FAILED_PRECONDITION",
            "error UNIMPLEMENTED",
            "error DATA_LOSS",
            "cancelled",
            "deadline",
            "closed",
        ]
    );
}
