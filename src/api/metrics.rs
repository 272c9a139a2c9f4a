//! `/metrics`: how it stands, in the text format of Prometheus.

use http::{Method, StatusCode};

use super::{Api, ApiError};
use crate::domain::clock::Timestamp;
use crate::http::{Request, Response, reply};
use crate::metrics::{Kind, Page, Source};

/// The format's own type.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everybody who has figures to tell, in order.
pub struct Figures {
    sources: Vec<Box<dyn Source>>,
    began: Timestamp,
}

impl Figures {
    /// The figures of `sources` in a process that `began` then.
    pub fn new(sources: Vec<Box<dyn Source>>, began: Timestamp) -> Self {
        Self { sources, began }
    }

    /// All of them as they are `now`.
    fn page(&self, now: Timestamp) -> String {
        let mut page = Page::default();
        page.begin("tollgate_build_info", Kind::Gauge, "The program that is running.");
        page.figure(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        let help = "When it was started, in seconds since 1970.";
        page.begin("process_start_time_seconds", Kind::Gauge, help);
        page.figure(&[], self.began.as_secs());
        self.sources.iter().for_each(|source| source.write(&mut page, now));
        page.into_text()
    }
}

impl Api {
    /// The figures as they are now.
    pub(super) fn metrics(&self, request: &Request) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return ApiError::method_not_allowed("GET, HEAD").into_response();
        }
        reply::with_body(StatusCode::OK, CONTENT_TYPE, self.figures.page(self.sso.now()))
    }
}
