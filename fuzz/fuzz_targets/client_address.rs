//! Nobody but a trusted proxy says where a request comes from, and what it says is read from the
//! right.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tollgate::domain::host::Scheme;
use tollgate::http::client::{Client, Peer};

fuzz_target!(|input: (Vec<&[u8]>, Vec<&[u8]>, &[u8], [u8; 4])| {
    let (hops, forwarded, proto, address) = input;
    let mut headers = HeaderMap::new();
    let mut append = |name: &str, value: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value);
        }
    };
    hops.iter().for_each(|value| append("x-forwarded-for", value));
    forwarded.iter().for_each(|value| append(FORWARDED.as_str(), value));
    append("x-forwarded-proto", proto);

    let trusted = ["10.0.0.0/8".parse().expect("a network"), "127.0.0.0/8".parse().expect("a network")];
    let socket = SocketAddr::new(IpAddr::from(address), 1);
    let stranger = Peer::new(socket, Scheme::Http, &[]);
    let client = Client::of(&stranger, &headers, &[]);
    assert_eq!((client.address, client.scheme), (socket.ip(), Scheme::Http), "a stranger is not believed");
    assert!(!client.by_trusted_proxy);

    let proxy = Peer::new(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 1), Scheme::Http, &trusted);
    let before = Client::of(&proxy, &headers, &trusted);
    // Another, honest proxy puts the address it sees behind whatever was said.
    let is_ours = trusted.iter().any(|network: &ipnet::IpNet| network.contains(&socket.ip()));
    let seen = HeaderValue::from_str(&socket.ip().to_string()).expect("a value");
    let mut apart = headers.clone();
    apart.append("x-forwarded-for", seen.clone());
    // Some do so in the same line.
    let in_line = |before: &HeaderValue| [before.as_bytes(), b", ", seen.as_bytes()].concat();
    let joined = hops.last().and_then(|last| HeaderValue::from_bytes(last).ok()).map_or(seen.clone(), |last| {
        HeaderValue::from_bytes(&in_line(&last)).expect("a value")
    });
    headers.insert("x-forwarded-for", joined);
    for told in [apart, headers] {
        let client = Client::of(&proxy, &told, &trusted);
        if !is_ours {
            assert_eq!(client.own_address(), Some(socket.ip()), "the nearest hop that is not ours");
        }
        assert_eq!(client.scheme, before.scheme);
    }
});
