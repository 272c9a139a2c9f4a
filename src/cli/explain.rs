//! `tollgate check --explain URL`: which rule decides on a request, and what comes of it.

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use http::uri::Scheme as HttpScheme;
use http::{Method, Uri};

use super::{Usage, say};
use crate::api::answers_at;
use crate::config::{Settings, Site};
use crate::domain::access::{Access, AccessLevel, Condition, Requirement, Route, decide};
use crate::domain::clock::{Clock as _, SystemClock};
use crate::domain::email::Email;
use crate::domain::entropy::SystemEntropy;
use crate::domain::host::Authority;
use crate::domain::identity::{Identity, Particulars, ReadyHeaders};
use crate::domain::opaque::SessionKey;
use crate::domain::path::{RequestPath, lies_under};
use crate::domain::session::{LiveSession, Session, SessionId};
use crate::domain::token::RolePolicy;
use crate::domain::user::Role;
use crate::http::connection::forwards;
use crate::sso::sites::Sites;

/// The request to explain, and who makes it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Explain")]
pub(super) struct Explain {
    /// Tell which rule decides on a request for this URL, and why.
    #[arg(long = "explain", id = "explain", value_name = "URL")]
    url: Option<Uri>,
    /// The request's method.
    #[arg(long, value_name = "METHOD", default_value = "GET", requires = "explain")]
    method: Method,
    /// The e-mail address of a visitor who has a session; left out: a stranger.
    #[arg(long = "as", value_name = "EMAIL", requires = "explain")]
    email: Option<String>,
    /// The visitor's role on the site.
    #[arg(long, value_name = "ROLE", requires = "email")]
    role: Option<String>,
    /// The visitor's groups.
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',', requires = "email")]
    groups: Vec<String>,
    /// The visitor's plans.
    #[arg(long, value_name = "PLAN,…", value_delimiter = ',', requires = "email")]
    plans: Vec<String>,
    /// The visitor's session reaches the back end.
    #[arg(long, requires = "email")]
    backend: bool,
    /// The IP address that the request comes from.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", requires = "explain")]
    from: IpAddr,
}

impl Explain {
    /// Whether there is anything to explain.
    pub(super) fn is_wanted(&self) -> bool {
        self.url.is_some()
    }

    /// Explains, line by line. The exit status says that it could be explained, whatever the outcome.
    pub(super) fn run(&self, settings: Settings) -> anyhow::Result<ExitCode> {
        let Some(url) = &self.url else { return Ok(ExitCode::SUCCESS) };
        let authority = url.authority().map(http::uri::Authority::as_str).and_then(Authority::parse);
        let authority =
            authority.ok_or(Usage("--explain takes a whole URL, such as https://intranet.example.com/a"))?;
        let sites = Sites::new(settings.sites);
        let Some(site) = sites.by_host(authority.host()) else {
            say(format_args!("no site has the host {}: 421", authority.host()))?;
            return Ok(ExitCode::SUCCESS);
        };
        say(format_args!("site      {}", site.name))?;
        if !forwards(&self.method) {
            say(format_args!("outcome   the method {} is not forwarded: 405", self.method))?;
            return Ok(ExitCode::SUCCESS);
        }
        let path = match RequestPath::parse(url.path(), site.allow_encoded_slash) {
            Ok(path) => path,
            Err(fault) => {
                say(format_args!("outcome   {fault}: 400"))?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        if site.https_redirect && url.scheme() == Some(&HttpScheme::HTTP) {
            say(format_args!("outcome   sent to https, unless a proxy in front says that it was: 308"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let is_own = path.readings().any(|reading| lies_under(&reading, "/.tollgate"));
        if is_own || answers_at(site, path.as_str()) {
            say(format_args!("outcome   the gateway answers by itself"))?;
            return Ok(ExitCode::SUCCESS);
        }
        self.tell_rules(site, &path)?;
        let visitor = self.visitor(site)?;
        let demand = site.rules.demand(&path, &self.method);
        let who = self.email.as_deref().filter(|_| demand.level != AccessLevel::Off).unwrap_or("nobody");
        match decide(&demand, visitor.clone(), self.from) {
            Access::Allow(_) => say(format_args!("outcome   forwarded; the upstream is told of {who}"))?,
            Access::Challenge => say(format_args!(
                "outcome   a session is needed: pages are sent to {}, everything else gets 401",
                site.login_url.as_str()
            ))?,
            Access::Deny { alternatives, .. } => {
                say(format_args!("outcome   refused: 403"))?;
                for one in alternatives {
                    let session = visitor.as_ref().map(|live| &live.session);
                    let missing: Vec<String> =
                        one.unmet(session, self.from).map(|condition| in_words(&condition)).collect();
                    say(format_args!("          missing: {}", missing.join(" and ")))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Says which rules decide: one for each way in which the path could be read.
    fn tell_rules(&self, site: &Site, path: &RequestPath<'_>) -> anyhow::Result<()> {
        let mut told: Vec<Vec<usize>> = Vec::new();
        for reading in path.readings() {
            let decisive: Vec<(usize, &Route)> = site.rules.decisive(&reading, &self.method).collect();
            let places: Vec<usize> = decisive.iter().map(|(place, _)| *place).collect();
            if told.contains(&places) {
                continue;
            }
            let shown = String::from_utf8_lossy(&reading);
            if *reading == *path.as_str().as_bytes() {
                say(format_args!("path      {shown}"))?;
            } else {
                say(format_args!("path      {shown}, as an upstream may read it"))?;
            }
            if decisive.is_empty() {
                say(format_args!(
                    "rule      the site's access = {:?}: no route matches",
                    site.rules.default.as_str()
                ))?;
            }
            for (place, route) in decisive {
                let asked = asked(&route.require);
                say(format_args!(
                    "rule      [[site.route]] number {} of the site, path = {:?}, access = {:?}{asked}",
                    place + 1,
                    route.prefix.as_str(),
                    route.level.as_str()
                ))?;
            }
            told.push(places);
        }
        if told.len() > 1 {
            say(format_args!("          what any of them asks has to be met"))?;
        }
        Ok(())
    }

    /// A session as the visitor would have it.
    fn visitor(&self, site: &Site) -> anyhow::Result<Option<Arc<LiveSession>>> {
        let Some(email) = &self.email else { return Ok(None) };
        let role =
            self.role.as_deref().map(|role| Role::parse(role).context("--role is no role")).transpose()?;
        let details =
            Particulars { groups: self.groups.clone(), plans: self.plans.clone(), ..Particulars::default() };
        let now = SystemClock.now();
        let session = Session {
            id: SessionId::mint(now, &SystemEntropy),
            site: site.name.clone(),
            identity: Identity {
                email: Some(Email::parse(email).context("--as takes an e-mail address")?),
                role,
                details: details.into(),
                ..Identity::default()
            },
            role_policy: RolePolicy::Always,
            expires_at: now.after(Duration::from_mins(1)),
            idle: Duration::from_mins(1).into(),
            backend: self.backend && site.allow_backend_login,
        };
        let hash = SessionKey::mint(&SystemEntropy).hash();
        Ok(Some(Arc::new(LiveSession::new(hash, session, ReadyHeaders::default(), now))))
    }
}

/// What a route asks besides, as the configuration says it.
fn asked(require: &Requirement) -> String {
    let all: Vec<String> = require.conditions().map(|condition| in_words(&condition)).collect();
    if all.is_empty() { String::new() } else { format!(", require {}", all.join(" and ")) }
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
