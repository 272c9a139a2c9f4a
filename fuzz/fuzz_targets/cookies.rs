//! The gateway's cookies stay hidden both ways, and nobody else's is touched.
#![no_main]

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use libfuzzer_sys::fuzz_target;
use tollgate::config::{SameSite, SiteCookie};
use tollgate::domain::host::Scheme;
use tollgate::http::cookies::{CookieNames, GatewayCookies, refuse_foreign, visible};

fuzz_target!(|lines: Vec<&[u8]>| {
    let site = SiteCookie { name: "tollgate".to_owned(), same_site: SameSite::Lax };
    for scheme in [Scheme::Http, Scheme::Https] {
        let names = CookieNames::new(&site, scheme);
        let mut headers = HeaderMap::new();
        for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
            headers.append(COOKIE, value.clone());
            headers.append(SET_COOKIE, value);
        }

        let before = crumbs(&headers);
        let read = GatewayCookies::read(&headers, &names);
        assert_eq!(read.any, before.iter().any(|crumb| is_ours(crumb)));
        let left: Vec<HeaderValue> =
            headers.get_all(COOKIE).iter().filter_map(|line| visible(line, &names)).collect();
        headers.remove(COOKIE);
        for line in left {
            headers.append(COOKIE, line);
        }
        let kept: Vec<Vec<u8>> = before.iter().filter(|crumb| !is_ours(crumb)).cloned().collect();
        assert_eq!(crumbs(&headers), kept);
        assert!(!GatewayCookies::read(&headers, &names).any);

        let mut sent: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        refuse_foreign(&mut headers, &names);
        for value in headers.get_all(SET_COOKIE) {
            assert!(!is_ours(&returned(value)), "{value:?} sets a cookie of ours");
            let at = sent.iter().position(|own| own == value).expect("it was sent");
            sent.drain(..=at)
                .for_each(|skipped| assert!(skipped == *value || mentions_us(&skipped), "{skipped:?}"));
        }
        sent.iter().for_each(|refused| assert!(mentions_us(refused), "{refused:?} is nothing to us"));
    }
});

/// What a browser sends back of a `Set-Cookie` value: a cookie without a name is its value alone.
fn returned(set_cookie: &HeaderValue) -> Vec<u8> {
    let pair = set_cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    pair.strip_prefix(b"=").unwrap_or(pair).trim_ascii().to_vec()
}

fn mentions_us(value: &HeaderValue) -> bool {
    value.as_bytes().to_ascii_lowercase().windows(8).any(|window| window == b"tollgate")
}

/// Every cookie that is something, in order.
fn crumbs(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let lines = headers.get_all(COOKIE).iter();
    let crumbs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    crumbs.map(|crumb| crumb.trim_ascii().to_vec()).filter(|crumb| !crumb.is_empty()).collect()
}

fn is_ours(crumb: &[u8]) -> bool {
    let name = crumb.split(|byte| *byte == b'=').next().unwrap_or_default();
    let name = name.trim_ascii().to_ascii_lowercase();
    let name = name.strip_prefix(b"__host-").unwrap_or(&name);
    name.strip_prefix(b"tollgate").is_some_and(|suffix| suffix.is_empty() || suffix == b"_state")
}
