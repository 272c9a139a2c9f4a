//! Sites and their routes as they are in force, and which of them decides on a request.

use askama::Template;
use http::{Method, Uri};

use super::Visit;
use super::answer::{Answer, shown};
use super::guard;
use super::sheet::Sheet;
use super::words::{When, span};
use crate::config::{RedeemMode, SameSite, Site};
use crate::domain::email::Email;
use crate::domain::session::WhenFull;
use crate::domain::user::Role;
use crate::gateway::{Explanation, Question, Supposed, asked};
use crate::http::Request;

#[derive(Template)]
#[template(path = "admin/sites.html")]
struct Sites {
    sheet: Sheet,
    since: When,
    all: Vec<SiteFacts>,
    asked: Asked,
    explained: Option<Result<Explanation, String>>,
}

/// A site, to be shown.
struct SiteFacts {
    name: String,
    facts: Vec<(&'static str, String)>,
    access: &'static str,
    routes: Vec<Route>,
}

struct Route {
    number: usize,
    path: String,
    methods: String,
    access: &'static str,
    asks: String,
}

/// What was asked.
struct Asked {
    url: String,
    method: String,
    email: String,
    role: String,
    groups: String,
    plans: String,
    backend: bool,
    from: String,
}

impl Visit<'_> {
    pub(super) fn sites(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let text = |name, default: &str| {
            let said = self.query.text(name);
            if said.is_empty() { default.to_owned() } else { said.to_owned() }
        };
        let asked = Asked {
            url: text("url", ""),
            method: text("method", "GET"),
            email: text("as", ""),
            role: text("role", ""),
            groups: text("groups", ""),
            plans: text("plans", ""),
            backend: !self.query.text("backend").is_empty(),
            from: text("from", "127.0.0.1"),
        };
        let explained = (!asked.url.is_empty()).then(|| self.explain(&asked));
        let (since, _) = self.scene.applied.told();
        shown(&Sites {
            sheet: self.told_sheet("Sites", "sites"),
            since: When::near(since, self.now),
            all: self.scene.sites().iter().map(|site| facts_of(site)).collect(),
            asked,
            explained,
        })
    }

    fn explain(&self, asked: &Asked) -> Result<Explanation, String> {
        let whole = "Ask about a whole address, such as https://intranet.example.com/a.";
        let list = |text: &str| {
            text.split(',').map(|own| own.trim().to_owned()).filter(|own| !own.is_empty()).collect()
        };
        let visitor = if asked.email.is_empty() {
            None
        } else {
            let role = Some(asked.role.as_str()).filter(|role| !role.is_empty());
            let role = role.map(|role| Role::parse(role).ok_or("The role is not valid.")).transpose()?;
            Some(Supposed {
                email: Email::parse(&asked.email).ok_or("The visitor’s e-mail address is not valid.")?,
                role,
                groups: list(&asked.groups),
                plans: list(&asked.plans),
                backend: asked.backend,
            })
        };
        let question = Question {
            url: asked.url.parse::<Uri>().map_err(|_| whole)?,
            method: asked.method.parse::<Method>().map_err(|_| "The method is not valid.")?,
            visitor,
            from: asked.from.parse().map_err(|_| "The client’s address is not valid.")?,
        };
        let sso = &self.scene.sso;
        Ok(question.explain(&sso.sites, self.now, sso.entropy()).ok_or(whole)?)
    }
}

fn facts_of(site: &Site) -> SiteFacts {
    let routes = site.rules.routes.iter().enumerate().map(|(place, route)| Route {
        number: place,
        path: route.prefix.written().to_owned(),
        methods: joined(route.methods.iter()),
        access: route.level.as_str(),
        asks: asked(&route.require),
    });
    let routes = routes.collect();
    SiteFacts { name: site.name.to_string(), facts: facts(site), access: site.rules.default.as_str(), routes }
}

fn joined(all: impl Iterator<Item = impl ToString>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

fn facts(site: &Site) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Hosts", joined(site.hosts.iter())),
        ("Upstreams", joined(site.upstreams.all.iter())),
        ("Login page", site.login_url.as_str().to_owned()),
        (
            "Sessions",
            format!("{} unused at most, {} in all", span(site.session_idle), span(site.session_max)),
        ),
        ("Cookie", format!("{}, SameSite={}", site.cookie.name, same_site(site.cookie.same_site))),
        ("Tokens", tokens(site)),
    ];
    let mut also = |is_so: bool, name, what: String| {
        if is_so {
            facts.push((name, what));
        }
    };
    also(site.public_url.is_some(), "Found at", joined(site.public_url.iter()));
    if let Some(url) = &site.logout_url {
        also(true, "After logging out", url.as_str().to_owned());
    }
    if let Some(cap) = &site.session_cap {
        let full = match cap.when_full {
            WhenFull::EvictOldest => "the oldest ends for a new one",
            WhenFull::Reject => "no new one then",
        };
        also(true, "Sessions of one person", format!("at most {}, {full}", cap.most));
    }
    if let Some(group) = &site.sso_group {
        also(true, "Shares logins with", format!("the group {group}"));
    }
    if let Some(url) = &site.paywall_url {
        also(true, "Paywall", url.as_str().to_owned());
    }
    let apis = [(site.apis.session, "session"), (site.apis.sso_tokens, "sso_tokens")];
    let apis = joined(apis.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name));
    also(!apis.is_empty(), "Token APIs on its hosts", apis);
    also(!site.embed_origins.is_empty(), "May be framed by", joined(site.embed_origins.iter()));
    also(!site.cors_origins.is_empty(), "Scripts from", joined(site.cors_origins.iter()));
    let switches = [
        (site.https_redirect, "https only"),
        (site.allow_backend_login, "back-end logins"),
        (site.assertions.is_some(), "signed assertions"),
        (site.resume_posts, "interrupted forms are resumed"),
        (site.keep_fragment, "fragments are kept"),
        (site.access_class, "the site decides on access"),
        (site.allow_encoded_slash, "encoded slashes are allowed"),
        (!site.login_keys.is_empty(), "the login page signs tokens"),
    ];
    let switches = joined(switches.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name));
    also(!switches.is_empty(), "Also", switches);
    facts
}

fn tokens(site: &Site) -> String {
    let mut told = vec![format!("in the parameter {}", site.token_param)];
    told.extend(site.token_ttl.map(|ttl| format!("good for {}", span(ttl))));
    if site.redeem == RedeemMode::Confirm {
        told.push("redeemed by a button".to_owned());
    }
    if site.require_state {
        told.push("only with a state".to_owned());
    }
    told.join(", ")
}

fn same_site(same_site: SameSite) -> &'static str {
    match same_site {
        SameSite::Lax => "Lax",
        SameSite::Strict => "Strict",
        SameSite::None => "None",
    }
}
