//! The form that makes a body: what has to stand in a page so that a browser sends these very fields
//! once more.
//!
//! A body is read only if browsers would write it like this (the sections on form submission in the
//! HTML Standard): then the form makes the same bytes again, except for the boundary of a multipart
//! body, which each browser chooses anew. Whatever else there is, no form made it.

use bytes::Bytes;
use memchr::memmem;
use percent_encoding::percent_decode;

/// `application/x-www-form-urlencoded`.
const URLENCODED: &str = "application/x-www-form-urlencoded";

/// `multipart/form-data`.
const MULTIPART: &str = "multipart/form-data";

/// More fields than people fill in: a page with so many would be many times as long as the body.
const MOST_FIELDS: usize = 2000;

/// A form that makes a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its `enctype`.
    pub encoding: &'static str,
    /// Its `accept-charset`.
    pub charset: &'static str,
    /// Its fields, in order.
    pub fields: Vec<Field>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A text.
    Text {
        /// The field's name.
        name: String,
        /// The text.
        value: String,
    },
    /// A file.
    File {
        /// The field's name.
        name: String,
        /// The file's name.
        filename: String,
        /// The file's type.
        content_type: String,
        /// The file.
        content: Bytes,
    },
    /// A field for a file, of which none was chosen.
    NoFile {
        /// The field's name.
        name: String,
    },
}

/// A field before it is known what its bytes mean.
enum Raw {
    Text { name: Vec<u8>, value: Vec<u8> },
    File { name: Vec<u8>, filename: Vec<u8>, content_type: String, content: Bytes },
    NoFile { name: Vec<u8> },
}

impl Form {
    /// The form that makes `body` of the type `content_type`, if there is one.
    pub fn of(content_type: &str, body: &Bytes) -> Option<Self> {
        let (encoding, fields) = if content_type == URLENCODED {
            (URLENCODED, read_urlencoded(body)?)
        } else {
            let boundary = content_type.strip_prefix(MULTIPART)?.strip_prefix("; boundary=")?;
            (MULTIPART, read_multipart(boundary, body)?)
        };
        let is_text = |field: &Raw| field.texts().iter().all(|text| std::str::from_utf8(text).is_ok());
        let charset = if fields.iter().all(is_text) { Charset::Utf8 } else { Charset::Windows1252 };
        let fields = fields.into_iter().map(|field| field.read(charset)).collect::<Option<_>>()?;
        Some(Self { encoding, charset: charset.as_str(), fields })
    }

    /// Whether there is a file in it, which only a script can put into a form.
    pub fn has_files(&self) -> bool {
        self.fields.iter().any(|field| matches!(field, Field::File { .. }))
    }
}

/// The media type of a `Content-Type`, without its parameters.
pub fn media_type(content_type: &[u8]) -> &[u8] {
    content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether `content_type` is one that forms have, parameters aside.
pub fn is_form(content_type: &str) -> bool {
    let media_type = media_type(content_type.as_bytes());
    [URLENCODED, MULTIPART].iter().any(|own| media_type.eq_ignore_ascii_case(own.as_bytes()))
}

/// Whether `content_type` is that of an urlencoded form, parameters such as a charset aside.
pub fn is_urlencoded(content_type: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(URLENCODED.as_bytes())
}

fn read_urlencoded(body: &[u8]) -> Option<Vec<Raw>> {
    if body.is_empty() {
        return Some(Vec::new());
    }
    let mut fields = Vec::new();
    let mut again = String::with_capacity(body.len());
    for pair in body.split(|byte| *byte == b'&') {
        let equals = memchr::memchr(b'=', pair)?;
        let (name, value) = pair.split_at(equals);
        let [name, value] = [name, value.get(1..)?].map(decoded);
        if fields.len() == MOST_FIELDS {
            return None;
        }
        if !fields.is_empty() {
            again.push('&');
        }
        again.extend(form_urlencoded::byte_serialize(&name));
        again.push('=');
        again.extend(form_urlencoded::byte_serialize(&value));
        fields.push(Raw::Text { name, value });
    }
    (again.as_bytes() == body).then_some(fields)
}

/// What a name or a value in an urlencoded form stands for. A `%` that is not followed by two digits stands for
/// itself, as browsers and form libraries have it.
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

/// Reads parts as browsers write them (RFC 7578 leaves them more ways than they use).
fn read_multipart(boundary: &str, body: &Bytes) -> Option<Vec<Raw>> {
    let in_boundary = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    // RFC 2046 §5.1.1.
    if !(1..=70).contains(&boundary.len()) || !boundary.bytes().all(in_boundary) {
        return None;
    }
    let end = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(&end);
    let mut fields = Vec::new();
    let mut at = body.strip_prefix(end.as_bytes().get(2..)?).map(|_| end.len() - 2)?;
    loop {
        let rest = body.get(at..)?;
        if matches!(rest, b"--\r\n" | b"--") {
            return Some(fields);
        }
        if fields.len() == MOST_FIELDS {
            return None;
        }
        let head_at = at + rest.strip_prefix(b"\r\n").map(|_| 2)?;
        let head_end = head_at + memmem::find(body.get(head_at..)?, b"\r\n\r\n")?;
        let content_at = head_end + 4;
        let content_end = content_at + finder.find(body.get(content_at..)?)?;
        fields.push(read_part(body.get(head_at..head_end)?, body.slice(content_at..content_end))?);
        at = content_end + end.len();
    }
}

fn read_part(head: &[u8], content: Bytes) -> Option<Raw> {
    let rest = head.strip_prefix(b"Content-Disposition: form-data; name=\"")?;
    let (name, rest) = quoted(rest)?;
    if rest.is_empty() {
        return Some(Raw::Text { name, value: content.to_vec() });
    }
    let (filename, rest) = quoted(rest.strip_prefix(b"; filename=\"")?)?;
    let content_type = std::str::from_utf8(rest.strip_prefix(b"\r\nContent-Type: ")?).ok()?;
    if filename.is_empty() {
        let is_none = content.is_empty() && content_type == "application/octet-stream";
        return is_none.then_some(Raw::NoFile { name });
    }
    // A script cannot give a file a type in another spelling, nor put it into a folder.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !byte.is_ascii_uppercase();
    let may_be_given = !content_type.is_empty()
        && content_type.bytes().all(is_plain)
        && !filename.iter().any(|byte| matches!(byte, b'/' | b'\\'));
    let content_type = content_type.to_owned();
    may_be_given.then_some(Raw::File { name, filename, content_type, content })
}

/// Browsers escape a quotation mark, and a line's end, as `%22`, `%0D` and `%0A`, and a per cent sign
/// not at all: so what stands there is sent again as it is.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (inside, rest) = text.split_at(memchr::memchr(b'"', text)?);
    let in_line = !inside.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    in_line.then(|| Some((inside.to_vec(), rest.get(1..)?))).flatten()
}

impl Raw {
    /// What is to be understood as text.
    fn texts(&self) -> [&[u8]; 2] {
        match self {
            Self::Text { name, value } => [name, value],
            Self::File { name, filename, .. } => [name, filename],
            Self::NoFile { name } => [name, b""],
        }
    }

    fn read(self, charset: Charset) -> Option<Field> {
        let text = |bytes: &[u8]| charset.decode(bytes).filter(|text| survives(text));
        // A field without a name is not sent.
        let named = |bytes: &[u8]| text(bytes).filter(|name| !name.is_empty());
        Some(match self {
            Self::Text { name, value } => {
                let (name, value) = (named(&name)?, text(&value)?);
                // A hidden field of this name says what the form's charset is.
                if name.eq_ignore_ascii_case("_charset_") && value != charset.as_str() {
                    return None;
                }
                Field::Text { name, value }
            }
            Self::File { name, filename, content_type, content } => {
                Field::File { name: named(&name)?, filename: text(&filename)?, content_type, content }
            }
            Self::NoFile { name } => Field::NoFile { name: named(&name)? },
        })
    }
}

/// Whether a text in a page is the same when it is sent: HTML has no NUL, and forms make each line end
/// in CRLF.
fn survives(text: &str) -> bool {
    let lines = text.replace("\r\n", "");
    !lines.contains(['\0', '\r', '\n'])
}

/// Which characters the bytes are. It need not be what the application takes them for: in either of
/// these each byte is sent again as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// For old applications, whose pages are in whatever charset of one byte. Each byte is a character
    /// in this one (<https://encoding.spec.whatwg.org/index-windows-1252.txt>), and the other way round.
    Windows1252,
}

impl Charset {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Windows1252 => "windows-1252",
        }
    }

    fn decode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Windows1252 => Some(bytes.iter().map(|byte| windows_1252(*byte)).collect()),
        }
    }
}

fn windows_1252(byte: u8) -> char {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let upper = byte.checked_sub(0x80).and_then(|index| UPPER.get(usize::from(index)));
    upper.copied().unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(content_type: &str, body: &[u8]) -> Option<Form> {
        Form::of(content_type, &Bytes::copy_from_slice(body))
    }

    fn text(name: &str, value: &str) -> Field {
        Field::Text { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn what_browsers_send_is_read_as_the_fields_that_send_it() {
        for (body, charset, fields) in [
            ("", "UTF-8", vec![]),
            (
                "a=1&b=&a=%22%3C%2Fscript%3E%26",
                "UTF-8",
                vec![text("a", "1"), text("b", ""), text("a", "\"</script>&")],
            ),
            (
                "t=one%0D%0Atwo+%2B%25&%C3%A4=%E2%82%AC",
                "UTF-8",
                vec![text("t", "one\r\ntwo +%"), text("ä", "€")],
            ),
            ("t=%E4%80%81%FF&x=%C3%A4", "windows-1252", vec![text("t", "ä€\u{81}ÿ"), text("x", "Ã¤")]),
            ("_charset_=UTF-8", "UTF-8", vec![text("_charset_", "UTF-8")]),
        ] {
            let read = form(URLENCODED, body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
            assert_eq!((read.encoding, read.charset, read.fields), (URLENCODED, charset, fields), "{body}");
        }
    }

    #[test]
    fn what_no_form_would_send_like_this_is_no_form() {
        for body in [
            "a",
            "=1",
            "a=1&",
            "&",
            "a=%7e",
            "a=~",
            "a=%2f",
            "a= ",
            "a=%20",
            "a=%00",
            "a=%0A",
            "a=%0D",
            "a=%0A%0D",
            "a=%",
            "a=\"",
            "_charset_=latin1",
            "_CHARSET_=",
            "{\"a\":1}",
            "a=ä",
        ] {
            assert!(form(URLENCODED, body.as_bytes()).is_none(), "{body}");
        }
        assert!(form("application/x-www-form-urlencoded; charset=UTF-8", b"a=1").is_none());
        assert!(form("application/json", b"{}").is_none());
        assert!(form(URLENCODED, "a=1&".repeat(3000).trim_end_matches('&').as_bytes()).is_none());
    }

    const TYPE: &str = "multipart/form-data; boundary=----Xy";

    #[test]
    fn parts_are_read_as_browsers_write_them() {
        let body = b"------Xy\r\nContent-Disposition: form-data; name=\"a%22\"\r\n\r\none\r\ntwo\r\n\
            ------Xy\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x \xc3\xa4.png\"\r\nContent-Type: image/png\
            \r\n\r\n\x00\r\n--\xff\r\n\r\n\
            ------Xy\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream\
            \r\n\r\n\r\n------Xy--\r\n";
        let read = form(TYPE, body).unwrap();
        assert!(read.has_files());
        let file = Field::File {
            name: "f".to_owned(),
            filename: "x ä.png".to_owned(),
            content_type: "image/png".to_owned(),
            content: Bytes::from_static(b"\x00\r\n--\xff\r\n"),
        };
        assert_eq!(read.fields, [text("a%22", "one\r\ntwo"), file, Field::NoFile { name: "f".to_owned() }]);
        assert_eq!(form(TYPE, b"------Xy--\r\n").unwrap().fields, []);
    }

    #[test]
    fn parts_that_browsers_do_not_write_are_refused() {
        let part =
            |head: &str, content: &str| format!("------Xy\r\n{head}\r\n\r\n{content}\r\n------Xy--\r\n");
        let disposition = "Content-Disposition: form-data; name=\"a\"";
        assert!(form(TYPE, part(disposition, "x").as_bytes()).is_some());
        for (head, content) in [
            (disposition, "line\nfeed"),
            (disposition, "nul\0"),
            ("content-disposition: form-data; name=\"a\"", ""),
            ("Content-Disposition: form-data; name=a", ""),
            ("Content-Disposition: form-data; name=\"\"", ""),
            ("Content-Disposition: form-data; name=\"a\\\"b\"", ""),
            ("Content-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain", ""),
            ("Content-Disposition: form-data; name=\"a\"\r\nX-More: 1", ""),
            ("Content-Disposition: form-data; name=\"a\"; filename=\"x\"", ""),
            ("Content-Disposition: form-data; name=\"a\"; filename=\"a/x\"\r\nContent-Type: text/plain", ""),
            ("Content-Disposition: form-data; name=\"a\"; filename=\"x\"\r\nContent-Type: Text/Plain", ""),
            ("Content-Disposition: form-data; name=\"a\"; filename=\"\"\r\nContent-Type: text/plain", ""),
            (
                "Content-Disposition: form-data; name=\"a\"; filename=\"\"\r\nContent-Type: application/octet-stream",
                "x",
            ),
        ] {
            assert!(form(TYPE, part(head, content).as_bytes()).is_none(), "{head:?} {content:?}");
        }
        for body in ["", "------Xy", "------Xy\r\n", "x------Xy--\r\n", "------Xy--\r\nx", "------Xyz\r\n"] {
            assert!(form(TYPE, body.as_bytes()).is_none(), "{body:?}");
        }
        for other in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"----Xy\"",
        ] {
            assert!(form(other, part(disposition, "x").as_bytes()).is_none(), "{other:?}");
        }
    }

    #[test]
    fn every_byte_is_a_character_of_its_own_in_the_one_byte_charset() {
        let all: std::collections::BTreeSet<char> = (0..=255).map(windows_1252).collect();
        assert_eq!(all.len(), 256);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _any = form(URLENCODED, &body);
            let _any = form(TYPE, &body);
            let _any = form(TYPE, &[b"------Xy\r\n", body.as_slice(), b"\r\n------Xy--\r\n"].concat());
        }

        #[test]
        fn what_is_read_is_sent_again_byte_for_byte(
            pairs in proptest::collection::vec(("[a-z\"<&ä]{1,4}", "([ -~é]|\r\n){0,8}"), 0..6),
        ) {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let read = form(URLENCODED, body.as_bytes()).unwrap();
            let fields: Vec<Field> = pairs.iter().map(|(name, value)| text(name, value)).collect();
            prop_assert_eq!(read.fields, fields);
        }
    }

    #[test]
    fn an_urlencoded_form_is_known_by_its_media_type() {
        for content_type in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            " application/x-www-form-urlencoded ;",
        ] {
            assert!(is_urlencoded(content_type.as_bytes()), "{content_type}");
        }
        for content_type in
            ["", "multipart/form-data; boundary=x", "application/json", "application/x-www-form"]
        {
            assert!(!is_urlencoded(content_type.as_bytes()), "{content_type}");
        }
    }
}
