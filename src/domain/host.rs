//! Hosts and origins: who a request says it is for, and where a site lives.

use std::fmt;

/// `http` or `https`, as the visitor's browser sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL of this scheme does not name.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Reads `http` or `https` in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
    }
}

/// A host name or address with an optional port: the value of a `Host` field (RFC 9110 §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host` or `host:port`. The host is a name of letters, digits, `-`, `_` and `.`, or
    /// an address, IPv6 in brackets; it is lower-cased. User information, an empty host, a
    /// trailing dot and everything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (&text[..address.len() + 2], after)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => Some(parse_port(digits)?),
            None if port.is_empty() => None,
            None => return None,
        };
        (host.starts_with('[') || is_host_name(host)).then(|| Self { host: host.to_ascii_lowercase(), port })
    }

    /// The lower-case host, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was named.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|port| *port != 0)
}

fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(label)
}

/// Scheme, host and port under which a browser reaches a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The origin of `authority` over `scheme`; the scheme's default port is left out.
    pub fn new(scheme: Scheme, authority: &Authority) -> Self {
        let port = authority.port.filter(|port| *port != scheme.default_port());
        Self { scheme, host: authority.host.clone(), port }
    }

    /// Reads `scheme://host[:port]` with nothing behind it but perhaps one `/`.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority = Authority::parse(rest.strip_suffix('/').unwrap_or(rest))?;
        Some(Self::new(Scheme::parse(scheme)?, &authority))
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The lower-case host, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, whether it is the default one or not.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// `host` or `host:port`, as a `Host` field names it.
    pub fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// One entry of a site's `hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: whatever host no other site claims.
    Any,
    /// `*.example.com`: one label before the given suffix, which starts with a dot.
    OneLevel(String),
    /// Exactly this host.
    Exact(String),
}

impl HostPattern {
    /// Reads a host name or address, `*.name`, or `*`. A port is refused.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let (name, one_level) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        let authority = Authority::parse(name).filter(|authority| authority.port.is_none())?;
        Some(if one_level {
            Self::OneLevel(format!(".{}", authority.host))
        } else {
            Self::Exact(authority.host)
        })
    }

    /// Whether this pattern names `host` (lower-case). [`HostPattern::Any`] names every host.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneLevel(suffix) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            Self::Exact(name) => name == host,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::OneLevel(suffix) => write!(f, "*{suffix}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_strictly() {
        for (text, host, port) in [
            ("Example.COM", "example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]:8443", "[::1]", Some(8443)),
            ("[::1]", "[::1]", None),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
            ("my_host", "my_host", None),
        ] {
            let authority = Authority::parse(text).expect(text);
            assert_eq!((authority.host(), authority.port()), (host, port), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:+80",
            "a:80:80",
            "user@a",
            "a/b",
            "a b",
            "a.",
            ".a",
            "a..b",
            "[::1",
            "::1",
            "[::1]x",
            "[x]",
            "a\\b",
            "a?b",
            "a#b",
            "bücher.example",
            "a:8 0",
            "[1.2.3.4]",
            "a%2eb",
        ] {
            assert!(Authority::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn an_origin_leaves_its_default_port_out() {
        assert_eq!(Origin::parse("https://A.example:443/").unwrap().to_string(), "https://a.example");
        assert_eq!(Origin::parse("http://a.example:443").unwrap().to_string(), "http://a.example:443");
        for text in ["ftp://a", "https://", "https://a/b", "a.example", "https://u@a", "https://a?x"] {
            assert!(Origin::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let pattern = HostPattern::parse("*.Example.com").unwrap();
        assert!(pattern.matches("a.example.com"));
        for host in
            ["example.com", "a.b.example.com", ".example.com", "aexample.com", "a.example.com.evil.org"]
        {
            assert!(!pattern.matches(host), "{host}");
        }
        for text in ["*.", "**", "a.*.com", "example.com:80", "*.*.com", "http://a", ""] {
            assert!(HostPattern::parse(text).is_none(), "{text:?}");
        }
    }
}
