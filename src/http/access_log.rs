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
    pub fn write(&self, response: &Response, now: Timestamp) {
        let Some(line) = &self.0 else { return };
        tracing::info!(
            target: "tollgate::access",
            method = %line.method, host = line.host, path = line.path, client = line.client,
            request_id = line.request_id.as_str(), status = response.status().as_u16(),
            duration_ms = u64::try_from(line.began.until(now).as_millis()).unwrap_or(u64::MAX),
        );
    }
}
