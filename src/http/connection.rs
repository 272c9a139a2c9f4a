//! Header fields that concern one connection only (RFC 9110 §7.6.1).

use http::header::{
    CONNECTION, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, Method};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The fields of one message that concern one connection only.
#[derive(Default)]
pub struct HopByHop(Vec<HeaderName>);

impl HopByHop {
    /// Reads which fields `Connection` names.
    pub fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(CONNECTION).into_iter();
        Self(lines.filter(|line| !is_plain(line)).flat_map(nominated).collect())
    }

    /// Whether a field goes no further.
    pub fn covers(&self, name: &HeaderName) -> bool {
        is_hop_by_hop(name) || self.0.contains(name)
    }
}

/// Whether fields called `name` concern one connection even where `Connection` does not name them.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    // One by one: what is asked of each field of each message is compared with constants.
    *name == CONNECTION
        || *name == TE
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == HTTP2_SETTINGS
}

/// Removes what concerns one connection only: the fields that `Connection` names, and those that
/// are always of this kind.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let hop_by_hop = HopByHop::of(headers);
    let covered: Vec<HeaderName> = headers.keys().filter(|name| hop_by_hop.covers(name)).cloned().collect();
    for name in covered {
        headers.remove(name);
    }
}

/// What most `Connection` lines say; neither names a field.
fn is_plain(line: &HeaderValue) -> bool {
    [&b"keep-alive"[..], b"close"].iter().any(|plain| line.as_bytes().eq_ignore_ascii_case(plain))
}

/// What a line of `Connection` names.
pub fn nominated(line: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let options = line.as_bytes().split(|b| *b == b',');
    options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
}

/// Whether requests with `method` are forwarded: not those that make a tunnel or echo secrets, and
/// none with a small letter, as `post` for `POST` or `move` for `MOVE`. Methods are case-sensitive (RFC
/// 9110 §9.1) and all that are registered are in capitals, but not every upstream knows, and the rules
/// would have judged another method.
pub fn forwards(method: &Method) -> bool {
    let name = method.as_str();
    !matches!(*method, Method::CONNECT | Method::TRACE) && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Whether a line of `Transfer-Encoding` names `chunked` and nothing else.
pub fn is_chunked(line: &HeaderValue) -> bool {
    line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_in_another_case_is_not_forwarded() {
        let forwards = |name: &str| forwards(&Method::from_bytes(name.as_bytes()).unwrap());
        for name in ["GET", "DELETE", "PROPFIND", "VERSION-CONTROL", "X-Y", "!"] {
            assert!(forwards(name), "{name}");
        }
        for name in ["get", "Post", "CONNECT", "TRACE", "trace", "pATCH", "propfind", "MOVe", "X-y"] {
            assert!(!forwards(name), "{name}");
        }
    }

    #[test]
    fn what_concerns_one_connection_goes_and_the_rest_stays() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Secret"),
            ("connection", " x-other ,,\"bad\""),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic eA=="),
            ("cookie", "a=b"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        remove_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["cookie"]);
    }
}
