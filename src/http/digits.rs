//! Numbers and addresses as text: written without the machinery of `fmt`, as these are for each request, and read
//! more strictly than by `parse`.

use std::io::Write as _;
use std::net::IpAddr;

/// As many digits as always fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// The number that `text` is, if it has digits and nothing else.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let is_decimal = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_decimal)?.parse().ok()
}

/// The same where there is no zero before others: that has been read as octal.
pub fn plain_decimal(text: &[u8]) -> Option<u64> {
    let is_plain = text.len() <= MAX_DIGITS && !matches!(text, [b'0', _, ..]);
    decimal(text).filter(|_| is_plain)
}

/// A number in decimal digits.
pub fn number(to: &mut Vec<u8>, mut value: u64) {
    // As many as 2^64 has.
    let mut digits = [b'0'; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// A fraction of a second with its three digits.
pub fn millis(to: &mut Vec<u8>, value: u64) {
    let digit = |place: u64| b'0' + u8::try_from(value / place % 10).unwrap_or(0);
    to.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

/// An address as everybody writes it.
pub fn address(to: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        // Writing to memory does not fail.
        let _infallible = write!(to, "{address}");
        return;
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            to.push(b'.');
        }
        number(to, octet.into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).unwrap()
    }

    proptest! {
        #[test]
        fn they_are_what_fmt_writes(value: u64, fraction in 0_u64..1000, octets: [u8; 4], v6: u128) {
            prop_assert_eq!(written(|to| number(to, value)), value.to_string());
            prop_assert_eq!(written(|to| number(to, fraction)), fraction.to_string());
            prop_assert_eq!(written(|to| millis(to, fraction)), format!("{fraction:03}"));
            for ip in [IpAddr::from(octets), IpAddr::V6(v6.into())] {
                prop_assert_eq!(written(|to| address(to, ip)), ip.to_string());
            }
        }
    }

    #[test]
    fn only_digits_are_read() {
        for (text, decimal_is, plain_is) in [
            (&b"0"[..], Some(0), Some(0)),
            (b"10", Some(10), Some(10)),
            (b"010", Some(10), None),
            (b"00", Some(0), None),
            (b"9999999999999999999", Some(9_999_999_999_999_999_999), Some(9_999_999_999_999_999_999)),
            (b"10000000000000000000", Some(10_000_000_000_000_000_000), None),
            (b"18446744073709551616", None, None),
            (b"", None, None),
            (b"+1", None, None),
            (b"1 ", None, None),
            (b"\xd9\xa1", None, None),
        ] {
            assert_eq!(
                (decimal(text), plain_decimal(text)),
                (decimal_is, plain_is),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn the_ends_are_written_whole() {
        for value in [0, 9, 10, u64::MAX] {
            assert_eq!(written(|to| number(to, value)), value.to_string());
        }
    }
}
