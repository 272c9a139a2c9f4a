//! Durations, sizes and networks as people write them. Strict, so that a slip of the pen is a fault and not
//! a thousandfold timeout.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::clock::millis;

/// Milliseconds of each unit of time, the largest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Bytes of each unit of size; a bare number is in bytes.
const SIZES: [(&str, u64); 9] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

/// Reads a duration: whole numbers, each with a unit (`d`, `h`, `m`, `s`, `ms`), the larger units
/// first, such as `30m` or `1h30m`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut units = TIMES.iter();
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        // Taking from the iterator is what holds the order: a unit that is behind is gone.
        let (_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*milliseconds)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// Reads a size: a whole number and perhaps a unit, such as `512`, `10MB` or `1MiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = leading_number(text)?;
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*bytes)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// Writes a duration so that [`duration`] reads it back.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = millis(duration);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut shown = String::new();
    for (name, milliseconds) in TIMES {
        let count = rest / milliseconds;
        rest %= milliseconds;
        if count > 0 {
            let _infallible = write!(shown, "{count}{name}");
        }
    }
    shown
}

/// Writes a size so that [`size`] reads it back.
pub(super) fn show_size(bytes: u64) -> String {
    let binary = SIZES.iter().filter(|(name, _)| name.ends_with("iB"));
    let exact = binary.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    exact.map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// A network in CIDR notation; a bare address is a network of one.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.ok().map(|network| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        for (text, milliseconds) in [
            ("30m", 1_800_000),
            ("24h", 86_400_000),
            ("5s", 5_000),
            ("250ms", 250),
            ("0s", 0),
            ("007s", 7_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("1m1ms", 60_001),
            ("90m", 5_400_000),
            ("213503982334d", 18_446_744_073_657_600_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text:?}");
        }
        for text in [
            "",
            " ",
            "0",
            "30",
            "m",
            "-5s",
            "+5s",
            "5 s",
            " 5s",
            "5s ",
            "1.5h",
            "5S",
            "5sec",
            "5min",
            "1w",
            "30m1h",
            "1m1m",
            "1h 30m",
            "1h30",
            "٥s",
            "5µs",
            "18446744073709551616ms",
            "18446744073709551615s",
            "213503982335d",
            "213503982334d23h59m59s999ms",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_whole_numbers_of_bytes_or_of_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("32KiB", 32_768),
            ("1MiB", 1_048_576),
            ("2GiB", 2_147_483_648),
            ("10KB", 10_000),
            ("10kB", 10_000),
            ("10MB", 10_000_000),
            ("1GB", 1_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(size(text), Some(bytes), "{text:?}");
        }
        for text in [
            "",
            " ",
            "MiB",
            "-1",
            "+1",
            "1.5MiB",
            "1 MiB",
            " 1",
            "1 ",
            "1M",
            "1mb",
            "1Mib",
            "1TB",
            "1KiBKiB",
            "1KiB1",
            "0x10",
            "18446744073709551616",
            "17179869184GiB",
        ] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        for (milliseconds, shown) in [(0, "0s"), (100, "100ms"), (5_400_000, "1h30m"), (3_600_000, "1h")] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(show_duration(expected), shown);
            assert_eq!(duration(shown), Some(expected));
        }
        for (bytes, shown) in
            [(0, "0"), (1_000, "1000"), (1_024, "1KiB"), (1_048_576, "1MiB"), (1_025, "1025")]
        {
            assert_eq!(show_size(bytes), shown);
            assert_eq!(size(shown), Some(bytes));
        }
    }
}
