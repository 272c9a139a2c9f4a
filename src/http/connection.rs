//! Header fields that concern one connection only (RFC 9110 §7.6.1).

use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

/// Fields that concern one connection even where `Connection` does not name them.
const ALWAYS: [HeaderName; 8] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
];

/// The fields of one message that concern one connection only.
pub struct HopByHop(Vec<HeaderName>);

impl HopByHop {
    /// Reads which fields `Connection` names.
    pub fn of(headers: &HeaderMap) -> Self {
        Self(if headers.contains_key(CONNECTION) { nominated(headers) } else { Vec::new() })
    }

    /// Whether a field goes no further.
    pub fn covers(&self, name: &HeaderName) -> bool {
        ALWAYS.contains(name) || self.0.contains(name)
    }
}

/// Removes what concerns one connection only: the fields that `Connection` names, and those that
/// are always of this kind.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let HopByHop(nominated) = HopByHop::of(headers);
    for name in ALWAYS.into_iter().chain(nominated) {
        headers.remove(name);
    }
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let options =
        headers.get_all(CONNECTION).into_iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
    options.filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok()).collect()
}

/// Whether a request asks to change the protocol on its connection.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// Whether a request gives its length in two ways, which is how requests are smuggled (RFC 9112
/// §6.1): by `Transfer-Encoding` and `Content-Length`, or by several lengths.
pub fn has_doubtful_length(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).into_iter().count();
    lengths > 1 || lengths == 1 && headers.contains_key(TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

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
