//! What comes of a request: a page, a way to another page, or what went wrong, which is a page as well.

use std::time::Duration;

use askama::Template;
use http::StatusCode;

use super::operators::Operator;
use super::sheet::Sheet;
use super::{Visit, guard};
use crate::http::body::ReadFault;
use crate::http::{Response, reply};
use crate::store::Unavailable;

/// What comes of a request.
pub(super) type Answer = Result<Response, Trouble>;

/// Why there is not what was asked for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The request names a host that may be anybody's.
    ForeignHost,
    /// Another site's page sent it, or nobody says that it did not.
    Foreign,
    /// The form is not one of this operator's pages, or of a sign-in that is over.
    Stale,
    /// There is nothing, or nothing any more.
    NotFound(&'static str),
    /// The address takes other methods.
    Method(&'static str),
    /// The body cannot be read.
    Unread(ReadFault),
    /// What was filled in makes no sense.
    Invalid(String),
    /// Too many wrong keys.
    SlowDown(Duration),
    /// The store does not answer.
    Unavailable,
    /// The page cannot be made.
    Unmade,
    /// One of these for somebody who has signed in.
    Known(Box<(Self, Sheet)>),
}

impl From<Unavailable> for Trouble {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl Trouble {
    /// The same, told to somebody who has signed in.
    pub(super) fn by(self, visit: &Visit<'_>) -> Self {
        Self::Known(Box::new((self, visit.sheet("Trouble", "-"))))
    }

    /// A page that says so.
    pub(super) fn into_response(self) -> Response {
        let (trouble, sheet) = match self {
            Self::Known(known) => {
                let (trouble, sheet) = *known;
                (trouble, Some(sheet))
            }
            trouble => (trouble, None),
        };
        let (status, title, text) = trouble.told();
        let is_here = !matches!(trouble, Self::ForeignHost);
        let sheet = sheet.unwrap_or_else(|| Sheet::of_nobody(title));
        let html = TroublePage { sheet, title, text, is_here }.render();
        let response = guard::page(status, html.unwrap_or_default());
        match trouble {
            Self::Method(methods) => reply::allowing(response, methods),
            Self::SlowDown(wait) => reply::retry_after(response, wait),
            Self::Unavailable => reply::retry_after(response, Duration::from_secs(1)),
            _ => response,
        }
    }

    fn told(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::ForeignHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "The admin page is not at this address",
                "A name that could be anybody’s leads here. That is how other sites would get at this page from \
                 your browser, so it is shown only under addresses, localhost, the names in the listener’s \
                 certificate, and those in hosts under [control]. Ask for it at one of these; if this name is \
                 yours, add it to hosts in the configuration."
                    .to_owned(),
            ),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "This request came from another site",
                "Another site’s page sent this, or your browser does not say that it was a page of this one. \
                 Nothing was changed."
                    .to_owned(),
            ),
            Self::Stale => (
                StatusCode::FORBIDDEN,
                "This page is too old",
                "The form belongs to a sign-in that is over. Nothing was changed: go back, reload the page, and \
                 try again."
                    .to_owned(),
            ),
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                "There is nothing here",
                format!("There is no such {what}, or it no longer exists."),
            ),
            Self::Method(methods) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This address takes other methods",
                format!("It accepts {methods}."),
            ),
            Self::Unread(fault) => {
                let status = match fault {
                    ReadFault::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
                    ReadFault::Broken => StatusCode::BAD_REQUEST,
                    ReadFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
                };
                (status, "The form could not be read", format!("Nothing was changed: {fault}."))
            }
            Self::Invalid(why) => (StatusCode::UNPROCESSABLE_ENTITY, "That cannot be", why.clone()),
            Self::SlowDown(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong keys",
                "So many wrong keys came from your address that you have to wait a moment. A right one opens at any time."
                    .to_owned(),
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The store does not answer",
                "Sessions and users cannot be looked up just now. Try again in a moment; the log says more."
                    .to_owned(),
            ),
            Self::Unmade => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page could not be made",
                "Something in it cannot be shown.".to_owned(),
            ),
            Self::Known(known) => known.0.told(),
        }
    }
}

#[derive(Template)]
#[template(path = "admin/trouble.html")]
struct TroublePage {
    sheet: Sheet,
    title: &'static str,
    text: String,
    /// Whether the admin page is to be found at this address. Where it is instead a stranger is not told.
    is_here: bool,
}

/// Sends the browser to another page.
pub(super) fn go(path: &str) -> Response {
    reply::redirect(StatusCode::SEE_OTHER, path)
}

/// A page.
pub(super) fn shown(template: &impl Template) -> Answer {
    let html = template.render().map_err(|_| Trouble::Unmade)?;
    Ok(guard::page(StatusCode::OK, html))
}

impl Visit<'_> {
    /// Goes to another page, and says something there.
    pub(super) fn go_and_say(&self, path: &str, notice: impl Into<String>) -> Response {
        let operator: &Operator = &self.operator;
        operator.notify(notice.into());
        go(path)
    }
}
