//! Stories of signed requests: who is believed, and who is not.

mod clients;
mod laws;
mod reading;
mod rfc;
mod signers;
mod tampering;

use super::*;
use crate::domain::secret::Secret;

/// A request on its way.
#[derive(Clone, Debug)]
struct Sent {
    method: Method,
    origin: String,
    path: String,
    query: Option<String>,
    authorization: Vec<Vec<u8>>,
    form: Option<Vec<u8>>,
}

impl Sent {
    fn get(url: &str) -> Self {
        Self::to(Method::GET, url)
    }

    fn post(url: &str) -> Self {
        Self::to(Method::POST, url)
    }

    fn to(method: Method, url: &str) -> Self {
        let (address, query) =
            url.split_once('?').map_or((url, None), |(before, query)| (before, Some(query)));
        let path = address.match_indices('/').nth(2).expect("an absolute URL with a path").0;
        Self {
            method,
            origin: address[..path].to_owned(),
            path: address[path..].to_owned(),
            query: query.map(str::to_owned),
            authorization: Vec::new(),
            form: None,
        }
    }

    fn header(mut self, value: &str) -> Self {
        self.authorization.push(value.as_bytes().to_vec());
        self
    }

    fn form(mut self, body: &str) -> Self {
        self.form = Some(body.as_bytes().to_vec());
        self
    }

    fn read(&self) -> Result<Option<Presented>, SignatureFault> {
        let authorization: Vec<&[u8]> = self.authorization.iter().map(Vec::as_slice).collect();
        read(&Request {
            method: &self.method,
            origin: &Origin::parse(&self.origin).expect("an origin"),
            path: &self.path,
            query: self.query.as_deref(),
            authorization: &authorization,
            form: self.form.as_deref(),
        })
    }

    fn presented(&self) -> Presented {
        self.read().expect("well-formed").expect("signed")
    }

    fn verify(&self, credentials: &OAuth1Credentials, now: u64) -> Result<Nonce, SignatureFault> {
        let presented = self.read()?.expect("signed");
        presented.verify(Some(credentials), Timestamp::from_millis(now * 1000))
    }

    /// What is presented is right but for the signature.
    fn mismatch(&self) -> SignatureFault {
        SignatureFault::Mismatch { method: self.method.clone(), uri: format!("{}{}", self.origin, self.path) }
    }
}

fn credentials(consumer: (&str, &str), access: (&str, &str)) -> OAuth1Credentials {
    OAuth1Credentials {
        consumer_key: consumer.0.to_owned(),
        consumer_secret: Secret::new(consumer.1.to_owned()),
        access_token: access.0.to_owned(),
        access_secret: Secret::new(access.1.to_owned()),
    }
}
