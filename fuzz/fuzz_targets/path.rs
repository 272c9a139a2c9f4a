//! A path that passes means the same to whoever normalizes paths, and to whoever does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use tollgate::domain::path::{PathPrefix, RequestPath};
use url::Url;

fuzz_target!(|input: (&str, &str, bool)| {
    let (raw, prefix, allow_encoded_slash) = input;
    if let (Ok(prefix), Ok(path)) = (PathPrefix::parse(prefix), RequestPath::parse(prefix, false)) {
        // Its strictest reading, which is how it is compared.
        let reading = path.readings().last().unwrap_or_default().into_owned();
        let end = reading.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
        let with = |rest: &str| [&reading[..end], rest.as_bytes()].concat();
        assert!(prefix.matches(&with("")) && prefix.matches(&with("/")) && prefix.matches(&with("/x")));
        assert!(end == 0 || !prefix.matches(&with("x")), "{prefix:?} matches by whole segments");
    }
    if raw.contains(['?', '#']) {
        return;
    }
    let Ok(path) = RequestPath::parse(raw, allow_encoded_slash) else { return };
    assert_eq!(path.as_str(), raw, "what is judged is what came");

    let readings: Vec<Vec<u8>> = path.readings().map(std::borrow::Cow::into_owned).collect();
    assert_eq!(readings.first().map(Vec::as_slice), Some(raw.as_bytes()));
    for reading in &readings {
        assert!(reading.starts_with(b"/"), "{raw:?}");
        let segments = reading.split(|byte| *byte == b'/');
        assert!(!segments.into_iter().any(|segment| matches!(segment, b"." | b"..")), "{raw:?}");
    }

    // As a browser, or a server that decodes first, would read it.
    for text in [raw.to_owned(), percent_decode_str(raw).decode_utf8_lossy().into_owned()] {
        // What only a URL parser trims, or ends the path at.
        let text = text.replace(' ', "%20").replace('?', "%3f").replace('#', "%23");
        let url = Url::parse(&format!("http://site.test{text}")).expect("a URL");
        let segments = text.split('/').count() - 1;
        assert_eq!(url.path_segments().expect("a path").count(), segments, "{raw:?} became {url}");
        assert_eq!(url.host_str(), Some("site.test"), "{raw:?}");
    }
});
