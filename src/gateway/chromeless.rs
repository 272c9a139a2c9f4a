//! `?chromeless=1`: a visitor who wants the site's pages without its own head and foot around them, as
//! within a frame. It is remembered until `?chromeless=0`, and the upstream is told with each request.
//!
//! The parameter stays in the URL: links can be shared as they are, and nothing has to be redirected.

use http::header::SET_COOKIE;
use http::{HeaderValue, Response};

use super::visit::Visit;
use crate::http::{caching, cookies};

const ON: &str = "chromeless=1";
const OFF: &str = "chromeless=0";

/// What a query says of it; of several the last counts.
fn asked(query: &str) -> Option<bool> {
    if !query.contains("chromeless=") {
        return None;
    }
    let says = |parameter: &str| match parameter {
        ON => Some(true),
        OFF => Some(false),
        _ => None,
    };
    query.split('&').rev().find_map(says)
}

/// Whether the visitor wants it.
pub(super) fn is_on(visit: &Visit<'_>) -> bool {
    visit.clean_query().and_then(asked).unwrap_or(visit.presented.cookies.chromeless)
}

/// Has the browser remember what the URL says, if that is new. Answers that may be different for it name
/// the reason, so that no cache shows them to others.
pub(super) fn remember<B>(visit: &Visit<'_>, response: &mut Response<B>) {
    let asked = visit.clean_query().and_then(asked);
    let known = visit.presented.cookies.chromeless;
    if asked.unwrap_or(known) {
        caching::depends_on_cookie(response.headers_mut());
    }
    if let Some(wanted) = asked.filter(|wanted| *wanted != known) {
        response.headers_mut().append(SET_COOKIE, cookie(visit, wanted));
    }
}

/// `Set-Cookie` that remembers it, or forgets it.
pub(super) fn cookie(visit: &Visit<'_>, is_on: bool) -> HeaderValue {
    let cookie = &visit.front.site.cookie;
    cookies::set_chromeless(visit.cookie_names, cookie, visit.origin.scheme(), is_on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_in_a_query_counts() {
        for (query, says) in [
            ("chromeless=1", Some(true)),
            ("a=b&chromeless=0&c", Some(false)),
            ("chromeless=0&chromeless=1", Some(true)),
            ("chromeless=1&chromeless=x", Some(true)),
            ("chromeless", None),
            ("chromeless=", None),
            ("chromeless=10", None),
            ("xchromeless=1", None),
            ("a=chromeless=1", None),
            ("", None),
        ] {
            assert_eq!(asked(query), says, "{query}");
        }
    }
}
