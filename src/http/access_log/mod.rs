//! One line for each request.
//!
//! The query is left out, and so are all headers but the Host: they may hold tokens, cookies and keys. Only
//! the combined format asks for two more, of which the referrer is told without its query. Of a path
//! [`discreet()`] says what is left out.

mod combined;
mod discreet;
mod json;
mod text;
mod unreadable;

pub use discreet::discreet;

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Request, Uri, Version};
use http_body::Body as _;

use super::Response;
use super::client::Client;
use super::h1::FramingFault;
use super::request_id::RequestId;
use crate::config::AccessLines;
use crate::domain::clock::{Moment, Timestamp};
use crate::domain::session::SessionId;
use crate::domain::site::SiteName;
use crate::domain::user::UserId;
use crate::journal::{Journal, Sheet};
use unreadable::Unreadable;

/// What a line tells of a request, taken down before the request is used up.
#[derive(Debug)]
pub struct Head {
    /// Its method.
    pub method: Method,
    /// Its target. The query is nobody's business.
    pub uri: Uri,
    /// In which version of HTTP it came.
    pub version: Version,
    /// The Host that it names.
    pub host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    /// Who sent it, as far as proxies are believed.
    pub client: IpAddr,
    /// Its name.
    pub request_id: RequestId,
}

impl Head {
    /// Takes down what there is to tell.
    pub fn of<B>(request: &Request<B>, client: &Client, request_id: &RequestId) -> Self {
        let headers = request.headers();
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: headers.get(HOST).cloned(),
            referer: headers.get(REFERER).cloned(),
            user_agent: headers.get(USER_AGENT).cloned(),
            client: client.address,
            request_id: request_id.clone(),
        }
    }

    /// The version of HTTP alone.
    pub fn protocol_version(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        }
    }

    fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// The status; `None` if the client left before there was an answer.
    pub status: Option<u16>,
    /// Bytes in the body of the answer, as far as it said so itself.
    pub bytes: Option<u64>,
    /// The site that it was for.
    pub site: Option<&'a SiteName>,
    /// What the gateway made of it.
    pub decision: Option<&'static str>,
    /// The session that it came with, and whose that is.
    pub session: Option<(SessionId, Option<UserId>)>,
    /// The trace that it belongs to.
    pub trace: Option<u128>,
    /// When it came.
    pub began: Moment,
    /// When there was an answer.
    pub ended: Moment,
}

impl Outcome<'_> {
    /// That it was answered so, and nothing more.
    pub fn answered(response: &Response, began: Moment, ended: Moment) -> Self {
        let announced = || response.headers().get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        Self {
            status: Some(response.status().as_u16()),
            bytes: response.body().size_hint().exact().or_else(announced),
            ..Self::abandoned(began, ended)
        }
    }

    /// That the client left.
    pub fn abandoned(began: Moment, ended: Moment) -> Self {
        let (status, bytes, site, decision, session, trace) = (None, None, None, None, None, None);
        Self { status, bytes, site, decision, session, trace, began, ended }
    }

    /// The status, for those who have to be told one.
    fn code(&self) -> u16 {
        self.status.unwrap_or(CLIENT_LEFT)
    }

    /// How long the answer took; `None` if there was none.
    fn duration_ms(&self) -> Option<u64> {
        self.status.map(|_| self.began.micros_until(self.ended) / 1000)
    }
}

/// What access logs write where the client left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// The access log of one worker.
pub struct AccessLog {
    sheet: Sheet,
    lines: AccessLines,
    /// The second of the last line, and how it is written.
    second: RefCell<(u64, String)>,
}

impl AccessLog {
    /// The log that `journal` keeps, if it keeps one.
    pub fn of(journal: &Journal) -> Option<Self> {
        let outlet = Arc::clone(journal.access.as_ref()?);
        Some(Self { sheet: Sheet::new(outlet), lines: journal.lines, second: RefCell::default() })
    }

    /// Writes the line of a request.
    pub fn note(&self, head: &Head, outcome: &Outcome<'_>) {
        self.add(outcome.began.timestamp(), |to, second, millis| match self.lines {
            AccessLines::Json => json::write(to, second, millis, head, outcome),
            AccessLines::Text => text::write(to, second, millis, head, outcome),
            AccessLines::Combined => combined::write(to, second, head, outcome),
        });
    }

    /// Writes the line of a head from `client` that could not be read.
    pub fn note_unreadable(&self, client: IpAddr, fault: FramingFault, now: Timestamp) {
        let line = Unreadable { client, fault };
        self.add(now, |to, second, millis| line.write(to, self.lines, second, millis));
    }

    /// Adds the line that `write` appends, of something that happened at `time`.
    fn add(&self, time: Timestamp, write: impl FnOnce(&mut Vec<u8>, &str, u64)) {
        let mut second = self.second.borrow_mut();
        if second.0 != time.as_secs() || second.1.is_empty() {
            *second = (time.as_secs(), self.written(time));
        }
        self.sheet.add(|to| write(to, &second.1, time.as_millis() % 1000));
    }

    fn written(&self, time: Timestamp) -> String {
        let format = match self.lines {
            AccessLines::Json | AccessLines::Text => "%Y-%m-%dT%H:%M:%S",
            AccessLines::Combined => "%d/%b/%Y:%H:%M:%S +0000",
        };
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        time.strftime(format).to_string()
    }

    /// Has what was noted written: to be called now and then.
    pub fn hand_in(&self) {
        self.sheet.hand_in();
    }
}

#[cfg(test)]
mod tests;
