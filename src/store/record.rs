//! What a store that outlives the process writes down of sessions, tokens and users: JSON with
//! names of its own, so that the types of the program can change without making old records
//! unreadable, and an operator can read what is there.
//!
//! Reading is strict: a record that is not whole, or says what could not have been written, is
//! nobody's session.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::clock::{Timestamp, millis};
use crate::domain::email::Email;
use crate::domain::identity::{Identity, Particulars};
use crate::domain::session::{Session, SessionId};
use crate::domain::site::SiteName;
use crate::domain::state::{LoginState, Receipt};
use crate::domain::token::{Redeemed, RolePolicy, TokenGrant, TokenKind};
use crate::domain::user::{Account, PersonName, Role, Roles, User, UserId};

/// A record that cannot be what this program wrote. It says nothing of what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record in the store is damaged")]
pub struct Damaged;

/// What has a record.
pub trait Recorded: Sized {
    /// Its record.
    fn to_record(&self) -> String;

    /// What `record` stands for.
    fn from_record(record: &[u8]) -> Result<Self, Damaged>;
}

/// Lets `$type` be written as `$record`.
macro_rules! recorded {
    ($type:ty, $record:ty) => {
        impl Recorded for $type {
            fn to_record(&self) -> String {
                // Nothing in it can fail to be JSON: all keys are texts.
                serde_json::to_string(&<$record>::from(self)).unwrap_or_default()
            }

            fn from_record(record: &[u8]) -> Result<Self, Damaged> {
                let read: $record = serde_json::from_slice(record).map_err(|_| Damaged)?;
                read.read().ok_or(Damaged)
            }
        }
    };
}

recorded!(Session, SessionRecord);
recorded!(TokenGrant, GrantRecord);
recorded!(Redeemed, RedeemedRecord);
recorded!(User, UserRecord);

#[derive(Serialize, Deserialize)]
struct NameRecord {
    full: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    first: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    last: String,
}

impl From<&PersonName> for NameRecord {
    fn from(name: &PersonName) -> Self {
        let [full, first, last] = [name.full(), name.first(), name.last()].map(str::to_owned);
        Self { full, first, last }
    }
}

#[derive(Serialize, Deserialize)]
struct IdentityRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<NameRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    plans: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
}

impl From<&Identity> for IdentityRecord {
    fn from(who: &Identity) -> Self {
        let Particulars { external_id, groups, plans, attributes } = Particulars::clone(&who.details);
        Self {
            user: who.user.map(UserId::number),
            email: who.email.as_ref().map(|email| email.as_str().to_owned()),
            name: who.name.as_ref().map(Into::into),
            role: who.role.as_ref().map(|role| role.as_str().to_owned()),
            external_id,
            groups,
            plans,
            attributes,
        }
    }
}

impl IdentityRecord {
    fn read(self) -> Option<Identity> {
        let Self { external_id, groups, plans, attributes, .. } = self;
        Some(Identity {
            user: all_or_nothing(self.user, UserId::from_number)?,
            email: all_or_nothing(self.email, |text| Email::parse(&text))?,
            name: self.name.map(|name| PersonName::restore(&name.full, &name.first, &name.last)),
            role: all_or_nothing(self.role, |text| Role::parse(&text))?,
            details: Particulars { external_id, groups, plans, attributes }.into(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct SessionRecord {
    id: String,
    site: String,
    identity: IdentityRecord,
    role_policy: String,
    expires_at: u64,
    idle: u64,
    backend: bool,
}

impl From<&Session> for SessionRecord {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            site: session.site.to_string(),
            identity: (&session.identity).into(),
            role_policy: session.role_policy.as_str().to_owned(),
            expires_at: session.expires_at.as_millis(),
            idle: millis(session.idle.into()),
            backend: session.backend,
        }
    }
}

impl SessionRecord {
    fn read(self) -> Option<Session> {
        Some(Session {
            id: SessionId::parse(&self.id)?,
            site: SiteName::parse(&self.site)?,
            identity: self.identity.read()?,
            role_policy: RolePolicy::parse(&self.role_policy)?,
            expires_at: Timestamp::from_millis(self.expires_at),
            idle: Duration::from_millis(self.idle).into(),
            backend: self.backend,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct GrantRecord {
    kind: String,
    site: String,
    identity: IdentityRecord,
    role_policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    expires_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_idle: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

impl From<&TokenGrant> for GrantRecord {
    fn from(grant: &TokenGrant) -> Self {
        Self {
            kind: grant.kind.as_str().to_owned(),
            site: grant.site.to_string(),
            identity: (&grant.identity).into(),
            role_policy: grant.role_policy.as_str().to_owned(),
            return_url: grant.return_url.clone(),
            state: grant.state.as_ref().map(|state| state.as_str().to_owned()),
            expires_at: grant.expires_at.as_millis(),
            session_idle: grant.session_idle.map(millis),
            session_max: grant.session_max.map(millis),
            source: grant.source.map(|id| id.to_string()),
        }
    }
}

impl GrantRecord {
    fn read(self) -> Option<TokenGrant> {
        Some(TokenGrant {
            kind: TokenKind::parse(&self.kind)?,
            site: SiteName::parse(&self.site)?,
            identity: self.identity.read()?,
            role_policy: RolePolicy::parse(&self.role_policy)?,
            return_url: self.return_url,
            state: all_or_nothing(self.state, |text| LoginState::parse(&text))?,
            expires_at: Timestamp::from_millis(self.expires_at),
            session_idle: self.session_idle.map(Duration::from_millis),
            session_max: self.session_max.map(Duration::from_millis),
            source: all_or_nothing(self.source, |text| SessionId::parse(&text))?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct RedeemedRecord {
    browser: String,
    salt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

impl From<&Redeemed> for RedeemedRecord {
    fn from(redeemed: &Redeemed) -> Self {
        let (browser, salt) = redeemed.receipt.to_parts();
        let [browser, salt] = [browser, salt].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        Self {
            browser,
            salt,
            return_url: redeemed.return_url.clone(),
            at: redeemed.at.as_millis(),
            source: redeemed.source.map(|id| id.to_string()),
        }
    }
}

impl RedeemedRecord {
    fn read(self) -> Option<Redeemed> {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok();
        Some(Redeemed {
            receipt: Receipt::from_parts(bytes(&self.browser)?, bytes(&self.salt)?),
            return_url: self.return_url,
            at: Timestamp::from_millis(self.at),
            source: all_or_nothing(self.source, |text| SessionId::parse(&text))?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct UserRecord {
    id: u64,
    email: String,
    name: NameRecord,
    account: String,
    roles: BTreeMap<String, String>,
    created_at: u64,
}

impl From<&User> for UserRecord {
    fn from(user: &User) -> Self {
        let role = |(site, role): (&SiteName, &Role)| (site.to_string(), role.as_str().to_owned());
        Self {
            id: user.id.number(),
            email: user.email.as_str().to_owned(),
            name: (&user.name).into(),
            account: user.account.as_str().to_owned(),
            roles: user.roles.iter().map(role).collect(),
            created_at: user.created_at.as_millis(),
        }
    }
}

impl UserRecord {
    fn read(self) -> Option<User> {
        let mut roles = Roles::default();
        for (site, role) in &self.roles {
            roles.set(SiteName::parse(site)?, Some(Role::parse(role)?));
        }
        Some(User {
            id: UserId::from_number(self.id)?,
            email: Email::parse(&self.email)?,
            name: PersonName::restore(&self.name.full, &self.name.first, &self.name.last),
            account: Account::parse(&self.account)?,
            roles,
            created_at: Timestamp::from_millis(self.created_at),
        })
    }
}

/// What `read` makes of `written`, if anything was; `None` if it cannot be read.
#[expect(clippy::option_option, reason = "absent and unreadable are two things")]
fn all_or_nothing<W, T>(written: Option<W>, read: impl FnOnce(W) -> Option<T>) -> Option<Option<T>> {
    written.map_or(Some(None), |written| read(written).map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::state::BrowserKey;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn identity() -> Identity {
        Identity {
            user: Some(UserId::FIRST),
            email: Email::parse("Jane@Example.com"),
            name: Some(PersonName::from_parts("Jane Q.", "Doe")),
            role: Some(Role::editor()),
            details: Particulars {
                external_id: Some("j1".into()),
                groups: vec!["a,b".into()],
                plans: vec!["\u{1f600}".into()],
                attributes: [("k".to_owned(), "v\"".to_owned())].into(),
            }
            .into(),
        }
    }

    /// A record is as good as what it was made of if that makes the same record again.
    fn survives<T: Recorded>(thing: &T) {
        let record = thing.to_record();
        let back = T::from_record(record.as_bytes()).unwrap();
        assert_eq!(back.to_record(), record);
        for damaged in ["", "{}", "null", "[1]", record.get(1..).unwrap()] {
            assert_eq!(T::from_record(damaged.as_bytes()).err(), Some(Damaged), "{damaged}");
        }
    }

    #[test]
    fn everything_survives_the_trip_through_its_record() {
        let entropy = SeededEntropy::new(1);
        let site = SiteName::parse("intranet").unwrap();
        let mut session = Session {
            id: SessionId::mint(NOW, &entropy),
            site: site.clone(),
            identity: identity(),
            role_policy: RolePolicy::WithBackend,
            expires_at: NOW,
            idle: Duration::from_millis(1500).into(),
            backend: true,
        };
        survives(&session);
        let back = Session::from_record(session.to_record().as_bytes()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{session:?}"));
        session.identity = Identity::default();
        survives(&session);
        survives(&TokenGrant {
            kind: TokenKind::Login,
            site: site.clone(),
            identity: identity(),
            role_policy: RolePolicy::Always,
            return_url: Some("/a?b=c".into()),
            state: LoginState::parse("state"),
            expires_at: NOW,
            session_idle: Some(Duration::from_secs(1)),
            session_max: None,
            source: Some(session.id),
        });
        let browser = BrowserKey::mint(&entropy);
        let receipt = Receipt::mint(&browser, &entropy);
        survives(&Redeemed { receipt: receipt.clone(), return_url: None, at: NOW, source: None });
        survives(&Redeemed { receipt, return_url: None, at: NOW, source: Some(session.id) });
        let mut roles = Roles::default();
        roles.set(site, Some(Role::editor()));
        let user = User {
            id: UserId::FIRST,
            email: Email::parse("Jane@Example.com").unwrap(),
            name: PersonName::from_full("Jane Q. Doe"),
            account: Account::Full,
            roles,
            created_at: NOW,
        };
        survives(&user);
        let back = User::from_record(user.to_record().as_bytes()).unwrap();
        assert_eq!([back.name.first(), back.name.last()], ["Jane Q.", "Doe"]);
    }

    #[test]
    fn what_could_not_have_been_written_is_damaged() {
        let record =
            r#"{"id":0,"email":"a@b","name":{"full":"A"},"account":"guest","roles":{},"created_at":1}"#;
        assert!(User::from_record(record.as_bytes()).is_err());
        let good = record.replace(":0,", ":1,");
        assert!(User::from_record(good.as_bytes()).is_ok());
        for (from, to) in
            [("a@b", "a"), ("guest", "root"), ("{}", "{\"wiki\":\"\"}"), ("{}", "{\"\":\"editor\"}")]
        {
            assert!(User::from_record(good.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
