//! Whether a request is a person going to a page, who can be sent to a login page, or a program,
//! which has to be told.

use http::HeaderMap;
use http::header::{ACCEPT, HeaderName, UPGRADE};

static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Media types that a browser asks for when a person goes to a page.
const PAGE_TYPES: [&str; 3] = ["text/html", "application/xhtml+xml", "*/*"];

/// What a request opens in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A page that a person goes to.
    Page,
    /// A page within a frame of another one.
    Frame,
    /// Nothing: it is a program's.
    Nothing,
}

/// Whether a request with these headers is a navigation of a whole page.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    opening(headers) == Opening::Page
}

/// What a request with these headers opens. Old browsers send no `Sec-Fetch-*`, so that what is absent
/// never speaks against a page.
pub fn opening(headers: &HeaderMap) -> Opening {
    // One pass: this is asked of every request, and each look-up costs as much as a few fields.
    let mut accepts_pages = None;
    let mut is_framed = false;
    for (name, value) in headers {
        let value = value.as_bytes();
        let speaks_against = if *name == ACCEPT {
            let offers = value.split(|byte| *byte == b',').any(offers_page);
            accepts_pages = Some(accepts_pages.unwrap_or(false) || offers);
            false
        } else if *name == X_REQUESTED_WITH {
            is(value, "XMLHttpRequest")
        } else if *name == SEC_FETCH_MODE {
            !is(value, "navigate")
        } else if *name == SEC_FETCH_DEST {
            let frames = is(value, "iframe") || is(value, "frame");
            is_framed |= frames;
            !frames && !is(value, "document")
        } else {
            *name == UPGRADE
        };
        if speaks_against {
            return Opening::Nothing;
        }
    }
    match (accepts_pages, is_framed) {
        (Some(false), _) => Opening::Nothing,
        (_, true) => Opening::Frame,
        (_, false) => Opening::Page,
    }
}

/// Whether a browser is only looking ahead: the person may never come.
pub fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| {
        let looks_ahead = |value: &[u8]| {
            let value = value.to_ascii_lowercase();
            ["prefetch", "prerender", "preview"]
                .iter()
                .any(|word| value.windows(word.len()).any(|w| w == word.as_bytes()))
        };
        headers.get_all(*name).into_iter().any(|value| looks_ahead(value.as_bytes()))
    })
}

/// Whether an element of `Accept` offers a page: a weight of zero declines (RFC 9110 §12.4.2).
fn offers_page(element: &[u8]) -> bool {
    let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let Some(media_type) = parts.next() else {
        return false;
    };
    let declined = parts.any(|parameter| {
        let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
        weight.is_some_and(|weight| !weight.is_empty() && weight.iter().all(|b| matches!(b, b'0' | b'.')))
    });
    !declined && PAGE_TYPES.iter().any(|page_type| is(media_type, page_type))
}

fn is(value: &[u8], expected: &str) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let parse =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        pairs.iter().map(parse).collect()
    }

    #[test]
    fn people_navigate_and_programs_do_not() {
        for navigation in [
            &[] as &[(&'static str, &str)],
            &[("accept", "*/*")],
            &[("accept", "text/html,application/xhtml+xml;q=0.9")],
            &[("accept", "application/json, TEXT/HTML;q=0.1")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")],
            &[("x-requested-with", "com.example.browser")],
        ] {
            assert!(is_navigation(&headers(navigation)), "{navigation:?}");
        }
        for other in [
            &[("accept", "application/json")] as &[(&'static str, &str)],
            &[("accept", "")],
            &[("accept", "image/png, text/*")],
            &[("accept", "text/html;q=0")],
            &[("accept", "text/html; q=0.000, application/json")],
            &[("x-requested-with", "XMLHttpRequest"), ("accept", "text/html")],
            &[("sec-fetch-mode", "cors")],
            &[("sec-fetch-mode", "no-cors"), ("accept", "*/*")],
            &[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")],
            &[("sec-fetch-dest", "image")],
            &[("sec-fetch-mode", "")],
            &[("upgrade", "websocket"), ("connection", "Upgrade")],
        ] {
            assert!(!is_navigation(&headers(other)), "{other:?}");
        }
    }

    #[test]
    fn a_frame_is_opened_by_whoever_navigates_it() {
        for (frame, opens) in [
            (
                &[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")] as &[(&str, &str)],
                Opening::Frame,
            ),
            (&[("sec-fetch-dest", "frame"), ("accept", "text/html")], Opening::Frame),
            (&[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "cors")], Opening::Nothing),
            (&[("sec-fetch-dest", "iframe"), ("accept", "application/json")], Opening::Nothing),
            (&[("sec-fetch-dest", "iframe"), ("sec-fetch-dest", "image")], Opening::Nothing),
            (&[("sec-fetch-dest", "embed"), ("sec-fetch-mode", "navigate")], Opening::Nothing),
            (&[("sec-fetch-dest", "object"), ("sec-fetch-mode", "navigate")], Opening::Nothing),
        ] {
            let pairs: HeaderMap = frame
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
                })
                .collect();
            assert_eq!(opening(&pairs), opens, "{frame:?}");
        }
    }

    #[test]
    fn looking_ahead_is_recognised_in_every_dialect() {
        for ahead in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("purpose", "Preview"),
            ("x-moz", "prefetch"),
        ] {
            assert!(is_prefetch(&headers(&[ahead])), "{ahead:?}");
        }
        assert!(!is_prefetch(&headers(&[("sec-purpose", "x"), ("accept", "*/*")])));
    }
}
