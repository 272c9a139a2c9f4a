//! Clients, written anew from what they do and not from the code that judges them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::*;

/// Names and values in the clear.
pub(super) type Parameters = Vec<(String, String)>;

/// What a client is set up with, and the time and nonce it comes up with.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) consumer: (String, String),
    pub(super) access: (String, String),
    pub(super) seconds: u64,
    pub(super) nonce: String,
}

impl Signer {
    pub(super) fn new(consumer_secret: &str, access_secret: &str) -> Self {
        Self {
            consumer: ("consumer-key".into(), consumer_secret.into()),
            access: ("token".into(), access_secret.into()),
            seconds: 1_700_000_000,
            nonce: "5f1cn".into(),
        }
    }

    pub(super) fn credentials(&self) -> OAuth1Credentials {
        credentials((&self.consumer.0, &self.consumer.1), (&self.access.0, &self.access.1))
    }

    fn protocol(&self) -> Parameters {
        let seconds = self.seconds.to_string();
        owned(&[
            ("oauth_consumer_key", &self.consumer.0),
            ("oauth_nonce", &self.nonce),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", &seconds),
            ("oauth_token", &self.access.0),
            ("oauth_version", "1.0"),
        ])
    }

    /// The parameters of the protocol with the signature over them and `parameters`, by the RFC.
    pub(super) fn rfc(&self, method: &str, uri: &str, parameters: &Parameters) -> Parameters {
        let mut protocol = self.protocol();
        let all = [parameters.as_slice(), &protocol].concat();
        let mut pairs: Vec<_> =
            all.iter().map(|(name, value)| (rawurlencode(name), rawurlencode(value))).collect();
        pairs.sort();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = [method, &rawurlencode(uri), &rawurlencode(&pairs.join("&"))].join("&");
        let key = format!("{}&{}", rawurlencode(&self.consumer.1), rawurlencode(&self.access.1));
        protocol.push(("oauth_signature".into(), mac(&key, &text)));
        protocol
    }

    /// The header of the PHP client: everything through `urlencode`, sorted before that, with
    /// the secrets as they are.
    pub(super) fn php(&self, method: &str, uri: &str, parameters: &Parameters) -> String {
        let mut all = [parameters.as_slice(), &self.protocol()].concat();
        all.sort();
        let pairs: Vec<_> = all.iter().map(|(n, v)| format!("{}={}", urlencode(n), urlencode(v))).collect();
        let text = format!("{method}&{}&{}", urlencode(uri), urlencode(&pairs.join("&")));
        let signature = mac(&format!("{}&{}", self.consumer.1, self.access.1), &text);
        format!(
            "OAuth realm=\"http://{uri}\", oauth_consumer_key=\"{}\", oauth_token=\"{}\", \
             oauth_signature_method=\"HMAC-SHA1\", oauth_signature=\"{}\", oauth_timestamp=\"{}\", \
             oauth_nonce=\"{}\", oauth_version=\"1.0\"",
            urlencode(&self.consumer.0),
            urlencode(&self.access.0),
            urlencode(&signature),
            self.seconds,
            self.nonce,
        )
    }

    /// The header of the Node.js client: escaped by the RFC, but sorted as JavaScript sorts the
    /// bare names.
    pub(super) fn node(&self, method: &str, uri: &str, parameters: &Parameters) -> String {
        let mut all = [parameters.as_slice(), &self.protocol()].concat();
        all.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
        let pairs: Vec<_> =
            all.iter().map(|(n, v)| format!("{}={}", rawurlencode(n), rawurlencode(v))).collect();
        let text = [method, &rawurlencode(uri), &rawurlencode(&pairs.join("&"))].join("&");
        let key = format!("{}&{}", rawurlencode(&self.consumer.1), rawurlencode(&self.access.1));
        let mut protocol = self.protocol();
        protocol.push(("oauth_signature".into(), mac(&key, &text)));
        header(&protocol)
    }
}

/// `parameters` as an Authorization header.
pub(super) fn header(parameters: &Parameters) -> String {
    let quoted = |(name, value): &(String, String)| format!("{name}=\"{}\"", rawurlencode(value));
    format!("OAuth {}", parameters.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// `parameters` as a query or form, with `+` for a space.
pub(super) fn form(parameters: &Parameters) -> String {
    let pairs: Vec<_> =
        parameters.iter().map(|(n, v)| format!("{}={}", urlencode(n), urlencode(v))).collect();
    pairs.join("&")
}

pub(super) fn owned(parameters: &[(&str, &str)]) -> Parameters {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn mac(key: &str, text: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    BASE64.encode(mac.chain_update(text).finalize().into_bytes())
}

const PHP_RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
const RESERVED: AsciiSet = PHP_RESERVED.remove(b'~');

/// PHP's name for what the RFC asks.
fn rawurlencode(text: &str) -> String {
    percent_encode(text.as_bytes(), &RESERVED).to_string()
}

fn urlencode(text: &str) -> String {
    percent_encode(text.as_bytes(), &PHP_RESERVED).to_string().replace("%20", "+")
}
