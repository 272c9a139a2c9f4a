//! What keeps other sites' pages out, which an operator's browser has open beside this one.
//!
//! Such a page can have the browser send requests to a listener on loopback. So:
//!
//! - **It must not pass for us.** A name of its own may lead to this machine all of a sudden (DNS rebinding),
//!   and then its page is of one origin with what answers. Only hosts that cannot be anybody's are answered.
//! - **It must not act in the operator's name.** The cookie stays away from other *sites*' requests, but another
//!   port of this machine is the same site to a browser. So what changes something has to come from a page of
//!   this very origin, by the browser's word, and besides with a token that only those pages have.
//! - **It must not see anything**: frames, windows, scripts and images of this are refused to it.

use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY};
use http::{Method, StatusCode};

use super::Scene;
use super::answer::Trouble;
use crate::domain::host::{Authority, Origin};
use crate::http::client::Client;
use crate::http::initiator::is_own_page;
use crate::http::lines::only;
use crate::http::{Request, Response, reply};

/// What a page may load and do: nothing but what is served here.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What the page's own script says of itself: a page that is looked after does not keep its operator signed in.
pub(super) const GLANCE: HeaderName = HeaderName::from_static("x-admin-glance");

/// The origin that the client asked, if it is one of ours.
pub(super) fn origin(headers: &HeaderMap, client: &Client, scene: &Scene) -> Option<Origin> {
    let host = only(headers, HOST).ok()??.to_str().ok()?;
    let authority = Authority::parse(host)?;
    is_ours(authority.host(), scene).then(|| Origin::new(client.scheme, &authority))
}

impl Scene {
    /// Whether a page that reads what is open to everybody on the control listener can be nobody else's: it
    /// would pass for us under a name of its own. Programs may ask without any.
    pub fn is_asked_by_its_own_name(&self, headers: &HeaderMap) -> bool {
        let ours = |host: &HeaderValue| {
            host.to_str().ok().and_then(Authority::parse).is_some_and(|own| is_ours(own.host(), self))
        };
        headers.get_all(HOST).iter().all(ours)
    }
}

/// Whether nobody else can have a page at `host`: an address is what it is, `localhost` is this machine
/// to every browser, and the other names are the operator's word.
fn is_ours(host: &str, scene: &Scene) -> bool {
    let shown = scene.control_certificates.as_ref().map(|shown| shown.current());
    let certified = || shown.iter().flat_map(|all| all.iter()).flat_map(|one| &one.names);
    is_address(host)
        || host == "localhost"
        || scene.hosts.iter().chain(certified()).any(|own| own.matches(host))
}

fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<std::net::IpAddr>().is_ok()
}

/// Whether requests with this method may change something.
pub(super) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Refuses other methods than to look.
pub(super) fn only_looks(request: &Request) -> Result<(), Trouble> {
    if changes(request.method()) { Err(Trouble::Method("GET, HEAD")) } else { Ok(()) }
}

/// Whether it is a form that comes, and not a request to look.
pub(super) fn is_posted(request: &Request) -> Result<bool, Trouble> {
    match *request.method() {
        Method::POST => Ok(true),
        Method::GET | Method::HEAD => Ok(false),
        _ => Err(Trouble::Method("GET, HEAD, POST")),
    }
}

/// Refuses what does not come from a page of this very `origin`. Browsers have said where it comes from for
/// years: who says nothing is refused.
pub(super) fn check_page(headers: &HeaderMap, origin: &Origin) -> Result<(), Trouble> {
    if is_own_page(headers, origin) { Ok(()) } else { Err(Trouble::Foreign) }
}

/// What every answer says to browsers.
pub(super) fn dress(response: Response) -> Response {
    let mut response = reply::under_policy(response, POLICY);
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // With `no-referrer` browsers say `null` where a form comes from. Nobody else learns anything by this.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A page of this status.
pub(super) fn page(status: StatusCode, html: String) -> Response {
    let mut response = reply::with_body(status, "text/html", html);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_nobodys_name() {
        for address in ["127.0.0.1", "[::1]", "192.0.2.7", "0.0.0.0"] {
            assert!(is_address(address), "{address}");
        }
        for name in ["127.0.0.1.evil.example", "127.1", "0x7f.1", "localhost.evil.example", "2130706433", "a"]
        {
            assert!(!is_address(name), "{name}");
        }
    }
}
