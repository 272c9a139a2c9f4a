//! Clients as they are, unchanged.

use super::signers::{Parameters, Signer, form, owned};
use super::*;

const ENDPOINT: &str = "https://intranet.example.com/api/session/get-token";

/// Whatever clients escape in different ways, and two names that sort differently once escaped.
fn awkward() -> Parameters {
    owned(&[
        ("email", "jörg+x@example.com"),
        ("full_name", "Jörg O'Neil & Söhne ~*"),
        ("return_url", "/a b?c=d&e=%20#f~"),
        ("a[0]", ""),
        ("aB", "1"),
    ])
}

const SECRETS: (&str, &str) = ("s3cr&t ~/", "tök");

/// What Python's `urlencode` makes of [`awkward`].
const PYTHON: &str = "email=j%C3%B6rg%2Bx%40example.com&full_name=J%C3%B6rg+O%27Neil+%26+S%C3%B6hne+~%2A\
    &return_url=%2Fa+b%3Fc%3Dd%26e%3D%2520%23f~&a%5B0%5D=&aB=1";

#[test]
fn what_oauthlib_signs_is_believed() {
    // Made with oauthlib 4.0.1.
    let header = |signature| {
        format!(
            "OAuth oauth_nonce=\"5f1c~n\", oauth_timestamp=\"1700000000\", oauth_version=\"1.0\", \
             oauth_signature_method=\"HMAC-SHA1\", oauth_consumer_key=\"consumer%20key\", \
             oauth_token=\"token\", oauth_signature=\"{signature}\""
        )
    };
    let in_form = |signature| {
        format!(
            "{PYTHON}&oauth_nonce=5f1c~n&oauth_timestamp=1700000000&oauth_version=1.0\
             &oauth_signature_method=HMAC-SHA1&oauth_consumer_key=consumer+key&oauth_token=token\
             &oauth_signature={signature}"
        )
    };
    let (get, post) = ("hFuV5%2F%2FfY6w%2BsCF3pVvQpJvOFNA%3D", "X%2FSumByYXPX5JHXWoQEVYRLtlbE%3D");
    let (first, second) = PYTHON.split_once("&return_url").unwrap();
    let own = credentials(("consumer key", SECRETS.0), ("token", SECRETS.1));
    for sent in [
        Sent::get(&format!("{ENDPOINT}?{PYTHON}")).header(&header(get)),
        Sent::post(ENDPOINT).header(&header(post)).form(PYTHON),
        Sent::post(ENDPOINT).form(&in_form(post)),
        Sent::get(&format!("{ENDPOINT}?{}", in_form(get))),
        Sent::post(&format!("{ENDPOINT}?{first}")).header(&header(post)).form(&format!("return_url{second}")),
    ] {
        assert!(sent.verify(&own, 1_700_000_000).is_ok(), "{sent:?}");
    }
}

#[test]
fn what_the_php_client_signs_is_believed() {
    // Made with PHP 8.2.
    let header = |signature| {
        format!(
            "OAuth realm=\"http://https://intranet.example.com\", oauth_consumer_key=\"consumer-key\", \
             oauth_token=\"token\", oauth_signature_method=\"HMAC-SHA1\", oauth_signature=\"{signature}\", \
             oauth_timestamp=\"1700000000\", oauth_nonce=\"5f1cn\", oauth_version=\"1.0\""
        )
    };
    let encoded = PYTHON.replace('~', "%7E");
    let own = credentials(("consumer-key", SECRETS.0), ("token", SECRETS.1));
    for sent in [
        Sent::get(&format!("{ENDPOINT}?{encoded}")).header(&header("713qmFuJInM8q1ZzLaZVkXnIzZ8%3D")),
        Sent::post(ENDPOINT).header(&header("yJnBaO3dhYVQsC6ZTQ42%2B2dHucc%3D")).form(&encoded),
    ] {
        assert!(sent.verify(&own, 1_700_000_000).is_ok(), "{sent:?}");
    }
}

#[test]
fn what_the_node_client_signs_is_believed() {
    // Made with Node.js: the host as configured, port 443 named, names sorted unescaped.
    let header = "OAuth oauth_consumer_key=\"consumer-key\", oauth_nonce=\"5f1cn\", \
        oauth_signature_method=\"HMAC-SHA1\", oauth_timestamp=\"1700000000\", oauth_token=\"token\", \
        oauth_version=\"1.0\", oauth_signature=\"V2gfHaXXl9PL%2BZqH0yMsjI6GSAw%3D\"";
    let form = "email=j%C3%B6rg%2Bx%40example.com&full_name=J%C3%B6rg%20O'Neil%20%26%20S%C3%B6hne%20~*\
        &return_url=%2Fa%20b%3Fc%3Dd%26e%3D%2520%23f~&a%5B0%5D=&aB=1&format=json&raw=1";
    let sent = Sent::post(ENDPOINT).header(header).form(form);
    let own = credentials(("consumer-key", SECRETS.0), ("token", SECRETS.1));
    assert!(sent.verify(&own, 1_700_000_000).is_ok());
}

#[test]
fn the_ports_of_both_clients_sign_as_the_clients_do() {
    let signer = Signer::new(SECRETS.0, SECRETS.1);
    let mut parameters = awkward();
    assert!(signer.php("GET", ENDPOINT, &parameters).contains("713qmFuJInM8q1ZzLaZVkXnIzZ8%3D"));
    assert!(signer.php("POST", ENDPOINT, &parameters).contains("yJnBaO3dhYVQsC6ZTQ42%2B2dHucc%3D"));
    parameters.extend(owned(&[("format", "json"), ("raw", "1")]));
    assert!(signer.node("POST", ENDPOINT, &parameters).contains("V2gfHaXXl9PL%2BZqH0yMsjI6GSAw%3D"));
}

#[test]
fn every_mixture_of_spaces_tildes_and_raw_secrets_is_believed() {
    let signer = Signer::new(SECRETS.0, SECRETS.1);
    let oauth = "oauth_consumer_key=consumer-key&oauth_nonce=n&oauth_signature_method=HMAC-SHA1\
        &oauth_timestamp=1700000000&oauth_token=token";
    for (space, tilde) in [("%20", "~"), ("%20", "%7E"), ("+", "~"), ("+", "%7E")] {
        for key in ["s3cr%26t%20~%2F&t%C3%B6k", "s3cr&t ~/&tök"] {
            let once = format!("a=b{space}c{tilde}&{oauth}");
            let twice = [("%", "%25"), ("&", "%26"), ("=", "%3D"), ("+", "%2B")]
                .iter()
                .fold(once, |text, (plain, escaped)| text.replace(plain, escaped));
            let twice = if tilde == "~" { twice } else { twice.replace('~', "%7E") };
            let text = format!("POST&https%3A%2F%2Fintranet.example.com%2Fapi%2Fsession%2Fget-token&{twice}");
            let signature = signers::mac(key, &text).replace('+', "%2B");
            let sent = Sent::post(ENDPOINT).form(&format!("a=b+c~&{oauth}&oauth_signature={signature}"));
            assert!(sent.verify(&signer.credentials(), 1_700_000_000).is_ok(), "{space} {tilde} {key}");
        }
    }
}

#[test]
fn a_post_may_be_signed_with_its_query_or_without() {
    let signer = Signer::new("a", "b");
    let (query, body) = (owned(&[("email", "q@example.com")]), owned(&[("email", "b@example.com")]));
    for signed in [&body, &[query.clone(), body.clone()].concat()] {
        let header = signers::header(&signer.rfc("POST", ENDPOINT, signed));
        let sent = Sent::post(&format!("{ENDPOINT}?{}", form(&query))).header(&header).form(&form(&body));
        assert!(sent.verify(&signer.credentials(), 1_700_000_000).is_ok(), "{signed:?}");
    }
    // The query cannot stand in for the body.
    let header = signers::header(&signer.rfc("POST", ENDPOINT, &query));
    let sent = Sent::post(&format!("{ENDPOINT}?{}", form(&query))).header(&header).form(&form(&body));
    assert_eq!(sent.verify(&signer.credentials(), 1_700_000_000), Err(sent.mismatch()));
}
