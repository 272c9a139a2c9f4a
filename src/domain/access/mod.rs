//! Who may pass. Being allowed is a type: a [`Permit`], which only [`decide`] can make, and
//! without which nothing is forwarded.

mod label;
mod requirement;
mod rules;

pub use label::Label;
pub use requirement::{Condition, Requirement};
pub use rules::{Demand, Route, Rules};

use std::net::IpAddr;
use std::sync::Arc;

use super::identity::ANONYMOUS;
use super::session::LiveSession;

/// What a path asks of a visitor, from the most open to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    /// Open, and the upstream is never told who is there.
    Off,
    /// Open; the upstream is told who is there if there is a session.
    Optional,
    /// Closed to whoever has no session.
    Required,
}

impl AccessLevel {
    /// `off`, `optional` or `required`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "off" => Self::Off,
            "optional" => Self::Optional,
            "required" => Self::Required,
            _ => return None,
        })
    }
}

/// The right to be forwarded. There is no way to make one but [`decide`].
#[derive(Debug)]
pub struct Permit {
    visitor: Option<Arc<LiveSession>>,
    level: AccessLevel,
    is_conditional: bool,
}

/// For whom an answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// For whomever the upstream says: nobody was asked for anything.
    AsSaid,
    /// For whoever has no session either.
    WithStrangers,
    /// For the visitor alone.
    Private,
}

impl Permit {
    /// The session of which the upstream is told; `None` for an anonymous visitor.
    pub fn visitor(&self) -> Option<&Arc<LiveSession>> {
        self.visitor.as_ref()
    }

    /// Whether it was asked who is there.
    pub fn asked_who(&self) -> bool {
        self.level != AccessLevel::Off
    }

    /// Of what class the visitor is, as one word; `None` where nobody asked.
    pub fn class(&self) -> Option<&[u8]> {
        let class = || self.visitor.as_ref().map_or(ANONYMOUS.as_bytes(), |live| live.headers.class());
        self.asked_who().then(class)
    }

    /// For whom what comes of it may be kept.
    pub fn sharing(&self) -> Sharing {
        match self.level {
            _ if self.visitor.is_some() || self.is_conditional => Sharing::Private,
            AccessLevel::Off => Sharing::AsSaid,
            AccessLevel::Optional | AccessLevel::Required => Sharing::WithStrangers,
        }
    }
}

/// Whether a request may pass.
#[derive(Debug)]
pub enum Access<'r> {
    /// It may.
    Allow(Permit),
    /// It needs a session first.
    Challenge,
    /// It may not. It would take another session, or another place.
    Deny {
        /// The session that it came with.
        visitor: Option<Arc<LiveSession>>,
        /// What was asked, of which one would do.
        alternatives: Vec<&'r Requirement>,
    },
}

/// Decides whether a request may pass that comes from `address`, given the visitor's live session
/// on this very site, if there is one.
pub fn decide<'r>(
    demand: &Demand<'r>,
    visitor: Option<Arc<LiveSession>>,
    address: Option<IpAddr>,
) -> Access<'r> {
    let visitor = visitor.filter(|_| demand.level != AccessLevel::Off);
    let session = visitor.as_ref().map(|live| &live.session);
    // Where a login cannot help, nobody is sent there.
    if let Some(alternatives) = demand.unmet(|requirement| requirement.admits(address)) {
        return Access::Deny { visitor, alternatives: alternatives.to_vec() };
    }
    if demand.level == AccessLevel::Required && visitor.is_none() {
        return Access::Challenge;
    }
    match demand.unmet(|requirement| requirement.holds(session, address)) {
        None => {
            let is_conditional = demand.is_conditional();
            Access::Allow(Permit { visitor, level: demand.level, is_conditional })
        }
        Some(alternatives) => Access::Deny { visitor, alternatives: alternatives.to_vec() },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::identity::{Identity, Particulars, ReadyHeaders};
    use crate::domain::opaque::SessionKey;
    use crate::domain::path::{PathPrefix, RequestPath};
    use crate::domain::session::{Session, SessionId};
    use crate::domain::site::SiteName;
    use crate::domain::token::RolePolicy;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn member(groups: &[&str]) -> Arc<LiveSession> {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let session = Session {
            id: SessionId::mint(START, &SeededEntropy::new(1)),
            site: SiteName::parse("wiki").unwrap(),
            identity: Identity {
                details: Particulars { groups, ..Particulars::default() }.into(),
                ..Identity::default()
            },
            role_policy: RolePolicy::Always,
            expires_at: START.after(Duration::from_mins(1)),
            idle: Duration::from_mins(1).into(),
            backend: false,
        };
        let hash = SessionKey::mint(&SeededEntropy::new(2)).hash();
        Arc::new(LiveSession::new(hash, session, ReadyHeaders::default(), START))
    }

    fn route(prefix: &str, level: AccessLevel, groups: &[&str], networks: &[&str]) -> Route {
        Route {
            prefix: PathPrefix::parse(prefix).unwrap(),
            methods: Vec::new(),
            level,
            require: Requirement {
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
                ..Requirement::default()
            },
        }
    }

    /// What comes of a request: "allow", "as nobody", "challenge" or "deny".
    fn outcome(rules: &Rules, path: &str, visitor: Option<&[&str]>, from: &str) -> &'static str {
        let demand = rules.demand(&RequestPath::parse(path, true).unwrap(), &Method::GET);
        match decide(&demand, visitor.map(member), from.parse().ok()) {
            Access::Allow(permit) if permit.visitor().is_some() => "allow",
            Access::Allow(_) => "as nobody",
            Access::Challenge => "challenge",
            Access::Deny { .. } => "deny",
        }
    }

    #[test]
    fn only_an_open_path_lets_a_stranger_pass() {
        use AccessLevel::{Off, Optional, Required};
        for (default, stranger, visitor) in [
            (Required, "challenge", "allow"),
            (Optional, "as nobody", "allow"),
            // Nobody is told who is there, whoever it is.
            (Off, "as nobody", "as nobody"),
        ] {
            let rules = Rules { default, routes: Vec::new() };
            assert_eq!(outcome(&rules, "/", None, "192.0.2.1"), stranger);
            assert_eq!(outcome(&rules, "/", Some(&[]), "192.0.2.1"), visitor);
        }
    }

    #[test]
    fn routes_for_one_path_are_alternatives_and_what_one_names_has_to_hold_together() {
        use AccessLevel::{Off, Required};
        let rules = Rules {
            default: Required,
            routes: vec![
                route("/press/", Required, &["press"], &["192.0.2.0/24"]),
                route("/press/", Required, &["board"], &[]),
                route("/press/open/", Required, &[], &[]),
                route("/lan/", Off, &[], &["192.0.2.0/24"]),
            ],
        };
        for (path, visitor, from, expected) in [
            ("/press/x", None, "198.51.100.1", "challenge"),
            ("/press/x", Some(&["press"][..]), "192.0.2.1", "allow"),
            ("/press/x", Some(&["press"]), "198.51.100.1", "deny"),
            ("/press/x", Some(&["board"]), "198.51.100.1", "allow"),
            ("/press/x", Some(&["staff"]), "192.0.2.1", "deny"),
            // The longest match alone decides.
            ("/press/open/x", Some(&["staff"]), "192.0.2.1", "allow"),
            ("/lan/x", None, "192.0.2.1", "as nobody"),
            ("/lan/x", None, "198.51.100.1", "deny"),
            ("/lan/x", Some(&["board"]), "198.51.100.1", "deny"),
        ] {
            assert_eq!(outcome(&rules, path, visitor, from), expected, "{path} {visitor:?} {from}");
        }
    }

    #[test]
    fn a_login_is_not_asked_for_where_it_cannot_help() {
        let rules = Rules {
            default: AccessLevel::Required,
            routes: vec![route("/lan/", AccessLevel::Required, &["staff"], &["192.0.2.0/24"])],
        };
        assert_eq!(outcome(&rules, "/lan/x", None, "192.0.2.1"), "challenge");
        assert_eq!(outcome(&rules, "/lan/x", None, "198.51.100.1"), "deny");
    }

    #[test]
    fn under_each_reading_of_a_path_what_is_asked_has_to_be_met() {
        use AccessLevel::{Off, Required};
        let rules = Rules {
            default: Off,
            routes: vec![
                route("/admin/", Required, &["admins"], &[]),
                route("/admin/a/", Required, &["a"], &[]),
            ],
        };
        for path in ["/%61dmin/", "//admin", "/admin;x", "/%2fadmin"] {
            assert_eq!(outcome(&rules, path, None, "192.0.2.1"), "challenge", "{path}");
            assert_eq!(outcome(&rules, path, Some(&["a"]), "192.0.2.1"), "deny", "{path}");
            assert_eq!(outcome(&rules, path, Some(&["admins"]), "192.0.2.1"), "allow", "{path}");
        }
        // One reading lies deeper than the others.
        for (groups, expected) in [(&["admins"][..], "deny"), (&["a"], "deny"), (&["a", "admins"], "allow")] {
            assert_eq!(outcome(&rules, "/admin//a/x", Some(groups), "192.0.2.1"), expected, "{groups:?}");
        }
    }
}
