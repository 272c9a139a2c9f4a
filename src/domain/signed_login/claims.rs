//! What a signed token says, and when that is good (RFC 7519 §4.1).

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Unproven;
use crate::domain::clock::Timestamp;
use crate::domain::site::SiteName;

/// The longest life that a token may have. Until it is over, what was redeemed has to be remembered.
const MAX_LIFE: Duration = Duration::from_mins(5);

/// How far the login page's clock may be ahead.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

const MAX_ID_BYTES: usize = 200;

/// A JSON object in which no name stands twice: of two values for one name one would be judged, and
/// another one used (RFC 8725 §2.4, RFC 7519 §4).
#[derive(Clone, Debug)]
pub struct Claims(pub(super) Map<String, Value>);

impl Claims {
    /// When it ends, if it holds for `site` at `now`.
    pub(super) fn hold(&self, site: &SiteName, now: Timestamp) -> Result<Timestamp, Unproven> {
        if !self.is_for(site) {
            return Err(Unproven::OtherSite);
        }
        let issued_at = self.time("iat")?.ok_or(Unproven::Incomplete("iat"))?;
        let expires_at = self.time("exp")?.ok_or(Unproven::Incomplete("exp"))?;
        let not_before = self.time("nbf")?.unwrap_or(issued_at);
        if expires_at <= issued_at || issued_at.until(expires_at) > MAX_LIFE {
            return Err(Unproven::TooLongLived);
        }
        if expires_at <= now {
            return Err(Unproven::Expired);
        }
        if now.after(CLOCK_SKEW) < issued_at.max(not_before) {
            return Err(Unproven::NotYet);
        }
        Ok(expires_at)
    }

    /// The name that no other token of its key has.
    pub(super) fn id(&self) -> Result<&str, Unproven> {
        let id = self.0.get("jti").and_then(Value::as_str);
        id.filter(|id| (1..=MAX_ID_BYTES).contains(&id.len())).ok_or(Unproven::Incomplete("jti"))
    }

    /// Whether the one audience is `site`.
    fn is_for(&self, site: &SiteName) -> bool {
        let audience = match self.0.get("aud") {
            Some(Value::Array(several)) => match several.as_slice() {
                [only] => only.as_str(),
                _ => None,
            },
            Some(only) => only.as_str(),
            None => None,
        };
        audience == Some(site.as_str())
    }

    /// A `NumericDate`: seconds, which need not be whole.
    fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Unproven> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        // Far beyond that the seconds of a number are not told apart.
        const LATEST: f64 = 1e12;
        let seconds = value.as_f64().filter(|seconds| (0.0..LATEST).contains(seconds));
        let seconds = seconds.ok_or(Unproven::Incomplete(name))?;
        let since = Duration::from_secs_f64(seconds);
        Ok(Some(Timestamp::from_millis(0).after(since)))
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without repeated names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Claims, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name stands twice"));
                    }
                }
                Ok(Claims(claims))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
