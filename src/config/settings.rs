//! The validated configuration: what the rest of the program works with.
//!
//! Every value here is already parsed and in range; nothing is read from text again later.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::acme::AcmeSettings;
use super::certificate::Certificate;
use super::log::LogSettings;
use super::proof::Proof;
use super::redis::RedisSettings;
use super::trace::TraceSettings;
use super::upstream::Upstreams;
use crate::domain::access::Rules;
use crate::domain::clock::Timestamp;
use crate::domain::host::{HostPattern, Origin, Scheme};
use crate::domain::identity::IdentityHeaders;
use crate::domain::relocation::Relocations;
use crate::domain::secret::Secret;
use crate::domain::session::SessionCap;
use crate::domain::signed_login::LoginKey;
use crate::domain::site::SiteName;

/// Everything that `config.toml` says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server]`: the public listeners.
    pub server: Server,
    /// `[acme]`: whom certificates are asked from, if any are.
    pub acme: Option<AcmeSettings>,
    /// `[control]`: the listener for operators and login pages.
    pub control: Control,
    /// `[store]`: where tokens, sessions and users are kept.
    pub store: StoreSettings,
    /// `[log]`: what is written down.
    pub log: LogSettings,
    /// `[trace]`: what is told of requests to whoever follows them over several services.
    pub trace: TraceSettings,
    /// `[[api_key]]`.
    pub api_keys: Vec<ApiKey>,
    /// `[[site]]`, at least one.
    pub sites: Vec<Arc<Site>>,
    /// What was found in the file that is no fault, but may well be a mistake.
    pub remarks: Vec<String>,
}

impl Settings {
    /// What is no fault, but may well be a mistake.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let towards_sites = self.sites.iter().filter_map(|site| site.upstreams.tls.identity.as_ref());
        let certificates = self.server.certificates.iter().chain(&self.control.certificate);
        let certificates =
            certificates.chain(towards_sites).filter_map(|certificate| certificate.warning(now));
        let keys = self.api_keys.iter().filter_map(|key| key.warning(now));
        self.remarks.iter().cloned().chain(certificates).chain(keys).collect()
    }
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Addresses for plain HTTP.
    pub http: Vec<SocketAddr>,
    /// Addresses for HTTP over TLS.
    pub https: Vec<SocketAddr>,
    /// What is shown there, the default first: those in files, and behind them those that came from an
    /// ACME directory.
    pub certificates: Vec<Certificate>,
    /// Whether HTTP/2 is spoken on `http` too, to those who begin with it.
    pub h2c: bool,
    /// Threads that serve visitors; 0 for one per core.
    pub workers: usize,
    /// Whether `trusted_proxies` say by the PROXY protocol whose connections they pass on, and
    /// nobody else may connect.
    pub proxy_protocol: bool,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Visitors' connections at one time, over all workers.
    pub max_connections: usize,
    /// Bytes in a request's head.
    pub max_header_bytes: usize,
    /// Time for a whole request head to arrive.
    pub header_timeout: Duration,
    /// Time between two pieces of a body, in either direction.
    pub body_idle_timeout: Duration,
    /// How long a connection is kept for another request.
    pub keep_alive_timeout: Duration,
    /// Time that running requests get when the server stops.
    pub drain_timeout: Duration,
}

/// `[control]`.
#[derive(Clone, Debug)]
pub struct Control {
    /// The address of the control API: on loopback, unless it speaks TLS.
    pub listen: SocketAddr,
    /// What it shows, if it speaks TLS.
    pub certificate: Option<Certificate>,
    /// Names at which operators find the admin page, besides those that it always has.
    pub hosts: Vec<HostPattern>,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// In memory: everything is forgotten on restart.
    Memory,
    /// In memory and in a file, which outlives the process.
    Embedded {
        /// The folder of the file.
        path: PathBuf,
    },
    /// In a Redis that many nodes share.
    Redis(RedisSettings),
}

/// One `[[api_key]]`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its name in logs.
    pub name: String,
    /// What proves who uses it, at least one thing; what it has now stands before what it had.
    pub proofs: Vec<Proof>,
    /// What the key may do.
    pub scopes: Vec<Scope>,
    /// Its level in the 23-compatible API.
    pub permission: PermissionLevel,
    /// The sites it may act for; `None` for all.
    pub sites: Option<Vec<SiteName>>,
}

impl ApiKey {
    /// What has ended of it at `now` and still stands in the file.
    fn warning(&self, now: Timestamp) -> Option<String> {
        let is_over = |proof: &&Proof| !proof.is_good(now);
        let (name, over) = (&self.name, self.proofs.iter().filter(is_over).count());
        match over {
            0 => None,
            _ if over == self.proofs.len() => {
                Some(format!("the API key {name} has ended: nobody can use it"))
            }
            _ => Some(format!("a previous secret of the API key {name} has ended: take it out of the file")),
        }
    }

    /// Whether the key has `scope`, by itself or as `admin`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|own| *own == scope || *own == Scope::Admin)
    }

    /// Whether the key may act for `site`.
    pub fn covers(&self, site: &SiteName) -> bool {
        self.sites.as_ref().is_none_or(|sites| sites.contains(site))
    }
}

/// A right of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Issue login tokens.
    WriteSso,
    /// List and read sessions.
    ReadSessions,
    /// Change and end sessions.
    WriteSessions,
    /// List and read users.
    ReadUsers,
    /// Change and delete users.
    WriteUsers,
    /// All of these.
    Admin,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::WriteSso,
        Self::ReadSessions,
        Self::WriteSessions,
        Self::ReadUsers,
        Self::WriteUsers,
        Self::Admin,
    ];

    /// The scope as the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WriteSso => "write:sso",
            Self::ReadSessions => "read:sessions",
            Self::WriteSessions => "write:sessions",
            Self::ReadUsers => "read:users",
            Self::WriteUsers => "write:users",
            Self::Admin => "admin",
        }
    }
}

/// A level of the 23-compatible API, from the least to the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PermissionLevel {
    /// No access.
    #[default]
    None,
    /// What is public.
    Anonymous,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Administration.
    Admin,
    /// Signing in visitors.
    Super,
}

impl PermissionLevel {
    /// Every level, in ascending order.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Anonymous, Self::Read, Self::Write, Self::Admin, Self::Super];

    /// The level as configuration and API spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Anonymous => "anonymous",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Super => "super",
        }
    }
}

/// The two key pairs of an OAuth 1.0a client (RFC 5849 §3.1, called client and token credentials
/// there).
#[derive(Clone, Debug)]
pub struct OAuth1Credentials {
    /// `oauth_consumer_key`.
    pub consumer_key: String,
    /// The secret that belongs to it.
    pub consumer_secret: Secret,
    /// `oauth_token`.
    pub access_token: String,
    /// The secret that belongs to it.
    pub access_secret: Secret,
}

/// One `[[site]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the configuration")]
pub struct Site {
    /// Its name in the APIs and logs.
    pub name: SiteName,
    /// The hosts at which visitors find it.
    pub hosts: Vec<HostPattern>,
    /// Where visitors find it, if a request's own scheme and host do not tell.
    pub public_url: Option<Origin>,
    /// Whether visitors over plain http are sent to https.
    pub https_redirect: bool,
    /// For how long browsers are to use nothing but https, if they are told.
    pub hsts: Option<Hsts>,
    /// Where requests go.
    pub upstreams: Upstreams,
    /// Where strangers are sent.
    pub login_url: RemoteUrl,
    /// Where a visitor goes after logging out, if not back to the site.
    pub logout_url: Option<RemoteUrl>,
    /// What each path asks.
    pub rules: Rules,
    /// Life of a token, if it is to be the same for both token APIs.
    pub token_ttl: Option<Duration>,
    /// How long a session may go unused.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_max: Duration,
    /// The group of sites with which it shares a login, if it does.
    pub sso_group: Option<String>,
    /// How many sessions of one person there may be at a time; `None` for any number.
    pub session_cap: Option<SessionCap>,
    /// Whether users with a full account reach the back end.
    pub allow_backend_login: bool,
    /// The query parameter that carries a token.
    pub token_param: String,
    /// What a browser has to do with a token.
    pub redeem: RedeemMode,
    /// Whether tokens without a `state` are refused.
    pub require_state: bool,
    /// The keys with which the login page signs tokens itself, if it does.
    pub login_keys: Vec<LoginKey>,
    /// The token APIs that answer on the site's own hosts.
    pub apis: SiteApis,
    /// Whether the upstream gets the visitor's Host or its own.
    pub preserve_host: bool,
    /// Whether a connection to the upstream that was authenticated is kept for its visitor.
    pub connection_auth: bool,
    /// Time for the upstream's response head to arrive.
    pub upstream_timeout: Duration,
    /// Bytes in a request's body; `None` for no limit.
    pub max_body: Option<u64>,
    /// Whether `%2f` may stand in paths.
    pub allow_encoded_slash: bool,
    /// Origins whose scripts may read the gateway's own 401 and get a preflight answered.
    pub cors_origins: Vec<Origin>,
    /// `[site.rewrite]`.
    pub rewrite: Relocations,
    /// Origins whose pages may show the site in a frame.
    pub embed_origins: Vec<Origin>,
    /// Whether a POST that was interrupted by a login is sent again after it.
    pub resume_posts: bool,
    /// Whether a visitor comes back from the login page to the very place on the page.
    pub keep_fragment: bool,
    /// Whether the upstream is told what kind of visitor somebody is.
    pub access_class: bool,
    /// Where visitors are sent who have a session, and not what the upstream asks for an answer.
    pub paywall_url: Option<RemoteUrl>,
    /// `[site.cookie]`.
    pub cookie: SiteCookie,
    /// `[site.identity]`.
    pub identity: IdentityHeaders,
    /// The signed word besides, if there is one.
    pub assertions: Option<Assertions>,
}

/// That the upstream gets a signed word, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assertions {
    /// How long one key signs.
    pub key_age: Duration,
}

/// A page elsewhere to which parameters can be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUrl(url::Url);

impl RemoteUrl {
    /// Takes an absolute http or https URL without credentials.
    pub fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text).ok()?;
        let plain =
            Scheme::parse(url.scheme()).is_some() && url.username().is_empty() && url.password().is_none();
        (plain && url.has_host()).then_some(Self(url))
    }

    /// The URL with `parameters` added behind those that it has.
    pub fn with<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }

    /// Its lower-case host (an IPv6 address in brackets), its port and its path.
    pub fn destination(&self) -> (&str, u16, &str) {
        let port = self.0.port_or_known_default().unwrap_or_default();
        (self.0.host_str().unwrap_or_default(), port, self.0.path())
    }

    /// Its origin, as browsers write it.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The URL as it is.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What browsers are told of https (RFC 6797).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// How long they are to remember it.
    pub max_age: Duration,
    /// Whether it goes for every host below as well.
    pub include_subdomains: bool,
}

/// What a browser has to do with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedeemMode {
    /// A GET consumes it.
    Direct,
    /// A GET shows a page whose button POSTs it.
    Confirm,
}

/// The token APIs that answer on a site's own hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteApis {
    /// The 23-compatible API under `/api/`.
    pub session: bool,
    /// `/sso_tokens` and `/v1/sso_tokens`.
    pub sso_tokens: bool,
}

/// `[site.cookie]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteCookie {
    /// The session cookie's name, without any prefix.
    pub name: String,
    /// Its `SameSite`.
    pub same_site: SameSite,
}

/// A cookie's `SameSite` (RFC 6265bis §5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on navigations from elsewhere.
    Lax,
    /// Never sent from elsewhere.
    Strict,
    /// Always sent; needs `Secure`.
    None,
}
