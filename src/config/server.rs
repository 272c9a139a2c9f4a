//! `[server]`: the public listeners and their limits.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::acme::Wanted;
use super::certificate::{self, Certificate};
use super::document::Read;
use super::listeners::Listeners;
use super::section::Section;
use super::settings::Server;
use super::text::Text;
use super::units;

const ADDRESS: &str = "write an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";

/// Reads `[server]`, all of which has defaults. Its listeners are `own` from now on, and certificates that
/// are to be asked for are `wanted`.
pub(super) fn read<'a>(
    mut section: Section<'a>,
    own: &mut Listeners,
    wanted: &mut Wanted<'a>,
) -> Read<Server> {
    let certificates = section.tables("certificate", |mut section| {
        let certificate = match wanted.read(&mut section) {
            Ok(false) => certificate::read(&mut section).map(Some),
            Ok(true) => Ok(None),
            Err(reported) => Err(reported),
        };
        section.finish();
        certificate
    });
    let certificates = certificates.map(|found| found.into_iter().flatten().collect());
    let listeners = listeners(&mut section, &certificates, wanted);
    own.public = listeners.iter().flat_map(|(http, https)| http.iter().chain(https)).copied().collect();
    own.speak_tls = listeners.as_ref().map_or(true, |(_, https)| !https.is_empty());
    own.speak_plainly = listeners.as_ref().map_or(true, |(http, _)| !http.is_empty());
    let h2c = section.flag("h2c", false);
    let workers = section.count("workers", 0, 0..=1024);
    let trusted_proxies = section.list("trusted_proxies", |text| {
        text.parse(
            units::network,
            "is not a network",
            "write one such as \"10.0.0.0/8\", or a single address",
        )
    });
    let proxy_protocol = proxy_protocol(&mut section, &trusted_proxies);
    let max_connections = section.count("max_connections", 20_000, 1..=1_000_000);
    let max_header_bytes = section.size("max_header_bytes", 32 << 10, 8 << 10..=1 << 20);
    let header_timeout =
        section.duration("header_timeout", Duration::from_millis(100)..=Duration::from_mins(10));
    let body_idle_timeout =
        section.duration("body_idle_timeout", Duration::from_millis(100)..=Duration::from_hours(1));
    let keep_alive_timeout =
        section.duration("keep_alive_timeout", Duration::from_millis(100)..=Duration::from_hours(1));
    let drain_timeout = section.duration("drain_timeout", Duration::ZERO..=Duration::from_hours(1));
    section.finish();
    let (http, https) = listeners?;
    Ok(Server {
        http,
        https,
        certificates: certificates?,
        h2c: h2c?,
        workers: workers?,
        proxy_protocol: proxy_protocol?,
        trusted_proxies: trusted_proxies?.unwrap_or_default(),
        max_connections: max_connections?,
        max_header_bytes: usize::try_from(max_header_bytes?).unwrap_or(usize::MAX),
        header_timeout: header_timeout?.unwrap_or(Duration::from_secs(10)),
        body_idle_timeout: body_idle_timeout?.unwrap_or(Duration::from_secs(30)),
        keep_alive_timeout: keep_alive_timeout?.unwrap_or(Duration::from_secs(75)),
        drain_timeout: drain_timeout?.unwrap_or(Duration::from_secs(30)),
    })
}

/// `proxy_protocol`, which shuts out all but the proxies.
fn proxy_protocol(section: &mut Section<'_>, proxies: &Read<Option<Vec<IpNet>>>) -> Read<bool> {
    let is_spoken = section.flag("proxy_protocol", false)?;
    let nobody = proxies.as_ref().is_ok_and(|proxies| proxies.as_ref().is_none_or(Vec::is_empty));
    if is_spoken && nobody {
        return Err(section.place_of("proxy_protocol").fault(
            "shuts out everybody, as there are no trusted_proxies that speak it",
            "add trusted_proxies = [\"10.0.0.0/8\"] with the addresses of the proxies, or leave it out",
        ));
    }
    Ok(is_spoken)
}

/// `http` and `https`.
fn listeners(
    section: &mut Section<'_>,
    certificates: &Read<Vec<Certificate>>,
    wanted: &Wanted<'_>,
) -> Read<(Vec<SocketAddr>, Vec<SocketAddr>)> {
    let mut seen: Vec<(SocketAddr, String)> = Vec::new();
    let http = addresses(section, "http", &mut seen);
    let https = addresses(section, "https", &mut seen);
    let (http, https) = (http?, https?.unwrap_or_default());
    if http.as_ref().is_some_and(Vec::is_empty) && https.is_empty() {
        let remedy = "write http = [\"127.0.0.1:8080\"], or leave it out for just that";
        return Err(section.place_of("http").fault("is empty: nobody could reach the gateway", remedy));
    }
    match certificates {
        Ok(certificates) if certificates.is_empty() && wanted.is_empty() && !https.is_empty() => {
            return Err(section.place_of("https").fault(
                "needs a certificate",
                "add a [[server.certificate]] with cert = \"certs/site.pem\" and key = \"certs/site.key\"",
            ));
        }
        Ok(certificates) if !(certificates.is_empty() && wanted.is_empty()) && https.is_empty() => {
            let problem = "is shown to nobody, as nothing listens for https";
            let remedy = "add https = [\"0.0.0.0:443\"] to [server], or leave the certificate out";
            let place = section.place_of("certificate");
            // Who takes the listener out for a while need not take out what belongs to it. But an authority
            // is not asked for what nobody sees.
            if !wanted.is_empty() {
                return Err(place.fault(problem, remedy));
            }
            place.remark(problem, remedy);
        }
        // Of certificates that could not be read there is nothing more to say.
        Ok(_) | Err(_) => {}
    }
    Ok((http.unwrap_or_else(|| vec![SocketAddr::from(([127, 0, 0, 1], 8080))]), https))
}

/// A list of addresses that overlap neither with each other nor with those that were `seen`.
fn addresses(
    section: &mut Section<'_>,
    name: &'static str,
    seen: &mut Vec<(SocketAddr, String)>,
) -> Read<Option<Vec<SocketAddr>>> {
    section.list(name, |text| {
        let address = socket_address(&text)?;
        if let Some((other, key)) = seen.iter().find(|(other, _)| overlap(other, &address)) {
            return Err(if *other == address {
                text.refuse("is listed twice", "leave one of them out")
            } else {
                let remedy = "leave out the one that the other covers, or give it a port of its own";
                text.refuse(&format!("overlaps with {key}"), remedy)
            });
        }
        seen.push((address, text.place.key.clone()));
        Ok(address)
    })
}

/// An address with its port.
pub(super) fn socket_address(text: &Text<'_>) -> Read<SocketAddr> {
    text.parse(|text| text.parse().ok().map(canonical), "is not an address with a port", ADDRESS)
}

/// An IPv4 address that is written as an IPv6 one is an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Whether two listeners cannot be at once. Families do not get in each other's way: an IPv6
/// listener takes IPv6 connections alone. With port 0 the system picks a port, each time another.
pub(super) fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let same_port = one.port() != 0 && one.port() == other.port();
    let wildcard = one.ip().is_unspecified() || other.ip().is_unspecified();
    same_port && one.is_ipv4() == other.is_ipv4() && (one == other || wildcard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_overlap_within_their_family() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("[fe80::1%1]:80", "[fe80::1%2]:80", false),
            ("0.0.0.0:80", "[::]:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:81", false),
            ("0.0.0.0:0", "127.0.0.1:0", false),
        ] {
            let [a, b] = [one, other].map(|text| canonical(text.parse().unwrap()));
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (expected, expected), "{one} {other}");
        }
    }

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
            assert_eq!(
                units::network(text).map(|network| network.to_string()).as_deref(),
                expected,
                "{text:?}"
            );
        }
    }
}
