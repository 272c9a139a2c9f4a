//! Which addresses are one customer's.

use std::net::IpAddr;

/// A number for an IPv4 address, or for the /64 network of an IPv6 address: a single customer has all
/// of it.
pub fn network_of(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
    }
}
