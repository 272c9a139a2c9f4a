//! Which rule decides on a request, and what comes of it: told to operators before anybody makes it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme as HttpScheme;
use http::{Method, Uri};

use crate::api::answers_at;
use crate::config::Site;
use crate::domain::access::{Access, AccessLevel, Condition, Requirement, Route, decide};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::entropy::Entropy;
use crate::domain::host::Authority;
use crate::domain::identity::{Identity, Particulars, ReadyHeaders};
use crate::domain::opaque::SessionKey;
use crate::domain::path::RequestPath;
use crate::domain::session::{LiveSession, Session, SessionId};
use crate::domain::token::RolePolicy;
use crate::domain::user::Role;
use crate::http::connection::forwards;
use crate::sso::sites::Sites;

/// A request that somebody might make.
#[derive(Clone, Debug)]
pub struct Question {
    /// The whole URL.
    pub url: Uri,
    /// The method.
    pub method: Method,
    /// Who has a session; `None` for a stranger.
    pub visitor: Option<Supposed>,
    /// The address that it comes from.
    pub from: IpAddr,
}

/// A visitor who might be there.
#[derive(Clone, Debug)]
pub struct Supposed {
    /// The visitor's address.
    pub email: Email,
    /// The role on the site.
    pub role: Option<Role>,
    /// The groups.
    pub groups: Vec<String>,
    /// The plans.
    pub plans: Vec<String>,
    /// Whether the session reaches the back end, if the site has that.
    pub backend: bool,
}

/// What there is to say, line by line: what it is about, in a word that may be empty, and what it is.
pub type Explanation = Vec<(&'static str, String)>;

impl Question {
    /// Explains what becomes of it at `sites`; `None` if it names no host.
    pub fn explain(&self, sites: &Sites, now: Timestamp, entropy: &dyn Entropy) -> Option<Explanation> {
        let url = &self.url;
        let authority = Authority::parse(url.authority()?.as_str())?;
        let mut told = Explanation::new();
        let mut say = |about, text: String| told.push((about, text));
        let Some(site) = sites.by_host(authority.host()) else {
            say("outcome", format!("no site has the host {}: 421", authority.host()));
            return Some(told);
        };
        say("site", site.name.to_string());
        if !forwards(&self.method) {
            say("outcome", format!("the method {} is not forwarded: 405", self.method));
            return Some(told);
        }
        let path = match RequestPath::parse(url.path(), site.allow_encoded_slash) {
            Ok(path) => path,
            Err(fault) => {
                say("outcome", format!("{fault}: 400"));
                return Some(told);
            }
        };
        if site.https_redirect && url.scheme() == Some(&HttpScheme::HTTP) {
            say("outcome", "sent to https, unless a proxy in front says that it was: 308".to_owned());
            return Some(told);
        }
        if path.is_reserved() || answers_at(site, path.as_str()) {
            say("outcome", "the gateway answers by itself".to_owned());
            return Some(told);
        }
        self.tell_rules(site, &path, &mut say);
        let visitor = self.visitor.as_ref().map(|visitor| visitor.at(site, now, entropy));
        let demand = site.rules.demand(&path, &self.method);
        let asked_who = self.visitor.as_ref().filter(|_| demand.level != AccessLevel::Off);
        match decide(&demand, visitor.clone(), Some(self.from)) {
            Access::Allow(_) => {
                let who = asked_who.map_or("nobody", |visitor| visitor.email.as_str());
                say("outcome", format!("forwarded; the upstream is told of {who}"));
            }
            Access::Challenge => {
                let login_url = site.login_url.as_str();
                say(
                    "outcome",
                    format!("a session is needed: pages are sent to {login_url}, everything else gets 401"),
                );
            }
            Access::Deny { alternatives, .. } => {
                say("outcome", "refused: 403".to_owned());
                for one in alternatives {
                    let session = visitor.as_ref().map(|live| &live.session);
                    let missing: Vec<String> =
                        one.unmet(session, Some(self.from)).map(|condition| in_words(&condition)).collect();
                    say("", format!("missing: {}", missing.join(" and ")));
                }
            }
        }
        Some(told)
    }

    /// Says which rules decide: one for each way in which the path could be read.
    fn tell_rules(&self, site: &Site, path: &RequestPath<'_>, say: &mut impl FnMut(&'static str, String)) {
        let mut told: Vec<Vec<usize>> = Vec::new();
        for reading in path.readings() {
            let decisive: Vec<(usize, &Route)> = site.rules.decisive(&reading, &self.method).collect();
            let places: Vec<usize> = decisive.iter().map(|(place, _)| *place).collect();
            if told.contains(&places) {
                continue;
            }
            let shown = String::from_utf8_lossy(&reading);
            let is_plain = *reading == *path.as_str().as_bytes();
            let how = if is_plain { "" } else { ", as an upstream may read it" };
            say("path", format!("{shown}{how}"));
            if decisive.is_empty() {
                let level = site.rules.default.as_str();
                say("rule", format!("the site's access = {level:?}: no route matches"));
            }
            for (place, route) in decisive {
                let require = asked(&route.require);
                let require = if require.is_empty() { require } else { format!(", require {require}") };
                let (prefix, level) = (route.prefix.written(), route.level.as_str());
                say(
                    "rule",
                    format!("route[{place}] of the site, path = {prefix:?}, access = {level:?}{require}"),
                );
            }
            told.push(places);
        }
        if told.len() > 1 {
            say("", "what any of them asks has to be met".to_owned());
        }
    }
}

impl Supposed {
    /// A session as the visitor would have it.
    fn at(&self, site: &Site, now: Timestamp, entropy: &dyn Entropy) -> Arc<LiveSession> {
        let details =
            Particulars { groups: self.groups.clone(), plans: self.plans.clone(), ..Particulars::default() };
        let session = Session {
            id: SessionId::mint(now, entropy),
            site: site.name.clone(),
            identity: Identity {
                email: Some(self.email.clone()),
                role: self.role.clone(),
                details: details.into(),
                ..Identity::default()
            },
            role_policy: RolePolicy::Always,
            expires_at: now.after(Duration::from_mins(1)),
            idle: Duration::from_mins(1).into(),
            backend: self.backend && site.allow_backend_login,
        };
        let hash = SessionKey::mint(entropy).hash();
        Arc::new(LiveSession::new(hash, session, ReadyHeaders::default(), now))
    }
}

/// What a route asks besides, as the configuration says it; nothing, if it does not.
pub fn asked(require: &Requirement) -> String {
    let all: Vec<String> = require.conditions().map(|condition| in_words(&condition)).collect();
    all.join(" and ")
}

fn in_words(condition: &Condition<'_>) -> String {
    match condition {
        Condition::Backend => "the back end".to_owned(),
        Condition::Role(roles) => format!("a role of {roles:?}"),
        Condition::Group(groups) => format!("a group of {groups:?}"),
        Condition::Plan(plans) => format!("a plan of {plans:?}"),
        Condition::EmailDomain(domains) => format!("an address at one of {domains:?}"),
        Condition::Network(networks) => {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            format!("a client in {}", networks.join(" or "))
        }
    }
}
