//! One line for each request.
//!
//! The query is left out, and so are all headers: they may hold tokens, cookies and keys.

use http::header::HOST;
use http::{Method, Request};

use super::Response;
use super::client::Client;
use super::request_id::RequestId;
use crate::domain::clock::Timestamp;

/// What the line tells of a request, taken down before the request is used up.
pub struct AccessLine(Option<Line>);

struct Line {
    method: Method,
    host: String,
    path: String,
    client: String,
    request_id: RequestId,
    began: Timestamp,
}

impl AccessLine {
    /// Takes down what there is to tell, if anybody wants to hear it.
    pub fn of<B>(request: &Request<B>, client: &Client, request_id: &RequestId, began: Timestamp) -> Self {
        if !tracing::enabled!(target: "tollgate::access", tracing::Level::INFO) {
            return Self(None);
        }
        let host = request.headers().get(HOST).map(http::HeaderValue::as_bytes);
        Self(Some(Line {
            method: request.method().clone(),
            host: String::from_utf8_lossy(host.unwrap_or_default()).into_owned(),
            path: request.uri().path().to_owned(),
            client: client.address.to_string(),
            request_id: request_id.clone(),
            began,
        }))
    }

    /// Writes the line.
    pub fn write(&mut self, response: &Response, now: Timestamp) {
        if let Some(line) = self.0.take() {
            line.write(response.status().as_u16(), Some(now));
        }
    }
}

/// What access logs write where the client left before there was an answer.
const CLIENT_LEFT: u16 = 499;

impl Drop for AccessLine {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            line.write(CLIENT_LEFT, None);
        }
    }
}

impl Line {
    fn write(&self, status: u16, now: Option<Timestamp>) {
        let duration = now.map(|now| self.began.until(now));
        tracing::info!(
            target: "tollgate::access",
            method = %self.method, host = self.host, path = self.path, client = self.client,
            request_id = self.request_id.as_str(), status,
            duration_ms = duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        );
    }
}
