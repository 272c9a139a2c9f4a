//! Who brings something about, and from where: said with each event, so that whoever reads the audit log
//! need not guess.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::ApiKey;

/// The request by which something is brought about.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// Where it came from, as far as proxies are believed.
    pub client: IpAddr,
    /// Its name, as it stands in the access log and on error pages.
    pub request_id: Arc<str>,
}

/// Who brings something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the API key with this name.
    ApiKey(Arc<str>),
    /// The login page that signs with the key of this name.
    LoginKey(Arc<str>),
    /// Whoever uses a site with a browser.
    Visitor,
    /// Somebody who presented nothing that tells who it is.
    Stranger,
    /// The gateway itself: what it does follows from its settings, or from what happened before.
    Gateway,
}

impl Actor {
    /// A stable word for the kind.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "api_key",
            Self::LoginKey(_) => "login_key",
            Self::Visitor => "visitor",
            Self::Stranger => "stranger",
            Self::Gateway => "gateway",
        }
    }

    /// The name of the key.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::ApiKey(name) | Self::LoginKey(name) => Some(name),
            Self::Visitor | Self::Stranger | Self::Gateway => None,
        }
    }
}

/// Who, and from where.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Who.
    pub actor: Actor,
    /// By which request; `None` if there is none.
    pub circumstances: Option<Circumstances>,
}

impl Cause {
    /// The gateway itself, without being asked.
    pub const GATEWAY: Self = Self { actor: Actor::Gateway, circumstances: None };

    /// `actor`, by a request.
    pub const fn new(actor: Actor, circumstances: Circumstances) -> Self {
        Self { actor, circumstances: Some(circumstances) }
    }

    /// The holder of `key`, by a request.
    pub fn of_key(key: &ApiKey, circumstances: Circumstances) -> Self {
        Self::new(Actor::ApiKey(key.name.as_str().into()), circumstances)
    }

    /// The gateway, on the occasion of this.
    #[must_use]
    pub fn left_to_gateway(&self) -> Self {
        Self { actor: Actor::Gateway, circumstances: self.circumstances.clone() }
    }
}
