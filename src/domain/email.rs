//! An e-mail address that is safe to put into a header and has one key for look-ups.

use std::fmt;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::word::Word;

/// An e-mail address as it was first given. Two addresses are the same when their
/// [`key`](Email::key)s are: comparison goes without the case of ASCII letters. Folding more than
/// those would make one person of two, as the Kelvin sign folds to `k`.
///
/// The key stands first, and behind it, where that differs, the address as it was given.
#[derive(Clone)]
pub struct Email(Word);

/// A character that no address contains.
const PARTING: char = '\n';

/// RFC 5321 §4.5.3.1.3 allows a path of 256 octets, of which two are the angle brackets.
const MAX_LEN: usize = 254;

impl Email {
    /// What [`Self::parse`] takes, in words.
    pub const EXPECTED: &str = "an address like jane@example.com";

    /// Takes what looks like an address: something, one `@`, something; no space, no control
    /// character, at most 254 bytes. Whether it can receive mail is the login page's business.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (local, domain) = text.split_once('@')?;
        let plain = |part: &str| {
            !part.is_empty()
                && !part
                    .contains(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c) || c == '@')
        };
        if text.len() > MAX_LEN || !plain(local) || !plain(domain) {
            return None;
        }
        let key = text.to_ascii_lowercase();
        let both = if key == text { key } else { format!("{key}{PARTING}{text}") };
        Some(Self(both.as_str().into()))
    }

    /// The address as it was first given.
    pub fn as_str(&self) -> &str {
        self.0.as_str().split_once(PARTING).map_or(self.0.as_str(), |(_, spelled)| spelled)
    }

    /// The address with its ASCII letters lowered, under which everything about it is filed.
    pub fn key(&self) -> &str {
        self.0.as_str().split_once(PARTING).map_or(self.0.as_str(), |(key, _)| key)
    }
}

/// Characters of which nothing is to be seen, so that they make two addresses look like one: those that Unicode
/// has shown as nothing where they are not known (`Default_Ignorable_Code_Point`), format characters (`Cf`), and
/// the pattern of Braille without a dot.
fn is_invisible(c: char) -> bool {
    !c.is_ascii()
        && (c == '\u{2800}'
            || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
            || CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::Format)
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Email {}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_compare_without_case() {
        assert_eq!(Email::parse("Jane.Doe@Example.com"), Email::parse(" jane.doe@EXAMPLE.com "));
    }

    #[test]
    fn an_address_is_shown_as_it_was_given_and_filed_in_lower_case() {
        for (given, key) in [("Zoë.B@Example.com", "zoë.b@example.com"), ("joe@x.org", "joe@x.org")] {
            let email = Email::parse(given).unwrap();
            assert_eq!((email.as_str(), email.key(), email.to_string().as_str()), (given, key, given));
        }
    }

    #[test]
    fn look_alikes_are_not_the_same_person() {
        assert_ne!(Email::parse("jac\u{212a}@example.com"), Email::parse("jack@example.com"));
    }

    #[test]
    fn an_address_has_nothing_that_cannot_be_seen() {
        for invisible in [
            '\u{ad}'..='\u{ad}',
            '\u{34f}'..='\u{34f}',
            '\u{61c}'..='\u{61c}',
            '\u{115f}'..='\u{1160}',
            '\u{17b4}'..='\u{17b5}',
            '\u{180b}'..='\u{180f}',
            '\u{200b}'..='\u{200f}',
            '\u{202a}'..='\u{202e}',
            '\u{2060}'..='\u{206f}',
            '\u{2800}'..='\u{2800}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{fff9}'..='\u{fffb}',
            '\u{1d173}'..='\u{1d17a}',
            '\u{e0000}'..='\u{e0fff}',
        ] {
            for c in invisible {
                for text in [format!("ja{c}ne@example.com"), format!("jane@exa{c}mple.com")] {
                    assert!(Email::parse(&text).is_none(), "{text:?}");
                }
            }
        }
        // Letters, a mark, a sign and a dot of Braille can be seen.
        for text in ["zoë@bücher.example", "श्री@example.com", "e\u{301}@example.com", "\u{2801}@example.com"]
        {
            assert!(Email::parse(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in [
            "",
            "jane",
            "@",
            "jane@",
            "@x.org",
            "a@b@c",
            "a b@c.d",
            "a@c\r\nX: y",
            "a\0@c",
            "a\u{200b}@c.d",
            &long,
        ] {
            assert!(Email::parse(text).is_none(), "{text:?}");
        }
    }
}
