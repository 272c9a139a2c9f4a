//! Schemes that authenticate a connection, and with it every later request on it: NTLM, and Negotiate
//! (RFC 4559), which may be NTLM or Kerberos inside. A connection on which one of them was spoken of
//! belongs to whoever spoke.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};

/// Parts of such schemes' names, lower-case: there are `Negotiate`, `Nego2`, `NTLM` and `Kerberos`.
/// A scheme that is mistaken for one of them costs a connection and nothing else.
const PARTS: [&[u8]; 3] = [b"nego", b"ntlm", b"kerberos"];

/// By which some servers say whether a connection stays authenticated.
pub static PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");

/// Whether a request with these headers authenticates the connection on which it is sent.
pub fn is_asked(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).into_iter().any(|value| {
        let scheme = value.as_bytes().trim_ascii_start().split(u8::is_ascii_whitespace).next();
        scheme.is_some_and(names)
    })
}

/// Whether an answer with these headers says that its connection was, or is to be, authenticated.
pub fn is_spoken_of(headers: &HeaderMap) -> bool {
    let says = |(name, value): (&HeaderName, &HeaderValue)| {
        *name == WWW_AUTHENTICATE && names(value.as_bytes()) || *name == PERSISTENT_AUTH
    };
    headers.iter().any(says)
}

/// Takes away what of `headers` speaks of it: on a connection that is many visitors' there is nothing
/// to be authenticated.
pub fn remove(headers: &mut HeaderMap) {
    if is_asked(headers) {
        headers.remove(AUTHORIZATION);
    }
    if !is_spoken_of(headers) {
        return;
    }
    headers.remove(&PERSISTENT_AUTH);
    let challenges = headers.get_all(WWW_AUTHENTICATE).into_iter();
    let others: Vec<HeaderValue> = challenges.filter(|value| !names(value.as_bytes())).cloned().collect();
    headers.remove(WWW_AUTHENTICATE);
    for other in others {
        headers.append(WWW_AUTHENTICATE, other);
    }
}

/// Whether `text` has the name of such a scheme in it, wherever: there may be several challenges in a
/// line.
fn names(text: &[u8]) -> bool {
    PARTS.iter().any(|part| text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let name = HeaderName::from_static(name);
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_connection_is_authenticated_by_these_schemes_however_they_are_written() {
        for (values, is) in [
            (&["NTLM TlRMTVNTUAABAAAA"][..], true),
            (&["ntlm TlRM"], true),
            (&["NTLM"], true),
            (&["NEGOTIATE\tYII="], true),
            (&["  Negotiate YII="], true),
            (&["Nego2 x"], true),
            (&["Kerberos x"], true),
            (&["Basic eDp5", "Negotiate x"], true),
            (&["Basic bnRsbQ=="], false),
            (&["Bearer ntlm"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(is_asked(&headers("authorization", values)), is, "{values:?}");
        }
        for (values, is) in [
            (&["NTLM"][..], true),
            (&["ntlm TlRM"], true),
            (&["Basic realm=\"a, b\", Negotiate"], true),
            (&["Basic realm=\"a\"", "NTLM"], true),
            (&["Basic realm=\"a\""], false),
            (&["Bearer"], false),
        ] {
            assert_eq!(is_spoken_of(&headers("www-authenticate", values)), is, "{values:?}");
        }
        assert!(is_spoken_of(&headers("persistent-auth", &["true"])));
        assert!(!is_spoken_of(&headers("x-other", &["NTLM"])));
    }

    #[test]
    fn what_speaks_of_it_can_be_taken_away() {
        let mut map = headers("www-authenticate", &["Negotiate", "Basic realm=\"a\"", "NTLM x"]);
        map.extend(headers("persistent-auth", &["true"]));
        remove(&mut map);
        let left: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(left, [("www-authenticate", &b"Basic realm=\"a\""[..])]);
        let mut map = headers("authorization", &["Negotiate x"]);
        remove(&mut map);
        assert!(map.is_empty());
    }
}
