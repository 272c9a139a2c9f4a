//! Nobody but a trusted proxy chooses the client's address.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;
use proptest::prelude::*;
use tollgate::domain::host::Scheme;
use tollgate::http::client::{Client, Peer};

use crate::hostile_text;

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = prop::sample::select(vec!["x-forwarded-for", "x-forwarded-proto", "forwarded"]);
    let address =
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let value = prop_oneof![
        hostile_text(8),
        prop::collection::vec(address.clone(), 1..4).prop_map(|hops| hops
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")),
        address.prop_map(|address| format!("for=\"[{address}]\";proto=https")),
    ];
    prop::collection::vec((name, value), 0..4).prop_map(|fields| {
        let valid = fields.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), http::HeaderValue::from_bytes(value.as_bytes()).ok()?))
        });
        valid.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    })
}

fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    Client::of(&Peer::new(SocketAddr::new(peer, 1), Scheme::Http, trusted), headers, trusted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_stranger_is_who_the_connection_says(peer: [u8; 4], headers in headers()) {
        let peer = IpAddr::from(peer);
        let trusted: Vec<IpNet> = vec!["127.0.0.1/32".parse().unwrap()];
        prop_assume!(peer != IpAddr::from([127, 0, 0, 1]));
        let client = client(peer, &headers, &trusted);
        prop_assert_eq!((client.address, client.scheme, client.by_trusted_proxy), (peer, Scheme::Http, false));
    }

    #[test]
    fn a_trusted_proxys_client_is_named_in_its_headers_or_is_the_proxy(headers in headers()) {
        let proxy = IpAddr::from([127, 0, 0, 1]);
        let trusted: Vec<IpNet> = vec!["127.0.0.1/32".parse().unwrap()];
        let client = client(proxy, &headers, &trusted);
        let named = headers.values().any(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let candidates = text.split([',', ';', '=', '"', '[', ']', ' ']);
            candidates.chain(text.split([',', ' ']))
                .filter_map(|text| text.trim().parse::<IpAddr>().ok().or(text.parse::<SocketAddr>().ok().map(|s| s.ip())))
                .any(|address| address.to_canonical() == client.address)
        });
        prop_assert!(client.address == proxy || named, "{client:?} from {headers:?}");
    }
}
