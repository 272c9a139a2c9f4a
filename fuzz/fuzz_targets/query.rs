//! The token comes out of any query, and every other byte stays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::domain::signed_login::BroughtToken;
use tollgate::domain::query::extract_token;

const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fuzz_target!(|input: (&str, &str)| {
    let (query, name) = input;
    // A name of the kind that a configuration can have.
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let name = if plain { name } else { "sso" };
    let token = BroughtToken::parse(TOKEN).expect("a token").expose();
    let clean = extract_token(query, name).is_none();

    if let Some(found) = extract_token(query, name) {
        let rest = found.rest.unwrap_or_default();
        assert!(rest.len() < query.len().max(1), "{query:?} became {rest:?}");
    }
    for (with, rest) in [
        (format!("{query}&{name}={TOKEN}"), Some(query.to_owned())),
        (format!("{name}={TOKEN}&{query}"), Some(query.to_owned())),
    ] {
        let found = extract_token(&with, name).expect("it is there");
        if clean {
            assert_eq!(found.token.map(|found| found.expose()).as_ref(), Some(&token), "{with:?}");
            assert_eq!(found.rest, rest, "{with:?}");
        } else {
            assert!(!found.rest.unwrap_or_default().contains(&format!("&{name}={TOKEN}")), "{with:?}");
        }
    }
    // Glued on by whoever knows no better.
    if clean && !query.is_empty() && !query.ends_with(['&', '?']) {
        let glued = format!("{query}?{name}={TOKEN}");
        let found = extract_token(&glued, name).expect("it is there");
        assert_eq!(found.token.map(|found| found.expose()).as_ref(), Some(&token), "{glued:?}");
        assert_eq!(found.rest.as_deref(), Some(query), "{glued:?}");
    }
});
