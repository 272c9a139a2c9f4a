//! No value becomes a header of its own, and every encoding can be read back.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::HeaderName;
use libfuzzer_sys::fuzz_target;
use tollgate::domain::identity::{HeaderTemplate, ValueEncoding, reads_like};

fuzz_target!(|input: (&str, &str)| {
    let (value, template) = input;
    // Reading a template may fail, and no more.
    let _refused = HeaderTemplate::parse(template);
    if let (Ok(name), Ok(own)) =
        (HeaderName::from_bytes(value.as_bytes()), HeaderName::from_bytes(template.as_bytes()))
    {
        let folded = |name: &HeaderName| {
            name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-").to_ascii_lowercase()
        };
        let own = folded(&own);
        assert_eq!(
            reads_like(name.as_str().as_bytes(), own.as_bytes()),
            folded(&name) == own,
            "{name} {own}"
        );
    }

    for encoding in
        [ValueEncoding::Utf8, ValueEncoding::Percent, ValueEncoding::Base64Url, ValueEncoding::Rfc2047]
    {
        let Some(header) = encoding.encode(value) else {
            assert!(value.contains(char::is_control), "{value:?} is refused by {encoding:?}");
            continue;
        };
        let bytes = header.as_bytes();
        assert!(bytes.iter().all(|byte| *byte >= b' ' && *byte != 0x7f), "{value:?} in {encoding:?}");
        let read = if value.is_ascii() { Some(bytes.to_vec()) } else { decoded(encoding, bytes) };
        assert_eq!(read.as_deref(), Some(value.as_bytes()), "{encoding:?}");
    }
});

/// What a reader of `encoding` makes of a value that is not ASCII.
fn decoded(encoding: ValueEncoding, bytes: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        ValueEncoding::Utf8 => Some(bytes.to_vec()),
        ValueEncoding::Percent => Some(percent_encoding::percent_decode(bytes).collect()),
        ValueEncoding::Base64Url => URL_SAFE_NO_PAD.decode(bytes).ok(),
        ValueEncoding::Rfc2047 => {
            let words = std::str::from_utf8(bytes).ok()?.split(' ');
            let word = |word: &str| {
                let text = word.strip_prefix("=?UTF-8?B?")?.strip_suffix("?=")?;
                (word.len() <= 75).then(|| STANDARD.decode(text).ok()).flatten()
            };
            Some(words.map(word).collect::<Option<Vec<_>>>()?.concat())
        }
    }
}
