//! What a route asks of a visitor besides a session.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::domain::email::Email;
use crate::domain::session::Session;
use crate::domain::user::Role;

/// The `require` of a route. Everything that it names has to hold; of several values of one kind,
/// one is enough. What it does not name does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// Whether the session has to reach the back end.
    pub backend: bool,
    /// One of these roles.
    pub roles: Vec<Role>,
    /// One of these groups.
    pub groups: Vec<String>,
    /// One of these plans.
    pub plans: Vec<String>,
    /// An address in one of these domains, lower-case. A subdomain is another domain.
    pub email_domains: Vec<String>,
    /// A client address in one of these networks.
    pub networks: Vec<IpNet>,
}

/// A part of a [`Requirement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'r> {
    /// The session reaches the back end.
    Backend,
    /// The role is one of these.
    Role(&'r [Role]),
    /// One of the groups is one of these.
    Group(&'r [String]),
    /// One of the plans is one of these.
    Plan(&'r [String]),
    /// The address is in one of these domains.
    EmailDomain(&'r [String]),
    /// The client is in one of these networks.
    Network(&'r [IpNet]),
}

impl Condition<'_> {
    /// Whether it holds for a visitor with this session who comes from `address`. Who has no session
    /// has nothing of what a session could have.
    fn holds(&self, visitor: Option<&Session>, address: Option<IpAddr>) -> bool {
        let who = visitor.map(|session| &session.identity);
        let any_of = |own: Option<&[String]>, wanted: &[String]| {
            own.is_some_and(|own| wanted.iter().any(|one| own.contains(one)))
        };
        match self {
            Self::Backend => visitor.is_some_and(|session| session.backend),
            Self::Role(roles) => {
                who.and_then(|who| who.role.as_ref()).is_some_and(|role| roles.contains(role))
            }
            Self::Group(groups) => any_of(who.map(|who| &*who.details.groups), groups),
            Self::Plan(plans) => any_of(who.map(|who| &*who.details.plans), plans),
            Self::EmailDomain(domains) => {
                let own = who.and_then(|who| who.email.as_ref()).map(domain_of);
                own.is_some_and(|own| domains.iter().any(|domain| domain == own))
            }
            Self::Network(networks) => {
                address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
            }
        }
    }
}

impl Requirement {
    /// What it asks.
    pub fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        [
            self.backend.then_some(Condition::Backend),
            (!self.roles.is_empty()).then_some(Condition::Role(&self.roles)),
            (!self.groups.is_empty()).then_some(Condition::Group(&self.groups)),
            (!self.plans.is_empty()).then_some(Condition::Plan(&self.plans)),
            (!self.email_domains.is_empty()).then_some(Condition::EmailDomain(&self.email_domains)),
            (!self.networks.is_empty()).then_some(Condition::Network(&self.networks)),
        ]
        .into_iter()
        .flatten()
    }

    /// What of it does not hold, for a visitor with this session who comes from `address`, if that is known.
    pub fn unmet(
        &self,
        visitor: Option<&Session>,
        address: Option<IpAddr>,
    ) -> impl Iterator<Item = Condition<'_>> {
        self.conditions().filter(move |condition| !condition.holds(visitor, address))
    }

    /// Whether it asks nothing.
    pub fn is_nothing(&self) -> bool {
        self.conditions().next().is_none()
    }

    /// Whether it asks who the visitor is, and not only from where.
    pub fn asks_who(&self) -> bool {
        self.conditions().any(|condition| !matches!(condition, Condition::Network(_)))
    }

    /// Whether a client at `address` may come at all.
    pub(super) fn admits(&self, address: Option<IpAddr>) -> bool {
        !self.unmet(None, address).any(|condition| matches!(condition, Condition::Network(_)))
    }

    /// Whether all of it holds.
    pub(super) fn holds(&self, visitor: Option<&Session>, address: Option<IpAddr>) -> bool {
        self.unmet(visitor, address).next().is_none()
    }
}

fn domain_of(email: &Email) -> &str {
    email.key().rsplit_once('@').map_or("", |(_, domain)| domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::identity::{Identity, Particulars};
    use crate::domain::session::SessionId;
    use crate::domain::site::SiteName;
    use crate::domain::token::RolePolicy;

    fn jane() -> Session {
        let now = Timestamp::from_millis(1_000_000);
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Session {
            id: SessionId::mint(now, &SeededEntropy::new(1)),
            site: SiteName::parse("wiki").unwrap(),
            identity: Identity {
                email: Email::parse("Jane@Example.COM"),
                role: Role::parse("editor"),
                details: Particulars {
                    groups: texts(&["staff", "press"]),
                    plans: texts(&["plus"]),
                    ..Particulars::default()
                }
                .into(),
                ..Identity::default()
            },
            role_policy: RolePolicy::Always,
            expires_at: now,
            idle: std::time::Duration::ZERO.into(),
            backend: false,
        }
    }

    #[test]
    fn all_that_is_named_has_to_hold_and_of_each_kind_one() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let roles = |words: &[&str]| words.iter().map(|word| Role::parse(word).unwrap()).collect::<Vec<_>>();
        let nothing = Requirement::default;
        let home = || vec!["192.0.2.0/24".parse().unwrap()];
        for (requirement, holds) in [
            (nothing(), true),
            (Requirement { roles: roles(&["admin", "editor"]), ..nothing() }, true),
            (Requirement { roles: roles(&["Editor"]), ..nothing() }, false),
            (Requirement { groups: texts(&["board", "press"]), ..nothing() }, true),
            (Requirement { groups: texts(&["pres"]), ..nothing() }, false),
            (Requirement { plans: texts(&["plus"]), ..nothing() }, true),
            (Requirement { plans: texts(&["staff"]), ..nothing() }, false),
            (Requirement { email_domains: texts(&["example.com"]), ..nothing() }, true),
            (Requirement { email_domains: texts(&["ample.com", "com"]), ..nothing() }, false),
            (Requirement { backend: true, ..nothing() }, false),
            (Requirement { networks: home(), ..nothing() }, true),
            (Requirement { networks: vec!["2001:db8::/32".parse().unwrap()], ..nothing() }, false),
            (Requirement { groups: texts(&["staff"]), plans: texts(&["gold"]), ..nothing() }, false),
        ] {
            let address = "192.0.2.7".parse().ok();
            assert_eq!(requirement.holds(Some(&jane()), address), holds, "{requirement:?}");
            assert!(!requirement.asks_who() || !requirement.holds(None, address), "{requirement:?}");
        }
        let both = Requirement { backend: true, groups: texts(&["board"]), ..nothing() };
        let unmet: Vec<_> = both.unmet(Some(&jane()), "192.0.2.7".parse().ok()).collect();
        assert_eq!(unmet, [Condition::Backend, Condition::Group(&texts(&["board"]))]);
    }
}
