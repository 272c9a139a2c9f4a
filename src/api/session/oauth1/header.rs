//! Reading `Authorization: OAuth …` (RFC 5849 §3.5.1).

use percent_encoding::percent_decode;

use super::super::form::{MAX_PAIRS, Pair};

/// Why an `Authorization: OAuth` header was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Two headers of that name.
    #[error("there is more than one Authorization header")]
    Several,
    /// Something that is no parameter.
    #[error("a parameter has no name")]
    NoName,
    /// A name alone.
    #[error("a parameter has no value")]
    NoValue,
    /// A quoted value that does not end.
    #[error("a closing quotation mark is missing")]
    Unclosed,
    /// Something between a value and the next comma.
    #[error("a comma is missing between two parameters")]
    NoComma,
    /// A `%` without two digits behind it.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    Escape,
    /// More than [`MAX_PAIRS`].
    #[error("there are more than {MAX_PAIRS} parameters")]
    TooMany,
}

/// The parameters in the values of the Authorization headers, without `realm`; `None` if the
/// scheme is not OAuth.
pub(super) fn read(values: &[&[u8]]) -> Result<Option<Vec<Pair>>, HeaderFault> {
    let Some(parameters) = values.iter().find_map(|value| behind_scheme(value)) else {
        return Ok(None);
    };
    if values.len() > 1 {
        return Err(HeaderFault::Several);
    }
    parse(parameters).map(Some)
}

fn behind_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, parameters) = value.trim_ascii().split_at_checked(b"OAuth".len())?;
    let ends = parameters.first().is_none_or(|byte| is_space(*byte));
    (scheme.eq_ignore_ascii_case(b"OAuth") && ends).then_some(parameters)
}

fn parse(text: &[u8]) -> Result<Vec<Pair>, HeaderFault> {
    let mut rest = Cursor(text);
    let mut pairs = Vec::new();
    loop {
        // A list may have empty members (RFC 9110 §5.6.1.2).
        rest.take_while(|byte| is_space(byte) || byte == b',');
        if rest.0.is_empty() {
            return Ok(pairs);
        }
        let name = rest.name()?;
        let value = rest.value()?;
        rest.end()?;
        if name.eq_ignore_ascii_case(b"realm") {
            continue;
        }
        if pairs.len() == MAX_PAIRS {
            return Err(HeaderFault::TooMany);
        }
        pairs.push(Pair { name: unescape(name)?, value: unescape(&value)? });
    }
}

/// What of the header is still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn name(&mut self) -> Result<&'a [u8], HeaderFault> {
        let name = self.take_while(|byte| !is_space(byte) && !matches!(byte, b',' | b'=' | b'"'));
        if name.is_empty() { Err(HeaderFault::NoName) } else { Ok(name) }
    }

    fn value(&mut self) -> Result<Vec<u8>, HeaderFault> {
        self.take_while(is_space);
        if !self.skip(b'=') {
            return Err(HeaderFault::NoValue);
        }
        self.take_while(is_space);
        if self.skip(b'"') {
            return self.quoted();
        }
        Ok(self.take_while(|byte| !is_space(byte) && !matches!(byte, b',' | b'"')).to_vec())
    }

    fn quoted(&mut self) -> Result<Vec<u8>, HeaderFault> {
        let mut value = Vec::new();
        loop {
            value.extend_from_slice(self.take_while(|byte| !matches!(byte, b'"' | b'\\')));
            match self.0 {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return Ok(value);
                }
                [_backslash, escaped, rest @ ..] => {
                    value.push(*escaped);
                    self.0 = rest;
                }
                _ => return Err(HeaderFault::Unclosed),
            }
        }
    }

    fn end(&mut self) -> Result<(), HeaderFault> {
        self.take_while(is_space);
        if matches!(self.0.first(), None | Some(b',')) { Ok(()) } else { Err(HeaderFault::NoComma) }
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !belongs(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Here a `+` stands for itself, and an escape that is none is a fault: nobody types a header.
fn unescape(text: &[u8]) -> Result<Vec<u8>, HeaderFault> {
    let mut behind_percent = text.split(|byte| *byte == b'%').skip(1);
    let digits = |part: &[u8]| part.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if behind_percent.all(digits) { Ok(percent_decode(text).collect()) } else { Err(HeaderFault::Escape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Result<Option<Vec<(String, String)>>, HeaderFault> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let pairs = read(&[value.as_bytes()])?;
        Ok(pairs.map(|pairs| pairs.into_iter().map(|pair| (text(pair.name), text(pair.value))).collect()))
    }

    #[test]
    fn a_header_is_read_however_it_is_laid_out() {
        let expected = [("oauth_a", "1/="), ("oauth_b", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        for value in [
            r#"OAuth oauth_a="1%2F%3D",oauth_b="""#,
            r#"oauth oauth_a="1/%3D", oauth_b="""#,
            r#"OAUTH	realm="a, oauth_c=\"x\" é%",oauth_a="1%2f%3d" ,	oauth_b="" "#,
            r#"OAuth ,, oauth_a = "1%2F%3D" ,, , oauth_b = "",,"#,
            r#"OAuth oauth_a="1\/\%3D", oauth_b="", Realm=x"#,
            "OAuth oauth_a=1/%3D,oauth_b=",
            r#"  OAuth   oauth%5Fa="1%2F%3D",oauth_b="""#,
        ] {
            assert_eq!(parsed(value).as_ref().map(Option::as_deref), Ok(Some(&expected[..])), "{value}");
        }
        assert_eq!(parsed("OAuth"), Ok(Some(vec![])));
        assert_eq!(parsed("OAuth oauth_a=1+2"), Ok(Some(vec![("oauth_a".into(), "1+2".into())])));
    }

    #[test]
    fn another_scheme_is_not_ours() {
        for value in ["", "Bearer x", "OAuth2 x", "OAut", "OAuthoauth_a=1", "Basic OAuth", "é"] {
            assert_eq!(parsed(value), Ok(None), "{value}");
        }
    }

    #[test]
    fn garbage_is_named() {
        for (value, fault) in [
            (r#"OAuth oauth_a="1"#, HeaderFault::Unclosed),
            (r#"OAuth oauth_a="1\"#, HeaderFault::Unclosed),
            (r#"OAuth oauth_a="1" oauth_b="2""#, HeaderFault::NoComma),
            (r#"OAuth oauth_a="1"2"#, HeaderFault::NoComma),
            (r#"OAuth oauth_a=1"2""#, HeaderFault::NoComma),
            (r#"OAuth ="1""#, HeaderFault::NoName),
            (r#"OAuth "oauth_a"="1""#, HeaderFault::NoName),
            ("OAuth abcdef", HeaderFault::NoValue),
            ("OAuth oauth_a, oauth_b=1", HeaderFault::NoValue),
            ("OAuth oauth_a=%", HeaderFault::Escape),
            ("OAuth oauth_a=%4", HeaderFault::Escape),
            ("OAuth oauth_a=%zz", HeaderFault::Escape),
            ("OAuth oauth%_a=1", HeaderFault::Escape),
        ] {
            assert_eq!(parsed(value), Err(fault), "{value}");
        }
        assert_eq!(parsed(&format!("OAuth {}", "a=1,".repeat(MAX_PAIRS + 1))), Err(HeaderFault::TooMany));
        assert_eq!(read(&[b"OAuth a=1", b"OAuth a=1"]).err(), Some(HeaderFault::Several));
        assert_eq!(read(&[b"Bearer x", b"OAuth a=1"]).err(), Some(HeaderFault::Several));
    }
}
