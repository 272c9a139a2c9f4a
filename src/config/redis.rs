//! Where a Redis is, and how to get in: what `[store]` says of one.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::document::{Read, Reported};
use super::section::Section;
use super::text::Text;
use crate::domain::secret::Secret;

/// `[store]` with `kind = "redis"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is.
    pub place: RedisPlace,
    /// Who the gateway is there.
    pub user: Option<String>,
    /// The password that goes with that.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Certificates in PEM that are trusted in place of the system's authorities.
    pub ca: Option<Vec<u8>>,
    /// The secret with which all nodes mark what they write.
    pub secret: Option<Secret>,
}

/// Where a Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisPlace {
    /// One server.
    Single(RedisAddress),
    /// One server, at a socket of this machine.
    Socket(PathBuf),
    /// Whichever server the sentinels say.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<RedisAddress>,
        /// The name by which they know the servers that belong together.
        service: String,
    },
    /// A cluster, of which some nodes are known.
    Cluster(Vec<RedisAddress>),
}

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

const EXAMPLE: &str = "write a URL such as \"redis://127.0.0.1:6379/\", \
                       \"redis-sentinel://a:26379,b:26379/SERVICE\" or \"redis-cluster://a:6379,b:6379\"";

const CA: &str =
    "name a PEM file with \"BEGIN CERTIFICATE\" in it; a path begins where the configuration file lies";

const MIN_SECRET_CHARS: usize = 16;

/// Reads what `[store]` says beside its kind.
pub(super) fn read(section: &mut Section<'_>) -> Read<RedisSettings> {
    let (ca, secret) = (ca(section), secret(section));
    // Not shown: there may be a password in it, and no telling where it ends in what is no URL.
    let (place, url) = section.required_text("url", "\"redis://127.0.0.1:6379/\"")?.into_secret()?;
    let refuse = |problem: &str| -> Reported { place.fault(problem, EXAMPLE) };
    let mut settings = parse(url.expose()).ok_or_else(|| refuse("this is not the URL of a Redis"))?;
    settings.secret = secret?;
    settings.ca = ca?;
    if settings.ca.is_some() && !settings.tls {
        let remedy = "write rediss://, rediss-sentinel:// or rediss-cluster://, or leave it out";
        return Err(section.place_of("ca").fault("the url asks for no TLS", remedy));
    }
    Ok(settings)
}

/// Takes none of it where the store is another one.
pub(super) fn refuse(section: &mut Section<'_>) -> Read<()> {
    let mut outcome = Ok(());
    for key in ["url", "ca", "secret"] {
        if section.text(key)?.is_some() {
            let remedy = "leave it out, or use kind = \"redis\"";
            outcome = Err(section.place_of(key).fault("is for the redis store", remedy));
        }
    }
    outcome
}

fn ca(section: &mut Section<'_>) -> Read<Option<Vec<u8>>> {
    let Some(text) = section.text("ca")? else { return Ok(None) };
    let pem = std::fs::read(text.to_path());
    let pem = pem.map_err(|error| text.refuse(&format!("cannot be read: {error}"), CA))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let broken = |text: &Text<'_>| text.refuse("has a certificate in it that cannot be understood", CA);
    let certificates = certificates.map_err(|_| broken(&text))?;
    if certificates.is_empty() {
        return Err(text.refuse("has no certificate in it", CA));
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|_| broken(&text))?;
    }
    Ok(Some(pem))
}

fn secret(section: &mut Section<'_>) -> Read<Option<Secret>> {
    let Some(text) = section.text("secret")? else { return Ok(None) };
    let (place, secret) = text.into_secret()?;
    if secret.expose().chars().count() < MIN_SECRET_CHARS {
        let problem = format!("the secret has fewer than {MIN_SECRET_CHARS} characters");
        return Err(place.fault(problem, "`tollgate key new` makes one"));
    }
    Ok(Some(secret))
}

/// What `url` says; `None` if that is not clear.
fn parse(url: &str) -> Option<RedisSettings> {
    let (scheme, rest) = url.split_once("://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let asked = match query.split_once('=') {
        Some(("db", number)) => Some(database(number)?),
        None if query.is_empty() => None,
        _ => return None,
    };
    let (tls, kind) = match scheme.strip_prefix("rediss") {
        Some(kind) => (true, kind),
        None => (false, scheme.strip_prefix("redis")?),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, password, hosts) = credentials(authority)?;
    let mut number = asked.unwrap_or_default();
    let place = match kind {
        "" => {
            if !path.is_empty() {
                number = asked.is_none().then(|| database(path)).flatten()?;
            }
            RedisPlace::Single(address(hosts, 6379)?)
        }
        "+unix" if !tls && hosts.is_empty() && !path.is_empty() => {
            RedisPlace::Socket(format!("/{path}").into())
        }
        "-sentinel" if !path.is_empty() && !path.contains('/') => RedisPlace::Sentinel {
            sentinels: addresses(hosts, 26379)?,
            service: percent_decode_str(path).decode_utf8().ok()?.into_owned(),
        },
        // A cluster has one database.
        "-cluster" if path.is_empty() && number == 0 => RedisPlace::Cluster(addresses(hosts, 6379)?),
        _ => return None,
    };
    Some(RedisSettings { place, user, password, database: number, tls, ca: None, secret: None })
}

fn database(number: &str) -> Option<u16> {
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten()
}

/// User and password, as far as there are any, and what is behind them.
fn credentials(authority: &str) -> Option<(Option<String>, Option<Secret>, &str)> {
    let Some((credentials, hosts)) = authority.rsplit_once('@') else {
        return Some((None, None, authority));
    };
    let decode = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let (user, password) = credentials.split_once(':')?;
    let user = if user.is_empty() { None } else { Some(decode(user)?) };
    Some((user, Some(Secret::new(decode(password)?)), hosts))
}

fn addresses(hosts: &str, port: u16) -> Option<Vec<RedisAddress>> {
    hosts.split(',').map(|host| address(host, port)).collect()
}

fn address(text: &str, port: u16) -> Option<RedisAddress> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => rest.is_empty().then_some(port)?,
    };
    (!host.is_empty() && host.bytes().all(known)).then(|| RedisAddress { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> Option<String> {
        let RedisSettings { place, user, password, database, tls, .. } = parse(url)?;
        let show = |at: &RedisAddress| format!("{}:{}", at.host, at.port);
        let all = |of: &[RedisAddress]| of.iter().map(show).collect::<Vec<_>>().join(",");
        let place = match place {
            RedisPlace::Single(address) => show(&address),
            RedisPlace::Socket(path) => path.display().to_string(),
            RedisPlace::Sentinel { sentinels, service } => format!("{service} by {}", all(&sentinels)),
            RedisPlace::Cluster(nodes) => format!("all of {}", all(&nodes)),
        };
        let password = password.map(|secret| secret.expose().to_owned());
        let who = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
        Some(format!("{who}@{place}/{database}{}", if tls { " tls" } else { "" }))
    }

    #[test]
    fn a_url_says_where_and_who() {
        for (url, said) in [
            ("redis://127.0.0.1", ":@127.0.0.1:6379/0"),
            ("redis://redis.example:7000/3", ":@redis.example:7000/3"),
            ("rediss://[::1]:6380/", ":@::1:6380/0 tls"),
            ("redis://:hunter2@a", ":hunter2@a:6379/0"),
            ("redis://jane:a%40b%2fc@a/2", "jane:a@b/c@a:6379/2"),
            ("redis://jane:a@b@c", "jane:a@b@c:6379/0"),
            ("redis+unix:///run/redis.sock?db=4", ":@/run/redis.sock/4"),
            ("redis-sentinel://a,b:1/main", ":@main by a:26379,b:1/0"),
            ("rediss-sentinel://u:p@a,[::1]/main?db=5", "u:p@main by a:26379,::1:26379/5 tls"),
            ("redis-cluster://a,b:7001", ":@all of a:6379,b:7001/0"),
            ("rediss-cluster://:p@a/", ":p@all of a:6379/0 tls"),
        ] {
            assert_eq!(shown(url).as_deref(), Some(said), "{url}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        for url in [
            "",
            "redis",
            "redis:127.0.0.1",
            "http://127.0.0.1",
            "redis://",
            "redis:///1",
            "redis://a:0",
            "redis://a:70000",
            "redis://a:b:1",
            "redis://a/x",
            "redis://a/1/2",
            "redis://a/+1",
            "redis://a/1?db=1",
            "redis://a?database=1",
            "redis://a b",
            "redis://jane@a",
            "redis://[::1",
            "redis://[hunter]",
            "redis://a,b",
            "redis+unix://",
            "redis+unix://host/path",
            "rediss+unix:///path",
            "redis-sentinel://a,b",
            "redis-sentinel://a,,b/main",
            "redis-sentinel://a/main/0",
            "redis-cluster://a,b/1",
            "redis-cluster://a?db=1",
            "redis-ring://a",
        ] {
            assert_eq!(shown(url), None, "{url}");
        }
    }

    #[test]
    fn passwords_do_not_show() {
        let settings = parse("redis://jane:hunter2@a").unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
