//! Browsers that all want the same at the same instant: of what may happen once, it shows whether it
//! happens once.

use super::gateway::TestGateway;
use super::visitor::Visitor;
use super::wire::{Connection, Response};

/// Browsers with an address and a kept connection each.
pub(crate) struct Crowd(Vec<Connection>);

impl Crowd {
    /// So many strangers at the door of `gateway`.
    pub(crate) async fn at(gateway: &TestGateway, count: u8) -> Self {
        let mut browsers = Vec::new();
        for number in 1..=count {
            browsers.push(Visitor::at(gateway).at_address(1, number).connect().await);
        }
        Self(browsers)
    }

    /// Follows a link to `target` in all of them at once. Their answers.
    pub(crate) async fn follow(&mut self, target: &str) -> Vec<Response> {
        // All but the last byte goes ahead: then one byte each sets them off together.
        let request = format!("GET {target} HTTP/1.1\r\nHost: site.test\r\n\r\n");
        let (ahead, last) = request.as_bytes().split_at(request.len() - 1);
        for part in [ahead, last] {
            for browser in &mut self.0 {
                assert!(browser.send(part).await, "the connection is kept");
            }
        }
        let mut answers = Vec::new();
        for browser in &mut self.0 {
            answers.push(browser.receive("GET").await.expect("an answer"));
        }
        answers
    }
}
