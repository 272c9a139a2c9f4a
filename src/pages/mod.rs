//! The pages that the gateway itself shows a visitor: small, readable without JavaScript, light
//! and dark, and without a single asset from elsewhere.
//!
//! A page is plain data until it is rendered, so that whoever decides on one need not know the
//! request's reference; the edge that answers adds it.

mod policy;
mod problem;
mod sign_in;

use std::borrow::Cow;

use askama::Template;
use http::StatusCode;

use crate::domain::return_to::ReturnTo;
use crate::domain::signed_login::BroughtToken;

pub use problem::{Problem, Side};
pub use sign_in::SignInFailure;

/// A page that a visitor may meet.
///
/// Text is escaped wherever it comes from. A URL's scheme is not judged here: hand in paths of
/// the gateway, a proven [`ReturnTo`] or URLs out of the configuration.
#[derive(Clone, Copy, Debug)]
pub enum Page<'a> {
    /// A sign-in link did not lead to a session.
    SignInFailed {
        /// Why not.
        reason: SignInFailure,
        /// Where the sign-in begins anew.
        retry_url: &'a str,
    },
    /// A sign-in link was opened on a site that wants a press of a button before it redeems.
    ConfirmSignIn {
        /// Where the button posts to.
        action: &'a str,
        /// The form field that carries the token.
        token_field: &'a str,
        /// The token, which the page alone carries on.
        token: &'a BroughtToken,
        /// Where the visitor wants to be; `None` to leave that to the token.
        return_to: Option<&'a ReturnTo>,
        /// The site's name.
        site: &'a str,
    },
    /// A visitor has signed in and is on the way.
    SignedIn {
        /// Where the way leads.
        target: &'a ReturnTo,
    },
    /// The visitor has logged out.
    SignedOut {
        /// The site's name.
        site: &'a str,
        /// The site's front page.
        home_url: &'a str,
        /// Where to sign in again, if that can be offered.
        login_url: Option<&'a str>,
    },
    /// The visitor may not see what was asked for.
    Forbidden {
        /// The visitor's address, if it is known.
        who: Option<&'a str>,
        /// What it takes, a line for each of the ways, of which one would do.
        takes: &'a [String],
        /// Where to sign in as somebody else, if that could help.
        switch_url: Option<&'a str>,
    },
    /// Too many requests came from the visitor's address.
    SlowDown {
        /// After how many seconds the next one is welcome.
        retry_after_secs: u64,
    },
    /// A request that could not be answered.
    Problem(Problem),
}

impl Page<'_> {
    /// The status that goes with the page.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignInFailed { reason, .. } => reason.status(),
            Self::ConfirmSignIn { .. } | Self::SignedIn { .. } | Self::SignedOut { .. } => StatusCode::OK,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::SlowDown { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Problem(problem) => problem.status(),
        }
    }

    /// The page as HTML. `reference` is the request's id, which a visitor can quote and an
    /// operator can find in the log.
    pub fn render(&self, reference: Option<&str>) -> String {
        let title = self.title();
        let sheet =
            Sheet { page: self, title: &title, style: policy::STYLE, status: self.status(), reference };
        // Rendering into a String fails only if a value's own Display does, and none here does.
        sheet.render().unwrap_or_else(|_| title.clone().into_owned())
    }

    /// The `Content-Security-Policy` under which the page works: its own style and nothing else,
    /// in nobody's frame.
    pub fn content_security_policy(&self) -> &'static str {
        match self {
            Self::ConfirmSignIn { .. } => &policy::WITH_FORM,
            _ => &policy::WITHOUT_FORM,
        }
    }

    fn title(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::SignInFailed { reason, .. } => reason.title(),
            Self::ConfirmSignIn { site, .. } => return format!("Continue to {site}?").into(),
            Self::SignedIn { .. } => "You are signed in",
            Self::SignedOut { .. } => "You are signed out",
            Self::Forbidden { .. } => "This is not open to you",
            Self::SlowDown { .. } => "One moment, please",
            Self::Problem(problem) => problem.title(),
        })
    }
}

/// What all pages share; the template adds what is each one's own.
#[derive(Template)]
#[template(path = "pages/sheet.html")]
struct Sheet<'a> {
    page: &'a Page<'a>,
    title: &'a str,
    style: &'static str,
    status: StatusCode,
    reference: Option<&'a str>,
}

impl Sheet<'_> {
    /// The gate in the picture stands open where the way on is.
    fn gate_is_open(&self) -> bool {
        matches!(self.page, Page::ConfirmSignIn { .. } | Page::SignedIn { .. })
    }
}

/// A time to wait, in the words of a person.
fn wait_in_words(seconds: u64) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests;
