//! The pages that the gateway itself shows a visitor: small, readable without JavaScript, light
//! and dark, and without a single asset from elsewhere.
//!
//! A page is plain data until it is rendered, so that whoever decides on one need not know the
//! request's reference; the edge that answers adds it.

mod paused;
mod policy;
mod problem;
mod sign_in;

use std::borrow::Cow;

use askama::Template;
use http::StatusCode;

use crate::domain::return_to::ReturnTo;
use crate::domain::signed_login::BroughtToken;
use crate::http::form::Field;

pub use paused::{PausedPage, What, base64};
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
    /// A stranger came to a closed page within a frame of another site.
    FramedSignIn {
        /// The login page, which is opened in a tab of its own.
        login_url: &'a str,
        /// Where the frame redeems the token that is put behind this.
        redeem_url: &'a str,
        /// The closed page.
        page_url: &'a str,
        /// Whether the visitor has tried it before.
        failed: bool,
    },
    /// The login page came back to the tab that the frame has opened.
    Handover {
        /// The parameter with the token.
        token_param: &'a str,
        /// The page in the frame.
        page_url: &'a str,
    },
    /// A closed page whose URL may have a fragment, which browsers do not send: a script keeps it until
    /// the visitor is back.
    KeepFragment {
        /// Where the visitor signs in.
        login_url: &'a str,
        /// The cookie that keeps it.
        cookie: &'a str,
        /// What it is kept with.
        tag: &'a str,
        /// Whether the cookie is for https alone.
        secure: bool,
    },
    /// A request that was paused for a login.
    Paused(PausedPage<'a>),
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
            Self::ConfirmSignIn { .. }
            | Self::SignedIn { .. }
            | Self::SignedOut { .. }
            | Self::Handover { .. }
            | Self::Paused(_) => StatusCode::OK,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            // Nobody who asks whether the page is open is to take this for a yes, nor is a cache.
            Self::KeepFragment { .. } | Self::FramedSignIn { .. } => StatusCode::UNAUTHORIZED,
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

    /// The `Content-Security-Policy` under which the page works: its own style and script and nothing
    /// else, in nobody's frame.
    pub fn content_security_policy(&self) -> &'static str {
        match self {
            Self::ConfirmSignIn { .. } => &policy::WITH_FORM,
            Self::FramedSignIn { .. } => &policy::WITH_FRAME_SCRIPT,
            Self::Handover { .. } => &policy::WITH_HANDOVER_SCRIPT,
            Self::KeepFragment { .. } => &policy::FRAGMENT,
            Self::Paused(_) => &policy::RESUME,
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
            Self::FramedSignIn { .. } => "Sign in to continue",
            Self::Handover { .. } => "One last step",
            Self::KeepFragment { .. } => "Please sign in",
            Self::Paused(paused) => paused.title(),
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
        matches!(self.page, Page::ConfirmSignIn { .. } | Page::SignedIn { .. } | Page::Handover { .. })
    }

    /// Whether the page's form is to come with its origin. Under the answer's own `no-referrer` browsers say
    /// `null` (HTML standard, "append a request `Origin` header"), as any page can have them say. The
    /// origin alone tells nobody the token in the page's address.
    fn names_its_origin(&self) -> bool {
        matches!(self.page, Page::ConfirmSignIn { .. })
    }

    /// The page's script, if it has one.
    fn script(&self) -> &'static str {
        match self.page {
            Page::FramedSignIn { .. } => policy::FRAME_SCRIPT,
            Page::Handover { .. } => policy::HANDOVER_SCRIPT,
            _ => "",
        }
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
