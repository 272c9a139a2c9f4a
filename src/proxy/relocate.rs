//! Answers that speak of addresses under which the upstream knows itself: the fields that browsers
//! follow, and cookies. Bodies are passed on as they are.

use http::HeaderMap;
use http::header::{CONTENT_LOCATION, HeaderValue, LOCATION, REFRESH, SET_COOKIE};

use super::forward::Forwarding;
use crate::domain::relocation::Whereabouts;

/// Has the answer to `forwarding` with these `headers` speak of the site as its visitors know it.
pub(super) fn relocate(headers: &mut HeaderMap, forwarding: &Forwarding<'_>) {
    let whereabouts = || Whereabouts {
        home: forwarding.origin,
        given: forwarding.site.preserve_host.then(|| forwarding.host.to_str().ok()).flatten(),
    };
    let known = &forwarding.site.rewrite;
    for (name, value) in headers.iter_mut() {
        let instead = if *name == LOCATION || *name == CONTENT_LOCATION {
            known.target(value.as_bytes(), whereabouts())
        } else if *name == SET_COOKIE {
            known.cookie(value.as_bytes(), whereabouts())
        } else if *name == REFRESH {
            let (before, url, after) = refresh(value.as_bytes());
            known.target(url, whereabouts()).map(|target| [before, &target, after].concat())
        } else {
            continue;
        };
        // What stood in a header and an origin is fit for a header: this does not fail, and if it did,
        // the answer would stay as it is.
        if let Some(instead) =
            instead.and_then(|bytes| HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).ok())
        {
            *value = instead;
        }
    }
}

/// What stands before the URL in `Refresh`, the URL, and what stands behind it: as browsers read it
/// (HTML, "shared declarative refresh steps").
fn refresh(value: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let Some(at) = value.iter().position(|byte| matches!(byte, b';' | b',')) else {
        return (value, b"", b"");
    };
    let rest = value.get(at + 1..).unwrap_or_default().trim_ascii_start();
    let named = || {
        let (name, rest) = rest.split_at_checked(3)?;
        let rest = rest.trim_ascii_start().strip_prefix(b"=")?;
        name.eq_ignore_ascii_case(b"url").then(|| rest.trim_ascii_start())
    };
    let rest = named().unwrap_or(rest);
    let quote = rest.first().filter(|byte| matches!(byte, b'"' | b'\''));
    let url = if quote.is_some() { rest.get(1..).unwrap_or_default() } else { rest };
    let end = quote.and_then(|quote| url.iter().position(|byte| byte == quote)).unwrap_or(url.len());
    let (url, after) = url.split_at_checked(end).unwrap_or((url, b""));
    let before = value.len() - url.len() - after.len();
    (value.get(..before).unwrap_or_default(), url, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_refresh_is_found_as_browsers_find_it() {
        for (value, url) in [
            ("5; url=http://a/", "http://a/"),
            ("0;URL=http://a/?x=1;y", "http://a/?x=1;y"),
            ("0.5 , Url = 'http://a/' x", "http://a/"),
            ("1; url=\"http://a/", "http://a/"),
            ("1; http://a/", "http://a/"),
            ("1; url", "url"),
            ("1;url=", ""),
            ("1;", ""),
            ("1", ""),
            ("", ""),
        ] {
            let (before, found, after) = refresh(value.as_bytes());
            assert_eq!(found, url.as_bytes(), "{value}");
            assert_eq!([before, found, after].concat(), value.as_bytes(), "{value}");
        }
    }
}
