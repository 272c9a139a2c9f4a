//! The token leaves the query, and nothing else does.

use proptest::prelude::*;
use tollgate::domain::entropy::SeededEntropy;
use tollgate::domain::opaque::LoginToken;
use tollgate::domain::query::extract_token;

use crate::hostile_text;

fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_parameter_that_an_upstream_would_take_for_the_token_is_left(query in hostile_text(16)) {
        let rest = extract_token(&query, "sso").map_or(Some(query.clone()), |extracted| extracted.rest);
        prop_assert!(!pairs(&rest.unwrap_or_default()).iter().any(|(name, _)| name == "sso"), "{query:?}");
    }

    #[test]
    fn a_token_is_found_wherever_it_stands_and_every_other_byte_stays(
        before in hostile_text(6), after in hostile_text(6), seed: u64,
    ) {
        prop_assume!(!before.contains('#') && !after.contains('#'));
        prop_assume!(extract_token(&before, "sso").is_none() && extract_token(&after, "sso").is_none());
        let token = LoginToken::mint(&SeededEntropy::new(seed));
        let query = format!("{before}&sso={}&{after}", token.expose());
        let extracted = extract_token(&query, "sso").unwrap();
        prop_assert_eq!(extracted.token.map(|found| found.expose()), Some(token.expose()));
        prop_assert_eq!(extracted.rest.unwrap(), format!("{before}&{after}"));
    }
}
