//! What may happen, and what there is to say of it.
//!
//! No event holds a secret, an address of a person, or anything else that somebody outside could make long.

use std::net::IpAddr;

use serde::Serialize;

use crate::domain::clock::Timestamp;
use crate::domain::session::{End, SessionId};
use crate::domain::site::SiteName;
use crate::domain::token::Refusal;
use crate::domain::user::UserId;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the types of the fields say what they are")]
pub enum Event<'a> {
    /// A token was issued on the word of whoever has the key `by`, or handed on from a session on another
    /// site.
    TokenIssued {
        site: &'a SiteName,
        user: Option<UserId>,
        by: &'a str,
        from: Option<(&'a SiteName, SessionId)>,
    },
    /// A token opened a session.
    TokenRedeemed { site: &'a SiteName, session: SessionId, user: Option<UserId> },
    /// A browser came again with its token, and was shown the way to the session that it had opened.
    TokenRedeemedAgain { site: &'a SiteName, session: SessionId },
    /// A token opened nothing.
    TokenRefused { site: &'a SiteName, refusal: Refusal },
    /// What a login page signed was not believed; the login page's author knows what to do with `reason`.
    SignedTokenRefused { site: &'a SiteName, refusal: Refusal, reason: &'a str },
    /// A session began.
    SessionStarted { site: &'a SiteName, session: SessionId, user: Option<UserId> },
    /// A good token opened nothing: its person has as many sessions as the site allows.
    SessionRefused { site: &'a SiteName },
    /// A session ended before its time.
    SessionEnded { site: &'a SiteName, session: SessionId, end: End },
    /// Somebody was seen for the first time.
    UserCreated { user: UserId, site: &'a SiteName, by: &'a str },
    /// A user was changed.
    UserChanged { user: UserId, by: &'a str },
    /// A user was deleted.
    UserDeleted { user: UserId, by: &'a str },
    /// Somebody presented an API key that there is not.
    WrongKey { client: IpAddr },
    /// Somebody with the key `by` signed in to the admin page.
    OperatorSignedIn { by: &'a str, client: IpAddr },
    /// Somebody with the key `by` signed out of it.
    OperatorSignedOut { by: &'a str },
    /// Somebody presented what the API key `by` had until its end.
    ExpiredKey { by: &'a str, client: IpAddr },
    /// A site has other keys to sign with; the holder of the API key `by` asked for them, if anybody did.
    SigningKeysChanged { site: &'a SiteName, keys: &'a [&'a str], by: Option<&'a str>, is_compromised: bool },
    /// A request waits for its visitor's login.
    RequestParked { site: &'a SiteName, bytes: usize },
    /// It goes on.
    RequestResumed { site: &'a SiteName },
}

/// What there is to say of an event, in the order in which it is said.
#[derive(Debug, Default, Serialize)]
pub(super) struct Details<'a> {
    event: &'static str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
}

impl<'a> Event<'a> {
    /// A stable word for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenRedeemed { .. } => "token_redeemed",
            Self::TokenRedeemedAgain { .. } => "token_redeemed_again",
            Self::TokenRefused { .. } => "token_refused",
            Self::SignedTokenRefused { .. } => "signed_token_refused",
            Self::SessionStarted { .. } => "session_started",
            Self::SessionRefused { .. } => "session_refused",
            Self::SessionEnded { .. } => "session_ended",
            Self::UserCreated { .. } => "user_created",
            Self::UserChanged { .. } => "user_changed",
            Self::UserDeleted { .. } => "user_deleted",
            Self::WrongKey { .. } => "wrong_key",
            Self::OperatorSignedIn { .. } => "operator_signed_in",
            Self::OperatorSignedOut { .. } => "operator_signed_out",
            Self::ExpiredKey { .. } => "expired_key",
            Self::SigningKeysChanged { .. } => "signing_keys_changed",
            Self::RequestParked { .. } => "request_parked",
            Self::RequestResumed { .. } => "request_resumed",
        }
    }

    /// The site that it is about; `None` if it is about no single one.
    pub(super) const fn site(self) -> Option<&'a SiteName> {
        match self {
            Self::TokenIssued { site, .. }
            | Self::TokenRedeemed { site, .. }
            | Self::TokenRedeemedAgain { site, .. }
            | Self::TokenRefused { site, .. }
            | Self::SignedTokenRefused { site, .. }
            | Self::SessionStarted { site, .. }
            | Self::SessionRefused { site }
            | Self::SessionEnded { site, .. }
            | Self::UserCreated { site, .. }
            | Self::SigningKeysChanged { site, .. }
            | Self::RequestParked { site, .. }
            | Self::RequestResumed { site } => Some(site),
            Self::UserChanged { .. }
            | Self::UserDeleted { .. }
            | Self::WrongKey { .. }
            | Self::OperatorSignedIn { .. }
            | Self::OperatorSignedOut { .. }
            | Self::ExpiredKey { .. } => None,
        }
    }

    /// The other site that it tells of, if there is one.
    pub(super) const fn other_site(self) -> Option<&'a SiteName> {
        match self {
            Self::TokenIssued { from: Some((site, _)), .. } => Some(site),
            _ => None,
        }
    }

    /// What is left of it for whoever may not hear of that other site.
    pub(super) const fn of_one_site(self) -> Self {
        match self {
            Self::TokenIssued { site, user, by, from: _ } => Self::TokenIssued { site, user, by, from: None },
            other => other,
        }
    }

    pub(super) fn details(self, now: Timestamp) -> Details<'a> {
        let site = self.site().map(SiteName::as_str);
        let about = Details { event: self.name(), at: now.to_rfc3339(), site, ..Details::default() };
        let number = |user: Option<UserId>| user.map(UserId::number);
        let named = |session: SessionId| Some(session.to_string());
        match self {
            Self::TokenIssued { user, by, from, .. } => Details {
                user: number(user),
                by: Some(by),
                from_site: from.map(|(site, _)| site.as_str()),
                from_session: from.map(|(_, session)| session.to_string()),
                ..about
            },
            Self::TokenRedeemed { session, user, .. } | Self::SessionStarted { session, user, .. } => {
                Details { session: named(session), user: number(user), ..about }
            }
            Self::TokenRedeemedAgain { session, .. } => Details { session: named(session), ..about },
            Self::TokenRefused { refusal, .. } => Details { reason: Some(refusal.as_str()), ..about },
            Self::SignedTokenRefused { reason, .. } => Details { reason: Some(reason), ..about },
            Self::SessionRefused { .. } => Details { reason: Some("too_many"), ..about },
            Self::SessionEnded { session, end, .. } => {
                Details { session: named(session), reason: Some(end.as_str()), ..about }
            }
            Self::UserCreated { user, by, .. }
            | Self::UserChanged { user, by }
            | Self::UserDeleted { user, by } => Details { user: Some(user.number()), by: Some(by), ..about },
            Self::WrongKey { client } => Details { client: Some(client.to_string()), ..about },
            Self::OperatorSignedOut { by } => Details { by: Some(by), ..about },
            Self::ExpiredKey { by, client } | Self::OperatorSignedIn { by, client } => {
                Details { by: Some(by), client: Some(client.to_string()), ..about }
            }
            Self::SigningKeysChanged { keys, by, is_compromised, .. } => {
                let reason = is_compromised.then_some("compromised");
                Details { keys: Some(keys.join(" ")), by, reason, ..about }
            }
            Self::RequestParked { bytes, .. } => Details { bytes: Some(bytes), ..about },
            Self::RequestResumed { .. } => about,
        }
    }
}

impl Details<'_> {
    /// Writes the line in the audit log. What there is nothing to say of stands in no field.
    pub(super) fn write_line(&self, is_alarming: bool) {
        let Details {
            event,
            at: _,
            site,
            session,
            user,
            reason,
            by,
            from_site,
            from_session,
            client,
            keys,
            bytes,
        } = self;
        let (session, from_session) = (session.as_deref(), from_session.as_deref());
        let (client, keys) = (client.as_deref(), keys.as_deref());
        if is_alarming {
            tracing::warn!(
                target: "tollgate::audit", event, site, session, user, reason, by, from_site, from_session, client,
                keys, bytes
            );
        } else {
            tracing::info!(
                target: "tollgate::audit", event, site, session, user, reason, by, from_site, from_session, client,
                keys, bytes
            );
        }
    }
}
