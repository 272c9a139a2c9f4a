//! `[[site]]`: what is protected, and how visitors get in.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::claims::Claims;
use super::document::{Place, Read};
use super::listeners::Listeners;
use super::login_key::KeyIds;
use super::section::Section;
use super::settings::{Hsts, RedeemMode, RemoteUrl, Site, SiteApis};
use super::text::Text;
use super::upstream::Upstreams;
use super::{cookie, embedding, group, identity, login_key, rewrite, route, upstream};
use crate::domain::access::{AccessLevel, Rules};
use crate::domain::host::{HostPattern, Origin, Scheme};
use crate::domain::path::RequestPath;
use crate::domain::session::{SessionCap, WhenFull};
use crate::domain::site::SiteName;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Query parameters that the gateway or the token APIs read or write themselves.
const TAKEN_PARAMETERS: [&str; 8] =
    ["return_url", "site", "state", "error", "token", "session_token", "access_token", "login_token"];

const WHEN_FULL: [(&str, WhenFull); 2] =
    [("evict_oldest", WhenFull::EvictOldest), ("reject", WhenFull::Reject)];

const REDEEM: [(&str, RedeemMode); 2] = [("direct", RedeemMode::Direct), ("confirm", RedeemMode::Confirm)];

/// What only one site can have.
pub(super) struct SiteClaims<'a> {
    pub(super) names: Claims<SiteName>,
    hosts: Claims<HostPattern>,
    /// The place of the first site that signs, if one does: it needs a store that keeps its keys.
    pub(super) signer: Option<String>,
    pub(super) groups: group::Groups<'a>,
}

impl SiteClaims<'_> {
    pub(super) fn new() -> Self {
        Self { names: Claims::new(), hosts: Claims::new(), groups: group::Groups::default(), signer: None }
    }
}

/// Reads one `[[site]]`.
pub(super) fn read<'a>(
    mut section: Section<'a>,
    taken: &mut SiteClaims<'a>,
    own: &Listeners,
) -> Read<Arc<Site>> {
    let name = name(&mut section, taken);
    let hosts = hosts(&mut section, taken);
    let public_url = optional(&mut section, "public_url", |text| origin(&text));
    let upstreams = upstream::read(&mut section, own);
    let https_redirect = https_redirect(&mut section, &public_url, own);
    let secured_for = hsts(&mut section);
    let login_url = section.required_text("login_url", "\"https://login.example.com/\"");
    let login_url = login_url.and_then(|text| remote_url(&text));
    let logout_url = optional(&mut section, "logout_url", |text| remote_url(&text));
    let default = section.choice("access", AccessLevel::Required, &route::LEVELS);
    let token_ttl = section.duration("token_ttl", SECOND..=Duration::from_hours(1));
    let lifetime = lifetime(&mut section);
    let session_cap = session_cap(&mut section);
    let allow_backend_login = section.flag("allow_backend_login", false);
    let token_param = token_param(&mut section);
    let redeem = section.choice("redeem", RedeemMode::Direct, &REDEEM);
    let require_state = section.flag("require_state", false);
    let mut key_ids = KeyIds::new();
    let login_keys = section.tables("login_key", |section| login_key::read(section, &mut key_ids));
    let apis = apis(&mut section);
    let preserve_host = section.flag("preserve_host", true);
    let connection_auth = connection_auth(&mut section, &upstreams);
    let upstream_timeout =
        section.duration("upstream_timeout", Duration::from_millis(1)..=Duration::from_hours(24));
    let max_body = section.size("max_body", 0, 0..=u64::MAX);
    let allow_encoded_slash = section.flag("allow_encoded_slash", false);
    let resume_posts = section.flag("resume_posts", true);
    let keep_fragment = section.flag("keep_fragment", false);
    let cors_origins = section.list("cors_origins", |text| origin(&text));
    let own_addresses = upstreams.as_ref().map_or(&[][..], |upstreams| &upstreams.all);
    let rewrite = section.section("rewrite").and_then(|section| rewrite::read(section, own_addresses));
    let embed_origins = embedding::read(&mut section, &public_url);
    let embeds = embed_origins.as_ref().is_ok_and(|origins| !origins.is_empty());
    let cookie = section.section("cookie").and_then(|section| cookie::read(section, &public_url, embeds));
    let sso_group = taken.groups.read(&mut section, &public_url, &cookie);
    let access_class = section.flag("access_class", true);
    let paywall_url = optional(&mut section, "paywall_url", |text| remote_url(&text));
    let routes = section.tables("route", route::read);
    let identity = section.section("identity").and_then(identity::read);
    if matches!(identity, Ok((_, Some(_)))) {
        taken.signer.get_or_insert_with(|| section.place().key.clone());
    }
    let rules = default.and_then(|default| routes.map(|routes| Rules { default, routes }));
    let login_url = login_url.and_then(|page| {
        // Where one of these is at fault already, there is no telling.
        let (Ok(hosts), Ok(public_url), Ok(rules), Ok(slash)) =
            (&hosts, &public_url, &rules, &allow_encoded_slash)
        else {
            return Ok(page);
        };
        let home = Home { hosts, public_url: public_url.as_ref(), own };
        if !is_open(&page, rules, *slash) {
            home.check_closed(&page, &section.place_of("login_url"))?;
        }
        Ok(page)
    });
    section.finish();
    let (session_idle, session_max) = lifetime?;
    let (identity, assertions) = identity?;
    Ok(Arc::new(Site {
        name: name?,
        hosts: hosts?,
        public_url: public_url?,
        upstreams: upstreams?,
        https_redirect: https_redirect?,
        hsts: secured_for?,
        login_url: login_url?,
        logout_url: logout_url?,
        rules: rules?,
        token_ttl: token_ttl?,
        session_idle,
        session_max,
        sso_group: sso_group?,
        session_cap: session_cap?,
        allow_backend_login: allow_backend_login?,
        token_param: token_param?,
        redeem: redeem?,
        require_state: require_state?,
        login_keys: login_keys?,
        apis: apis?,
        preserve_host: preserve_host?,
        connection_auth: connection_auth?,
        upstream_timeout: upstream_timeout?.unwrap_or(Duration::from_mins(1)),
        max_body: Some(max_body?).filter(|bytes| *bytes != 0),
        allow_encoded_slash: allow_encoded_slash?,
        cors_origins: cors_origins?.unwrap_or_default(),
        rewrite: rewrite?,
        embed_origins: embed_origins?,
        resume_posts: resume_posts?,
        keep_fragment: keep_fragment?,
        access_class: access_class?,
        paywall_url: paywall_url?,
        cookie: cookie?,
        identity,
        assertions,
    }))
}

/// `connection_auth`, for which a connection has to be one visitor's.
fn connection_auth(section: &mut Section<'_>, upstreams: &Read<Upstreams>) -> Read<bool> {
    let wanted = section.flag("connection_auth", false)?;
    if wanted && upstreams.as_ref().is_ok_and(Upstreams::speak_http2) {
        let problem = "cannot be where the upstream speaks HTTP/2, whose connections are many visitors'";
        let remedy = "speak HTTP/1.1 with the upstream, or leave it out";
        return Err(section.place_of("connection_auth").fault(problem, remedy));
    }
    Ok(wanted)
}

fn optional<'a, T>(
    section: &mut Section<'a>,
    name: &'static str,
    read: impl FnOnce(Text<'a>) -> Read<T>,
) -> Read<Option<T>> {
    section.text(name)?.map(read).transpose()
}

fn name(section: &mut Section<'_>, taken: &mut SiteClaims<'_>) -> Read<SiteName> {
    let text = section.required_text("name", "\"intranet\"")?;
    let name = text.parse(SiteName::parse, "cannot name a site", "use 1 to 64 letters, digits, ., _ or -")?;
    if let Some(other) = taken.names.owner(&name) {
        return Err(text.refuse(&format!("is the name of {other} already"), "give each site its own"));
    }
    section.go_by("site", &text);
    taken.names.add(name.clone(), section.place());
    Ok(name)
}

fn hosts(section: &mut Section<'_>, taken: &mut SiteClaims<'_>) -> Read<Vec<HostPattern>> {
    let owner = section.place().clone();
    section.required_list("hosts", "[\"intranet.example.com\"]", |text| {
        let remedy =
            "write a name without scheme, port or path, \"*.example.com\" for one level, or \"*\" for any";
        let pattern = text.parse(HostPattern::parse, "is not a host", remedy)?;
        if let Some(other) = taken.hosts.owner(&pattern) {
            return Err(text.refuse(&format!("belongs to {other} already"), "list each host once"));
        }
        taken.hosts.add(pattern.clone(), &owner);
        Ok(pattern)
    })
}

/// `https_redirect`, which has to lead somewhere.
fn https_redirect(
    section: &mut Section<'_>,
    public_url: &Read<Option<Origin>>,
    own: &Listeners,
) -> Read<bool> {
    let redirects = section.flag("https_redirect", false)?;
    // Of a public_url that could not be read there is nothing more to say.
    let leads_nowhere = matches!(public_url, Ok(origin) if origin.as_ref().is_none_or(|origin| origin.scheme() == Scheme::Http));
    if redirects && leads_nowhere && !own.speak_tls {
        return Err(section.place_of("https_redirect").fault(
            "leads nowhere, as nothing listens for https",
            "add https to [server], or set the site's public_url = \"https://…\" if a proxy in front does TLS",
        ));
    }
    Ok(redirects)
}

/// `hsts` and `hsts_include_subdomains`.
fn hsts(section: &mut Section<'_>) -> Read<Option<Hsts>> {
    let max_age = section.duration("hsts", Duration::ZERO..=2 * YEAR);
    let include_subdomains = section.flag("hsts_include_subdomains", false);
    match (max_age?, include_subdomains?) {
        (None, true) => Err(section
            .place_of("hsts_include_subdomains")
            .fault("has no effect without hsts", "add hsts = \"365d\", or leave it out")),
        (max_age, include_subdomains) => Ok(max_age.map(|max_age| Hsts { max_age, include_subdomains })),
    }
}

fn origin(text: &Text<'_>) -> Read<Origin> {
    text.parse(
        Origin::parse,
        "is not an origin",
        "write scheme and host, such as \"https://intranet.example.com\"",
    )
}

fn remote_url(text: &Text<'_>) -> Read<RemoteUrl> {
    let remedy = "write an absolute http or https URL without user name and password";
    text.parse(RemoteUrl::parse, "is not the URL of a page", remedy)
}

/// Where visitors find the site.
struct Home<'a> {
    hosts: &'a [HostPattern],
    public_url: Option<&'a Origin>,
    own: &'a Listeners,
}

impl Home<'_> {
    /// Refuses `page`, a login page whose path is closed here, if it lies on the site, and warns where it may.
    fn check_closed(&self, page: &RemoteUrl, place: &Place<'_>) -> Read<()> {
        if self.has(page) {
            return Err(place.fault(
                "is a page of this very site that nobody reaches without a session",
                "open its path with a [[site.route]] with access = \"off\", or name a page elsewhere",
            ));
        }
        if self.may_have(page) {
            place.remark(
                "may be a page of this very site, and then nobody reaches it without a session",
                "open its path with a [[site.route]] with access = \"off\", or say with public_url where the site is",
            );
        }
        Ok(())
    }

    /// Whether `page` lies on the site. Patterns tell nothing: the page may well be one of the
    /// hosts that the pattern names, and another server's all the same.
    fn has(&self, page: &RemoteUrl) -> bool {
        let (host, port, _) = page.destination();
        let by_name = self.hosts.iter().any(|own| matches!(own, HostPattern::Exact(own) if own == host));
        match self.public_url {
            Some(origin) => origin.port() == port && (by_name || origin.host() == host),
            None => by_name && self.own.welcome(port),
        }
    }

    /// Whether `page` may well lie on the site, which does not say where it is: at a proxy in front of its host, or
    /// where everything is the site's that comes in.
    fn may_have(&self, page: &RemoteUrl) -> bool {
        let (host, port, _) = page.destination();
        let of_site = |own: &HostPattern| match own {
            HostPattern::Exact(own) => own == host && [80, 443].contains(&port),
            HostPattern::OneLevel(_) => false,
            HostPattern::Any => self.own.welcome(port),
        };
        self.public_url.is_none() && self.hosts.iter().any(of_site)
    }
}

fn is_open(page: &RemoteUrl, rules: &Rules, allow_encoded_slash: bool) -> bool {
    let (_, _, path) = page.destination();
    let path = RequestPath::parse(path, allow_encoded_slash);
    path.is_ok_and(|path| rules.demand(&path, &Method::GET).level != AccessLevel::Required)
}

/// `session_idle` and `session_max`.
fn lifetime(section: &mut Section<'_>) -> Read<(Duration, Duration)> {
    let idle = section.duration("session_idle", SECOND..=YEAR);
    let max = section.duration("session_max", SECOND..=YEAR);
    let idle = idle?.unwrap_or(Duration::from_mins(30));
    let max = max?.unwrap_or(Duration::from_hours(24));
    if idle <= max {
        return Ok((idle, max));
    }
    let written = ["session_max", "session_idle"].into_iter().find(|name| section.has(name));
    Err(section.place_of(written.unwrap_or("session_max")).fault(
        "session_idle is longer than session_max",
        "write both, session_idle no longer than session_max; left out they are \"30m\" and \"24h\"",
    ))
}

/// `max_sessions_per_user` and `on_session_limit`.
fn session_cap(section: &mut Section<'_>) -> Read<Option<SessionCap>> {
    let most = section.count("max_sessions_per_user", 0, 0..=10_000);
    let when_full = section.choice("on_session_limit", WhenFull::EvictOldest, &WHEN_FULL);
    let most = u32::try_from(most?).ok().and_then(NonZeroU32::new);
    let when_full = when_full?;
    Ok(most.map(|most| SessionCap { most, when_full }))
}

fn token_param(section: &mut Section<'_>) -> Read<String> {
    let Some(text) = section.text("token_param")? else {
        return Ok("sso".to_owned());
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_name = |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(allowed);
    let name = text.parse(
        |name| is_name(name).then(|| name.to_owned()),
        "cannot name a query parameter here",
        "use 1 to 64 letters, digits, _ or -",
    )?;
    if TAKEN_PARAMETERS.contains(&name.as_str()) {
        return Err(text.refuse("is a parameter with a meaning of its own", "use another, such as \"sso\""));
    }
    Ok(name)
}

fn apis(section: &mut Section<'_>) -> Read<SiteApis> {
    let session = SiteApis { session: true, sso_tokens: false };
    let sso_tokens = SiteApis { session: false, sso_tokens: true };
    let apis =
        section.list("apis", |text| text.choose(&[("session", session), ("sso_tokens", sso_tokens)]))?;
    let both = |a: SiteApis, b: SiteApis| SiteApis {
        session: a.session || b.session,
        sso_tokens: a.sso_tokens || b.sso_tokens,
    };
    Ok(apis.map_or(session, |apis| apis.into_iter().fold(SiteApis::default(), both)))
}
