//! Where a visitor is sent after login or logout: only ever to the site itself.

use std::fmt;

use super::host::{HostPattern, Origin};
use super::path::RequestPath;
use super::query::join;

/// A redirect target that is proven to lie on the site: an absolute path, or an absolute URL on
/// one of the site's hosts. There is no other way to make one than [`ReturnTo::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

/// The page of the gateway that hands a token to the frame in which a login began.
const HANDOVER: &str = "/.tollgate/embed";

/// What ends a value in a query, or means something in it (RFC 3986 §3.4 lets `/` stand).
const RESERVED: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'=')
    .add(b'?');

impl ReturnTo {
    /// How many bytes a target has at most: longer ones would not fit into a request line again, and are cut
    /// to `/`.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// The site's front page.
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// The URL of a request to the site itself, at `origin`: every byte as it came.
    pub fn own(path: &RequestPath<'_>, query: Option<&str>, origin: &Origin) -> Self {
        let target = join(path.as_str(), query);
        // `//x` would be another host.
        Self(if target.starts_with("//") { format!("{origin}{target}") } else { target })
    }

    /// Reads `input` as it came from a query, a form or the token API, for a site that answers at
    /// `origin` (of this request or `public_url`) and at `hosts`. Everything that is not a path
    /// on the site, or an absolute URL with the origin's scheme and port on one of the site's
    /// hosts, becomes `/`.
    ///
    /// A host of `*` stands for whatever host the visitor came to: it vouches for `origin`'s host
    /// alone.
    pub fn parse(input: &str, origin: &Origin, hosts: &[HostPattern]) -> Self {
        Self::proven(input, origin, hosts).unwrap_or_else(Self::home)
    }

    fn proven(input: &str, origin: &Origin, hosts: &[HostPattern]) -> Option<Self> {
        // Browsers drop tabs and newlines from URLs and read `\` as `/`: refuse them before any
        // other thought, together with the rest of what no URL contains.
        let suspicious = |c: char| c.is_control() || c.is_whitespace() && c != ' ';
        let before_query = input.split(['?', '#']).next().unwrap_or("");
        if input.len() > Self::MAX_BYTES
            || input.starts_with(' ')
            || input.contains(suspicious)
            || before_query.contains('\\')
        {
            return None;
        }
        if input.starts_with('/') {
            return local(input).map(Self);
        }
        let url = url::Url::parse(input).ok()?;
        let has_scheme =
            input.get(..url.scheme().len()).is_some_and(|s| s.eq_ignore_ascii_case(url.scheme()));
        // `https:evil` and `https:/evil` are absolute URLs to a browser; insist on the plain form.
        let plain = has_scheme && input.get(url.scheme().len()..)?.starts_with("://");
        let credentials =
            !url.username().is_empty() || url.password().is_some() || authority_of(input).contains('@');
        if !plain || credentials || url.scheme() != origin.scheme().as_str() {
            return None;
        }
        let host = url.host_str()?;
        let on_site = host == origin.host()
            || hosts.iter().any(|pattern| *pattern != HostPattern::Any && pattern.matches(host));
        if !on_site || url.port_or_known_default() != Some(origin.port()) {
            return None;
        }
        // The parser resolves dot segments; what was written is what is judged.
        let written = input.splitn(4, '/').nth(3).unwrap_or("");
        let path = local(&format!("/{written}"))?;
        if host == origin.host() {
            return Some(Self(path));
        }
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        Some(Self(format!("{}://{host}{port}{path}", url.scheme())))
    }

    /// Where a tab comes back to that was opened for a login within a frame, which goes on to `target`. The
    /// frame itself knows where; a long target is left out, since it has to find room in other URLs.
    pub fn handover(target: &Self) -> Self {
        let page = target.as_parameter_of(HANDOVER);
        Self(if page.len() > Self::MAX_BYTES / 2 { HANDOVER.to_owned() } else { page })
    }

    /// Whether this is such a place.
    pub fn is_handover(&self) -> bool {
        let behind_host = self.0.splitn(4, '/').nth(3).unwrap_or_default();
        let path = if self.0.starts_with('/') { self.0.get(1..).unwrap_or_default() } else { behind_host };
        path.split(['?', '#']).next() == HANDOVER.get(1..)
    }

    /// `path` with the target as its parameter `return_url`.
    pub fn as_parameter_of(&self, path: &str) -> String {
        format!("{path}?return_url={}", percent_encoding::utf8_percent_encode(&self.0, RESERVED))
    }

    /// The same page at `fragment`, which has to be what RFC 3986 §3.5 allows, unless it names a place on
    /// the page already.
    #[must_use]
    pub fn at_fragment(self, fragment: &str) -> Self {
        let is_fragment = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
        let may = !self.0.contains('#') && fragment.bytes().all(is_fragment);
        if may { Self(format!("{}#{fragment}", self.0)) } else { self }
    }

    /// The one spelling of the page's URL at `origin`, by which it is known again when it comes back from
    /// a login page; `None` if it is on another host. What a browser would encode is encoded, and there
    /// is no fragment.
    pub fn own_page(&self, origin: &Origin) -> Option<String> {
        let absolute = self.absolute(origin);
        let own = absolute.strip_prefix(&origin.to_string()).is_some_and(|rest| rest.starts_with('/'));
        let page = absolute.split('#').next().unwrap_or_default();
        own.then(|| percent_encoding::utf8_percent_encode(page, UNSAFE).to_string())
    }

    /// The target as a `Location` value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin of a target on another host than the one that was asked; `None` for a path.
    pub fn origin(&self) -> Option<Origin> {
        let (scheme, rest) = self.0.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        Origin::parse(&format!("{scheme}://{authority}"))
    }

    /// The target as an absolute URL, as a login page on another host needs it.
    pub fn absolute(&self, origin: &Origin) -> String {
        if self.0.starts_with('/') { format!("{origin}{}", self.0) } else { self.0.clone() }
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn authority_of(url: &str) -> &str {
    let after = url.split_once("://").map_or("", |(_, after)| after);
    after.split(['/', '?', '#']).next().unwrap_or("")
}

/// An absolute path with query and fragment that stays on the host that answers with it.
fn local(target: &str) -> Option<String> {
    // `//host` is a URL without a scheme.
    if target.starts_with("//") {
        return None;
    }
    let encoded = percent_encoding::utf8_percent_encode(target, UNSAFE).to_string();
    let path = encoded.split(['?', '#']).next().unwrap_or("");
    RequestPath::parse(path, true).ok()?;
    Some(encoded)
}

/// What may not stand in a URL as it is, so that a decoded target is encoded again.
const UNSAFE: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b'\\')
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'|')
    .add(b'^');

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &str) -> String {
        let origin = Origin::parse("https://site.example").unwrap();
        let hosts = ["site.example", "*.pages.example"].map(|h| HostPattern::parse(h).unwrap());
        ReturnTo::parse(input, &origin, &hosts).to_string()
    }

    #[test]
    fn a_target_on_the_site_is_kept() {
        for (input, target) in [
            ("/", "/"),
            ("/a/b?c=d&e=%20#f", "/a/b?c=d&e=%20#f"),
            ("/a b", "/a%20b"),
            ("/übersicht?q=ü", "/%C3%BCbersicht?q=%C3%BC"),
            ("/a?next=//evil.example/..", "/a?next=//evil.example/.."),
            ("/a//b", "/a//b"),
            ("/a?q=b\\c#\\", "/a?q=b%5Cc#%5C"),
            ("https://site.example", "/"),
            ("https://site.example/x?y#z", "/x?y#z"),
            ("HTTPS://SITE.example:443/x", "/x"),
            ("https://site.example?x=1", "/"),
            ("https://a.pages.example/x", "https://a.pages.example/x"),
        ] {
            assert_eq!(parse(input), target, "{input:?}");
        }
    }

    #[test]
    fn a_handover_is_known_again_with_what_it_goes_on_to() {
        let origin = Origin::parse("https://site.example").unwrap();
        let hosts = ["site.example", "*.pages.example"].map(|h| HostPattern::parse(h).unwrap());
        let parse = |input: &str| ReturnTo::parse(input, &origin, &hosts);
        let handover = ReturnTo::handover(&parse("/a?b=c&d=%20#e"));
        assert_eq!(handover.as_str(), "/.tollgate/embed?return_url=/a%3Fb%3Dc%26d%3D%2520%23e");
        assert!(handover.is_handover() && parse(&handover.absolute(&origin)).is_handover());
        assert_eq!(
            ReturnTo::handover(&parse(&format!("/{}", "a".repeat(5000)))).as_str(),
            "/.tollgate/embed"
        );
        for input in
            ["/.tollgate/embed", "/.tollgate/embed#a", "https://a.pages.example/.tollgate/embed?a=/b"]
        {
            assert!(parse(input).is_handover(), "{input}");
        }
        for input in
            ["/.tollgate/embedded", "/.tollgate/embed/x", "/a?x=/.tollgate/embed", "//.tollgate/embed"]
        {
            assert!(!parse(input).is_handover(), "{input}");
        }
    }

    #[test]
    fn a_page_is_known_again_when_it_comes_back() {
        let origin = Origin::parse("https://site.example").unwrap();
        let page = |target: &str| ReturnTo(target.to_owned()).own_page(&origin);
        for (went, came) in [
            ("/a?b=1", "/a?b=1#x"),
            ("/a|b?c={d}", "/a%7Cb?c=%7Bd%7D"),
            ("/a", "https://site.example/a"),
            ("https://site.example//a", "https://site.example//a"),
        ] {
            assert_eq!(page(went), page(came), "{went}");
            assert!(page(went).is_some());
        }
        for other in ["https://a.pages.example/x", "https://site.example.evil/", "https://site.example:1/"] {
            assert_eq!(page(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_fragment_can_become_one() {
        let at = |target: &str, fragment| ReturnTo(target.to_owned()).at_fragment(fragment).to_string();
        assert_eq!(at("/a?b", "c%20d/?"), "/a?b#c%20d/?");
        assert_eq!(at("/a#b", "c"), "/a#b");
        for evil in ["a#b", "a\r\nSet-Cookie: x=y", "a b", "a\"b", "<", "ä", "a\\b"] {
            assert_eq!(at("/a", evil), "/a", "{evil:?}");
        }
    }

    #[test]
    fn a_wildcard_host_vouches_only_for_the_host_that_was_asked() {
        let origin = Origin::parse("http://a.example:8080").unwrap();
        let parse = |input| ReturnTo::parse(input, &origin, &[HostPattern::Any]).to_string();
        assert_eq!(parse("http://a.example:8080/x"), "/x");
        assert_eq!(parse("http://evil.example:8080/x"), "/");
    }
}
