//! Finding the one-time token in a query, and taking it out without touching another byte.

use std::borrow::Cow;

use super::signed_login::{BroughtToken, MAX_BYTES};

/// A query from which every occurrence of the token parameter was taken.
#[derive(Debug)]
pub struct Extracted {
    /// The token of the last occurrence: blind appending puts the newest one there. `None` if
    /// that value cannot be a token.
    pub token: Option<BroughtToken>,
    /// The rest, byte for byte; `None` if nothing is left, and then there is no `?` either.
    pub rest: Option<String>,
}

/// Takes the parameter `name` out of `query`. `None` if it does not occur.
///
/// The name is compared percent-decoded, as the upstream would read it. A token that was glued on
/// blindly to a URL with a query, as in `x=1?sso=TOKEN`, is found too, if it has the shape of one.
pub fn extract_token(query: &str, name: &str) -> Option<Extracted> {
    if !may_contain(query, name) {
        return None;
    }
    let mut token = None;
    let mut found = false;
    let mut rest: Vec<&str> = Vec::new();
    for parameter in query.split('&') {
        let mut kept = parameter;
        let mut newest = None;
        while let Some((before, glued)) = glued_token(kept, name) {
            found = true;
            newest = newest.or(Some(glued));
            kept = before;
        }
        if let Some(value) = value_of(kept, name) {
            found = true;
            token = newest.or_else(|| parse(value));
        } else {
            token = newest.or(token);
            rest.push(kept);
        }
    }
    let rest = (!rest.is_empty()).then(|| rest.join("&"));
    found.then_some(Extracted { token, rest })
}

/// A quick look that spares most queries the split: the name, or an escape that may hide it.
fn may_contain(query: &str, name: &str) -> bool {
    query.contains('%') || query.contains(name)
}

fn value_of<'a>(parameter: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    (decode(key) == name).then_some(value)
}

/// Splits `1?sso=TOKEN` at the `?`.
fn glued_token<'a>(parameter: &'a str, name: &str) -> Option<(&'a str, BroughtToken)> {
    let (before, glued) = parameter.rsplit_once('?')?;
    let token = parse(value_of(glued, name)?)?;
    Some((before, token))
}

fn parse(value: &str) -> Option<BroughtToken> {
    // A token needs no escapes, but a login page's URL builder may have made some.
    let longest = MAX_BYTES * 3;
    (value.len() <= longest).then(|| BroughtToken::parse(&decode(value))).flatten()
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

/// `url` without the parameter `name` in its query.
pub fn without_token<'a>(url: &'a str, name: &str) -> Cow<'a, str> {
    let parts = url.split_once('?');
    let found = parts.and_then(|(page, query)| Some((page, extract_token(query, name)?)));
    found.map_or(Cow::Borrowed(url), |(page, found)| Cow::Owned(join(page, found.rest.as_deref())))
}

/// `path` with `query` behind it, if there is one.
pub fn join(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::SeededEntropy;
    use crate::domain::opaque::LoginToken;

    #[test]
    fn the_token_is_taken_out_and_every_other_byte_stays() {
        let token = LoginToken::mint(&SeededEntropy::new(3));
        let text = token.expose();
        for (query, rest) in [
            ("sso=T", None),
            ("a=1&sso=T", Some("a=1")),
            ("sso=T&a=1", Some("a=1")),
            ("a=%20+&&b&sso=T&c=%e4=", Some("a=%20+&&b&c=%e4=")),
            ("%73so=T&a", Some("a")),
            ("sso=stale&a=1&sso=T", Some("a=1")),
            ("x=1?sso=T", Some("x=1")),
            ("x=1?sso=T&y=2", Some("x=1&y=2")),
            ("x=a?b?sso=T", Some("x=a?b")),
            ("sso=stale?sso=T", None),
            ("x=1?sso=OOOO?sso=T&y", Some("x=1&y")),
        ] {
            let found = extract_token(&query.replace("OOOO", &"A".repeat(43)).replace('T', &text), "sso")
                .expect(query);
            assert_eq!(found.token.as_ref().map(BroughtToken::expose), Some(text.clone()), "{query}");
            assert_eq!(found.rest.as_deref(), rest, "{query}");
        }
    }

    #[test]
    fn what_is_no_token_is_taken_out_all_the_same() {
        for query in ["sso", "sso=", "sso=short", "sso=a&sso=b", "%73%73%6f=x"] {
            let found = extract_token(query, "sso").expect(query);
            assert!(found.token.is_none() && found.rest.is_none(), "{query}");
        }
    }

    #[test]
    fn other_parameters_are_not_taken_for_it() {
        for query in ["", "ssoo=1", "asso=1", "a=sso", "a=sso=1", "next=/x?sso=short", "SSO=1", "s%2073so=1"]
        {
            assert!(extract_token(query, "sso").is_none(), "{query}");
        }
    }
}
