//! Numbers and addresses as text, without the machinery of `fmt`: these are written for each request.

use std::io::Write as _;
use std::net::IpAddr;

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
    fn the_ends_are_written_whole() {
        for value in [0, 9, 10, u64::MAX] {
            assert_eq!(written(|to| number(to, value)), value.to_string());
        }
    }
}
