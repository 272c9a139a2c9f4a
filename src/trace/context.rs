//! W3C Trace Context: which trace a request belongs to, as `traceparent` and `tracestate` say.

use http::header::{HeaderMap, HeaderName};

use crate::domain::secret::hex_digit;
use crate::http::lines::only;

/// Tells the trace, and the span within it that a request comes from.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems have to tell each other besides.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The flag that says that whoever sent a request may have recorded its trace.
const SAMPLED: u8 = 1;

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace; never 0.
    pub trace: u128,
    /// The span that the request comes from; never 0.
    pub span: u64,
    /// Whether it may have been recorded.
    pub is_sampled: bool,
}

/// The length of a `traceparent` of version 00.
pub(super) const LENGTH: usize = 55;

impl Parent {
    /// The one `traceparent` among `headers`. Several are none: nobody knows which of them is meant.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(only(headers, TRACEPARENT).ok()??.as_bytes())
    }

    /// Reads a `traceparent` (§2.2.2). What a version to come may have behind the flags is passed over (§2.2.4).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let (version, rest) = known.split_first_chunk::<2>()?;
        let (trace, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<32>()?;
        let (span, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<16>()?;
        let flags = rest.strip_prefix(b"-")?;
        let version = hex(version)?;
        // 255 is never a version.
        if version == 255
            || (version == 0 && !more.is_empty())
            || more.first().is_some_and(|byte| *byte != b'-')
        {
            return None;
        }
        let (trace, span) = (hex(trace)?, u64::try_from(hex(span)?).ok()?);
        let is_sampled = hex(flags)? & u128::from(SAMPLED) != 0;
        (trace != 0 && span != 0).then_some(Self { trace, span, is_sampled })
    }

    /// Writes it in version 00.
    pub fn write(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let digits = |part: &mut [u8], number: u128| {
            for (place, digit) in part.iter_mut().rev().enumerate() {
                let [low, ..] = (number >> (4 * place)).to_le_bytes();
                *digit = hex_digit(low);
            }
        };
        if let Some(part) = text.get_mut(3..35) {
            digits(part, self.trace);
        }
        if let Some(part) = text.get_mut(36..52) {
            digits(part, self.span.into());
        }
        if let Some(part) = text.get_mut(53..) {
            digits(part, u128::from(self.is_sampled));
        }
        text
    }
}

/// A number in lower-case hexadecimal digits: others are not valid here.
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Members of a `tracestate`, at most (§2.3.1.1).
const MEMBERS: usize = 32;

/// As much of it as everybody has to pass on (§2.3.1.5 asks for 512 characters at least), and we do.
const STATE_BYTES: usize = 2048;

/// Whether the `tracestate` lines among `headers` can be passed on (§2.3.1). Whoever cannot read one drops
/// it as a whole.
pub(super) fn has_good_state(headers: &HeaderMap) -> bool {
    let (mut members, mut bytes) = (0, 0);
    for line in headers.get_all(TRACESTATE) {
        bytes += line.len();
        for member in line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            // Empty ones are allowed, and mean nothing.
            if member.is_empty() {
                continue;
            }
            members += 1;
            let at = member.iter().position(|byte| *byte == b'=');
            let pair = at.and_then(|at| Some((member.get(..at)?, member.get(at + 1..)?)));
            if !pair.is_some_and(|(key, value)| is_key(key) && is_value(value)) {
                return false;
            }
        }
    }
    members <= MEMBERS && bytes <= STATE_BYTES
}

fn is_key(key: &[u8]) -> bool {
    let fits = |byte: &u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let begins = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    begins && key.len() <= 256 && key.iter().all(fits)
}

fn is_value(value: &[u8]) -> bool {
    let fits = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    (1..=256).contains(&value.len()) && value.iter().all(fits) && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_strictly() {
        let parent = Parent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(parent.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((parent.span, parent.is_sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(parent.write(), *GOOD.as_bytes());
        for (text, is_read) in [
            (GOOD.replace("-01", "-00"), true),
            (GOOD.replace("-01", "-ff"), true),
            (GOOD.replacen("00-", "01-", 1), true),
            (format!("{}-what-comes", GOOD.replacen("00-", "cc-", 1)), true),
            (format!("{}.what-comes", GOOD.replacen("00-", "cc-", 1)), false),
            (format!("{GOOD}-more"), false),
            (format!("{GOOD}-"), false),
            (GOOD.replacen("00-", "ff-", 1), false),
            (GOOD.replacen("00-", "0G-", 1), false),
            (GOOD.to_uppercase(), false),
            (GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), false),
            (GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)), false),
            (GOOD.replace('-', "_"), false),
            (GOOD[..54].to_owned(), false),
            (format!(" {GOOD}"), false),
            (format!("{GOOD},{GOOD}"), false),
            (String::new(), false),
        ] {
            assert_eq!(Parent::parse(text.as_bytes()).is_some(), is_read, "{text}");
        }
    }

    #[test]
    fn several_traceparents_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, GOOD.parse().unwrap());
        assert!(Parent::of(&headers).is_some());
        headers.append(TRACEPARENT, GOOD.parse().unwrap());
        assert!(Parent::of(&headers).is_none());
    }

    #[test]
    fn a_tracestate_is_good_or_dropped() {
        let many = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for (lines, is_good) in [
            (vec![], true),
            (vec!["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".to_owned()], true),
            (vec!["a=1".to_owned(), "b=2".to_owned()], true),
            (vec![" a=1 , ,b@x=2 ".to_owned()], true),
            (vec![many(32)], true),
            (vec![many(33)], false),
            (vec![many(20), many(20)], false),
            (vec!["A=1".to_owned()], false),
            (vec!["a".to_owned()], false),
            (vec!["a=".to_owned()], false),
            (vec!["a=b=c".to_owned()], false),
            (vec![format!("a={}", "x".repeat(257))], false),
            (vec!["a=\u{e9}".to_owned()], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(TRACESTATE, http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            assert_eq!(has_good_state(&headers), is_good, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., is_sampled: bool) {
            let parent = Parent { trace, span, is_sampled };
            prop_assert_eq!(Parent::parse(&parent.write()), Some(parent));
        }

        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let _either = Parent::parse(&text);
        }
    }
}
