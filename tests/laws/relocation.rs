//! Whatever an upstream says of its own address: what is made of it lies on the site.

use proptest::prelude::*;
use tollgate::domain::host::Origin;
use tollgate::domain::path::PathPrefix;
use tollgate::domain::relocation::{Move, Relocations, Whereabouts};
use url::Url;

use crate::hostile_text;

fn relocations() -> Relocations {
    let origin = |text| Origin::parse(text).unwrap();
    let prefix = |text| PathPrefix::parse(text).unwrap();
    let moved = |from: Option<&'static str>, path, to| Move {
        origin: from.map(origin),
        from: prefix(path),
        to: prefix(to),
    };
    Relocations::new(
        vec![origin("http://127.0.0.1"), origin("https://localhost:8443")],
        vec![
            moved(Some("https://evil.example"), "/", "/"),
            moved(None, "/admin", "/"),
            moved(None, "/x", "/public/"),
        ],
        vec![("evil.example".to_owned(), String::new())],
        vec![(prefix("/admin"), prefix("/"))],
    )
}

/// A reference that has a good chance of being one that is moved.
fn reference() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "",
        "/",
        "/admin",
        "/x",
        "//127.0.0.1",
        "http://127.0.0.1",
        "https://localhost:8443",
        "https://evil.example",
        "http://site.example",
    ]);
    (start, hostile_text(6)).prop_map(|(start, rest)| format!("{start}{rest}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn nobody_is_led_off_the_site_by_it(reference in reference()) {
        let home = Origin::parse("https://site.example").unwrap();
        let at = Whereabouts { home: &home, given: Some("site.example") };
        if let Some(target) = relocations().target(reference.as_bytes(), at) {
            let target = String::from_utf8(target).unwrap();
            let reached = Url::parse("https://site.example/a/").unwrap().join(&target).unwrap();
            prop_assert_eq!(reached.origin().ascii_serialization(), "https://site.example", "{} → {}", reference, target);
            prop_assert!(reached.username().is_empty() && reached.password().is_none());
            // What is fit for a header stays so.
            let is_fit = |text: &str| !text.contains(['\r', '\n', '\0']);
            prop_assert!(is_fit(&target) || !is_fit(&reference));
        }
    }

    #[test]
    fn a_cookie_keeps_its_name_and_its_value(name in "[!-:<-~]{0,6}", attributes in prop::collection::vec(
        prop::sample::select(vec![
            " Domain=127.0.0.1", "domain=.EVIL.example", " Path=/admin/x", " path = /admin", " Secure", "", "=", " Domain",
            " SameSite=None", " Domain=site.example",
        ]), 0..6)) {
        let home = Origin::parse("https://site.example").unwrap();
        let at = Whereabouts { home: &home, given: None };
        let line = [vec![name.as_str()], attributes.clone()].concat().join(";");
        let kept = relocations().cookie(line.as_bytes(), at).map(|kept| String::from_utf8(kept).unwrap());
        let kept = kept.unwrap_or(line);
        let mut parts = kept.split(';');
        prop_assert_eq!(parts.next(), Some(name.as_str()));
        // Of the attributes some are gone, and none are new.
        let of = |part: &&str| !part.trim().to_ascii_lowercase().starts_with(['d', 'p']);
        let others: Vec<&str> = attributes.iter().copied().filter(of).collect();
        prop_assert_eq!(parts.filter(of).collect::<Vec<_>>(), others);
    }
}
