//! What the upstream is told arrives whole, or not at all.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use tollgate::domain::identity::{HeaderTemplate, ValueEncoding};

const ALL: [ValueEncoding; 4] =
    [ValueEncoding::Utf8, ValueEncoding::Percent, ValueEncoding::Base64Url, ValueEncoding::Rfc2047];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_value_can_be_read_back_from_every_encoding(value in "\\PC{0,60}|[a%=?Q_]{0,12}") {
        prop_assume!(!value.contains(char::is_control));
        let encoded = |encoding: ValueEncoding| encoding.encode(&value).unwrap().as_bytes().to_vec();
        prop_assert_eq!(encoded(ValueEncoding::Utf8), value.as_bytes());
        let percent = encoded(ValueEncoding::Percent);
        prop_assert_eq!(percent_encoding::percent_decode(&percent).collect::<Vec<u8>>(), value.as_bytes());
        let base64 = encoded(ValueEncoding::Base64Url);
        let words = String::from_utf8(encoded(ValueEncoding::Rfc2047)).unwrap();
        if !value.is_ascii() || base64 != value.as_bytes() {
            prop_assert_eq!(URL_SAFE_NO_PAD.decode(base64).unwrap(), value.as_bytes());
        }
        if value.is_ascii() && !value.contains("=?") {
            prop_assert_eq!(words, value);
        } else {
            let mut decoded = Vec::new();
            for word in words.split(' ') {
                prop_assert!(word.len() <= 75);
                let text = word.strip_prefix("=?UTF-8?B?").and_then(|word| word.strip_suffix("?=")).unwrap();
                let piece = STANDARD.decode(text).unwrap();
                prop_assert!(std::str::from_utf8(&piece).is_ok(), "each word is whole characters");
                decoded.extend(piece);
            }
            prop_assert_eq!(decoded, value.as_bytes());
        }
    }

    /// Two values could only be sent alike if one of them is sent as it is.
    #[test]
    fn no_two_values_are_sent_alike(value in "\\PC{0,20}|[a%=?Q_]{0,12}|[zoZQw_]{0,8}", turns in 0..4_usize) {
        for encoding in ALL {
            let encoded = |value: &str| String::from_utf8(encoding.encode(value).unwrap().as_bytes().to_vec()).unwrap();
            let mut value = value.clone();
            for _ in 0..turns {
                value = URL_SAFE_NO_PAD.encode(&value);
            }
            let sent = encoded(&value);
            prop_assert!(sent == value || encoded(&sent) != sent, "{:?}: {:?} and {:?}", encoding, value, sent);
        }
    }

    #[test]
    fn nothing_that_could_end_a_header_line_is_sent(value: String) {
        for encoding in ALL {
            if let Some(sent) = encoding.encode(&value) {
                prop_assert!(!value.contains(char::is_control));
                prop_assert!(!sent.as_bytes().iter().any(|byte| *byte < 0x20 || *byte == 0x7f));
            }
        }
    }

    /// Nothing that an operator writes around the fields is lost, and nothing within braces is taken for text.
    #[test]
    fn a_template_says_what_stands_outside_its_braces(
        text in "[ab{}]{0,8}|([ -z]{0,3}\\{(email|groups:[;|]|attributes\\.[a-z{]{1,3})\\}){0,3}[a-z}]{0,2}|.{0,8}"
    ) {
        let (mut outside, mut is_field, mut is_paired) = (String::new(), false, true);
        for c in text.chars() {
            match c {
                '{' if !is_field => is_field = true,
                '}' if is_field => is_field = false,
                _ if is_field => {}
                c => {
                    is_paired &= c != '}';
                    outside.push(c);
                }
            }
        }
        if let Ok(template) = HeaderTemplate::parse(&text) {
            prop_assert!(is_paired && !is_field, "braces pair up");
            prop_assert!(!text.contains(char::is_control), "it would end the line");
            for c in text.chars() {
                prop_assert_eq!(template.says(c), outside.contains(c), "{:?}", c);
            }
        } else if outside == text {
            prop_assert!(text.contains('}') || text.contains(char::is_control), "plain text is a template");
        }
    }
}
