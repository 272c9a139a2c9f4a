//! Requests that could not be answered: what happened, on whose side, and what a visitor can do.

use http::StatusCode;

/// A request that the gateway could not answer, or would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The request does not follow the rules of HTTP.
    Malformed,
    /// The path could be read in more than one way.
    AmbiguousPath,
    /// The session cookie came more than once.
    DoubledCookie,
    /// Another site's page asked for something that only this site's own pages may.
    CrossSite,
    /// The gateway has nothing at this address.
    NotFound,
    /// The method is not one for this address.
    MethodNotAllowed,
    /// The body is larger than the site takes.
    BodyTooLarge,
    /// No site has the host that was asked for.
    UnknownHost,
    /// The upstream cannot be reached, or broke its answer off.
    UpstreamUnreachable,
    /// The store that knows the sessions does not answer.
    SessionsUnavailable,
    /// The gateway can open no more connections for now.
    TooBusy,
    /// The session ended before the upstream had answered.
    SessionEnded,
    /// The upstream took too long.
    UpstreamTooSlow,
    /// The upstream did not say for whom its answer is, or where nobody is known.
    UpstreamUnclear,
}

/// The three parties of a request, on the way from the visitor to the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The visitor.
    Browser,
    /// The gateway.
    Gateway,
    /// The site behind the gateway.
    Upstream,
}

impl Side {
    pub(super) const ALL: [Self; 3] = [Self::Browser, Self::Gateway, Self::Upstream];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "You",
            Self::Gateway => "The gateway",
            Self::Upstream => "The site",
        }
    }
}

/// What a visitor reads of a problem.
struct Text {
    status: StatusCode,
    title: &'static str,
    explanation: &'static str,
    remedy: &'static str,
}

impl Problem {
    /// The status that says the same to a program.
    pub const fn status(self) -> StatusCode {
        self.text().status
    }

    /// Which side failed, where it was not the visitor's request.
    pub const fn failed_side(self) -> Option<Side> {
        match self {
            Self::UpstreamUnreachable | Self::UpstreamTooSlow | Self::UpstreamUnclear => Some(Side::Upstream),
            Self::SessionsUnavailable | Self::TooBusy => Some(Side::Gateway),
            Self::Malformed
            | Self::AmbiguousPath
            | Self::DoubledCookie
            | Self::CrossSite
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::BodyTooLarge
            | Self::UnknownHost
            | Self::SessionEnded => None,
        }
    }

    /// Whether the site's front page is worth a link.
    pub(super) const fn offers_front_page(self) -> bool {
        matches!(self, Self::AmbiguousPath | Self::NotFound | Self::MethodNotAllowed)
    }

    pub(super) const fn title(self) -> &'static str {
        self.text().title
    }

    pub(super) const fn explanation(self) -> &'static str {
        self.text().explanation
    }

    pub(super) const fn remedy(self) -> &'static str {
        self.text().remedy
    }

    const fn text(self) -> Text {
        match self {
            Self::Malformed => Text {
                status: StatusCode::BAD_REQUEST,
                title: "We could not read this request",
                explanation: "Something in it does not follow the rules of the web, so it was not passed on.",
                remedy: "Go back and follow the link again, or type the address anew.",
            },
            Self::AmbiguousPath => Text {
                status: StatusCode::BAD_REQUEST,
                title: "This address is not accepted",
                explanation: "It has something in it that can be read in more than one way, such as “..” or a \
                              backslash. Such addresses are not passed on.",
                remedy: "Check the address, or start from the front page.",
            },
            Self::DoubledCookie => Text {
                status: StatusCode::BAD_REQUEST,
                title: "Your browser sent two session cookies",
                explanation: "There are two of them for this site, and we cannot tell which one is yours.",
                remedy: "Delete the cookies of this site in your browser’s settings, then sign in again.",
            },
            Self::CrossSite => Text {
                status: StatusCode::FORBIDDEN,
                title: "This request came from another site",
                explanation: "It asked for something in your name, so it was not done.",
                remedy: "Go to the site itself and do it there.",
            },
            Self::NotFound => Text {
                status: StatusCode::NOT_FOUND,
                title: "There is nothing here",
                explanation: "No page has this address.",
                remedy: "Check the address, or start from the front page.",
            },
            Self::MethodNotAllowed => Text {
                status: StatusCode::METHOD_NOT_ALLOWED,
                title: "This address cannot be used like that",
                explanation: "It exists, but not for the kind of request that was sent.",
                remedy: "Go back and follow the link again, or start from the front page.",
            },
            Self::BodyTooLarge => Text {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                title: "That was too much at once",
                explanation: "What you sent is larger than this site accepts.",
                remedy: "Go back and send less, or in smaller parts.",
            },
            Self::UnknownHost => Text {
                status: StatusCode::MISDIRECTED_REQUEST,
                title: "No site at this address",
                explanation: "The name in your address bar leads here, but no site of that name is kept here.",
                remedy: "Check the spelling. If a link brought you, tell the people who made it.",
            },
            Self::UpstreamUnreachable => Text {
                status: StatusCode::BAD_GATEWAY,
                title: "The site does not answer",
                explanation: "You did nothing wrong. The site could not be reached, or broke off in the middle of \
                              its answer.",
                remedy: "Try again in a moment.",
            },
            Self::SessionsUnavailable => Text {
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "We cannot check sign-ins right now",
                explanation: "You did nothing wrong. This page is for those who are signed in, and just now we cannot \
                              look that up, so it stays closed.",
                remedy: "Try again in a moment. You need not sign in again.",
            },
            Self::TooBusy => Text {
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "Too many visitors at once",
                explanation: "You did nothing wrong. So many people are here just now that your request could not be \
                              passed on.",
                remedy: "Try again in a moment.",
            },
            Self::SessionEnded => Text {
                status: StatusCode::UNAUTHORIZED,
                title: "Your session has ended",
                explanation: "You were signed out, or your rights were changed, before the site had answered. So the \
                              answer, if there was one, was not passed on.",
                remedy: "Open the page again. If you sent something, check first whether it has arrived.",
            },
            Self::UpstreamTooSlow => Text {
                status: StatusCode::GATEWAY_TIMEOUT,
                title: "The site takes too long",
                explanation: "You did nothing wrong. The site got your request, but has not answered in time.",
                remedy: "Try again in a moment. If you sent something, check first whether it has arrived.",
            },
            Self::UpstreamUnclear => Text {
                status: StatusCode::BAD_GATEWAY,
                title: "It is not clear who may see this",
                explanation: "You did nothing wrong. The site keeps this page for some visitors, but did not say for \
                              whom in a way that we understand. So it is shown to nobody.",
                remedy: "Tell the people who look after the site. Quote the reference, if there is one below.",
            },
        }
    }
}
