//! Fields that nearly every answer to a session gets in the same words: those that keep it from being shown to
//! anybody else. They are not put into the map of each answer, but go along with its body to who writes it.

use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, VARY};

/// `Cache-Control` and `Vary` of an answer that has neither.
pub struct PrivateCaching {
    cache_control: &'static str,
    lines: &'static str,
}

macro_rules! caching {
    ($cache_control:literal) => {
        PrivateCaching {
            cache_control: $cache_control,
            lines: concat!("cache-control: ", $cache_control, "\r\nvary: Cookie\r\n"),
        }
    };
}

static PRIVATE: PrivateCaching = caching!("private");
static PRIVATE_NO_CACHE: PrivateCaching = caching!("private, no-cache");

impl PrivateCaching {
    /// The one for an answer that says until when it is good, or does not: without a word on that a browser
    /// guesses, and is to ask instead.
    pub fn of(expires: bool) -> &'static Self {
        if expires { &PRIVATE } else { &PRIVATE_NO_CACHE }
    }

    /// What it says in `Cache-Control`.
    pub fn cache_control(&self) -> HeaderValue {
        HeaderValue::from_static(self.cache_control)
    }

    /// The fields as they are written in HTTP/1.1.
    pub fn lines(&self) -> &'static [u8] {
        self.lines.as_bytes()
    }

    /// Puts the fields among others.
    pub fn put(&self, headers: &mut HeaderMap) {
        headers.append(CACHE_CONTROL, self.cache_control());
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::Fields as _;

    #[test]
    fn they_are_the_same_however_they_are_written() {
        for caching in [&PRIVATE, &PRIVATE_NO_CACHE] {
            let (mut headers, mut lines) = (HeaderMap::new(), Vec::new());
            caching.put(&mut headers);
            for (name, value) in &headers {
                lines.put(name, value);
            }
            assert_eq!(lines, caching.lines());
        }
    }
}
