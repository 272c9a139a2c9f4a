//! Where visitors find what an upstream speaks of under addresses of its own.
//!
//! Whatever comes out of here lies on the site: it begins with the site's origin, behind which there
//! is a slash, a question mark, or nothing.

use super::host::{Authority, Origin, Scheme};
use super::path::PathPrefix;

/// The addresses under which a site's upstreams know what they serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relocations {
    /// The upstreams' own origins.
    own: Vec<Origin>,
    /// What lies elsewhere besides, the longest prefix first.
    moves: Vec<Move>,
    /// Domains in cookies, lower-case, and what stands in their place; nothing if it is empty.
    cookie_domains: Vec<(String, String)>,
    /// Paths in cookies, the longest prefix first.
    cookie_paths: Vec<(PathPrefix, PathPrefix)>,
}

/// One entry of a site's `rewrite.location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where it lies for the upstream; `None` for wherever the upstream itself is.
    pub origin: Option<Origin>,
    /// Below which path there.
    pub from: PathPrefix,
    /// Below which path of the site visitors find it.
    pub to: PathPrefix,
}

/// Under which addresses one exchange took place.
#[derive(Clone, Copy, Debug)]
pub struct Whereabouts<'a> {
    /// Where the visitor finds the site.
    pub home: &'a Origin,
    /// The Host that the upstream was given, if it is not the upstream's own.
    pub given: Option<&'a str>,
}

impl Relocations {
    /// Those of a site whose upstreams are at `own`.
    pub fn new(
        own: Vec<Origin>,
        mut moves: Vec<Move>,
        cookie_domains: Vec<(String, String)>,
        mut cookie_paths: Vec<(PathPrefix, PathPrefix)>,
    ) -> Self {
        moves.sort_by_key(|one| std::cmp::Reverse((one.from.len(), one.origin.is_some())));
        cookie_paths.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Self { own, moves, cookie_domains, cookie_paths }
    }

    /// Where `reference`, a URL or a path in an upstream's answer, leads for visitors; `None` if it may
    /// stay as it is: because it is right, leads elsewhere, or is spelled in a way of which it is not
    /// clear where it leads (user information, backslashes).
    pub fn target(&self, reference: &[u8], at: Whereabouts<'_>) -> Option<Vec<u8>> {
        let (base, rest) = split(reference)?;
        let end = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(rest.len());
        let path = match rest.get(..end)? {
            [] => &b"/"[..],
            path => path,
        };
        let is_own = base.as_ref().is_some_and(|base| self.is_own(base, at));
        let on_site = base.as_ref().is_none_or(|base| is_own || base.is(at.home));
        let fits = |one: &&Move| {
            let lies_there = match (&one.origin, &base) {
                (None, _) => on_site,
                (Some(origin), Some(base)) => base.is(origin),
                (Some(_), None) => false,
            };
            lies_there && one.from.matches(path)
        };
        let (to, rest) = match self.moves.iter().find(fits) {
            Some(one) => (bare(&one.to), rest.get(one.from.len()..).unwrap_or_default()),
            None if is_own => ("", rest),
            None => return None,
        };
        let mut target = format!("{}{to}", at.home).into_bytes();
        if to.is_empty() && rest.first() != Some(&b'/') {
            target.push(b'/');
        }
        target.extend_from_slice(rest);
        Some(target)
    }

    /// Whether an upstream means itself by `base`: its own address, or what it was told is its Host
    /// under the scheme that it speaks.
    fn is_own(&self, base: &Base, at: Whereabouts<'_>) -> bool {
        let given = || at.given.and_then(Authority::parse);
        let is_given = |scheme| given().is_some_and(|given| base.is(&Origin::new(scheme, &given)));
        !base.is(at.home) && self.own.iter().any(|own| base.is(own) || is_given(own.scheme()))
    }

    /// What a line of `Set-Cookie` has to say for the cookie to belong to the site; `None` if it may
    /// stay as it is. Nothing but the values of `Domain` and `Path` is touched.
    pub fn cookie(&self, line: &[u8], at: Whereabouts<'_>) -> Option<Vec<u8>> {
        let mut attributes = line.split(|byte| *byte == b';');
        let mut kept = attributes.next()?.to_vec();
        let mut has_changed = false;
        for attribute in attributes {
            let equals = attribute.iter().position(|byte| *byte == b'=').unwrap_or(attribute.len());
            let (name, value) = attribute.split_at(equals);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let instead = match name.trim_ascii() {
                name if name.eq_ignore_ascii_case(b"domain") => self.cookie_domain(value, at),
                name if name.eq_ignore_ascii_case(b"path") => self.cookie_path(value),
                _ => None,
            };
            has_changed |= instead.is_some();
            match instead.as_deref() {
                None => kept.extend_from_slice(&[b";", attribute].concat()),
                Some([]) => {}
                Some(value) => kept.extend_from_slice(&[b";", name, b"=", value].concat()),
            }
        }
        has_changed.then_some(kept)
    }

    /// What stands in place of a cookie's domain; nothing for the site's host alone.
    fn cookie_domain(&self, domain: &[u8], at: Whereabouts<'_>) -> Option<Vec<u8>> {
        // RFC 6265 §5.2.3: a leading dot is no part of it, and neither is case.
        let domain = domain.strip_prefix(b".").unwrap_or(domain);
        let is = |host: &str| domain.eq_ignore_ascii_case(host.as_bytes());
        if let Some((_, instead)) = self.cookie_domains.iter().find(|(from, _)| is(from)) {
            return Some(instead.clone().into_bytes());
        }
        let is_given = || at.given.and_then(Authority::parse).is_some_and(|given| is(given.host()));
        let is_own = !is(at.home.host()) && (self.own.iter().any(|own| is(own.host())) || is_given());
        is_own.then(Vec::new)
    }

    fn cookie_path(&self, path: &[u8]) -> Option<Vec<u8>> {
        let (from, to) = self.cookie_paths.iter().find(|(from, _)| from.matches(path))?;
        let rest = path.get(from.len()..)?;
        let moved = [bare(to).as_bytes(), rest].concat();
        Some(if moved.is_empty() { b"/".to_vec() } else { moved })
    }
}

/// Scheme, host and port as a URL names them.
#[derive(Debug)]
struct Base {
    /// `None` for the scheme of the page itself.
    scheme: Option<Scheme>,
    authority: Authority,
}

impl Base {
    fn is(&self, origin: &Origin) -> bool {
        let scheme = self.scheme.unwrap_or(origin.scheme());
        Origin::new(scheme, &self.authority) == *origin
    }
}

/// Splits a reference behind its authority. `None` for what is neither an http URL nor a path from
/// the root.
fn split(reference: &[u8]) -> Option<(Option<Base>, &[u8])> {
    let (scheme, rest) = match reference.strip_prefix(b"//") {
        Some(rest) => (None, rest),
        None if reference.first() == Some(&b'/') => return Some((None, reference)),
        None => {
            let colon = reference.iter().position(|byte| *byte == b':')?;
            let (scheme, rest) = reference.split_at_checked(colon)?;
            (Some(Scheme::parse(std::str::from_utf8(scheme).ok()?)?), rest.strip_prefix(b"://")?)
        }
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    let authority = Authority::parse(std::str::from_utf8(authority).ok()?)?;
    Some((Some(Base { scheme, authority }), rest))
}

/// The path without its closing slash, so that another can be put behind it.
fn bare(path: &PathPrefix) -> &str {
    if path.is_empty() { "" } else { path.as_str() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    fn prefix(text: &str) -> PathPrefix {
        PathPrefix::parse(text).unwrap()
    }

    fn relocations() -> Relocations {
        let moved = |origin: Option<&str>, from: &str, to: &str| Move {
            origin: origin.map(|text| Origin::parse(text).unwrap()),
            from: prefix(from),
            to: prefix(to),
        };
        Relocations::new(
            vec![origin("http://10.0.0.7:9000"), origin("https://app.intern")],
            vec![
                moved(Some("http://old.intern:8080"), "/", "/rest"),
                moved(Some("http://old.intern:8080"), "/app/", "/"),
                moved(None, "/inner", "/"),
            ],
            vec![("old.intern".into(), String::new()), ("intern".into(), "example.com".into())],
            vec![(prefix("/app"), prefix("/")), (prefix("/app/deep"), prefix("/d"))],
        )
    }

    fn target(reference: &str, home: &str, given: Option<&str>) -> Option<String> {
        let home = origin(home);
        let target = relocations().target(reference.as_bytes(), Whereabouts { home: &home, given });
        target.map(|target| String::from_utf8(target).unwrap())
    }

    #[test]
    fn what_the_upstream_calls_its_own_lies_on_the_site() {
        for (reference, expected) in [
            ("http://10.0.0.7:9000/x?y#z", "https://site.example/x?y#z"),
            ("HTTP://10.0.0.7:9000", "https://site.example/"),
            ("http://10.0.0.7:9000?y", "https://site.example/?y"),
            ("http://10.0.0.7:9000//evil.example/", "https://site.example//evil.example/"),
            ("//10.0.0.7:9000/x", "https://site.example/x"),
            ("https://APP.intern:443/a%2f..", "https://site.example/a%2f.."),
            ("https://app.intern/caf\u{e9}", "https://site.example/caf\u{e9}"),
            // The Host that it was given, under the scheme that is spoken with it.
            ("http://site.example/x", "https://site.example/x"),
            // What is configured besides. The longest prefix wins.
            ("http://old.intern:8080/app/x?y", "https://site.example/x?y"),
            ("http://old.intern:8080/app", "https://site.example/"),
            ("http://old.intern:8080/app?y", "https://site.example/?y"),
            ("http://old.intern:8080/app//evil.example", "https://site.example//evil.example"),
            ("http://old.intern:8080/application", "https://site.example/rest/application"),
            ("http://old.intern:8080", "https://site.example/rest"),
            ("/inner/x", "https://site.example/x"),
            ("/inner//evil.example", "https://site.example//evil.example"),
            ("http://10.0.0.7:9000/inner/x", "https://site.example/x"),
            ("https://site.example/inner/x", "https://site.example/x"),
        ] {
            let found = target(reference, "https://site.example", Some("site.example"));
            assert_eq!(found.as_deref(), Some(expected), "{reference}");
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for reference in [
            "",
            "/",
            "/x?next=http://10.0.0.7:9000/",
            "x/y",
            "?x",
            "/innermost",
            "https://site.example/x",
            "//site.example/x",
            "http://10.0.0.7/x",
            "https://10.0.0.7:9000/x",
            "http://app.intern/x",
            "http://10.0.0.7:9000@evil.example/",
            "http://jane:pw@10.0.0.7:9000/",
            "http://10.0.0.7:9000\\@evil.example/",
            "http://10.0.0.7:9000.evil.example/",
            "http://10.0.0.7:90000/",
            "http:10.0.0.7:9000/x",
            "http:/10.0.0.7:9000/x",
            "http:\\\\10.0.0.7:9000/x",
            "/\\10.0.0.7:9000/x",
            " http://10.0.0.7:9000/x",
            "ftp://10.0.0.7:9000/x",
            "http://old.intern/app/x",
            "https://evil.example/http://10.0.0.7:9000/",
        ] {
            assert_eq!(target(reference, "https://site.example", Some("site.example")), None, "{reference}");
        }
        // Where the upstream is given its own Host, the visitor's under another scheme is not its own.
        assert_eq!(target("http://site.example/x", "https://site.example", None), None);
    }

    #[test]
    fn a_cookie_for_the_upstreams_host_becomes_one_for_the_sites() {
        let home = origin("https://app.example.com");
        for (line, expected) in [
            ("a=b; Domain=10.0.0.7; Path=/x; Secure", Some("a=b; Path=/x; Secure")),
            ("a=b;domain = .APP.intern;HttpOnly", Some("a=b;HttpOnly")),
            ("a=b; Domain=site.local", Some("a=b")),
            ("a=b; Domain=old.intern; Domain=app.intern", Some("a=b")),
            ("a=b; Domain=.intern; SameSite=Lax", Some("a=b; Domain=example.com; SameSite=Lax")),
            ("a=b; Path=/app", Some("a=b; Path=/")),
            ("a=b; path= /app/x ; Max-Age=1", Some("a=b; path=/x; Max-Age=1")),
            ("a=b; Path=/app/deep/x", Some("a=b; Path=/d/x")),
            ("Domain=app.intern; Path=/", None),
            ("a=b; Domain=app.example.com; Path=/", None),
            ("a=b; Domain=example.com", None),
            ("a=b; Domain=sub.app.intern", None),
            ("a=b; Domain=", None),
            ("a=b; Domain; Path; =", None),
            ("a=b; Path=/application", None),
            ("a=\"x; Domain=evil\"; Path=/", None),
            ("", None),
        ] {
            let whereabouts = Whereabouts { home: &home, given: Some("site.local:8080") };
            let cookie = relocations().cookie(line.as_bytes(), whereabouts);
            let cookie = cookie.map(|cookie| String::from_utf8(cookie).unwrap());
            assert_eq!(cookie.as_deref(), expected, "{line}");
        }
        // One that the site shares with its upstream stays whatever it is.
        let home = origin("https://app.intern");
        let at = Whereabouts { home: &home, given: None };
        assert_eq!(relocations().cookie(b"a=b; Domain=app.intern", at), None);
    }
}
