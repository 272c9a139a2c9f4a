//! The PROXY protocol, versions 1 and 2: a proxy says before anything else whose
//! connection it passes on.
//!
//! Whether it is spoken is settled beforehand and never guessed from what comes: otherwise any
//! client could say who it is (the protocol's specification, section 2).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::look_ahead::look_ahead;
use crate::http::client::ProxiedSource;
use crate::http::digits::plain_decimal;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and protocol, and the length of the rest.
const FIXED: usize = 16;

/// The longest line in version 1.
const LONGEST_LINE: usize = 107;

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// How many bytes it has, with what is not read of it.
    length: usize,
    /// Whose connection it is; `None` for the proxy's own.
    source: Option<ProxiedSource>,
}

/// What a connection begins with is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came was not a valid PROXY protocol header")]
struct Malformed;

/// Takes the header off `stream`; whose connection it is, unless it is the proxy's own. How long
/// that may take is the caller's business.
pub(super) async fn introduce(stream: &mut TcpStream) -> io::Result<Option<ProxiedSource>> {
    let judge = |came: &[u8]| read(came).transpose();
    let header = look_ahead(stream, &mut [0; LONGEST_LINE], judge).await?.unwrap_or(Err(Malformed));
    let Header { length, source } = header.map_err(io::Error::other)?;
    let mut left = length;
    let mut unread = [0; 256];
    while left > 0 {
        let room = unread.get_mut(..left.min(256)).unwrap_or_default();
        left -= stream.read_exact(room).await?;
    }
    Ok(source)
}

/// Reads the beginning of a connection; `None` if more has to come. Of what is as long as the
/// longest line in version 1, there is always a verdict.
fn read(came: &[u8]) -> Result<Option<Header>, Malformed> {
    if let Some(rest) = came.strip_prefix(SIGNATURE) {
        read_binary(rest)
    } else if SIGNATURE.starts_with(came) {
        Ok(None)
    } else {
        read_line(came)
    }
}

/// Version 1 (section 2.1): a line.
fn read_line(came: &[u8]) -> Result<Option<Header>, Malformed> {
    const START: &[u8] = b"PROXY ";
    let Some(end) = came.windows(2).position(|pair| pair == b"\r\n") else {
        let may_become_one = came.len() < LONGEST_LINE && came.iter().zip(START).all(|(a, b)| a == b);
        return if may_become_one { Ok(None) } else { Err(Malformed) };
    };
    let line = came.get(..end).and_then(|line| line.strip_prefix(START)).ok_or(Malformed)?;
    let length = end + 2;
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(Some(Header { length, source: Some(ProxiedSource::Unknown) }));
    }
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = words.as_slice() else {
        return Err(Malformed);
    };
    let is_whole = match *family {
        "TCP4" => [source, destination].iter().all(|address| address.parse::<Ipv4Addr>().is_ok()),
        "TCP6" => [source, destination].iter().all(|address| address.parse::<Ipv6Addr>().is_ok()),
        _ => false,
    };
    let is_port = |text: &str| plain_decimal(text.as_bytes()).is_some_and(|port| u16::try_from(port).is_ok());
    let has_ports = is_port(source_port) && is_port(destination_port);
    let address = source.parse().ok().filter(|_| is_whole && has_ports).ok_or(Malformed)?;
    Ok(Some(Header { length, source: Some(ProxiedSource::Address(address)) }))
}

/// Version 2 (section 2.2), behind its signature.
fn read_binary(rest: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((&[command, family, high, low], addresses)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    let header = |source| Ok(Some(Header { length: FIXED + announced, source }));
    let address = |source| Some(ProxiedSource::Address(source));
    // Version and command, then family and protocol: whatever else there is has to be dropped.
    match (command, family) {
        // TCP over IPv4.
        (0x21, 0x11) => match addresses.first_chunk::<12>() {
            _ if announced < 12 => Err(Malformed),
            Some(&[a, b, c, d, ..]) => header(address(Ipv4Addr::new(a, b, c, d).into())),
            None => Ok(None),
        },
        // TCP over IPv6.
        (0x21, 0x21) => match addresses.first_chunk::<36>() {
            _ if announced < 36 => Err(Malformed),
            Some(addresses) => match addresses.first_chunk::<16>() {
                Some(source) => header(address(Ipv6Addr::from(*source).into())),
                None => Ok(None),
            },
            None => Ok(None),
        },
        // LOCAL, whatever else is said.
        (0x20, _) => header(None),
        // PROXY with nothing said of where it comes from, with datagrams, and with Unix sockets.
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => header(Some(ProxiedSource::Unknown)),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family, length[0], length[1]][..], rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 127, 0, 0, 1, 0xd4, 0x31, 1, 0xbb];

    fn v6() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
        [&source.octets()[..], &[0; 16], &[0xd4, 0x31, 1, 0xbb]].concat()
    }

    #[test]
    fn whose_connection_it_is() {
        let tlv = [&V4[..], &[4, 0, 1, 0]].concat();
        let long = [&V4[..], &[4, 0xff, 0xf0], &vec![0; 0xfff0][..]].concat();
        let from = |address: &str| Some(ProxiedSource::Address(address.parse().unwrap()));
        let unknown = Some(ProxiedSource::Unknown);
        for (bytes, source) in [
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 54321 443\r\n".to_vec(), from("192.0.2.7")),
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 0 65535\r\n".to_vec(), from("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 54321 443\r\n".to_vec(), from("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), unknown),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2 and so on\r\n".to_vec(), unknown),
            (binary(0x21, 0x11, &V4), from("192.0.2.7")),
            (binary(0x21, 0x11, &tlv), from("192.0.2.7")),
            (binary(0x21, 0x11, &long), from("192.0.2.7")),
            (binary(0x21, 0x21, &v6()), from("2001:db8::7")),
            (binary(0x20, 0x11, &V4), None),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x21, 0x00, b"anything"), unknown),
            (binary(0x21, 0x31, &[b'/'; 216]), unknown),
            (binary(0x21, 0x12, &V4), unknown),
        ] {
            let header = Header { length: bytes.len(), source };
            let with_more = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(read(&with_more), Ok(Some(header)), "{:?}", String::from_utf8_lossy(&bytes));
            // However little has come of it, it is never taken for something else.
            for length in 0..bytes.len().min(LONGEST_LINE) {
                let judged = read(&bytes[..length]);
                assert!(judged == Ok(None) || judged == Ok(Some(header)), "{length} of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_LINE));
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abc",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"PROXY\r\n",
            b"PROXY \r\n",
            b"PROXX TCP4",
            b"proxy TCP4 192.0.2.7 127.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2 3\r\n",
            b"PROXY TCP4  192.0.2.7 127.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2 \r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 65536 2\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 +1 2\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 -1 2\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1  2\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 080 443\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 80 0443\r\n",
            b"PROXY TCP4 192.0.2.7 127.0.0.1 00 443\r\n",
            b"PROXY TCP4 192.0.2.256 127.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.07 127.0.0.1 1 2\r\n",
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n",
            b"PROXY TCP6 [2001:db8::7] ::1 1 2\r\n",
            b"PROXY TCP4 site.test 127.0.0.1 1 2\r\n",
            b"PROXY UDP4 192.0.2.7 127.0.0.1 1 2\r\n",
            b"PROXY UNKNOWNS\r\n",
            b"PROXY TCP4 \xff\xfe 127.0.0.1 1 2\r\n",
            endless.as_bytes(),
            &binary(0x11, 0x11, &V4),
            &binary(0x31, 0x11, &V4),
            &binary(0x22, 0x11, &V4),
            &binary(0x21, 0x41, &V4),
            &binary(0x21, 0x13, &V4),
            &binary(0x21, 0x11, &V4[..11]),
            &binary(0x21, 0x21, &V4),
            &binary(0x21, 0x21, &v6()[..35]),
            b"\r\n\r\n\0\r\nQUIT\r",
            b"\r\n\r\nGET / HTTP/1.1",
        ] {
            assert_eq!(read(bytes), Err(Malformed), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn there_is_a_verdict_before_the_room_ends(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let judged = read(&bytes);
            prop_assert!(bytes.len() < LONGEST_LINE || judged != Ok(None));
            let judged = read(&[SIGNATURE, &bytes[..]].concat());
            prop_assert!(bytes.len() < LONGEST_LINE || judged != Ok(None));
        }
    }
}
