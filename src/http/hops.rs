//! The hops that a request passed through, as proxies list them: `X-Forwarded-For`, or `Forwarded`
//! (RFC 7239).
//!
//! Whoever asks writes whatever he likes to the left of what a proxy adds, in the same line too. So
//! a list is read from its right end, where the proxies are, and what is no hop ends the reading of
//! nothing but itself.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::domain::host::Scheme;

/// `X-Forwarded-For`.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What proxies say where a request comes from in. Each speaks one dialect, and what comes in the
/// other is the client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and their like.
    XForwarded,
    /// `Forwarded`.
    Forwarded,
}

/// One hop of the way; of what is no hop neither is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop<'a> {
    /// Where it is, if it names an address.
    pub(super) address: Option<IpAddr>,
    /// How it is written, if others will read it in the same way.
    pub(super) text: Option<&'a str>,
}

impl Dialect {
    /// The dialect of the nearest proxy.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let speaks_x_forwarded =
            headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(X_FORWARDED_PROTO);
        if speaks_x_forwarded { Self::XForwarded } else { Self::Forwarded }
    }

    /// The hops that are named, the nearest first.
    pub(super) fn hops(self, headers: &HeaderMap) -> impl Iterator<Item = Hop<'_>> {
        let name = match self {
            Self::XForwarded => X_FORWARDED_FOR,
            Self::Forwarded => FORWARDED,
        };
        elements(headers, name)
            .map(move |element| element.and_then(|element| self.hop(element)).unwrap_or_default())
    }

    /// What `element` says, if it is well-formed.
    fn hop(self, element: &str) -> Option<Hop<'_>> {
        let address = match self {
            Self::XForwarded => Some(address(element)?),
            Self::Forwarded => parameter(element, "for").ok()?.and_then(address),
        };
        Some(Hop { address, text: Some(element) })
    }

    /// The scheme that the nearest proxy names.
    pub(super) fn scheme(self, headers: &HeaderMap) -> Option<Scheme> {
        match self {
            Self::XForwarded => Scheme::parse(elements(headers, X_FORWARDED_PROTO).next()??),
            Self::Forwarded => {
                Scheme::parse(parameter(elements(headers, FORWARDED).next()??, "proto").ok()??)
            }
        }
    }
}

/// The elements of a list over all lines of the field, from behind; `None` for each that is not text.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Option<&str>> {
    let lines = headers.get_all(name).into_iter().rev();
    let pieces = lines.flat_map(|line| pieces_from_behind(line.as_bytes(), b','));
    pieces.map(|piece| std::str::from_utf8(piece.trim_ascii()).ok().filter(|text| text.is_ascii()))
}

/// What `separator` separates outside of quoted strings, from behind: a string that is opened on
/// the left, where the client writes, does not reach what stands to its right.
fn pieces_from_behind(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        let separated = text.iter().enumerate().rev().find(|&(place, byte)| {
            if *byte == b'"' {
                is_quoted = !is_quoted || is_escaped(text, place);
            }
            *byte == separator && !is_quoted
        });
        let Some((place, _)) = separated else { return rest.take() };
        rest = text.get(..place);
        text.get(place + 1..)
    })
}

/// Whether an odd number of backslashes stands before `place` (RFC 9110 §5.6.4).
fn is_escaped(text: &[u8], place: usize) -> bool {
    let before = text.get(..place).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// What an element of `Forwarded` is not, if it is none.
struct Malformed;

/// One parameter of an element of `Forwarded`, without its quotes (RFC 7239 §4). Values that ought
/// to be quoted and are not, such as addresses with a port, are often met, and understood.
fn parameter<'a>(element: &'a str, name: &str) -> Result<Option<&'a str>, Malformed> {
    let mut found = None;
    for pair in pieces_from_behind(element.as_bytes(), b';') {
        let pair = std::str::from_utf8(pair.trim_ascii()).map_err(|_| Malformed)?;
        if pair.is_empty() {
            continue;
        }
        let (key, value) = pair.split_once('=').ok_or(Malformed)?;
        let value = match value.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').filter(|inner| is_quotable(inner)).ok_or(Malformed)?,
            None if is_bare(value) => value,
            None => return Err(Malformed),
        };
        // None may occur twice in an element.
        let is_wanted = key.eq_ignore_ascii_case(name);
        if !is_bare(key) || is_wanted && found.replace(value).is_some() {
            return Err(Malformed);
        }
    }
    Ok(found)
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Whether `inner` may stand between quotes.
fn is_quotable(inner: &str) -> bool {
    let bytes = inner.as_bytes();
    let ends_well = !is_escaped(bytes, bytes.len());
    ends_well && bytes.iter().enumerate().all(|(place, byte)| *byte != b'"' || is_escaped(bytes, place))
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let parsed =
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    parsed.or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line).unwrap())).collect()
    }

    /// The hops in `lines`, the nearest first: their address, or `?`, and whether they are written well.
    fn read(name: &HeaderName, lines: &[&[u8]]) -> String {
        let headers = headers(name, lines);
        let hops = Dialect::of(&headers).hops(&headers).map(|hop| {
            let address = hop.address.map_or("?".to_owned(), |address| address.to_string());
            if hop.text.is_some() { address } else { format!("{address}!") }
        });
        hops.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_proxy_adds_is_read_whatever_stands_before_it() {
        for before in [
            &b""[..],
            b"\xff",
            b"a\xe9",
            b"6.6.6.6, \xff",
            b"\"",
            b"\\\"",
            b"for=\"",
            b"for=\"\\",
            b"for=\"a\\\"",
            b"for=\"a, for=6.6.6.6",
            b"for=\"\xff\"",
            b";;;",
            b",,",
        ] {
            let line = [before, b", 192.0.2.7, 10.1.1.1"].concat();
            let hops = read(&X_FORWARDED_FOR, &[&line]);
            assert!(hops.starts_with("10.1.1.1 192.0.2.7 "), "{before:?}: {hops}");
            let own = b", for=\"[2001:db8::7]:80\";host=\"a,b;for=6.6.6.6\";proto=https, for=10.1.1.1";
            let hops = read(&FORWARDED, &[&[before, own].concat()]);
            assert!(hops.starts_with("10.1.1.1 2001:db8::7 "), "{before:?}: {hops}");
        }
    }

    #[test]
    fn hops_are_read_from_behind() {
        for (lines, hops) in [
            (&[&b"192.0.2.1"[..]][..], "192.0.2.1"),
            (&[b"192.0.2.1 ,\t10.0.0.1"], "10.0.0.1 192.0.2.1"),
            (&[b"192.0.2.1", b"10.0.0.1, 10.0.0.2"], "10.0.0.2 10.0.0.1 192.0.2.1"),
            (&[b"[2001:db8::1]:443, ::ffff:192.0.2.1, [::1]"], "::1 192.0.2.1 2001:db8::1"),
            (&[b"192.0.2.1, "], "?! 192.0.2.1"),
            (&[b"unknown, 192.0.2.1:99999, 010.0.0.1, fe80::1%eth0"], "?! ?! ?! ?!"),
            (&[b""], "?!"),
        ] {
            assert_eq!(read(&X_FORWARDED_FOR, lines), hops);
        }
        for (lines, hops) in [
            (&[&b"for=192.0.2.1"[..]][..], "192.0.2.1"),
            (&[b"For=\"192.0.2.1:80\";by=_me, proto=https;for=[2001:db8::1]"], "2001:db8::1 192.0.2.1"),
            (&[b"for=_hidden, for=unknown, proto=https, "], "? ? ? ?"),
            (&[b"for=192.0.2.1;for=192.0.2.2"], "?!"),
            (&[b"for = 192.0.2.1, for=\"192.0.2.1, for"], "?! ?!"),
            (&[b"for=192.0.2.1 x, for=\"192.0.2.1\"x, for=\"192.0.2.1\\\", for=a\"b\""], "?! ?! ?! ?!"),
            (&[b"for=\"\\\"\\\\\";host=\"a\\\",b\", for=192.0.2.1;=a"], "?! ?"),
        ] {
            assert_eq!(read(&FORWARDED, lines), hops, "{:?}", lines.concat().escape_ascii().to_string());
        }
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys() {
        for (name, line, scheme) in [
            (X_FORWARDED_PROTO, &b"https"[..], Some(Scheme::Https)),
            (X_FORWARDED_PROTO, b"https, http", Some(Scheme::Http)),
            (X_FORWARDED_PROTO, b"\xff, https", Some(Scheme::Https)),
            (X_FORWARDED_PROTO, b"https, \xff", None),
            (FORWARDED, b"for=\"x, for=_a;proto=https", Some(Scheme::Https)),
            (FORWARDED, b"proto=http;proto=https", None),
            (FORWARDED, b"proto=https, for=_a", None),
        ] {
            let headers = headers(&name, &[line]);
            assert_eq!(Dialect::of(&headers).scheme(&headers), scheme, "{name} {}", line.escape_ascii());
        }
    }
}
