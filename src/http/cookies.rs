//! The gateway's own cookies: read here, hidden from the upstream, kept from being set by it.

use cookie::{Cookie, SameSite as CookieSameSite};
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};

use crate::config::{SameSite, SiteCookie};
use crate::domain::host::Scheme;
use crate::domain::opaque::SessionKey;
use crate::domain::state::BrowserKey;

const HOST_PREFIX: &str = "__Host-";
const STATE_SUFFIX: &str = "_state";
const PERSON_SUFFIX: &str = "_person";
const FRAGMENT_SUFFIX: &str = "_fragment";
const CHROMELESS_SUFFIX: &str = "_chromeless";

/// The cookie of an operator who has signed in to the admin page, which has a host of its own at best.
const OPERATOR: &str = "tollgate_admin";

/// What follows the site's own name in each cookie.
const SUFFIXES: [&str; 5] = ["", STATE_SUFFIX, PERSON_SUFFIX, FRAGMENT_SUFFIX, CHROMELESS_SUFFIX];

/// The names under which a site's cookies travel.
///
/// Over https they have the `__Host-` prefix, which keeps sibling hosts from planting them (RFC
/// 6265bis §4.1.3.2).
#[derive(Clone, Debug)]
pub struct CookieNames {
    session: String,
    state: String,
    person: String,
    fragment: String,
    chromeless: String,
    /// All spellings, lower-case: no browser but some servers compare without case.
    hidden: [String; 12],
}

impl CookieNames {
    /// The names for a site with `cookie` whose visitors come over `scheme`.
    pub fn new(cookie: &SiteCookie, scheme: Scheme) -> Self {
        let prefix = match scheme {
            Scheme::Http => "",
            Scheme::Https => HOST_PREFIX,
        };
        let name = &cookie.name;
        let hidden = ["", HOST_PREFIX].map(|prefix| SUFFIXES.map(|suffix| format!("{prefix}{name}{suffix}")));
        // Cookies know no ports: on one host with the admin page a site would be sent the operator's.
        let operator = [Scheme::Http, Scheme::Https].map(operator_cookie);
        let hidden = hidden.as_flattened().iter().chain(&operator).map(|name| name.to_ascii_lowercase());
        Self {
            session: format!("{prefix}{name}"),
            state: format!("{prefix}{name}{STATE_SUFFIX}"),
            chromeless: format!("{prefix}{name}{CHROMELESS_SUFFIX}"),
            person: format!("{prefix}{name}{PERSON_SUFFIX}"),
            fragment: format!("{prefix}{name}{FRAGMENT_SUFFIX}"),
            hidden: std::array::from_fn({
                let mut hidden = hidden;
                move |_| hidden.next().unwrap_or_default()
            }),
        }
    }

    /// The cookie by which a browser remembers who was signed in last.
    pub fn person(&self) -> &str {
        &self.person
    }

    /// The cookie in which a page's script keeps the fragment of its URL during a login.
    pub fn fragment(&self) -> &str {
        &self.fragment
    }

    fn hides(&self, name: &[u8]) -> bool {
        self.hidden.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    }
}

/// What a browser presents as its session.
#[derive(Debug)]
pub enum SessionCookie {
    /// Nothing, or nothing that could be a session's key.
    Nothing,
    /// One key.
    Key(SessionKey),
    /// Different values under one name: somebody planted one of them, and it cannot be told
    /// which. Those that could be keys.
    Ambiguous(Vec<SessionKey>),
}

/// The gateway's cookies in a request.
#[derive(Debug)]
pub struct GatewayCookies {
    /// The session.
    pub session: SessionCookie,
    /// The browser, for [`crate::domain::state`].
    pub browser: Option<BrowserKey>,
    /// Whether the visitor asked for pages without the site's own frame around them.
    pub chromeless: bool,
    /// Whether there is any that has to be hidden from the upstream.
    pub any: bool,
    /// Whether there are others.
    pub others: bool,
}

impl GatewayCookies {
    /// Reads them.
    pub fn read(headers: &HeaderMap, names: &CookieNames) -> Self {
        let (mut sessions, mut browsers): (Vec<&[u8]>, Vec<&[u8]>) = (Vec::new(), Vec::new());
        let (mut any, mut others, mut chromeless) = (false, false, false);
        for (name, value) in pairs(headers) {
            let hides = names.hides(name);
            any |= hides;
            others |= !hides;
            if name == names.session.as_bytes() {
                sessions.push(value);
            } else if name == names.state.as_bytes() {
                browsers.push(value);
            } else if name == names.chromeless.as_bytes() {
                chromeless = true;
            }
        }
        sessions.dedup();
        browsers.dedup();
        let session = match sessions.as_slice() {
            [] => SessionCookie::Nothing,
            [only] => SessionKey::parse(only).map_or(SessionCookie::Nothing, SessionCookie::Key),
            several => SessionCookie::Ambiguous(
                several.iter().filter_map(|value| SessionKey::parse(value)).collect(),
            ),
        };
        // A planted key would let whoever planted it end the login in this browser.
        let browser = match browsers.as_slice() {
            [only] => BrowserKey::parse(only),
            _ => None,
        };
        Self { session, browser, chromeless, any, others }
    }
}

/// The name of the cookie of an operator who comes over `scheme`.
pub fn operator_cookie(scheme: Scheme) -> String {
    match scheme {
        Scheme::Http => OPERATOR.to_owned(),
        Scheme::Https => format!("{HOST_PREFIX}{OPERATOR}"),
    }
}

/// The values of all cookies called `name`.
pub fn values_of<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(headers).filter(move |(own, _)| *own == name.as_bytes()).map(|(_, value)| value)
}

/// `Set-Cookie` for an operator, or, with an empty value, what makes the browser forget it. Where it has to be
/// for the whole host (`__Host-`) it is, and else for the admin page alone.
pub fn set_operator(scheme: Scheme, value: String) -> HeaderValue {
    let is_gone = value.is_empty();
    let name = operator_cookie(scheme);
    let mut cookie = built(&name, value, scheme, CookieSameSite::Strict);
    if scheme == Scheme::Http {
        cookie.set_path("/admin/");
    }
    if is_gone {
        cookie.make_removal();
    }
    value_of(&cookie)
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(COOKIE).into_iter().flat_map(|line| pairs_in(line.as_bytes()))
}

fn pairs_in(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|b| *b == b';').map(split_crumb)
}

/// The value of the cookie `name` in a `Cookie` header of these lines, if there is one such cookie.
pub fn only_value<'a>(lines: impl IntoIterator<Item = &'a [u8]>, name: &str) -> Option<&'a [u8]> {
    let all = lines.into_iter().flat_map(pairs_in);
    let mut values = all.filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether there is any cookie `name` in a `Cookie` header of these lines.
pub fn is_named<'a>(lines: impl IntoIterator<Item = &'a [u8]>, name: &str) -> bool {
    lines.into_iter().flat_map(pairs_in).any(|(own, _)| own == name.as_bytes())
}

fn split_crumb(crumb: &[u8]) -> (&[u8], &[u8]) {
    let crumb = crumb.trim_ascii();
    let equals = crumb.iter().position(|b| *b == b'=').unwrap_or(crumb.len());
    let (name, value) = crumb.split_at(equals);
    (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii())
}

/// A `Cookie` line as the upstream may see it: without the gateway's cookies, every other byte as
/// it is; `None` if nothing is left.
pub fn visible(line: &HeaderValue, names: &CookieNames) -> Option<HeaderValue> {
    let mut kept: Vec<u8> = Vec::new();
    let crumbs = line.as_bytes().split(|b| *b == b';');
    for crumb in crumbs.filter(|crumb| !names.hides(split_crumb(crumb).0)) {
        if !kept.is_empty() {
            kept.push(b';');
        }
        // The space before a cookie that has become the first goes with its predecessor.
        kept.extend_from_slice(if kept.is_empty() { crumb.trim_ascii_start() } else { crumb });
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(kept)).ok().filter(|line| !line.is_empty())
}

/// Takes attempts to set the gateway's cookies out of an upstream's response.
pub fn refuse_foreign(headers: &mut HeaderMap, names: &CookieNames) {
    let sets_ours = |value: &HeaderValue| {
        let pair = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        // `=name=value` is a nameless cookie that some browsers send back as `name=value`.
        let (name, value) = split_crumb(pair);
        let name = if name.is_empty() { split_crumb(value).0 } else { name };
        let unquoted = name.split(|byte| *byte == b'"').map(<[u8]>::trim_ascii).find(|part| !part.is_empty());
        names.hides(unquoted.unwrap_or_default())
    };
    if !headers.get_all(SET_COOKIE).into_iter().any(sets_ours) {
        return;
    }
    let kept: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).into_iter().filter(|v| !sets_ours(v)).cloned().collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

/// `Set-Cookie` for a new session. It lives as long as the browser: how long it is good is the
/// store's business.
pub fn set_session(
    names: &CookieNames,
    cookie: &SiteCookie,
    scheme: Scheme,
    key: &SessionKey,
) -> HeaderValue {
    let same_site = match cookie.same_site {
        SameSite::Lax => CookieSameSite::Lax,
        SameSite::Strict => CookieSameSite::Strict,
        SameSite::None => CookieSameSite::None,
    };
    let mut session = built(&names.session, key.expose(), scheme, same_site);
    if cookie.same_site == SameSite::None {
        session.set_partitioned(true);
    }
    value_of(&session)
}

/// `Set-Cookie` that makes the browser forget its session.
pub fn forget_session(names: &CookieNames, cookie: &SiteCookie, scheme: Scheme) -> HeaderValue {
    let mut session = built(&names.session, String::new(), scheme, CookieSameSite::Lax);
    session.make_removal();
    if cookie.same_site == SameSite::None {
        // A partitioned cookie is only overwritten by one of its own partition.
        session.set_same_site(CookieSameSite::None);
        session.set_partitioned(true);
    }
    value_of(&session)
}

/// `Set-Cookie` that takes away a session of the time before the site's cookies were partitioned.
/// Browsers would send it beside the new one, and nobody could tell which of them counts.
pub fn forget_unpartitioned_session(names: &CookieNames, scheme: Scheme) -> HeaderValue {
    let mut session = built(&names.session, String::new(), scheme, CookieSameSite::Lax);
    session.make_removal();
    value_of(&session)
}

/// `Set-Cookie` that gives a browser its key. It has to come along on the way back from the login
/// page.
pub fn set_browser(
    names: &CookieNames,
    cookie: &SiteCookie,
    scheme: Scheme,
    key: &BrowserKey,
) -> HeaderValue {
    value_of(&companion(&names.state, key.expose(), cookie, scheme))
}

/// `Set-Cookie` that remembers, or forgets, that the visitor wants chromeless pages.
pub fn set_chromeless(names: &CookieNames, cookie: &SiteCookie, scheme: Scheme, is_on: bool) -> HeaderValue {
    let mut chromeless = companion(&names.chromeless, "1".to_owned(), cookie, scheme);
    if !is_on {
        chromeless.make_removal();
    }
    value_of(&chromeless)
}

/// A cookie beside the session: `Lax` even where the session is `Strict`, and wherever the session
/// comes along in frames of other sites, it does too.
fn companion<'a>(name: &'a str, value: String, cookie: &SiteCookie, scheme: Scheme) -> Cookie<'a> {
    match cookie.same_site {
        SameSite::Lax | SameSite::Strict => built(name, value, scheme, CookieSameSite::Lax),
        SameSite::None => {
            let mut cookie = built(name, value, scheme, CookieSameSite::None);
            cookie.set_partitioned(true);
            cookie
        }
    }
}

/// `Set-Cookie` by which a browser remembers who was signed in last, as long as it runs.
pub fn set_person(names: &CookieNames, cookie: &SiteCookie, scheme: Scheme, tag: String) -> HeaderValue {
    value_of(&companion(&names.person, tag, cookie, scheme))
}

/// `Set-Cookie` that makes the browser forget who was signed in last.
pub fn forget_person(names: &CookieNames, cookie: &SiteCookie, scheme: Scheme) -> HeaderValue {
    let mut person = companion(&names.person, String::new(), cookie, scheme);
    person.make_removal();
    value_of(&person)
}

/// `Set-Cookie` that makes the browser forget a fragment.
pub fn forget_fragment(names: &CookieNames, scheme: Scheme) -> HeaderValue {
    let mut cookie = built(&names.fragment, String::new(), scheme, CookieSameSite::Lax);
    cookie.make_removal();
    value_of(&cookie)
}

fn built(name: &str, value: String, scheme: Scheme, same_site: CookieSameSite) -> Cookie<'_> {
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(scheme == Scheme::Https)
        .same_site(same_site)
        .build()
}

fn value_of(cookie: &Cookie<'_>) -> HeaderValue {
    // Names were checked by the configuration, values are base64url: this cannot fail, and an
    // empty Set-Cookie is one that browsers ignore.
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;

    fn names(scheme: Scheme) -> CookieNames {
        CookieNames::new(&cookie(SameSite::Lax), scheme)
    }

    fn cookie(same_site: SameSite) -> SiteCookie {
        SiteCookie { name: "tollgate".into(), same_site }
    }

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn an_operators_cookie_is_for_one_host_over_https_and_else_for_the_admin_page_alone() {
        let set = |scheme, value: &str| set_operator(scheme, value.to_owned()).to_str().unwrap().to_owned();
        assert_eq!(
            set(Scheme::Https, "a"),
            "__Host-tollgate_admin=a; HttpOnly; SameSite=Strict; Secure; Path=/"
        );
        assert_eq!(set(Scheme::Http, "a"), "tollgate_admin=a; HttpOnly; SameSite=Strict; Path=/admin/");
        for scheme in [Scheme::Http, Scheme::Https] {
            let gone = set(scheme, "");
            assert!(gone.contains("=; ") && gone.contains("Max-Age=0"), "{gone}");
        }
    }

    #[test]
    fn a_session_is_read_under_its_own_name_only() {
        let key = SessionKey::mint(&SeededEntropy::new(7)).expose();
        let other = SessionKey::mint(&SeededEntropy::new(8)).expose();
        let read =
            |text: &str, scheme| GatewayCookies::read(&headers(&[text.as_bytes()]), &names(scheme)).session;
        assert!(matches!(read(&format!("a=b; tollgate={key}"), Scheme::Http), SessionCookie::Key(_)));
        assert!(matches!(read(&format!("__Host-tollgate={key}"), Scheme::Https), SessionCookie::Key(_)));
        assert!(matches!(
            read(&format!("tollgate={key}; tollgate={key}"), Scheme::Http),
            SessionCookie::Key(_)
        ));
        assert!(matches!(
            read(&format!("tollgate={key}; tollgate={other}"), Scheme::Http),
            SessionCookie::Ambiguous(_)
        ));
        for text in
            [format!("tollgate={key}"), format!("__host-tollgate={key}"), format!("x__Host-tollgate={key}")]
        {
            assert!(matches!(read(&text, Scheme::Https), SessionCookie::Nothing), "{text}");
        }
        for text in ["tollgate=short", "tollgate", "=x", ";;;", "tollgate="] {
            assert!(matches!(read(text, Scheme::Http), SessionCookie::Nothing), "{text}");
        }
    }

    #[test]
    fn every_other_byte_of_a_cookie_line_stays() {
        for (before, after) in [
            (&b"a=b; c=\"d e\"; \xff=\xfe"[..], Some(&b"a=b; c=\"d e\"; \xff=\xfe"[..])),
            (b"tollgate=1", None),
            (b"tollgate=1; a=b;c=d ", Some(b"a=b;c=d ")),
            (b"a=b; TOLLGATE=1;  c=d", Some(b"a=b;  c=d")),
            (b"a=b; __Host-tollgate_state=2", Some(b"a=b")),
            (b"tollgatex=1; xtollgate=2", Some(b"tollgatex=1; xtollgate=2")),
        ] {
            let line = HeaderValue::from_bytes(before).unwrap();
            let left = visible(&line, &names(Scheme::Http));
            assert_eq!(
                left.as_ref().map(HeaderValue::as_bytes),
                after,
                "{:?}",
                String::from_utf8_lossy(before)
            );
        }
    }

    #[test]
    fn an_upstream_cannot_set_them() {
        let mut map = HeaderMap::new();
        for value in
            ["a=b; Path=/", "tollgate=evil", " __HOST-tollgate = evil; Path=/", "tollgate_state=evil"]
        {
            map.append(SET_COOKIE, value.parse().unwrap());
        }
        refuse_foreign(&mut map, &names(Scheme::Https));
        let left: Vec<_> = map.get_all(SET_COOKIE).into_iter().collect();
        assert_eq!(left, ["a=b; Path=/"]);
    }

    #[test]
    fn cookies_are_as_narrow_as_they_can_be() {
        let key = SessionKey::mint(&SeededEntropy::new(9));
        let set = |same_site, scheme| {
            let value = set_session(&names(scheme), &cookie(same_site), scheme, &key);
            value.to_str().unwrap().replace(&key.expose(), "KEY")
        };
        assert_eq!(set(SameSite::Lax, Scheme::Http), "tollgate=KEY; HttpOnly; SameSite=Lax; Path=/");
        assert_eq!(
            set(SameSite::Strict, Scheme::Https),
            "__Host-tollgate=KEY; HttpOnly; SameSite=Strict; Secure; Path=/"
        );
        assert_eq!(
            set(SameSite::None, Scheme::Https),
            "__Host-tollgate=KEY; HttpOnly; SameSite=None; Partitioned; Secure; Path=/"
        );
        let browser = BrowserKey::mint(&SeededEntropy::new(9));
        let set = |same_site, scheme| {
            let value = set_browser(&names(scheme), &cookie(same_site), scheme, &browser);
            value.to_str().unwrap().replace(&browser.expose(), "KEY")
        };
        let lax = "tollgate_state=KEY; HttpOnly; SameSite=Lax; Path=/";
        assert_eq!(set(SameSite::Strict, Scheme::Http), lax);
        assert_eq!(
            set(SameSite::None, Scheme::Https),
            "__Host-tollgate_state=KEY; HttpOnly; SameSite=None; Partitioned; Secure; Path=/"
        );
    }
}
