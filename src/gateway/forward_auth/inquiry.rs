//! Which request a proxy asks about.
//!
//! It is told in headers, and headers are what clients write. So whatever decides is told once and in
//! one dialect: a client that adds a line of its own, or the headers of another dialect, gets nothing
//! for it. A target is taken as it is written or not at all, since the proxy will carry it as it is
//! written.

use http::header::{HOST, HeaderName, UPGRADE};
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::PATH;
use crate::config::Site;
use crate::gateway::paused::X_TOLLGATE_PARK;
use crate::http::Request;
use crate::http::body::Incoming;
use crate::http::client::names_client;
use crate::http::code::Code;
use crate::http::forged::is_attempt;
use crate::http::forwarded::X_FORWARDED_HOST;
use crate::http::lines::{Several, only};
use crate::http::websocket::{WEBSOCKET, is_about_websocket};

static X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
static X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");

/// Why a question gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::gateway) enum Unanswerable {
    #[error("only a proxy among trusted_proxies may ask about requests")]
    Stranger,
    #[error("the proxy does not say for whom it asks: it has to send X-Forwarded-For, or Forwarded")]
    NoClient,
    #[error(
        "the target has to be told once and in one way: X-Forwarded-Uri, X-Original-URI, or behind this path"
    )]
    Target,
    #[error("the method has to be told once: X-Forwarded-Method, or X-Original-Method beside X-Original-URI")]
    Method,
    #[error("X-Forwarded-Host has to be told once, and to name the same site as Host if that names one")]
    Host,
    #[error("the proxy has to send this path to the gateway itself, and not to ask about it")]
    OwnPath,
    #[error("the client sent a header that only the gateway may send, or that leads the site astray")]
    Forged,
    #[error("the client asks for another protocol, in which nobody would judge requests")]
    Tunnel,
}

impl Unanswerable {
    /// The stable code.
    pub(in crate::gateway) const fn code(self) -> Code {
        match self {
            Self::Stranger => Code::UntrustedProxy,
            Self::NoClient | Self::Target | Self::Method | Self::Host => Code::UnclearInquiry,
            Self::OwnPath => Code::OwnPath,
            Self::Forged => Code::ForgedHeader,
            Self::Tunnel => Code::UnknownUpgrade,
        }
    }
}

/// What the proxy makes of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It knows 2xx, 401 and 403, and nothing of the answer reaches the visitor: nginx.
    Status,
    /// It hands the visitor whatever is not 2xx: Caddy, Traefik.
    HandsOn,
    /// The same, and it can be told which of the client's headers are to go: Envoy.
    Removes,
}

/// A request that is asked about, as the client sent it to the proxy.
pub(super) struct Inquiry {
    pub(super) meant: Request,
    pub(super) manner: Manner,
}

impl Inquiry {
    /// Reads what is asked by a proxy that is trusted.
    pub(super) fn of(question: &Request) -> Result<Self, Unanswerable> {
        let headers = question.headers();
        if !names_client(headers) {
            return Err(Unanswerable::NoClient);
        }
        // An empty line says nothing.
        let told = |name: &HeaderName, fault| {
            let line = only(headers, name).map_err(|Several| fault)?;
            Ok(line.filter(|line| !line.is_empty()))
        };
        let forwarded = told(&X_FORWARDED_URI, Unanswerable::Target)?;
        let original = told(&X_ORIGINAL_URI, Unanswerable::Target)?;
        let behind = question.uri().path_and_query().and_then(|own| own.as_str().strip_prefix(PATH));
        // A query alone is one that came along: the target's is told where the target is.
        let behind = behind.filter(|rest| rest.starts_with('/'));
        let by_header = |name| told(name, Unanswerable::Method)?.ok_or(Unanswerable::Method);
        let (manner, target, method) = match (forwarded, original, behind) {
            (Some(target), None, None) => {
                (Manner::HandsOn, target.as_bytes(), by_header(&X_FORWARDED_METHOD)?.as_bytes())
            }
            (None, Some(target), None) => {
                (Manner::Status, target.as_bytes(), by_header(&X_ORIGINAL_METHOD)?.as_bytes())
            }
            (None, None, Some(target)) => {
                (Manner::Removes, target.as_bytes(), question.method().as_str().as_bytes())
            }
            _ => return Err(Unanswerable::Target),
        };
        let target = verbatim(target).ok_or(Unanswerable::Target)?;
        let method = Method::from_bytes(method).map_err(|_| Unanswerable::Method)?;
        // Envoy keeps the Host, and says nothing else of it.
        let host = match manner {
            Manner::Status | Manner::HandsOn => told(&X_FORWARDED_HOST, Unanswerable::Host)?.cloned(),
            Manner::Removes => None,
        };
        let mut meant = Request::new(Incoming::None);
        (*meant.method_mut(), *meant.uri_mut()) = (method, Uri::from(target));
        *meant.version_mut() = question.version();
        *meant.headers_mut() = headers.clone();
        if let Some(host) = host {
            meant.headers_mut().insert(HOST, host);
        }
        Ok(Self { meant, manner })
    }

    /// Refuses what the gateway would take away if it carried the request itself, and the proxy may
    /// leave as it is.
    pub(super) fn inspect(&mut self, site: &Site) -> Result<(), Unanswerable> {
        let headers = self.meant.headers_mut();
        // By one name alone a page of the site speaks to the gateway, here in vain: bodies stay with the proxy.
        if headers.keys().any(|name| *name != X_TOLLGATE_PARK && is_attempt(name, site)) {
            return Err(Unanswerable::Forged);
        }
        let mut upgrades = headers.get_all(UPGRADE).into_iter();
        if upgrades.any(|named| !named.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes())) {
            return Err(Unanswerable::Tunnel);
        }
        // Some proxies take `Upgrade` for their own affair and do not tell of it.
        if is_about_websocket(headers) {
            headers.insert(UPGRADE, WEBSOCKET);
        }
        Ok(())
    }

    /// Whether a WebSocket is asked for.
    pub(super) fn wants_websocket(&self) -> bool {
        self.meant.headers().contains_key(UPGRADE)
    }
}

/// A target in origin-form (RFC 9112 §3.2.1), if this is one down to the last byte: no whole URL, no
/// fragment, which would be lost, and nothing that a request line cannot have.
fn verbatim(text: &[u8]) -> Option<PathAndQuery> {
    let is_plain = text.starts_with(b"/") && text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    let target = PathAndQuery::try_from(text).ok().filter(|_| is_plain)?;
    (target.as_str().as_bytes() == text).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, method: &str, lines: &[(&'static str, &str)]) -> Result<String, Unanswerable> {
        let mut request = http::Request::builder()
            .uri(uri)
            .method(method)
            .header("host", "site.test")
            .header("x-forwarded-for", "192.0.2.1");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let Inquiry { meant, manner } = Inquiry::of(&request.body(Incoming::None).unwrap())?;
        let host = meant.headers()["host"].to_str().unwrap();
        Ok(format!("{manner:?} {} {host} {}", meant.method(), meant.uri()))
    }

    #[test]
    fn what_is_told_once_is_what_is_meant() {
        for (uri, method, lines, expected) in [
            (
                "/.tollgate/auth",
                "GET",
                &[
                    ("x-forwarded-uri", "/a?b=%2e"),
                    ("x-forwarded-method", "PUT"),
                    ("x-forwarded-host", "b.test"),
                ][..],
                "HandsOn PUT b.test /a?b=%2e",
            ),
            (
                "/.tollgate/auth?c=d",
                "GET",
                &[("x-original-uri", "//a//"), ("x-original-method", "GET")],
                "Status GET site.test //a//",
            ),
            ("/.tollgate/auth/a?b", "POST", &[("x-forwarded-host", "b.test")], "Removes POST site.test /a?b"),
            ("/.tollgate/auth/", "GET", &[], "Removes GET site.test /"),
        ] {
            assert_eq!(asked(uri, method, lines).as_deref(), Ok(expected), "{uri} {lines:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        use Unanswerable::{Host, Method, Target};
        let method = ("x-forwarded-method", "GET");
        for (uri, lines, fault) in [
            ("/.tollgate/auth", &[][..], Target),
            ("/.tollgate/auth?/a", &[], Target),
            ("/.tollgate/auth", &[("x-forwarded-uri", ""), method], Target),
            ("/.tollgate/auth", &[("x-forwarded-uri", "/a"), ("x-forwarded-uri", "/a"), method], Target),
            ("/.tollgate/auth", &[("x-forwarded-uri", "/a"), ("x-original-uri", "/a"), method], Target),
            ("/.tollgate/auth/a", &[("x-forwarded-uri", "/a"), method], Target),
            ("/.tollgate/auth/a", &[("x-original-uri", "/a"), method], Target),
            ("/.tollgate/auth", &[("x-original-url", "http://site.test/a"), method], Target),
            ("/.tollgate/auth", &[("x-forwarded-uri", "/a")], Method),
            ("/.tollgate/auth", &[("x-forwarded-uri", "/a"), ("x-original-method", "GET")], Method),
            ("/.tollgate/auth", &[("x-original-uri", "/a"), method], Method),
            ("/.tollgate/auth", &[("x-forwarded-uri", "/a"), method, ("x-forwarded-method", "PUT")], Method),
            ("/.tollgate/auth", &[("x-forwarded-uri", "/a"), ("x-forwarded-method", "GET, PUT")], Method),
            (
                "/.tollgate/auth",
                &[("x-forwarded-uri", "/a"), method, ("x-forwarded-host", "a"), ("x-forwarded-host", "a")],
                Host,
            ),
        ] {
            assert_eq!(asked(uri, "GET", lines), Err(fault), "{uri} {lines:?}");
        }
    }

    #[test]
    fn a_target_is_a_path_as_it_stands_in_a_request_line() {
        for text in ["/", "//", "/a?b?c", "/a%2fb", "/a;b=c/d'(e)", "/?", "//host/a"] {
            assert!(verbatim(text.as_bytes()).is_some_and(|target| target.as_str() == text), "{text}");
        }
        for text in [
            "",
            "*",
            "a",
            "?a",
            "http://site.test/a",
            "/a#b",
            "/a?b#c",
            "/a b",
            "/a\tb",
            "/a\u{e4}",
            "/a\x7f",
            "/a\0",
        ] {
            assert_eq!(verbatim(text.as_bytes()), None, "{text:?}");
        }
    }
}
