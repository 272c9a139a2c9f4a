//! What is told of a request: a span for what the gateway did, and one for what the upstream did.
//!
//! Names are those of `OpenTelemetry`'s semantic conventions for HTTP. Neither `url.query` nor `url.full` with
//! one is told, and no header: they may hold tokens.

use std::net::IpAddr;

use http::Method;
use http::uri::Authority;

use super::Traced;
use super::otlp::{CLIENT, ERROR, KeyValue, SERVER, Span, Status};
use crate::domain::clock::Moment;
use crate::domain::host::Scheme;
use crate::domain::site::SiteName;
use crate::http::access_log::{Head, discreet};

/// A request that is over, and is recorded.
pub struct Finished {
    /// Its trace.
    pub traced: Traced,
    /// What it was.
    pub gist: Gist,
    /// How its client reached the site.
    pub scheme: Scheme,
    /// The site that it was for.
    pub site: Option<SiteName>,
    /// What the gateway made of it.
    pub decision: &'static str,
    /// The status of the answer; `None` if the client left before there was one.
    pub status: Option<u16>,
    /// When it came.
    pub began: Moment,
    /// When there was an answer.
    pub ended: Moment,
    /// What the upstream did, if it was asked.
    pub upstream: Option<Asked>,
}

/// What is kept of a request's head while its spans wait for a collector. These are copies: whatever shares
/// the memory of a head keeps all of it, and thousands of those may wait.
pub struct Gist {
    /// The method; `None` if it is none of the [`KNOWN`].
    method: Option<Method>,
    path: String,
    host: Option<Authority>,
    version: &'static str,
    client: IpAddr,
    request_id: String,
}

/// As much of a path is told, in bytes: clients may send far longer ones.
const MOST_PATH: usize = 1024;

impl Gist {
    /// Copies what there is to tell of `head`, for the site that it is for if it is for one.
    pub fn of(head: &Head, site: Option<&SiteName>) -> Self {
        let path = discreet(head.uri.path());
        // Of a host that is no site's nobody needs to know: anybody could make any number up.
        let host = head.host.as_ref().filter(|_| site.is_some());
        Self {
            method: Some(head.method.clone()).filter(|method| KNOWN.contains(method)),
            path: path.get(..path.floor_char_boundary(MOST_PATH)).unwrap_or_default().to_owned(),
            host: host.and_then(|host| Authority::try_from(host.as_bytes()).ok()),
            version: head.protocol_version(),
            client: head.client,
            request_id: head.request_id.as_str().to_owned(),
        }
    }
}

/// An upstream that was asked.
pub struct Asked {
    /// Its host, and its port if that is not the default.
    pub authority: Authority,
    /// The default.
    pub default_port: u16,
    /// When it was.
    pub sent: Moment,
    /// When it answered, if it did.
    pub answered: Option<Moment>,
}

/// The methods that are told under their own names; whatever else a client makes up is `_OTHER`.
const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

impl Finished {
    /// The spans. That of the upstream is the child of the gateway's own.
    pub(super) fn into_spans(self) -> impl Iterator<Item = Span> {
        let client = self.client_span();
        [Some(self.server_span()), client].into_iter().flatten()
    }

    fn method(&self) -> (&str, &str) {
        let method = self.gist.method.as_ref();
        method.map_or(("HTTP", "_OTHER"), |method| (method.as_str(), method.as_str()))
    }

    fn span(&self, id: u64, parent: Option<u64>, kind: i32, times: (Moment, Moment)) -> Span {
        let (name, method) = self.method();
        let bytes = |id: u64| id.to_be_bytes().to_vec();
        Span {
            trace_id: self.traced.id().to_be_bytes().to_vec(),
            span_id: bytes(id),
            parent_span_id: parent.map(bytes).unwrap_or_default(),
            name: name.to_owned(),
            kind,
            start_time_unix_nano: times.0.as_nanos(),
            end_time_unix_nano: times.1.as_nanos().max(times.0.as_nanos()),
            attributes: vec![KeyValue::text("http.request.method", method)],
            status: None,
            // That it is recorded.
            flags: 1,
        }
    }

    fn server_span(&self) -> Span {
        let own = self.traced.own.unwrap_or(self.traced.told.span);
        let mut span = self.span(own, self.traced.caller, SERVER, (self.began, self.ended));
        let about = &mut span.attributes;
        about.push(KeyValue::text("url.scheme", self.scheme.as_str()));
        about.push(KeyValue::text("url.path", self.gist.path.as_str()));
        about.push(KeyValue::text("client.address", self.gist.client.to_string()));
        about.push(KeyValue::text("network.protocol.version", self.gist.version));
        about.push(KeyValue::text("tollgate.request_id", self.gist.request_id.as_str()));
        about.push(KeyValue::text("tollgate.decision", self.decision));
        if let Some(site) = &self.site {
            about.push(KeyValue::text("tollgate.site", site.as_str()));
        }
        if let Some(host) = &self.gist.host {
            place(about, host, self.scheme.default_port());
        }
        match self.status {
            Some(status) => about.push(KeyValue::number("http.response.status_code", status)),
            None => about.push(KeyValue::text("error.type", "client_left")),
        }
        if let Some(status) = self.status.filter(|status| *status >= 500) {
            about.push(KeyValue::text("error.type", status.to_string()));
            span.status = Some(Status { code: ERROR });
        }
        span
    }

    fn client_span(&self) -> Option<Span> {
        let asked = self.upstream.as_ref()?;
        let ended = asked.answered.unwrap_or(self.ended);
        let mut span = self.span(self.traced.told.span, self.traced.own, CLIENT, (asked.sent, ended));
        place(&mut span.attributes, &asked.authority, asked.default_port);
        span.attributes.push(KeyValue::text("url.path", self.gist.path.as_str()));
        if let Some(status) = self.status.filter(|_| asked.answered.is_some()) {
            span.attributes.push(KeyValue::number("http.response.status_code", status));
        } else {
            let what = if self.status.is_some() { "no_answer" } else { "client_left" };
            span.attributes.push(KeyValue::text("error.type", what));
            span.status = Some(Status { code: ERROR });
        }
        Some(span)
    }
}

fn place(about: &mut Vec<KeyValue>, authority: &Authority, default_port: u16) {
    about.push(KeyValue::text("server.address", authority.host()));
    about.push(KeyValue::number("server.port", authority.port_u16().unwrap_or(default_port)));
}
