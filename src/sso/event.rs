//! What may happen, and what there is to say of it.
//!
//! No event holds a secret, an e-mail address, or anything else that somebody outside could make long. With
//! each goes its [`Cause`]: who, and from where.

use serde::Serialize;

use super::cause::{Actor, Cause};
use crate::domain::clock::Timestamp;
use crate::domain::session::{End, SessionId};
use crate::domain::site::SiteName;
use crate::domain::token::Refusal;
use crate::domain::user::UserId;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the types of the fields say what they are")]
pub enum Event<'a> {
    /// A token was issued on the word of whoever has a key, or handed on from a session on another site.
    TokenIssued { site: &'a SiteName, user: Option<UserId>, from: Option<(&'a SiteName, SessionId)> },
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
    /// What a session tells of its visitor, or its times, were changed.
    SessionChanged { site: &'a SiteName, session: SessionId },
    /// A session ended before its time.
    SessionEnded { site: &'a SiteName, session: SessionId, end: End },
    /// Somebody was seen for the first time.
    UserCreated { user: UserId, site: &'a SiteName },
    /// A user was changed.
    UserChanged { user: UserId },
    /// A user was deleted.
    UserDeleted { user: UserId },
    /// Somebody presented an API key that there is not.
    WrongKey,
    /// Somebody signed in to the admin page with an API key.
    OperatorSignedIn,
    /// Somebody signed out of it.
    OperatorSignedOut,
    /// Somebody presented what an API key had until its end.
    ExpiredKey,
    /// A site has other keys to sign with: as it was time, or as somebody asked for them.
    SigningKeysChanged { site: &'a SiteName, keys: &'a [&'a str], is_compromised: bool },
    /// A request waits for its visitor's login.
    RequestParked { site: &'a SiteName, bytes: usize },
    /// It goes on.
    RequestResumed { site: &'a SiteName },
    /// Other settings are in force.
    SettingsChanged,
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
    actor: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
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
            Self::SessionChanged { .. } => "session_changed",
            Self::SessionEnded { .. } => "session_ended",
            Self::UserCreated { .. } => "user_created",
            Self::UserChanged { .. } => "user_changed",
            Self::UserDeleted { .. } => "user_deleted",
            Self::WrongKey => "wrong_key",
            Self::OperatorSignedIn => "operator_signed_in",
            Self::OperatorSignedOut => "operator_signed_out",
            Self::ExpiredKey => "expired_key",
            Self::SigningKeysChanged { .. } => "signing_keys_changed",
            Self::RequestParked { .. } => "request_parked",
            Self::RequestResumed { .. } => "request_resumed",
            Self::SettingsChanged => "settings_changed",
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
            | Self::SessionChanged { site, .. }
            | Self::SessionEnded { site, .. }
            | Self::UserCreated { site, .. }
            | Self::SigningKeysChanged { site, .. }
            | Self::RequestParked { site, .. }
            | Self::RequestResumed { site } => Some(site),
            Self::UserChanged { .. }
            | Self::UserDeleted { .. }
            | Self::WrongKey
            | Self::OperatorSignedIn
            | Self::OperatorSignedOut
            | Self::ExpiredKey
            | Self::SettingsChanged => None,
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
            Self::TokenIssued { site, user, from: _ } => Self::TokenIssued { site, user, from: None },
            other => other,
        }
    }

    pub(super) fn details(self, cause: &'a Cause, now: Timestamp) -> Details<'a> {
        let site = self.site().map(SiteName::as_str);
        let from = cause.circumstances.as_ref();
        let about = Details {
            event: self.name(),
            at: now.to_rfc3339(),
            site,
            actor: cause.actor.kind(),
            by: cause.actor.name(),
            client: from.map(|from| from.client.to_string()),
            request_id: from.map(|from| &*from.request_id),
            ..Details::default()
        };
        let number = |user: Option<UserId>| user.map(UserId::number);
        let named = |session: SessionId| Some(session.to_string());
        match self {
            Self::TokenIssued { user, from, .. } => Details {
                user: number(user),
                by: about.by.or((cause.actor == Actor::Visitor).then_some("sso_group")),
                from_site: from.map(|(site, _)| site.as_str()),
                from_session: from.map(|(_, session)| session.to_string()),
                ..about
            },
            Self::TokenRedeemed { session, user, .. } | Self::SessionStarted { session, user, .. } => {
                Details { session: named(session), user: number(user), ..about }
            }
            Self::TokenRedeemedAgain { session, .. } | Self::SessionChanged { session, .. } => {
                Details { session: named(session), ..about }
            }
            Self::TokenRefused { refusal, .. } => Details { reason: Some(refusal.as_str()), ..about },
            Self::SignedTokenRefused { reason, .. } => Details { reason: Some(reason), ..about },
            Self::SessionRefused { .. } => Details { reason: Some("too_many"), ..about },
            Self::SessionEnded { session, end, .. } => {
                Details { session: named(session), reason: Some(end.as_str()), ..about }
            }
            Self::UserCreated { user, .. } | Self::UserChanged { user } | Self::UserDeleted { user } => {
                Details { user: Some(user.number()), ..about }
            }
            Self::SigningKeysChanged { keys, is_compromised, .. } => {
                let reason = is_compromised.then_some("compromised");
                Details { keys: Some(keys.join(" ")), reason, ..about }
            }
            Self::RequestParked { bytes, .. } => Details { bytes: Some(bytes), ..about },
            Self::RequestResumed { .. }
            | Self::WrongKey
            | Self::OperatorSignedIn
            | Self::OperatorSignedOut
            | Self::ExpiredKey
            | Self::SettingsChanged => about,
        }
    }
}

impl Details<'_> {
    /// The line in an audit log that is kept apart: the same as on stderr.
    pub(super) fn to_line(&self, is_alarming: bool) -> Vec<u8> {
        #[derive(Serialize)]
        struct Line<'a> {
            timestamp: &'a str,
            level: &'a str,
            target: &'a str,
            #[serde(flatten)]
            details: &'a Details<'a>,
        }
        let level = if is_alarming { "WARN" } else { "INFO" };
        let line = Line { timestamp: &self.at, level, target: "tollgate::audit", details: self };
        let mut line = serde_json::to_vec(&line).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Writes the line in the audit log. What there is nothing to say of stands in no field.
    pub(super) fn write_line(&self, is_alarming: bool) {
        let Details {
            event,
            at: _,
            site,
            session,
            user,
            reason,
            actor,
            by,
            from_site,
            from_session,
            client,
            request_id,
            keys,
            bytes,
        } = self;
        let (session, from_session) = (session.as_deref(), from_session.as_deref());
        let (client, keys) = (client.as_deref(), keys.as_deref());
        if is_alarming {
            tracing::warn!(
                target: "tollgate::audit", event, site, session, user, reason, actor, by, from_site,
                from_session, client, request_id, keys, bytes
            );
        } else {
            tracing::info!(
                target: "tollgate::audit", event, site, session, user, reason, actor, by, from_site,
                from_session, client, request_id, keys, bytes
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cause::Circumstances;
    use super::*;

    /// How many kinds of events there are: whoever adds one is told to say so here.
    const KINDS: usize = 20;

    fn number(event: Event<'_>) -> usize {
        match event {
            Event::TokenIssued { .. } => 0,
            Event::TokenRedeemed { .. } => 1,
            Event::TokenRedeemedAgain { .. } => 2,
            Event::TokenRefused { .. } => 3,
            Event::SignedTokenRefused { .. } => 4,
            Event::SessionStarted { .. } => 5,
            Event::SessionRefused { .. } => 6,
            Event::SessionChanged { .. } => 7,
            Event::SessionEnded { .. } => 8,
            Event::UserCreated { .. } => 9,
            Event::UserChanged { .. } => 10,
            Event::UserDeleted { .. } => 11,
            Event::WrongKey => 12,
            Event::SigningKeysChanged { .. } => 13,
            Event::RequestParked { .. } => 14,
            Event::RequestResumed { .. } => 15,
            Event::SettingsChanged => 16,
            Event::ExpiredKey => 17,
            Event::OperatorSignedIn => 18,
            Event::OperatorSignedOut => 19,
        }
    }

    #[test]
    fn each_event_says_who_and_from_where_in_a_file_and_to_who_listens() {
        let site = &SiteName::parse("intranet").unwrap();
        let session = SessionId::parse("00000000000000000000000000000001").unwrap();
        let user = UserId::parse("7").unwrap();
        let (refusal, reason) = (Refusal::Used, "not a token");
        let events = [
            Event::TokenIssued { site, user: Some(user), from: None },
            Event::TokenRedeemed { site, session, user: None },
            Event::TokenRedeemedAgain { site, session },
            Event::TokenRefused { site, refusal },
            Event::SignedTokenRefused { site, refusal, reason },
            Event::SessionStarted { site, session, user: Some(user) },
            Event::SessionRefused { site },
            Event::SessionChanged { site, session },
            Event::SessionEnded { site, session, end: End::Revoked },
            Event::UserCreated { user, site },
            Event::UserChanged { user },
            Event::UserDeleted { user },
            Event::WrongKey,
            Event::SigningKeysChanged { site, keys: &["a", "b"], is_compromised: true },
            Event::RequestParked { site, bytes: 5 },
            Event::RequestResumed { site },
            Event::SettingsChanged,
            Event::ExpiredKey,
            Event::OperatorSignedIn,
            Event::OperatorSignedOut,
        ];
        assert_eq!(events.map(number).to_vec(), (0..KINDS).collect::<Vec<_>>());
        let circumstances = Circumstances { client: "192.0.2.7".parse().unwrap(), request_id: "r1".into() };
        let cause = Cause::new(Actor::ApiKey("desk".into()), circumstances);
        let now = Timestamp::from_millis(1_763_800_000_000);
        let documented = include_str!("../../docs/logs.md");
        for event in events {
            let line = event.details(&cause, now).to_line(false);
            let line = String::from_utf8(line).unwrap();
            let told: serde_json::Value = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
            for (field, value) in [
                ("event", event.name()),
                ("actor", "api_key"),
                ("by", "desk"),
                ("client", "192.0.2.7"),
                ("request_id", "r1"),
                ("target", "tollgate::audit"),
                ("timestamp", "2025-11-22T08:26:40Z"),
            ] {
                assert_eq!(told[field], value, "{line}");
            }
            for field in told.as_object().unwrap().keys() {
                assert!(documented.contains(&format!("`{field}`")), "docs/logs.md does not explain {field}");
            }
            assert!(documented.contains(&format!("`{}`", event.name())), "nor {}", event.name());
            let own = event.details(&Cause::GATEWAY, now);
            assert_eq!((own.actor, own.by, own.client, own.request_id), ("gateway", None, None, None));
        }
    }
}
