//! Nothing that is sent as a signature makes the reader stumble; what is signed by the letter of
//! RFC 5849 is believed; and nothing else is.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use tollgate::api::session::oauth1::{Request, read};
use tollgate::config::OAuth1Credentials;
use tollgate::domain::clock::Timestamp;
use tollgate::domain::host::Origin;
use tollgate::domain::secret::Secret;

const PATH: &str = "/api/session/get-token";
const NOW: Timestamp = Timestamp::from_millis(1_763_800_000_000);

fuzz_target!(|input: (Vec<&[u8]>, &str, &[u8], bool, Vec<(&str, &str)>, &str)| {
    let (authorization, query, form, posts, parameters, nonce) = input;
    nonsense_is_not_believed(&authorization, query, form, posts);
    what_is_signed_is_believed(&parameters, nonce, posts);
});

fn nonsense_is_not_believed(authorization: &[&[u8]], query: &str, form: &[u8], posts: bool) {
    let origin = Origin::parse("https://site.test").expect("an origin");
    let request = Request {
        method: if posts { &Method::POST } else { &Method::GET },
        origin: &origin,
        path: PATH,
        query: (!query.is_empty()).then_some(query),
        authorization,
        form: posts.then_some(form),
    };
    let Ok(Some(presented)) = read(&request) else { return };
    // The key is the fuzzer's to guess; the secrets are not.
    let credentials = credentials(presented.consumer_key(), presented.token());
    assert!(presented.verify(Some(&credentials), NOW).is_err(), "believed without the secrets");
    assert!(presented.verify(None, NOW).is_err(), "believed without a key");
}

fn what_is_signed_is_believed(parameters: &[(&str, &str)], nonce: &str, posts: bool) {
    let own = |name: &str| name.starts_with("oauth_");
    let fits = |text: &str| (1..=40).contains(&text.chars().count());
    let all_fit = parameters.iter().all(|(name, value)| fits(name) && !own(name) && value.len() <= 200);
    if parameters.len() > 8 || !all_fit || !fits(nonce) {
        return;
    }
    let method = if posts { Method::POST } else { Method::GET };
    let protocol = [
        ("oauth_consumer_key", "consumer-key"),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "1763800000"),
        ("oauth_token", "access-token"),
    ];
    let signature = sign(&method, &[parameters, &protocol].concat());
    let members: Vec<String> = protocol
        .iter()
        .chain([&("oauth_signature", signature.as_str())])
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    let header = format!("OAuth {}", members.join(", "));
    let credentials = credentials("consumer-key", "access-token");

    let sent = spell(parameters);
    assert!(believed(&method, &header, &sent, &credentials), "{method} {sent} {header}");
    for (at, (name, value)) in parameters.iter().enumerate() {
        let longer = format!("{value}x");
        let mut forged = parameters.to_vec();
        forged[at] = (name, &longer);
        assert!(!believed(&method, &header, &spell(&forged), &credentials), "{method} {forged:?} {header}");
        forged.remove(at);
        assert!(!believed(&method, &header, &spell(&forged), &credentials), "{method} {forged:?} {header}");
    }
}

fn believed(method: &Method, header: &str, sent: &str, credentials: &OAuth1Credentials) -> bool {
    let origin = Origin::parse("https://site.test").expect("an origin");
    let posts = method == Method::POST;
    let request = Request {
        method,
        origin: &origin,
        path: PATH,
        query: (!posts && !sent.is_empty()).then_some(sent),
        authorization: &[header.as_bytes()],
        form: posts.then_some(sent.as_bytes()),
    };
    read(&request).ok().flatten().is_some_and(|presented| presented.verify(Some(credentials), NOW).is_ok())
}

fn credentials(consumer_key: &str, access_token: &str) -> OAuth1Credentials {
    OAuth1Credentials {
        consumer_key: consumer_key.to_owned(),
        consumer_secret: Secret::new("consumer secret & 0123456789".to_owned()),
        access_token: access_token.to_owned(),
        access_secret: Secret::new("access~secret+0123456789".to_owned()),
    }
}

/// RFC 5849 §3.4, by the letter and by other code than what is tested.
fn sign(method: &Method, parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> =
        parameters.iter().map(|(name, value)| (escape(name), escape(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let uri = format!("https://site.test{PATH}");
    let text = format!("{method}&{}&{}", escape(&uri), escape(&pairs.join("&")));
    let key = format!("{}&{}", escape("consumer secret & 0123456789"), escape("access~secret+0123456789"));
    let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("takes any key").chain_update(text);
    STANDARD.encode(mac.finalize().into_bytes())
}

fn spell(parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

/// RFC 5849 §3.6.
fn escape(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED).to_string()
}
