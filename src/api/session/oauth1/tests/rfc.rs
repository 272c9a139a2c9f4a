//! The examples of RFC 5849.

use super::*;

#[test]
fn the_requests_of_section_1_2_are_believed() {
    let consumer = ("dpf43f3p2l4k3l03", "kd94hf93k423kf44");
    let initiate = Sent::post("https://photos.example.net/initiate").header(
        "OAuth realm=\"Photos\",oauth_consumer_key=\"dpf43f3p2l4k3l03\",\
         oauth_signature_method=\"HMAC-SHA1\",oauth_timestamp=\"137131200\",oauth_nonce=\"wIjqoS\",\
         oauth_callback=\"http%3A%2F%2Fprinter.example.com%2Fready\",\
         oauth_signature=\"74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D\"",
    );
    let token = Sent::post("https://photos.example.net/token").header(
        "OAuth realm=\"Photos\",oauth_consumer_key=\"dpf43f3p2l4k3l03\",oauth_token=\"hh5s93j4hdidpola\",\
         oauth_signature_method=\"HMAC-SHA1\",oauth_timestamp=\"137131201\",oauth_nonce=\"walatlh\",\
         oauth_verifier=\"hfdp7dh39dks9884\",oauth_signature=\"gKgrFCywp7rO0OXSjdot%2FIHF7IU%3D\"",
    );
    let photos = Sent::get("http://photos.example.net/photos?file=vacation.jpg&size=original").header(
        "OAuth realm=\"Photos\",oauth_consumer_key=\"dpf43f3p2l4k3l03\",oauth_token=\"nnch734d00sl2jdk\",\
         oauth_signature_method=\"HMAC-SHA1\",oauth_timestamp=\"137131202\",oauth_nonce=\"chapoH\",\
         oauth_signature=\"MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D\"",
    );
    for (sent, access) in [
        (initiate, ("", "")),
        (token, ("hh5s93j4hdidpola", "hdhd0244k9j7ao03")),
        (photos, ("nnch734d00sl2jdk", "pfkkdhi9sl3r4s00")),
    ] {
        let presented = sent.presented();
        assert_eq!((presented.consumer_key(), presented.token()), (consumer.0, access.0), "{sent:?}");
        assert!(sent.verify(&credentials(consumer, access), 137_131_200).is_ok(), "{sent:?}");
    }
}

#[test]
fn the_request_of_section_3_4_1_is_believed_with_its_true_signature() {
    // The signature that the RFC prints is not one over the base string that it prints. The one
    // here is oauthlib's over the same.
    let header = "OAuth realm=\"Example\",oauth_consumer_key=\"9djdj82h48djs9d2\",\
         oauth_token=\"kkk9d7dh3k39sjv7\",oauth_signature_method=\"HMAC-SHA1\",\
         oauth_timestamp=\"137131201\",oauth_nonce=\"7d8f3e4a\",\
         oauth_signature=\"r6%2FTJjbCOr97%2F%2BUU0NsvSne7s5g%3D\"";
    let sent = Sent::post("http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b");
    let sent = sent.header(header).form("c2&a3=2+q");
    let own = credentials(("9djdj82h48djs9d2", "j49sk3j29djd"), ("kkk9d7dh3k39sjv7", "dh893hdasih9"));
    assert!(sent.verify(&own, 137_131_201).is_ok());
}

#[test]
fn an_address_is_signed_without_its_default_port_and_with_its_path_as_sent() {
    // §3.4.1.2, with the base strings written out.
    let oauth = "oauth_consumer_key=c&oauth_nonce=n&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1";
    for (url, uri) in [
        ("http://EXAMPLE.COM:80/r%20v/X", "http%3A%2F%2Fexample.com%2Fr%2520v%2FX"),
        ("https://www.example.net:8080/", "https%3A%2F%2Fwww.example.net%3A8080%2F"),
    ] {
        let parameters = format!("id=123&{oauth}").replace('=', "%3D").replace('&', "%26");
        let signature = signers::mac("s&", &format!("GET&{uri}&{parameters}")).replace('+', "%2B");
        let sent = Sent::get(&format!("{url}?id=123&{oauth}&oauth_signature={signature}"));
        assert!(sent.verify(&credentials(("c", "s"), ("", "")), 1).is_ok(), "{url}");
    }
}
