//! The path that is judged and forwarded: one and the same, byte for byte.
//!
//! Access rules are only as good as the agreement between gateway and upstream on what a path
//! means. Whatever servers are known to read in two ways is refused here ([`PathFault`]); what
//! remains ambiguous but common (percent-encoded letters, doubled slashes, `;` parameters) is
//! judged under each of its readings, and the strictest wins (see [`super::access`]).

use std::borrow::Cow;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It does not start with `/`.
    #[error("the path does not start with a slash")]
    NotAbsolute,
    /// `.` or `..` as a segment, plain or encoded, with or without `;` parameters.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `\` or `%5c`.
    #[error("the path has a backslash")]
    Backslash,
    /// `%2f` on a site that does not say `allow_encoded_slash`.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// A control character, plain or encoded, such as `%00` or `%0a`.
    #[error("the path has a control character")]
    Control,
    /// A `%` that is not followed by two hexadecimal digits, such as `%u002e`, or escapes for an
    /// overlong form of an ASCII character, such as `%c0%ae`.
    #[error("the path has a broken percent escape")]
    BrokenEscape,
}

/// Under this the gateway has its own pages on each site.
const RESERVED: &str = "/.tollgate";

/// A path that gateway and upstream read alike.
#[derive(Clone, Copy, Debug)]
pub struct RequestPath<'a> {
    raw: &'a str,
    /// Whether [`Self::readings`] has more than the raw path to offer.
    ambiguous: bool,
}

impl<'a> RequestPath<'a> {
    /// Examines `raw`, the path of a request target without its query.
    pub fn parse(raw: &'a str, allow_encoded_slash: bool) -> Result<Self, PathFault> {
        if !raw.starts_with('/') {
            return Err(PathFault::NotAbsolute);
        }
        if is_plain(raw) {
            return Ok(Self { raw, ambiguous: false });
        }
        Self::examined(raw, allow_encoded_slash)
    }

    fn examined(raw: &'a str, allow_encoded_slash: bool) -> Result<Self, PathFault> {
        let mut ambiguous = false;
        let mut previous = 0;
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => return Err(PathFault::Backslash),
                0..=0x1f | 0x7f => return Err(PathFault::Control),
                b'%' => {
                    ambiguous = true;
                    let (high, low) = (bytes.next().and_then(digit), bytes.next().and_then(digit));
                    let (Some(high), Some(low)) = (high, low) else {
                        return Err(PathFault::BrokenEscape);
                    };
                    match high << 4 | low {
                        b'\\' => return Err(PathFault::Backslash),
                        b'/' if !allow_encoded_slash => return Err(PathFault::EncodedSlash),
                        0..=0x1f | 0x7f => return Err(PathFault::Control),
                        _ => {}
                    }
                }
                b';' => ambiguous = true,
                b'/' if previous == b'/' => ambiguous = true,
                _ => {}
            }
            previous = byte;
        }
        let decoded = if ambiguous { decode(raw) } else { Cow::Borrowed(raw.as_bytes()) };
        if decoded.windows(2).any(begins_overlong) {
            return Err(PathFault::BrokenEscape);
        }
        if decoded.split(|byte| *byte == b'/').any(is_dot_segment) {
            return Err(PathFault::DotSegment);
        }
        Ok(Self { raw, ambiguous })
    }

    /// The path as it came and as it will be forwarded.
    pub fn as_str(&self) -> &'a str {
        self.raw
    }

    /// Whether an upstream may take this for a path under `prefix` (which ends in no slash).
    pub fn may_lie_under(&self, prefix: &str) -> bool {
        lies_under(self.raw.as_bytes(), prefix)
            || self.ambiguous && self.readings().any(|reading| lies_under(&reading, prefix))
    }

    /// Whether it is the gateway's own path, or an upstream may take it for one.
    pub fn is_reserved(&self) -> bool {
        self.may_lie_under(RESERVED)
    }

    /// Every way in which an upstream may read this path: percent-decoded or not, and before that and
    /// after it with `;` parameters cut off or not, with empty segments folded or not. In which order
    /// servers do that differs: of `/a%3bx` some make `/a`, and some `/a;x`.
    pub fn readings(&self) -> impl Iterator<Item = Cow<'a, [u8]>> {
        let manners = if self.ambiguous { MANNERS } else { 0 };
        let raw = self.raw;
        let others = (0..manners).flat_map(move |manner| {
            let read = rewritten(raw.as_bytes(), manner);
            let decoded: Vec<u8> = percent_encoding::percent_decode(&read).collect();
            let then = (0..MANNERS).map(move |manner| rewritten(&decoded, manner));
            std::iter::once(read).chain(then)
        });
        std::iter::once(Cow::Borrowed(raw.as_bytes())).chain(others.map(Cow::Owned))
    }
}

/// Whether no two servers could disagree about `raw`, as is so with nearly every path. It is asked of
/// each request, and costs a tenth of looking more closely.
fn is_plain(raw: &str) -> bool {
    let mut previous = 0;
    let mut doubts = false;
    for byte in raw.bytes() {
        doubts |= match kind_of(byte) {
            Kind::Plain => false,
            Kind::BeginsSegment => previous == b'/',
            Kind::Doubtful => true,
        };
        previous = byte;
    }
    !doubts
}

/// What a byte can do to a path.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    /// A slash or a dot, of which neither may stand behind a slash.
    BeginsSegment,
    Doubtful,
}

fn kind_of(byte: u8) -> Kind {
    match byte {
        b'/' | b'.' => Kind::BeginsSegment,
        b'%' | b'\\' | b';' | 0..=0x1f | 0x7f.. => Kind::Doubtful,
        _ => Kind::Plain,
    }
}

fn decode(raw: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(raw).into()
}

/// `;` parameters are cut off.
const CUT: u8 = 1;

/// Empty segments are folded.
const FOLD: u8 = 2;

/// All mixtures of these.
const MANNERS: u8 = 4;

/// The path as a server reads it in this manner: [`CUT`], [`FOLD`], both or neither. Its closing slash
/// stays.
fn rewritten(path: &[u8], manner: u8) -> Vec<u8> {
    let (cuts_parameters, folds_slashes) = (manner & CUT != 0, manner & FOLD != 0);
    let segments = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/');
    let mut segments = segments
        .map(|segment| if cuts_parameters { without_parameters(segment) } else { segment })
        .peekable();
    let mut rewritten = Vec::with_capacity(path.len());
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if is_last || !segment.is_empty() || !folds_slashes {
            rewritten.push(b'/');
            rewritten.extend_from_slice(segment);
        }
    }
    rewritten
}

/// Whether an ASCII character begins so that is written with more bytes than it takes, as `.` in `%c0%ae`
/// and `%e0%80%ae`: RFC 3629 §3 forbids it, some decoders read it.
fn begins_overlong(pair: &[u8]) -> bool {
    matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80 | 0x81] | [0xf0 | 0xf8 | 0xfc, 0x80])
}

fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(without_parameters(segment), b"." | b"..")
}

fn without_parameters(segment: &[u8]) -> &[u8] {
    segment.split(|byte| *byte == b';').next().unwrap_or_default()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A path prefix that matches by whole segments: `/admin/` matches `/admin`, `/admin/` and
/// `/admin/x`, but not `/administrator`.
#[derive(Clone, Debug)]
pub struct PathPrefix {
    /// What is compared: without a slash at its end.
    compared: String,
    /// As it was written, but for what can be written in more than one way.
    written: String,
}

impl PathPrefix {
    /// Reads a prefix out of the configuration: it starts with `/` and is itself unambiguous.
    pub fn parse(text: &str) -> Result<Self, PathFault> {
        let path = RequestPath::parse(text, false)?;
        if path.ambiguous {
            // Written the way it is compared, so that there is nothing to disagree about.
            let folded = rewritten(&decode(text), CUT | FOLD);
            return String::from_utf8(folded).map(Self::of).map_err(|_| PathFault::BrokenEscape);
        }
        Ok(Self::of(text.to_owned()))
    }

    fn of(written: String) -> Self {
        Self { compared: written.trim_end_matches('/').to_owned(), written }
    }

    /// The prefix as it was written, for whoever looks for it in the configuration.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The prefix as it is compared; `/` for everything.
    pub fn as_str(&self) -> &str {
        if self.is_empty() { "/" } else { &self.compared }
    }

    /// How specific the prefix is: the longest match wins.
    pub fn len(&self) -> usize {
        self.compared.len()
    }

    /// Whether this is `/`, which matches everything.
    pub fn is_empty(&self) -> bool {
        self.compared.is_empty()
    }

    /// Whether `reading`, one of [`RequestPath::readings`], lies under this prefix.
    pub fn matches(&self, reading: &[u8]) -> bool {
        lies_under(reading, &self.compared)
    }
}

/// A closing slash makes no difference.
impl PartialEq for PathPrefix {
    fn eq(&self, other: &Self) -> bool {
        self.compared == other.compared
    }
}

impl Eq for PathPrefix {}

/// Whether `reading` is `prefix` (which ends in no slash) or lies below it.
pub fn lies_under(reading: &[u8], prefix: &str) -> bool {
    reading.strip_prefix(prefix.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_read_in_two_ways_is_refused() {
        use PathFault::{Backslash, BrokenEscape, Control, DotSegment, EncodedSlash, NotAbsolute};
        for (path, fault) in [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("a/b", NotAbsolute),
            ("/.", DotSegment),
            ("/..", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/./b", DotSegment),
            ("/a/..", DotSegment),
            ("/%2e%2e/b", DotSegment),
            ("/%2E./b", DotSegment),
            ("/a/%2e", DotSegment),
            ("/a/..;/b", DotSegment),
            ("/a/..;x=1/b", DotSegment),
            ("/a/.%2e%3bx/b", DotSegment),
            ("/a\\b", Backslash),
            ("/a%5cb", Backslash),
            ("/a%5Cb", Backslash),
            ("/a%2fb", EncodedSlash),
            ("/a%2F..%2Fb", EncodedSlash),
            ("/%00", Control),
            ("/a%0d%0aX", Control),
            ("/a%7f", Control),
            ("/a\tb", Control),
            ("/100%", BrokenEscape),
            ("/%u002e%u002e/", BrokenEscape),
            ("/%2", BrokenEscape),
            ("/%zz", BrokenEscape),
            ("/%c0%ae%c0%ae/", BrokenEscape),
            ("/%c0%afa", BrokenEscape),
            ("/%e0%80%ae%e0%80%ae/", BrokenEscape),
            ("/a%E0%81%9Cb", BrokenEscape),
            ("/%f0%80%80%ae/", BrokenEscape),
            ("/%f8%80%80%80%ae/", BrokenEscape),
            ("/%fc%80%80%80%80%ae/", BrokenEscape),
        ] {
            assert_eq!(RequestPath::parse(path, false).err(), Some(fault), "{path:?}");
        }
        for path in [
            "/",
            "/a",
            "/a/b.c",
            "/...",
            "/.well-known/x",
            "/..a",
            "/a..",
            "//a",
            "/a;x=1",
            "/%20",
            "/%e4",
            "/%e0%a4%85",
            "/%f0%9f%8f%94",
        ] {
            assert!(RequestPath::parse(path, false).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn what_is_plain_has_no_fault_and_one_reading() {
        let alphabet = ["/", ".", "a", "%", "2e", ";", "\\", "\t", "\u{7f}", "ä"];
        let mut paths = vec!["/".to_owned()];
        for _ in 0..4 {
            let longer = |path: &String| alphabet.map(|next| format!("{path}{next}"));
            paths.extend(paths.iter().flat_map(longer).collect::<Vec<_>>());
        }
        let plain: Vec<_> = paths.iter().filter(|path| is_plain(path)).collect();
        assert!(plain.len() > 100, "{}", plain.len());
        for path in plain {
            assert!(RequestPath::examined(path, false).is_ok_and(|path| !path.ambiguous), "{path:?}");
        }
    }

    #[test]
    fn an_encoded_slash_is_judged_decoded_too_where_it_is_allowed() {
        assert_eq!(RequestPath::parse("/a/..%2fb", true).err(), Some(PathFault::DotSegment));
        assert!(readings("/a%2fb", true).iter().any(|reading| reading == "/a/b"));
    }

    #[test]
    fn every_reading_is_offered() {
        assert_eq!(readings("/plain/path", false), ["/plain/path"]);
        for (path, reading) in [
            ("/%61dmin/x", "/admin/x"),
            ("//admin//x/", "/admin/x/"),
            ("/admin;v=1/x", "/admin/x"),
            ("/;/admin", "/admin"),
            ("/;/admin", "//admin"),
            ("/%61dmin//assets", "/admin//assets"),
            ("/%61dmin/;/assets", "/admin/;/assets"),
            ("/%61dmin/;/assets", "/admin/assets"),
            ("/a%3bb", "/a;b"),
            ("/a%3bb", "/a"),
            ("//", "/"),
            // Parameters that are cut off before the path is decoded, and empty segments that come of it.
            ("/;/%61/b%3bx/", "/a/b;x/"),
            ("/a;x/%3b/b", "/a/;/b"),
        ] {
            let readings = readings(path, false);
            assert!(readings.iter().any(|own| own == reading), "{path} as {reading}: {readings:?}");
        }
    }

    fn readings(path: &str, allow_encoded_slash: bool) -> Vec<String> {
        let path = RequestPath::parse(path, allow_encoded_slash).unwrap();
        path.readings().map(|reading| String::from_utf8(reading.into_owned()).unwrap()).collect()
    }

    #[test]
    fn a_prefix_is_shown_as_it_was_written_and_is_the_same_without_its_slash() {
        for (text, compared, written) in [
            ("/admin", "/admin", "/admin"),
            ("/admin/", "/admin", "/admin/"),
            ("/", "/", "/"),
            ("/%2A", "/*", "/*"),
        ] {
            let prefix = PathPrefix::parse(text).unwrap();
            assert_eq!((prefix.as_str(), prefix.written()), (compared, written), "{text}");
        }
        assert_eq!(PathPrefix::parse("/admin"), PathPrefix::parse("/admin/"));
        assert!(PathPrefix::parse("/a%2Ab").unwrap().matches(b"/a*b/c"));
    }

    #[test]
    fn a_prefix_matches_by_whole_segments() {
        for spelled in ["/admin", "/admin/", "/%61dmin/"] {
            let prefix = PathPrefix::parse(spelled).unwrap();
            for path in ["/admin", "/admin/", "/admin/x"] {
                assert!(prefix.matches(path.as_bytes()), "{spelled} {path}");
            }
            for path in ["/administrator", "/adm", "/", "/x/admin"] {
                assert!(!prefix.matches(path.as_bytes()), "{spelled} {path}");
            }
        }
        assert!(PathPrefix::parse("/").unwrap().matches(b"/anything"));
        assert!(PathPrefix::parse("/a/../b").is_err());
        assert!(PathPrefix::parse("admin").is_err());
    }
}
