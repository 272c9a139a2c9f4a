//! What an assertion says, and how it is written: compact, as in RFC 7515 §7.1.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::Serialize;

use super::key::SigningKey;
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::host::Origin;
use crate::domain::session::Session;
use crate::domain::user::{PersonName, Role};

/// How long an assertion is good at most.
pub const LIFE: Duration = Duration::from_mins(5);

/// A signed statement about a session, ready to be sent.
#[derive(Clone)]
pub struct Assertion {
    /// The JWT.
    pub value: HeaderValue,
    made_at: Timestamp,
    /// From when on another is to be sent: half of its life is over.
    renew_at: Timestamp,
}

#[derive(Serialize)]
struct Head<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    plans: &'a [String],
}

impl Assertion {
    /// Whether it can be sent once more at `now`. One of a clock that was put back since is from the
    /// future: verifiers refuse it, and would take it for longer than it may be good.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        (self.made_at..self.renew_at).contains(&now)
    }

    /// States who is behind `session`, on the site that visitors find at `origin`. What is not known is
    /// left out; the role is in a session only where the upstream may be told of it. `None` if it cannot
    /// be signed.
    pub fn sign(key: &SigningKey, origin: &Origin, session: &Session, now: Timestamp) -> Option<Self> {
        let who = &session.identity;
        let email = who.email.as_ref().map(Email::as_str);
        // Never longer than the session itself.
        let until = now.after(LIFE).min(session.expires_at.rounded_up(Duration::from_secs(1)));
        let head = Head { alg: "ES256", kid: key.id(), typ: "JWT" };
        let claims = Claims {
            iss: &origin.to_string(),
            aud: session.site.as_str(),
            iat: now.as_secs(),
            exp: until.as_secs(),
            sid: &session.id.to_string(),
            sub: who.details.external_id.as_deref().or(email),
            email,
            name: who.name.as_ref().map(PersonName::full),
            role: who.role.as_ref().map(Role::as_str),
            groups: &who.details.groups,
            plans: &who.details.plans,
        };
        let [head, claims] = [serde_json::to_vec(&head), serde_json::to_vec(&claims)];
        let mut token = URL_SAFE_NO_PAD.encode(head.ok()?);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.ok()?, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        let mut value = HeaderValue::from_str(&token).ok()?;
        // Whoever has it is that visitor for minutes: it is not shown.
        value.set_sensitive(true);
        Some(Self { value, made_at: now, renew_at: now.after(now.until(until) / 2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::identity::{Identity, Particulars};
    use crate::domain::session::SessionId;
    use crate::domain::site::SiteName;
    use crate::domain::token::RolePolicy;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_400);

    fn session(identity: Identity, minutes: u64) -> Session {
        Session {
            id: SessionId::mint(NOW, &SeededEntropy::new(1)),
            site: SiteName::parse("wiki").unwrap(),
            identity,
            role_policy: RolePolicy::Always,
            expires_at: NOW.after(Duration::from_mins(minutes)),
            idle: Duration::from_mins(30).into(),
            backend: false,
        }
    }

    fn said(identity: Identity, minutes: u64) -> (serde_json::Value, Assertion) {
        let key = SigningKey::mint(NOW, NOW).unwrap();
        let origin = Origin::parse("https://wiki.example").unwrap();
        let made = Assertion::sign(&key, &origin, &session(identity, minutes), NOW).unwrap();
        let payload = made.value.to_str().unwrap().split('.').nth(1).unwrap();
        (serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap(), made)
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let (claims, made) = said(Identity::default(), 60);
        let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["aud", "exp", "iat", "iss", "sid"]);
        assert_eq!((&claims["iat"], &claims["exp"]), (&1_800_000_000.into(), &1_800_000_300.into()));
        let fresh = |millis| made.is_fresh(Timestamp::from_millis(NOW.as_millis() - 1000 + millis));
        assert_eq!([999, 1000, 150_999, 151_000].map(fresh), [false, true, true, false]);
        assert!(!format!("{:?}", made.value).contains('.'), "it does not show");
    }

    #[test]
    fn the_subject_is_whom_the_login_page_names_and_else_the_address() {
        let jane = Identity { email: Email::parse("Jane@example.com"), ..Identity::default() };
        assert_eq!(said(jane.clone(), 60).0["sub"], "Jane@example.com");
        let details = Particulars { external_id: Some("j1".into()), ..Particulars::default() }.into();
        let (claims, _) = said(Identity { details, ..jane }, 60);
        assert_eq!((&claims["sub"], &claims["email"]), (&"j1".into(), &"Jane@example.com".into()));
    }

    #[test]
    fn it_does_not_outlive_the_session() {
        let (claims, made) = said(Identity::default(), 1);
        assert_eq!(claims["exp"], 1_800_000_061);
        assert!(!made.is_fresh(NOW.after(Duration::from_secs(31))));
    }
}
