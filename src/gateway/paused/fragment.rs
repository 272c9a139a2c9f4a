//! The fragment of a URL (`#section`): browsers never send it, and lose it on the way over a login page
//! that has a form. Where a site wants it kept, a small page keeps it in a cookie.
//!
//! The cookie says for which URL it is, by a tag that only this browser and this server can make: what
//! others plant is not used. It is the visitor's own text all the same, and hostile.

use std::fmt::Write as _;

use http::header::LOCATION;
use http::{Method, StatusCode};
use percent_encoding::percent_decode;

use super::super::Gateway;
use super::super::visit::Visit;
use crate::domain::host::Scheme;
use crate::domain::paused::BrowserTag;
use crate::http::{Response, reply};
use crate::pages::Page;

/// The longest fragment that is kept, in bytes.
const LONGEST: usize = 2048;

impl Gateway {
    /// Lets a page carry out the redirect to the login page, where a fragment has to be kept until the
    /// visitor is back.
    pub(in super::super) fn keeping_fragment(
        &self,
        redirect: Response,
        method: &Method,
        visit: &Visit<'_>,
    ) -> Response {
        let site = &visit.front.site;
        let location = redirect.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        // Nobody reads a page that is the answer to HEAD, and a POST has no fragment to come back to.
        let (Some(login_url), Some(own_page), true) = (
            location,
            visit.clean_url().own_page(visit.origin),
            site.keep_fragment && *method == Method::GET && redirect.status() == StatusCode::FOUND,
        ) else {
            return redirect;
        };
        let tag =
            visit.browser_or_new(self.shared.sso.entropy()).fragment_tag(&site.name, &own_page).expose();
        let page = Page::KeepFragment {
            login_url,
            cookie: visit.cookie_names.fragment(),
            tag: &tag,
            secure: visit.origin.scheme() == Scheme::Https,
        };
        let answer = reply::page(page.status(), page.render(None), page.content_security_policy());
        let mut answer = reply::challenging(answer);
        let (page, mut said) = (answer.headers_mut(), redirect.headers().clone());
        said.remove(LOCATION);
        for name in page.keys() {
            said.remove(name);
        }
        page.extend(said);
        answer
    }
}

/// The fragment in a cookie's value, if it comes with `tag`; fit to be one (RFC 3986 §3.5).
pub(super) fn read(value: &[u8], tag: &BrowserTag) -> Option<String> {
    let dot = memchr::memchr(b'.', value)?;
    let (of, encoded) = value.split_at(dot);
    if value.len() > 3 * LONGEST || !tag.is(of) {
        return None;
    }
    let fragment: Vec<u8> = percent_decode(encoded.get(1..)?).collect();
    let is_whole = !fragment.is_empty() && fragment.len() <= LONGEST && fragment.is_ascii();
    is_whole.then(|| fit(&fragment)).filter(|fragment| fragment.len() <= LONGEST)
}

/// Encodes what may not stand in a fragment, though browsers let it.
fn fit(fragment: &[u8]) -> String {
    let mut fit = String::with_capacity(fragment.len());
    for (index, byte) in fragment.iter().enumerate() {
        let is_escape = || {
            let digits = fragment.get(index + 1..index + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        let may_stand = match byte {
            b'%' => is_escape(),
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte),
        };
        if may_stand {
            fit.push(char::from(*byte));
        } else {
            let _infallible = write!(fit, "%{byte:02X}");
        }
    }
    fit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::site::SiteName;
    use crate::domain::state::BrowserKey;

    fn tag(page: &str) -> BrowserTag {
        let browser = BrowserKey::mint(&SeededEntropy::new(1));
        browser.fragment_tag(&SiteName::parse("a").unwrap(), page)
    }

    #[test]
    fn a_fragment_comes_back_as_it_was_or_encoded() {
        let own = tag("https://a.example/x");
        for (cookie, fragment) in [
            ("section-2", "section-2"),
            ("%2Froute%3Fa%3Db%26c", "/route?a=b&c"),
            ("caf%25C3%25A9", "caf%C3%A9"),
            ("100%25", "100%25"),
            ("a%5B1%5D%7Cb", "a%5B1%5D%7Cb"),
            ("x%0D%0ASet-Cookie%3A%20a%3Db", "x%0D%0ASet-Cookie:%20a=b"),
            ("%22%3E%3Cscript%3E", "%22%3E%3Cscript%3E"),
            ("a%23b", "a%23b"),
        ] {
            let value = format!("{}.{cookie}", own.expose());
            assert_eq!(read(value.as_bytes(), &own).as_deref(), Some(fragment), "{cookie}");
        }
    }

    #[test]
    fn what_is_another_pages_or_nobodys_is_not_used() {
        let own = tag("https://a.example/x");
        let other = tag("https://a.example/y").expose();
        let long = format!("{}.{}", own.expose(), "a".repeat(LONGEST + 1));
        let empty = format!("{}.", own.expose());
        let foreign = format!("{}.caf%C3%A9", own.expose());
        for value in ["", ".x", "x", &format!("{other}.x"), &long, &empty, &foreign, &own.expose()] {
            assert_eq!(read(value.as_bytes(), &own), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_only_what_may_stand_in_a_fragment_goes(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
            let own = tag("https://a.example/x");
            let value = [own.expose().as_bytes(), b".", &noise].concat();
            if let Some(fragment) = read(&value, &own) {
                let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
                prop_assert!(fragment.bytes().all(stands), "{}", fragment);
            }
        }
    }
}
