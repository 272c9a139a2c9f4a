//! The files that an authority reads to see whether a name is this gateway's (RFC 8555 §8.3).

use http::{Method, StatusCode};

use super::Gateway;
use super::address::Connection;
use super::visit::Target;
use crate::domain::host::{Authority, Scheme};
use crate::http::{Request, Response, reply};

/// Where they lie.
const FOLDER: &str = "/.well-known/acme-challenge/";

impl Gateway {
    /// The file that is asked for, if it is one that is pending for this very host right now. All else
    /// under that path is the site's.
    ///
    /// Authorities begin on a plain listener, whatever a proxy between says of them. What stands in the file
    /// is no secret, and of use to the account's owner alone.
    pub(super) fn validation(
        &self,
        request: &Request,
        target: &Target,
        connection: &Connection,
    ) -> Option<Response> {
        let challenges = &self.shared.challenges;
        if !challenges.has_files() {
            return None;
        }
        let token = target.path().strip_prefix(FOLDER)?;
        if connection.peer().scheme != Scheme::Http || request.method() != Method::GET {
            return None;
        }
        let host = Authority::parse(target.host.to_str().ok()?)?;
        let text = challenges.file(host.host(), token)?;
        Some(reply::with_body(StatusCode::OK, "application/octet-stream", text))
    }
}
