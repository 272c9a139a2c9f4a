//! Fields that come again and again on a connection: who speaks, in which language, with which cookies.
//! A line that stood in an earlier head in the very same bytes is not read once more.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use super::FramingFault;
use super::line::{field, first_line};
use crate::domain::secret::are_same;

/// Lines that may be missing between two that came before, as a browser asks for some things in fewer words.
const AHEAD: usize = 4;

/// Lines of a head that are remembered, and bytes of one that is.
const MOST_LINES: usize = 32;
const MOST_BYTES: usize = 4 * 1024;

/// Heads that go by at most before the next one is remembered.
const MOST_PATIENCE: u32 = 255;

/// The fields of one head, in their order.
#[derive(Default)]
pub struct FieldCache {
    known: Vec<Known>,
    /// Which of them may come next.
    next: usize,
    hits: usize,
    misses: usize,
    /// Heads that go by before one is remembered, as the last one was of no use. The first always does: it
    /// may be the only one.
    patience: u32,
    waited: u32,
}

struct Known {
    /// As it came, with its CRLF.
    line: Bytes,
    name: HeaderName,
    value: HeaderValue,
}

impl Known {
    /// What stands behind it, if `lines` begin with it.
    ///
    /// In constant time: a proxy in front may send the requests of many visitors over one connection, and none
    /// of them is to find out about another's cookies, or keys, by guessing.
    fn strip<'a>(&self, lines: &'a [u8]) -> Option<&'a [u8]> {
        let (line, behind) = lines.split_at_checked(self.line.len())?;
        are_same(&self.line, line).then_some(behind)
    }
}

/// A field, and the lines behind it.
type Read<'a> = (HeaderName, HeaderValue, &'a [u8]);

impl FieldCache {
    /// The field with which `lines` begin, and what stands behind it; `None` at the empty line. They are the
    /// last part of `head`.
    pub fn field<'a>(&mut self, lines: &'a [u8], head: &Bytes) -> Result<Option<Read<'a>>, FramingFault> {
        for (index, known) in self.known.iter().enumerate().skip(self.next).take(AHEAD) {
            if let Some(behind) = known.strip(lines) {
                self.next = index + 1;
                self.hits += 1;
                return Ok(Some((known.name.clone(), known.value.clone(), behind)));
            }
        }
        let (line, behind) = first_line(lines)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.misses += 1;
        let (name, value) = field(line, head)?;
        Ok(Some((name, value, behind)))
    }

    /// All fields have been read, which begin with `lines`. They are remembered in place of those from before
    /// if few of those came again; but not each time, where no head is like the one before.
    pub fn end(&mut self, lines: &[u8]) {
        let is_useful = self.misses <= self.hits;
        (self.next, self.hits, self.misses) = (0, 0, 0);
        if is_useful {
            self.patience = 0;
        } else if self.waited <= self.patience {
            self.waited += 1;
        } else {
            self.patience = (self.patience * 2 + 1).min(MOST_PATIENCE);
            self.waited = 0;
            self.remember(lines);
        }
    }

    fn remember(&mut self, lines: &[u8]) {
        self.known.clear();
        if lines.len() > MOST_BYTES {
            return;
        }
        // A copy: what is read into would otherwise be kept as long.
        let copy = Bytes::copy_from_slice(lines);
        let mut rest = &*copy;
        while let Ok((line, behind)) = first_line(rest)
            && let Ok((name, value)) = field(line, &copy)
            && self.known.len() < MOST_LINES
        {
            let line = copy.slice_ref(rest.get(..rest.len() - behind.len()).unwrap_or_default());
            self.known.push(Known { line, name, value });
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads heads that come one after the other. For each, its fields, and how many of them were known.
    fn read(cache: &mut FieldCache, head: &str) -> (Vec<(String, String)>, usize) {
        let head = Bytes::copy_from_slice(head.as_bytes());
        let (mut rest, mut fields) = (&*head, Vec::new());
        while let Some((name, value, behind)) = cache.field(rest, &head).unwrap() {
            fields.push((name.to_string(), value.to_str().unwrap().to_owned()));
            rest = behind;
        }
        let hits = cache.hits;
        cache.end(&head);
        (fields, hits)
    }

    fn fields(head: &str) -> Vec<(String, String)> {
        read(&mut FieldCache::default(), head).0
    }

    #[test]
    fn what_comes_again_is_known_and_what_is_new_is_read() {
        let mut cache = FieldCache::default();
        let full = "Host: a\r\nAccept: b\r\nReferer: c\r\nCookie: d\r\nX-Last: e\r\n\r\n";
        for (head, known) in [
            (full, 0),
            (full, 0),
            // The first is not remembered: it may be the only one.
            (full, 5),
            ("Host: a\r\nCookie: d\r\nX-Last: e\r\n\r\n", 3),
            ("Host: a\r\nRange: 1\r\nAccept: b\r\nReferer: other\r\nCookie: d\r\nX-Last: e\r\n\r\n", 4),
            // Nearly the same is not the same.
            ("Host: a\r\nAccept: bb\r\nReferer:c\r\nCookie:  d\r\nx-last: e\r\n\r\n", 1),
            ("Host: a\r\nHost: a\r\nAccept: b\r\nReferer: c\r\n\r\n", 3),
            ("X-Last: e\r\nHost: a\r\nAccept: b\r\n\r\n", 2),
            ("\r\n", 0),
            (full, 5),
        ] {
            assert_eq!(read(&mut cache, head), (fields(head), known), "{head:?}");
        }
    }

    #[test]
    fn one_that_always_says_something_else_is_not_listened_to_for_long() {
        let mut cache = FieldCache::default();
        let mut learned = Vec::new();
        for number in 0..100 {
            read(&mut cache, &format!("Host: {number}\r\n\r\n"));
            if cache.known.first().is_some_and(|known| known.value == number.to_string()) {
                learned.push(number);
            }
        }
        assert_eq!(learned, [1, 4, 9, 18, 35, 68]);
        // Until something does come again.
        for _ in 0..100 {
            read(&mut cache, "Host: a\r\n\r\n");
        }
        assert_eq!(read(&mut cache, "Host: a\r\n\r\n").1, 1);
    }

    #[test]
    fn little_is_kept() {
        let mut cache = FieldCache::default();
        let long = format!("X-Long: {}\r\n\r\n", "a".repeat(MOST_BYTES));
        let many = "X: y\r\n".repeat(MOST_LINES + 8) + "\r\n";
        for _ in 0..3 {
            assert_eq!(read(&mut cache, &long).1, 0);
        }
        for _ in 0..20 {
            read(&mut cache, &many);
        }
        assert_eq!(cache.known.len(), MOST_LINES);
        assert_eq!(read(&mut cache, &many), (fields(&many), MOST_LINES));
    }
}
