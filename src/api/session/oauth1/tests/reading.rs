//! What a request presents, and what is wrong with it.

use super::*;

const URL: &str = "https://intranet.example.com/api/echo";

const PROTOCOL: [(&str, &str); 7] = [
    ("oauth_consumer_key", "c"),
    ("oauth_token", "t"),
    ("oauth_signature_method", "HMAC-SHA1"),
    ("oauth_signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D"),
    ("oauth_timestamp", "1700000000"),
    ("oauth_nonce", "n"),
    ("oauth_version", "1.0"),
];

/// [`PROTOCOL`] with another value for `name`, or without it.
fn form_with(name: &str, value: Option<&str>) -> String {
    let others = PROTOCOL.into_iter().filter(|(own, _)| *own != name);
    let all: Vec<_> =
        others.chain(value.map(|value| (name, value))).map(|(n, v)| format!("{n}={v}")).collect();
    all.join("&")
}

fn fault(sent: &Sent) -> Option<SignatureFault> {
    sent.read().err()
}

#[test]
fn a_request_without_oauth_presents_nothing() {
    for sent in [
        Sent::get(URL),
        Sent::get(&format!("{URL}?a=1&oauth=2")),
        Sent::get(URL).header("Bearer x"),
        Sent::get(URL).header("Bearer x").header("Basic y"),
        Sent::post(&format!("{URL}?{}", form_with("", None))),
        Sent::post(URL).form("a=1"),
        Sent::get(URL).form(&form_with("", None)),
    ] {
        assert!(matches!(sent.read(), Ok(None)), "{sent:?}");
    }
}

#[test]
fn oauth_is_found_in_each_of_its_places_and_spread_over_them() {
    let form = form_with("", None);
    let header = format!("OAuth {}", form.replace('&', ","));
    let (half, other_half) = form.split_once("&oauth_signature").unwrap();
    let other_half = format!("oauth_signature{other_half}");
    for sent in [
        Sent::get(&format!("{URL}?{form}")),
        Sent::post(URL).form(&form),
        Sent::get(URL).header(&header),
        Sent::post(URL).header(&header).form("a=1"),
        Sent::post(URL).header(&format!("OAuth {}", half.replace('&', ","))).form(&other_half),
        Sent::get(&format!("{URL}?{half}")).header(&format!("OAuth {}", other_half.replace('&', ","))),
    ] {
        let presented = sent.presented();
        assert_eq!((presented.consumer_key(), presented.token()), ("c", "t"), "{sent:?}");
    }
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    use SignatureFault::{Method, Missing, Nonce, NotText, Signature, Timestamp, Version};
    let long = "n".repeat(256);
    for (name, value, expected) in [
        ("oauth_consumer_key", None, Missing("oauth_consumer_key")),
        ("oauth_consumer_key", Some("%ff"), NotText("oauth_consumer_key")),
        ("oauth_token", Some("%ff"), NotText("oauth_token")),
        ("oauth_signature_method", None, Missing("oauth_signature_method")),
        ("oauth_signature_method", Some("PLAINTEXT"), Method),
        ("oauth_signature_method", Some("RSA-SHA1"), Method),
        ("oauth_signature_method", Some("HMAC-SHA256"), Method),
        ("oauth_signature_method", Some("hmac-sha1"), Method),
        ("oauth_signature", None, Missing("oauth_signature")),
        ("oauth_signature", Some(""), Signature),
        ("oauth_signature", Some("AAAA"), Signature),
        ("oauth_signature", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA"), Signature),
        ("oauth_signature", Some("AAAAAAAAAAAAAAAAAAAAAAAAAAB%3D"), Signature),
        ("oauth_signature", Some("%26%26"), Signature),
        ("oauth_timestamp", None, Missing("oauth_timestamp")),
        ("oauth_timestamp", Some(""), Timestamp),
        ("oauth_timestamp", Some("0"), Timestamp),
        ("oauth_timestamp", Some("-1"), Timestamp),
        ("oauth_timestamp", Some("%2B1"), Timestamp),
        ("oauth_timestamp", Some("1.5"), Timestamp),
        ("oauth_timestamp", Some("1e9"), Timestamp),
        ("oauth_timestamp", Some("99999999999999999999"), Timestamp),
        ("oauth_timestamp", Some("%D9%A1"), Timestamp),
        ("oauth_nonce", None, Missing("oauth_nonce")),
        ("oauth_nonce", Some(""), Nonce),
        ("oauth_nonce", Some(&long), Nonce),
        ("oauth_version", Some("1.0a"), Version),
        ("oauth_version", Some("2.0"), Version),
        ("oauth_version", Some(""), Version),
    ] {
        assert_eq!(fault(&Sent::post(URL).form(&form_with(name, value))), Some(expected), "{name}={value:?}");
    }
    for (name, value) in [("oauth_version", None), ("oauth_token", None), ("oauth_nonce", Some(&long[1..]))] {
        assert_eq!(fault(&Sent::post(URL).form(&form_with(name, value))), None, "{name}={value:?}");
    }
    assert_eq!(fault(&Sent::get(URL).header("OAuth")), Some(Missing("oauth_consumer_key")));
    let garbled = fault(&Sent::get(URL).header("OAuth oauth_nonce=\"")).unwrap();
    assert_eq!(
        garbled.to_string(),
        "the Authorization header cannot be read: a closing quotation mark is missing"
    );
}

#[test]
fn nothing_of_oauth_may_come_twice() {
    let form = form_with("", None);
    for (name, value) in PROTOCOL {
        let again = format!("{form}&{name}={value}");
        let header = format!("OAuth {name}=\"{value}\"");
        for sent in [
            Sent::post(URL).form(&again),
            Sent::get(&format!("{URL}?{again}")),
            Sent::get(URL).header(&format!("OAuth {}", again.replace('&', ","))),
            Sent::post(URL).header(&header).form(&form),
            Sent::get(&format!("{URL}?{form}")).header(&header),
        ] {
            assert_eq!(fault(&sent), Some(SignatureFault::Repeated(name)), "{sent:?}");
        }
    }
    let others = Sent::post(URL).form(&format!("{form}&oauth_x=1&oauth_x=2"));
    assert_eq!(fault(&others).unwrap().to_string(), "a parameter of OAuth was sent twice");
    // The query of a POST is not one of the places.
    assert_eq!(fault(&Sent::post(&format!("{URL}?{form}")).form(&form)), None);
}

#[test]
fn a_request_has_five_minutes() {
    let signer = signers::Signer::new("a", "b");
    let sent = Sent::get(URL).header(&signers::header(&signer.rfc("GET", URL, &vec![])));
    let presented = sent.presented();
    let sent_at = Timestamp::from_millis(signer.seconds * 1000);
    let verify = |now| presented.verify(Some(&signer.credentials()), now);
    let early = Timestamp::from_millis(sent_at.as_millis() - 300_000);
    let nonce = verify(sent_at).unwrap();
    assert_eq!(verify(early), Ok(nonce));
    assert_eq!(verify(sent_at.after(TOLERANCE)), Ok(nonce));
    let too_early = Timestamp::from_millis(early.as_millis() - 1);
    assert_eq!(verify(too_early), Err(SignatureFault::Stale { now: signer.seconds - 301 }));
    assert_eq!(verify(nonce.expires_at), Err(SignatureFault::Stale { now: signer.seconds + 300 }));
    assert_eq!(
        SignatureFault::Stale { now: 5 }.to_string(),
        "oauth_timestamp is more than 300 seconds off: it is 5 here"
    );
}

#[test]
fn the_end_of_time_does_not_overflow() {
    let form = form_with("oauth_timestamp", Some(&u64::MAX.to_string()));
    let presented = Sent::post(URL).form(&form).presented();
    for now in [0, u64::MAX] {
        assert!(presented.verify(None, Timestamp::from_millis(now)).is_err());
    }
}

#[test]
fn a_nonce_is_known_by_all_that_makes_it_unique() {
    let key = |consumer: &str, token: &str, seconds: u64, nonce: &str| {
        let mut signer = signers::Signer::new("a", "b");
        signer.consumer.0 = consumer.to_owned();
        signer.access.0 = token.to_owned();
        signer.seconds = seconds;
        signer.nonce = nonce.to_owned();
        let sent = Sent::get(URL).header(&signers::header(&signer.rfc("GET", URL, &vec![])));
        sent.verify(&signer.credentials(), seconds).expect("believed").key
    };
    let keys = [
        key("c", "t", 11, "n"),
        key("ct", "", 11, "n"),
        key("", "ct", 11, "n"),
        key("c", "t1", 1, "n"),
        key("c", "t", 1, "1n"),
        key("c", "t", 11, "N"),
    ];
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    assert_eq!(keys[0], key("c", "t", 11, "n"));
}
