//! `[server]`: the public listeners and their limits.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::document::Read;
use super::section::Section;
use super::settings::Server;
use super::text::Text;

const ADDRESS: &str = "write an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";

/// Reads `[server]`, all of which has defaults.
pub(super) fn read(mut section: Section<'_>) -> Read<Server> {
    let http = listeners(&mut section);
    let workers = section.count("workers", 0, 0..=1024);
    let trusted_proxies = section.list("trusted_proxies", |text| {
        text.parse(network, "is not a network", "write one such as \"10.0.0.0/8\", or a single address")
    });
    let max_connections = section.count("max_connections", 20_000, 1..=1_000_000);
    let max_header_bytes = section.size("max_header_bytes", 32 << 10, 1 << 10..=1 << 20);
    let header_timeout =
        section.duration("header_timeout", Duration::from_millis(100)..=Duration::from_mins(10));
    let drain_timeout = section.duration("drain_timeout", Duration::ZERO..=Duration::from_hours(1));
    section.finish();
    Ok(Server {
        http: http?,
        workers: workers?,
        trusted_proxies: trusted_proxies?.unwrap_or_default(),
        max_connections: max_connections?,
        max_header_bytes: usize::try_from(max_header_bytes?).unwrap_or(usize::MAX),
        header_timeout: header_timeout?.unwrap_or(Duration::from_secs(10)),
        drain_timeout: drain_timeout?.unwrap_or(Duration::from_secs(30)),
    })
}

fn listeners(section: &mut Section<'_>) -> Read<Vec<SocketAddr>> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    let listeners = section.list("http", |text| {
        let address = socket_address(&text)?;
        // With port 0 the system picks a port, each time another.
        if address.port() != 0 && seen.contains(&address) {
            return Err(text.refuse("is listed twice", "leave one of them out"));
        }
        seen.push(address);
        Ok(address)
    })?;
    match listeners {
        None => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 8080))]),
        Some(none) if none.is_empty() => {
            let remedy = "write http = [\"127.0.0.1:8080\"], or leave it out for just that";
            Err(section.place_of("http").fault("is empty: nobody could reach the gateway", remedy))
        }
        Some(listeners) => Ok(listeners),
    }
}

/// An address with its port.
pub(super) fn socket_address(text: &Text<'_>) -> Read<SocketAddr> {
    text.parse(|text| text.parse().ok(), "is not an address with a port", ADDRESS)
}

/// A network in CIDR notation; a bare address is a network of one.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.ok().map(|network| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        for (text, expected) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("127.0.0.1", Some("127.0.0.1/32")),
            ("::1", Some("::1/128")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("10.0.0.0/33", None),
            ("10.0.0/8", None),
            ("localhost", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), expected, "{text:?}");
        }
    }
}
