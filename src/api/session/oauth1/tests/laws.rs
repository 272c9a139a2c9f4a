//! What holds for any request.

use proptest::prelude::*;

use super::signers::{Parameters, Signer, form, header};
use super::*;

const URL: &str = "https://intranet.example.com/api/~echo";
const NOW: u64 = 1_700_000_000;

/// Text with more than its share of what is escaped, sorted and split in special ways.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ ~+%&=a-cA-C\\[\\]_.*'()-]{0,12}", any::<String>()]
}

/// Names are unlike each other, as in a PHP array or a JavaScript object.
fn parameters() -> impl Strategy<Value = Parameters> {
    let named = proptest::collection::btree_map("[a-zA-Z\\[\\]~ é*-]{1,6}", text(), 0..8);
    named.prop_map(|parameters| parameters.into_iter().collect())
}

fn signer() -> impl Strategy<Value = Signer> {
    (text(), text(), text(), text(), "[!-~]{1,40}", NOW - 300..=NOW + 300).prop_map(
        |(consumer_key, consumer_secret, token, access_secret, nonce, seconds)| Signer {
            consumer: (consumer_key, consumer_secret),
            access: (token, access_secret),
            seconds,
            nonce,
        },
    )
}

/// Bytes that get some way into the parser before they fail, or do not fail.
fn header_like() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop_oneof![
        "[ ,=\"\\\\%]{0,3}",
        "(oauth_(consumer_key|token|signature_method|signature|timestamp|nonce|version)|realm)",
        "=\"(HMAC-SHA1|1\\.0|1700000000|n|AAAAAAAAAAAAAAAAAAAAAAAAAAA%3D)\",",
        any::<String>(),
    ];
    let text = proptest::collection::vec(parts, 0..40)
        .prop_map(|parts| format!("OAuth {}", parts.concat()).into_bytes());
    prop_oneof![text, any::<Vec<u8>>()]
}

proptest! {
    #[test]
    fn nothing_that_comes_in_panics(
        post in any::<bool>(),
        headers in proptest::collection::vec(header_like(), 0..2),
        query in proptest::option::of(text()),
        body in proptest::option::of(any::<Vec<u8>>()),
        now in any::<u64>(),
    ) {
        let mut sent = if post { Sent::post(URL) } else { Sent::get(URL) };
        sent.authorization = headers;
        sent.query = query;
        sent.form = body;
        if let Ok(Some(presented)) = sent.read() {
            prop_assert!(presented.verify(None, Timestamp::from_millis(now)).is_err());
            let guess = credentials((presented.consumer_key(), "a"), (presented.token(), "b"));
            prop_assert!(presented.verify(Some(&guess), Timestamp::from_millis(now)).is_err());
        }
    }

    #[test]
    fn whoever_signs_by_the_rfc_is_believed(
        signer in signer(),
        parameters in parameters(),
        repeated in parameters(),
        place in 0..4,
    ) {
        let parameters = [parameters, repeated].concat();
        let own = form(&parameters);
        let sent = match place {
            0 => Sent::get(&format!("{URL}?{own}")).header(&header(&signer.rfc("GET", URL, &parameters))),
            1 => Sent::post(URL).header(&header(&signer.rfc("POST", URL, &parameters))).form(&own),
            2 => Sent::get(&format!("{URL}?{own}&{}", form(&signer.rfc("GET", URL, &parameters)))),
            _ => Sent::post(URL).form(&format!("{own}&{}", form(&signer.rfc("POST", URL, &parameters)))),
        };
        prop_assert!(sent.verify(&signer.credentials(), NOW).is_ok(), "{:?}", sent);
    }

    #[test]
    fn whoever_signs_as_the_php_client_is_believed(mut signer in signer(), parameters in parameters(), post in any::<bool>()) {
        // The client writes its names into the header as into a form; a space in them would
        // arrive as a plus.
        signer.consumer.0 = signer.consumer.0.replace(' ', "_");
        signer.access.0 = signer.access.0.replace(' ', "_");
        signer.nonce = signer.nonce.replace(['"', '\\', '%'], "_");
        let sent = if post {
            Sent::post(URL).header(&signer.php("POST", URL, &parameters)).form(&form(&parameters))
        } else {
            Sent::get(&format!("{URL}?{}", form(&parameters))).header(&signer.php("GET", URL, &parameters))
        };
        prop_assert!(sent.verify(&signer.credentials(), NOW).is_ok(), "{:?}", sent);
    }

    #[test]
    fn whoever_signs_as_the_node_client_is_believed(signer in signer(), parameters in parameters()) {
        let sent = Sent::post(URL).header(&signer.node("POST", URL, &parameters)).form(&form(&parameters));
        prop_assert!(sent.verify(&signer.credentials(), NOW).is_ok(), "{:?}", sent);
    }
}
