//! Why a sign-in link did not work, told to the person who followed it.

use http::StatusCode;

use crate::domain::token::Refusal;

/// Why a visitor who came with a token has no session now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInFailure {
    /// The token was redeemed before.
    Used,
    /// Its time was over.
    Expired,
    /// There is no such token on this site.
    Unknown,
    /// It belongs to another browser.
    OtherBrowser,
    /// It names no browser, on a site that insists on one.
    Unbound,
    /// Several tokens in a row did not work.
    TooMany,
    /// The person has as many sessions as the site allows.
    TooManySessions,
    /// The person's session had to make room for another one.
    Evicted,
}

impl From<Refusal> for SignInFailure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Used => Self::Used,
            // To the person it makes no difference why the link has no force any more.
            Refusal::Expired | Refusal::Revoked => Self::Expired,
            Refusal::Unknown => Self::Unknown,
            Refusal::OtherBrowser => Self::OtherBrowser,
            Refusal::Unbound => Self::Unbound,
        }
    }
}

impl SignInFailure {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Used
            | Self::Expired
            | Self::Unknown
            | Self::OtherBrowser
            | Self::Unbound
            | Self::TooManySessions
            | Self::Evicted => StatusCode::FORBIDDEN,
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::TooMany => "Signing in did not work",
            Self::TooManySessions => "You are signed in elsewhere",
            Self::Evicted => "You have been signed out here",
            _ => "This sign-in link did not work",
        }
    }

    pub(super) const fn explanation(self) -> &'static str {
        match self {
            Self::Used => {
                "It has been used before, and each link works only once. Perhaps you went back a page, or \
                 opened it a second time."
            }
            Self::Expired => "It was made too long ago. A sign-in link is good for a few minutes only.",
            Self::Unknown => {
                "We do not know it. It may have been cut short on its way, or belong to another site."
            }
            Self::OtherBrowser => {
                "It was made for another browser or a private window. Signing in has to end in the browser in which \
                 it began."
            }
            Self::Unbound => {
                "It does not say for which browser it was made, and this site insists on that. The mistake is the \
                 sign-in page’s, not yours."
            }
            Self::TooMany => {
                "Several sign-in links in a row did not work, so we have stopped sending you back and forth."
            }
            Self::TooManySessions => {
                "Your account is signed in on as many browsers and devices as this site allows at a time."
            }
            Self::Evicted => {
                "Your account was used to sign in somewhere else, and this site allows only so many browsers and \
                 devices at a time. The oldest had to make room: this one."
            }
        }
    }

    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Used | Self::Expired | Self::Unknown => "Start again to get a fresh one.",
            Self::OtherBrowser => "Start again to sign in with this browser.",
            Self::Unbound => {
                "Start again from here; if that does not help, tell the people who run the site."
            }
            Self::TooManySessions => {
                "Sign out on one of them, or wait until it has been idle for long enough, and start again."
            }
            Self::Evicted => {
                "Sign in again to continue here. If it was not you who signed in elsewhere, tell the people who run \
                 the site."
            }
            Self::TooMany => {
                "Wait a minute, check that your browser accepts cookies from this site, and start again. If that \
                 does not help, tell the people who run the site."
            }
        }
    }
}
