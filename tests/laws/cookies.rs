//! The gateway's cookies are its own, and nobody else's are touched.

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use proptest::prelude::*;
use tollgate::config::{SameSite, SiteCookie};
use tollgate::domain::host::Scheme;
use tollgate::http::cookies::{CookieNames, GatewayCookies, refuse_foreign, visible};

fn names() -> CookieNames {
    CookieNames::new(&SiteCookie { name: "tollgate".into(), same_site: SameSite::Lax }, Scheme::Https)
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "tollgate",
            "__Host-tollgate",
            "__host-TOLLGATE",
            "tollgate_state",
            "=",
            ";",
            "; ",
            " ",
            "\t",
            ",",
            "\"",
            "a",
            "b=c",
            "$Version=1",
            "x",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7eu8, 0x80..=0xffu8], 0..4),
    ];
    prop::collection::vec(prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()), 0..4)
}

fn is_ours(crumb: &[u8]) -> bool {
    let name = crumb.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    [&b"tollgate"[..], b"__host-tollgate", b"tollgate_state", b"__host-tollgate_state"]
        .contains(&name.as_slice())
}

fn crumbs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_upstream_sees_all_cookies_but_ours(lines in lines()) {
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let _reads_without_panic = GatewayCookies::read(&headers, &names());
        let left: Vec<HeaderValue> =
            headers.get_all(COOKIE).iter().filter_map(|line| visible(line, &names())).collect();
        let seen: Vec<&[u8]> = left.iter().flat_map(|line| crumbs(line.as_bytes())).collect();
        prop_assert!(!seen.iter().any(|crumb| is_ours(crumb)));
        let expected: Vec<&[u8]> = lines.iter().flat_map(|line| crumbs(line)).filter(|crumb| !is_ours(crumb)).collect();
        let trimmed = |crumbs: &[&[u8]]| -> Vec<Vec<u8>> {
            crumbs.iter().map(|crumb| crumb.trim_ascii().to_vec()).filter(|crumb| !crumb.is_empty()).collect()
        };
        prop_assert_eq!(trimmed(&seen), trimmed(&expected));
    }

    #[test]
    fn the_upstream_sets_all_cookies_but_ours(lines in lines()) {
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append(SET_COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        refuse_foreign(&mut headers, &names());
        let set: Vec<&[u8]> = headers.get_all(SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
        // A nameless cookie is judged by what a browser may take for its name; quotes do not hide.
        let own = |line: &&Vec<u8>| {
            let pair = crumbs(line).next().unwrap_or_default().trim_ascii();
            let pair = pair.strip_prefix(b"=").map_or(pair, <[u8]>::trim_ascii);
            let unquoted = pair.strip_prefix(b"\"").unwrap_or(pair);
            let name = unquoted.split(|byte| *byte == b'=').next().unwrap_or_default();
            let mut parts = name.split(|byte| *byte == b'"').map(<[u8]>::trim_ascii);
            let name = parts.find(|part| !part.is_empty()).unwrap_or_default();
            is_ours(name.trim_ascii())
        };
        let expected: Vec<&[u8]> = lines.iter().filter(|line| !own(line)).map(Vec::as_slice).collect();
        prop_assert_eq!(set, expected);
    }
}
