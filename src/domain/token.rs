//! What a one-time login token stands for, and what it takes to redeem it.

use std::time::Duration;

use super::clock::Timestamp;
use super::identity::Identity;
use super::session::SessionId;
use super::site::SiteName;
use super::state::{LoginState, Receipt};

/// Which of the two kinds of token the 23-compatible API knows; the plain API makes session
/// tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Opens a session for whoever it names, or for an anonymous visitor.
    Session,
    /// Logs in a user with a full account.
    Login,
}

impl TokenKind {
    /// `session` or `login`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Login => "login",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Session, Self::Login].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// When a session may tell the upstream of its user's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolePolicy {
    /// Always: the login page vouched for the membership itself.
    Always,
    /// Only together with the back end, as the 23-compatible API has it.
    WithBackend,
}

impl RolePolicy {
    /// `always` or `with_backend`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::WithBackend => "with_backend",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Always, Self::WithBackend].into_iter().find(|policy| policy.as_str() == text)
    }
}

/// What a token's bearer gets.
#[derive(Clone, Debug)]
pub struct TokenGrant {
    /// What made it.
    pub kind: TokenKind,
    /// The site it opens.
    pub site: SiteName,
    /// Who the session is for. Role and back end are looked up anew when it is redeemed.
    pub identity: Identity,
    /// When the upstream is told of the role.
    pub role_policy: RolePolicy,
    /// Where to go afterwards, as the login page gave it: to be proven when it is used.
    pub return_url: Option<String>,
    /// The browser that alone may redeem it, if the login page said so.
    pub state: Option<LoginState>,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
    /// The session's idle time, where it differs from the site's.
    pub session_idle: Option<Duration>,
    /// The session's greatest age, where it differs from the site's.
    pub session_max: Option<Duration>,
    /// The session on another site that hands its person on by this token. What comes of it is kin,
    /// begins only while that session goes on, and does not outlast it.
    pub source: Option<SessionId>,
}

/// Who wants to redeem a token, and where.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The kind of token that the endpoint takes; `None` for either.
    pub kind: Option<TokenKind>,
    /// The site on which it is being redeemed.
    pub site: SiteName,
    /// The state that belongs to the browser, if it has one.
    pub state: Option<LoginState>,
    /// Whether the site refuses tokens without a state.
    pub require_state: bool,
    /// What is kept for the browser if it gets the token, so that it may come once more.
    pub receipt: Option<Receipt>,
}

impl Claim {
    /// Whether it is made where tokens of this kind for `site` are taken. Anywhere else nothing is
    /// told of them.
    pub fn is_for(&self, kind: TokenKind, site: &SiteName) -> bool {
        self.site == *site && self.kind.is_none_or(|taken| taken == kind)
    }
}

/// What the bearer of a good token gets.
#[derive(Debug)]
pub enum Taken {
    /// All that it stands for. Nobody gets that again.
    Now(TokenGrant),
    /// The way to what this very browser got a moment ago.
    Before(Redeemed),
}

/// How long a browser whose answer was lost on the way may come with the same token again.
pub const RETRY: Duration = Duration::from_secs(10);

/// What is kept of a redemption for a moment.
#[derive(Clone, Debug)]
pub struct Redeemed {
    /// By which browser, and into which session.
    pub receipt: Receipt,
    /// Where to go afterwards.
    pub return_url: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// [`TokenGrant::source`].
    pub source: Option<SessionId>,
}

impl Redeemed {
    /// Until when it is of use.
    pub fn expires_at(&self) -> Timestamp {
        self.at.after(RETRY)
    }

    /// Whether `claim` comes from the same browser, soon enough.
    pub fn is_for(&self, claim: &Claim, now: Timestamp) -> bool {
        now < self.expires_at()
            && claim.receipt.as_ref().is_some_and(|receipt| receipt.is_of_the_browser_of(&self.receipt))
    }
}

/// Why a token was not redeemed. A refused token stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such token on this site: never issued, or long gone.
    #[error("the token is not known here")]
    Unknown,
    /// It was redeemed before.
    #[error("the token was used before")]
    Used,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It belongs to another browser.
    #[error("the token was made for another browser")]
    OtherBrowser,
    /// It was withdrawn together with the sessions of the person.
    #[error("the token was withdrawn")]
    Revoked,
    /// It names no browser, and the site insists on one.
    #[error("the token is not bound to a browser")]
    Unbound,
}

impl Refusal {
    pub(crate) const ALL: [Self; 6] =
        [Self::Unknown, Self::Used, Self::Expired, Self::OtherBrowser, Self::Revoked, Self::Unbound];

    /// A stable word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::OtherBrowser => "other_browser",
            Self::Revoked => "revoked",
            Self::Unbound => "unbound",
        }
    }
}

impl TokenGrant {
    /// Whether `claim` may have it at `now`. A store asks this within the one step that takes the
    /// token, so that nothing can come between.
    pub fn check(&self, claim: &Claim, now: Timestamp) -> Result<(), Refusal> {
        if !claim.is_for(self.kind, &self.site) {
            return Err(Refusal::Unknown);
        }
        if now >= self.expires_at {
            return Err(Refusal::Expired);
        }
        match (&self.state, &claim.state) {
            (None, _) if claim.require_state => Err(Refusal::Unbound),
            (Some(bound), browser) if browser.as_ref() != Some(bound) => Err(Refusal::OtherBrowser),
            _ => Ok(()),
        }
    }

    /// What is kept of its redemption by `claim`, if that comes from a browser that might come again.
    pub fn redeemed_by(&self, claim: &Claim, now: Timestamp) -> Option<Redeemed> {
        let receipt = claim.receipt.clone()?;
        Some(Redeemed { receipt, return_url: self.return_url.clone(), at: now, source: self.source })
    }
}
