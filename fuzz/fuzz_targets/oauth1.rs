//! Nothing that is sent as a signature makes the reader stumble, and nothing but the secrets makes
//! it believe.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use tollgate::api::session::oauth1::{Request, read};
use tollgate::config::OAuth1Credentials;
use tollgate::domain::clock::Timestamp;
use tollgate::domain::host::Origin;
use tollgate::domain::secret::Secret;

fuzz_target!(|input: (Vec<&[u8]>, &str, &[u8], bool)| {
    let (authorization, query, form, posts) = input;
    let origin = Origin::parse("https://site.test").expect("an origin");
    let request = Request {
        method: if posts { &Method::POST } else { &Method::GET },
        origin: &origin,
        path: "/api/session/get-token",
        query: (!query.is_empty()).then_some(query),
        authorization: &authorization,
        form: posts.then_some(form),
    };
    let Ok(Some(presented)) = read(&request) else { return };
    // The key is the fuzzer's to guess; the secrets are not.
    let credentials = OAuth1Credentials {
        consumer_key: presented.consumer_key().to_owned(),
        consumer_secret: Secret::new("consumer-secret-0123456789-abcdefghijkl".to_owned()),
        access_token: presented.token().to_owned(),
        access_secret: Secret::new("access-secret-0123456789-abcdefghijklmn".to_owned()),
    };
    for seconds in [0, 1, 1_763_800_000, u64::MAX / 1000] {
        let now = Timestamp::from_millis(seconds * 1000);
        assert!(presented.verify(Some(&credentials), now).is_err(), "believed without the secrets");
        assert!(presented.verify(None, now).is_err(), "believed without a key");
    }
});
