//! `/metrics`: how it stands, in the text format of Prometheus.

use std::fmt::Write as _;

use http::{Method, StatusCode};

use super::{Api, ApiError};
use crate::http::{Request, Response, reply};

/// The format's own type.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Api {
    /// The figures as they are now.
    pub(super) fn metrics(&self, request: &Request) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return ApiError::method_not_allowed("GET, HEAD").into_response();
        }
        let health = self.sso.store_health();
        let mut text = String::new();
        let version = env!("CARGO_PKG_VERSION");
        let up = u8::from(health.is_well);
        // Writing into a text cannot fail.
        let _infallible = write!(
            text,
            "# HELP tollgate_build_info The program that is running.\n\
             # TYPE tollgate_build_info gauge\n\
             tollgate_build_info{{version=\"{version}\"}} 1\n\
             # HELP tollgate_store_up Whether the store does what it is asked.\n\
             # TYPE tollgate_store_up gauge\n\
             tollgate_store_up {up}\n\
             # HELP tollgate_store_faults_total Times that the store did not do what it was asked.\n\
             # TYPE tollgate_store_faults_total counter\n"
        );
        for (reason, times) in health.faults {
            let _infallible = writeln!(text, "tollgate_store_faults_total{{reason=\"{reason}\"}} {times}");
        }
        reply::with_body(StatusCode::OK, CONTENT_TYPE, text)
    }
}
