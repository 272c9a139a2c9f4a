//! A `[[site]]`'s `upstream` and what belongs to it: where requests go, and how connections there
//! are made.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::PathAndQuery;
use rustls::pki_types::ServerName;

use super::document::Read;
use super::listeners::Listeners;
use super::section::Section;
use super::text::Text;
use super::upstream_tls::{self, UpstreamTls};
use crate::domain::host::{Authority, Origin, Scheme};

/// Where a site's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstreams {
    /// Its upstreams, at least one. All of them speak the same version of HTTP.
    pub all: Vec<Upstream>,
    /// `[site.upstream_tls]`.
    pub tls: UpstreamTls,
    /// Time for a connection to come about.
    pub connect_timeout: Duration,
    /// `[site.health]`: whether they are asked how they are.
    pub health: Option<HealthCheck>,
}

impl Upstreams {
    /// Whether they speak HTTP/2.
    pub fn speak_http2(&self) -> bool {
        self.all.iter().any(|upstream| upstream.speaks_http2(&self.tls))
    }
}

/// One server that a site's requests go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What is spoken there.
    pub scheme: UpstreamScheme,
    /// Where it listens.
    pub address: UpstreamAddress,
    /// Its own Host: `host` or `host:port`; `localhost` for a socket in the file system.
    pub authority: String,
}

impl Upstream {
    /// The upstream that speaks plain HTTP/1.1 at `host` (IPv6 without brackets).
    pub fn plain(host: &str, port: u16) -> Self {
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let authority = if port == 80 { shown } else { format!("{shown}:{port}") };
        let address = UpstreamAddress::Tcp { host: host.to_owned(), port };
        Self { scheme: UpstreamScheme::Http, address, authority }
    }

    /// The name that its certificate has to have; `None` if there can be none.
    pub fn tls_name(&self, tls: &UpstreamTls) -> Option<ServerName<'static>> {
        let own = || match &self.address {
            UpstreamAddress::Tcp { host, .. } => ServerName::try_from(host.clone()).ok(),
            UpstreamAddress::Unix(_) => None,
        };
        tls.server_name.clone().or_else(own)
    }

    fn speaks_http2(&self, tls: &UpstreamTls) -> bool {
        match self.scheme {
            UpstreamScheme::Http => false,
            UpstreamScheme::Https => tls.http2,
            UpstreamScheme::H2c => true,
        }
    }
}

impl Upstream {
    /// Where it finds itself, as far as it knows.
    pub(super) fn origin(&self) -> Option<Origin> {
        let scheme = match self.scheme {
            UpstreamScheme::Http | UpstreamScheme::H2c => Scheme::Http,
            UpstreamScheme::Https => Scheme::Https,
        };
        Some(Origin::new(scheme, &Authority::parse(&self.authority)?))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            UpstreamAddress::Tcp { .. } => write!(f, "{}://{}", self.scheme.as_str(), self.authority),
            UpstreamAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What is spoken with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamScheme {
    /// HTTP/1.1.
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 without TLS, which is known beforehand (RFC 9113 §3.3).
    H2c,
}

impl UpstreamScheme {
    const ALL: [Self; 3] = [Self::Http, Self::Https, Self::H2c];

    /// The scheme as the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::H2c => 80,
            Self::Https => 443,
        }
    }
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// At a port.
    Tcp {
        /// A name or an address, IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// At a socket in the file system.
    Unix(PathBuf),
}

/// `[site.health]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for.
    pub path: PathAndQuery,
    /// Time between two questions.
    pub interval: Duration,
    /// Time for the answer's head.
    pub timeout: Duration,
    /// Good answers in a row after which an upstream counts as well.
    pub healthy_after: usize,
    /// Bad ones in a row after which it does not.
    pub unhealthy_after: usize,
}

const EXAMPLE: &str = "[\"http://127.0.0.1:9000\"]";

/// The longest path of a socket: `sun_path` has 108 bytes, the last of which ends it.
const MAX_SOCKET_PATH: usize = 107;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Reads the keys of a `[[site]]` that concern its upstreams. None may be one of the gateway's
/// `own` listeners.
pub(super) fn read(site: &mut Section<'_>, own: &Listeners) -> Read<Upstreams> {
    let mut seen: Vec<Upstream> = Vec::new();
    let all = site.required_list("upstream", EXAMPLE, |text| {
        let upstream = upstream(&text)?;
        if own.receive(&upstream) {
            let remedy = "name the address of the site itself, or let the gateway listen elsewhere";
            return Err(text.refuse("is the gateway itself", remedy));
        }
        if seen.contains(&upstream) {
            return Err(text.refuse("is listed twice", "leave one of them out"));
        }
        seen.push(upstream.clone());
        Ok(upstream)
    });
    let has_https = seen.iter().any(|upstream| upstream.scheme == UpstreamScheme::Https);
    let no_https = all.is_ok() && !has_https && site.has("upstream_tls");
    let no_https = no_https.then(|| {
        let remedy = "write upstream = [\"https://…\"], or leave the table out";
        site.place_of("upstream_tls").fault("no upstream of this site has https", remedy)
    });
    let tls = site.section("upstream_tls").and_then(upstream_tls::read);
    let all = all.and_then(|all| {
        // Where the table is at fault already, there is no telling.
        let Ok(tls) = &tls else { return Ok(all) };
        if all
            .iter()
            .any(|upstream| upstream.scheme == UpstreamScheme::Https && upstream.tls_name(tls).is_none())
        {
            return Err(site.place_of("upstream").fault(
                "has an upstream with https whose host no certificate can have",
                "say which name its certificate has with [site.upstream_tls] server_name",
            ));
        }
        let http2 = all.iter().filter(|upstream| upstream.speaks_http2(tls)).count();
        if http2 == 0 || http2 == all.len() {
            return Ok(all);
        }
        Err(site.place_of("upstream").fault(
            "some of these speak HTTP/2 and some HTTP/1.1",
            "list upstreams that speak the same; h2c, and https with http2 = true, are HTTP/2",
        ))
    });
    let connect_timeout = site.duration("connect_timeout", MILLISECOND..=Duration::from_mins(5));
    let asks = site.has("health");
    let health = site.section("health").and_then(|section| asks.then(|| health(section)).transpose());
    no_https.map_or(Ok(()), Err)?;
    Ok(Upstreams {
        all: all?,
        tls: tls?,
        connect_timeout: connect_timeout?.unwrap_or(Duration::from_secs(5)),
        health: health?,
    })
}

fn upstream(text: &Text<'_>) -> Read<Upstream> {
    let Some(path) = text.as_str().strip_prefix("unix:") else {
        let remedy = "write http://, https:// or h2c:// with a host and perhaps a port and nothing behind, or unix:/path";
        return text.parse(at_port, "is not an upstream", remedy);
    };
    if !path.starts_with('/') || path.contains('\0') {
        return Err(text.refuse(
            "is not the path of a socket",
            "write it from the root, such as \"unix:/run/app.sock\"",
        ));
    }
    if path.len() > MAX_SOCKET_PATH {
        let remedy = format!("use one of at most {MAX_SOCKET_PATH} bytes");
        return Err(text.refuse("is longer than the path of a socket can be", &remedy));
    }
    let address = UpstreamAddress::Unix(Path::new(path).to_owned());
    Ok(Upstream { scheme: UpstreamScheme::Http, address, authority: "localhost".to_owned() })
}

fn at_port(text: &str) -> Option<Upstream> {
    let (scheme, authority) = text.split_once("://")?;
    let scheme = UpstreamScheme::ALL.into_iter().find(|known| known.as_str() == scheme)?;
    let authority = Authority::parse(authority.strip_suffix('/').unwrap_or(authority))?;
    let host = authority.host();
    let named_port = authority.port().filter(|port| *port != scheme.default_port());
    Some(Upstream {
        scheme,
        address: UpstreamAddress::Tcp {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: named_port.unwrap_or(scheme.default_port()),
        },
        authority: named_port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
    })
}

fn health(mut section: Section<'_>) -> Read<HealthCheck> {
    const TENTH: Duration = Duration::from_millis(100);
    let path = section.required_text("path", "\"/healthz\"").and_then(|text| {
        let path = |text: &str| text.starts_with('/').then(|| text.parse().ok()).flatten();
        text.parse(path, "is not a path", "write one such as \"/healthz\"")
    });
    let interval = section.duration("interval", TENTH..=Duration::from_hours(1));
    let timeout = section.duration("timeout", TENTH..=Duration::from_mins(5));
    let healthy_after = section.count("healthy_after", 2, 1..=1000);
    let unhealthy_after = section.count("unhealthy_after", 3, 1..=1000);
    section.finish();
    Ok(HealthCheck {
        path: path?,
        interval: interval?.unwrap_or(Duration::from_secs(10)),
        timeout: timeout?.unwrap_or(Duration::from_secs(2)),
        healthy_after: healthy_after?,
        unhealthy_after: unhealthy_after?,
    })
}
