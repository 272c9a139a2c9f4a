//! The text that a signature covers (RFC 5849 §3.4.1), in each of the spellings that clients make
//! of it.
//!
//! Clients differ in how they escape a space and a `~`, and in whether they sort before or after
//! escaping. Trying several spellings weakens nothing: whichever is taken, the text decodes to the
//! one set of parameters, so that no text stands for two requests.

use super::super::form::Pair;
use crate::domain::secret::hex_digit;

/// A way to escape what is to be signed.
#[derive(Clone, Copy)]
pub(super) struct Escapes {
    space: &'static str,
    tilde: &'static str,
}

/// RFC 5849 §3.6.
pub(super) const STANDARD: Escapes = Escapes { space: "%20", tilde: "~" };

/// The standard first, then what PHP's `urlencode` makes, then the mixtures.
const SPELLINGS: [Escapes; 4] = [
    STANDARD,
    Escapes { space: "+", tilde: "%7E" },
    Escapes { space: "%20", tilde: "%7E" },
    Escapes { space: "+", tilde: "~" },
];

/// Longer requests are tried in the standard spelling alone: nobody should be able to have a server
/// spell out megabytes for one request without a key.
const MAX_RESPELLED: usize = 16 * 1024;

impl Escapes {
    /// Appends `bytes`, escaped, to `text`.
    pub(super) fn push(self, text: &mut String, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                    text.push(char::from(*byte));
                }
                b' ' => text.push_str(self.space),
                b'~' => text.push_str(self.tilde),
                _ => text.extend(['%', digit(byte >> 4), digit(*byte)]),
            }
        }
    }

    fn escape(self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len());
        self.push(&mut text, bytes);
        text
    }
}

fn digit(byte: u8) -> char {
    char::from(hex_digit(byte)).to_ascii_uppercase()
}

/// What a signature covers.
pub(super) struct Signed<'a> {
    /// The method.
    pub(super) method: &'a str,
    /// Scheme, host and path.
    pub(super) uri: &'a str,
    /// The parameters, those of OAuth among them, but for the signature itself.
    pub(super) parameters: &'a [Pair],
}

impl Signed<'_> {
    /// Its spellings, each once.
    pub(super) fn base_strings(&self) -> impl Iterator<Item = String> {
        let mut by_name: Vec<&Pair> = self.parameters.iter().collect();
        by_name.sort();
        self.spellings().flat_map(move |escapes| {
            let orders = parameter_strings(&by_name, escapes).into_iter().flatten();
            orders.map(move |parameters| self.base_string(&parameters, escapes))
        })
    }

    /// Those of the spellings that differ for these parameters.
    fn spellings(&self) -> impl Iterator<Item = Escapes> {
        let short = self.parameters.iter().map(|pair| pair.name.len() + pair.value.len()).sum::<usize>()
            <= MAX_RESPELLED;
        let spaces = short && self.contains(b' ');
        let tildes = short && self.contains(b'~');
        let differs = move |escapes: &Escapes| {
            (spaces || escapes.space == STANDARD.space) && (tildes || escapes.tilde == STANDARD.tilde)
        };
        SPELLINGS.into_iter().filter(differs)
    }

    fn contains(&self, byte: u8) -> bool {
        let in_pair = |pair: &Pair| pair.name.contains(&byte) || pair.value.contains(&byte);
        self.uri.as_bytes().contains(&byte) || self.parameters.iter().any(in_pair)
    }

    fn base_string(&self, parameters: &str, escapes: Escapes) -> String {
        let mut text = String::with_capacity(self.method.len() + self.uri.len() + parameters.len() * 2);
        escapes.push(&mut text, self.method.as_bytes());
        text.push('&');
        escapes.push(&mut text, self.uri.as_bytes());
        text.push('&');
        escapes.push(&mut text, parameters.as_bytes());
        text
    }
}

/// The parameters in one line: sorted as they are escaped (RFC 5849 §3.4.1.3.2) and, where that
/// differs, as they are named.
fn parameter_strings(by_name: &[&Pair], escapes: Escapes) -> [Option<String>; 2] {
    let spell = |pair: &&Pair| (escapes.escape(&pair.name), escapes.escape(&pair.value));
    let unsorted: Vec<_> = by_name.iter().map(spell).collect();
    let mut sorted = unsorted.clone();
    sorted.sort();
    let other = (unsorted != sorted).then(|| join(&unsorted));
    [Some(join(&sorted)), other]
}

fn join(parameters: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        let separator = if text.is_empty() { "" } else { "&" };
        text.extend([separator, name, "=", value]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base_strings(parameters: &[(&str, &str)]) -> Vec<String> {
        let pair = |(name, value): &(&str, &str)| Pair { name: (*name).into(), value: (*value).into() };
        let parameters: Vec<Pair> = parameters.iter().map(pair).collect();
        Signed { method: "POST", uri: "http://a/b", parameters: &parameters }.base_strings().collect()
    }

    fn parameters_of(base_strings: &[String]) -> Vec<&str> {
        base_strings.iter().map(|text| text.strip_prefix("POST&http%3A%2F%2Fa%2Fb&").expect(text)).collect()
    }

    #[test]
    fn the_example_of_the_rfc_is_spelled_as_printed() {
        // §3.4.1.1, from the decoded list of §3.4.1.3.1.
        let parameters = [
            ("b5", "=%3D"),
            ("a3", "a"),
            ("c@", ""),
            ("a2", "r b"),
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
            ("c2", ""),
            ("a3", "2 q"),
        ];
        assert_eq!(
            parameters_of(&base_strings(&parameters))[0],
            "a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26\
             oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26\
             oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26\
             oauth_token%3Dkkk9d7dh3k39sjv7",
        );
    }

    #[test]
    fn a_request_has_as_many_spellings_as_differ() {
        for (parameters, expected) in [
            (&[("b", "2"), ("a", "1")][..], &["a%3D1%26b%3D2"][..]),
            (&[("a", "é*!'()/")], &["a%3D%25C3%25A9%252A%2521%2527%2528%2529%252F"]),
            (&[("a", "b c")], &["a%3Db%2520c", "a%3Db%2Bc"]),
            (&[("a", "~")], &["a%3D~", "a%3D%257E"]),
            (&[("~", " ")], &["~%3D%2520", "%257E%3D%2B", "%257E%3D%2520", "~%3D%2B"]),
            (&[("aB", ""), ("a[0]", "")], &["a%255B0%255D%3D%26aB%3D", "aB%3D%26a%255B0%255D%3D"]),
            (&[("a-", ""), ("a b", "")], &["a%2520b%3D%26a-%3D", "a%2Bb%3D%26a-%3D"]),
            (&[], &[""]),
        ] {
            assert_eq!(parameters_of(&base_strings(parameters)), expected, "{parameters:?}");
        }
    }

    #[test]
    fn a_long_request_has_the_standard_spelling_only() {
        let long = " ~".repeat(MAX_RESPELLED / 2);
        assert_eq!(base_strings(&[("", &long)]).len(), 4);
        assert_eq!(base_strings(&[("a", &long)]).len(), 1);
    }

    #[test]
    fn a_tilde_in_the_path_has_spellings_too() {
        let signed = Signed { method: "GET", uri: "http://a/~b", parameters: &[] };
        let spellings: Vec<_> = signed.base_strings().collect();
        assert_eq!(spellings, ["GET&http%3A%2F%2Fa%2F~b&", "GET&http%3A%2F%2Fa%2F%7Eb&"]);
    }
}
