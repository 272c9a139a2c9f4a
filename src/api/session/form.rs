//! Decoding queries and form bodies, bytes to bytes: a signature covers bytes, whether they are
//! text or not.

use http::Method;

use crate::http::form::decoded;

/// The longest query or form that is read, still encoded.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most parameters that are read from one place.
pub const MAX_PAIRS: usize = 200;

/// One decoded parameter. The order is that of the raw bytes, the name first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The bytes before the first `=`, decoded.
    pub name: Vec<u8>,
    /// The bytes behind it, decoded; empty if there is no `=`.
    pub value: Vec<u8>,
}

impl Pair {
    /// Whether the parameter belongs to OAuth and not to the API.
    pub fn is_protocol(&self) -> bool {
        self.name.starts_with(b"oauth_")
    }
}

/// Why parameters were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// More than [`MAX_BYTES`].
    #[error("the parameters are longer than {MAX_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_PAIRS`].
    #[error("there are more than {MAX_PAIRS} parameters")]
    TooMany,
    /// Bytes that are not text.
    #[error("the parameters are not UTF-8")]
    NotText,
}

/// The parameters of a request: those of the form body on POST, else those of the query. The
/// query of a POST is not looked at, whatever it says.
pub fn read(method: &Method, query: Option<&str>, form: Option<&[u8]>) -> Result<Vec<Pair>, FormFault> {
    let encoded = if method == Method::POST { form } else { query.map(str::as_bytes) };
    encoded.map_or(Ok(Vec::new()), decode)
}

/// Decodes `application/x-www-form-urlencoded`.
pub fn decode(encoded: &[u8]) -> Result<Vec<Pair>, FormFault> {
    if encoded.len() > MAX_BYTES {
        return Err(FormFault::TooLong);
    }
    let segments = encoded.split(|byte| *byte == b'&').filter(|segment| !segment.is_empty());
    let pairs: Vec<Pair> = segments.take(MAX_PAIRS + 1).map(pair).collect();
    if pairs.len() > MAX_PAIRS { Err(FormFault::TooMany) } else { Ok(pairs) }
}

fn pair(segment: &[u8]) -> Pair {
    let mut halves = segment.splitn(2, |byte| *byte == b'=').map(decoded);
    Pair { name: halves.next().unwrap_or_default(), value: halves.next().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs_of(encoded: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pairs = decode(encoded).expect("short enough");
        pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
    }

    #[test]
    fn a_form_is_decoded_byte_by_byte() {
        for (encoded, expected) in [
            (&b""[..], &[][..]),
            (b"a=1", &[(&b"a"[..], &b"1"[..])]),
            (b"a+b=c%20d", &[(b"a b", b"c d")]),
            (b"%2B=%2b&%26=%3D", &[(b"+", b"+"), (b"&", b"=")]),
            (b"a&b=&=c", &[(b"a", b""), (b"b", b""), (b"", b"c")]),
            (b"&&a=1&", &[(b"a", b"1")]),
            (b"a=b=c", &[(b"a", b"b=c")]),
            (b"a=%ff%00", &[(b"a", b"\xff\0")]),
            (b"a=%zz%4&%=%", &[(b"a", b"%zz%4"), (b"%", b"%")]),
            (b"a=%%32%35", &[(b"a", b"%25")]),
            ("ü=ü".as_bytes(), &[("ü".as_bytes(), "ü".as_bytes())]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            assert_eq!(pairs_of(encoded), expected, "{:?}", String::from_utf8_lossy(encoded));
        }
    }

    #[test]
    fn a_form_has_its_bounds() {
        assert_eq!(decode(&vec![b'a'; MAX_BYTES]).map(|pairs| pairs.len()), Ok(1));
        assert_eq!(decode(&vec![b'a'; MAX_BYTES + 1]).err(), Some(FormFault::TooLong));
        assert_eq!(decode("a&".repeat(MAX_PAIRS).as_bytes()).map(|pairs| pairs.len()), Ok(MAX_PAIRS));
        assert_eq!(decode("a&".repeat(MAX_PAIRS + 1).as_bytes()).err(), Some(FormFault::TooMany));
    }

    #[test]
    fn a_post_is_read_from_its_body_alone_and_a_get_from_its_query_alone() {
        let names = |method: &Method| -> Vec<Vec<u8>> {
            let pairs = read(method, Some("query=1"), Some(b"form=1")).expect("short enough");
            pairs.into_iter().map(|pair| pair.name).collect()
        };
        assert_eq!(names(&Method::GET), [b"query"]);
        assert_eq!(names(&Method::POST), [b"form"]);
        assert_eq!(read(&Method::POST, Some("query=1"), None).map(|pairs| pairs.len()), Ok(0));
        assert_eq!(read(&Method::GET, None, Some(b"form=1")).map(|pairs| pairs.len()), Ok(0));
    }
}
