//! Requests that somebody changed on their way, and keys that are not theirs.

use super::signers::{Parameters, Signer, form, header, owned};
use super::*;

const URL: &str = "https://intranet.example.com:8443/api/session/get-token";
const NOW: u64 = 1_700_000_000;

fn parameters() -> Parameters {
    owned(&[("email", "a+b@example.com"), ("return_url", "/x y?z=~&w=1"), ("raw", "")])
}

fn signer() -> Signer {
    Signer::new("consumer secret", "access~secret")
}

/// One request for each place that a signature and the parameters can be in.
fn signed_everywhere() -> [Sent; 4] {
    let (get, post) = (signer().rfc("GET", URL, &parameters()), signer().rfc("POST", URL, &parameters()));
    let with = |protocol: &Parameters| form(&[parameters(), protocol.clone()].concat());
    [
        Sent::get(&format!("{URL}?{}", form(&parameters()))).header(&header(&get)),
        Sent::post(URL).header(&header(&post)).form(&form(&parameters())),
        Sent::get(&format!("{URL}?{}", with(&get))),
        Sent::post(URL).form(&with(&post)),
    ]
}

fn is_believed(sent: &Sent) -> bool {
    let now = Timestamp::from_millis(NOW * 1000);
    let presented = sent.read().ok().flatten();
    presented.is_some_and(|presented| presented.verify(Some(&signer().credentials()), now).is_ok())
}

/// What a request says, however it is spelled.
fn meaning(sent: &Sent) -> Option<Vec<Pair>> {
    let authorization: Vec<&[u8]> = sent.authorization.iter().map(Vec::as_slice).collect();
    let mut pairs = header::read(&authorization).ok()?.unwrap_or_default();
    pairs.extend(form::read(&sent.method, sent.query.as_deref(), sent.form.as_deref()).ok()?);
    pairs.sort();
    Some(pairs)
}

/// `text` with each of its bytes replaced, removed, doubled or followed by another.
fn variations(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let with = |at: usize, instead: &[u8]| [&text[..at], instead, &text[at + 1..]].concat();
    (0..text.len()).flat_map(move |at| {
        let own = text[at];
        let replaced = *b"0aA%&=+~ ;,\"\\\xff";
        let mut all: Vec<Vec<u8>> = replaced.iter().map(|other| with(at, &[*other])).collect();
        all.extend([with(at, &[own ^ 1]), with(at, &[own ^ 0x20]), with(at, &[]), with(at, &[own, own])]);
        all.extend([with(at, &[own, b'0']), with(at, &[own, b'&']), with(at, &[own, b'%', b'2', b'0'])]);
        all.retain(|other| other != text);
        all
    })
}

#[test]
fn a_change_of_any_byte_is_noticed_unless_it_changes_nothing() {
    for sent in signed_everywhere() {
        assert!(is_believed(&sent), "{sent:?}");
        let original = meaning(&sent);
        let mut changed = Vec::new();
        for header in sent.authorization.iter().flat_map(|header| variations(header)) {
            changed.push(Sent { authorization: vec![header], ..sent.clone() });
        }
        for body in sent.form.iter().flat_map(|form| variations(form)) {
            changed.push(Sent { form: Some(body), ..sent.clone() });
        }
        let queries = sent.query.iter().flat_map(|query| variations(query.as_bytes()));
        for query in queries.filter_map(|query| String::from_utf8(query).ok()) {
            changed.push(Sent { query: Some(query), ..sent.clone() });
        }
        let noticed = changed.iter().filter(|changed| !is_believed(changed)).count();
        assert!(noticed * 100 > changed.len() * 95, "{noticed} of {}", changed.len());
        for changed in changed.iter().filter(|changed| is_believed(changed)) {
            assert!(meaning(changed).is_some() && meaning(changed) == original, "{changed:?}");
        }
    }
}

#[test]
fn another_address_or_method_is_noticed() {
    let [get, post, in_query, in_form] = signed_everywhere();
    for sent in [&get, &post, &in_query, &in_form] {
        for path in variations(sent.path.as_bytes()).filter_map(|path| String::from_utf8(path).ok()) {
            assert!(!is_believed(&Sent { path: path.clone(), ..sent.clone() }), "{path}");
        }
        for origin in [
            "http://intranet.example.com:8443",
            "https://intranet.example.com",
            "https://intranet.example.com:8444",
            "https://intranet.example.org:8443",
        ] {
            assert!(!is_believed(&Sent { origin: origin.to_owned(), ..sent.clone() }), "{origin}");
        }
        let upper = Sent { origin: "HTTPS://Intranet.Example.COM:8443".to_owned(), ..sent.clone() };
        assert!(is_believed(&upper));
    }
    assert!(!is_believed(&Sent { method: Method::HEAD, ..get.clone() }));
    let as_post = Sent { method: Method::POST, form: get.query.clone().map(String::into_bytes), ..get };
    assert!(!is_believed(&as_post));
}

#[test]
fn other_secrets_and_other_names_are_refused_alike() {
    let own = signer();
    for sent in signed_everywhere() {
        for (consumer, access) in [
            (("consumer-key", "Consumer secret"), ("token", "access~secret")),
            (("consumer-key", "consumer secret"), ("token", "access~secret ")),
            (("consumer-key", ""), ("token", "")),
            (("consumer-key", "access~secret"), ("token", "consumer secret")),
            // The right secrets under another name were looked up wrongly.
            (("Consumer-key", "consumer secret"), ("token", "access~secret")),
            (("consumer-key", "consumer secret"), ("", "access~secret")),
        ] {
            assert_eq!(
                sent.verify(&credentials(consumer, access), NOW),
                Err(sent.mismatch()),
                "{consumer:?}"
            );
        }
        let stranger = sent.presented().verify(None, Timestamp::from_millis(NOW * 1000));
        assert_eq!(stranger, Err(sent.mismatch()));
        assert!(sent.verify(&own.credentials(), NOW).is_ok());
    }
}

#[test]
fn whoever_has_no_credentials_cannot_sign_with_empty_secrets() {
    let mut nobody = Signer::new("", "");
    nobody.consumer.0 = "nobody".to_owned();
    let sent = Sent::get(URL).header(&header(&nobody.rfc("GET", URL, &vec![])));
    let now = Timestamp::from_millis(NOW * 1000);
    assert_eq!(sent.presented().verify(None, now), Err(sent.mismatch()));
}

#[test]
fn a_refusal_tells_what_should_have_been_signed_and_no_secret() {
    let [sent, ..] = signed_everywhere();
    let refusal = sent.presented().verify(None, Timestamp::from_millis(NOW * 1000)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the consumer key, the token or the signature is wrong, or what was signed is not \
         GET https://intranet.example.com:8443/api/session/get-token with the parameters that came in",
    );
}
