//! Nobody is sent off the site.

use proptest::prelude::*;
use tollgate::domain::host::{HostPattern, Origin};
use tollgate::domain::return_to::ReturnTo;
use url::Url;

use crate::hostile_text;

fn origin() -> Origin {
    Origin::parse("https://site.example").unwrap()
}

fn hosts() -> Vec<HostPattern> {
    ["site.example", "*.pages.example"].iter().map(|host| HostPattern::parse(host).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_comes_in_a_browser_stays_on_the_site(input in hostile_text(12)) {
        let target = ReturnTo::parse(&input, &origin(), &hosts());
        // As a browser reads a Location, from any page of the site.
        for page in ["https://site.example/", "https://site.example/a/b?c#d"] {
            let reached = Url::parse(page).unwrap().join(target.as_str()).unwrap();
            let host = reached.host_str().unwrap();
            prop_assert!(host == "site.example" || hosts().iter().any(|own| own.matches(host)), "{input:?} → {reached}");
            prop_assert_eq!(reached.scheme(), "https");
            prop_assert_eq!(reached.port(), None);
            prop_assert!(reached.username().is_empty() && reached.password().is_none());
        }
        prop_assert!(target.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
        prop_assert!(Url::parse(&target.absolute(&origin())).is_ok());
    }

    #[test]
    fn a_proven_target_is_proven_again_unchanged(input in hostile_text(12)) {
        let once = ReturnTo::parse(&input, &origin(), &hosts());
        let twice = ReturnTo::parse(once.as_str(), &origin(), &hosts());
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_host_of_any_name_vouches_for_the_one_that_was_asked_alone(input in hostile_text(12)) {
        let target = ReturnTo::parse(&input, &origin(), &[HostPattern::Any]);
        let reached = Url::parse("https://site.example/").unwrap().join(target.as_str()).unwrap();
        prop_assert_eq!(reached.host_str(), Some("site.example"));
    }
}
