//! Whose page made a browser send a request: what `Origin` (RFC 6454 §7) and `Sec-Fetch-Site` (Fetch Metadata
//! §2.4) say of it. What follows from that is decided by whoever asks.
//!
//! Pages cannot set either field, and a browser sends each once. So two lines of one are nobody's word: they
//! count as said, and never for the request.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, ORIGIN};

use super::lines::{Several, only};
use super::navigation::is_navigation;
use crate::domain::host::Origin;

/// `Sec-Fetch-Site`.
pub static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What `Origin` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// Nothing: there is no such field.
    Nothing,
    /// The origin that is asked.
    Own,
    /// Anything else, `null` as well.
    Other(&'a HeaderValue),
    /// There are several.
    Several,
}

impl<'a> Named<'a> {
    /// Reads `headers` of a request to `own`.
    pub fn of(headers: &'a HeaderMap, own: &Origin) -> Self {
        let is_own = |said: &HeaderValue| said.to_str().ok().and_then(Origin::parse).as_ref() == Some(own);
        match only(headers, ORIGIN) {
            Ok(None) => Self::Nothing,
            Ok(Some(said)) if is_own(said) => Self::Own,
            Ok(Some(said)) => Self::Other(said),
            Err(Several) => Self::Several,
        }
    }
}

/// What `Sec-Fetch-Site` says. Old browsers send none, nor do others over plain http.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchSite {
    /// Nothing: there is no such field.
    Nothing,
    /// A page of the very origin.
    SameOrigin,
    /// The person, by the address bar or a bookmark: `none`.
    Person,
    /// A page of a sibling host, or of another port.
    SameSite,
    /// A page of another site.
    CrossSite,
    /// Nothing that is known: another word, or several.
    Unclear,
}

impl FetchSite {
    /// Reads `headers`.
    pub fn of(headers: &HeaderMap) -> Self {
        match only(headers, &SEC_FETCH_SITE) {
            Ok(None) => Self::Nothing,
            Ok(Some(said)) => {
                let said = said.as_bytes().trim_ascii();
                let is = |word: &str| said.eq_ignore_ascii_case(word.as_bytes());
                if is("same-origin") {
                    Self::SameOrigin
                } else if is("none") {
                    Self::Person
                } else if is("same-site") {
                    Self::SameSite
                } else if is("cross-site") {
                    Self::CrossSite
                } else {
                    Self::Unclear
                }
            }
            Err(Several) => Self::Unclear,
        }
    }
}

/// Whether a browser says that a page of `own` itself sent this. What cannot be told is a no: neither field,
/// `null`, or two that contradict each other.
pub fn is_own_page(headers: &HeaderMap, own: &Origin) -> bool {
    let (named, said) = (Named::of(headers, own), FetchSite::of(headers));
    match named {
        Named::Own => matches!(said, FetchSite::SameOrigin | FetchSite::Nothing),
        Named::Nothing => said == FetchSite::SameOrigin,
        Named::Other(_) | Named::Several => false,
    }
}

/// Whether a browser says that this site itself, or the person, made it send this request.
pub fn began_here(headers: &HeaderMap) -> bool {
    matches!(FetchSite::of(headers), FetchSite::SameOrigin | FetchSite::Person)
}

/// Whether a browser says that another origin made it send this request, other than by a person
/// going to a page. A sibling host is another origin: it may be anybody's.
pub fn is_foreign_subrequest(headers: &HeaderMap) -> bool {
    let is_foreign = match FetchSite::of(headers) {
        FetchSite::Nothing | FetchSite::SameOrigin | FetchSite::Person => false,
        FetchSite::SameSite | FetchSite::CrossSite | FetchSite::Unclear => true,
    };
    is_foreign && !is_navigation(headers)
}

/// Whether a browser says that another site's page asks for this as a part of itself, such as a script
/// or an image: what needs nobody's leave and is seen by nobody but that page.
pub fn is_part_of_another_site(headers: &HeaderMap) -> bool {
    let is_part = |mode: &HeaderValue| mode.as_bytes().trim_ascii().eq_ignore_ascii_case(b"no-cors");
    matches!(FetchSite::of(headers), FetchSite::CrossSite | FetchSite::Unclear)
        && headers.get(&SEC_FETCH_MODE).is_some_and(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://site.example";

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn an_origin_is_compared_as_an_origin() {
        let own = Origin::parse(OWN).unwrap();
        for (lines, is_own) in [
            (&[OWN] as &[&'static str], true),
            (&["https://site.example:443"], true),
            (&["HTTPS://Site.Example"], true),
            (&["http://site.example"], false),
            (&["https://site.example:444"], false),
            (&["https://site.example.evil"], false),
            (&["https://a.site.example"], false),
            (&["https://site.example/a"], false),
            (&["https://evil.example@site.example"], false),
            (&["https://site.example https://evil.example"], false),
            (&["null"], false),
            (&[""], false),
            (&[OWN, OWN], false),
            (&[OWN, "https://evil.example"], false),
        ] {
            let headers: HeaderMap =
                lines.iter().map(|line| (ORIGIN, HeaderValue::from_static(line))).collect();
            let named = Named::of(&headers, &own);
            assert_eq!(named == Named::Own, is_own, "{lines:?}");
            assert_eq!(named == Named::Several, lines.len() > 1, "{lines:?}");
        }
        assert_eq!(Named::of(&HeaderMap::new(), &own), Named::Nothing);
    }

    #[test]
    fn two_words_are_none() {
        for (lines, said) in [
            (&[] as &[&'static str], FetchSite::Nothing),
            (&["same-origin"], FetchSite::SameOrigin),
            (&["none"], FetchSite::Person),
            (&["cross-site"], FetchSite::CrossSite),
            (&["same-site"], FetchSite::SameSite),
            (&[""], FetchSite::Unclear),
            (&["same-origin, cross-site"], FetchSite::Unclear),
            (&["same-origin", "cross-site"], FetchSite::Unclear),
            (&["same-origin", "same-origin"], FetchSite::Unclear),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| ("sec-fetch-site", *line)).collect();
            assert_eq!(FetchSite::of(&head(&fields)), said, "{lines:?}");
        }
    }

    #[test]
    fn only_the_sites_own_pages_are_its_own_pages() {
        let origin = Origin::parse(OWN).unwrap();
        let own = ("origin", OWN);
        for yes in [
            &[own] as &[(&'static str, &'static str)],
            &[own, ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin")],
        ] {
            assert!(is_own_page(&head(yes), &origin), "{yes:?}");
        }
        for no in [
            &[] as &[(&'static str, &'static str)],
            &[("origin", "null")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("origin", "http://site.example")],
            &[("origin", "https://a.site.example"), ("sec-fetch-site", "same-site")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[own, ("sec-fetch-site", "cross-site")],
            &[own, ("sec-fetch-site", "same-site")],
            &[own, ("sec-fetch-site", "none")],
            &[own, ("sec-fetch-site", "")],
            &[own, own],
            &[own, ("origin", "https://evil.example")],
            &[own, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("referer", "https://site.example/")],
        ] {
            assert!(!is_own_page(&head(no), &origin), "{no:?}");
        }
    }
}
