//! Every code by which a program tells one refusal from another, in one list: they do not change between
//! versions, and `docs/errors.md` explains each of them.

use http::StatusCode;
use serde::{Serialize, Serializer};

/// Writes the list down once, so that none can be missing from any part of it.
macro_rules! codes {
    ($($name:ident = $word:literal, $status:ident;)+) => {
        /// A stable code of an error, which always comes with the same status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "docs/errors.md says what they mean")]
        pub enum Code { $($name,)+ }

        impl Code {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it is sent.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The status that it comes with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }
        }
    };
}

codes! {
    AmbiguousPath = "ambiguous_path", BAD_REQUEST;
    BadRequest = "bad_request", BAD_REQUEST;
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    CrossSite = "cross_site", FORBIDDEN;
    DoubledCookie = "doubled_cookie", BAD_REQUEST;
    Forbidden = "forbidden", FORBIDDEN;
    // RFC 4918 §9.8.5 has this status for it.
    ForeignDestination = "foreign_destination", BAD_GATEWAY;
    ForgedHeader = "forged_header", BAD_REQUEST;
    InsufficientScope = "insufficient_scope", FORBIDDEN;
    KeyExpired = "key_expired", UNAUTHORIZED;
    LoginRequired = "login_required", UNAUTHORIZED;
    MalformedJson = "malformed_json", BAD_REQUEST;
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    MisplacedRequirement = "misplaced_requirement", BAD_GATEWAY;
    MissingToken = "missing_token", UNAUTHORIZED;
    NavigationRequired = "navigation_required", FORBIDDEN;
    NotFound = "not_found", NOT_FOUND;
    OutOfFiles = "out_of_files", SERVICE_UNAVAILABLE;
    OwnPath = "own_path", NOT_FOUND;
    ParameterInvalid = "parameter_invalid", UNPROCESSABLE_ENTITY;
    ParameterMissing = "parameter_missing", UNPROCESSABLE_ENTITY;
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT;
    SessionEnded = "session_ended", UNAUTHORIZED;
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE;
    TooManyRequests = "too_many_requests", TOO_MANY_REQUESTS;
    TooManySessions = "too_many_sessions", FORBIDDEN;
    UnclearInquiry = "unclear_inquiry", BAD_REQUEST;
    UnknownHost = "unknown_host", MISDIRECTED_REQUEST;
    UnknownUpgrade = "unknown_upgrade", BAD_REQUEST;
    UnreadableRequirement = "unreadable_requirement", BAD_GATEWAY;
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    UntrustedProxy = "untrusted_proxy", FORBIDDEN;
    UpstreamBrokeOff = "upstream_broke_off", BAD_GATEWAY;
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT;
    UpstreamTls = "upstream_tls", BAD_GATEWAY;
    UpstreamUnreachable = "upstream_unreachable", BAD_GATEWAY;
    UpstreamUnreadable = "upstream_unreadable", BAD_GATEWAY;
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::session::End;
    use crate::domain::token::Refusal;

    const DOCUMENT: &str = include_str!("../../docs/errors.md");

    /// The first cell of each row below a heading, and the second.
    fn rows(heading: &str) -> BTreeSet<(String, String)> {
        let (_, part) = DOCUMENT.split_once(&format!("\n## {heading}\n")).expect(heading);
        let part = part.split("\n## ").next().unwrap();
        part.lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(word, rest)| {
                (word.to_owned(), rest.split('|').nth(1).unwrap_or_default().trim().to_owned())
            })
            .collect()
    }

    #[test]
    fn the_documents_explain_every_code_and_no_other() {
        let known =
            Code::ALL.iter().map(|code| (code.as_str().to_owned(), code.status().as_u16().to_string()));
        assert_eq!(rows("Codes"), known.collect());
    }

    #[test]
    fn the_documents_explain_why_tokens_are_refused_and_sessions_end() {
        let words = |heading| rows(heading).into_iter().map(|(word, _)| word).collect::<BTreeSet<_>>();
        assert_eq!(words("Why a token was refused"), Refusal::ALL.map(|one| one.as_str().to_owned()).into());
        assert_eq!(words("Why a session ended"), End::ALL.map(|one| one.as_str().to_owned()).into());
    }
}
