//! How values that are not ASCII are written into a header.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::HeaderValue;

/// How a value that is not ASCII is written into a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueEncoding {
    /// Its UTF-8 bytes as they are.
    #[default]
    Utf8,
    /// Percent-encoded UTF-8; `%` itself becomes `%25`.
    Percent,
    /// Unpadded URL-safe base64 of the UTF-8 bytes.
    Base64Url,
    /// Encoded words, RFC 2047 §2.
    Rfc2047,
}

impl ValueEncoding {
    /// Encodes `value` for a header, and no two values alike: `zo%C3%AB` and `zoë` are two people. ASCII
    /// passes as it is, unless it would be taken for another value that is encoded. `None` if it has a
    /// control character (CR, LF and NUL among them): such a value is never sent, in no encoding.
    pub fn encode(self, value: &str) -> Option<HeaderValue> {
        if value.contains(char::is_control) {
            return None;
        }
        let misleads = match self {
            Self::Utf8 => false,
            Self::Percent => value.contains('%'),
            Self::Base64Url => is_taken_for_base64(value),
            Self::Rfc2047 => value.contains("=?"),
        };
        if value.is_ascii() && !misleads {
            return HeaderValue::from_str(value).ok();
        }
        let encoded = match self {
            Self::Utf8 => return HeaderValue::from_bytes(value.as_bytes()).ok(),
            Self::Percent => percent_encoding::utf8_percent_encode(value, PERCENT).to_string(),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(value),
            Self::Rfc2047 => encoded_words(value),
        };
        HeaderValue::from_str(&encoded).ok()
    }
}

const PERCENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%');

/// Whether `value` is what something else looks like that is encoded: a value that is not ASCII (`zoo` is how
/// `Ί` is written), or one that is encoded for this very reason.
fn is_taken_for_base64(value: &str) -> bool {
    let mut read = value.to_owned();
    loop {
        // The bits that are left over have to be zero: each text has one form.
        let text = URL_SAFE_NO_PAD.decode(&read).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let sendable = text.filter(|text| !text.is_empty() && !text.contains(char::is_control));
        let Some(text) = sendable else { return false };
        if !text.is_ascii() {
            return true;
        }
        // It is shorter each time.
        read = text;
    }
}

/// RFC 2047 §2: words of at most 75 characters, each whole characters, parted by a space.
fn encoded_words(value: &str) -> String {
    const MAX_BYTES: usize = (75 - "=?UTF-8?B??=".len()) / 4 * 3;
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in value.chars() {
        if word.len() + c.len_utf8() > MAX_BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_writes_what_its_reader_expects() {
        let encode = |encoding: ValueEncoding, value| encoding.encode(value).map(|v| v.as_bytes().to_vec());
        let text = |bytes: &str| Some(bytes.as_bytes().to_vec());
        assert_eq!(encode(ValueEncoding::Utf8, "Zoë"), text("Zoë"));
        assert_eq!(encode(ValueEncoding::Percent, "Zoë 5%"), text("Zo%C3%AB 5%25"));
        assert_eq!(encode(ValueEncoding::Base64Url, "Zoë"), text("Wm_Dqw"));
        assert_eq!(encode(ValueEncoding::Rfc2047, "Zoë"), text("=?UTF-8?B?Wm/Dqw==?="));
        // What looks like one that is encoded would be taken for that.
        assert_eq!(encode(ValueEncoding::Percent, "Zo%C3%AB"), text("Zo%25C3%25AB"));
        assert_eq!(
            encode(ValueEncoding::Rfc2047, "=?UTF-8?B?Wm/Dqw==?="),
            text("=?UTF-8?B?PT9VVEYtOD9CP1dtL0Rxdz09Pz0=?=")
        );
        assert_eq!(encode(ValueEncoding::Base64Url, "Wm_Dqw"), text("V21fRHF3"));
        assert_eq!(encode(ValueEncoding::Base64Url, "V21fRHF3"), text("VjIxZlJIRjM"));
        assert_eq!(encode(ValueEncoding::Base64Url, "zoo"), text("em9v"));
        // This is no text, this is none that is ever sent, and this would be written in another form.
        for plain in ["jane", "u-4711", "editor", "wow", "Wm_Dqx", "", "jane@example.com", "Lily"] {
            assert_eq!(encode(ValueEncoding::Base64Url, plain), text(plain));
        }
        for encoding in
            [ValueEncoding::Utf8, ValueEncoding::Percent, ValueEncoding::Base64Url, ValueEncoding::Rfc2047]
        {
            assert_eq!(encode(encoding, "plain =5?"), text("plain =5?"));
            assert_eq!(encode(encoding, "a\r\nX-Admin: ë"), None);
            assert_eq!(encode(encoding, "a\0b"), None);
            assert_eq!(encode(encoding, "a\u{85}b"), None);
        }
    }

    #[test]
    fn encoded_words_stay_short_and_whole() {
        let long = encoded_words(&"ë".repeat(100));
        assert!(long.split(' ').all(|word| word.len() <= 75), "{long}");
    }
}
